//! Addresses that leave a node only after proof, and nodes that vote and hold nothing.

use super::*;

/// Three nodes, and node 0 holds what leaves a node only after proof.
fn held() -> Trio {
    let mut trio = Trio::of(|config| config.seats[0].needs_proof = true);
    trio.run(AWAKE + 30);
    assert_eq!(trio.holders(), [0]);
    trio
}

fn needs_proof(config: &mut Config) {
    config.seats[0].needs_proof = true;
}

impl Trio {
    fn proven(&mut self, to: usize, node: u16, dead: bool) {
        self.step(to, Input::Proven { node, dead });
    }

    #[track_caller]
    fn one_of_the_others_holds(&self) -> usize {
        let holders = self.holders();
        assert!(holders == [1] || holders == [2], "{holders:?}");
        holders[0]
    }

    /// Whose proof it waits for, and says so.
    fn awaits(&self, node: usize) -> Option<u16> {
        let view = self.machines[node].view(0).unwrap();
        assert_eq!(view.awaits.is_some(), view.cause == Some(Cause::Unproven), "{view:?}");
        view.awaits
    }
}

#[test]
fn a_holder_that_is_silent_is_followed_when_a_majority_knows_that_it_is_dead() {
    let mut trio = held();
    trio.isolate(0);
    trio.comes_to(2000, None);
    assert_eq!((trio.awaits(1), trio.awaits(2)), (Some(0), Some(0)));
    assert_eq!(trio.machines[1].view(0).unwrap().stand, Stand::Fit);
    trio.proven(1, 0, true);
    trio.comes_to(2500, None);
    assert_eq!((trio.awaits(1), trio.awaits(2)), (None, Some(0)));
    trio.proven(2, 0, true);
    trio.run(2560);
    trio.one_of_the_others_holds();
    assert_eq!((trio.awaits(1), trio.awaits(2)), (None, None));
}

#[test]
fn proof_that_was_taken_back_proves_nothing() {
    let mut trio = held();
    trio.isolate(0);
    trio.run(400);
    for dead in [true, false] {
        trio.proven(1, 0, dead);
    }
    trio.proven(2, 0, true);
    trio.comes_to(1000, None);
    assert_eq!(trio.awaits(1), Some(0));
}

#[test]
fn who_followed_the_dead_is_waited_for_and_they_are_not_any_more() {
    let mut trio = held();
    trio.isolate(0);
    trio.run(400);
    [1, 2].into_iter().for_each(|node| trio.proven(node, 0, true));
    trio.run(450);
    let holder = trio.one_of_the_others_holds();
    [1, 2].into_iter().for_each(|node| trio.proven(node, 0, false));
    trio.isolate(holder);
    trio.run(600);
    let awaited = u16::try_from(holder).ok();
    assert_eq!((trio.holders(), trio.awaits(3 - holder)), (vec![], awaited));
}

#[test]
fn who_says_that_it_let_go_is_followed_without_proof() {
    let mut trio = held();
    trio.step(0, Input::Stop);
    trio.run_for(20);
    assert_eq!(trio.holders(), [1]);

    // A cut holder that is heard again says that it holds nothing.
    trio.isolate(1);
    trio.run_for(500);
    assert_eq!((trio.holders(), trio.awaits(2)), (vec![], Some(1)));
    trio.cut = [[false; 3]; 3];
    trio.run_for(100);
    assert_eq!(trio.holders().len(), 1);
}

#[test]
fn who_let_go_grants_it_to_the_next_one() {
    let mut trio = held();
    trio.isolate(2);
    trio.run_for(100);
    trio.step(0, Input::MoveTo { vip: 0, node: 1 });
    trio.run_for(50);
    assert_eq!(trio.holders(), [1]);
    trio.step(1, Input::MoveTo { vip: 0, node: 0 });
    trio.run_for(50);
    assert_eq!(trio.holders(), [0]);
}

#[test]
fn a_process_that_follows_a_dead_one_says_that_its_node_let_go() {
    let mut trio = held();
    trio.restart_with(0, false, needs_proof);
    trio.run_for(400);
    assert_eq!(trio.holders().len(), 1, "what the former process was promised has ended");
}

