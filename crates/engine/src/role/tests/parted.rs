use super::*;

#[test]
fn the_spare_takes_over_when_the_channel_of_a_proxy_closes_and_its_end_is_no_second_loss() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Parted { slot: 1 });
    story.pass(1);
    story.give(Input::Serving { slot: 2 });
    story.pass(10);
    story.give(Input::Exited { slot: 1 });
    story.pass(20);
    story.check(expect_test::expect![[r#"
        20000 lost Proxy 1: Parted
        20000 Activate { slot: 2 }
        20000 tell Replacing
        20001 tell Serving
        20010 spawn Proxy 3 of 1, spare
    "#]]);
}

#[test]
fn who_closed_its_channel_and_lives_is_killed_after_two_seconds() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Parted { slot: 1 });
    story.give(Input::Serving { slot: 2 });
    story.pass(2_000);
    assert!(story.said.contains("22000 Kill { slot: 1 }"), "{}", story.said);
}

#[test]
fn a_spare_and_who_ends_in_order_may_close_their_channel() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Parted { slot: 2 });
    story.give(Input::Stop { drain: Duration::from_secs(5) });
    story.give(Input::Parted { slot: 1 });
    story.give(Input::Exited { slot: 1 });
    story.give(Input::Exited { slot: 2 });
    assert!(!story.said.contains("lost"), "{}", story.said);
}
