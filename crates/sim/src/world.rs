//! A whole cloud as fast as one core can think: the real machines, everything else a model.
//!
//! ```text
//!   Script (faults by time) --> World --- Input ---> engine::member, engine::vip of each host
//!                                ^  |                        |
//!          Queue: packets, turns +  |  <------ Action -------+
//!                                   v
//!                     Oracle and checks after each event -> Violation
//! ```
//!
//! Controllers have an agent and a vip process, compute nodes an agent that gossips, with controllers too.
//! Each host has a clock of its own. Everything random comes from the script's seed;
//! the hash over all that happened is the same for the same script.

mod agents;
mod apply;
mod bmc;
mod check;
mod client;
mod clock;
mod crowd;
mod disk;
mod fault;
mod hearing;
mod host;
mod ledger;
mod mail;
mod mark;
mod mind;
mod name;
mod net;
mod office;
mod operator;
mod opinion;
mod oracle;
mod queue;
mod reference;
mod script;
mod tether;
mod version;
mod vips;
mod watched;
mod windows;

use std::fmt::Write as _;
use std::time::Duration;

use base::Time;
use config::cluster::{Cluster, NodeRole};
use engine::gossip;

use crate::Chance;
use hearing::Hearing;
use host::{Host, Power, Process};
use ledger::Ledger;
use mail::Store;
use net::{Frame, Nets, Packet, Truth, Word};
use office::Office;
use opinion::Sight;
use oracle::Oracle;
use queue::{Due, Machine, Queue};
use vips::Ear;

pub use fault::{Fault, Names, Verb};
pub use mark::{MARKS, Mark, Marks};
pub use script::{Script, Shape};
pub(crate) use watched::Watched;
use windows::Windows;

/// Adverts go here, and the address is on it.
const MANAGEMENT: u8 = 0;
const NO_TIME: Duration = Duration::ZERO;
/// Steps of one machine at one moment: all verdicts on 64 nodes, in portions.
const MAX_STEPS: u32 = 200;

/// A property that did not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Its short name: the same in every run that breaks it.
    pub property: &'static str,
    pub at: Time,
    pub what: String,
}

/// What a run came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    pub events: u64,
    pub faults: u64,
    pub simulated: Duration,
    pub hash: u64,
    pub marks: Marks,
    pub violation: Option<Violation>,
    /// Consequences, one a line; only of a run that was asked to tell.
    pub story: String,
}

/// The cloud during one script.
#[derive(Debug)]
pub struct World {
    script: Script,
    names: Names,
    cluster: Cluster,
    controllers: u16,
    now: Time,
    queue: Queue,
    nets: Nets,
    hosts: Vec<Host>,
    chance: Chance,
    /// Of the store and of what acts on it: faults of others fall the same with and without it.
    dice: Chance,
    /// Of pings.
    pings: Chance,
    store: Store,
    offices: Vec<Office>,
    bmcs: Vec<bmc::Bmc>,
    /// What operators are about to do.
    tasks: Vec<Option<bmc::Task>>,
    ledger: Ledger,
    oracle: Oracle,
    hearing: Hearing,
    sight: Sight,
    ears: Vec<Ear>,
    terms: Vec<u64>,
    /// Orders of each host in this minute.
    orders: Vec<u32>,
    minute_at: Time,
    next_step: usize,
    /// Where clients send: to the last gratuitous ARP that they heard.
    believed: Option<u16>,
    recorded: Vec<(Vec<u8>, Truth)>,
    recorded_words: Vec<(u16, Word)>,
    recorded_gossip: Vec<(Vec<u8>, Truth)>,
    /// Of the gossip: who takes part, and what is ordered in one step.
    roster: gossip::Roster,
    rumours: Vec<gossip::Action>,
    windows: Windows,
    /// When somebody last did something to the cloud.
    disturbed_at: Time,
    /// And before that.
    disturbed_before: Time,
    /// When that was last something that makes hosts deaf, or their clocks late.
    shaken_at: Time,
    /// When an agent last told its vip process that a peer is gone: the detection time after it was.
    missed_at: Time,
    /// A conflict of two holders ended, or a holder named its successor; until that was judged.
    settled_at: Option<Time>,
    handed: Option<(Time, u16, u64)>,
    /// When everything was mended, until that was judged.
    mended_at: Option<Time>,
    is_calm: bool,
    is_torn: bool,
    events: u64,
    faults: u64,
    hash: u64,
    marks: Marks,
    violation: Option<Violation>,
    story: Option<String>,
    /// Opinions that agents came to; only of a run that is watched.
    opinions: Option<Vec<(u16, u16, engine::verdict::Verdict)>>,
    /// Of the same; nobody else writes.
    writes: client::Writes,
}

