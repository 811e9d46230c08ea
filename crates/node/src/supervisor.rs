//! The process that stays: starts the others, holds the listening sockets, carries their messages.
//!
//! ```text
//!   signals, pidfds, channels ---> engine::role ---> spawn, activate, drain, kill
//!                     |
//!                     +--- routing: who reports what to whom ([`route`])
//! ```
//!
//! It is small, writes to no disk after its start, and decides nothing itself.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use api::{BalancerState, Change, Mode, Order, Report, Role};
use base::{Chain, Time};
use engine::Buffer;
use engine::role::{Action, Balancer, Input, Kind, Part, Roles};
use engine::vip::estate::Estate;
use engine::vip::notice;
use sys::bpf::gate::Cells;
use sys::poll::{Interest, Poller, Ready};
use sys::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, Signals};

use crate::launch::{Launch, LaunchError, Plan};
use crate::vip::rescue::Rescue;
use children::Child;
use dump::{Dump, Dumps};
use facts::Facts;
use heir::Succession;
use lives::Lives;
use lock::Lock;
pub(crate) use lock::{LockError, may_hold_addresses};
use ports::PortError;
use sockets::{SocketError, Sockets};

mod begin;
mod children;
mod dashboard;
pub(crate) mod dump;
mod facts;
mod fixed;
mod ground;
mod heir;
mod hooks;
mod lives;
mod lock;
mod notify;
mod ports;
mod reload;
mod rescue;
mod route;
mod sockets;
pub(crate) mod tell;

pub use dump::signum;

/// Number of a process, counted since the start.
type Slot = u32;

/// Epoll tokens: signals, then so many per slot, which begin with 1.
const SIGNALS: u64 = 0;
const LIFE: u64 = 0;
const CHANNEL: u64 = 1;
const PIDFD: u64 = 2;
/// Of a program that is told how a virtual IP stands: the slot is its number.
const NOTICE: u64 = 3;
/// What comes and goes in the kernel while something is static; as signals, it is no slot's.
const KERNEL: u64 = 3;
/// Events taken from the kernel at once.
const BATCH: usize = 64;
/// Sessions get this long when the node is told to stop: the address has moved by then, so only
/// clients of the node's own addresses are left.
const STOP_DRAIN: Duration = Duration::from_secs(1);
/// After SIGUSR1, HAProxy's soft stop: the longest API call, an upload of an image.
const SOFT_STOP_DRAIN: Duration = Duration::from_secs(3600);

