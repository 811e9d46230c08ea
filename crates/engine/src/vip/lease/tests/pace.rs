use super::super::pace::{CALM, Pace};
use super::*;

const SHORT: Duration = Duration::from_millis(2);
/// Of beats of 2 ms.
const SHORT_SPAN: Duration = Duration::from_millis(7);
const IN_TIME: Duration = Duration::from_micros(400);
/// Five times that are 5 ms.
const LATE: Duration = Duration::from_millis(1);

fn short(config: &mut Config) {
    (config.beat, config.span) = (SHORT, SHORT_SPAN);
}

fn tell(trio: &mut Trio, node: usize, usual: Duration) {
    trio.step(node, Input::Late(Some(usual)));
}

/// Beat and vip lease of each node.
fn beats(trio: &Trio) -> [(u64, u64); 3] {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap();
    [0, 1, 2].map(|node| {
        let Pace { beat, span, .. } = trio.machines[node].pace();
        (micros(beat), micros(span))
    })
}

/// Awake, node 0 holds, and all beat each 2 ms.
fn quick() -> Trio {
    let mut trio = Trio::of(short);
    trio.run(AWAKE + 60);
    assert_eq!(trio.holders(), [0]);
    (0..3).for_each(|node| tell(&mut trio, node, IN_TIME));
    trio.run(AWAKE + 120);
    assert_eq!(beats(&trio), [(2000, 7000); 3]);
    trio.told = true;
    trio
}

#[test]
fn beats_are_as_short_as_the_file_says_once_all_are_known_to_be_in_time_for_it() {
    let mut trio = Trio::of(short);
    trio.run(AWAKE + 60);
    trio.told = true;
    assert_eq!(beats(&trio), [(10_000, 35_000); 3], "nobody knows how late it is");
    tell(&mut trio, 0, IN_TIME);
    tell(&mut trio, 1, IN_TIME);
    trio.run_for(50);
    assert_eq!(beats(&trio), [(10_000, 35_000); 3]);
    let pace = trio.machines[0].pace();
    assert_eq!((pace.wish, pace.slowest), (SHORT, Some(2)));
    tell(&mut trio, 2, IN_TIME);
    trio.run_for(50);
    assert_eq!(beats(&trio), [(2000, 7000); 3]);
    assert_eq!(trio.machines[0].pace().slowest, None);
    trio.check(expect![[""]]);
}

#[test]
fn a_beat_is_five_times_what_one_in_a_thousand_exceeds_and_never_above_the_usual_one() {
    let (us, mut trio) = (Duration::from_micros, Trio::of(short));
    let mut now = ms(1000);
    for (usual, wish) in [(400, 2), (401, 3), (600, 3), (601, 4), (1900, 10), (90_000, 10), (1, 2)]
    {
        now += CALM;
        trio.now = now;
        tell(&mut trio, 0, us(usual));
        let pace = trio.machines[0].pace();
        assert_eq!(pace.wish, Duration::from_millis(wish), "{usual} us");
        assert_eq!(pace.usual, Some(us(usual)));
    }
    trio.step(0, Input::Late(None));
    assert_eq!(trio.machines[0].pace().wish, BEAT, "it is not known any more");
    // What the file says is not short: nothing is refused.
    let mut trio = Trio::new();
    tell(&mut trio, 0, us(90_000));
    assert_eq!((trio.machines[0].pace().wish, trio.machines[0].pace().span), (BEAT, SPAN));
}

#[test]
fn who_is_late_is_so_at_once_and_in_time_again_only_after_a_while() {
    let mut trio = quick();
    tell(&mut trio, 1, LATE);
    trio.run_for(50);
    assert_eq!(beats(&trio), [(5000, 17_500); 3]);
    tell(&mut trio, 1, IN_TIME);
    trio.run_for(50);
    assert_eq!(beats(&trio), [(5000, 17_500); 3]);
    trio.run_for(10_000);
    tell(&mut trio, 1, IN_TIME);
    trio.run_for(50);
    assert_eq!(beats(&trio), [(2000, 7000); 3]);
    trio.check(expect![[""]]);
}

#[test]
fn beats_become_longer_and_shorter_at_every_moment_and_the_address_stays() {
    for node in 0..3 {
        for phase in (0..4000).step_by(700) {
            let mut trio = quick();
            trio.run_to(trio.now + Duration::from_micros(phase));
            tell(&mut trio, node, BEAT);
            trio.run_for(120);
            assert_eq!(beats(&trio), [(10_000, 35_000); 3]);
            // As its next process is, which nobody has measured yet.
            trio.run_to(trio.now + CALM + Duration::from_micros(phase * 3));
            tell(&mut trio, node, IN_TIME);
            trio.run_for(60);
            assert_eq!(beats(&trio), [(2000, 7000); 3], "node {node} {phase} us");
            trio.check(expect![[""]]);
        }
    }
}