impl World {
    #[must_use]
    pub fn new(script: &Script) -> Self {
        let names = script.names();
        let all = script.controllers + script.computes;
        let mut chance = Chance::new(script.seed);
        let networks = u8::try_from(names.networks.len()).unwrap_or(1);
        let mut hosts: Vec<_> = (0..all).map(|host| Host::new(host, all)).collect();
        for host in &mut hosts {
            host.clock = clock::Clock::new(Time::ZERO + chance.span(Duration::from_secs(1000)));
            host.preempt = script.preempt;
            host.priority = 200_u8.saturating_sub(u8::try_from(host.number).unwrap_or(0) * 10);
        }
        let controllers = usize::from(script.controllers);
        let cluster = cluster(&names, script);
        Self {
            roster: crowd::roster(&cluster),
            rumours: vec![],
            cluster,
            controllers: script.controllers,
            now: Time::ZERO,
            queue: Queue::default(),
            nets: Nets::new(networks, all),
            oracle: Oracle::new(script.controllers, networks, script.detect),
            hearing: Hearing::new(script),
            windows: Windows::new(hosts.len()),
            sight: Sight::new(script.controllers, hosts.len()),
            ears: vec![Ear::new(script.controllers, Time::ZERO, Time::ZERO); controllers],
            terms: vec![0; controllers],
            dice: Chance::new(script.seed ^ 0x0ff1_ce0f_f1ce),
            pings: Chance::new(script.seed ^ 0x000a_dd2e_55ed),
            store: Store::default(),
            offices: hosts.iter().map(|_| Office::new()).collect(),
            bmcs: vec![bmc::Bmc::default(); hosts.len()],
            tasks: vec![],
            ledger: Ledger::new(hosts.len()),
            orders: vec![0; hosts.len()],
            minute_at: Time::ZERO,
            next_step: 0,
            believed: None,
            recorded: vec![],
            recorded_words: vec![],
            recorded_gossip: vec![],
            disturbed_at: Time::ZERO,
            disturbed_before: Time::ZERO,
            shaken_at: Time::ZERO,
            missed_at: Time::ZERO,
            settled_at: None,
            handed: None,
            mended_at: None,
            is_calm: true,
            is_torn: false,
            events: 0,
            faults: 0,
            hash: script.seed,
            marks: Marks::default(),
            violation: None,
            story: None,
            opinions: None,
            writes: client::Writes::default(),
            script: script.clone(),
            names,
            hosts,
            chance,
        }
    }

    /// Keeps what happens, for people.
    #[must_use]
    pub fn telling(mut self) -> Self {
        self.story = Some(String::new());
        self
    }

