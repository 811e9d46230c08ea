//! Virtual IPs with a vip lease: one machine (`engine::vip::lease`) for all of them, beside the VRRP of the others.
//!
//! ```text
//!   beats of others ──┐                 ┌─ cells of the gate (the kernel looks at its clock)
//!   devices, scripts ─┼─> VipLease ─────┼─ addresses, gratuitous ARP
//!   orders ───────────┘   (step)        └─ beats, on every network
//! ```
//! What it owes the machine (`docs/decisions/0018`): `now` is read after a beat was received; every cell is written after
//! each step, before its orders are performed; those are performed in order, and all of them before the next step.

use std::os::fd::OwnedFd;
use std::time::Duration;

use api::{Report, Start};
use base::Time;
use config::cluster::Cluster;
use config::vip::Vip;
use engine::Buffer;
use engine::vip::Input;
use engine::vip::lease::{
    self, Action, BEAT, CALM, Config, Fact, MAX_SEATS, SPAN, VipLease, Voters, pace,
};
use engine::vip::silence::Silence;
use sys::poll::Ready;

use super::gate::Guard;
use super::instance::{Instance, Kept};
use super::taking::Taking;
use super::{Driver, End, VipError, tell};
use electorate::Lists;

mod electorate;
mod left;

mod seats;

pub(super) use seats::Place;
#[cfg(test)]
pub(super) use seats::seat;
use seats::{bit, seats};

/// A process that ends speaks once more; its beat may wait for an eighth of one.
const LAST_WORD: Duration = Duration::from_millis(20);

/// How often the machine is told how late its process is: a thousandth changes no faster.
const MEASURED_EACH: Duration = Duration::from_secs(1);

/// What has been given up stays behind its filters for so long: the kernel holds the lock of all networks while it takes
/// them off, and who follows on this same kernel (nodes in containers) needs that lock to take the address.
const HANDED_OVER: Duration = Duration::from_millis(50);

/// What came of the claims of one step.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// By seat: the kernel did not take them.
    refused: Seats,
    /// By cell.
    taken: Seats,
}

/// Some of [`MAX_SEATS`].
#[derive(Clone, Copy, Debug, Default)]
struct Seats(u64);

const _: () = assert!(MAX_SEATS <= 64, "a bit for each");

impl Seats {
    const fn add(&mut self, seat: usize) {
        self.0 |= 1 << seat;
    }

    const fn has(self, seat: usize) -> bool {
        self.0 & (1 << seat) != 0
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_SEATS).filter(move |seat| self.has(*seat))
    }
}

/// Of one node.
pub(super) struct VipLeases {
    pub(super) machine: VipLease,
    /// Which instance a cell of the gate is for: first those that this node may hold.
    pub(super) instances: Vec<usize>,
    /// So many of them.
    pub(super) own: usize,
    /// By cell: its seat in the machine, and where its facts begin there.
    places: Vec<Place>,
    actions: Buffer<Action>,
    pub(super) guard: Guard,
    /// The last beat said that nothing is claimed here.
    said_idle: bool,
    silence: Silence,
    /// When it is told next how late it is.
    pub(super) measures_at: Time,
    /// How late the process before was, until it is known of this one.
    pub(super) usual: Option<Duration>,
    /// As it was told.
    wish: Option<Duration>,
    /// What was least left of each own cell, since that was told.
    least: [Option<Duration>; MAX_SEATS],
    /// How often each had run out when it was renewed, and for how long at most.
    lapses: [(u64, Duration); MAX_SEATS],
    lists: Lists,
}

