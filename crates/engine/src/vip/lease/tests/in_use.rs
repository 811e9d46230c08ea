//! Somebody who is no node of ours has the address.

use super::*;
use crate::vip::Mac;

const MAC: Mac = [2, 0, 0, 0, 0, 9];
/// Between two questions, and how long two without an answer take.
const AGAIN: u64 = 2000;
const FREE: u64 = 5000;

impl Trio {
    /// A stranger answers whoever asks, until then (ms).
    fn answered_until(&mut self, end: u64) {
        let mut asked = [0; 3];
        while self.now < ms(end) {
            for (node, asked) in asked.iter_mut().enumerate() {
                if std::mem::replace(asked, self.asked[node]) != self.asked[node] {
                    self.step(node, Input::InUse { vip: 0, mac: MAC });
                }
            }
            self.run_for(1);
        }
    }

    fn causes(&self) -> [Option<Cause>; 3] {
        [0, 1, 2].map(|node| self.machines[node].view(0).unwrap().cause)
    }
}

const IN_USE: Option<Cause> = Some(Cause::Fact(FactCause::InUse));

#[test]
fn an_address_that_somebody_answers_for_is_claimed_by_nobody_until_that_one_is_silent() {
    let mut trio = Trio::new();
    trio.answered_until(12_000);
    assert_eq!((trio.holders(), trio.causes()), (vec![], [IN_USE; 3]));
    for node in 0..3 {
        let machine = &trio.machines[node];
        let stand = machine.view(0).unwrap().stand;
        assert_eq!((stand, machine.in_use_by(0)), (Stand::Unfit, Some(MAC)));
        assert_eq!(machine.objection(0), Some(FactCause::InUse));
        // At the start, once more before it believes that, then each two seconds.
        let asked = u64::from(trio.asked[node]);
        assert!((12_000 / AGAIN..=12_000 / AGAIN + 3).contains(&asked), "{asked} times");
    }
    trio.comes_to(12_000 + FREE - AGAIN - 100, None);
    trio.comes_to(12_000 + FREE + 100, Some(0));
    assert_eq!(trio.machines[0].in_use_by(0), None);
    assert!((0..3).all(|node| !trio.machines[node].searches(0)));
}

#[test]
fn who_stands_for_an_address_that_nobody_held_asks_first_and_waits_no_longer_for_it() {
    let cold = |config: &mut Config| config.seats[0].listens = Duration::from_secs(3);
    let mut trio = Trio::of(cold);
    assert_eq!(trio.asked, [1; 3], "as soon as it could hold it");
    trio.run(2900);
    assert_eq!(trio.asked, [2; 3], "and in the middle of the time in which it listens");
    trio.comes_to(3010, Some(0));
    trio.run(9000);
    assert_eq!(trio.asked, [2; 3]);
    // What can be told of its node late costs the time for an answer.
    let mut trio = Trio::new();
    (0..3).for_each(|node| trio.carrier(node, false));
    trio.run(1000);
    (0..3).for_each(|node| trio.carrier(node, true));
    trio.comes_to(1199, None);
    trio.comes_to(1210, Some(0));
}

#[test]
fn one_answer_alone_is_of_whoever_let_go_meanwhile() {
    let mut trio = Trio::new();
    (0..3).for_each(|node| trio.step(node, Input::InUse { vip: 0, mac: MAC }));
    // It asks once more when it would stand.
    trio.comes_to(440, None);
    trio.comes_to(480, Some(0));
    assert_eq!(trio.causes().map(|cause| cause == IN_USE), [false; 3]);
}

#[test]
fn who_follows_one_of_ours_asks_nobody_and_is_not_kept_from_it_by_any_answer() {
    let mut trio = Trio::held();
    let asked = trio.asked;
    (0..3).for_each(|node| trio.step(node, Input::InUse { vip: 0, mac: MAC }));
    trio.run(300);
    trio.isolate(0);
    trio.comes_to(360, Some(1));
    trio.step(1, Input::MoveTo { vip: 0, node: 2 });
    trio.comes_to(365, Some(2));
    assert_eq!(trio.asked, asked);
    // A process that was just started asks, is answered by the holder, and hears that it is one of ours.
    trio.restart(0, true);
    (trio.cut[0], trio.cut[1][0], trio.cut[2][0]) = ([false; 3], false, false);
    (0..2).for_each(|_| trio.step(0, Input::InUse { vip: 0, mac: MAC }));
    trio.run(700);
    trio.step(2, Input::MoveTo { vip: 0, node: 0 });
    trio.comes_to(705, Some(0));
}

#[test]
fn the_last_one_does_not_claim_what_somebody_answers_for() {
    let mut trio = Trio::of(|config| {
        config.seats[0].last_man = Some(Duration::from_millis(500));
    });
    (0..3).for_each(|node| trio.isolate(node));
    trio.answered_until(3000);
    assert_eq!((trio.holders(), trio.causes()[0]), (vec![], IN_USE));
    trio.two_may = true;
    trio.run(3000 + FREE + 100);
    assert_eq!(trio.holders(), [0, 1, 2]);
}

#[test]
fn who_votes_and_never_holds_asks_nobody() {
    let mut trio = Trio::of(|config| config.seats[0].order = vec![0, 1]);
    trio.run(400);
    assert_eq!((trio.holders(), trio.asked[2]), (vec![0], 0));
}
