//! A node that hears nobody, and holds without a majority where its file says so.

use super::*;

/// Long enough to be no lost beat.
const AFTER: u64 = 500;

fn allowed(config: &mut Config) {
    config.seats[0].last_man = Some(Duration::from_millis(AFTER));
}

fn held() -> Trio {
    let mut trio = Trio::of(allowed);
    trio.run(AWAKE + 30);
    assert_eq!(trio.holders(), [0]);
    trio
}

/// The others may not.
fn allowed_to_2(config: &mut Config) {
    if config.node == 2 {
        allowed(config);
    }
}

/// Node 2 is left, and holds alone.
fn left() -> Trio {
    let mut trio = Trio::of(allowed_to_2);
    trio.run(AWAKE + 30);
    (0..3).for_each(|node| trio.isolate(node));
    trio.run_for(100);
    assert_eq!(trio.holders(), []);
    trio.run_for(AFTER + 100);
    assert_eq!(trio.holders(), [2]);
    trio
}

impl Trio {
    fn alone(&self, node: usize) -> bool {
        let view = self.machines[node].view(0).unwrap();
        assert!(!view.alone || view.cause == Some(Cause::LastMan), "{view:?}");
        view.alone
    }
}

#[test]
fn the_last_one_holds_without_a_majority_where_that_is_allowed_and_not_at_once() {
    let mut trio = left();
    assert!(trio.alone(2));
    trio.run_for(2000);
    assert_eq!((trio.holders(), trio.alone(2)), (vec![2], true));

    let mut trio = Trio::held();
    (trio.paused[0], trio.paused[1]) = (Time::NEVER, Time::NEVER);
    trio.run_for(10_000);
    assert_eq!(trio.holders(), [], "nobody allowed it");
}

#[test]
fn who_has_no_carrier_or_no_reference_point_or_hears_an_agent_is_not_the_last_one() {
    let denied = |told: &[Input<'static>], referred: u8| {
        let mut trio = Trio::of(|config| {
            allowed(config);
            config.referred = referred;
        });
        trio.run(AWAKE + 30);
        told.iter().for_each(|told| trio.step(2, *told));
        (trio.paused[0], trio.paused[1]) = (Time::NEVER, Time::NEVER);
        trio.run_for(5000);
        trio.holders().is_empty()
    };
    let reference = |network, answers| Input::Reference { network, answers };
    assert!(!denied(&[], 0));
    assert!(denied(&[Input::Link { network: 1, up: false }], 0));
    assert!(denied(&[Input::Agent { node: 0, heard: true }], 0));
    assert!(denied(&[], 0b01), "of none it is known that it answers");
    assert!(denied(&[reference(0, Some(false))], 0b01));
    assert!(!denied(&[reference(0, Some(true))], 0b01));
    assert!(!denied(&[reference(1, Some(true))], 0b10), "there is none where clients are");
    assert!(denied(&[reference(1, Some(true))], 0b11), "the one where clients are is asked");
}

#[test]
fn the_last_one_lets_go_when_a_fact_that_allowed_it_is_gone() {
    let lets_go = |told: Input<'static>| {
        let mut trio = left();
        trio.step(2, told);
        trio.run_for(1);
        trio.holders().is_empty()
    };
    assert!(lets_go(Input::Link { network: 0, up: false }));
    assert!(lets_go(Input::Standby(true)));
    assert!(!lets_go(Input::Link { network: 0, up: true }));
}

#[test]
fn a_majority_that_comes_back_grants_it_without_a_gap() {
    let mut trio = left();
    trio.cut = [[false; 3]; 3];
    [0, 1].into_iter().for_each(|node| trio.restart_with(node, true, allowed_to_2));
    for _ in 0..1000 {
        trio.run_for(1);
        assert_eq!(trio.holders(), [2]);
    }
    let view = trio.machines[2].view(0).unwrap();
    assert_eq!((view.alone, view.cause), (false, Some(Cause::Granted)));
    trio.isolate(2);
    trio.run_for(200);
    assert_eq!(trio.holders().len(), 1, "by votes again");
    assert_ne!(trio.holders(), [2]);
}

#[test]
fn what_a_majority_grants_is_held_for_no_longer_than_they_promised() {
    let mut trio = left();
    trio.cut = [[false; 3]; 3];
    trio.restart_with(0, true, allowed_to_2);
    while trio.alone(2) {
        trio.run_for(1);
    }
    let sent = trio.machines[2].beaten;
    assert!(trio.machines[2].until(0) <= sent + SPAN);
}

#[test]
fn who_is_heard_by_no_majority_gives_back_what_it_held_alone() {
    // Five voters of which three are no more.
    let five = |config: &mut Config| {
        allowed_to_2(config);
        config.voters = voters(None, &[0, 1, 2, 3, 4]);
        config.nodes = 5;
    };
    let mut trio = Trio::of(five);
    (0..3).for_each(|node| trio.isolate(node));
    trio.run(AWAKE + AFTER + 100);
    assert_eq!((trio.holders(), trio.alone(2)), (vec![2], true));
    (trio.cut[1][2], trio.cut[2][1]) = (false, false);
    trio.restart_with(1, true, five);
    trio.run_for(100);
    assert_eq!(trio.holders(), [2], "it waits whether a majority comes");
    trio.run_for(1000);
    assert_eq!(trio.holders(), []);
}

#[test]
fn after_a_cut_who_has_a_majority_stays_and_the_other_lets_go_at_once() {
    let mut trio = held();
    trio.two_may = true;
    trio.isolate(0);
    trio.run_for(AFTER + 300);
    assert_eq!((trio.holders(), trio.alone(0), trio.alone(1)), (vec![0, 1], true, false));
    trio.run_for(10_000);
    let announced = trio.announced[1];
    trio.cut = [[false; 3]; 3];
    trio.run_for(20);
    assert_eq!(trio.holders(), [1]);
    assert!(trio.announced[1] > announced, "clients that heard the other one are told");
    trio.two_may = false;
    trio.run_for(2000);
    assert_eq!(trio.holders(), [1]);
}

#[test]
fn of_those_that_held_alone_the_preferred_one_stays() {
    let mut trio = held();
    trio.two_may = true;
    (0..3).for_each(|node| trio.isolate(node));
    trio.run_for(AFTER + 300);
    assert_eq!(trio.holders(), [0, 1, 2]);
    trio.cut = [[false; 3]; 3];
    trio.run_for(30);
    trio.two_may = false;
    trio.run_for(500);
    assert_eq!((trio.holders(), trio.alone(0)), (vec![0], false));
}

#[test]
fn what_an_operator_moved_away_does_not_stay_at_who_takes_it_back_alone() {
    let mut trio = Trio::of(|config| {
        config.seats = vec![seat(121), seat(122)];
        config.seats.iter_mut().for_each(|seat| {
            seat.rule.group = Some(0);
            seat.last_man = Some(Duration::from_millis(AFTER));
        });
    });
    trio.run(AWAKE + 100);
    let holder = (0..3).find(|node| trio.machines[*node].until(0) > trio.now).unwrap();
    let to = u16::try_from((holder + 1) % 3).unwrap();
    trio.step(holder, Input::MoveTo { vip: 0, node: to });
    trio.run_for(50);
    let stays = |trio: &Trio, node: usize| trio.machines[node].view(0).unwrap().stays;
    assert!(stays(&trio, holder) && stays(&trio, usize::from(to)));
    trio.two_may = true;
    trio.isolate(holder);
    trio.run_for(AFTER + 300);
    assert!(trio.alone(holder));
    assert!(!stays(&trio, holder), "it was moved away from there");
}
