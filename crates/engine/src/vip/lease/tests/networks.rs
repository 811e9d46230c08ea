//! A node that is gone from one network alone.

use super::*;

impl Trio {
    /// What clients have of this node is silent: nothing comes from it, or nothing to it, on their network.
    fn quiet(&mut self, node: usize, from: bool, to: bool) {
        for other in (0..3).filter(|other| *other != node) {
            self.quiet[node][other] |= from;
            self.quiet[other][node] |= to;
        }
    }
}

#[test]
fn a_holder_whose_clients_network_is_silent_hands_over_within_30_ms() {
    // At every moment of a beat.
    for at in (0..20).map(|half| ms(300) + Duration::from_micros(500) * half) {
        let mut trio = Trio::held();
        trio.run_to(at);
        trio.quiet(0, true, true);
        let since = trio.now;
        while trio.machines[1].until(0).max(trio.machines[2].until(0)) == Time::ZERO {
            trio.run_for(1);
            let took = trio.now.since(since);
            assert!(took < Duration::from_millis(30), "{since}: {took:?}, {}", trio.story);
        }
        assert_eq!(trio.machines[0].view(0).unwrap().cause, Some(Cause::Unheard));
        let next = trio.holders()[0];
        assert_eq!(trio.machines[next].view(0).unwrap().cause, Some(Cause::Named));
        trio.quiet = [[false; 3]; 3];
        trio.run_for(500);
        assert_eq!(trio.holders(), [next], "who is heard again takes nothing back");
    }
}

#[test]
fn one_direction_of_the_clients_network_is_enough() {
    for (from, to) in [(true, false), (false, true)] {
        let mut trio = Trio::held();
        trio.run(300);
        trio.quiet(0, from, to);
        trio.run(340);
        assert!(matches!(trio.holders()[..], [1 | 2]), "{:?}", trio.holders());
        assert_eq!(trio.machines[0].view(0).unwrap().cause, Some(Cause::Unheard));
    }
}

#[test]
fn where_nobody_is_better_off_it_stays() {
    // The whole network, at every moment of a beat: whoever is missed first.
    for half in 0..20 {
        let mut trio = Trio::held();
        trio.run_to(ms(300) + Duration::from_micros(500) * half);
        (0..3).for_each(|node| trio.quiet(node, true, true));
        trio.comes_to(800, Some(0));
        trio.quiet = [[false; 3]; 3];
        trio.comes_to(900, Some(0));
    }
    // One other.
    let mut trio = Trio::held();
    trio.run(900);
    trio.quiet(1, true, true);
    trio.comes_to(1400, Some(0));
    // Of two it is not known which of them it is.
    let mut trio = Trio::held();
    trio.isolate(2);
    trio.run(400);
    trio.quiet(0, true, true);
    trio.comes_to(900, Some(0));
    // Who is better off could not hold it.
    let mut trio = Trio::held();
    (1..3).for_each(|node| trio.carrier(node, false));
    trio.run(400);
    trio.quiet(0, true, true);
    trio.comes_to(900, Some(0));
    trio.carrier(2, true);
    trio.comes_to(920, Some(2));
}

#[test]
fn a_network_without_clients_and_a_holder_that_stood_still_move_nothing() {
    let mut trio = Trio::of(|config| config.seats[0].networks = 1 << 1);
    trio.comes_to(400, Some(0));
    trio.quiet(0, true, true);
    trio.comes_to(900, Some(0));
    for pause in 20..35 {
        let mut trio = Trio::held();
        trio.run(300);
        trio.paused[0] = ms(300 + pause);
        trio.run(900);
        let cause = trio.machines[0].view(0).unwrap().cause;
        assert_ne!(cause, Some(Cause::Unheard), "after {pause} ms");
    }
}

#[test]
fn beats_that_are_late_or_lost_on_one_network_now_and_then_move_nothing() {
    let mut trio = Trio::held();
    for round in 0..100 {
        trio.quiet(0, true, false);
        trio.run_for(10);
        trio.quiet = [[false; 3]; 3];
        trio.run_for(10 + round % 10);
        assert_eq!(trio.holders(), [0]);
    }
}

#[test]
fn who_is_gone_from_the_clients_network_stands_after_those_who_are_not_and_is_named_last() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.quiet(1, true, true);
    trio.run(400);
    assert_eq!(trio.machines[0].heir(0), Some(2), "1 would come first");
    trio.isolate(0);
    trio.comes_to(500, Some(2));
    // Nobody else could.
    trio.cut = [[false; 3]; 3];
    trio.carrier(0, false);
    trio.comes_to(600, Some(2));
    trio.step(2, Input::Standby(true));
    trio.comes_to(620, Some(1));
}