impl VipLeases {
    /// None: no instance has a vip lease. `ours`: the cluster, this node's place in it, and when its machine joined.
    pub(super) fn new(
        vips: &[Vip],
        ours: Option<(&Cluster, usize, u64)>,
        start: &Start,
        network_of: &dyn Fn(&str) -> Option<u8>,
        (cells, now): (Option<OwnedFd>, Time),
    ) -> Result<Option<Self>, VipError> {
        let own = vips.iter().enumerate().filter(|(_, vip)| vip.has_lease && !vip.votes_only);
        let others = vips.iter().enumerate().filter(|(_, vip)| vip.votes_only);
        let (instances, voted): (Vec<usize>, Vec<&Vip>) = own.clone().chain(others).unzip();
        let own = own.count();
        if voted.is_empty() {
            return Ok(None);
        }
        let unable = |why: &str| VipError::Config(vec![format!("no vip lease works: {why}")]);
        let (cluster, me, joined) =
            ours.ok_or_else(|| unable("there is no secret of the cluster"))?;
        let (seats, places) = seats(&voted, cluster, network_of);
        let nodes: Vec<u16> = (0..).zip(cluster.controllers()).map(|(node, _)| node).collect();
        let by_file = Voters::new(None, &nodes).ok_or_else(|| unable("too many controllers"))?;
        let names = cluster.controllers().iter().map(|node| node.name.clone());
        let mut lists = Lists::new(names.collect(), by_file);
        let (voters, unread) = lists.at_start(start);
        let config = Config {
            node: u16::try_from(me).map_err(|_many| unable("too many nodes"))?,
            life: start.life,
            closed: start.closed,
            nodes: u16::try_from(nodes.len()).map_err(|_many| unable("too many nodes"))?,
            networks: u8::try_from(cluster.networks.len()).unwrap_or(u8::MAX),
            joined,
            voters,
            unread,
            beat: cluster.vip_beat,
            span: pace::span(cluster.vip_beat),
            referred: cluster
                .reference
                .iter()
                .map(|point| bit(point.network))
                .fold(0, |a, b| a | b),
            settle: cluster.detect,
            calm: CALM,
            seats,
        };
        let (goes_on, guard) = (cells.is_some(), Guard::new(&voted[..own], cluster, me, cells));
        if goes_on && guard.gate.is_none() {
            let why = guard.not_enforced().unwrap_or_default();
            let why = format!("the gate cannot be taken over: {why}");
            return Err(VipError::Config(vec![why]));
        }
        let silence = Silence::new(config.nodes, SPAN, BEAT * 2, now);
        Ok(Some(Self {
            machine: VipLease::new(&config, now),
            instances,
            own,
            places,
            actions: Buffer::new(),
            guard,
            said_idle: true,
            silence,
            measures_at: now,
            usual: None,
            wish: None,
            least: [None; MAX_SEATS],
            lapses: [(0, Duration::ZERO); MAX_SEATS],
            lists,
        }))
    }

    pub(super) fn place_of(&self, instance: usize) -> Option<Place> {
        let cell = self.instances.iter().position(|of| *of == instance);
        cell.and_then(|cell| self.places.get(cell).copied())
    }

    /// Whether somebody else may have the addresses of a cell.
    pub(super) fn searches(&self, cell: usize) -> bool {
        self.places.get(cell).is_some_and(|at| self.machine.searches(at.seat))
    }

    /// How many the machine has.
    pub(super) fn seats(&self) -> usize {
        self.places.iter().map(|at| at.seat + 1).max().unwrap_or(0)
    }

    /// Instances of a seat: one, or those of a sync group.
    fn of_seat(&self, seat: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let cells = self.places.iter().zip(&self.instances).filter(move |(at, _)| at.seat == seat);
        cells.map(|(at, instance)| (at.cell, *instance))
    }

    /// By which list it goes, if that was not told.
    pub(super) fn electorate_news(&mut self, told: &mut Option<api::Electorate>) -> bool {
        self.lists.news(&self.machine, told)
    }

    pub(super) fn deadline(&self) -> Time {
        self.machine.deadline().min(self.guard.again())
    }

