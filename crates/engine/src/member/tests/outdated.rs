//! A node whose number is smaller than what was heard from it.

use super::*;

#[test]
fn a_node_that_speaks_under_an_old_number_for_10_s_is_told_once_a_minute() {
    let mut story = Story::new();
    story.pass(500, &[(1, 0)]);
    story.restart(1, 40);
    story.pass(90_000, &[(1, 0)]);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        1500 node 1 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: never heard)
        10750 node 1 40 < 100
        70750 node 1 40 < 100
    "#]]);
}

#[test]
fn late_beats_of_the_process_before_are_no_news() {
    let mut story = Story::new();
    story.pass(500, &[(1, 0)]);
    let late = [beat(&mut story.peers[1], 0), beat(&mut story.peers[1], 0)];
    story.restart(1, 140);
    for bytes in late {
        story.pass(20_000, &[(1, 0)]);
        story.give(Input::Packet { network: 0, bytes: &bytes });
    }
    story.pass(20_000, &[(1, 0)]);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        750 node 1 Alive: its agent has restarted
    "#]]);
}
