//! Lists of the store name machines; what a cluster has before its first one, after a restore, and after a boot.

use super::beat::Epoch;
use super::claim::Claim;
use super::counting::sent;
use super::voter::{Voter, Word};
use super::voters::Set;
use super::*;

const fn elector(node: u16, joined: u64) -> Elector {
    Elector { node, joined }
}

/// Machines that joined at 10, but for one.
fn list_of(list: u32, nodes: &[u16], later: Option<u16>) -> Voters {
    let of = |node: &u16| elector(*node, if later == Some(*node) { 20 } else { 10 });
    let electors: Vec<Elector> = nodes.iter().map(of).collect();
    Voters::named(Some(number(list)), &electors).unwrap()
}

fn of_store(store: u64, list: u32) -> Voters {
    Voters::new(Some(Number { store, list }), &[0, 1, 2]).unwrap()
}

#[test]
fn a_machine_that_has_the_place_of_a_voter_has_no_vote() {
    let set = Set::new(list_of(2, &[0, 1, 2], None), ms(0));
    let mut claim = Claim::new(1);
    claim.granted(elector(1, 20), 5, &set);
    assert_eq!(claim.until(ms(50), elector(0, 10), &set, &sent(5)), None);
    claim.granted(elector(1, 10), 5, &set);
    assert_eq!(claim.until(ms(50), elector(0, 10), &set, &sent(5)), Some(ms(90)));
    // Nor its own.
    assert_eq!(claim.until(ms(50), elector(0, 20), &set, &sent(5)), None);
    // By their files, whoever has the place votes.
    let set = Set::new(voters(None, &[0, 1, 2]), ms(0));
    let mut claim = Claim::new(1);
    claim.granted(elector(1, 20), 5, &set);
    assert_eq!(claim.until(ms(50), elector(0, 20), &set, &sent(5)), Some(ms(90)));
}

#[test]
fn what_a_machine_granted_is_not_counted_for_the_one_that_follows_it() {
    let mut set = Set::new(list_of(2, &[0, 1, 2], None), ms(0));
    let mut claim = Claim::new(1);
    claim.granted(elector(2, 10), 5, &set);
    for (at, list) in [(300, list_of(3, &[0, 1], None)), (600, list_of(4, &[0, 1, 2], Some(2)))] {
        assert!(set.adopt(ms(at), list));
        claim.keep_voters(&set);
    }
    assert_eq!(claim.until(ms(900), elector(0, 10), &set, &sent(5)), None);
    claim.granted(elector(2, 20), 5, &set);
    assert_eq!(claim.until(ms(900), elector(0, 10), &set, &sent(5)), Some(ms(90)));
}

#[test]
fn a_list_in_which_a_machine_took_the_place_of_another_follows_none() {
    let mut set = Set::new(list_of(2, &[0, 1, 2], None), ms(0));
    assert!(set.adopt(ms(1000), list_of(3, &[0, 1, 2], Some(2))));
    assert_eq!(set.counted(ms(1249)).count(), 0);
    assert_eq!(set.counted(ms(1250)).count(), 1);
}

#[test]
fn a_promise_to_a_machine_that_was_replaced_ends_by_time_alone() {
    let (word, later) = (Word { life: 1, serial: 1 }, Word { life: 2, serial: 1 });
    let mut voter = Voter::new(ms(0));
    assert!(voter.ask(ms(0), 2, word, SPAN));
    voter.is_followed(1);
    assert!(voter.grants(ms(1), 2, word), "another node's place");
    voter.is_followed(2);
    voter.release(ms(1), 2, later, true);
    for (at, may) in [(49, false), (50, true)] {
        let mut voter = voter;
        assert_eq!(voter.is_bound(ms(at), 2, 2), !may, "the next one at its place, at {at}");
        assert_eq!(voter.ask(ms(at), 1, word, SPAN), may, "another one, at {at}");
    }
}

