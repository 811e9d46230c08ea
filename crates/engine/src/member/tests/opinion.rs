//! Verdicts by what all nodes hear together: three machines that hear each other.

use super::*;
use crate::evidence::Ailment;

mod own;

/// Three nodes on two networks. What is cut is one direction of one pair on one network.
struct Cloud {
    nodes: [Option<Member>; 3],
    cut: Vec<(u16, u16, u8)>,
    now: u64,
    said: String,
}

impl Cloud {
    fn new() -> Self {
        Self::of("")
    }

    /// With a line of the cluster file.
    fn of(line: &str) -> Self {
        let cluster = cluster_with(line);
        let seal = |node| seal(SECRET, "cloud", node, 100);
        let nodes = [0, 1, 2].map(|node| Some(Member::new(&cluster, node, seal(node), at(0))));
        Self { nodes, cut: vec![], now: 0, said: String::new() }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now += 1;
            for node in 0..3 {
                let due = self.nodes[usize::from(node)].as_ref().map(Member::deadline);
                if due.is_some_and(|due| due <= at(self.now)) {
                    self.step(node, Input::Timeout);
                }
            }
        }
    }

    fn step(&mut self, node: u16, input: Input<'_>) {
        let Some(member) = &mut self.nodes[usize::from(node)] else { return };
        let mut out = Buffer::new();
        member.step(at(self.now), input, &mut out);
        for action in out.drain() {
            match action {
                Action::Opinion { node: other, verdict, rule } => {
                    let (now, word, rule) = (self.now, verdict.word(), rule.name);
                    let on = if let Verdict::CutOff { networks } = verdict {
                        format!(" {:?}", networks.iter().collect::<Vec<_>>())
                    } else {
                        String::new()
                    };
                    self.said += &format!("{now} {node}: {other} {word}{on} ({rule})\n");
                }
                Action::Beat { network } => self.beat(node, network),
                Action::Ask { .. }
                | Action::Tether { .. }
                | Action::Verdict { .. }
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

    fn beat(&mut self, from: u16, network: u8) {
        for to in (0..3).filter(|to| *to != from) {
            let mut packet = [0; MAX_PACKET];
            let member = self.nodes[usize::from(from)].as_mut().unwrap();
            let length = member.beat(to, network, &mut packet);
            if !self.cut.contains(&(from, to, network)) {
                self.step(to, Input::Packet { network, bytes: &packet[..length] });
            }
        }
    }

    fn both_ways(&mut self, a: u16, b: u16, network: u8) {
        self.cut.extend([(a, b, network), (b, a, network)]);
    }

    /// What was concluded since the last call.
    fn check(&mut self, expected: expect_test::Expect) {
        expected.assert_eq(&std::mem::take(&mut self.said));
    }

    fn settled() -> Self {
        let mut cloud = Self::new();
        cloud.pass(2000);
        let alive = cloud.said.lines().filter(|line| line.ends_with("alive (alive)")).count();
        assert_eq!((alive, cloud.said.lines().count()), (6, 6), "{}", cloud.said);
        cloud.said.clear();
        cloud
    }
}

#[test]
fn a_crash_is_unreachable_everywhere_within_the_detection_time() {
    let mut cloud = Cloud::settled();
    cloud.nodes[2] = None;
    cloud.pass(3000);
    cloud.check(expect_test::expect![[r#"
        2911 0: 2 suspect (silent-here)
        2911 1: 2 unreachable (silent-everywhere)
        2911 0: 2 unreachable (silent-everywhere)
    "#]]);
}

#[test]
fn a_goodbye_is_leaving_at_once_and_no_quorum_is_lost_by_it() {
    let mut cloud = Cloud::settled();
    cloud.step(2, Input::Leave);
    cloud.nodes[2] = None;
    cloud.pass(3000);
    cloud.check(expect_test::expect![[r#"
        2000 0: 2 leaving (goodbye)
        2000 1: 2 leaving (goodbye)
    "#]]);
}

#[test]
fn one_cut_network_is_one_verdict_and_its_end_another() {
    let mut cloud = Cloud::settled();
    cloud.both_ways(0, 2, 1);
    cloud.both_ways(1, 2, 1);
    cloud.pass(3000);
    cloud.check(expect_test::expect![[r#"
        3111 0: 2 cut-off [1] (cut-off)
        3111 1: 2 cut-off [1] (cut-off)
    "#]]);
    cloud.cut.clear();
    cloud.pass(3000);
    cloud.check(expect_test::expect![[r#"
        6021 0: 2 alive (alive)
        6021 1: 2 alive (alive)
    "#]]);
}

#[test]
fn what_is_cut_while_a_node_is_young_is_known_when_it_is_that_no_more() {
    let mut cloud = Cloud::new();
    cloud.pass(150);
    let young = |cloud: &Cloud| {
        let member = cloud.nodes[0].as_ref().unwrap();
        [0, 1, 2].map(|node| member.is_young(node, at(cloud.now)))
    };
    assert_eq!(young(&cloud), [false, true, true], "nobody of itself");
    cloud.said.clear();
    cloud.both_ways(0, 2, 1);
    cloud.both_ways(1, 2, 1);
    cloud.pass(3000);
    cloud.check(expect_test::expect![[r#"
        1401 0: 2 cut-off [1] (cut-off)
        1401 1: 2 cut-off [1] (cut-off)
    "#]]);
    assert_eq!(young(&cloud), [false; 3]);
}

#[test]
fn a_network_that_is_back_is_held_for_the_detection_time_without_a_break_whatever_that_is() {
    for detect in [300, 1_000, 3_000, 10_000] {
        let mut cloud = Cloud::of(&format!("detect = \"{detect}ms\""));
        cloud.pass(4 * detect);
        cloud.said.clear();
        let tear = |cloud: &mut Cloud, millis| {
            cloud.both_ways(0, 2, 1);
            cloud.both_ways(1, 2, 1);
            cloud.pass(millis);
        };
        tear(&mut cloud, 3 * detect);
        assert_eq!(cloud.said.matches(": 2 cut-off [1]").count(), 2, "{detect}: {}", cloud.said);
        cloud.said.clear();
        // Not long enough, and once more.
        cloud.cut.clear();
        cloud.pass(detect * 3 / 4);
        tear(&mut cloud, 2 * detect);
        cloud.cut.clear();
        let back = cloud.now;
        cloud.pass(3 * detect);
        let held: Vec<u64> = cloud
            .said
            .lines()
            .filter(|line| line.ends_with(": 2 alive (alive)"))
            .map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap() - back)
            .collect();
        assert_eq!((held.len(), cloud.said.lines().count()), (2, 2), "{detect}: {}", cloud.said);
        // And until its next beats, and those that say what it hears.
        let most = detect + 3 * (detect / 10);
        assert!(held.iter().all(|held| (detect..=most).contains(held)), "{detect}: {held:?}");
    }
}

#[test]
fn a_pair_that_does_not_hear_each_other_is_one_verdict_on_all_nodes() {
    let mut cloud = Cloud::settled();
    cloud.both_ways(0, 2, 0);
    cloud.both_ways(0, 2, 1);
    cloud.pass(5000);
    cloud.check(expect_test::expect![[r#"
        2911 0: 2 suspect (silent-here)
        2911 2: 0 suspect (silent-here)
        3111 1: 2 suspect (heard-outside)
        3111 2: 0 alive (heard-elsewhere)
    "#]]);
}

#[test]
fn one_way_is_concluded_as_both_ways() {
    let mut cloud = Cloud::settled();
    cloud.cut.push((0, 2, 1));
    cloud.pass(5000);
    cloud.check(expect_test::expect![[r#"
        3111 0: 2 cut-off [1] (cut-off)
        3111 1: 2 cut-off [1] (cut-off)
    "#]]);
}

#[test]
fn a_node_that_is_cut_off_from_all_accuses_nobody_and_is_accused() {
    let mut cloud = Cloud::settled();
    for (other, network) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        cloud.both_ways(other, 2, network);
    }
    cloud.pass(5000);
    cloud.check(expect_test::expect![[r#"
        2911 0: 2 suspect (silent-here)
        2911 1: 2 unreachable (silent-everywhere)
        2911 0: 2 unreachable (silent-everywhere)
        2911 2: 0 suspect (own-quorum)
        2911 2: 1 suspect (own-quorum)
    "#]]);
}

#[test]
fn a_node_that_stood_still_accuses_nobody() {
    let mut cloud = Cloud::settled();
    let frozen = cloud.nodes[0].take();
    cloud.pass(900);
    cloud.nodes[0] = frozen;
    cloud.pass(3000);
    cloud.check(expect_test::expect![[r#""#]]);
    let member = cloud.nodes[0].as_ref().unwrap();
    assert!(member.watch.stall() >= Duration::from_millis(800));
    assert_eq!(cloud.nodes[1].as_ref().unwrap().watch.tolerance(0), member.watch.tolerance(1));
}

/// Node 0 comes back on a network, first to node 1 and then to node 2: for a moment the part without
/// node 2 is the chosen one. Who stands still in that moment has not seen it last.
#[test]
fn the_time_that_a_node_stood_still_confirms_no_cut() {
    let mut cloud = Cloud::settled();
    cloud.both_ways(0, 1, 1);
    cloud.both_ways(0, 2, 1);
    cloud.pass(3000);
    cloud.cut.retain(|(from, to, _)| from.max(to) != &1);
    cloud.pass(100);
    cloud.cut.clear();
    let is_cut = |cloud: &Cloud| !cloud.nodes[1].as_ref().unwrap().watch.view().cut[2].is_empty();
    while !is_cut(&cloud) {
        cloud.pass(1);
        assert!(cloud.now < 9000, "node 2 is never the odd one out");
    }
    cloud.said.clear();
    let frozen = cloud.nodes[1].take();
    cloud.pass(450);
    cloud.nodes[1] = frozen;
    cloud.pass(2000);
    let said = cloud.said.lines().filter(|line| line.contains(" 1: 2 ")).collect::<Vec<_>>();
    assert!(said.is_empty(), "{}", cloud.said);
}

#[test]
fn refused_beats_are_doubt_within_a_fifth_of_a_second_and_a_beat_ends_it() {
    let mut cloud = Cloud::settled();
    let agent = cloud.nodes[2].take();
    cloud.step(0, Input::Refused { node: 2 });
    cloud.pass(20);
    assert_eq!(cloud.said, "", "one refusal is a restart");
    cloud.pass(30);
    cloud.step(0, Input::Refused { node: 2 });
    cloud.check(expect_test::expect![[r#"
        2050 0: 2 suspect (agent-gone)
    "#]]);
    cloud.nodes[2] = agent;
    cloud.pass(150);
    cloud.check(expect_test::expect![[r#"
        2051 0: 2 alive (alive)
    "#]]);
}

#[test]
fn what_a_node_says_against_itself_is_doubt_everywhere() {
    let mut cloud = Cloud::settled();
    let mut ailments = crate::evidence::Ailments::NONE;
    ailments.set(Ailment::Mount, true);
    cloud.nodes[2].as_mut().unwrap().say_ailments(ailments);
    cloud.pass(3000);
    cloud.nodes[2].as_mut().unwrap().say_ailments(crate::evidence::Ailments::NONE);
    cloud.pass(1000);
    cloud.check(expect_test::expect![[r#"
        4011 0: 2 suspect (ailing)
        4011 1: 2 suspect (ailing)
        5011 0: 2 alive (alive)
        5011 1: 2 alive (alive)
    "#]]);
}

#[test]
fn a_node_whose_servers_all_fail_is_in_doubt_where_that_is_seen() {
    let mut cloud = Cloud::settled();
    cloud.step(0, Input::Failing { node: 1, failing: true });
    cloud.pass(1900);
    assert_eq!(cloud.said, "");
    cloud.pass(500);
    cloud.step(0, Input::Failing { node: 1, failing: false });
    cloud.check(expect_test::expect![[r#"
        4000 0: 1 suspect (not-serving)
        4400 0: 1 alive (alive)
    "#]]);
}

#[test]
fn a_node_that_comes_and_goes_is_quarantined() {
    let mut cloud = Cloud::settled();
    for _ in 0..3 {
        for (other, network) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            cloud.both_ways(other, 2, network);
        }
        cloud.pass(2000);
        cloud.cut.clear();
        cloud.pass(4000);
    }
    cloud.pass(10_000);
    cloud.check(expect_test::expect![[r#"
        2911 0: 2 suspect (silent-here)
        2911 1: 2 unreachable (silent-everywhere)
        2911 0: 2 unreachable (silent-everywhere)
        2911 2: 0 suspect (own-quorum)
        2911 2: 1 suspect (own-quorum)
        4011 2: 1 alive (alive)
        4011 0: 2 alive (alive)
        4011 1: 2 alive (alive)
        4011 2: 0 alive (alive)
        8921 0: 2 suspect (silent-here)
        8921 1: 2 unreachable (silent-everywhere)
        8921 0: 2 unreachable (silent-everywhere)
        8921 2: 0 suspect (own-quorum)
        8921 2: 1 suspect (own-quorum)
        10021 2: 1 alive (alive)
        10021 0: 2 alive (alive)
        10021 1: 2 alive (alive)
        10021 2: 0 alive (alive)
        14931 0: 2 suspect (silent-here)
        14931 1: 2 unreachable (silent-everywhere)
        14931 0: 2 unreachable (silent-everywhere)
        14931 2: 0 suspect (own-quorum)
        14931 2: 1 suspect (own-quorum)
        16031 0: 2 suspect (quarantine)
        16031 1: 2 suspect (quarantine)
        26031 0: 2 alive (alive)
        26031 1: 2 alive (alive)
        26031 2: 0 alive (alive)
        26031 2: 1 alive (alive)
    "#]]);
}

#[test]
fn a_node_in_a_maintenance_window_comes_and_goes_without_quarantine_and_is_judged_truly() {
    let mut cloud = Cloud::settled();
    for observer in [0, 1] {
        cloud.step(observer, Input::Planned { node: 2, planned: true });
    }
    for _ in 0..3 {
        for (other, network) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            cloud.both_ways(other, 2, network);
        }
        cloud.pass(2000);
        cloud.cut.clear();
        cloud.pass(4000);
    }
    cloud.check(expect_test::expect![[r#"
        2911 0: 2 suspect (silent-here)
        2911 1: 2 unreachable (silent-everywhere)
        2911 0: 2 unreachable (silent-everywhere)
        2911 2: 0 suspect (own-quorum)
        2911 2: 1 suspect (own-quorum)
        4011 2: 1 alive (alive)
        4011 0: 2 alive (alive)
        4011 1: 2 alive (alive)
        4011 2: 0 alive (alive)
        8921 0: 2 suspect (silent-here)
        8921 1: 2 unreachable (silent-everywhere)
        8921 0: 2 unreachable (silent-everywhere)
        8921 2: 0 suspect (own-quorum)
        8921 2: 1 suspect (own-quorum)
        10021 2: 1 alive (alive)
        10021 0: 2 alive (alive)
        10021 1: 2 alive (alive)
        10021 2: 0 alive (alive)
        14931 0: 2 suspect (silent-here)
        14931 1: 2 unreachable (silent-everywhere)
        14931 0: 2 unreachable (silent-everywhere)
        14931 2: 0 suspect (own-quorum)
        14931 2: 1 suspect (own-quorum)
        16031 0: 2 alive (alive)
        16031 1: 2 alive (alive)
    "#]]);
}

#[test]
fn a_committed_proof_is_a_fact_until_the_store_takes_it_back() {
    let mut cloud = Cloud::settled();
    let proof = Proof::committed(5.try_into().unwrap(), verdict::Death::Operator);
    cloud.step(0, Input::Proven { node: 2, proof: Some(proof) });
    cloud.pass(500);
    cloud.step(0, Input::Proven { node: 2, proof: None });
    cloud.check(expect_test::expect![[r#"
        2000 0: 2 proven-dead (proven-dead)
        2500 0: 2 alive (alive)
    "#]]);
}

/// Or a node that stood still once would be slow to find out for the rest of its life.
#[test]
fn a_stall_is_forgotten_within_ten_seconds() {
    let mut member = member(0, 100, at(0));
    let step = |member: &mut Member, now| member.step(now, Input::Timeout, &mut Buffer::new());
    step(&mut member, at(0));
    step(&mut member, at(600));
    assert_eq!(member.watch.stall(), Duration::from_millis(500));
    while member.deadline() < at(10_600) {
        let due = member.deadline();
        step(&mut member, due);
    }
    assert_eq!(member.watch.stall(), Duration::ZERO);
}

/// Node 1 has lost node 2 when its agent starts again, and does not hear the new one for a while: what node 1
/// says is about the former life.
#[test]
fn a_new_life_has_the_detection_time_before_rows_count_against_it() {
    let mut cloud = Cloud::settled();
    cloud.nodes[2] = None;
    cloud.pass(1100);
    cloud.said.clear();
    cloud.nodes[2] = Some(member(2, 101, at(cloud.now)));
    cloud.cut = vec![(2, 1, 0), (2, 1, 1)];
    cloud.pass(600);
    let cut = cloud.nodes[0].as_ref().unwrap().watch.reach.view(crate::reach::Nodes::NONE).cut[2];
    assert_eq!(
        cut.iter().collect::<Vec<_>>(),
        [0, 1],
        "the row of node 1 is about the former life"
    );
    cloud.cut.clear();
    cloud.pass(3000);
    let accusing = ["cut-off", "heard-outside", "unreachable"];
    let is_accused = accusing.iter().any(|word| cloud.said.contains(word));
    assert!(!is_accused, "{}", cloud.said);
    assert_eq!(cloud.nodes[0].as_ref().unwrap().opinion(2).verdict, Verdict::Alive);
}

/// Youth ends: who is not heard by another all the time is told apart then.
#[test]
fn who_is_heard_by_some_and_outside_everywhere_is_doubt_and_no_cut() {
    let mut cloud = Cloud::settled();
    cloud.nodes[2] = None;
    cloud.pass(1100);
    cloud.nodes[2] = Some(member(2, 101, at(cloud.now)));
    cloud.cut = vec![(2, 1, 0), (2, 1, 1)];
    cloud.said.clear();
    cloud.pass(4000);
    let said = cloud.said.lines().filter(|line| line.contains(": 2 ")).collect::<Vec<_>>();
    expect_test::expect![[r#"
        3101 0: 2 alive (alive)
        3101 1: 2 suspect (silent-here)
        3111 1: 2 alive (heard-elsewhere)
        4501 0: 2 suspect (heard-outside)
        4501 1: 2 suspect (heard-outside)"#]]
    .assert_eq(&said.join("\n"));
}
