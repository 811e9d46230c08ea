//! Three balancers before three databases, on virtual time: beats carry the choices, get lost and come late.
//!
//! Whatever fails, only the node that holds the address has clients, and these never have sessions
//! with two databases; when the cloud is quiet again, all nodes name the same database.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use engine::Buffer;
use engine::member::{self, Choice, Member};
use engine::packet::{MAX_PACKET, Seal};
use engine::writer::{self, Writer};

const NODES: u16 = 3;
const TICK: Duration = Duration::from_millis(10);
const SEEDS: u64 = 256;
/// Faults strike in this time; the rest is peace.
const STORM: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(14);

/// Any odd multiplier with good high bits will do: `splitmix64`.
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 27) >> 11
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.number().is_multiple_of(n)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number()).unwrap_or(0) % n
    }
}

struct Node {
    member: Member,
    writer: Writer,
    /// The database that clients of this node have sessions with.
    sessions: Option<usize>,
}

struct Cloud {
    now: Time,
    nodes: Vec<Node>,
    holder: usize,
    /// By database: whether it works.
    works: [bool; 3],
    /// Datagrams on their way: when, to whom, on which network.
    flying: BTreeMap<(Time, u64), (usize, u8, Vec<u8>)>,
    number: u64,
    chance: Chance,
    story: String,
}

fn cluster() -> Cluster {
    let mut text =
        "[cluster]\nname = \"cloud\"\nsecret_file = \"/etc/outlast/secret\"\n".to_owned();
    for n in 1..=NODES {
        text += &format!("[node.n{n}]\nnetworks = {{ a = \"10.0.0.{n}\", b = \"10.1.0.{n}\" }}\n");
    }
    let source = config::Source { path: "outlast.toml".into(), text };
    let (cluster, findings) = config::cluster::parse(&source, 0);
    cluster.unwrap_or_else(|| panic!("{findings:?}"))
}

impl Cloud {
    fn new(seed: u64) -> Self {
        let cluster = cluster();
        let seal = |me: u16| Seal::shared(&[7; 32], "cloud", usize::from(NODES), me, 1);
        let node = |me: u16| Node {
            member: Member::new(&cluster, me, seal(me), Time::ZERO),
            writer: Writer::new(3, me),
            sessions: None,
        };
        let mut cloud = Self {
            now: Time::ZERO,
            nodes: (0..NODES).map(node).collect(),
            holder: 0,
            works: [true; 3],
            flying: BTreeMap::new(),
            number: 0,
            chance: Chance(seed),
            story: String::new(),
        };
        cloud.writer(0, writer::Input::Holding(true));
        for (node, index) in (0..3).flat_map(|node| (0..3).map(move |server| (node, server))) {
            cloud.writer(node, writer::Input::Server { index, usable: true });
        }
        cloud
    }

    fn run(mut self) -> Self {
        while self.now < Time::ZERO + END {
            self.now += TICK;
            if self.now < Time::ZERO + STORM {
                self.strike();
            }
            self.deliver();
            for node in 0..self.nodes.len() {
                if self.nodes[node].member.deadline() <= self.now {
                    self.member(node, member::Input::Timeout);
                }
            }
        }
        self
    }

