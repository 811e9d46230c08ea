//! One host: its power, its clock, its disk, its links, its processes, and what its kernel holds.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::Time;
use engine::member::Standing;
use engine::packet::Replay;
use engine::reference::Reference;
use engine::vip::{self, Balancer, Peer, Vip};

use super::clock::Clock;
use super::disk::Disk;
use super::mind::Mind;
use super::net::{Frame, MAX_NETWORKS};
use super::queue::Machine;
use super::version::Version;
use crate::node::Reported;

pub(crate) const ADDRESS: [[u8; 4]; 1] = [[10, 79, 0, 240]];
pub(crate) const ROUTER_ID: u8 = 121;
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// The supervisor takes a vip process that gave no answer for so long for dead.
pub(crate) const FROZEN: Duration = Duration::from_millis(400);
/// Until a new process runs.
pub(crate) const SPAWN: Duration = Duration::from_millis(10);
/// A kernel drops what a socket's buffer does not hold.
const INBOX: usize = 256;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Power {
    Off,
    On,
    /// The whole machine stands still, its supervisor too, and goes on later.
    Paused,
}

/// One process and its machine.
#[derive(Debug)]
pub(crate) struct Process<M> {
    pub(crate) machine: Option<M>,
    /// SIGSTOP, since.
    pub(crate) frozen_at: Option<Time>,
    /// When the supervisor starts one.
    pub(crate) spawn_at: Time,
    /// When its turn is planned, of all that are queued; what comes at another moment is outdated.
    pub(crate) turn_at: Time,
    /// Packets for a process that does not run.
    pub(crate) inbox: VecDeque<(u16, u8, Frame)>,
    /// Steps at one moment: too many of them are a machine that spins.
    pub(crate) stepped: (Time, u32),
}

impl<M> Default for Process<M> {
    fn default() -> Self {
        Self {
            machine: None,
            frozen_at: None,
            spawn_at: Time::NEVER,
            turn_at: Time::NEVER,
            inbox: VecDeque::new(),
            stepped: (Time::ZERO, 0),
        }
    }
}

impl<M> Process<M> {
    /// False where the socket's buffer is full.
    pub(crate) fn keep(&mut self, from: u16, network: u8, frame: Frame) -> bool {
        let has_room = self.inbox.len() < INBOX;
        if has_room {
            self.inbox.push_back((from, network, frame));
        }
        has_room
    }
}

/// What a kernel does with addresses that are taken off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kernel {
    keeps: bool,
    /// It has the address though it was told to take it off.
    pub(crate) stuck: bool,
}

impl Kernel {
    /// From now on, or no more: then what stayed is removed by hand.
    pub(crate) fn keeps(&mut self, keeps: bool) {
        self.keeps = keeps;
        self.stuck &= keeps;
    }

    /// Takes the address off; false: it keeps it.
    pub(crate) fn removes(&mut self) -> bool {
        self.stuck = self.keeps;
        !self.stuck
    }

    /// Nothing stays without power.
    pub(crate) fn is_off(&mut self) {
        self.stuck = false;
    }
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) number: u16,
    pub(crate) power: Power,
    pub(crate) clock: Clock,
    /// Each packet and each turn is late by this.
    pub(crate) slow: Duration,
    /// Since the last repair: what was planned then may still be late.
    pub(crate) slowest: Duration,
    pub(crate) carrier: [bool; MAX_NETWORKS],
    pub(crate) agent: Process<Mind>,
    pub(crate) vip: Process<Vip>,
    /// Stopped in order: nobody starts it again but an operator.
    pub(crate) is_stopped: bool,
    /// Its processes were killed and its kernel says so to who sends.
    pub(crate) refuses: bool,
    /// It ever did.
    pub(crate) has_refused: bool,
    /// Controllers that are connected to its agent, and on which network.
    pub(crate) tethers: Vec<(u16, u8)>,
    pub(crate) balancer: Balancer,
    /// An operator put it on standby; the file of that outlives everything but the disk.
    pub(crate) rests: bool,
    pub(crate) priority: u8,
    pub(crate) preempt: bool,
    pub(crate) version: Version,
    /// The kernel has the address: only the driver's orders change it, not the process's end.
    pub(crate) held: bool,
    pub(crate) kernel: Kernel,
    /// Its last advert of the address.
    pub(crate) spoke_at: Option<Time>,
    pub(crate) replay: Replay,
    /// Its wall clock differs from true time by so many milliseconds.
    pub(crate) wall: i64,
    pub(crate) disk: Disk,
    /// The largest incarnation that it ever took, as its supervisor knows it.
    pub(crate) numbered: u64,
    /// The incarnation of its agent, and of its vip process.
    pub(crate) lives: [u64; 2],
    /// The largest there ever was: peers refuse smaller ones.
    pub(crate) largest: [u64; 2],
    pub(crate) paused_at: Time,
    /// When its power or its turn ended last.
    pub(crate) ran_until: Time,
    pub(crate) serial: u64,
    /// By receiver: how often its agent sealed something for it.
    pub(crate) sealed: Vec<u64>,
    pub(crate) reported: Reported,
    /// Where the cluster has reference points: who asks them.
    pub(crate) reference: Option<Reference>,
    /// When one of them last answered this agent.
    pub(crate) referred_at: Option<Time>,
    /// Hosts that are proven dead, as its agent told its supervisor: one bit each.
    pub(crate) dead: u64,
    /// The last verdicts of its agent, which the supervisor keeps for the next one.
    pub(crate) known: Vec<Standing>,
}

