//! The clock that jumps to what is due, and the drivers of the machines.

use std::fmt::Write as _;
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use config::vip::{Checksum, Protocol};
use engine::Buffer;
use engine::member::{self, Member, Standing};
use engine::packet::{Kind, MAX_PACKET, Opened, Seal};
use engine::vip::packet::Addresses;
use engine::vip::{Action, Advert, Cause, HandOver, Input, Peer};

use crate::Chance;
use crate::network::{Frame, MANAGEMENT, NETWORKS, Network, Packet, Word};
use crate::node::{ADDRESS, ADDRESS_V6, Due, Node, Power, ROUTER_ID, Reported, Speech, source};

/// The cloud. Built by [`Sim::node`] and [`Sim::router`], moved by [`Sim::run_for`].
#[derive(Debug)]
pub struct Sim {
    pub(crate) seed: u64,
    pub(crate) chance: Chance,
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    /// Where clients send: to the last gratuitous ARP that they heard. None of them asks again.
    pub(crate) believed: Option<usize>,
    pub(crate) log: String,
    /// When somebody last did something to the cloud.
    pub(crate) disturbed_at: Time,
    /// When that was last something that makes nodes deaf, or their clocks late.
    pub(crate) shaken_at: Time,
    agents: bool,
    preempt: bool,
    pub(crate) preempt_delay: Duration,
    pub(crate) speech: Speech,
    deaf_driver: bool,
    begun: bool,
}

