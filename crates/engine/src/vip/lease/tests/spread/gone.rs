//! What becomes of addresses, and of what an operator wished, when their node is gone or is no place for them.

use super::*;

#[test]
fn an_address_that_nobody_may_hold_stops_no_other_from_moving_to_its_place() {
    let mut trio = Trio::of(|config| {
        config.seats = spread(4);
        // Three that are never on one node, and two nodes for them.
        for (at, never) in [(4, 0b110_0000), (5, 0b101_0000), (6, 0b011_0000)] {
            let rule = Rule { never, ..Rule::default() };
            config.seats.push(SeatConfig { rule, order: vec![0, 1], ..seat(121 + at) });
        }
    });
    let spread = |trio: &Trio| {
        let places = trio.places();
        [0, 1, 2].map(|node| places[..4].iter().filter(|place| **place == Some(node)).count())
    };
    trio.step(2, Input::Standby(true));
    trio.run(AWAKE + 300);
    assert_eq!(spread(&trio), [2, 2, 0]);
    assert_eq!(trio.places()[4..].iter().flatten().count(), 2);
    trio.step(2, Input::Standby(false));
    trio.moves(3000);
    assert!(spread(&trio).iter().all(|count| (1..=2).contains(count)), "{:?}", spread(&trio));
    assert_eq!(trio.places()[4..].iter().flatten().count(), 2);
}

/// As if the node that had them had named nobody.
fn forget_heirs(trio: &mut Trio) {
    let seats = trio.machines.iter_mut().flat_map(|machine| &mut machine.seats);
    seats.for_each(Seat::forget_heir);
}

#[test]
fn all_addresses_of_a_node_that_is_gone_are_held_within_one_take_over() {
    for gone in 0..3 {
        let mut trio = held_spread(18);
        assert_eq!(trio.counts(), [6, 6, 6]);
        trio.isolate(gone);
        // What nobody answers for any more waits for promises of 40 ms and a quarter, and the turns of two.
        trio.run_for(40);
        forget_heirs(&mut trio);
        let held = |trio: &Trio| trio.counts().iter().sum::<usize>() - trio.counts()[gone];
        while held(&trio) == 12 {
            trio.run_for(1);
            assert!(trio.now < ms(AWAKE + 300), "nobody asks for any of them");
        }
        let first = trio.now;
        while held(&trio) < 18 {
            trio.run_for(1);
        }
        assert!(trio.now.since(first) <= Duration::from_millis(8), "{:?}", trio.now.since(first));
        let counts = trio.counts();
        assert!((0..3).all(|node| counts[node] == if node == gone { 0 } else { 9 }), "{counts:?}");
    }
    // One node is left for all of them, and nobody named it.
    let mut trio = held_spread(12);
    trio.step(1, Input::Standby(true));
    trio.run_for(30);
    let kept = trio.counts();
    assert_eq!(kept[1], 0);
    trio.isolate(0);
    trio.run_for(40);
    forget_heirs(&mut trio);
    trio.run_for(30);
    assert_eq!(trio.counts(), [0, 0, 12]);
}

#[test]
fn an_address_does_not_follow_a_coordinator_that_its_clients_or_no_reference_point_reach() {
    let follows = || {
        let mut trio = Trio::of(|config| config.seats[0].rule.follows = true);
        (0..3).for_each(|node| trio.answers(node, true));
        trio.run(AWAKE + 30);
        trio
    };
    // Only the node that coordinates is not answered: it would give the address back at once.
    let mut trio = follows();
    trio.answers(2, false);
    trio.run_for(30);
    trio.step(2, Input::Coordinates(true));
    assert_eq!(trio.moves(3000), []);
    trio.answers(2, true);
    assert!(matches!(trio.moves(100)[..], [(0, 2, gap)] if gap <= 2));
    // Others hear it, and not where clients are.
    let mut trio = follows();
    (trio.quiet[2][0], trio.quiet[2][1]) = (true, true);
    trio.run_for(50);
    trio.step(2, Input::Coordinates(true));
    assert_eq!(trio.moves(3000), []);
    (trio.quiet[2][0], trio.quiet[2][1]) = (false, false);
    assert!(matches!(trio.moves(100)[..], [(0, 2, gap)] if gap <= 2));
    // Where a gateway answers nobody, all is as if there were none.
    let mut trio = follows();
    (0..3).for_each(|node| trio.answers(node, false));
    trio.run_for(300);
    trio.step(2, Input::Coordinates(true));
    assert!(matches!(trio.moves(100)[..], [(0, 2, gap)] if gap <= 2));
    assert_eq!(trio.moves(3000), []);
}

#[test]
fn an_operators_word_ends_with_the_hold_of_its_node_and_that_is_told_by_who_takes_it() {
    let moved = |to: u16| {
        let mut trio = held_spread(3);
        let vip = trio.places().iter().position(|place| *place == Some(0)).unwrap();
        trio.step(0, Input::MoveTo { vip, node: to });
        trio.run_for(50);
        assert_eq!(trio.places()[vip], Some(usize::from(to)));
        (trio, vip)
    };
    let lapsed = |trio: &Trio, vip: usize| {
        let holder = trio.places()[vip].unwrap();
        let view = trio.machines[holder].view(vip).unwrap();
        (holder, view.stays, view.gained.unwrap().lapsed)
    };
    // It dies.
    let (mut trio, vip) = moved(1);
    assert_eq!(lapsed(&trio, vip), (1, true, None), "it was moved there");
    trio.isolate(1);
    trio.run_for(100);
    let (holder, stays, of) = lapsed(&trio, vip);
    assert_eq!((stays, of), (false, Some(1)));
    // It comes back, and its wish does not: the rules give it a share.
    trio.find(1);
    trio.moves(3000);
    assert_eq!(trio.counts(), [1, 1, 1]);
    // Who holds it after that one has nothing to tell.
    if trio.places()[vip] == Some(holder) {
        trio.isolate(holder);
        trio.run_for(100);
        assert_eq!(lapsed(&trio, vip).2, None);
    }
    // It gives it up in order.
    let (mut trio, vip) = moved(1);
    trio.step(1, Input::Standby(true));
    trio.run_for(20);
    assert_eq!(lapsed(&trio, vip).2, Some(1));
    // An operator ends it himself, or moves it once more: nothing ended.
    let (mut trio, vip) = moved(1);
    trio.step(1, Input::MoveTo { vip, node: 2 });
    trio.run_for(20);
    assert_eq!(lapsed(&trio, vip), (2, true, None));
    trio.step(2, Input::Anywhere { vip });
    trio.run_for(20);
    trio.isolate(2);
    trio.run_for(100);
    assert_eq!(lapsed(&trio, vip).2, None);
}