    /// Now and then a database fails or returns, as each node sees it at its own time, or the
    /// address moves.
    fn strike(&mut self) {
        if self.chance.one_in(100) {
            let database = self.chance.below(3);
            self.works[database] = !self.works[database];
            self.story += &format!("{} database {database}: {}\n", self.now, self.works[database]);
        }
        if self.chance.one_in(30) {
            let (node, index) = (self.chance.below(3), self.chance.below(3));
            let usable = self.works[index];
            self.writer(node, writer::Input::Server { index, usable });
        }
        if self.chance.one_in(300) {
            let next = self.chance.below(3);
            self.story += &format!("{} the address moves to node {next}\n", self.now);
            self.writer(self.holder, writer::Input::Holding(false));
            self.holder = next;
            self.writer(next, writer::Input::Holding(true));
        }
        if self.now + TICK >= Time::ZERO + STORM {
            for (node, index) in (0..3).flat_map(|node| (0..3).map(move |server| (node, server))) {
                let usable = self.works[index];
                self.writer(node, writer::Input::Server { index, usable });
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(((at, number), (to, network, bytes))) = self.flying.pop_first() {
            if at > self.now {
                self.flying.insert((at, number), (to, network, bytes));
                return;
            }
            self.member(to, member::Input::Packet { network, bytes: &bytes });
        }
    }

    fn member(&mut self, node: usize, input: member::Input<'_>) {
        let mut out = Buffer::new();
        self.nodes[node].member.step(self.now, input, &mut out);
        for action in out.drain() {
            match action {
                member::Action::Beat { network } => self.beat(node, network),
                member::Action::Choices => {
                    for choice in self.nodes[node].member.choices().to_vec() {
                        let Choice { server, term, by, .. } = choice;
                        let server = usize::try_from(server).unwrap_or(usize::MAX);
                        self.writer(node, writer::Input::Told { server, term, by });
                    }
                }
                member::Action::Verdict { .. }
                | member::Action::Opinion { .. }
                | member::Action::Holds { .. }
                | member::Action::Duty { .. }
                | member::Action::Carried { .. }
                | member::Action::Outdated { .. }
                | member::Action::Question { .. }
                | member::Action::Ask { .. }
                | member::Action::Tether { .. }
                | member::Action::Answer { .. }
                | member::Action::Event { .. } => {}
            }
        }
    }

    /// One in three is lost while the storm lasts, the others take up to 100 ms.
    fn beat(&mut self, from: usize, network: u8) {
        let Node { member, writer, .. } = &mut self.nodes[from];
        if let (Some(server), Some(by)) = (writer.server(), writer.by()) {
            let server = u32::try_from(server).unwrap_or(u32::MAX);
            member.say_choices([Choice { proxy: 1, server, term: writer.term(), by }]);
        }
        let mut packet = [0; MAX_PACKET];
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            let number = u16::try_from(to).expect("few nodes");
            let length = self.nodes[from].member.beat(number, network, &mut packet);
            if self.now < Time::ZERO + STORM && self.chance.one_in(3) {
                continue;
            }
            let late = Duration::from_millis(self.chance.number() % 100);
            self.number += 1;
            let datagram = (to, network, packet[..length].to_vec());
            self.flying.insert((self.now + late, self.number), datagram);
        }
    }

    fn writer(&mut self, node: usize, input: writer::Input) {
        let mut out = Buffer::new();
        self.nodes[node].writer.step(input, &mut out);
        for action in out.drain() {
            self.story += &format!("{} node {node} {input:?}: {action:?}\n", self.now);
            let sessions = &mut self.nodes[node].sessions;
            match action {
                writer::Action::CloseSessions { server } => {
                    assert_eq!(sessions.take(), Some(server), "{}", self.story);
                }
                writer::Action::Use { server, .. } => {
                    let former = sessions.replace(server);
                    let same = former.is_none_or(|former| former == server);
                    assert!(same, "sessions with two databases\n{}", self.story);
                }
            }
        }
    }
}

#[test]
fn however_beats_get_lost_all_nodes_end_with_one_database() {
    for seed in 0..SEEDS {
        let cloud = Cloud::new(seed).run();
        let used: Vec<_> = cloud.nodes.iter().map(|node| node.sessions).collect();
        assert!(used.iter().all(|one| *one == used[0]), "seed {seed}: {used:?}\n{}", cloud.story);
        let used = used[0].expect("somebody chose at the start");
        let best = cloud.works[used] || cloud.works == [false; 3];
        assert!(best, "seed {seed}: database {used} of {:?}\n{}", cloud.works, cloud.story);
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    assert_eq!(Cloud::new(7).run().story, Cloud::new(7).run().story);
}
