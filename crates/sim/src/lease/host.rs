//! One host: its clock, its kernel's gates, and the process that is in the middle of something.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::quiet::CLIENTS;
use base::Time;
use engine::vip::lease::bequest::Bequest;
use engine::vip::lease::proposer::List;
use engine::vip::lease::{Action, Fact, Input, VipLease, Voters};

/// Slewed by a time daemon, and of an origin of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    truth: u64,
    shows: u64,
    /// In millionths.
    rate: u64,
}

const MILLION: u128 = 1_000_000;

impl Clock {
    pub(super) const fn new(now: u64, shows: u64, rate: u64) -> Self {
        Self { truth: now, shows, rate }
    }

    pub(super) fn local(&self, now: u64) -> Time {
        let passed = u128::from(now - self.truth) * u128::from(self.rate) / MILLION;
        Time::from_nanos(self.shows + u64::try_from(passed).unwrap_or(u64::MAX / 2))
    }

    /// The first true moment at which it shows this, or later.
    pub(super) fn truly(&self, local: Time) -> u64 {
        let ahead = u128::from(local.as_nanos().saturating_sub(self.shows)) * MILLION;
        let passed = ahead.div_ceil(u128::from(self.rate));
        self.truth.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    pub(super) fn slew(&mut self, now: u64, rate: u64) {
        *self = Self::new(now, self.local(now).as_nanos(), rate);
    }
}

/// A beat on its way or in a socket.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub network: u8,
    pub from: u16,
    pub life: u64,
    pub body: Rc<[u8]>,
}

/// What a step is told.
#[derive(Debug)]
pub(super) enum Told {
    Time,
    Beat(Letter),
    Fact { vip: usize, fact: Fact },
    Standby(bool),
    Reference(Option<bool>),
    Late(Duration),
    MoveTo { vip: usize, node: u16 },
    Voters(Voters),
    Proven { node: u16, dead: bool },
    Coordinates(bool),
    Anywhere { vip: usize },
    InUse { vip: usize },
    Stop,
}

impl Told {
    pub(super) fn input(&self) -> Input<'_> {
        match self {
            Self::Time => Input::Timeout,
            Self::Beat(Letter { network, from, life, body }) => {
                Input::Beat { network: *network, from: *from, life: *life, body }
            }
            Self::Fact { vip, fact } => Input::Fact { vip: *vip, fact: *fact },
            Self::Standby(on) => Input::Standby(*on),
            Self::Reference(answers) => Input::Reference { network: CLIENTS, answers: *answers },
            Self::Late(usual) => Input::Late(Some(*usual)),
            Self::MoveTo { vip, node } => Input::MoveTo { vip: *vip, node: *node },
            Self::Voters(voters) => Input::Voters(voters),
            Self::Proven { node, dead } => Input::Proven { node: *node, dead: *dead },
            Self::Coordinates(on) => Input::Coordinates(*on),
            Self::Anywhere { vip } => Input::Anywhere { vip: *vip },
            Self::InUse { vip } => Input::InUse { vip: *vip, mac: [2, 0, 0, 0, 0, 9] },
            Self::Stop => Input::Stop,
        }
    }
}

/// What the process does next.
#[derive(Debug)]
pub(super) enum Deed {
    Write { vip: usize, until: Time },
    Order(Action),
    Send { to: usize, body: Rc<[u8]> },
}

/// In the middle of what a process can be stopped.
#[derive(Debug)]
pub(super) enum Stage {
    /// Waits for a packet or its deadline.
    Waits,
    /// Has a packet in its hand, or knows that its time has come, and has not looked at the clock.
    Woken(Told),
    /// Has looked at the clock.
    Read(Told, Time),
    Acts(VecDeque<Deed>),
    /// It left this to another one, which has not read it.
    Left(Box<Bequest>),
}

#[derive(Debug)]
pub(super) struct Process {
    pub machine: VipLease,
    pub life: u64,
    pub stage: Stage,
    pub inbox: VecDeque<Letter>,
    /// Read before packets.
    pub told: VecDeque<Told>,
    /// Stands still until then.
    pub paused: u64,
    /// Steps at one moment of the clock.
    pub busy: (Time, u32),
    pub stopping: bool,
}

#[derive(Debug)]
pub(super) struct Host {
    pub clock: Clock,
    pub powered: bool,
    /// Proven dead, as all others are told.
    pub proven: bool,
    pub process: Option<Process>,
    pub lives: u64,
    /// By address, on the host's clock.
    pub gates: Vec<Time>,
    /// By address: it was opened without a majority.
    pub alone: Vec<bool>,
    pub fit: bool,
    pub standby: bool,
    /// A gateway answers it.
    pub gateway: bool,
    pub coordinates: bool,
    /// Which machine it is: counts those that had this place.
    pub machine: u64,
    /// The newest list of voters that any process of this machine was told.
    pub list: Option<List>,
    /// Nobody read what the store has since it booted.
    pub unread: bool,
    /// From when on the others hear its agent.
    pub heard_from: u64,
    /// It hears of no later one before that moment.
    pub deaf_until: u64,
    /// Events of an earlier plan of the process mean nothing.
    pub ticket: u64,
}

impl Host {
    pub(super) const fn is_heard(&self, now: u64) -> bool {
        self.powered && self.process.is_some() && now >= self.heard_from
    }

    pub(super) fn answers(&self, vip: usize, now: u64) -> bool {
        self.powered && self.gates[vip] > self.clock.local(now)
    }
}

/// Whether an address has left whom it was with last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Left {
    No,
    /// Its process closed, or another one began there, which claims nothing.
    Said,
    Proven,
}

/// So many packets wait in a socket; what is more is lost.
pub(super) const INBOX: usize = 64;
/// Of one deed of a process that runs.
pub(super) const DEED: Duration = Duration::from_micros(10);