#[test]
fn a_cluster_goes_from_its_files_to_the_first_list_without_a_gap() {
    let by_file = voters(None, &[0, 1, 2]);
    let mut set = Set::new(by_file.clone(), ms(0));
    assert!(set.fits(ms(0), Epoch::Number(number(1))), "who adopted it first is granted");
    let mut claim = Claim::new(1);
    claim.granted(elector(1, 10), 5, &set);
    assert!(set.adopt(ms(1000), list_of(1, &[0, 1, 2], None)));
    claim.keep_voters(&set);
    assert_eq!(claim.until(ms(1000), elector(0, 10), &set, &sent(5)), Some(ms(90)));
    for (at, fits) in [(1000, true), (1249, true), (1250, false)] {
        assert_eq!(set.fits(ms(at), by_file.epoch()), fits, "at {at}");
        assert!(!set.fits(ms(at), voters(None, &[0, 1]).epoch()), "of another file");
    }
    // Who went by another file, or by none of the first list, cannot tell who was lost.
    for (nodes, list) in [(&[0, 1, 2, 3][..], 1), (&[0, 1, 2], 2)] {
        let mut set = Set::new(voters(None, nodes), ms(0));
        assert!(set.adopt(ms(1000), list_of(list, &[0, 1, 2], None)));
        assert_eq!(set.counted(ms(1249)).count(), 0);
        assert!(!set.fits(ms(1000), voters(None, nodes).epoch()));
    }
}

#[test]
fn the_first_list_of_a_store_goes_on_with_the_one_of_the_former_store_that_it_names() {
    for (former, counts) in [(7, 1), (6, 0), (8, 0)] {
        let mut set = Set::new(of_store(1, 7), ms(0));
        let first = of_store(2, 1).going_on_with(Some(Number { store: 1, list: former }));
        assert!(set.adopt(ms(1000), first));
        assert_eq!(set.counted(ms(1000)).count(), counts, "after {former}");
        assert_eq!(set.fits(ms(1000), of_store(1, 7).epoch()), counts > 0);
        assert_eq!(set.counted(ms(1250)).count(), 1);
        assert!(!set.adopt(ms(1300), of_store(1, 9)), "it is older");
    }
}

#[test]
fn by_the_list_of_nobody_nobody_holds_and_nothing_older_is_granted() {
    let mut set = Set::new(of_store(1, 7), ms(0));
    assert!(set.adopt(ms(1000), Voters::nobody(2)));
    let mut claim = Claim::new(1);
    (0..3_u16).for_each(|node| claim.granted(node, 5, &set));
    for at in [1000, 1250, 9000] {
        assert_eq!(claim.until(ms(at), 0_u16, &set, &sent(5)), None);
        assert!(
            !set.fits(ms(at), of_store(1, 7).epoch()) && !set.fits(ms(at), of_store(1, 8).epoch())
        );
        assert!(set.fits(ms(at), of_store(2, 1).epoch()));
    }
    assert!(set.adopt(ms(2000), of_store(2, 1)));
    (0..3_u16).for_each(|node| claim.granted(node, 5, &set));
    assert_eq!(claim.until(ms(2249), 0_u16, &set, &sent(5)), None);
    assert_eq!(claim.until(ms(2250), 0_u16, &set, &sent(5)), Some(ms(90)));
}

#[test]
fn after_a_boot_nobody_counts_until_it_is_known_who_votes() {
    let unread = Set::unread(voters(None, &[0, 1, 2]), ms(0));
    assert!(unread.is_unread() && !unread.is_settled(ms(9000)));
    for read in [voters(None, &[0, 1, 2]), of_store(1, 4)] {
        let mut set = unread.clone();
        assert_eq!(set.counted(ms(9000)).count(), 0);
        assert!(!set.fits(ms(9000), of_store(1, 4).epoch()) && !set.fits(ms(9000), read.epoch()));
        assert!(set.adopt(ms(9000), read.clone()));
        assert_eq!(set.counted(ms(9249)).count(), 0, "it missed what went before");
        assert_eq!(set.counted(ms(9250)).count(), 1);
        assert!(set.fits(ms(9000), read.epoch()));
        assert!(!set.adopt(ms(9300), voters(None, &[0, 1])), "there is a list, or none was found");
    }
    let mut listed = Set::new(of_store(1, 4), ms(0));
    assert!(!listed.adopt(ms(10), voters(None, &[0, 1, 2])), "a store that lost its list has none");
}

