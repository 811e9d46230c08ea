//! How fast and how surely nodes come to their verdicts: the machines of the agents on virtual time.
//!
//! Beats travel unsealed: sealing costs more time than all else here, and `engine::packet` tests it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use engine::Buffer;
use engine::member::{Action, Input, Member};
use engine::packet::{Kind, Opened, Seal};
use engine::verdict::Verdict;
use outlast_sim::Chance;

use killed::Refusing;

#[path = "detection/killed.rs"]
mod killed;

const NETWORKS: u8 = 2;
/// One way through a switch and two kernels, and up to as much again.
const WAY: Duration = Duration::from_micros(200);
/// Once a node is up, all have heard all.
const SETTLE: Duration = Duration::from_secs(1);

/// Something on its way.
#[derive(Clone, Debug)]
struct Flying {
    from: u16,
    to: usize,
    network: u8,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Beat {
        life: u64,
        seq: u64,
        body: Rc<[u8]>,
    },
    /// The kernel of the sender says that nothing listens there.
    Refused,
    /// A connection to the sender stands, or is closed.
    Tether(bool),
}

/// A verdict that changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    at: Time,
    by: usize,
    of: u16,
    verdict: Verdict,
    rule: &'static str,
}

struct World {
    now: Time,
    nodes: Vec<Option<Member>>,
    due: Vec<Time>,
    seq: u64,
    flying: BTreeMap<(Time, u64), Flying>,
    chance: Chance,
    /// Of a thousand.
    lost: u64,
    /// One way each: from, to, network.
    cut: BTreeSet<(u16, usize, u8)>,
    /// Its processes get no processor until then; what comes waits.
    frozen: BTreeMap<usize, Time>,
    changes: Vec<Change>,
    lives: Vec<u64>,
    /// Their processes were killed, and their kernels live on.
    refusing: BTreeMap<usize, Refusing>,
    /// Connections: of whom, to whom, where.
    ties: BTreeSet<(u16, usize, u8)>,
    /// Questions for one alone.
    asked: usize,
}

fn cluster(nodes: usize, detect: &str) -> Cluster {
    let mut text = format!("[cluster]\nname = \"cloud\"\ndetect = \"{detect}\"\n");
    for node in 1..=nodes {
        writeln!(
            text,
            "[node.node{node:02}]\nnetworks = {{ a = \"10.0.0.{node}\", b = \"10.1.0.{node}\" }}"
        )
        .unwrap();
    }
    let source = config::Source { path: "outlast.toml".into(), text };
    let (cluster, findings) = config::cluster::parse(&source, 0);
    cluster.unwrap_or_else(|| panic!("{findings:?}"))
}

