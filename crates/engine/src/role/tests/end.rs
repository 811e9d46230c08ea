//! The node ends in order.

use super::*;

#[test]
fn the_end_goes_from_the_address_to_the_agent() {
    let mut story = Story::running(config());
    story.give(Input::Stop { drain: Duration::from_secs(5) });
    story.pass(10);
    story.give(Input::Exited { slot: 2 });
    story.pass(10);
    story.give(Input::Exited { slot: 4 });
    story.pass(5000);
    story.give(Input::Exited { slot: 1 });
    story.give(Input::Exited { slot: 3 });
    story.pass(60_000);
    story.check(expect_test::expect![[r#"
        20000 Kill { slot: 4 }
        20000 Stop { slot: 2 }
        20010 Drain { slot: 1 }
        25010 Kill { slot: 1 }
        25020 Stop { slot: 3 }
        25020 Done
    "#]]);
}

#[test]
fn whoever_asks_twice_gets_a_quicker_end() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Stop { drain: Duration::from_secs(60) });
    story.give(Input::Exited { slot: 2 });
    story.pass(100);
    story.give(Input::Stop { drain: Duration::ZERO });
    story.give(Input::Exited { slot: 1 });
    story.check(expect_test::expect![[r#"
        20000 Kill { slot: 2 }
        20000 Drain { slot: 1 }
        20100 Kill { slot: 1 }
        20100 Done
    "#]]);
}

#[test]
fn a_stuck_vip_process_does_not_stop_the_end() {
    let mut story = Story::running(config());
    story.give(Input::Stop { drain: Duration::ZERO });
    story.pass(3000);
    assert!(story.said.contains("22000 Kill { slot: 2 }"), "{}", story.said);
}

#[test]
fn sessions_of_an_old_generation_get_no_longer_than_the_others() {
    let mut story = Story::running(proxy_only());
    story.give(reload(2, false, false));
    story.serve(3);
    story.give(Input::Exited { slot: 2 });
    story.give(Input::Stop { drain: Duration::from_secs(5) });
    story.give(Input::Exited { slot: 4 });
    story.pass(6000);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 3 of 2, spare
        20000 Activate { slot: 3 }
        20000 Reloaded { generation: 2 }
        20000 Drain { slot: 1 }
        20000 Kill { slot: 2 }
        20000 spawn Proxy 4 of 2, spare
        20000 Kill { slot: 4 }
        20000 Drain { slot: 3 }
        25000 Kill { slot: 1 }
        25000 Kill { slot: 3 }
    "#]]);
}

#[test]
fn impatience_counts_before_the_sessions_turn_has_come() {
    let mut story = Story::running(config());
    story.give(Input::Stop { drain: Duration::from_secs(60) });
    story.give(Input::Stop { drain: Duration::from_secs(1) });
    story.give(Input::Exited { slot: 2 });
    story.give(Input::Exited { slot: 4 });
    story.pass(1500);
    story.check(expect_test::expect![[r#"
        20000 Kill { slot: 4 }
        20000 Stop { slot: 2 }
        20000 Drain { slot: 1 }
        21000 Kill { slot: 1 }
    "#]]);
}
