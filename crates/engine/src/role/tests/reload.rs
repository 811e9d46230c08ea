//! A configuration comes into force, or does not.

use super::*;

#[test]
fn a_good_configuration_takes_over_through_its_own_spare() {
    let mut story = Story::running(config());
    story.give(reload(2, true, true));
    story.pass(30);
    story.give(Input::Ready { slot: 5 });
    story.pass(3);
    story.give(Input::Serving { slot: 5 });
    story.give(Input::Exited { slot: 4 });
    story.pass(10);
    story.give(Input::Exited { slot: 2 });
    story.give(Input::Exited { slot: 3 });
    story.give(Input::Ready { slot: 6 });
    story.pass(70_000);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 5 of 2, spare
        20030 Activate { slot: 5 }
        20033 Reloaded { generation: 2 }
        20033 Drain { slot: 1 }
        20033 Retire { slot: 2 }
        20033 Retire { slot: 3 }
        20033 Kill { slot: 4 }
        20033 spawn Proxy 6 of 2, spare
        20043 spawn Vip 7 of 2
        20043 spawn Agent 8 of 2
        80033 Kill { slot: 1 }
    "#]]);
    assert_eq!(story.roles.generation(), 2);
}

#[test]
fn a_configuration_that_is_not_ready_in_5_s_leaves_the_old_one_in_force() {
    let mut story = Story::running(proxy_only());
    story.give(reload(2, false, false));
    story.pass(6000);
    story.give(Input::Exited { slot: 3 });
    story.pass(100);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 3 of 2, spare
        25000 Kill { slot: 3 }
        25000 lost Proxy 3: NotReady
        25000 ReloadFailed { generation: 2, loss: NotReady }
    "#]]);
    assert_eq!((story.roles.generation(), story.roles.slot_of(Part::Proxy)), (1, Some(1)));
}

#[test]
fn a_configuration_whose_proxy_exits_leaves_the_old_one_in_force() {
    let mut story = Story::running(proxy_only());
    story.give(reload(2, false, false));
    story.give(Input::Exited { slot: 3 });
    story.pass(10_000);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 3 of 2, spare
        20000 lost Proxy 3: Exited
        20000 ReloadFailed { generation: 2, loss: Exited }
    "#]]);
}

#[test]
fn a_newer_configuration_replaces_one_on_its_way() {
    let mut story = Story::running(config());
    story.give(reload(2, true, false));
    story.give(reload(3, false, false));
    story.give(Input::Ready { slot: 5 });
    story.serve(6);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 5 of 2, spare
        20000 Kill { slot: 5 }
        20000 ReloadFailed { generation: 2, loss: Superseded }
        20000 spawn Proxy 6 of 3, spare
        20000 Activate { slot: 6 }
        20000 Reloaded { generation: 3 }
        20000 Drain { slot: 1 }
        20000 Retire { slot: 2 }
        20000 Kill { slot: 4 }
        20000 spawn Proxy 7 of 3, spare
    "#]]);
}

#[test]
fn a_proxy_that_dies_during_a_reload_is_replaced_by_the_old_spare() {
    let mut story = Story::running(proxy_only());
    story.give(reload(2, false, false));
    story.pass(10);
    story.give(Input::Exited { slot: 1 });
    story.give(Input::Serving { slot: 2 });
    story.pass(10);
    story.serve(3);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 3 of 2, spare
        20010 lost Proxy 1: Exited
        20010 Activate { slot: 2 }
        20010 tell Replacing
        20010 tell Serving
        20020 Activate { slot: 3 }
        20020 Reloaded { generation: 2 }
        20020 Drain { slot: 2 }
        20020 spawn Proxy 4 of 2, spare
    "#]]);
}

#[test]
fn reloads_in_a_loop_do_not_fill_the_machine() {
    let mut story = Story::running(proxy_only());
    for generation in 2..30 {
        story.give(reload(generation, false, false));
        let slot = story.roles.next_slot - 1;
        story.serve(slot);
        story.pass(20);
        let killed: Vec<u32> = story
            .roles
            .processes
            .iter()
            .filter(|p| p.phase == Phase::Killed)
            .map(|p| p.slot)
            .collect();
        for slot in killed {
            story.give(Input::Exited { slot });
        }
        assert!(story.roles.processes.len() <= MAX_DRAINING + 3, "{:?}", story.roles.processes);
    }
}

#[test]
fn without_a_proxy_a_configuration_is_in_force_at_once() {
    let mut story = Story::new(Config { proxy: false, ..config() });
    story.pass(100);
    story.said.clear();
    story.give(reload(2, true, false));
    story.pass(2500);
    story.give(Input::Exited { slot: 1 });
    story.check(expect_test::expect![[r#"
        100 Reloaded { generation: 2 }
        100 Retire { slot: 1 }
        2100 Kill { slot: 1 }
        2600 spawn Vip 3 of 2
    "#]]);
}

#[test]
fn while_a_new_configuration_comes_nobody_is_started_for_the_old_one() {
    let mut story = Story::running(proxy_only());
    story.give(reload(2, false, false));
    story.give(Input::Exited { slot: 2 });
    story.give(Input::Exited { slot: 1 });
    story.pass(50);
    story.serve(3);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 3 of 2, spare
        20000 lost Proxy 2: Exited
        20000 lost Proxy 1: Exited
        20000 tell Replacing
        20050 Activate { slot: 3 }
        20050 Reloaded { generation: 2 }
        20050 spawn Proxy 4 of 2, spare
        20050 tell Serving
    "#]]);
}

#[test]
fn if_the_new_configuration_fails_too_the_old_one_is_started_again() {
    let mut story = Story::running(proxy_only());
    story.give(reload(2, false, false));
    story.give(Input::Exited { slot: 2 });
    story.give(Input::Exited { slot: 1 });
    story.give(Input::Exited { slot: 3 });
    story.pass(50);
    story.check(expect_test::expect![[r#"
        20000 spawn Proxy 3 of 2, spare
        20000 lost Proxy 2: Exited
        20000 lost Proxy 1: Exited
        20000 tell Replacing
        20000 lost Proxy 3: Exited
        20000 ReloadFailed { generation: 2, loss: Exited }
        20010 spawn Proxy 4 of 1
    "#]]);
}

#[test]
fn a_good_configuration_ends_the_pause_of_a_bad_one() {
    let mut story = Story::running(proxy_only());
    for slot in 2..9 {
        story.give(Input::Exited { slot });
        story.pass(700);
    }
    story.said.clear();
    story.give(Input::Exited { slot: 9 });
    story.give(reload(2, false, false));
    story.serve(10);
    story.check(expect_test::expect![[r#"
        24900 lost Proxy 9: Exited
        24900 spawn Proxy 10 of 2, spare
        24900 Activate { slot: 10 }
        24900 Reloaded { generation: 2 }
        24900 Drain { slot: 1 }
        24900 spawn Proxy 11 of 2, spare
    "#]]);
}