impl Default for Sim {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Sim {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            chance: Chance::new(seed),
            now: Time::ZERO,
            nodes: vec![],
            network: Network::new(),
            believed: None,
            log: String::new(),
            disturbed_at: Time::ZERO,
            shaken_at: Time::ZERO,
            agents: true,
            preempt: false,
            preempt_delay: Duration::ZERO,
            speech: Speech::SECOND,
            deaf_driver: false,
            begun: false,
        }
    }

    /// One of our own; all of them before the first [`Sim::router`].
    #[must_use]
    pub fn node(mut self, name: &str, priority: u8) -> Self {
        assert!(self.nodes.iter().all(|node| !node.foreign), "our own nodes come first");
        self.push(name, priority, false);
        self
    }

    /// A router of somebody else: RFC 3768 and nothing more.
    #[must_use]
    pub fn router(mut self, name: &str, priority: u8) -> Self {
        self.push(name, priority, true);
        self
    }

    /// A stronger node takes the address back: for nodes that are added later.
    #[must_use]
    pub const fn preempt(mut self) -> Self {
        self.preempt = true;
        self
    }

    /// The same, after a weaker holder was left in peace for so long.
    #[must_use]
    pub const fn preempt_after(mut self, delay: Duration) -> Self {
        self.preempt_delay = delay;
        self.preempt()
    }

    /// Nodes that are added later speak version 3, and the holder every `interval`.
    #[must_use]
    pub const fn third(mut self, interval: Duration) -> Self {
        let protocol = Protocol::V3 { sends: Checksum::Pseudo };
        self.speech = Speech { protocol, interval, ..self.speech };
        self
    }

    /// Nodes that are added later speak over IPv6.
    #[must_use]
    pub const fn over_v6(mut self) -> Self {
        self.speech.is_v6 = true;
        self
    }

    /// No beats: four times as fast.
    #[must_use]
    pub const fn without_agents(mut self) -> Self {
        self.agents = false;
        self
    }

    /// A mistake on purpose: the drivers do not do what `Release` orders. The inspection must see it.
    #[must_use]
    pub const fn that_never_releases(mut self) -> Self {
        self.deaf_driver = true;
        self
    }

    fn push(&mut self, name: &str, priority: u8, foreign: bool) {
        let number = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        let mut node = Node::new(name, number, priority, foreign, self.preempt);
        node.speech = self.speech;
        node.preempt_delay = self.preempt_delay;
        self.nodes.push(node);
    }

    /// Keeps every deadline until `span` has passed.
    pub fn run_for(&mut self, span: Duration) {
        if !self.begun {
            self.begun = true;
            (0..self.nodes.len()).for_each(|node| self.boot(node));
        }
        let end = self.now + span;
        loop {
            let (node, (at, due)) = self.next();
            let packets = self.network.next();
            if at.min(packets) > end {
                break;
            }
            self.now = self.now.max(at.min(packets));
            if packets <= at {
                if let Some(packet) = self.network.arrived(self.now) {
                    self.deliver(packet);
                }
            } else {
                self.take_turn(node, due);
            }
            self.inspect();
        }
        self.now = end;
        self.inspect();
    }

    fn next(&self) -> (usize, (Time, Due)) {
        let all = self.nodes.iter().map(Node::next).enumerate();
        all.min_by_key(|(_, (at, _))| *at).unwrap_or((0, (Time::NEVER, Due::Vip)))
    }

    fn take_turn(&mut self, node: usize, due: Due) {
        match due {
            Due::Vip => self.vip(node, Input::Timeout),
            Due::Agent => self.agent(node, member::Input::Timeout),
            Due::Spawn => self.spawn(node),
            Due::Kill => self.bury(node, "is frozen: the supervisor kills its vip process"),
        }
    }

    pub(crate) fn boot(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.power = Power::On;
        node.incarnation += 1;
        if self.agents && !node.foreign {
            let (number, incarnation) = (node.number, node.incarnation);
            let cluster = self.cluster();
            let nodes = cluster.nodes.len();
            let seal = Seal::shared(&[7; 32], "cloud", nodes, number, incarnation);
            self.nodes[index].agent = Some(Member::new(&cluster, number, seal, self.now));
        }
        self.spawn(index);
    }

    pub(crate) fn spawn(&mut self, index: usize) {
        let peers: Vec<Peer> = (0..)
            .zip(&self.nodes)
            .filter(|(other, node)| *other != index && !node.foreign)
            .map(|(_, node)| Peer {
                node: node.number,
                addresses: vec![source(node.number).into()],
            })
            .collect();
        let node = &mut self.nodes[index];
        let peers = if node.foreign { vec![] } else { peers };
        node.spawn(peers, self.now);
        let (up, balancer) = (node.carrier[0], node.balancer);
        self.vip(index, Input::Carrier { interface: 0, up });
        self.vip(index, Input::Balancer(balancer));
    }

    fn cluster(&self) -> Cluster {
        let mut text =
            "[cluster]\nname = \"cloud\"\nsecret_file = \"/etc/outlast/secret\"\n".to_owned();
        for node in self.nodes.iter().filter(|node| !node.foreign) {
            let Node { name, number, .. } = node;
            let (a, b) = (source(*number), 41 + number);
            let _infallible =
                writeln!(text, "[node.{name}]\nnetworks = {{ a = \"{a}\", b = \"10.80.0.{b}\" }}");
        }
        let source = config::Source { path: "outlast.toml".into(), text };
        let (cluster, findings) = config::cluster::parse(&source, 0);
        cluster.unwrap_or_else(|| panic!("{findings:?}"))
    }

    fn deliver(&mut self, packet: Packet) {
        let Packet { to, network, frame, .. } = packet;
        let node = &mut self.nodes[to];
        if node.power == Power::Off || !node.carrier[usize::from(network)] {
            return;
        }
        let frozen = node.frozen_at.is_some() && !matches!(frame, Frame::Beat(_));
        if frozen || node.power == Power::Paused {
            node.keep(network, frame);
        } else {
            self.read(to, network, frame);
        }
    }

    /// A process reads a datagram from its socket.
    pub(crate) fn read(&mut self, to: usize, network: u8, frame: Frame) {
        let node = &mut self.nodes[to];
        match frame {
            Frame::Advert { source, priority } => {
                if priority > 0 && (!node.preempt || priority >= node.priority) {
                    node.heard_at = Some(self.now);
                }
                let Speech { protocol, interval, is_v6 } = self.speech;
                let addresses =
                    if is_v6 { Addresses::V6(&ADDRESS_V6) } else { Addresses::new(&ADDRESS) };
                let (router_id, password) = (ROUTER_ID, None);
                let advert =
                    Advert { protocol, router_id, priority, interval, password, addresses };
                self.vip(to, Input::Advert { source, advert });
            }
            Frame::Sealed { sender, kind, incarnation, seq, word } => {
                let opened = Opened { sender, network, kind, incarnation, seq, body: &[] };
                if node.vip.is_some() && node.replay.is_news(&opened) {
                    self.vip(
                        to,
                        match word {
                            Word::Hello(hello) => Input::Hello { network, hello },
                            Word::HandOver(message) => Input::HandOver(message),
                        },
                    );
                }
            }
            Frame::Beat(bytes) => self.agent(to, member::Input::Packet { network, bytes: &bytes }),
        }
    }

    pub(crate) fn vip(&mut self, index: usize, input: Input<'_>) {
        let Some(vip) = &mut self.nodes[index].vip else { return };
        let mut out = Buffer::new();
        vip.step(self.now, input, &mut out);
        let spins = vip.deadline() <= self.now;
        let cause = vip.cause();
        assert!(!spins, "{}", self.failure("a deadline that has passed makes the driver spin"));
        for action in out.drain() {
            self.obey(index, action, cause);
        }
    }

    fn obey(&mut self, index: usize, action: Action, cause: Option<Cause>) {
        match action {
            Action::Claim => {
                self.inspect_claim(index, cause);
                self.nodes[index].held = true;
                self.say(index, &format!("claims the address: {}", words(cause)));
            }
            Action::Release if self.deaf_driver => {}
            Action::Release => {
                self.nodes[index].held = false;
                self.say(index, &format!("releases the address: {}", words(cause)));
            }
            Action::Announce => self.announce(index),
            Action::Advertise { priority } => self.advertise(index, priority),
            Action::HandOver(message) => self.hand_over(index, message),
            Action::Hello(hello) => self.tell_peers(index, Kind::Hello, Word::Hello(hello)),
            // Nobody but the nodes is there, and none of them has it without saying so.
            Action::Probe => {}
            Action::Report => {
                let node = &mut self.nodes[index];
                if let Some(vip) = &node.vip {
                    node.reported = Reported::of(vip);
                }
            }
        }
    }

    /// Clients hear every node that is not cut off, whatever the nodes hear of each other.
    fn announce(&mut self, index: usize) {
        if self.nodes[index].carrier[0] && !self.network.is_cut(index, MANAGEMENT) {
            self.believed = Some(index);
        }
    }

    pub(crate) fn advertise(&mut self, from: usize, priority: u8) {
        let source = self.nodes[from].source();
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            self.send(from, to, MANAGEMENT, Frame::Advert { source, priority });
        }
    }

    pub(crate) fn hand_over(&mut self, from: usize, message: HandOver) {
        let to = self.nodes[usize::from(message.to)].name.clone();
        self.say(from, &format!("names {to}"));
        self.tell_peers(from, Kind::HandOver, Word::HandOver(message));
    }

    fn tell_peers(&mut self, from: usize, kind: Kind, word: Word) {
        for network in 0..NETWORKS {
            let node = &mut self.nodes[from];
            node.seq += 1;
            let (sender, incarnation, seq) = (node.number, node.incarnation, node.seq);
            for to in self.peers_of(from) {
                let frame = Frame::Sealed { sender, kind, incarnation, seq, word };
                self.send(from, to, network, frame);
            }
        }
    }

    fn peers_of(&self, from: usize) -> Vec<usize> {
        let own = |to: &usize| *to != from && !self.nodes[*to].foreign;
        (0..self.nodes.len()).filter(own).collect()
    }

    fn send(&mut self, from: usize, to: usize, network: u8, frame: Frame) {
        if self.nodes[from].carrier[usize::from(network)] {
            let packet = Packet { from, to, network, frame };
            self.network.send(self.now, packet, &mut self.chance);
        }
    }

    pub(crate) fn agent(&mut self, index: usize, input: member::Input<'_>) {
        let Some(agent) = &mut self.nodes[index].agent else { return };
        let mut out = Buffer::new();
        agent.step(self.now, input, &mut out);
        for action in out.drain() {
            match action {
                member::Action::Beat { network } => self.beat(index, network, None),
                member::Action::Ask { node, network } => self.beat(index, network, Some(node)),
                member::Action::Verdict { node, standing, .. } => {
                    if matches!(standing, Standing::Suspect | Standing::Left)
                        && self.nodes[index].acts()
                    {
                        self.vip(index, Input::PeerLost { node });
                    }
                }
                // Connections and what is only shown: their machine has tests of its own.
                member::Action::Tether { .. }
                | member::Action::Opinion { .. }
                | member::Action::Choices
                | member::Action::Holds { .. }
                | member::Action::Duty { .. }
                | member::Action::Carried { .. }
                | member::Action::Outdated { .. }
                | member::Action::Question { .. }
                | member::Action::Answer { .. }
                | member::Action::Event { .. } => {}
            }
        }
    }

    fn beat(&mut self, from: usize, network: u8, only: Option<u16>) {
        let mut bytes = [0; MAX_PACKET];
        for to in self.peers_of(from) {
            let number = self.nodes[to].number;
            if only.is_some_and(|only| only != number) {
                continue;
            }
            let Some(agent) = &mut self.nodes[from].agent else { return };
            let length = agent.beat(number, network, &mut bytes);
            self.send(from, to, network, Frame::Beat(bytes[..length].into()));
        }
    }

    /// The vip process of a node is dead, or about to be killed: what its supervisor does.
    pub(crate) fn bury(&mut self, index: usize, how: &str) {
        self.disturb(index, how);
        let node = &mut self.nodes[index];
        node.vip = None;
        node.frozen_at = None;
        node.inbox.clear();
        node.spawn_at = self.now + crate::node::SPAWN;
        node.incarnation += 1;
        node.seq = 0;
        if std::mem::take(&mut node.held) {
            let (reported, from) = (node.reported, node.number);
            self.say(index, "releases the address: by its supervisor");
            let word = self.group().and_then(|group| reported.last_word(group, from));
            if let Some(word) = word {
                self.hand_over(index, word);
            }
            self.advertise(index, 0);
        }
    }

    /// Of any process that runs: all have the same.
    fn group(&self) -> Option<engine::vip::Group> {
        self.nodes.iter().find_map(|node| node.vip.as_ref()).map(engine::vip::Vip::group)
    }

    pub(crate) fn say(&mut self, node: usize, what: &str) {
        let (at, name) = (self.now.to_string(), &self.nodes[node].name);
        let _infallible = writeln!(self.log, "{at:<8} {name} {what}");
    }

    /// What happened since the last call.
    #[must_use]
    pub fn log(&mut self) -> String {
        std::mem::take(&mut self.log)
    }

    /// The nodes that answer for the address.
    #[must_use]
    pub fn holders(&self) -> Vec<&str> {
        self.nodes.iter().filter(|node| node.answers()).map(|node| node.name.as_str()).collect()
    }
}

fn words(cause: Option<Cause>) -> String {
    cause.map_or_else(|| "no cause".to_owned(), |cause| format!("{cause:?}").to_lowercase())
}