/// {0 1 2 3 4}; 3 and 4 are off and proven dead, so {0 1 2} follows, and 0 and 1 are a majority of that. Both are started again.
#[test]
fn who_was_taken_for_dead_grants_nothing_by_the_list_that_had_it() {
    let (five, three) = (list_of(7, &[0, 1, 2, 3, 4], None), list_of(8, &[0, 1, 2], None));
    let (former, newest) = (five.epoch(), three.epoch());
    // Node 2 never heard of the list that follows: with the two it would have a majority beside that one.
    let (set, mut claim) = (Set::new(five, ms(0)), Claim::new(1));
    [3, 4].iter().for_each(|node| claim.granted(elector(*node, 10), 5, &set));
    assert_eq!(claim.until(ms(50), elector(2, 10), &set, &sent(5)), Some(ms(90)));
    let mut started = Set::unread(voters(None, &[0, 1, 2, 3, 4]), ms(0));
    assert!(started.adopt(ms(5000), three));
    let (before, adopted) = started.followed();
    let next = Set::left(started.voters().clone(), before.clone(), adopted);
    for set in [started, next] {
        for at in [5000, 5249, 9000] {
            assert!(!set.fits(ms(at), former), "at {at}");
            assert!(set.fits(ms(at), newest), "at {at}");
        }
    }
}

/// Of machines that joined at 10, but for node 0, and by a list of the former ones.
fn by_machines(joined: u64) -> impl Fn(&mut Config) {
    move |config| {
        config.joined = if config.node == 0 { joined } else { 10 };
        config.voters = list_of(3, &[0, 1, 2], None);
    }
}

#[test]
fn a_machine_that_took_the_place_of_the_holder_does_not_free_what_that_may_have() {
    let mut trio = Trio::of(by_machines(10));
    trio.comes_to(300, Some(0));
    let open = trio.machines[0].until(0);
    let former = trio.machines[0].clone();
    trio.restart_with(0, true, by_machines(20));
    trio.run_until_held();
    assert!(trio.now > open, "{} {open}", trio.now);
    assert!(trio.holders() == [1] || trio.holders() == [2], "the new one has no vote");
    // What the former one says is not heard any more, under whatever life.
    let mut body = [0; MAX_BODY];
    let length = former.beat(1, &mut body);
    let heard = trio.machines[1].node.peer(0).word;
    let body = &body[..length];
    trio.step(1, Input::Beat { network: CLIENTS, from: 0, life: 99, body });
    assert_eq!(trio.machines[1].node.peer(0).word, heard);
}

#[test]
fn nobody_is_named_and_nobody_holds_where_nobody_knows_who_votes() {
    let mut trio = Trio::of(|config| config.unread = true);
    trio.comes_to(1000, None);
    assert!(trio.machines.iter().all(|machine| !machine.votes() && machine.voters().is_none()));
    assert!((0..3).all(|node| trio.machines[node].view(0).unwrap().stand == Stand::Unfit));
    for node in 0..3 {
        trio.step(node, Input::Voters(&voters(None, &[0, 1, 2])));
    }
    trio.comes_to(1249, None);
    trio.run(1400);
    assert_eq!(trio.holders().len(), 1);
    assert_eq!(trio.machines[0].voters(), Some(&voters(None, &[0, 1, 2])));
}

/// What node 0 says next to that one, but for the bytes that `change` writes.
fn changed(trio: &mut Trio, to: u16, change: impl Fn(&mut [u8])) {
    let mut body = [0; MAX_BODY];
    let length = trio.machines[0].beat(to, &mut body);
    let body = &mut body[..length];
    // One beat later.
    body[23] += 1;
    change(body);
    let (network, life) = (CLIENTS, trio.lives[0]);
    trio.step(usize::from(to), Input::Beat { network, from: 0, life, body });
}

#[test]
fn a_term_that_no_later_one_follows_ends_no_process_and_is_followed() {
    let mut trio = Trio::held();
    trio.run(300);
    for to in [1, 2] {
        // The last field of the last entry.
        changed(&mut trio, to, |body| {
            body.last_chunk_mut::<8>().into_iter().for_each(|term| term.fill(0xff));
        });
        assert_eq!(trio.machines[usize::from(to)].view(0).unwrap().term, u64::MAX);
    }
    trio.isolate(0);
    trio.comes_to(400, Some(1));
}

#[test]
fn a_beat_that_no_later_one_follows_ends_no_process() {
    let mut trio = Trio::held();
    trio.run(300);
    for to in [1, 2] {
        changed(&mut trio, to, |body| body[16..24].fill(0xff));
    }
    trio.run(400);
    assert_ne!(trio.holders(), [0], "no grant of theirs is of what it said");
}