/// Why the supervisor could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("cannot enter the network namespace {name}")]
    Namespace {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot start")]
    Lock(#[from] LockError),
    #[error("cannot start")]
    Sockets(#[from] SocketError),
    #[error("cannot start")]
    Ports(#[from] PortError),
    #[error("cannot write the pid file {}", .path.display())]
    PidFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The files may be a mixture of two generations, which nobody wrote.
    #[error("cannot finish what was begun with a generation of the configuration")]
    Generation(#[source] io::Error),
    #[error(
        "the vip lease of {0} comes or goes while others hold it: apply a file without {0} first, then this one"
    )]
    Lease(String),
    #[error("cannot watch processes and sockets")]
    Poll(#[source] io::Error),
    #[error("cannot prepare to take addresses down when the vip process dies")]
    Rescue(#[source] io::Error),
    #[error("cannot go to the background")]
    Daemon(#[source] io::Error),
    #[error("the one in the background did not start; it said why")]
    Background,
}

/// A configuration that is good, as far as that is known before it serves.
struct Next {
    plan: Plan,
    sockets: Sockets,
    /// The generation that it is, if the agent asked for it.
    number: Option<u64>,
}

/// Everything the supervisor holds.
struct Supervisor {
    launch: Launch,
    plan: Plan,
    sockets: Sockets,
    /// A configuration whose proxy is not ready yet.
    next: Option<Next>,
    generation: u64,
    poller: Poller,
    signals: Signals,
    roles: Roles,
    children: BTreeMap<Slot, Child>,
    starts: BTreeMap<Role, u32>,
    /// SIGHUP came before the vip process said how it is.
    reload_waits: bool,
    /// What passes from one vip process to the next.
    estate: Estate,
    /// The rescue knows the configuration before; renewed with the next vip process.
    rescue_is_old: bool,
    /// How the last process ended, for the event about it.
    last_exit: Option<(Slot, i32, sys::process::Exit)>,
    /// Why keys could not be read when they were asked for last; told once.
    keys_unreadable: Option<String>,
    /// What signals of keepalived asked for.
    dumps: Dumps,
    facts: Facts,
    told: notify::Told,
    fixed: fixed::Watch,
    lives: Lives,
    rescue: Option<Rescue>,
    /// By which the kernel lets through what the vip process has a vip lease of.
    gate: Option<Cells>,
    succession: Succession,
    /// No former vip process of this node lives, and nothing answers for what it had a vip lease of.
    closed: bool,
    buffer: Vec<u8>,
    ended: bool,
    /// What told it to end.
    ended_by: Option<i32>,
    _lock: Lock,
}

/// Runs a node until SIGTERM or SIGINT; gives the signal that ended it.
///
/// # Errors
/// When it cannot start: the configuration, a port, a capability, a second instance. Nothing is left
/// behind then.
pub fn supervise(launch: &Launch) -> Result<Option<i32>, SuperviseError> {
    sys::rights::keep_out_of_core_dumps();
    let plan = hooks::in_its_namespace(launch)?;
    tell::text(&plan.warnings);
    if launch.daemon && !begin::in_background(launch)? {
        return Ok(None);
    }
    let mut supervisor = Supervisor::begin(launch.clone(), plan)?;
    supervisor.at_start();
    let outcome = supervisor.run();
    supervisor.at_end();
    for path in launch.pid_file.iter().chain(&launch.vrrp_pid_file) {
        // The next start overwrites what stays.
        let _ = std::fs::remove_file(path);
    }
    supervisor.told.close();
    supervisor.leave_no_gate();
    outcome.map(|()| supervisor.ended_by)
}

/// The files as they lie, after what an agent began with a generation is finished: they are no mixture then.
fn first_plan(launch: &Launch) -> Result<Plan, SuperviseError> {
    let Some(place) = launch.place() else { return Ok(launch.plan()?) };
    if let Some(next) = place.before_start().map_err(SuperviseError::Generation)? {
        let installed = match launch.plan_staged(next.number) {
            Ok(_) => place.install(next.number, &next.foreign).map_err(|error| error.to_string()),
            Err(error) => Err(error.brief()),
        };
        if let Err(why) = installed {
            tell::line(&format!("generation {} stays aside: {why}", next.number));
            // If that left a mixture, it is said here.
            place.before_start().map_err(SuperviseError::Generation)?;
        }
    }
    if let Some(undone) = place.undone() {
        tell::line(&undone);
    }
    Ok(launch.plan()?)
}

/// Checks everything that can be checked without starting; gives the warnings.
///
/// # Errors
/// As [`supervise`], for what concerns files.
pub fn check(launch: &Launch) -> Result<String, LaunchError> {
    launch.plan().map(|plan| plan.warnings)
}

impl Supervisor {
    fn run(&mut self) -> Result<(), SuperviseError> {
        let mut ready = Vec::with_capacity(BATCH);
        self.started();
        self.notify_of_plan(false);
        self.step(Input::Timeout);
        // What is told of the end may take a little longer.
        while !self.ended || !self.told.is_done() || self.succession.has_heir() {
            let deadline = self.roles.deadline().min(self.told.deadline());
            let deadline = deadline.min(self.fixed.deadline());
            let deadline = deadline.min(self.succession.deadline());
            let wait = (deadline != Time::NEVER).then(|| deadline.since(sys::clock::now()));
            self.poller.wait(&mut ready, wait).map_err(SuperviseError::Poll)?;
            // Deaths first: what a dead process still reported is read before it is forgotten.
            ready.sort_unstable_by_key(|event: &Ready| (event.token & 3) != PIDFD);
            for event in &ready {
                self.ready(*event);
            }
            self.step(Input::Timeout);
            self.look_at_fixed(sys::clock::now());
            if sys::clock::now() >= self.succession.deadline() {
                self.heir_is_late();
            }
            if sys::clock::now() >= self.told.deadline() {
                self.notify(notice::Input::Timeout);
            }
        }
        Ok(())
    }

    fn ready(&mut self, event: Ready) {
        if event.token == SIGNALS {
            while let Some(signal) = self.signals.read() {
                self.signal(signal);
            }
            return;
        }
        if event.token == KERNEL {
            return self.hear_kernel();
        }
        let slot = slot_of(event.token);
        if slot == heir::SLOT {
            return self.heir_speaks(event.token & 3 == PIDFD);
        }
        match event.token & 3 {
            NOTICE => self.notified(slot),
            PIDFD => self.exited(slot),
            LIFE => self.parted(slot),
            _ => {
                self.hear(slot);
                self.flush(slot);
            }
        }
    }

    fn signal(&mut self, signal: i32) {
        if signal == SIGCHLD {
            return self.stopped();
        }
        if self.ended {
            return;
        }
        let dump = Dump::asked_by(signal).filter(|_| self.launch.mode == Mode::Rfc);
        if let Some(dump) = dump {
            return self.dump(dump);
        }
        if signal != SIGHUP {
            self.ended_by = Some(signal);
        }
        match signal {
            SIGHUP => self.reload_when_settled(),
            SIGTERM | SIGINT => self.stop(STOP_DRAIN),
            SIGUSR1 => self.stop(SOFT_STOP_DRAIN),
            _ => {}
        }
    }

    /// Some child was stopped, goes on or ended; of the last its pidfd tells.
    fn stopped(&mut self) {
        let all = self.children.iter();
        let said = all.filter_map(|(slot, child)| Some((*slot, child.process.stopped().ok()??)));
        for (slot, stopped) in said.collect::<Vec<_>>() {
            self.step(if stopped { Input::Stopped { slot } } else { Input::Continued { slot } });
        }
    }

    /// Nobody will accept here any more, so no client may wait here: the next process on these
    /// addresses (`-sf`), or a refusal, is better.
    fn stop(&mut self, drain: Duration) {
        self.sockets = Sockets::default();
        self.forget_heir();
        self.step(Input::Stop { drain });
    }

    /// Feeds the machine and performs what it orders, in order.
    fn step(&mut self, input: Input) {
        let mut out = Buffer::new();
        self.roles.step(sys::clock::now(), input, &mut out);
        // Clients wait for this one: before anything is written down or told.
        for action in out.iter() {
            if let Action::Activate { slot } = action {
                self.order(*slot, &Order::Activate);
            }
        }
        for action in out.drain() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { slot, role, generation, warm } => {
                self.spawn(slot, role, generation, warm);
            }
            // Ordered already.
            Action::Activate { .. } => self.processes(),
            Action::Ping { slot, number } => self.order(slot, &Order::Ping(number)),
            Action::Drain { slot } => self.leave(slot, &Order::Drain),
            Action::Stop { slot } => self.leave(slot, &Order::Stop),
            Action::Retire { slot } => self.retire(slot),
            Action::Kill { slot } => {
                if let Some(child) = self.children.get(&slot) {
                    // One that is gone already is reaped by its pidfd.
                    let _ = child.process.signal(sys::signal::SIGKILL);
                }
            }
            Action::Tell(state) => self.balancer(match state {
                Balancer::Serving => BalancerState::Serving,
                Balancer::Replacing => BalancerState::Replacing,
                Balancer::Failed => BalancerState::Failed,
            }),
            Action::Lost { slot, role, loss, life } => self.lost(slot, role, loss, life),
            Action::Reloaded { generation } => self.reloaded(generation),
            Action::ReloadFailed { generation, loss } => self.reload_failed(generation, loss),
            Action::Done => {
                self.ended = true;
                self.notify(notice::Input::Stop);
            }
        }
    }

    /// From here on its end is no loss.
    fn leave(&mut self, slot: Slot, order: &Order) {
        if let Some(child) = self.children.get_mut(&slot) {
            child.leaving = true;
        }
        self.order(slot, order);
    }

    fn retire(&mut self, slot: Slot) {
        let is_vip = self.children.get(&slot).is_some_and(|child| child.kind == Kind::Vip);
        if !(is_vip && self.leave_to_heir(slot)) {
            self.retire_plainly(slot);
        }
    }

    /// Nobody goes on in its place.
    fn retire_plainly(&mut self, slot: Slot) {
        let is_vip = self.children.get(&slot).is_some_and(|child| child.kind == Kind::Vip);
        if is_vip {
            self.forget_heir();
        }
        let holds_on = !is_vip || self.estate.retires();
        let instances = if is_vip { self.estate.gives_up() } else { vec![] };
        if !instances.is_empty() {
            self.order(slot, &Order::GiveUp { instances });
        }
        self.leave(slot, if holds_on { &Order::Retire } else { &Order::Stop });
    }

    fn hear(&mut self, slot: Slot) {
        let mut is_over = false;
        let (mut buffer, mut fds) = (std::mem::take(&mut self.buffer), vec![]);
        while let Some(child) = self.children.get(&slot) {
            match child.report(&mut buffer, &mut fds) {
                Ok(Some(Report::Gate { cells })) => self.learn_gate(fds.pop(), cells),
                Ok(Some(report)) => self.route(slot, report),
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tell::line(&format!("slot {slot}: {}", Chain(&error)));
                }
                // The pidfd tells the rest.
                Err(_) => {
                    let _ = self.poller.remove(child.channel());
                    is_over = true;
                    break;
                }
            }
        }
        self.buffer = buffer;
        if is_over {
            self.vip_is_ending(slot);
        }
    }

    fn flush(&mut self, slot: Slot) {
        let Some(child) = self.children.get_mut(&slot) else { return };
        if child.is_behind() && child.flush().is_ok() && !child.is_behind() {
            // Fails only for a descriptor that is not registered, which an ended child's is.
            let _ = self.poller.modify(child.channel(), token(slot, CHANNEL), Interest::READ);
            if child.kind == Kind::Agent
                && let Some(order) = self.facts.take_lost_wishes()
            {
                self.order(slot, &order);
            }
        }
    }

    fn order(&mut self, slot: Slot, order: &Order) {
        let Some(child) = self.children.get_mut(&slot) else { return };
        // An error means that the child is ending; its pidfd says so.
        let _ = child.order(order, &[]);
        if child.is_behind() {
            let both = Interest::READ | Interest::WRITE;
            let _ = self.poller.modify(child.channel(), token(slot, CHANNEL), both);
        }
    }

    fn exited(&mut self, slot: Slot) {
        let Some(child) = self.children.get(&slot) else { return };
        let exit = match child.process.reap() {
            Ok(Some(exit)) => exit,
            Ok(None) => return,
            Err(error) => return tell::line(&format!("cannot reap slot {slot}: {error}")),
        };
        self.hear(slot);
        let Some(child) = self.children.remove(&slot) else { return };
        let _ = self.poller.remove(child.process.pidfd());
        let in_order = child.leaving && exit == sys::process::Exit::Code(0);
        if child.kind == Kind::Vip {
            if !child.taken_down {
                self.vip_is_gone(in_order, Some(exit));
            }
            if self.ended_by.is_some() {
                self.notify(notice::Input::Stop);
            }
        }
        self.last_exit = Some((slot, child.process.pid(), exit));
        self.tell_how_it_ended(&child, exit);
        let was_vip = child.kind == Kind::Vip;
        self.step(Input::Exited { slot });
        if was_vip {
            self.reload_without_heir();
        }
        self.processes();
        self.reload_that_waits();
    }

    fn balancer(&mut self, state: BalancerState) {
        if state == BalancerState::Serving {
            for (pid, softly) in std::mem::take(&mut self.launch.replaces) {
                let signal = if softly { SIGUSR1 } else { SIGTERM };
                let told = sys::process::watch(pid)
                    .and_then(|process| sys::process::signal(process.as_fd(), signal));
                if let Err(error) = told {
                    tell::line(&format!("cannot end process {pid}: {error}"));
                }
            }
        }
        self.facts.balancer = state;
        self.order_all(Kind::Vip, &Order::Change(Change::Balancer(state)));
        self.inform_agent(Order::Change(Change::Balancer(state)));
    }

    /// The proxy that serves, or is about to.
    fn active(&self) -> Option<Slot> {
        self.roles.slot_of(Part::Proxy)
    }
}

fn token(slot: Slot, part: u64) -> u64 {
    ((u64::from(slot) + 1) << 2) | part
}

fn slot_of(token: u64) -> Slot {
    Slot::try_from((token >> 2) - 1).unwrap_or(Slot::MAX)
}
