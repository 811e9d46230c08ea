//! One supervised process.

use std::time::Duration;

use base::Time;

use super::{Kind, Loss, READY_WITHIN};

/// A process without an answer for this long does not run: three times the worst scheduling delay
/// that a loaded controller shows, and well below a client's patience.
pub const FROZEN_AFTER: Duration = Duration::from_millis(300);
/// A process that said that it waits for the kernel is given so long: the kernel's own limit for an
/// answer (`sys::netlink`). Who kills it sooner waits for the same lock.
const BUSY_FOR: Duration = Duration::from_secs(6);
/// All of that together, as long as it does not answer: who says it again and again hangs, too.
const MAX_GRACE: Duration = Duration::from_secs(10);
/// How often it is asked: detection takes 0.3 to 0.4 s.
const PING_EVERY: Duration = Duration::from_millis(100);
/// A proxy that was stopped serves nobody, and its spare does within a few milliseconds. One that goes on this soon was looked
/// at, not stopped.
pub const STOPPED_FOR: Duration = Duration::from_millis(50);
/// Agent, dashboard and store hold no client and no address: they may be late as long as a loaded machine
/// swaps, and are replaced before an operator gives `status` up (5 s).
pub const ASIDE_FROZEN_AFTER: Duration = Duration::from_secs(2);
/// How often these are asked: a quarter of that, so that detection takes 2 to 2.5 s.
const ASIDE_PING_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) slot: u32,
    pub(super) kind: Kind,
    pub(super) generation: u64,
    pub(super) started: Time,
    pub(super) phase: Phase,
    /// When it was asked and has not answered yet.
    asked: Option<(u64, Time)>,
    ping_at: Time,
    has_answered: bool,
    busy_until: Time,
    /// When it first said since its last answer that it waits for the kernel.
    busy_since: Option<Time>,
    /// Since when it is stopped.
    stopped: Option<Time>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// A vip process, agent, dashboard or store.
    Running,
    /// A proxy that is being configured.
    Starting {
        until: Time,
        warm: bool,
    },
    Warm,
    Activating {
        until: Time,
    },
    Serving {
        since: Time,
    },
    Draining {
        until: Time,
    },
    /// Asked to end by itself.
    Ending {
        until: Time,
    },
    Killed,
}

/// What a process does, as `status` shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    Vip,
    Agent,
    Services,
    Store,
    /// The proxy that serves, or is about to.
    Proxy,
    /// A proxy that waits.
    Spare,
    /// On its way out.
    Ending,
}

impl Process {
    pub(super) fn new(slot: u32, kind: Kind, generation: u64, warm: bool, now: Time) -> Self {
        let phase = match kind {
            Kind::Vip | Kind::Agent | Kind::Services | Kind::Store => Phase::Running,
            Kind::Proxy => Phase::Starting { until: now + READY_WITHIN, warm },
        };
        let (asked, ping_at, has_answered, busy_until) = (None, now, false, now);
        Self {
            slot,
            kind,
            generation,
            started: now,
            phase,
            asked,
            ping_at,
            has_answered,
            busy_until,
            busy_since: None,
            stopped: None,
        }
    }

    pub(super) const fn part(&self) -> Part {
        match (self.kind, self.phase) {
            (_, Phase::Draining { .. } | Phase::Ending { .. } | Phase::Killed) => Part::Ending,
            (Kind::Vip, _) => Part::Vip,
            (Kind::Agent, _) => Part::Agent,
            (Kind::Services, _) => Part::Services,
            (Kind::Store, _) => Part::Store,
            (Kind::Proxy, _) if self.is_primary() => Part::Proxy,
            (Kind::Proxy, _) => Part::Spare,
        }
    }

    /// Serves, or is meant to as soon as it can.
    pub(super) const fn is_primary(&self) -> bool {
        matches!(
            self.phase,
            Phase::Serving { .. } | Phase::Activating { .. } | Phase::Starting { warm: false, .. }
        )
    }

