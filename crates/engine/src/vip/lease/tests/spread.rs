//! Several addresses that have a place beside each other.

use super::*;

mod gone;
mod room;

fn spread(count: u8) -> Vec<SeatConfig> {
    let rule = Rule { group: Some(0), ..Rule::default() };
    (0..count).map(|at| SeatConfig { rule: rule.clone(), ..seat(121 + at) }).collect()
}

fn held_spread(count: u8) -> Trio {
    let mut trio = Trio::of(|config| config.seats = spread(count));
    trio.run(AWAKE + 200);
    let counts = trio.counts();
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), usize::from(count));
    trio
}

impl Trio {
    /// Whose kernel lets each address through.
    fn places(&self) -> Vec<Option<usize>> {
        let place = |vip: usize| {
            let open = (0..3).filter(|node| self.machines[*node].until(vip) > self.now);
            let open: Vec<usize> = open.collect();
            assert!(open.len() < 2, "{open:?} answer for address {vip} at {}", self.now);
            open.first().copied()
        };
        (0..self.machines[0].seats.len()).map(place).collect()
    }

    fn counts(&self) -> [usize; 3] {
        let places = self.places();
        [0, 1, 2].map(|node| places.iter().filter(|place| **place == Some(node)).count())
    }

    /// Goes on for so long, and tells each change of a holder, and how long nobody had it.
    fn moves(&mut self, millis: u64) -> Vec<(usize, usize, u32)> {
        let (mut last, mut gaps, mut moves) = (self.places(), [0; 8], vec![]);
        for _ in 0..millis {
            self.run_for(1);
            for (vip, place) in self.places().into_iter().enumerate() {
                match place {
                    None => gaps[vip] += 1,
                    Some(node) => {
                        if last[vip] != Some(node) {
                            moves.push((vip, node, gaps[vip]));
                            last[vip] = place;
                        }
                        gaps[vip] = 0;
                    }
                }
            }
        }
        moves
    }

    fn find(&mut self, node: usize) {
        for other in 0..3 {
            self.cut[node][other] = false;
            self.cut[other][node] = false;
        }
    }

    fn answers(&mut self, node: usize, answers: bool) {
        self.step(node, Input::Reference { network: CLIENTS, answers: Some(answers) });
    }
}

#[test]
fn at_a_cold_start_each_node_takes_its_share_though_they_listen_until_different_moments() {
    for late in [0, 1, 7, 40] {
        let mut trio = Trio::of(|config| {
            config.seats = spread(3);
            let listens = Duration::from_millis(400 + late * u64::from(config.node));
            config.seats.iter_mut().for_each(|seat| seat.listens = listens);
        });
        trio.run(400 + 3 * late + 100);
        assert_eq!(trio.counts(), [1, 1, 1], "{late} ms later each");
    }
}

#[test]
fn addresses_of_a_node_that_is_gone_go_to_those_that_hold_fewest_as_soon_as_one_would() {
    let mut trio = held_spread(6);
    assert_eq!(trio.counts(), [2, 2, 2]);
    trio.isolate(0);
    trio.run_for(80);
    assert_eq!(trio.counts(), [0, 3, 3]);
    let mut trio = held_spread(6);
    trio.step(1, Input::Stop);
    trio.run_for(5);
    assert_eq!(trio.counts(), [3, 0, 3]);
}

#[test]
fn who_comes_back_gets_its_share_one_at_a_time_after_a_calm_each_and_nothing_more_moves() {
    let mut trio = held_spread(6);
    trio.isolate(0);
    trio.run_for(200);
    trio.find(0);
    assert_eq!(trio.moves(490), [], "it has not proved itself");
    let first = trio.moves(100);
    assert!(matches!(first[..], [(_, 0, gap)] if gap <= 2), "{first:?}");
    assert_eq!(trio.moves(400), [], "each waits for the one before");
    assert_eq!(trio.moves(200).len(), 1);
    assert_eq!(trio.counts(), [2, 2, 2]);
    assert_eq!(trio.moves(3000), []);
    let cause = |node: usize| {
        (0..6).any(|vip| trio.machines[node].view(vip).unwrap().cause == Some(Cause::Spread))
    };
    assert!(cause(1) || cause(2));
}

