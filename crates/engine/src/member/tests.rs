use proptest::prelude::*;

use super::*;
use crate::packet::MAX_PACKET;

mod duty;
mod opinion;
mod outdated;
mod tether;
mod wire;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn cluster() -> Cluster {
    cluster_with("")
}

/// With a line of its own.
fn cluster_with(line: &str) -> Cluster {
    let mut text =
        format!("[cluster]\nname = \"cloud\"\nsecret_file = \"/etc/outlast/secret\"\n{line}\n");
    for node in 1..=3 {
        text += &format!(
            "[node.node0{node}]\nnetworks = {{ management = \"10.79.0.4{node}\", storage = \"10.80.0.4{node}\" }}\n"
        );
    }
    let source = config::Source { path: "outlast.toml".into(), text };
    let (cluster, findings) = config::cluster::parse(&source, 0);
    cluster.unwrap_or_else(|| panic!("{findings:?}"))
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

fn member(me: u16, incarnation: u64, now: Time) -> Member {
    Member::new(&cluster(), me, seal(SECRET, "cloud", me, incarnation), now)
}

fn seal(secret: &[u8], cluster: &str, me: u16, incarnation: u64) -> Seal {
    Seal::shared(secret, cluster, 64, me, incarnation)
}

/// For node 0.
fn beat(from: &mut Member, network: u8) -> Vec<u8> {
    beat_for(0, from, network)
}

fn beat_for(to: u16, from: &mut Member, network: u8) -> Vec<u8> {
    let mut out = [0; MAX_PACKET];
    let length = from.beat(to, network, &mut out);
    out[..length].to_vec()
}

/// Node 0 and what it is told, with all that it says.
struct Story {
    member: Member,
    peers: [Member; 3],
    now: u64,
    said: String,
    /// The verdicts.
    concluded: String,
}

impl Story {
    fn new() -> Self {
        let mut story = Self {
            member: member(0, 100, at(0)),
            peers: [1, 2, 3].map(|n| member(n - 1, 100, at(0))),
            now: 0,
            said: String::new(),
            concluded: String::new(),
        };
        story.give(Input::Timeout);
        story
    }

    fn give(&mut self, input: Input<'_>) {
        let mut out = Buffer::new();
        self.member.step(at(self.now), input, &mut out);
        for action in out.drain() {
            match action {
                Action::Verdict { node, standing, why } => {
                    self.said += &format!("{} node {node} {standing:?}: {why}\n", self.now);
                }
                Action::Choices => {
                    let choices: Vec<_> =
                        self.member.choices().iter().map(|c| (c.server, c.term, c.by)).collect();
                    self.said += &format!("{} choices {choices:?}\n", self.now);
                }
                Action::Holds { node } => {
                    self.said +=
                        &format!("{} node {node} holds {:b}\n", self.now, self.member.holds(node));
                }
                Action::Duty { node } => {
                    let duty = self.member.duty(node);
                    self.said += &format!("{} node {node} is {duty:?}\n", self.now);
                }
                Action::Opinion { node, verdict, rule } => {
                    let word = verdict.word();
                    self.concluded += &format!("{} node {node} {word}: {}\n", self.now, rule.name);
                }
                Action::Beat { .. }
                | Action::Ask { .. }
                | Action::Tether { .. }
                | Action::Question { .. }
                | Action::Carried { .. } => {}
                Action::Answer { node, network, after } => {
                    self.said +=
                        &format!("{} answer node {node} on {network} after {after}\n", self.now);
                }
                Action::Outdated { node, came, known } => {
                    self.said += &format!("{} node {node} {came} < {known}\n", self.now);
                }
                Action::Event { node, number, skipped, text } => {
                    let text = String::from_utf8(text).unwrap();
                    self.said += &format!(
                        "{} node {node} told {number}: {text} ({skipped} skipped)\n",
                        self.now
                    );
                }
            }
        }
    }

    /// Lets the time pass in which these (node, network) beat; the clock is looked at when due.
    fn pass(&mut self, millis: u64, beating: &[(usize, u8)]) {
        let end = self.now + millis;
        while self.now < end {
            self.now += 50;
            if self.now.is_multiple_of(250) {
                for (node, network) in beating {
                    self.beat(*node, *network);
                }
            }
            if self.member.deadline() <= at(self.now) {
                self.give(Input::Timeout);
            }
        }
    }

    fn beat(&mut self, node: usize, network: u8) {
        let bytes = beat(&mut self.peers[node], network);
        self.give(Input::Packet { network, bytes: &bytes });
    }

    fn restart(&mut self, node: u16, incarnation: u64) {
        self.peers[usize::from(node)] = member(node, incarnation, at(self.now));
    }

    fn check(&self, expected: expect_test::Expect) {
        expected.assert_eq(&self.said);
    }
}

const ALL: [(usize, u8); 4] = [(1, 0), (1, 1), (2, 0), (2, 1)];

#[test]
fn a_node_is_suspect_after_one_second_of_silence_on_all_networks() {
    let mut story = Story::new();
    story.pass(1000, &ALL);
    story.pass(2000, &[(1, 0), (1, 1)]);
    story.pass(1000, &ALL);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
        2000 node 2 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
        3250 node 2 Alive: its beats are back
    "#]]);
}

#[test]
fn one_network_is_enough_to_live() {
    let mut story = Story::new();
    story.pass(1000, &ALL);
    story.pass(5000, &[(1, 1), (2, 0)]);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
    "#]]);
    let cells: Vec<_> = story.member.cells(1, at(story.now)).collect();
    assert_eq!(cells[0], Some(Cell { alive: false, age: Some(Duration::from_secs(5)) }));
    assert_eq!(cells[1], Some(Cell { alive: true, age: Some(Duration::ZERO) }));
}

#[test]
fn a_goodbye_is_not_a_failure_and_only_a_new_start_undoes_it() {
    let mut story = Story::new();
    story.pass(500, &ALL);
    let mut nothing = Buffer::new();
    story.peers[1].step(at(story.now), Input::Leave, &mut nothing);
    assert_eq!(nothing.len(), 6, "goodbye goes out at once, three times on both networks");
    story.pass(500, &ALL);
    story.peers[1].said.leaving = false;
    story.pass(500, &ALL);
    story.pass(2000, &[(2, 0)]);
    story.restart(1, 101);
    story.pass(500, &ALL);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
        750 node 1 Left: it said goodbye
        3750 node 1 Alive: it is back after a restart
    "#]]);
}

#[test]
fn a_restart_between_two_beats_is_noticed() {
    let mut story = Story::new();
    story.pass(500, &ALL);
    story.restart(1, 101);
    story.pass(500, &ALL);
    story.pass(1500, &[(2, 0)]);
    story.restart(1, 102);
    story.pass(250, &ALL);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
        750 node 1 Alive: its agent has restarted
        2000 node 1 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
        2750 node 1 Alive: it is back after a restart
    "#]]);
}

#[test]
fn a_node_never_heard_is_unknown_not_suspect() {
    let mut story = Story::new();
    story.pass(10_000, &[(1, 0)]);
    assert_eq!(story.member.standing(2), Standing::Unknown);
    assert_eq!(story.member.standing(0), Standing::Alive, "this node itself");
}

#[test]
fn a_new_agent_believes_the_one_before_until_it_hears_for_itself() {
    let mut story = Story::new();
    story.give(Input::Known { node: 1, standing: Standing::Suspect });
    story.give(Input::Known { node: 2, standing: Standing::Alive });
    story.pass(1500, &[]);
    assert_eq!(story.member.standing(1), Standing::Suspect);
    story.pass(500, &ALL);
    story.give(Input::Known { node: 1, standing: Standing::Suspect });
    assert_eq!(story.member.standing(1), Standing::Alive, "what it heard itself counts more");
    story.check(expect_test::expect![[r#"
        1000 node 2 Suspect: no beat for 1 s on any network (management: never heard, storage: never heard)
        1750 node 1 Alive: its beats are back
        1750 node 2 Alive: its beats are back
    "#]]);
}

#[test]
fn a_node_that_was_late_itself_waits_for_another_round() {
    let mut story = Story::new();
    story.pass(1000, &ALL);
    story.now += 3000; // Nobody gave this process a processor.
    story.give(Input::Timeout);
    assert_eq!(story.said.lines().count(), 2, "{}", story.said);
    story.pass(400, &ALL);
    assert_eq!(story.said.lines().count(), 2, "{}", story.said);
    // Node 2 is really gone, which is said after the round.
    story.now += 3000;
    story.give(Input::Timeout);
    story.pass(1200, &[(1, 0)]);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
        7900 node 2 Suspect: no beat for 2 s on any network (management: 3.6 s, storage: 3.6 s)
    "#]]);
}

#[test]
fn a_short_delay_is_no_stall() {
    let mut story = Story::new();
    story.pass(1000, &ALL);
    story.pass(950, &[]);
    story.now += 400;
    story.give(Input::Timeout);
    assert_eq!(story.member.standing(1), Standing::Suspect, "{}", story.said);
}

#[test]
fn a_node_without_carriers_accuses_nobody() {
    let mut story = Story::new();
    story.pass(1000, &ALL);
    story.give(Input::Carrier { network: 0, up: false });
    story.give(Input::Carrier { network: 1, up: false });
    story.pass(5000, &[]);
    story.give(Input::Carrier { network: 1, up: true });
    assert_eq!(story.said.lines().count(), 2, "{}", story.said);
    story.pass(1000, &[(1, 1)]);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
        6500 node 2 Suspect: no beat for 1 s on any network (management: own link down, storage: 5.5 s)
    "#]]);
}

#[test]
fn a_lost_carrier_leaves_the_other_network_to_judge_by() {
    let mut story = Story::new();
    story.pass(1000, &ALL);
    story.give(Input::Carrier { network: 0, up: false });
    story.pass(2000, &[(1, 1)]);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
        2000 node 2 Suspect: no beat for 1 s on any network (management: own link down, storage: 1.0 s)
    "#]]);
}

#[test]
fn what_is_not_a_fresh_beat_of_a_peer_proves_nothing() {
    let mut story = Story::new();
    story.pass(500, &[(1, 0)]);
    let old = beat(&mut story.peers[1], 0);
    story.pass(250, &[(1, 0)]);
    let wrong_network = beat(&mut story.peers[1], 1);
    let own = beat_for(1, &mut member(0, 100, at(0)), 0);
    let stranger = beat(&mut Member::new(&cluster(), 1, seal(SECRET, "cloud", 7, 100), at(0)), 0);
    let other_key = beat(&mut Member::new(&cluster(), 1, seal(b"x", "cloud", 1, 200), at(0)), 0);
    let other_cluster = beat(&mut Member::new(&cluster(), 1, seal(SECRET, "c", 1, 200), at(0)), 0);
    let mut hello = [0; MAX_PACKET];
    let length = seal(SECRET, "cloud", 1, 300).seal(Kind::Hello, (0, 0), b"", &mut hello);
    let forged: [&[u8]; 8] = [
        &old,
        &wrong_network,
        &own,
        &stranger,
        &other_key,
        &other_cluster,
        &hello[..length],
        b"garbage",
    ];
    story.said.clear();
    for _ in 0..30 {
        story.pass(100, &[]);
        for bytes in forged {
            story.give(Input::Packet { network: 0, bytes });
        }
    }
    story.check(expect_test::expect![[r#"
        1750 node 1 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: never heard)
    "#]]);
    let expected = Refused { forged: 60, unreadable: 30, replay: 30, network: 30, stranger: 90 };
    assert_eq!(story.member.refused(), expected);
    let cells: Vec<_> =
        story.member.cells(1, at(story.now)).map(|c| c.and_then(|c| c.age)).collect();
    assert_eq!(cells[1], None, "nothing was heard on the other network");
}

#[test]
fn a_beat_of_the_process_before_does_not_bring_it_back() {
    let mut story = Story::new();
    story.pass(250, &ALL);
    let late = beat(&mut story.peers[1], 1);
    story.restart(1, 101);
    story.beat(1, 0);
    story.said.clear();
    story.give(Input::Packet { network: 1, bytes: &late });
    story.pass(1300, &[]);
    story.check(expect_test::expect![[r#"
        1250 node 1 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
        1250 node 2 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
    "#]]);
    assert_eq!(story.peers[1].seal.incarnation(), 101);
}

#[test]
fn beats_are_due_ten_times_in_the_detection_time_on_every_own_network() {
    let mut lone = cluster();
    lone.nodes[0].addresses[0] = None;
    let mut member = Member::new(&lone, 0, seal(SECRET, "cloud", 0, 1), at(0));
    let mut sent = Vec::new();
    for _ in 0..3 {
        let now = member.deadline();
        let mut out = Buffer::new();
        member.step(now, Input::Timeout, &mut out);
        sent.extend(out.drain().map(|action| (now, action)));
    }
    let beat = |millis| (at(millis), Action::Beat { network: 1 });
    assert_eq!(sent, [beat(0), beat(100), beat(200)]);
}

const fn choice(proxy: u32, server: u32, term: u64, by: u16) -> Choice {
    Choice { proxy, server, term, by }
}

#[test]
fn the_newest_choice_of_each_proxy_wins() {
    let mut story = Story::new();
    for (node, said) in [
        (1, vec![choice(7, 1, 3, 1)]),
        (2, vec![choice(7, 2, 2, 2)]),
        (2, vec![choice(7, 2, 3, 2), choice(8, 5, 1, 2)]),
        (1, vec![choice(7, 3, 3, 1)]),
        (1, vec![choice(7, 4, 4, 0)]),
    ] {
        story.peers[node].say_choices(said);
        story.now += 10;
        story.beat(node, 0);
    }
    story.check(expect_test::expect![[r#"
        10 node 1 Alive: its first beat came
        10 choices [(1, 3, 1)]
        20 node 2 Alive: its first beat came
        30 choices [(2, 3, 2), (5, 1, 2)]
        50 choices [(4, 4, 0), (5, 1, 2)]
    "#]]);
}

#[test]
fn the_load_of_a_peer_is_known_with_its_age() {
    let mut story = Story::new();
    let load = Load { cpu_percent: 7, memory_percent: 61, fibre_online: 0, fibre_ports: 2 };
    story.peers[1].say_load(Some(load));
    story.pass(1000, &[(1, 0)]);
    story.pass(300, &[]);
    let told = |node| story.member.load(node, at(story.now));
    assert_eq!(told(1), Some((load, Duration::from_millis(300))));
    assert_eq!(told(2), None, "never heard");
}

#[test]
fn a_peer_whose_beat_tells_of_events_is_asked_for_them() {
    let mut story = Story::new();
    story.peers[1].say_events(3);
    let bytes = beat(&mut story.peers[1], 0);
    let mut out = Buffer::new();
    story.member.step(at(10), Input::Packet { network: 0, bytes: &bytes }, &mut out);
    let asked = out.drain().find(|action| matches!(action, Action::Question { .. })).unwrap();
    assert_eq!(asked, Action::Question { node: 1, network: 0, after: 0 });
    let mut packet = [0; MAX_PACKET];
    let length = story.peers[1].tell((0, 0), (0, 3), b"moved", &mut packet);
    story.give(Input::Packet { network: 0, bytes: &packet[..length] });
    let length = story.peers[1].tell((2, 0), (3, 4), b"for another node", &mut packet);
    story.give(Input::Packet { network: 0, bytes: &packet[..length] });
    let length = story.peers[1].question(0, 0, 7, &mut packet);
    story.give(Input::Packet { network: 0, bytes: &packet[..length] });
    story.check(expect_test::expect![[r#"
        0 node 1 told 3: moved (2 skipped)
        0 answer node 1 on 0 after 7
    "#]]);
    assert_eq!(story.member.refused().stranger, 1);
}

/// Sixty-three nodes of a blacked-out cloud do not fit into one step's orders.
#[test]
fn many_verdicts_at_once_come_in_portions() {
    let mut large = cluster();
    large.nodes = (0..64)
        .map(|n| config::cluster::Node { name: format!("n{n}"), ..large.nodes[0].clone() })
        .collect();
    let mut member = Member::new(&large, 0, seal(SECRET, "cloud", 0, 1), at(0));
    for node in 1..64 {
        let mut peer = Member::new(&large, node, seal(SECRET, "cloud", node, 1), at(0));
        let bytes = beat(&mut peer, 0);
        member.step(at(100), Input::Packet { network: 0, bytes: &bytes }, &mut Buffer::new());
    }
    let mut suspects = 0;
    while suspects < 63 {
        let mut out = Buffer::new();
        let now = member.deadline();
        assert!(now < at(1500));
        member.step(now.max(at(100)), Input::Timeout, &mut out);
        suspects += out
            .iter()
            .filter(|a| matches!(a, Action::Verdict { standing: Standing::Suspect, .. }))
            .count();
        assert_eq!(out.lost(), 0);
    }
}

proptest! {
    /// However beats get lost: who spoke within the last second on any network is not suspect, and who was
    /// heard before and is silent for longer, is.
    #[test]
    fn a_standing_is_what_was_heard(lost in prop::collection::vec(any::<[bool; 4]>(), 40)) {
        let mut story = Story::new();
        let mut last = [None; 3];
        for lost in lost {
            let beating: Vec<_> = ALL.into_iter().zip(lost).filter(|(_, lost)| !lost).map(|(cell, _)| cell).collect();
            for (node, _) in &beating {
                last[*node] = Some(story.now + 250);
            }
            story.pass(250, &beating);
            for node in [1, 2] {
                let expected = match last[node] {
                    None => Standing::Unknown,
                    Some(at) if story.now < at + 1000 => Standing::Alive,
                    Some(_) => Standing::Suspect,
                };
                prop_assert_eq!(story.member.standing(u16::try_from(node).unwrap()), expected, "{}", story.said);
            }
        }
    }
}
