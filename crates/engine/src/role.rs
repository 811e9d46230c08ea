//! The life of the processes of a node: who is started, activated, asked, drained, killed.
//!
//! ```text
//!                ready            activate          serving
//!   Starting ------------> Warm -----------> Activating -----> Serving
//!                                                                 |  a newer generation serves
//!      any: exit, or no pong in 300 ms ---> replaced              v
//!                                                              Draining ---> gone
//! ```
//!
//! A proxy that somebody stopped is replaced 50 ms later: the kernel says that to the supervisor, and nobody has to wait for
//! an answer.
//!
//! Agent, dashboard and store, which hold no client and no address, may be silent for 2 s.
//!
//! A dead or frozen proxy is replaced by the warm spare, which holds the same listening sockets. Only
//! if nothing serves within 100 ms, or a second one is lost within 10 s, is the balancer told failed,
//! so that the addresses go elsewhere.

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use crate::Buffer;
use process::{Phase, Process};
use restart::Restart;

pub use process::{ASIDE_FROZEN_AFTER, FROZEN_AFTER, Part, STOPPED_FOR};
pub use restart::{FIRST as FIRST_PAUSE, LAST as LAST_PAUSE};

mod expiry;
mod process;
mod proxy;
mod restart;
mod stop;
#[cfg(test)]
mod tests;

/// A replacement that serves within this limit costs clients less than moving the address would.
pub const SERVE_WITHIN: Duration = Duration::from_millis(100);
/// The same at the start of the node, where nobody is served yet; shorter than the 3 s after which a
/// silent VRRP group elects, so that a node without a balancer does not stand for election.
const FIRST_SERVE_WITHIN: Duration = Duration::from_secs(2);
/// Two losses within this time are a fault of this node, not an accident.
pub const TWICE_WITHIN: Duration = Duration::from_secs(10);
/// A proxy that has served this long after a failure is trusted again.
pub const TRUSTED_AFTER: Duration = Duration::from_secs(2);
/// A process that cannot read its configuration in this time never will.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// An activated spare that does not serve by now is frozen: try a fresh one.
const ACTIVATE_WITHIN: Duration = Duration::from_secs(1);
/// A process that was asked to end and has not is killed.
const END_WITHIN: Duration = Duration::from_secs(2);
/// With the spare broken on purpose a dead proxy stays dead for this long.
const BROKEN_SPARE_PAUSE: Duration = Duration::from_secs(3);
/// Generations that may drain at once; the oldest of more is killed, so that reloads in a loop do not
/// fill the machine.
const MAX_DRAINING: usize = 4;
/// Proxies that drain, serve, wait, start and die, the vip process, agent, dashboard, store: far
/// more at once is a mistake in this machine.
const MAX_PROCESSES: usize = 24;

/// What this node runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// There is a file of proxies.
    pub proxy: bool,
    pub vip: bool,
    pub agent: bool,
    /// There is a dashboard to serve.
    pub services: bool,
    /// It is a member of the store.
    pub store: bool,
    /// Keep a warm spare; only tests of the demo's judgement do not.
    pub spare: bool,
    /// Sessions of an old generation get this long to end by themselves.
    pub drain_limit: Duration,
    /// The generation of the first configuration.
    pub generation: u64,
}

impl Config {
    /// One minute: longer than nearly every API call, shorter than an operator's patience.
    pub const DRAIN_LIMIT: Duration = Duration::from_secs(60);
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Vip,
    Agent,
    Proxy,
    Services,
    Store,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Proxy, Self::Vip, Self::Agent, Self::Services, Self::Store];
}

/// What a new configuration means for the dashboard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dashboard {
    /// It stays as it is.
    Same,
    /// It is another one, or the first.
    New,
    /// There is none any more.
    None,
}

/// What the supervisor saw. Give everything that has arrived before [`Input::Timeout`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// Configured.
    Ready {
        slot: u32,
    },
    /// Accepting connections.
    Serving {
        slot: u32,
    },
    Pong {
        slot: u32,
        number: u64,
    },
    /// It is about to wait for the kernel, and cannot answer meanwhile.
    Busy {
        slot: u32,
    },
    /// Somebody stopped it (SIGSTOP).
    Stopped {
        slot: u32,
    },
    /// And let it go on.
    Continued {
        slot: u32,
    },
    /// Its end of the channel is closed: of all that a dying process closes this is the first, and a proxy with hundreds of
    /// connections takes 10 ms for the rest.
    Parted {
        slot: u32,
    },
    /// The process is gone, or could not be started.
    Exited {
        slot: u32,
    },
    /// A good configuration is to take over. `vip`, `agent`, `store`: these processes
    /// need it, too.
    Reload {
        generation: u64,
        vip: bool,
        agent: bool,
        dashboard: Dashboard,
        store: bool,
    },
    /// End everything: addresses first, then sessions (for at most `drain`), then the agent, the
    /// dashboard and the store.
    Stop {
        drain: Duration,
    },
    Timeout,
}