#[test]
fn nobody_gives_to_who_is_missed_by_somebody_or_worse_off_or_at_rest() {
    type Change = fn(&mut Trio, bool);
    let worse: [(&str, Change); 6] = [
        ("node 1 hears nothing of it where clients are", |trio, is_so| trio.quiet[0][1] = is_so),
        ("it hears nothing of node 2 there", |trio, is_so| trio.quiet[2][0] = is_so),
        ("node 2 misses it everywhere", |trio, is_so| trio.cut[0][2] = is_so),
        ("no reference point answers it", |trio, is_so| trio.answers(0, !is_so)),
        ("it is on standby", |trio, is_so| trio.step(0, Input::Standby(is_so))),
        ("it has no carrier", |trio, is_so| trio.carrier(0, !is_so)),
    ];
    for (what, change) in worse {
        let mut trio = held_spread(3);
        (0..3).for_each(|node| trio.answers(node, true));
        trio.isolate(0);
        trio.run_for(200);
        change(&mut trio, true);
        trio.find(0);
        change(&mut trio, true);
        assert_eq!(trio.moves(3000), [], "{what}");
        change(&mut trio, false);
        let moves = trio.moves(3000);
        assert!(matches!(moves[..], [(_, 0, _)]), "{what}: {moves:?}");
        assert_eq!(trio.counts(), [1, 1, 1], "{what}");
    }
}

#[test]
fn who_was_given_an_address_and_does_not_take_it_is_asked_ever_less_often() {
    let mut trio = held_spread(3);
    trio.isolate(0);
    trio.run_for(200);
    trio.find(0);
    // Its kernel takes none, and each time it says that it could hold one after all.
    let mut asked = vec![];
    for milli in 0..40_000_u64 {
        trio.run_for(1);
        for vip in 0..3 {
            if trio.machines[0].until(vip) > trio.now {
                asked.push(milli);
                trio.step(0, Input::Refused { vip });
                trio.machines[0].seats[vip].facts().refused_until(trio.now);
            }
        }
    }
    let waits: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((5..10).contains(&asked.len()), "{asked:?}");
    assert!(waits.iter().rev().take(2).all(|wait| *wait > 6000), "{waits:?}");
}

#[test]
fn what_an_operator_moved_stays_until_he_says_otherwise_or_its_node_lets_it_go() {
    let mut trio = held_spread(3);
    let vip = trio.places().iter().position(|place| *place == Some(0)).unwrap();
    trio.step(0, Input::MoveTo { vip, node: 1 });
    trio.run_for(5);
    assert_eq!(trio.counts(), [0, 2, 1]);
    trio.run_for(20);
    let stays = |trio: &Trio| {
        (0..3).map(|node| trio.machines[node].view(vip).unwrap().stays).collect::<Vec<_>>()
    };
    assert_eq!(stays(&trio), [true; 3]);
    // The other one of node 1 is not held there by anybody's word.
    let moves = trio.moves(3000);
    assert!(matches!(moves[..], [(other, 0, _)] if other != vip), "{moves:?}");
    trio.step(1, Input::MoveTo { vip, node: 2 });
    let moves = trio.moves(3000);
    assert!(
        matches!(moves[..], [(first, 2, _), (other, 1, _)] if first == vip && other != vip),
        "{moves:?}"
    );
    // The third one is there too: what stays counts, and what does not goes.
    assert_eq!(trio.counts(), [1, 1, 1]);
    trio.step(2, Input::Anywhere { vip });
    trio.run_for(20);
    assert_eq!(stays(&trio), [false; 3]);
    trio.step(2, Input::MoveTo { vip, node: 0 });
    trio.run_for(20);
    trio.isolate(0);
    trio.run_for(200);
    assert_eq!(stays(&trio)[1..], [false; 2], "who took it took it by nobody's word");
}

#[test]
fn two_that_should_be_apart_share_a_node_only_where_nothing_else_is_left() {
    let mut trio = Trio::of(|config| {
        config.seats = vec![seat(121), seat(122)];
        config.seats[1].rule.apart = 1;
    });
    trio.run(AWAKE + 200);
    assert_eq!(trio.counts(), [1, 1, 0]);
    trio.step(0, Input::Standby(true));
    trio.run_for(10);
    assert_eq!(trio.counts(), [0, 1, 1], "not where the other one is, though that is preferred");
    trio.step(2, Input::Standby(true));
    trio.run_for(100);
    assert_eq!(trio.counts(), [0, 2, 0]);
    assert_eq!(trio.moves(2000), []);
    trio.step(2, Input::Standby(false));
    let moves = trio.moves(2000);
    assert!(matches!(moves[..], [(_, 2, gap)] if gap <= 2), "{moves:?}");
    let cause = |vip| trio.machines[1].view(vip).unwrap().cause;
    assert!([0, 1].iter().any(|vip| cause(*vip) == Some(Cause::Apart)));
    assert_eq!(trio.moves(2000), []);
}