    /// What the kernel lets through from now on. What it does not is shut first: of two that are never on one node, too.
    fn write_cells(&self) {
        let Some(gate) = &self.guard.gate else { return };
        let until = |at: &Place| self.machine.until(at.seat);
        let own = || self.places.iter().take(self.own).map(|at| (at.cell, until(at)));
        own()
            .filter(|(_, until)| *until == Time::ZERO)
            .for_each(|(cell, _)| gate.set(cell, Time::ZERO));
        own()
            .filter(|(_, until)| *until > Time::ZERO)
            .for_each(|(cell, until)| gate.set(cell, until));
    }
}

pub(super) fn of_leases(instances: &[Instance]) -> impl Iterator<Item = &Vip> {
    let own = instances.iter().filter(|it| it.seat.is_some() && !it.vip.votes_only);
    own.map(|instance| &instance.vip)
}

/// What an instance is told, for its seat; none: it means nothing to a vip lease.
fn input<'a>(at: Place, input: Input<'a>) -> Option<lease::Input<'a>> {
    let (vip, (links, checks)) = (at.seat, at.facts_at);
    let fact = |fact| Some(lease::Input::Fact { vip, fact });
    match input {
        Input::Script { index, passed } => fact(Fact::Script { index: checks + index, passed }),
        Input::Carrier { interface, up } => {
            fact(Fact::Carrier { interface: links + interface, up })
        }
        Input::NoDevice { interface } => fact(Fact::NoDevice { interface: links + interface }),
        Input::Network { .. } => fact(Fact::Network { interface: links }),
        Input::InUse { mac } => Some(lease::Input::InUse { vip, mac }),
        Input::Balancer(balancer) => Some(lease::Input::Balancer(balancer)),
        Input::Standby(on) => Some(lease::Input::Standby(on)),
        Input::Proven { node, dead } => Some(lease::Input::Proven { node, dead }),
        Input::MoveTo { node } => Some(lease::Input::MoveTo { vip, node }),
        Input::Refused => Some(lease::Input::Refused { vip }),
        Input::AddressLost => Some(lease::Input::AddressLost { vip }),
        Input::Stop => Some(lease::Input::Stop),
        Input::Timeout => Some(lease::Input::Timeout),
        Input::Measure { index, weight } => fact(Fact::Measure { index: checks + index, weight }),
        Input::Advert { .. }
        | Input::Hello { .. }
        | Input::HandOver(_)
        | Input::Together(_)
        | Input::PeerLost { .. } => None,
    }
}

