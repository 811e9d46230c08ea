use super::*;
use crate::vip::lease::bequest::{Bequest, Unfit};

impl Trio {
    /// Another process goes on in the place of that one, which was started with the same file.
    fn replace(&mut self, node: usize) {
        let left = self.machines[node].bequeath().unwrap();
        self.goes_on(node, &left, |_| {});
    }

    fn goes_on(&mut self, node: usize, left: &Bequest, change: impl Fn(&mut Config)) {
        let mut config = config(u16::try_from(node).unwrap());
        (config.life, config.closed) = (self.lives[node], false);
        change(&mut config);
        let mut next = VipLease::new(&config, self.now);
        assert_eq!(next.inherit(self.now, left), Ok(()));
        self.machines[node] = next;
        self.carrier(node, true);
    }
}

#[test]
fn a_process_that_goes_on_in_the_place_of_another_is_noticed_by_nobody() {
    for node in 0..3 {
        for phase in (0..20_000).step_by(700) {
            let mut trio = Trio::held();
            trio.run_to(ms(300) + Duration::from_micros(phase));
            let term = trio.machines[2].view(0).unwrap().term;
            for _ in 0..20 {
                trio.replace(node);
                trio.run_to(trio.now + Duration::from_micros(23_300));
                assert_eq!(trio.holders(), [0], "node {node}, {phase} us");
            }
            trio.check(expect![[""]]);
            assert_eq!(trio.machines[2].view(0).unwrap().term, term);
        }
    }
}

#[test]
fn what_the_process_before_promised_binds_the_next_one() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.isolate(0);
    // Node 0 answers until 330 ms at least. Both others together are a majority that must not forget that.
    for at in 301..340 {
        trio.run(at);
        [1, 2].iter().for_each(|node| trio.replace(*node));
        assert!(trio.holders().iter().all(|holder| *holder == 0), "{at} ms");
    }
    trio.run(420);
    assert_eq!(trio.holders().len(), 1);
    assert_ne!(trio.holders(), [0]);
}

#[test]
fn two_voters_that_are_followed_at_once_take_nothing_from_whom_they_promised_it() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.isolate(0);
    trio.run(302);
    [1, 2].iter().for_each(|node| trio.replace(*node));
    trio.comes_to(325, Some(0));
    trio.run(420);
    assert!(trio.holders() == [1] || trio.holders() == [2]);
}

#[test]
fn a_holder_that_goes_on_without_a_majority_loses_it_as_the_one_before_would_have() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.isolate(0);
    let until = trio.machines[0].until(0);
    trio.run(310);
    trio.replace(0);
    assert!(trio.machines[0].until(0) <= until);
    trio.run_to(until + Duration::from_micros(1));
    assert_eq!(trio.holders(), []);
    trio.comes_to(400, Some(1));
}

/// What it holds has ended, what it promised too: it is as if one process had stood still.
#[test]
fn what_is_read_too_late_opens_nothing_and_asks_for_nothing_at_once() {
    let mut trio = Trio::held();
    trio.run(300);
    let left = trio.machines[0].bequeath().unwrap();
    trio.isolate(0);
    trio.comes_to(400, Some(1));
    trio.run(499);
    trio.goes_on(0, &left, |_| {});
    assert!(trio.machines[0].until(0) < trio.now);
    trio.cut = [[false; 3]; 3];
    trio.comes_to(520, Some(1));
    trio.comes_to(900, Some(1));
    assert_eq!(trio.machines[0].until(0), Time::ZERO);
}

#[test]
fn who_votes_for_nobody_yet_does_not_because_another_process_goes_on_for_it() {
    let mut trio = Trio::held();
    trio.run(300);
    // What it promised to node 0 it has forgotten, and so has the one after it.
    trio.restart(1, false);
    trio.run(310);
    trio.replace(1);
    assert!(!trio.machines[1].votes());
    trio.restart(2, false);
    trio.run(320);
    trio.replace(2);
    trio.isolate(0);
    trio.comes_to(540, None);
    assert!(!trio.machines[1].votes());
    trio.run(560);
    assert!(trio.machines[1].votes());
}

#[test]
fn a_candidate_gives_its_voters_back_and_asks_again() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.isolate(0);
    while trio.machines[1].view(0).unwrap().stand != Stand::Candidate {
        trio.run_to(trio.now + Duration::from_micros(100));
    }
    let left = trio.machines[1].bequeath().unwrap();
    assert_eq!((left.seats[0].holds, left.seats[0].promise), (None, None));
    trio.goes_on(1, &left, |_| {});
    assert_eq!(trio.machines[1].view(0).unwrap().stand, Stand::Fit);
    trio.comes_to(400, Some(1));
}

