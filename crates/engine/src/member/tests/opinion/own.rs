//! With reference points that are gone.

use super::*;

/// Cut off from both others, on both networks.
fn alone(cloud: &mut Cloud, node: u16) {
    for other in (0..3).filter(|other| *other != node) {
        (0..2).for_each(|network| cloud.both_ways(other, node, network));
    }
}

#[test]
fn without_reference_points_and_a_majority_a_node_doubts_nobody_anew() {
    let mut cloud = Cloud::settled();
    alone(&mut cloud, 2);
    cloud.pass(800);
    cloud.step(2, Input::Reference { answers: false });
    cloud.pass(4200);
    cloud.check(expect_test::expect![[r#"
        2911 0: 2 suspect (silent-here)
        2911 1: 2 unreachable (silent-everywhere)
        2911 0: 2 unreachable (silent-everywhere)
    "#]]);
    let node = cloud.nodes[2].as_ref().unwrap();
    for other in [0, 1] {
        let stays = (node.standing(other), node.opinion(other).rule.name);
        assert_eq!(stays, (Standing::Alive, "own-reference"));
    }
    let reasons: Vec<_> = node.against_itself(at(cloud.now)).iter().collect();
    assert_eq!(reasons, [crate::own::Reason::Majority, crate::own::Reason::Reference]);
    // One answer: it is the others that are gone, as far as this node can tell.
    cloud.step(2, Input::Reference { answers: true });
    cloud.pass(1000);
    cloud.check(expect_test::expect![[r#"
        7500 2: 0 suspect (own-quorum)
        7500 2: 1 suspect (own-quorum)
    "#]]);
}

#[test]
fn a_majority_outweighs_reference_points_that_are_gone() {
    let mut cloud = Cloud::settled();
    (0..3).for_each(|node| cloud.step(node, Input::Reference { answers: false }));
    cloud.pass(3000);
    cloud.check(expect_test::expect![[""]]);
    let trusts = |cloud: &Cloud, node: usize| {
        cloud.nodes[node].as_ref().unwrap().against_itself(at(cloud.now)).is_empty()
    };
    assert!((0..3).all(|node| trusts(&cloud, node)));
    cloud.nodes[2] = None;
    cloud.pass(3000);
    assert!(cloud.said.contains(" 0: 2 unreachable (silent-everywhere)"), "{}", cloud.said);
    assert!(cloud.said.contains(" 1: 2 unreachable (silent-everywhere)"), "{}", cloud.said);
}

#[test]
fn a_point_that_comes_and_goes_delays_no_verdict_of_who_has_a_majority() {
    let run = |flaps: bool| {
        let mut cloud = Cloud::settled();
        cloud.nodes[2] = None;
        for round in 0..12 {
            if flaps {
                for node in 0..2 {
                    cloud.step(node, Input::Reference { answers: round % 2 == 1 });
                }
            }
            cloud.pass(250);
            let node = cloud.nodes[0].as_ref().unwrap();
            assert!(node.against_itself(at(cloud.now)).is_empty(), "round {round}");
        }
        cloud.said
    };
    assert!(run(false).contains("2 unreachable"));
    assert_eq!(run(true), run(false));
}