    /// Until the script ends, or a property does not hold.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        let end = Time::ZERO + self.script.length;
        self.begin();
        while self.violation.is_none()
            && let Some((at, due)) = self.queue.pop()
        {
            if at > end {
                self.now = end;
                break;
            }
            self.now = self.now.max(at);
            self.handle(at, due);
        }
        Outcome {
            events: self.events,
            faults: self.faults,
            simulated: self.now.since(Time::ZERO),
            hash: self.hash,
            marks: self.marks,
            violation: self.violation,
            story: self.story.unwrap_or_default(),
        }
    }

    fn begin(&mut self) {
        (0..u16::try_from(self.hosts.len()).unwrap_or(0)).for_each(|host| self.boot(host));
        self.count_majorities();
        self.plan_step();
    }

    fn handle(&mut self, at: Time, due: Due) {
        match due {
            Due::Packet(place) => {
                let Some(packet) = self.nets.arrive(place) else { return };
                self.arrive(packet);
            }
            Due::Turn { host, machine } => {
                if !self.turn(at, host, machine) {
                    return;
                }
            }
            Due::Office { host } => {
                if !self.office_turn(at, host) {
                    return;
                }
            }
            Due::Mail(place) => self.deliver(place),
            Due::Operator(place) => self.operate(place),
            Due::Step => self.step(),
        }
        self.events += 1;
        self.hash = mix(self.hash, self.now.as_nanos());
        self.inspect();
    }

    fn arrive(&mut self, packet: Packet) {
        let Packet { from, to, network, frame } = packet;
        let node = &mut self.hosts[usize::from(to)];
        let reads = node.power != Power::Off && node.carrier[usize::from(network)];
        self.hash = mix(self.hash, u64::from(from) << 16 | u64::from(to) << 8 | u64::from(network));
        if !reads {
            self.drop_frame(frame);
            return;
        }
        let (acts, process) = match frame {
            Frame::Letter(_) if node.refuses => {
                self.drop_frame(frame);
                return self.refuse(to, from, network);
            }
            Frame::Letter(_) | Frame::Refusal | Frame::Tether { .. } => {
                (node.agent_acts(), Machine::Agent)
            }
            Frame::Word(_) => (node.vip_acts(), Machine::Vip),
        };
        if acts {
            self.read(to, from, network, frame);
        } else if !node.keep(process, from, network, frame) {
            self.drop_frame(frame);
        }
    }

    fn drop_frame(&mut self, frame: Frame) {
        if let Frame::Letter(letter) = frame {
            self.nets.drop_copy(letter);
        }
    }

    fn read(&mut self, host: u16, from: u16, network: u8, frame: Frame) {
        match frame {
            Frame::Letter(letter) => self.read_letter(host, network, letter),
            Frame::Word(word) => self.read_word(host, from, network, word),
            Frame::Tether { of, holds } => self.read_tether(host, (of, network), holds),
            Frame::Refusal => {
                self.agent(host, engine::member::Input::Refused { node: from });
                self.plan(host, Machine::Agent);
            }
        }
    }

    /// False: it was outdated, or came too early.
    fn turn(&mut self, at: Time, host: u16, machine: Machine) -> bool {
        let node = &mut self.hosts[usize::from(host)];
        let planned = match machine {
            Machine::Agent => &mut node.agent.turn_at,
            Machine::Vip => &mut node.vip.turn_at,
        };
        if *planned != at {
            return false;
        }
        *planned = Time::NEVER;
        let due = node.wants(machine) <= self.now;
        if due {
            self.hash = mix(self.hash, u64::from(host) << 8 | machine as u64);
            self.take_turn(host, machine);
        }
        self.plan(host, machine);
        due
    }

    fn take_turn(&mut self, host: u16, machine: Machine) {
        let node = &self.hosts[usize::from(host)];
        match machine {
            Machine::Agent if node.agent.machine.is_none() => self.start_agent(host),
            Machine::Agent => self.agent_turn(host),
            Machine::Vip if node.vip.machine.is_none() => self.start_vip(host),
            Machine::Vip if node.vip.frozen_at.is_some() => {
                self.say(host, || "is frozen: its supervisor kills its vip process".to_owned());
                self.bury(host);
            }
            Machine::Vip => self.vip(host, engine::vip::Input::Timeout),
        }
        if machine == Machine::Vip {
            self.inspect_host(host);
        }
    }

    /// Sees to it that a machine gets its turn.
    fn plan(&mut self, host: u16, machine: Machine) {
        let node = &mut self.hosts[usize::from(host)];
        let at = node.wants(machine);
        let planned = match machine {
            Machine::Agent => &mut node.agent.turn_at,
            Machine::Vip => &mut node.vip.turn_at,
        };
        if at < *planned {
            *planned = at.max(self.now);
            self.queue.push(*planned, Due::Turn { host, machine });
        }
    }

    fn send(&mut self, packet: Packet) {
        let node = &self.hosts[usize::from(packet.from)];
        if !node.carrier[usize::from(packet.network)] {
            return;
        }
        let slow = self.hosts[usize::from(packet.to)].slow;
        for (at, place) in self.nets.send(self.now, packet, &mut self.chance).into_iter().flatten()
        {
            self.queue.push(at + slow, Due::Packet(place));
        }
    }

    fn say(&mut self, host: u16, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let (at, name) = (self.now.to_string(), &self.names.hosts[usize::from(host)]);
            let _infallible = writeln!(story, "{at:<9} {name} {}", what());
        }
    }

    fn fail(&mut self, property: &'static str, host: u16, what: &str) {
        if self.violation.is_none() {
            let what = format!("{} {what}", self.names.hosts[usize::from(host)]);
            self.violation = Some(Violation { property, at: self.now, what });
        }
    }
}

impl Host {
    fn keep(&mut self, process: Machine, from: u16, network: u8, frame: Frame) -> bool {
        match process {
            Machine::Agent => self.agent.machine.is_some() && self.agent.keep(from, network, frame),
            Machine::Vip => self.vip.machine.is_some() && self.vip.keep(from, network, frame),
        }
    }
}

impl<M> Process<M> {
    /// Counts steps at one moment; true when they are too many.
    fn spins(&mut self, now: Time) -> bool {
        let (at, count) = self.stepped;
        self.stepped = if at == now { (at, count + 1) } else { (now, 0) };
        self.stepped.1 > MAX_STEPS
    }
}

/// One more word of what happened.
fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

fn cluster(names: &Names, script: &Script) -> Cluster {
    let mut text =
        "[cluster]\nname = \"cloud\"\nsecret_file = \"/etc/outlast/secret\"\n".to_owned();
    for (number, name) in names.hosts.iter().enumerate() {
        let addresses =
            names.networks.iter().enumerate().map(|(network, name)| {
                format!("{name} = \"10.{}.0.{}\"", 79 + network, 41 + number)
            });
        let addresses = addresses.collect::<Vec<_>>().join(", ");
        let _infallible = writeln!(text, "[node.{name}]\nnetworks = {{ {addresses} }}");
    }
    let source = config::Source { path: "outlast.toml".into(), text };
    let (cluster, findings) = config::cluster::parse(&source, 0);
    let mut cluster = cluster.unwrap_or_else(|| panic!("{findings:?}"));
    cluster.detect = script.detect;
    // The parser wants keys of their own for compute nodes, which are not modelled here.
    let computes = cluster.nodes.iter_mut().skip(usize::from(script.controllers));
    computes.for_each(|node| node.role = NodeRole::Compute);
    cluster
}