    pub(super) const fn is_dying(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Ending { .. } | Phase::Killed)
    }

    /// Who is meant to live, and is not busy with its configuration, must answer.
    const fn is_asked(&self) -> bool {
        match self.phase {
            Phase::Serving { .. } | Phase::Warm | Phase::Running => true,
            Phase::Starting { .. }
            | Phase::Activating { .. }
            | Phase::Draining { .. }
            | Phase::Ending { .. }
            | Phase::Killed => false,
        }
    }

    /// How often it is asked, and how long it may take to answer.
    const fn patience(&self) -> (Duration, Duration) {
        match self.kind {
            Kind::Vip | Kind::Proxy => (PING_EVERY, FROZEN_AFTER),
            Kind::Agent | Kind::Services | Kind::Store => (ASIDE_PING_EVERY, ASIDE_FROZEN_AFTER),
        }
    }

    /// Nobody asks any more, or from the beginning.
    pub(super) const fn enter(&mut self, phase: Phase, now: Time) {
        (self.phase, self.asked, self.ping_at) = (phase, None, now);
    }

    pub(super) fn is_ping_due(&self, now: Time) -> bool {
        self.is_asked() && self.asked.is_none() && now >= self.ping_at
    }

    pub(super) fn ping(&mut self, number: u64, now: Time) {
        self.asked = Some((number, now));
        self.ping_at = now + self.patience().0;
    }

    pub(super) fn pong(&mut self, number: u64) {
        if self.asked.take_if(|(asked, _)| *asked == number).is_some() {
            self.has_answered = true;
            (self.busy_until, self.busy_since) = (Time::ZERO, None);
        }
    }

    /// It is about to wait for the kernel.
    pub(super) fn busy(&mut self, now: Time) {
        let since = *self.busy_since.get_or_insert(now);
        self.busy_until = (now + BUSY_FOR).min(since + MAX_GRACE);
    }

    /// The asker itself was late: the answer may lie unread, and so may the word that it goes on.
    pub(super) fn forgive(&mut self, now: Time) {
        if let Some((_, at)) = &mut self.asked {
            *at = now;
        }
        if let Some(at) = &mut self.stopped {
            *at = now;
        }
    }

    pub(super) const fn stop(&mut self, since: Option<Time>) {
        self.stopped = since;
    }

    /// Why it is to be replaced.
    pub(super) fn stands_still(&self, now: Time) -> Option<Loss> {
        let due = |at: Option<Time>| at.is_some_and(|at| now >= at);
        if due(self.stopped_at()) {
            return Some(Loss::Stopped);
        }
        due(self.frozen_at()).then_some(Loss::Frozen)
    }

    /// Vip process, agent, dashboard and store are left to their pings: nobody serves in their place at once.
    fn stopped_at(&self) -> Option<Time> {
        let judged = self.kind == Kind::Proxy && self.is_asked();
        self.stopped.filter(|_| judged).map(|at| at + STOPPED_FOR)
    }

    /// A proxy that serves must answer from the first ping on; others only if they once did, so that a
    /// slow start is not taken for a freeze. One that was stopped waits for no kernel, whatever it said before.
    fn frozen_at(&self) -> Option<Time> {
        let judged = self.has_answered || matches!(self.phase, Phase::Serving { .. });
        let busy_until = if self.stopped.is_some() { Time::ZERO } else { self.busy_until };
        self.asked
            .filter(|_| judged && self.is_asked())
            .map(|(_, at)| (at + self.patience().1).max(busy_until))
    }

    /// When something is due that concerns this process alone.
    pub(super) fn deadline(&self) -> Time {
        let phase = match self.phase {
            Phase::Starting { until, .. }
            | Phase::Activating { until }
            | Phase::Draining { until }
            | Phase::Ending { until } => until,
            Phase::Running | Phase::Warm | Phase::Serving { .. } | Phase::Killed => Time::NEVER,
        };
        let ping = if self.is_asked() && self.asked.is_none() { self.ping_at } else { Time::NEVER };
        let stands = self.frozen_at().into_iter().chain(self.stopped_at()).min();
        phase.min(ping).min(stands.unwrap_or(Time::NEVER))
    }
}