/// What the supervisor is to do, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Start a process. A proxy is always started as a spare; `warm` is false if it will be activated
    /// as soon as it is ready.
    Spawn {
        slot: u32,
        role: Kind,
        generation: u64,
        warm: bool,
    },
    Activate {
        slot: u32,
    },
    Drain {
        slot: u32,
    },
    /// The vip process: end without releasing (`Order::Retire`), its successor adopts; the others:
    /// end in order.
    Retire {
        slot: u32,
    },
    /// End in order (`Order::Stop`).
    Stop {
        slot: u32,
    },
    Kill {
        slot: u32,
    },
    Ping {
        slot: u32,
        number: u64,
    },
    /// What the vip process, the proxy and the agent must know about the balancer.
    Tell(Balancer),
    /// For the event log: a process was lost after `life`.
    Lost {
        slot: u32,
        role: Kind,
        loss: Loss,
        life: Duration,
    },
    /// This generation is in force.
    Reloaded {
        generation: u64,
    },
    /// The old generation stays in force.
    ReloadFailed {
        generation: u64,
        loss: Loss,
    },
    /// After [`Input::Stop`]: no process is left.
    Done,
}

/// What this node's balancer can do for a client; `BalancerState` of `api`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Balancer {
    Serving,
    Replacing,
    Failed,
}

/// How a process was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    Exited,
    /// A proxy that closed its channel: it is about to be gone.
    Parted,
    /// No answer to a ping.
    Frozen,
    /// Somebody stopped it.
    Stopped,
    /// Not configured in time.
    NotReady,
    /// Activated, and not serving in time.
    NotServing,
    /// A newer configuration came before this one was in force.
    Superseded,
}

/// All processes of a node.
#[derive(Debug)]
pub struct Roles {
    config: Config,
    /// The configuration in force.
    generation: u64,
    next_slot: u32,
    next_ping: u64,
    processes: ArrayVec<Process, MAX_PROCESSES>,
    restarts: [Restart; 5],
    reload: Option<Reload>,
    /// Nothing serves; if that is still so then, the balancer has failed.
    serve_by: Option<Time>,
    last_loss: Option<Time>,
    failed: bool,
    told: Option<Balancer>,
    stop: Option<stop::Stop>,
}

/// A configuration on its way into force.
#[derive(Clone, Copy, Debug)]
struct Reload {
    generation: u64,
    /// The proxy that is to serve it; none before it is started.
    slot: u32,
    vip: bool,
    agent: bool,
    dashboard: Dashboard,
    store: bool,
}

impl Roles {
    /// Wants its first [`Input::Timeout`] at once.
    #[must_use]
    pub fn new(config: Config, now: Time) -> Self {
        Self {
            generation: config.generation,
            serve_by: config.proxy.then(|| now + FIRST_SERVE_WITHIN),
            config,
            next_slot: 1,
            next_ping: 1,
            processes: ArrayVec::new(),
            restarts: [Restart::new(now); 5],
            reload: None,
            last_loss: None,
            failed: false,
            told: None,
            stop: None,
        }
    }