#[test]
fn a_supervisor_speaks_for_its_dead_vip_process_and_no_proof_is_needed() {
    let mut trio = held();
    let holder = &trio.machines[0];
    let left = last_word::Left {
        group: holder.seats[0].group(),
        successor: holder.heir(0),
        term: holder.view(0).unwrap().term,
    };
    let mut body = [0; MAX_BODY];
    let length = last_word::write((None, 0), std::iter::once(left), &mut body);
    // Its process is gone, and the next one, of the life after that of the last word, is not heard yet.
    trio.lives[0] += 1;
    trio.restart_with(0, true, needs_proof);
    trio.isolate(0);
    for to in [1, 2] {
        let body = &body[..length];
        trio.step(to, Input::Beat { network: 0, from: 0, life: 6, body });
    }
    trio.run_for(20);
    assert_eq!(trio.holders(), [1]);
}

#[test]
fn a_voter_that_restarts_beside_a_holder_knows_whom_it_waits_for() {
    let mut trio = held();
    trio.restart_with(2, true, needs_proof);
    trio.run_for(300);
    trio.isolate(0);
    trio.run_for(500);
    assert_eq!((trio.holders(), trio.awaits(1), trio.awaits(2)), (vec![], Some(0), Some(0)));
    trio.proven(1, 0, true);
    trio.proven(2, 0, true);
    trio.run_for(60);
    trio.one_of_the_others_holds();
}

#[test]
fn who_all_began_after_it_died_take_each_that_is_not_heard_for_the_holder() {
    let mut trio = held();
    trio.isolate(0);
    trio.run_for(100);
    [1, 2].into_iter().for_each(|node| trio.restart_with(node, true, needs_proof));
    trio.run_for(2000);
    assert_eq!((trio.holders(), trio.awaits(1), trio.awaits(2)), (vec![], Some(0), Some(0)));
    trio.cut = [[false; 3]; 3];
    trio.run_for(100);
    assert_eq!(trio.holders().len(), 1, "node 0 says that it holds nothing");
}

#[test]
fn what_was_said_before_a_process_began_is_no_news_of_the_present() {
    let mut trio = Trio::of(needs_proof);
    trio.run(100);
    let mut early = [0; MAX_BODY];
    let length = trio.machines[0].beat(1, &mut early);
    trio.run(AWAKE + 30);
    assert_eq!(trio.holders(), [0]);
    trio.isolate(0);
    trio.run_for(100);
    trio.restart_with(1, true, needs_proof);
    trio.run_for(10);
    let body = &early[..length];
    trio.step(1, Input::Beat { network: 0, from: 0, life: 5, body });
    trio.run_for(1000);
    assert_eq!((trio.holders(), trio.awaits(1)), (vec![], Some(0)));
}

/// Node 2 is not among those that hold it.
fn two_and_a_voter() -> Trio {
    let mut trio = Trio::of(|config| config.seats[0].order = vec![0, 1]);
    trio.run(AWAKE + 30);
    assert_eq!(trio.holders(), [0]);
    trio
}

#[test]
fn who_is_not_in_the_order_votes_and_never_holds() {
    let mut trio = two_and_a_voter();
    let view = trio.machines[2].view(0).unwrap();
    assert_eq!((view.stand, view.holder, view.cause), (Stand::Unfit, Some(0), None));
    trio.isolate(0);
    trio.comes_to(400, Some(1));
    trio.isolate(1);
    trio.comes_to(1000, None);
    assert_eq!(trio.machines[2].objection(0), None);
}

#[test]
fn two_that_are_cut_from_each_other_have_one_holder_by_the_third_ones_vote() {
    let mut trio = two_and_a_voter();
    (trio.cut[0][1], trio.cut[1][0]) = (true, true);
    trio.comes_to(2000, Some(0));
    trio.isolate(0);
    trio.comes_to(2200, Some(1));
}

#[test]
fn without_the_third_one_two_are_a_majority() {
    let mut trio = two_and_a_voter();
    trio.isolate(2);
    trio.comes_to(1000, Some(0));
    trio.step(0, Input::Stop);
    trio.comes_to(1100, Some(1));
}