impl World {
    fn new(nodes: usize, detect: &str, seed: u64) -> Self {
        let cluster = cluster(nodes, detect);
        let member = |node: usize| {
            let node = u16::try_from(node).unwrap();
            Some(Member::new(&cluster, node, Seal::new("cloud", node, 1), Time::ZERO))
        };
        let mut chance = Chance::new(seed);
        // Nodes do not beat in step.
        let due = (0..nodes).map(|_| Time::ZERO + chance.span(Duration::from_millis(90))).collect();
        let mut world = Self {
            now: Time::ZERO,
            nodes: (0..nodes).map(member).collect(),
            due,
            seq: 0,
            flying: BTreeMap::new(),
            chance,
            lost: 0,
            cut: BTreeSet::new(),
            frozen: BTreeMap::new(),
            changes: vec![],
            lives: vec![1; nodes],
            refusing: BTreeMap::new(),
            ties: BTreeSet::new(),
            asked: 0,
        };
        world.run(SETTLE);
        let alive = world.changes.iter().filter(|change| change.verdict == Verdict::Alive).count();
        assert_eq!((alive, world.changes.len()), (nodes * (nodes - 1), nodes * (nodes - 1)));
        world.changes.clear();
        world
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = self.due.iter().enumerate().map(|(node, due)| (self.awake(node, *due), node));
            let (due, node) = due.min().unwrap();
            let arrives = self.flying.keys().next().map_or(Time::NEVER, |(at, _)| *at);
            if due.min(arrives) > end {
                break;
            }
            self.now = self.now.max(due.min(arrives));
            if arrives <= due {
                let Some((_, beat)) = self.flying.pop_first() else { break };
                self.arrive(beat);
            } else {
                self.step(node, Input::Timeout);
            }
        }
        self.now = end;
    }

    fn awake(&self, node: usize, at: Time) -> Time {
        self.frozen.get(&node).map_or(at, |until| at.max(*until))
    }

    fn arrive(&mut self, beat: Flying) {
        let awake = self.awake(beat.to, self.now);
        if awake > self.now {
            self.seq += 1;
            self.flying.insert((awake, self.seq), beat);
            return;
        }
        let Flying { from, to, network, what } = beat;
        let own = u16::try_from(to).unwrap();
        match what {
            What::Beat { .. } if self.refusing.contains_key(&to) => {
                let kernel = self.refusing.get_mut(&to).unwrap();
                if kernel.grants(self.now) {
                    self.fly((own, usize::from(from)), network, What::Refused);
                }
            }
            What::Beat { life: incarnation, seq, body } => {
                let kind = Kind::Beat;
                let packet = Opened { sender: from, network, kind, incarnation, seq, body: &body };
                self.step(to, Input::Opened { network, packet });
            }
            What::Refused => self.step(to, Input::Refused { node: from }),
            What::Tether(holds) => self.step(to, Input::Tether { node: from, network, holds }),
        }
    }

    fn step(&mut self, node: usize, input: Input<'_>) {
        let Some(member) = &mut self.nodes[node] else { return };
        let mut out = Buffer::new();
        member.step(self.now, input, &mut out);
        self.due[node] = member.deadline();
        for action in out.drain() {
            match action {
                Action::Opinion { node: of, verdict, rule } => {
                    let (at, rule) = (self.now, rule.name);
                    self.changes.push(Change { at, by: node, of, verdict, rule });
                }
                Action::Beat { network } => self.beat(node, network, None),
                Action::Ask { node: to, network } => {
                    self.asked += 1;
                    self.beat(node, network, Some(usize::from(to)));
                }
                Action::Tether { node: to, network } => self.tie(node, to, network),
                Action::Verdict { .. }
                | Action::Choices
                | Action::Holds { .. }
                | Action::Duty { .. }
                | Action::Carried { .. }
                | Action::Question { .. }
                | Action::Answer { .. }
                | Action::Outdated { .. }
                | Action::Event { .. } => {}
            }
        }
    }

    fn beat(&mut self, node: usize, network: u8, only: Option<usize>) {
        let Some(member) = &self.nodes[node] else { return };
        let body: Rc<[u8]> = member.body().as_slice().into();
        let from = u16::try_from(node).unwrap();
        self.seq += 1;
        let (seq, life) = (self.seq, self.lives[node]);
        let is_meant = |to: &usize| only.is_none_or(|only| only == *to);
        for to in (0..self.nodes.len()).filter(|to| *to != node).filter(is_meant) {
            self.fly((from, to), network, What::Beat { life, seq, body: Rc::clone(&body) });
        }
    }

    fn fly(&mut self, (from, to): (u16, usize), network: u8, what: What) {
        if !self.cut.contains(&(from, to, network)) && !self.chance.permille(self.lost) {
            self.seq += 1;
            let at = self.now + WAY + self.chance.span(WAY);
            self.flying.insert((at, self.seq), Flying { from, to, network, what });
        }
    }

    /// It executes nothing any more, at some moment between two beats.
    fn crash(&mut self, node: usize) -> Time {
        let wait = self.chance.span(Duration::from_millis(500));
        self.run(wait);
        (self.nodes[node], self.due[node]) = (None, Time::NEVER);
        self.now
    }

    fn cut_between(&mut self, a: usize, b: usize, network: u8) {
        let number = |node| u16::try_from(node).unwrap();
        self.cut.extend([(number(a), b, network), (number(b), a, network)]);
    }

    /// How long after `since` the last of the others came to this verdict and stayed there.
    fn known_after(&self, since: Time, of: usize, verdict: Verdict) -> Duration {
        let others = (0..self.nodes.len()).filter(|by| *by != of && self.nodes[*by].is_some());
        let last = |by| {
            let its = self.changes.iter().rfind(|c| c.by == by && usize::from(c.of) == of);
            let its = its.unwrap_or_else(|| panic!("node {by} says nothing: {:?}", self.changes));
            assert_eq!(its.verdict, verdict, "node {by}, rule {}", its.rule);
            its.at.since(since)
        };
        others.map(last).max().unwrap()
    }

    /// What every living node concludes about every other, by node.
    fn opinions(&self) -> Vec<(usize, Vec<Verdict>)> {
        let living = self.nodes.iter().enumerate().filter_map(|(n, m)| Some((n, m.as_ref()?)));
        let all = 0..u16::try_from(self.nodes.len()).unwrap();
        living.map(|(n, m)| (n, all.clone().map(|of| m.opinion(of).verdict).collect())).collect()
    }
}

