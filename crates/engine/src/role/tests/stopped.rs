use super::*;

#[test]
fn a_proxy_that_somebody_stopped_is_replaced_after_50_ms() {
    let mut story = Story::running(proxy_only());
    story.frozen.push(1);
    story.give(Input::Stopped { slot: 1 });
    story.pass(51);
    story.give(Input::Serving { slot: 2 });
    story.give(Input::Exited { slot: 1 });
    story.pass(20);
    story.check(expect_test::expect![[r#"
        20050 Kill { slot: 1 }
        20050 lost Proxy 1: Stopped
        20050 Activate { slot: 2 }
        20050 tell Replacing
        20051 tell Serving
        20060 spawn Proxy 3 of 1, spare
    "#]]);
}

#[test]
fn a_proxy_that_goes_on_within_50_ms_stays_and_so_does_a_vip_process_that_was_stopped() {
    let mut story = Story::running(config());
    for _ in 0..20 {
        story.give(Input::Stopped { slot: 1 });
        story.pass(45);
        story.give(Input::Continued { slot: 1 });
        story.pass(5);
    }
    story.give(Input::Stopped { slot: 2 });
    story.pass(200);
    story.check(expect_test::expect![[""]]);
}

#[test]
fn a_stopped_spare_is_replaced_before_it_is_needed() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Stopped { slot: 2 });
    story.pass(50);
    story.give(Input::Exited { slot: 2 });
    story.pass(20);
    story.check(expect_test::expect![[r#"
        20050 Kill { slot: 2 }
        20050 lost Proxy 2: Stopped
        20060 spawn Proxy 3 of 1, spare
    "#]]);
}

#[test]
fn a_supervisor_that_stood_still_with_its_proxy_gives_that_its_time_again() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Stopped { slot: 1 });
    story.now += 1000;
    story.give(Input::Timeout);
    story.give(Input::Continued { slot: 1 });
    story.pass(500);
    story.check(expect_test::expect![[""]]);
}

#[test]
fn a_vip_process_that_is_stopped_waits_for_no_kernel() {
    let mut story = Story::running(config());
    story.give(Input::Busy { slot: 2 });
    story.give(Input::Stopped { slot: 2 });
    story.frozen.push(2);
    story.pass(420);
    story.check(expect_test::expect![[r#"
        20400 Kill { slot: 2 }
        20400 lost Vip 2: Frozen
    "#]]);
}
