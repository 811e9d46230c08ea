//! One node: its power, its kernel's addresses, its vip process and its agent.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base::Time;
use config::vip::Protocol;
use engine::member::Member;
use engine::packet::Replay;
use engine::vip::{self, Balancer, Peer, Vip};

use crate::network::{Frame, NETWORKS};

pub(crate) const ADDRESS: [[u8; 4]; 1] = [[10, 79, 0, 40]];
/// The same group over IPv6.
pub(crate) const ADDRESS_V6: [[u8; 16]; 1] =
    [[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40]];
pub(crate) const ROUTER_ID: u8 = 121;
const INTERVAL: Duration = Duration::from_secs(1);
/// The supervisor takes a vip process that gave no answer for so long for dead.
pub(crate) const FROZEN: Duration = Duration::from_millis(400);
/// Until a new vip process runs.
pub(crate) const SPAWN: Duration = Duration::from_millis(10);
/// A kernel drops what a socket's buffer does not hold.
pub(crate) const INBOX: usize = 64;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Power {
    Off,
    On,
    /// The whole machine stands still, its supervisor too, and goes on later.
    Paused,
}

/// What a node wants to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    Vip,
    Agent,
    /// The supervisor starts a vip process.
    Spawn,
    /// The supervisor kills the frozen vip process.
    Kill,
}

/// The last words of a vip process to its supervisor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reported {
    successor: Option<(u16, u64)>,
    term: u64,
}

impl Reported {
    pub(crate) fn of(vip: &Vip) -> Self {
        Self { successor: vip.successor().zip(vip.successor_life()), term: vip.term() }
    }

    /// What the supervisor of `from` says in its place.
    pub(crate) fn last_word(self, group: vip::Group, from: u16) -> Option<vip::HandOver> {
        let (to, to_life) = self.successor?;
        Some(vip::HandOver { group, from, to, term: self.term + 1, to_life })
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub name: String,
    pub number: u16,
    pub priority: u8,
    pub preempt: bool,
    /// A weaker holder is left in peace for so long first.
    pub preempt_delay: Duration,
    pub speech: Speech,
    /// A router that is not of our cluster: VRRP only.
    pub foreign: bool,
    pub power: Power,
    /// None while there is no process, and while it was told to stop.
    pub vip: Option<Vip>,
    pub agent: Option<Member>,
    pub spawn_at: Time,
    pub frozen_at: Option<Time>,
    pub carrier: [bool; NETWORKS as usize],
    pub balancer: Balancer,
    /// The kernel has the address: only the driver's orders change it, not the process's end.
    pub held: bool,
    /// Packets for a process that does not run.
    pub inbox: VecDeque<(u8, Frame)>,
    pub replay: Replay,
    pub incarnation: u64,
    pub seq: u64,
    pub reported: Reported,
    /// When an advert came that this node must respect.
    pub heard_at: Option<Time>,
}

/// What its adverts are, and how often they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech {
    pub protocol: Protocol,
    pub interval: Duration,
    /// Adverts go over IPv6, from addresses that no file has.
    pub is_v6: bool,
}

impl Speech {
    /// Version 2.
    pub(crate) const SECOND: Self =
        Self { protocol: Protocol::V2, interval: INTERVAL, is_v6: false };
}

impl Node {
    pub(crate) fn new(name: &str, number: u16, priority: u8, foreign: bool, preempt: bool) -> Self {
        Self {
            name: name.to_owned(),
            number,
            priority,
            preempt,
            preempt_delay: Duration::ZERO,
            speech: Speech::SECOND,
            foreign,
            power: Power::Off,
            vip: None,
            agent: None,
            spawn_at: Time::NEVER,
            frozen_at: None,
            carrier: [true; NETWORKS as usize],
            balancer: Balancer::Serving,
            held: false,
            inbox: VecDeque::new(),
            replay: Replay::new(),
            incarnation: 0,
            seq: 0,
            reported: Reported::default(),
            heard_at: None,
        }
    }

    pub(crate) fn source(&self) -> IpAddr {
        let [_, low] = self.number.to_be_bytes();
        if self.speech.is_v6 {
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x41 + u16::from(low)).into()
        } else {
            source(self.number).into()
        }
    }

    /// Whether its processes get the processor.
    pub(crate) fn runs(&self) -> bool {
        self.power == Power::On
    }

    /// Whether its vip process can act.
    pub(crate) fn acts(&self) -> bool {
        self.runs() && self.vip.is_some() && self.frozen_at.is_none()
    }

    /// A balancer that is being replaced takes the address from nobody, and gives it to nobody.
    pub(crate) fn eligible(&self) -> bool {
        self.acts() && self.carrier[0] && (self.foreign || self.balancer == Balancer::Serving)
    }

    /// Whether a client that asks for the address gets this node's answer.
    pub(crate) fn answers(&self) -> bool {
        self.held && self.runs() && self.carrier[0]
    }

    pub(crate) fn next(&self) -> (Time, Due) {
        if !self.runs() {
            return (Time::NEVER, Due::Vip);
        }
        let vip = match (&self.vip, self.frozen_at) {
            (Some(_), Some(since)) => (since + FROZEN, Due::Kill),
            (Some(vip), None) => (vip.deadline(), Due::Vip),
            (None, _) => (self.spawn_at, Due::Spawn),
        };
        let agent = self.agent.as_ref().map_or(Time::NEVER, Member::deadline);
        if agent < vip.0 { (agent, Due::Agent) } else { vip }
    }

    pub(crate) fn keep(&mut self, network: u8, frame: Frame) {
        if self.inbox.len() < INBOX {
            self.inbox.push_back((network, frame));
        }
    }

    /// A new vip process, as a backup.
    pub(crate) fn spawn(&mut self, peers: Vec<Peer>, now: Time) {
        self.incarnation += 1;
        self.seq = 0;
        self.spawn_at = Time::NEVER;
        self.frozen_at = None;
        self.inbox.clear();
        self.replay = Replay::new();
        self.reported = Reported::default();
        let config = vip::Config {
            vip: self.config(),
            node: self.number,
            life: self.incarnation,
            source: self.source(),
            network: (!self.foreign).then_some(0),
            peers,
            starts_at: Time::ZERO,
            adopted: false,
        };
        self.vip = Some(Vip::new(config, now));
    }

    fn config(&self) -> config::vip::Vip {
        let ip = if self.speech.is_v6 { ADDRESS_V6[0].into() } else { ADDRESS[0].into() };
        let address = config::vip::Address::plain(ip);
        config::vip::Vip {
            priority: self.priority,
            advert_interval: self.speech.interval,
            protocol: self.speech.protocol,
            preempt: self.preempt,
            preempt_delay: self.preempt_delay,
            track_balancer: !self.foreign,
            ..config::vip::Vip::plain("internal", "eth0", ROUTER_ID, vec![address])
        }
    }
}

/// Of a node in the file, and the source of its adverts unless they go over IPv6.
pub(crate) const fn source(number: u16) -> Ipv4Addr {
    let [_, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 79, 0, 41 + low)
}