/// Seconds from a crash to Unreachable on all others, the longest of some crashes.
fn longest_detection(nodes: usize, detect: &str, seeds: u64) -> (f64, f64) {
    let mut spans = vec![];
    for seed in 0..seeds {
        let mut world = World::new(nodes, detect, seed);
        let crashed = usize::try_from(seed).unwrap() % nodes;
        let at = world.crash(crashed);
        world.run(Duration::from_secs_f64(parse(detect) * 1.3));
        spans.push(world.known_after(at, crashed, Verdict::Unreachable).as_secs_f64());
        let others = world.changes.iter().filter(|change| usize::from(change.of) != crashed);
        assert_eq!(others.count(), 0, "somebody else was accused: {:?}", world.changes);
    }
    let least = spans.iter().copied().fold(f64::MAX, f64::min);
    (least, spans.iter().copied().fold(0.0, f64::max))
}

fn parse(detect: &str) -> f64 {
    match detect.strip_suffix("ms") {
        Some(millis) => millis.parse::<f64>().unwrap() / 1000.0,
        None => detect.trim_end_matches('s').parse().unwrap(),
    }
}

#[test]
fn a_crash_is_known_everywhere_within_a_tenth_of_the_setting() {
    for (nodes, detect, seeds) in [
        (3, "300ms", 6),
        (3, "1s", 6),
        (3, "3s", 4),
        (3, "10s", 2),
        (32, "1s", 1),
        (32, "300ms", 1),
    ] {
        let (least, most) = longest_detection(nodes, detect, seeds);
        let setting = parse(detect);
        assert!(most <= 1.1 * setting, "{nodes} nodes, {detect}: {most}");
        assert!(least >= 0.89 * setting, "{nodes} nodes, {detect}: {least}");
    }
}

#[test]
fn a_goodbye_is_known_everywhere_in_a_fiftieth_of_a_second() {
    let mut world = World::new(32, "1s", 1);
    let at = world.now;
    world.lost = 100;
    world.step(5, Input::Leave);
    (world.nodes[5], world.due[5]) = (None, Time::NEVER);
    world.run(Duration::from_millis(20));
    let after = world.known_after(at, 5, Verdict::Leaving);
    assert!(after < Duration::from_millis(20), "{after:?}");
    world.lost = 0;
    world.run(Duration::from_millis(1500));
    assert_eq!(world.changes.len(), 31, "{:?}", world.changes);
}

