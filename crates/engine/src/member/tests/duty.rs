//! What nodes say of themselves: what they hold, whether they take on work.

use super::*;
use crate::duty::Duty;

#[test]
fn an_agent_that_is_replaced_tells_the_duty_of_each_node_anew() {
    let mut story = Story::new();
    story.give(Input::Known { node: 1, standing: Standing::Alive });
    story.pass(750, &ALL);
    // It may have changed while nobody heard it: balancers know the former one.
    story.check(expect_test::expect![[r#"
        250 node 1 is On
        250 node 2 Alive: its first beat came
    "#]]);
}

#[test]
fn what_a_peer_is_meant_to_do_is_told_at_once_and_remembered_when_it_is_gone() {
    let mut story = Story::new();
    story.pass(250, &ALL);
    story.peers[1].say_duty(Duty::Standby);
    story.pass(250, &ALL);
    story.peers[1].say_duty(Duty::On);
    story.peers[2].say_duty(Duty::Draining);
    story.pass(250, &ALL);
    story.pass(1500, &[]);
    assert_eq!([1, 2].map(|node| story.member.duty(node)), [Duty::On, Duty::Draining]);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 2 Alive: its first beat came
        500 node 1 is Standby
        750 node 1 is On
        750 node 2 is Draining
        1750 node 1 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
        1750 node 2 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
    "#]]);
}

#[test]
fn what_a_peer_holds_is_known_as_long_as_it_lives() {
    let mut story = Story::new();
    story.peers[1].say_holds(0b101);
    story.pass(250, &ALL);
    story.peers[1].say_holds(0b1);
    story.pass(250, &ALL);
    assert_eq!(story.member.holds(1), 1);
    story.pass(1500, &[]);
    assert_eq!(story.member.holds(1), 0);
    story.check(expect_test::expect![[r#"
        250 node 1 Alive: its first beat came
        250 node 1 holds 101
        250 node 2 Alive: its first beat came
        500 node 1 holds 1
        1500 node 1 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
        1500 node 2 Suspect: no beat for 1 s on any network (management: 1.0 s, storage: 1.0 s)
    "#]]);
}
