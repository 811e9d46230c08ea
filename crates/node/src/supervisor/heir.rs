//! The next vip process, started beside the one that runs where an address is held by votes, or where the executable is another one: it opens and
//! loads everything, then the one that runs leaves it what it has. To other nodes the two are one process, so nothing moves.
//!
//! ```text
//!   reload ──> Starting ──ready──> Ready ──(the new proxy serves)──> Handed: the one that runs is told to leave all to it ──ends──> in its place
//!                 │                  │                                 └── it could not: it goes on, another heir is tried once, then as ever
//!                 └── dies, is late  └── dies: another one is tried once
//!                     the reload is refused, nothing changes
//! ```
//! Once it was told so, nobody but these two knows which of them acts. So the gate is shut only when both are gone.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::{Event, Order, Report, Role, Start};
use base::Time;
use config::cluster::{Cluster, NodeRole};
use config::vip::Vip;
use engine::role::{Input, Kind};
use engine::vip::estate::Estate;
use engine::vip::lease::together::are_one;
use sys::channel::Channel;
use sys::poll::Interest;
use sys::process::Exit;

use super::children::{Child, RUNNING};
use super::{CHANNEL, PIDFD, Slot, Supervisor, tell, token};
use crate::launch::Plan;

/// No process of `engine::role` has it.
pub(super) const SLOT: Slot = Slot::MAX - 1;
/// A gate is loaded and a file is read within a tenth of it.
const READY_WITHIN: Duration = Duration::from_secs(3);
/// A second one: the process that makes way is killed after two seconds.
const AGAIN_WITHIN: Duration = Duration::from_secs(1);

/// An executable, whatever it is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Program {
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl Program {
    fn at(path: &Path) -> Self {
        let file = std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
        Self { path: path.to_owned(), file }
    }
}

/// What passes from one vip process to the next, as far as this process has to do with it.
#[derive(Debug)]
pub(super) struct Succession {
    /// The memory of the gate of the one that runs.
    cells: Option<OwnedFd>,
    /// Under which number the one that runs speaks.
    life: u64,
    /// Of the one that runs.
    program: Program,
    /// Where this program was started from.
    place: PathBuf,
    heir: Option<Heir>,
    /// A reload waited for an heir: where that one died, another one is tried.
    has_turn: bool,
    /// The process that makes way waits for a second heir.
    again: Option<Slot>,
    /// The heir ended when it may have had everything.
    is_lost: bool,
}

#[derive(Debug)]
struct Heir {
    child: Child,
    program: Program,
    /// The end for the process that runs; none: it has it, or nobody shall.
    way: Option<Channel>,
    part: Part,
}

#[derive(Debug)]
enum Part {
    /// Why it cannot, if it said so.
    Starting {
        waits: Waits,
        until: Time,
        why: Option<String>,
    },
    /// It reads what is left in these forms.
    Ready {
        oldest: u32,
        newest: u32,
    },
    /// The process that ran was told to leave it everything.
    Handed,
    Killed,
}

/// What goes on when it is ready.
#[derive(Debug)]
enum Waits {
    Reload(Input),
    /// That process makes way.
    Retire(Slot),
}

impl Succession {
    pub(super) fn new() -> Self {
        let place = std::fs::read_link(RUNNING).unwrap_or_default();
        Self {
            cells: None,
            life: 0,
            program: Program::at(RUNNING.as_ref()),
            place,
            heir: None,
            has_turn: false,
            again: None,
            is_lost: false,
        }
    }

    /// A process that takes over nothing began.
    pub(super) fn began(&mut self, life: u64) {
        (self.life, self.program) = (life, Program::at(RUNNING.as_ref()));
        (self.has_turn, self.again, self.is_lost) = (false, None, false);
    }

    /// None: nothing is open.
    pub(super) fn learn_gate(&mut self, cells: Option<OwnedFd>) {
        self.cells = cells;
    }

    pub(super) const fn has_heir(&self) -> bool {
        self.heir.is_some()
    }

    fn is_handed(&self) -> bool {
        self.heir.as_ref().is_some_and(|heir| matches!(heir.part, Part::Handed))
    }

    /// When the heir has to be ready.
    pub(super) fn deadline(&self) -> Time {
        match self.heir.as_ref().map(|heir| &heir.part) {
            Some(Part::Starting { until, .. }) => *until,
            Some(Part::Ready { .. } | Part::Handed | Part::Killed) | None => Time::NEVER,
        }
    }

    /// Whether another executable is where this one was started from.
    fn has_new_program(&self) -> bool {
        let there = Program::at(&self.place);
        there.file.is_some() && there.file != self.program.file
    }