#[test]
fn an_address_follows_who_coordinates_at_once_and_is_left_where_nobody_does() {
    let mut trio = Trio::of(|config| config.seats[0].rule.follows = true);
    trio.run(AWAKE + 30);
    assert_eq!(trio.places(), [Some(0)]);
    trio.step(2, Input::Coordinates(true));
    trio.run_for(4);
    assert_eq!(trio.places(), [Some(2)]);
    assert_eq!(trio.machines[0].view(0).unwrap().cause, Some(Cause::Follows));
    // Two say so for a moment, in either order: no ping-pong.
    trio.step(1, Input::Coordinates(true));
    assert_eq!(trio.moves(100), []);
    trio.step(2, Input::Coordinates(false));
    assert!(matches!(trio.moves(100)[..], [(0, 1, gap)] if gap <= 3));
    trio.step(1, Input::Coordinates(false));
    assert_eq!(trio.moves(1000), [], "nobody coordinates");
    // Its node dies; whoever has it then gives it to the next coordinator.
    trio.step(1, Input::Coordinates(true));
    trio.isolate(1);
    trio.run_for(100);
    let next = trio.places()[0].unwrap();
    let other = [2, 0][next / 2];
    trio.step(other, Input::Coordinates(true));
    assert!(matches!(trio.moves(100)[..], [(0, to, gap)] if to == other && gap <= 3));
    // Who comes back and thinks that it still coordinates does not get it from who does.
    trio.find(1);
    assert_eq!(trio.moves(1000), []);
    // An operator's word is above that, until he takes it back.
    trio.step(1, Input::Coordinates(false));
    trio.step(other, Input::MoveTo { vip: 0, node: 1 });
    assert_eq!(trio.moves(1000).len(), 1);
    trio.step(1, Input::Anywhere { vip: 0 });
    assert!(matches!(trio.moves(100)[..], [(0, to, _)] if to == other));
}

/// What befalls a node, and its end.
#[derive(Clone, Copy, Debug)]
enum Event {
    Gone,
    Restart,
    Rest,
    Deaf,
    Unreached,
    Moved,
}

impl Trio {
    fn befall(&mut self, event: Event, node: usize, begins: bool) {
        match event {
            Event::Gone if begins => self.isolate(node),
            Event::Gone => self.find(node),
            Event::Restart if begins => self.restart_with(node, true, |config| {
                (config.seats, config.calm) = (spread(4), Duration::from_millis(150));
            }),
            Event::Restart => {}
            Event::Rest => self.step(node, Input::Standby(begins)),
            Event::Deaf => {
                for other in (0..3).filter(|other| *other != node) {
                    self.quiet[other][node] = begins;
                }
            }
            Event::Unreached => self.answers(node, !begins),
            Event::Moved => {
                let to = u16::try_from(node).unwrap();
                for at in 0..3 {
                    let told = if begins {
                        Input::MoveTo { vip: 0, node: to }
                    } else {
                        Input::Anywhere { vip: 0 }
                    };
                    self.step(at, told);
                }
            }
        }
    }
}

#[test]
fn after_any_two_events_counts_differ_by_one_with_one_move_too_many_at_most_and_none_after_that() {
    let all =
        [Event::Gone, Event::Restart, Event::Rest, Event::Deaf, Event::Unreached, Event::Moved];
    let pairs = (0..all.len()).flat_map(|one| (one..all.len()).map(move |other| (one, other)));
    for (one, other) in pairs {
        let (first, second) = (all[one], all[other]);
        // At once and on another node, or later on the same one.
        let (node, later) = if (one + other) % 2 == 0 { (1, 3) } else { (0, 40) };
        let mut trio = Trio::of(|config| {
            (config.seats, config.calm) = (spread(4), Duration::from_millis(150));
        });
        (0..3).for_each(|node| trio.answers(node, true));
        trio.run(AWAKE + 150);
        trio.befall(first, 0, true);
        trio.run_for(later);
        trio.befall(second, node, true);
        trio.run_for(300);
        trio.befall(first, 0, false);
        trio.run_for(later);
        trio.befall(second, node, false);
        trio.run_for(60);
        let what = format!("{first:?} of 0, {second:?} of {node} {later} ms later");
        let before = trio.counts();
        let moves = trio.moves(1200);
        let after = trio.counts();
        let must: usize = (0..3).map(|node| before[node].saturating_sub(after[node])).sum();
        assert!(moves.len() <= must + 1, "{what}: {before:?} to {after:?} by {moves:?}");
        assert_eq!(after.iter().sum::<usize>(), 4, "{what}");
        assert!(after.iter().all(|count| (1..=2).contains(count)), "{what}: {after:?}");
        assert_eq!(trio.moves(300), [], "{what}");
    }
}