impl Host {
    pub(crate) fn new(number: u16, hosts: u16) -> Self {
        Self {
            number,
            power: Power::Off,
            clock: Clock::new(Time::ZERO),
            slow: Duration::ZERO,
            slowest: Duration::ZERO,
            carrier: [true; MAX_NETWORKS],
            agent: Process::default(),
            vip: Process::default(),
            is_stopped: false,
            refuses: false,
            has_refused: false,
            tethers: vec![],
            balancer: Balancer::Serving,
            rests: false,
            priority: 100,
            preempt: false,
            version: Version::default(),
            held: false,
            kernel: Kernel::default(),
            spoke_at: None,
            replay: Replay::new(),
            wall: 0,
            disk: Disk::default(),
            numbered: 0,
            lives: [0; 2],
            largest: [0; 2],
            paused_at: Time::ZERO,
            ran_until: Time::ZERO,
            serial: 0,
            sealed: vec![0; usize::from(hosts)],
            reported: Reported::default(),
            reference: None,
            referred_at: None,
            dead: 0,
            known: vec![Standing::Unknown; usize::from(hosts)],
        }
    }

    /// Whether its processes get the processor, or did until `span` ago.
    pub(crate) fn ran_within(&self, span: Duration, now: Time) -> bool {
        self.runs() || now.since(self.ran_until) <= span
    }

    /// Whether its processes get the processor.
    pub(crate) fn runs(&self) -> bool {
        self.power == Power::On
    }

    pub(crate) fn agent_acts(&self) -> bool {
        self.runs() && self.agent.machine.is_some() && self.agent.frozen_at.is_none()
    }

    pub(crate) fn vip_acts(&self) -> bool {
        self.runs() && self.vip.machine.is_some() && self.vip.frozen_at.is_none()
    }

    /// Whether its agent has told that this host is proven dead.
    pub(crate) const fn knows_dead(&self, host: u16) -> bool {
        self.dead >> host & 1 == 1
    }

    /// A balancer that is being replaced takes the address from nobody, and gives it to nobody.
    pub(crate) fn eligible(&self) -> bool {
        let may =
            !self.rests && !self.knows_dead(self.number) && self.balancer == Balancer::Serving;
        may && self.vip_acts() && self.carrier[0]
    }

    /// Whether a client that asks for the address gets this host's answer.
    pub(crate) fn answers(&self) -> bool {
        self.held && self.runs() && self.carrier[0]
    }

    /// When a machine or its supervisor wants to do something, by true time.
    pub(crate) fn wants(&self, machine: Machine) -> Time {
        if !self.runs() {
            return Time::NEVER;
        }
        let local = match machine {
            Machine::Agent => match (&self.agent.machine, self.agent.frozen_at) {
                (Some(_), Some(_)) => return Time::NEVER,
                (Some(agent), None) => {
                    let asks = self.reference.as_ref().map_or(Time::NEVER, Reference::deadline);
                    agent.deadline().min(asks)
                }
                (None, _) => return self.agent.spawn_at,
            },
            Machine::Vip => match (&self.vip.machine, self.vip.frozen_at) {
                (Some(_), Some(since)) => return since + FROZEN,
                (Some(vip), None) => vip.deadline(),
                (None, _) => return self.vip.spawn_at,
            },
        };
        let at = self.clock.truly(local);
        if at == Time::NEVER { at } else { at + self.slow }
    }

    pub(crate) fn is_outdated(&self) -> bool {
        self.lives.iter().zip(self.largest).any(|(life, largest)| *life < largest)
    }

    /// The number under which a new process speaks: larger than any before, as long as the disk keeps
    /// them or the wall clock goes on.
    pub(crate) fn live(&mut self, machine: Machine, now: Time) -> u64 {
        let wall = i64::try_from(now.as_nanos() / 1_000_000).unwrap_or(0) + self.wall + WALL;
        let mut life = u64::try_from(wall).unwrap_or(0).max(self.numbered + 1);
        // A supervisor reserves thousands at once: with a memory that went back it begins below or above all that
        // were used, and hardly ever with the same one.
        life += u64::from(self.largest.contains(&life));
        self.numbered = life;
        self.keep_lives();
        let process = machine as usize;
        self.lives[process] = life;
        self.largest[process] = life.max(self.largest[process]);
        life
    }

    pub(crate) fn source(&self) -> IpAddr {
        source(self.number).into()
    }

    /// A new vip process, as a backup, with empty sockets.
    pub(crate) fn new_vip(&mut self, peers: Vec<Peer>, now: Time) {
        let life = self.live(Machine::Vip, now);
        self.replay = Replay::new();
        self.reported = Reported::default();
        let config = vip::Config {
            vip: self.config(),
            node: self.number,
            life,
            source: self.source(),
            network: Some(0),
            peers,
            starts_at: Time::ZERO,
            adopted: false,
        };
        self.vip = Process {
            machine: Some(Vip::new(config, self.clock.local(now))),
            turn_at: self.vip.turn_at,
            ..Process::default()
        };
    }

    fn config(&self) -> config::vip::Vip {
        let address = config::vip::Address::plain(Ipv4Addr::from(ADDRESS[0]).into());
        config::vip::Vip {
            priority: self.priority,
            advert_interval: INTERVAL,
            preempt: self.preempt,
            track_balancer: true,
            ..config::vip::Vip::plain("internal", "eth0", ROUTER_ID, vec![address])
        }
    }
}

/// The wall clock when a world begins (ms): its processes are numbered by it.
pub(super) const WALL: i64 = 1_000_000_000;

/// Source of a host's adverts.
pub(crate) fn source(number: u16) -> Ipv4Addr {
    let [_, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 79, 0, 41 + low)
}