    /// The next process is of the file that is there now.
    fn next_program(&self) -> Program {
        let there = Program::at(&self.place);
        if there.file.is_some() { there } else { Program::at(RUNNING.as_ref()) }
    }
}

impl Supervisor {
    /// Whether another process could go on in the place of the one that runs, under that plan: who votes, what is held by votes and where beats go
    /// is as it was. Where nothing is held by votes one that makes way as ever moves nothing either, but of another executable it is to be known
    /// beforehand that it starts.
    pub(super) fn may_succeed(&self, plan: &Plan) -> bool {
        let same = match (&plan.cluster, &self.plan.cluster) {
            (Some(new), Some(old)) => is_same_ground(new, old),
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        let has_reason =
            || plan.vips.iter().any(|vip| vip.has_lease) || self.succession.has_new_program();
        !self.succession.has_heir()
            && self.children.values().any(Child::is_running_vip)
            && self.estate.is_settled(&self.plan.vips)
            && has_reason()
            && by_votes(&plan.vips).eq(by_votes(&self.plan.vips))
            && (same && plan.me == self.plan.me)
            && plan.texts.secret == self.plan.texts.secret
    }

    /// Another executable is where this one was started from, which the next vip process can be of without a move.
    pub(super) fn has_new_vip_program(&self, plan: &Plan) -> bool {
        self.succession.has_new_program() && self.may_succeed(plan)
    }

    /// Starts the next vip process; when it is ready the reload goes on. False: it could not be started.
    pub(super) fn start_heir(&mut self, generation: u64, reload: Input) -> bool {
        self.succession.has_turn = true;
        self.begin_heir(generation, Waits::Reload(reload), READY_WITHIN)
    }

    fn begin_heir(&mut self, generation: u64, waits: Waits, within: Duration) -> bool {
        let until = sys::clock::now() + within;
        match self.try_to_start_heir(generation, Part::Starting { waits, until, why: None }) {
            Ok(heir) => self.succession.heir = Some(heir),
            Err(error) => tell::line(&format!("cannot start the next vip process: {error}")),
        }
        self.succession.has_heir()
    }

    fn try_to_start_heir(&self, generation: u64, part: Part) -> std::io::Result<Heir> {
        let next = self.next.as_ref().filter(|_| generation > self.generation);
        let plan = next.map_or(&self.plan, |next| &next.plan);
        let held = self.facts.vips().filter(|state| state.holding).map(|state| state.instance);
        let held: Vec<u16> = held.collect();
        let leftovers = match next {
            Some(_) => Estate::leftovers(&self.plan.vips, &held, &plan.vips),
            None => self.estate.of(&plan.vips).1,
        };
        let program = self.succession.next_program();
        let mut child = Child::spawn_of(&program.path, Kind::Vip, generation)?;
        let (files, texts) = plan.texts.for_node().descriptors()?;
        let (ours, theirs) = Channel::pair()?;
        let start = Order::Start(Box::new(Start {
            mode: self.launch.mode,
            node: plan.node.clone(),
            generation,
            run_dir: plan.run_dir.display().to_string(),
            state_dir: plan.state_dir.display().to_string(),
            life: self.succession.life,
            breaks: self.launch.breaks.clone(),
            files,
            sockets: vec![],
            adopt: vec![],
            leftovers,
            closed: false,
            heir: true,
            voters: self.facts.voters.at_start(plan.cluster.as_ref()),
            servers: vec![],
            choices: vec![],
            nodes: vec![],
        }));
        let mut fds: Vec<_> = texts.iter().map(AsFd::as_fd).collect();
        fds.push(theirs.as_fd());
        fds.extend(self.succession.cells.as_ref().map(AsFd::as_fd));
        child.order(&start, &fds)?;
        self.poller.add(child.channel(), token(SLOT, CHANNEL), Interest::READ)?;
        self.poller.add(child.process.pidfd(), token(SLOT, PIDFD), Interest::READ)?;
        Ok(Heir { child, program, way: Some(ours), part })
    }

    /// The next one gets what the one that runs was told.
    pub(super) fn order_heir(&mut self, order: &Order, fd: BorrowedFd<'_>) {
        if let Some(heir) = &mut self.succession.heir {
            // One that is gone needs nothing.
            let _ = heir.child.order(order, &[fd]);
        }
    }

    /// It said something, or ended.
    pub(super) fn heir_speaks(&mut self, ended: bool) {
        self.hear_heir();
        let heir = self.succession.heir.as_ref().filter(|_| ended);
        match heir.map(|heir| heir.child.process.reap()) {
            Some(Ok(Some(exit))) => self.heir_ended(exit),
            Some(Ok(None)) | None => {}
            Some(Err(error)) => tell::line(&format!("cannot reap the next vip process: {error}")),
        }
    }

    /// The first word says it all; what comes after it is read when it has its place.
    fn hear_heir(&mut self) {
        let Some(heir) = &mut self.succession.heir else { return };
        let Part::Starting { why: why @ None, .. } = &mut heir.part else { return };
        let first = heir.child.report(&mut self.buffer, &mut vec![]);
        if matches!(first, Ok(None)) {
            return;
        }
        let _ = self.poller.remove(heir.child.channel());
        match first {
            Ok(Some(Report::Heir { oldest, newest })) => {
                let ready = Part::Ready { oldest, newest };
                if let Part::Starting { waits, .. } = std::mem::replace(&mut heir.part, ready) {
                    match waits {
                        Waits::Reload(reload) => self.step(reload),
                        Waits::Retire(slot) => self.retire_again(slot),
                    }
                }
            }
            // It ends now.
            Ok(Some(Report::Failed { why: said })) => *why = Some(said),
            // Another release, or none of ours: its end, or its time, says so.
            Ok(_) | Err(_) => {}
        }
    }

    fn heir_ended(&mut self, exit: Exit) {
        let Some(heir) = self.succession.heir.take() else { return };
        let _ = self.poller.remove(heir.child.process.pidfd());
        let _ = self.poller.remove(heir.child.channel());
        match heir.part {
            Part::Starting { waits, why, .. } => {
                let ended = || format!("the next vip process ended: {}", tell::exit(exit));
                self.heir_failed(waits, why.unwrap_or_else(ended));
            }
            Part::Ready { .. } => {
                tell::line(&format!("the next vip process ended early: {}", tell::exit(exit)));
            }
            Part::Handed if self.children.values().any(|child| child.kind == Kind::Vip) => {
                // The one that ran may have been quicker, or says that it goes on.
                self.succession.is_lost = true;
            }
            // What it had, nobody has.
            Part::Handed => {
                self.renew_rescue();
                self.rescue_addresses(Some(exit));
            }
            Part::Killed => {}
        }
        self.try_again();
        self.reload_that_waits();
    }

    fn heir_failed(&mut self, waits: Waits, why: String) {
        match waits {
            Waits::Reload(_) => {
                let number = self.next.take().and_then(|next| next.number);
                self.succession.has_turn = false;
                self.not_applied(number, &why, false);
                self.refuse(why);
            }
            Waits::Retire(slot) => {
                tell::line(&why);
                self.retire_plainly(slot);
            }
        }
    }

    /// It is not ready in time.
    pub(super) fn heir_is_late(&mut self) {
        if let Some(Part::Starting { waits, .. }) = self.end_heir() {
            self.heir_failed(waits, "the next vip process was not ready in time".to_owned());
        }
    }

    /// Nothing is left to it, and nothing waits for it any more.
    pub(super) fn forget_heir(&mut self) {
        let _nothing = self.end_heir();
        (self.succession.has_turn, self.succession.again) = (false, None);
    }

    /// The process that it was to follow is gone: what it was started for has nobody to leave it anything.
    pub(super) fn reload_without_heir(&mut self) {
        self.succession.has_turn = false;
        if let Some(Part::Starting { waits: Waits::Reload(reload), .. }) = self.end_heir() {
            self.step(reload);
        }
    }

    /// It ends and is reaped, unless it may have everything already. Gives what it was.
    fn end_heir(&mut self) -> Option<Part> {
        let heir = self.succession.heir.as_mut();
        let heir = heir.filter(|heir| !matches!(heir.part, Part::Handed))?;
        heir.way = None;
        // One that is gone already is reaped by its pidfd.
        let _ = heir.child.process.signal(sys::signal::SIGKILL);
        Some(std::mem::replace(&mut heir.part, Part::Killed))
    }

    /// Tells the process that runs to leave everything to the heir; false: there is none.
    pub(super) fn leave_to_heir(&mut self, slot: Slot) -> bool {
        let Some(heir) = &mut self.succession.heir else {
            // It was ready, and is gone.
            let has_turn = std::mem::take(&mut self.succession.has_turn);
            return has_turn
                && self.estate.retires()
                && self.begin_heir(self.generation, Waits::Retire(slot), AGAIN_WITHIN);
        };
        let Part::Ready { oldest, newest } = heir.part else { return false };
        let Some(way) = heir.way.take().filter(|_| self.estate.retires()) else { return false };
        heir.part = Part::Handed;
        let instances = self.estate.gives_up();
        if !instances.is_empty() {
            self.order(slot, &Order::GiveUp { instances });
        }
        let Some(child) = self.children.get_mut(&slot) else { return true };
        child.leaving = true;
        // An error means that it is ending; its pidfd says so.
        let _ = child.order(&Order::Succeed { oldest, newest }, &[way.as_fd()]);
        if child.is_behind() {
            let both = Interest::READ | Interest::WRITE;
            let _ = self.poller.modify(child.channel(), token(slot, CHANNEL), both);
        }
        true
    }

    /// It goes on: nothing was left to anybody.
    pub(super) fn vip_kept(&mut self, slot: Slot, why: String, again: bool) {
        self.succession.is_lost = false;
        if let Some(heir) = &mut self.succession.heir {
            heir.part = Part::Killed;
            let _ = heir.child.process.signal(sys::signal::SIGKILL);
        }
        let again = again && std::mem::take(&mut self.succession.has_turn);
        let decision = if again {
            "this one goes on, and another one is started to follow it"
        } else {
            "make way as ever: what it holds by votes goes to another node first"
        };
        self.event(Event {
            what: "vip-not-succeeded".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence: format!("the vip process could not leave what it has to the next one: {why}"),
            decision: decision.to_owned(),
            ..Event::default()
        });
        if again {
            self.succession.again = Some(slot);
            self.try_again();
        } else {
            self.retire_plainly(slot);
        }
    }

    /// As soon as the first heir is reaped.
    fn try_again(&mut self) {
        if self.succession.has_heir() {
            return;
        }
        let Some(slot) = self.succession.again.take() else { return };
        if !self.begin_heir(self.generation, Waits::Retire(slot), AGAIN_WITHIN) {
            self.retire_plainly(slot);
        }
    }

    fn retire_again(&mut self, slot: Slot) {
        if !self.leave_to_heir(slot) {
            self.retire_plainly(slot);
        }
    }

    /// A vip process ended. Says whether what it may have left is to be taken down now.
    pub(super) fn vip_ended(&mut self, in_order: bool) -> bool {
        self.succession.again = None;
        let is_lost = std::mem::take(&mut self.succession.is_lost);
        if self.succession.is_handed() {
            // The heir has everything, or gets nothing any more and ends. Where nobody follows it ends as well, and then it is taken down.
            if let Some(heir) = self.succession.heir.as_ref().filter(|_| self.ended_by.is_some()) {
                let _ = heir.child.process.signal(sys::signal::SIGKILL);
            }
            return false;
        }
        if in_order && !is_lost {
            (self.gate, self.succession.cells, self.closed) = (None, None, true);
        }
        // One that held on for the next process is followed by none when the node ends.
        !in_order || is_lost || self.ended_by.is_some() && self.estate.owes()
    }

    /// The process before ended: the one that it left everything to is in its place from now on.
    pub(super) fn adopt_heir(&mut self, slot: Slot) -> bool {
        let is_handed = self.succession.is_handed();
        let Some(heir) = self.succession.heir.take_if(|_| is_handed) else { return false };
        let (pidfd, channel) = (heir.child.process.pidfd(), heir.child.channel());
        let _ = self.poller.remove(pidfd);
        let ended = self.poller.add(pidfd, token(slot, PIDFD), Interest::READ);
        let heard = self.poller.add(channel, token(slot, CHANNEL), Interest::READ);
        if let Err(error) = ended.and(heard) {
            tell::line(&format!("cannot hear the next vip process: {error}"));
        }
        (self.succession.program, self.succession.has_turn) = (heir.program, false);
        self.children.insert(slot, heir.child);
        self.estate.starts();
        self.closed = false;
        self.brief(slot, Kind::Vip);
        *self.starts.entry(Role::Vip).or_default() += 1;
        self.processes();
        true
    }
}

/// Who votes, and where beats go.
fn is_same_ground(one: &Cluster, other: &Cluster) -> bool {
    let nodes = |cluster: &Cluster| -> Vec<(String, Vec<Option<IpAddr>>, NodeRole)> {
        let of =
            |node: &config::cluster::Node| (node.name.clone(), node.addresses.clone(), node.role);
        cluster.controllers().iter().map(of).collect()
    };
    (&one.name, one.port, &one.networks) == (&other.name, other.port, &other.networks)
        && nodes(one) == nodes(other)
}

/// What is held by votes, in the order of the gate's cells, and whether this node may hold it. Those of a sync group have one claim: with which
/// one that begins.
fn by_votes(vips: &[Vip]) -> impl Iterator<Item = (u8, &str, bool, Vec<IpAddr>, Option<usize>)> {
    let voted = || vips.iter().filter(|vip| vip.has_lease || vip.votes_only);
    voted().map(move |vip| {
        let addresses = vip.addresses.iter().map(|address| address.ip).collect();
        let first = voted().position(|other| are_one(other, vip));
        (vip.router_id, vip.interface.as_str(), vip.votes_only, addresses, first)
    })
}

#[cfg(test)]
mod tests;