    /// The only way in. What is said about slots that are gone is ignored.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Buffer<Action>) {
        self.forgive_own_stall(now);
        match input {
            Input::Ready { slot } => self.ready(now, slot, out),
            Input::Serving { slot } => self.serving(now, slot, out),
            Input::Pong { slot, number } => self.pong(slot, number),
            Input::Busy { slot } => {
                if let Some(process) = self.process_mut(slot) {
                    process.busy(now);
                }
            }
            Input::Stopped { slot } => self.stopped(slot, Some(now)),
            Input::Continued { slot } => self.stopped(slot, None),
            Input::Parted { slot } => self.parted(now, slot, out),
            Input::Exited { slot } => self.exited(now, slot, out),
            Input::Reload { generation, vip, agent, dashboard, store } => {
                let reload = Reload { generation, slot: 0, vip, agent, dashboard, store };
                self.start_reload(now, reload, out);
            }
            Input::Stop { drain } => self.start_stop(now, drain, out),
            Input::Timeout => {}
        }
        self.expire(now, out);
        if self.stop.is_some() {
            self.wind_down(now, out);
        } else {
            self.staff(now, out);
        }
        self.ping(now, out);
        self.tell(now, out);
    }

    /// Starts of this kind since the supervisor started.
    #[must_use]
    pub fn starts(&self, role: Kind) -> u32 {
        self.restart(role).starts()
    }

    /// The configuration in force.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// What a process does now; none if it is gone.
    #[must_use]
    pub fn part(&self, slot: u32) -> Option<Part> {
        self.process(slot).map(Process::part)
    }

    /// The living process that does this, if there is one.
    #[must_use]
    pub fn slot_of(&self, part: Part) -> Option<u32> {
        self.processes.iter().find(|process| process.part() == part).map(|process| process.slot)
    }

    fn restart(&self, kind: Kind) -> &Restart {
        &self.restarts[kind as usize]
    }

    fn restart_mut(&mut self, kind: Kind) -> &mut Restart {
        &mut self.restarts[kind as usize]
    }

    fn process(&self, slot: u32) -> Option<&Process> {
        self.processes.iter().find(|process| process.slot == slot)
    }

    fn process_mut(&mut self, slot: u32) -> Option<&mut Process> {
        self.processes.iter_mut().find(|process| process.slot == slot)
    }

    fn exited(&mut self, now: Time, slot: u32, out: &mut Buffer<Action>) {
        let Some(at) = self.processes.iter().position(|process| process.slot == slot) else {
            return;
        };
        let process = self.processes.remove(at);
        match process.phase {
            // Whatever there was to conclude was concluded with the order.
            Phase::Killed | Phase::Draining { .. } | Phase::Ending { .. } => {}
            Phase::Running
            | Phase::Starting { .. }
            | Phase::Warm
            | Phase::Activating { .. }
            | Phase::Serving { .. } => self.lost(now, process, Loss::Exited, out),
        }
    }

    /// A process that should live does not.
    fn lost(&mut self, now: Time, process: Process, loss: Loss, out: &mut Buffer<Action>) {
        let Process { slot, kind, started, .. } = process;
        let life = now.since(started);
        out.push(Action::Lost { slot, role: kind, loss, life });
        if self.stop.is_some() {
            return;
        }
        if let Some(reload) = self.reload.take_if(|reload| reload.slot == slot) {
            out.push(Action::ReloadFailed { generation: reload.generation, loss });
            return;
        }
        self.restart_mut(kind).after_life(now, life);
        if process.is_primary() {
            self.primary_lost(now);
        }
    }

    /// Starts what is missing.
    fn staff(&mut self, now: Time, out: &mut Buffer<Action>) {
        self.promote(now, out);
        for kind in Kind::ALL {
            if let Some(warm) = self.vacancy(kind)
                && self.restart(kind).is_due(now)
            {
                let generation = self.generation;
                self.spawn(now, kind, generation, warm, out);
            }
        }
    }

    /// Whether a process of this kind is missing, and if it would be a spare.
    fn vacancy(&self, kind: Kind) -> Option<bool> {
        if self.stop.is_some() || self.processes.is_full() {
            return None;
        }
        // Two at once would fight for addresses or ports: the dying one must be gone first.
        let runs = |wanted: bool| {
            let present = self.processes.iter().any(|process| process.kind == kind);
            (wanted && !present).then_some(false)
        };
        match kind {
            Kind::Vip => runs(self.config.vip),
            Kind::Agent => runs(self.config.agent),
            Kind::Services => runs(self.config.services),
            Kind::Store => runs(self.config.store),
            Kind::Proxy => self.proxy_vacancy(),
        }
    }

    fn spawn(
        &mut self,
        now: Time,
        kind: Kind,
        generation: u64,
        warm: bool,
        out: &mut Buffer<Action>,
    ) -> Option<u32> {
        let slot = self.next_slot;
        let process = Process::new(slot, kind, generation, warm, now);
        self.processes.try_push(process).ok()?;
        self.next_slot += 1;
        self.restart_mut(kind).count();
        out.push(Action::Spawn { slot, role: kind, generation, warm });
        Some(slot)
    }
}