#[test]
fn the_list_of_voters_goes_on_with_the_one_before_it_and_a_later_one_follows() {
    let of = |list| move |config: &mut Config| config.voters = voters(Some(list), &[0, 1, 2]);
    let mut trio = Trio::of(of(1));
    trio.run(AWAKE + 30);
    assert_eq!(trio.holders(), [0]);
    trio.run(300);
    let next = voters(Some(2), &[0, 1]);
    trio.step(0, Input::Voters(&next));
    let left = trio.machines[0].bequeath().unwrap();
    assert_eq!(left.set.followed().0, &Before::Known(voters(Some(1), &[0, 1, 2])));
    // It was started with the list that its supervisor knew.
    trio.goes_on(0, &left, of(1));
    let epoch = |trio: &Trio| trio.machines[0].node.set().voters().epoch();
    assert_eq!(epoch(&trio), Epoch::Number(number(2)));
    assert_eq!(trio.machines[0].node.set().counted(trio.now).count(), 2, "of both lists");
    // One that is started with a later one than the one before knew goes on with that.
    let left = trio.machines[0].bequeath().unwrap();
    trio.goes_on(0, &left, |config| config.voters = voters(Some(3), &[0, 1, 2]));
    assert_eq!(epoch(&trio), Epoch::Number(number(3)));
    assert_eq!(trio.machines[0].settled(), None);
}

#[test]
fn an_address_that_leaves_a_node_only_after_proof_is_not_forgotten_by_the_next_process() {
    let proof = |config: &mut Config| config.seats[0].needs_proof = true;
    let mut trio = Trio::of(proof);
    trio.run(AWAKE + 300);
    assert_eq!(trio.holders(), [0]);
    trio.run(600);
    trio.isolate(0);
    for node in [1, 2] {
        let left = trio.machines[node].bequeath().unwrap();
        trio.goes_on(node, &left, proof);
    }
    trio.comes_to(1500, None);
    for node in [1, 2] {
        trio.step(node, Input::Proven { node: 0, dead: true });
    }
    trio.run(1600);
    assert!(trio.holders() == [1] || trio.holders() == [2]);
}

#[test]
fn a_lone_holder_goes_on_alone_and_lets_go_where_it_may_not_any_more() {
    let alone = |after: Option<u64>| {
        move |config: &mut Config| config.seats[0].last_man = after.map(Duration::from_millis)
    };
    let mut trio = Trio::of(alone(Some(300)));
    trio.two_may = true;
    trio.run(AWAKE + 30);
    trio.isolate(0);
    trio.run(1200);
    assert!(trio.machines[0].view(0).unwrap().alone && trio.holders().contains(&0));
    let left = trio.machines[0].bequeath().unwrap();
    trio.goes_on(0, &left, alone(Some(300)));
    trio.run(1400);
    assert!(trio.machines[0].view(0).unwrap().alone && trio.holders().contains(&0));
    let left = trio.machines[0].bequeath().unwrap();
    trio.goes_on(0, &left, alone(None));
    trio.run(1450);
    assert!(!trio.holders().contains(&0));
}

#[test]
fn another_life_other_voters_and_an_address_that_is_not_known_are_not_taken_over() {
    let mut trio = Trio::held();
    trio.run(300);
    let left = trio.machines[0].bequeath().unwrap();
    let taken = |change: &dyn Fn(&mut Config)| {
        let mut config = config(0);
        change(&mut config);
        let mut next = VipLease::new(&config, trio.now);
        let taken = next.inherit(trio.now, &left);
        let until = taken.map_or(Time::ZERO, |()| trio.machines[0].until(0));
        assert_eq!(next.until(0), until, "all or nothing");
        taken
    };
    assert_eq!(taken(&|_| {}), Ok(()));
    assert_eq!(taken(&|config| config.life += 1), Err(Unfit::Life));
    assert_eq!(taken(&|config| config.voters = voters(None, &[0, 1])), Err(Unfit::Voters));
    assert_eq!(taken(&|config| config.seats = vec![seat(99)]), Err(Unfit::Address));
    assert_eq!(taken(&|config| config.seats[0].order = vec![1, 2]), Err(Unfit::Address));
    assert_eq!(taken(&|config| config.nodes = 2), Err(Unfit::Node));
    // One of another number with other members is none of ours.
    let of = |list, nodes: &[u16]| Config { voters: voters(Some(list), nodes), ..config(0) };
    let numbered = VipLease::new(&of(1, &[0, 1, 2]), ms(0)).bequeath().unwrap();
    let taken = |config: &Config| VipLease::new(config, ms(0)).inherit(ms(0), &numbered);
    assert_eq!(taken(&of(1, &[0, 1])), Err(Unfit::Voters));
    assert_eq!(taken(&of(2, &[0, 1])), Ok(()));
}