#[test]
fn a_process_that_starts_anew_slows_all_down_until_it_is_measured_and_takes_nothing() {
    let mut trio = quick();
    trio.restart_with(2, true, short);
    trio.run_for(300);
    assert_eq!(beats(&trio), [(10_000, 35_000); 3]);
    tell(&mut trio, 2, IN_TIME);
    trio.run_for(50);
    assert_eq!(beats(&trio), [(2000, 7000); 3]);
    trio.check(expect![[""]]);
}

#[test]
fn with_beats_of_2_ms_a_gone_node_is_followed_within_13_ms_at_every_moment() {
    for phase in (0..2000).step_by(100) {
        let mut trio = quick();
        trio.run_to(trio.now + Duration::from_micros(phase));
        let gone = trio.now;
        trio.isolate(0);
        while trio.holders() != [1] {
            trio.run_to(trio.now + Duration::from_micros(100));
            assert!(trio.now.since(gone) < Duration::from_millis(13), "{phase} us");
        }
    }
}

#[test]
fn a_slow_node_that_is_gone_slows_nobody_down_after_a_second() {
    let mut trio = quick();
    tell(&mut trio, 2, LATE);
    trio.run_for(50);
    assert_eq!(beats(&trio), [(5000, 17_500); 3]);
    trio.isolate(2);
    trio.run_for(900);
    assert_eq!(beats(&trio)[..2], [(5000, 17_500); 2]);
    trio.run_for(300);
    assert_eq!(beats(&trio)[..2], [(2000, 7000); 2]);
    // When it is heard again nobody loses anything.
    trio.cut = [[false; 3]; 3];
    trio.run_for(100);
    assert_eq!(beats(&trio)[..2], [(5000, 17_500); 2]);
    trio.check(expect![[""]]);
}

#[test]
fn who_ends_in_order_slows_nobody_down() {
    let mut trio = quick();
    tell(&mut trio, 2, BEAT);
    trio.run_for(100);
    trio.step(2, Input::Stop);
    // Its last beat says so.
    trio.run_for(12);
    trio.isolate(2);
    trio.run_for(50);
    assert_eq!(beats(&trio)[..2], [(2000, 7000); 2]);
    trio.check(expect![[""]]);
}

/// The holder does not know why, but that grants come less often.
#[test]
fn a_vip_lease_is_as_long_as_the_slowest_beat_that_is_heard_needs() {
    let mut trio = quick();
    (trio.cut[2][0], trio.cut[0][2]) = (true, true);
    trio.run_for(1200);
    tell(&mut trio, 2, BEAT);
    trio.run_for(100);
    assert_eq!(beats(&trio), [(2000, 35_000), (10_000, 35_000), (10_000, 35_000)]);
    assert_eq!(trio.holders(), [0]);
    trio.check(expect![[""]]);
}

/// Of a release that knows of no wishes, or whose file says nothing of beats.
#[test]
fn who_says_nothing_of_a_wish_beats_as_it_wishes() {
    let mut trio = quick();
    trio.restart(2, true);
    trio.run_for(400);
    assert_eq!(beats(&trio)[..2], [(10_000, 35_000); 2]);
    assert_eq!(trio.machines[0].pace().slowest, Some(2));
    let mut body = [0; MAX_BODY];
    let length = trio.machines[2].beat(0, &mut body);
    assert_eq!(length, 48 + 8 * usize::from(NETWORKS) + 16, "as it was before");
    let length = trio.machines[0].beat(2, &mut body);
    assert_eq!(length, 48 + 8 * usize::from(NETWORKS) + 2 + 16);
    trio.check(expect![[""]]);
}

#[test]
fn with_beats_of_2_ms_a_holder_whose_clients_network_is_silent_hands_over_within_8_ms() {
    for phase in (0..2000).step_by(100) {
        let mut trio = quick();
        trio.run_to(trio.now + Duration::from_micros(phase));
        let silent = trio.now;
        for other in 1..3 {
            (trio.quiet[0][other], trio.quiet[other][0]) = (true, true);
        }
        while trio.machines[1].until(0).max(trio.machines[2].until(0)) == Time::ZERO {
            trio.run_to(trio.now + Duration::from_micros(100));
            let took = trio.now.since(silent);
            assert!(took < Duration::from_millis(8), "{phase} us: {took:?}, {}", trio.story);
        }
    }
}