impl Driver<'_> {
    /// A device that one of the cluster's networks is on can be used, or cannot.
    pub(super) fn link_of_network(&mut self, device: &str, up: bool) {
        for network in 0..self.networks.len() {
            let is_on =
                self.vip_leases.as_ref().is_some_and(|all| all.guard.is_on(network, device));
            if let Some(network) = u8::try_from(network).ok().filter(|_| is_on) {
                self.step_leases(sys::clock::now(), lease::Input::Link { network, up });
            }
        }
    }

    /// The agent of this node hears that of another one, or does not.
    pub(super) fn agent_heard(&mut self, name: &str, heard: bool) {
        let position = self.nodes.iter().position(|known| known == name);
        if let Some(node) = position.and_then(|position| u16::try_from(position).ok()) {
            self.step_leases(sys::clock::now(), lease::Input::Agent { node, heard });
        }
    }

    /// The newest list of voters that the store has.
    pub(super) fn voters(&mut self, list: Option<&api::VoterList>) {
        let told = self.vip_leases.as_mut().and_then(|all| all.lists.learn(list));
        if let Some(voters) = told {
            self.step_leases(sys::clock::now(), lease::Input::Voters(&voters));
        }
    }

    pub(super) fn hear_beat(&mut self, network: u8, from: u16, life: u64, body: &[u8]) {
        let now = sys::clock::now();
        self.note_late(now);
        self.step_leases(now, lease::Input::Beat { network, from, life, body });
    }

    /// What the instance of a seat is told.
    pub(super) fn step_seat(&mut self, at: Place, now: Time, told: Input<'_>) {
        if let Some(told) = input(at, told) {
            self.step_leases(now, told);
        }
    }

    pub(super) fn step_leases(&mut self, now: Time, told: lease::Input<'_>) {
        let Some(all) = &mut self.vip_leases else { return };
        all.note_left(now);
        let ran_out = all.ran_out(now);
        all.machine.step(now, told, &mut all.actions);
        all.write_cells();
        all.note_lapses(now, &ran_out);
        let actions = std::mem::take(&mut all.actions);
        let (mut looks, mut done) = (true, Done::default());
        for action in actions.iter() {
            if matches!(action, Action::Claim { .. }) && std::mem::take(&mut looks) {
                // Somebody may have taken it off a device meanwhile. Once for all claims: a vip lease is short.
                self.look_at_gate();
            }
            self.perform_lease(*action, now, &mut done);
        }
        for cell in done.taken.iter() {
            let Some(all) = &self.vip_leases else { return };
            let (seat, number) = (all.places[cell].seat, all.instances[cell]);
            self.look_at_seat(seat);
            self.note_moved(number, now);
        }
        for vip in done.refused.iter() {
            self.step_leases(sys::clock::now(), lease::Input::Refused { vip });
        }
    }

    fn perform_lease(&mut self, action: Action, began: Time, done: &mut Done) {
        let seat = match action {
            Action::Close { .. } => return,
            Action::Beat => return self.beat(),
            Action::Claim { vip }
            | Action::Release { vip }
            | Action::Announce { vip }
            | Action::Probe { vip }
            | Action::Report { vip } => vip,
        };
        self.look_at_seat(seat);
        let mut before = None;
        while let Some((cell, number)) = self.next_of(seat, before) {
            self.perform_for((seat, cell, number), action, began, done);
            before = Some(cell);
        }
    }

    /// The next one of a seat behind that cell; none: its first.
    fn next_of(&self, seat: usize, before: Option<usize>) -> Option<(usize, usize)> {
        let mut cells = self.vip_leases.as_ref()?.of_seat(seat);
        cells.find(|(cell, _)| before.is_none_or(|before| *cell > before))
    }

    /// What was ordered of a seat, of one of its instances.
    fn perform_for(
        &mut self,
        (seat, cell, number): (usize, usize, usize),
        action: Action,
        began: Time,
        done: &mut Done,
    ) {
        match action {
            Action::Claim { .. } => {
                self.tell(&Report::Busy);
                let instance = &mut self.instances[number];
                let held = instance.held;
                if !instance.claim(&self.netlink) {
                    done.refused.add(seat);
                } else if !held {
                    let gained = instance.seat.as_ref().and_then(|seat| seat.view.gained);
                    instance.taking = Some(Taking::by_votes(gained, began));
                    // Told when all of the step is done: neighbours and other addresses wait for that.
                    done.taken.add(cell);
                }
            }
            Action::Probe { .. } => {
                self.tell(&Report::Busy);
                self.probes.ask(&self.instances[number], &self.netlink, &self.poller);
            }
            Action::Release { .. } => {
                self.tell(&Report::Busy);
                self.instances[number].taking = None;
                let released = self.instances[number].release(&self.netlink);
                self.released(number, began, released);
            }
            Action::Announce { .. } if done.refused.has(seat) => {}
            Action::Announce { .. } => {
                self.instances[number].announce();
                self.instances[number].note_announced();
            }
            Action::Report { .. } => {
                self.tell_state(number);
                let fault = self.instances[number].fault_news(began, false);
                if let Some(fault) = fault {
                    self.tell_fault(number, fault);
                }
                if let Some(alone) = self.instances[number].alone_news() {
                    let event = tell::alone(&self.instances[number], &self.node, alone);
                    self.tell(&Report::Event(event));
                }
                if let Some(awaited) = self.instances[number].awaits_news() {
                    let event =
                        tell::unproven(&self.instances[number], &self.node, &self.nodes, awaited);
                    self.tell(&Report::Event(event));
                }
            }
            Action::Close { .. } | Action::Beat => {}
        }
    }

    /// Of whom nothing is heard any more, and of whom something is again.
    pub(super) fn tell_silence(&mut self, now: Time) {
        let Some(all) = &mut self.vip_leases else { return };
        all.silence.look(now);
        while let Some(all) = &mut self.vip_leases
            && let Some((node, silent)) = all.silence.news(|node| all.machine.heard(node))
        {
            self.tell(&Report::Silence { node, silent });
        }
    }

    /// How late this process is once in a thousand times, and what came of that.
    pub(super) fn measure(&mut self, now: Time) {
        let Some(all) = self.vip_leases.as_mut().filter(|all| now >= all.measures_at) else {
            return;
        };
        all.measures_at = now + MEASURED_EACH;
        let usual = self.process.lateness.usual().or(all.usual);
        self.step_leases(now, lease::Input::Late(usual));
        let Some(all) = &mut self.vip_leases else { return };
        let pace = all.machine.pace();
        let is_known = pace.usual.is_some() && pace.wanted < BEAT;
        if is_known && all.wish.replace(pace.wish) != Some(pace.wish) {
            self.tell(&Report::Event(tell::beats(&self.node, &pace)));
        }
    }

    fn beat(&mut self) {
        if let Some(all) = &mut self.vip_leases {
            all.said_idle = all.machine.is_idle();
            self.wire.beat(&all.machine);
        }
    }

    /// What the seat thinks now, where its instances show it.
    pub(super) fn look_at_seat(&mut self, seat: usize) {
        let Some(all) = &self.vip_leases else { return };
        let Some(view) = all.machine.view(seat) else { return };
        let (heir, in_use_by) = (all.machine.heir(seat), all.machine.in_use_by(seat));
        let (objection, votes) = (all.machine.objection(seat), all.machine.votes());
        let failed = all.machine.failed(seat);
        for (cell, number) in all.of_seat(seat) {
            let first = u32::try_from(all.places[cell].facts_at.1).unwrap_or(u32::MAX);
            if let Some(seat) = &mut self.instances[number].seat {
                (seat.view, seat.heir, seat.in_use_by) = (view, heir, in_use_by);
                (seat.objection, seat.votes) = (objection, votes);
                seat.failed = failed.checked_shr(first).unwrap_or(0);
            }
        }
    }

    fn note_moved(&mut self, number: usize, began: Time) {
        self.instances[number].note_moved();
        self.tell_moved(number, began);
        self.tell_routes(number);
    }

    fn released(&mut self, number: usize, began: Time, released: Result<(), Kept>) {
        if let Some(seat) = &mut self.instances[number].seat {
            seat.kept = released.is_err();
        }
        match released {
            Ok(()) => self.note_moved(number, began),
            Err(kept) => {
                let event = tell::release_failed(&self.instances[number], &self.node, &kept);
                self.tell(&Report::Event(event));
            }
        }
    }

    /// Gives everything up, says so, and takes the gate off. Others are heard meanwhile.
    pub(super) fn leave_leases(&mut self, ready: &mut Vec<Ready>) -> Result<(), VipError> {
        if self.vip_leases.is_none() {
            return Ok(());
        }
        let hands_over = self.vip_leases.as_ref().is_some_and(|all| !all.said_idle);
        let end = sys::clock::now() + LAST_WORD;
        self.step_leases(sys::clock::now(), lease::Input::Stop);
        while self.vip_leases.as_ref().is_some_and(|all| !all.said_idle) {
            if sys::clock::now() >= end {
                break;
            }
            self.turn(ready)?;
        }
        if hands_over && self.end == Some(End::Stop) {
            std::thread::sleep(HANDED_OVER);
        }
        let kept = |instance: &Instance| instance.seat.as_ref().is_some_and(|seat| seat.kept);
        if let Some(all) = self.vip_leases.as_mut().filter(|_| !self.instances.iter().any(kept)) {
            all.guard.leave(&self.netlink);
        }
        Ok(())
    }
}