#[test]
fn one_cut_network_turns_one_cell_and_nothing_else() {
    let mut world = World::new(5, "1s", 3);
    for other in [0, 1, 2, 4] {
        world.cut_between(3, other, 1);
    }
    world.run(Duration::from_secs(4));
    let cut = Verdict::CutOff { networks: [1].into_iter().collect() };
    let expected = [Verdict::Alive, Verdict::Alive, Verdict::Alive, cut, Verdict::Alive];
    for (node, opinions) in world.opinions() {
        assert_eq!(opinions, expected, "node {node}");
        let member = world.nodes[node].as_ref().unwrap();
        for of in (0..5).filter(|of| usize::from(*of) != node) {
            let cells: Vec<bool> =
                member.cells(of, world.now).map(|cell| cell.is_some_and(|c| c.alive)).collect();
            assert_eq!(cells, [true, node != 3 && of != 3], "node {node} of {of}");
        }
    }
    world.cut.clear();
    world.run(Duration::from_secs(3));
    assert!(world.opinions().iter().all(|(_, all)| all.iter().all(|v| *v == Verdict::Alive)));
}

#[test]
fn one_way_and_partial_cuts_end_in_one_view_that_stays() {
    for seed in 0..12 {
        let mut world = World::new(6, "1s", seed);
        // Node 0 keeps a way to everybody, so that all of them are one part.
        for _ in 0..5 {
            let from = 1 + world.chance.below(5);
            let to = 1 + world.chance.below(5);
            let network = u8::try_from(world.chance.below(u64::from(NETWORKS))).unwrap();
            if from != to {
                world.cut.insert((
                    u16::try_from(from).unwrap(),
                    usize::try_from(to).unwrap(),
                    network,
                ));
            }
        }
        world.run(Duration::from_secs(5));
        let first = world.opinions();
        for (node, opinions) in &first {
            assert_eq!(*opinions, first[0].1, "seed {seed}, node {node}: {:?}", world.cut);
        }
        world.changes.clear();
        world.run(Duration::from_secs(5));
        assert_eq!(world.changes, [], "seed {seed}: the view does not stay");
    }
}

#[test]
fn halves_accuse_nobody_and_are_one_again_after_the_heal() {
    let mut world = World::new(4, "1s", 8);
    for (a, b, network) in
        [(0, 2), (0, 3), (1, 2), (1, 3)].into_iter().flat_map(|(a, b)| [(a, b, 0), (a, b, 1)])
    {
        world.cut_between(a, b, network);
    }
    world.run(Duration::from_secs(3));
    assert!(world.changes.iter().all(|change| change.verdict == Verdict::Suspect));
    assert_eq!(world.changes.len(), 8);
    world.cut.clear();
    world.run(Duration::from_secs(3));
    assert!(world.opinions().iter().all(|(_, all)| all.iter().all(|v| *v == Verdict::Alive)));
}

#[test]
fn a_tenth_of_all_beats_lost_for_an_hour_is_no_false_verdict() {
    let mut world = World::new(3, "1s", 21);
    world.lost = 100;
    world.run(Duration::from_secs(3600));
    assert_eq!(world.changes, []);
}

#[test]
fn a_node_whose_timers_slip_accuses_nobody() {
    let mut world = World::new(5, "1s", 4);
    for _ in 0..20 {
        let stall = Duration::from_millis(600) + world.chance.span(Duration::from_millis(300));
        world.frozen.insert(2, world.now + stall);
        world.run(Duration::from_millis(1200));
    }
    assert_eq!(world.changes, [], "stalls shorter than the setting accuse nobody and are no crash");
    world.frozen.insert(2, world.now + Duration::from_secs(4));
    world.run(Duration::from_secs(8));
    let by_it = world.changes.iter().filter(|change| change.by == 2).count();
    assert_eq!(by_it, 0, "{:?}", world.changes);
    assert!(world.changes.iter().any(|change| change.verdict == Verdict::Unreachable));
    assert!(world.opinions().iter().all(|(_, all)| all.iter().all(|v| *v == Verdict::Alive)));
}
