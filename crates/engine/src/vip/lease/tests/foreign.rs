//! A router that does not vote and holds the address.

use super::*;

impl Trio {
    fn foreign(&mut self, node: usize, span: u64) {
        self.step(node, Input::Foreign { vip: 0, span: Duration::from_millis(span) });
    }
}

#[test]
fn a_foreign_holder_is_a_veto_for_who_hears_it_and_takes_it_from_nobody() {
    let mut trio = Trio::held();
    (0..3).for_each(|node| trio.foreign(node, 500));
    trio.comes_to(600, Some(0));
    // Nobody is named, and nobody asks, while it speaks.
    assert_eq!(trio.machines[0].heir(0), None);
    for _ in 0..5 {
        (0..3).for_each(|node| trio.foreign(node, 200));
        trio.run_for(100);
    }
    trio.step(0, Input::Standby(true));
    trio.run_for(80);
    assert_eq!(trio.holders(), [0; 0]);
    let view = trio.machines[1].view(0).unwrap();
    assert_eq!((view.stand, view.cause), (Stand::Unfit, Some(Cause::Foreign)));
    // It is silent.
    trio.run_for(200);
    assert_eq!(trio.holders(), [1]);
    assert_ne!(trio.machines[2].view(0).unwrap().cause, Some(Cause::Foreign));
}

#[test]
fn a_foreign_holder_that_says_goodbye_is_followed_at_once() {
    let mut trio = Trio::held();
    (0..3).for_each(|node| trio.foreign(node, 3000));
    trio.step(0, Input::Stop);
    trio.run(600);
    assert_eq!(trio.holders(), [0; 0]);
    (0..3).for_each(|node| trio.foreign(node, 0));
    trio.run(650);
    assert_eq!(trio.holders(), [1]);
}

#[test]
fn who_alone_hears_a_foreign_holder_is_passed_over() {
    let mut trio = Trio::held();
    trio.foreign(1, 5000);
    trio.run(400);
    assert_eq!(trio.machines[0].heir(0), Some(2));
    trio.isolate(0);
    trio.comes_to(600, Some(2));
}

#[test]
fn after_a_cold_start_all_listen_and_who_knows_of_a_holder_does_not() {
    let cold = |trio: &mut Trio, until| {
        trio.run(until);
        trio.holders().is_empty()
    };
    let listens = |config: &mut Config| config.seats[0].listens = Duration::from_secs(3);
    let mut trio = Trio::of(listens);
    assert!(cold(&mut trio, 2999));
    trio.run(3100);
    assert_eq!(trio.holders().len(), 1);
    // One that is new knows of it by the first beat, and takes it as anybody.
    let next = (trio.holders()[0] + 1) % 3;
    trio.restart_with(next, true, listens);
    trio.run(3500);
    let holder = trio.holders()[0];
    trio.step(holder, Input::MoveTo { vip: 0, node: u16::try_from(next).unwrap() });
    trio.run(3550);
    assert_eq!(trio.holders(), [next]);
    // What is heard meanwhile keeps all from it.
    let mut trio = Trio::of(listens);
    trio.run(2500);
    (0..3).for_each(|node| trio.foreign(node, 3000));
    assert!(cold(&mut trio, 5400));
    trio.run(5600);
    assert_eq!(trio.holders().len(), 1);
}
