//! A gateway that answers some nodes: it may keep one from holding, and never makes one hold.

use super::*;

impl Trio {
    fn refer(&mut self, node: usize, answers: Option<bool>) {
        self.step(node, Input::Reference { network: CLIENTS, answers });
    }

    fn all_referred() -> Self {
        let mut trio = Self::held();
        (0..3).for_each(|node| trio.refer(node, Some(true)));
        trio.run(300);
        trio
    }
}

#[test]
fn a_holder_that_no_reference_point_answers_hands_over_to_one_that_has_it() {
    let mut trio = Trio::all_referred();
    trio.refer(1, Some(false));
    trio.comes_to(500, Some(0));
    trio.refer(0, Some(false));
    trio.comes_to(599, Some(0));
    trio.comes_to(610, Some(2));
    let cause = |node: usize| trio.machines[node].view(0).unwrap().cause;
    assert_eq!((cause(0), cause(2)), (Some(Cause::Unreached), Some(Cause::Named)));
    trio.refer(0, Some(true));
    trio.comes_to(1000, Some(2));
}

#[test]
fn where_a_reference_point_answers_nobody_the_address_stays() {
    // They notice one after the other, the holder first.
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
        let mut trio = Trio::all_referred();
        for node in order {
            trio.refer(node, Some(false));
            trio.run_for(49);
        }
        trio.comes_to(2000, Some(0));
    }
    // It never answered the others, or they are not known to be answered.
    let mut trio = Trio::held();
    trio.refer(0, Some(true));
    trio.refer(0, Some(false));
    trio.comes_to(900, Some(0));
}

#[test]
fn who_lacks_a_reference_point_stands_after_who_has_it_and_alone_if_nobody_has() {
    let mut trio = Trio::all_referred();
    trio.refer(1, Some(false));
    trio.run(450);
    assert_eq!(trio.machines[0].heir(0), Some(2), "1 would come first");
    trio.isolate(0);
    trio.comes_to(550, Some(2));
    trio.cut = [[false; 3]; 3];
    trio.carrier(0, false);
    trio.run(700);
    trio.step(2, Input::Standby(true));
    trio.comes_to(720, Some(1));
}

#[test]
fn a_word_about_a_network_that_is_none_or_another_moves_nothing() {
    let mut trio = Trio::all_referred();
    for network in [1, 7, 8, 200, 255] {
        trio.step(0, Input::Reference { network, answers: Some(false) });
    }
    trio.comes_to(900, Some(0));
}
