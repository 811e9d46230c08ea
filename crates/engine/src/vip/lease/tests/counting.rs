use super::beat::Epoch;
use super::claim::{Claim, Sent};
use super::voters::Set;
use super::*;

/// Beats 1 to `count`, one each 10 ms from 10 ms on.
pub(super) fn sent(count: u64) -> Sent {
    let mut sent = Sent::default();
    for serial in 1..=count {
        assert_eq!(sent.note(ms(10 * serial), SPAN), serial);
    }
    sent
}

fn until(claim: &Claim, set: &Set, count: u64) -> Option<Time> {
    claim.until(ms(10 * count), 0, set, &sent(count))
}

#[test]
fn it_counts_from_the_sending_of_what_a_majority_granted() {
    for (nodes, granted, expected) in [
        (&[0, 1, 2][..], &[(1, 3)][..], Some(70)),
        (&[0, 1, 2], &[(1, 3), (2, 4)], Some(80)),
        (&[0, 1, 2], &[], None),
        (&[0, 1, 2], &[(1, 3), (1, 2)], Some(70)),
        (&[0, 1, 2], &[(7, 5)], None),
        (&[0, 1, 2, 3], &[(1, 3)], None),
        (&[0, 1, 2, 3], &[(1, 3), (3, 5)], Some(70)),
        (&[0, 1, 2, 3, 4], &[(1, 3), (3, 5), (4, 4)], Some(80)),
        (&[0], &[], Some(90)),
        // Not a voter itself.
        (&[1, 2, 3], &[(1, 3)], None),
        (&[1, 2, 3], &[(1, 3), (2, 4)], Some(70)),
    ] {
        let mut claim = Claim::new(2);
        let set = Set::new(voters(None, nodes), ms(0));
        granted.iter().for_each(|(voter, serial)| claim.granted(*voter, *serial, &set));
        assert_eq!(until(&claim, &set, 5), expected.map(ms), "{nodes:?} {granted:?}");
    }
}

#[test]
fn what_was_granted_to_an_earlier_claim_or_never_sent_counts_nothing() {
    let set = Set::new(voters(None, &[0, 1, 2]), ms(0));
    let mut claim = Claim::new(3);
    claim.granted(1, 2, &set);
    assert_eq!(until(&claim, &set, 5), None);
    claim.granted(1, 6, &set);
    assert_eq!(until(&claim, &set, 5), None, "no such beat was sent");
    let mut long = Claim::new(1);
    long.granted(1, 2, &set);
    assert_eq!(until(&long, &set, 300), None, "nobody remembers when that was");
}

#[test]
fn a_beat_that_asked_for_less_counts_for_no_more() {
    let set = Set::new(voters(None, &[0, 1, 2]), ms(0));
    let short = SPAN / 5;
    // Who granted the newest may have granted nothing before.
    for (spans, granted, expected) in [
        ([SPAN, SPAN, SPAN], 1, ms(10) + SPAN),
        ([SPAN, short, short], 1, ms(10) + short),
        ([SPAN, short, SPAN], 1, ms(10) + short),
        ([short, short, SPAN], 1, ms(10) + short),
        ([short, short, SPAN], 2, ms(20) + short),
        ([short, short, SPAN], 3, ms(30) + SPAN),
        ([SPAN, short, SPAN], 3, ms(30) + SPAN),
    ] {
        let mut sent = Sent::default();
        (1..).zip(spans).for_each(|(beat, span)| assert_eq!(sent.note(ms(10 * beat), span), beat));
        let mut claim = Claim::new(1);
        claim.granted(1, granted, &set);
        assert_eq!(claim.until(ms(40), 0, &set, &sent), Some(expected), "{spans:?} {granted}");
    }
}

#[test]
fn after_somebody_left_the_list_both_majorities_are_needed_for_a_while() {
    let mut set = Set::new(voters(Some(1), &[0, 1, 2, 3, 4]), ms(0));
    assert!(set.adopt(ms(10), voters(Some(2), &[0, 1, 2])));
    let mut claim = Claim::new(1);
    claim.granted(1, 5, &set);
    assert_eq!(claim.until(ms(259), 0, &set, &sent(5)), None);
    assert_eq!(claim.until(ms(260), 0, &set, &sent(5)), Some(ms(90)));
    // One more is no reason to wait: two such majorities share a voter.
    assert!(set.adopt(ms(300), voters(Some(3), &[0, 1, 2, 5])));
    claim.granted(5, 4, &set);
    assert_eq!(claim.until(ms(300), 0, &set, &sent(5)), Some(ms(80)));
}

#[test]
fn who_missed_a_list_counts_nobody_for_a_while() {
    let (three, four) = (voters(Some(3), &[0, 1, 2, 3, 4]), voters(Some(4), &[0, 1, 3]));
    // Node 3 answers by the voices of 2 and 4, which are dead by now.
    let mut holder = Claim::new(1);
    let set = Set::new(three, ms(0));
    [2, 4].iter().for_each(|voter| holder.granted(*voter, 5, &set));
    assert_eq!(holder.until(ms(50), 3, &set, &sent(5)), Some(ms(90)));
    // To node 1, which never heard of them, nobody is missing.
    let mut set = Set::new(voters(Some(1), &[0, 1, 3]), ms(0));
    assert!(set.adopt(ms(10), four.clone()));
    let mut claim = Claim::new(1);
    claim.granted(0, 5, &set);
    assert_eq!(claim.until(ms(259), 1, &set, &sent(5)), None);
    assert_eq!(claim.until(ms(260), 1, &set, &sent(5)), Some(ms(90)));
    // What follows a list that is known counts as ever.
    let mut set = Set::new(voters(Some(1), &[0, 1, 3]), ms(0));
    assert!(set.adopt(ms(10), four));
    assert!(set.adopt(ms(20), voters(Some(5), &[0, 1, 3, 5])));
    claim.granted(3, 5, &set);
    assert_eq!(claim.until(ms(50), 1, &set, &sent(5)), Some(ms(90)));
}

#[test]
fn grants_of_strangers_take_no_place_of_a_voter() {
    let all: Vec<u16> = (1..=31).collect();
    let lists = [&all[22..31], &all[21..30], &all[..9], &all[9..18]];
    let mut set = Set::new(voters(Some(1), lists[0]), ms(0));
    let mut claim = Claim::new(1);
    let grant = |claim: &mut Claim, set: &Set, serial| {
        all.iter().for_each(|node| claim.granted(*node, serial, set));
    };
    grant(&mut claim, &set, 1);
    assert_eq!(until(&claim, &set, 5), Some(ms(50)));
    for (number, at) in [(2, 1), (3, 300), (4, 600)] {
        assert!(
            set.adopt(ms(at), voters(Some(number), lists[usize::try_from(number).unwrap() - 1]))
        );
        claim.keep_voters(&set);
        let serial = u64::from(number);
        grant(&mut claim, &set, serial);
        let held = claim.until(ms(at), 0, &set, &sent(5));
        assert_eq!(held, Some(ms(10 * serial) + SPAN), "list {number}");
    }
}

#[test]
fn a_voter_grants_under_its_list_a_later_one_and_for_a_while_the_one_before() {
    let mut set = Set::new(voters(Some(6), &[0, 1]), ms(0));
    assert!(set.adopt(ms(1000), voters(Some(7), &[0, 1, 2])));
    for (at, epoch, fits) in [
        (1000, Epoch::Number(number(7)), true),
        (1000, Epoch::Number(number(6)), true),
        (1249, Epoch::Number(number(6)), true),
        (1250, Epoch::Number(number(6)), false),
        (1000, Epoch::Number(number(5)), false),
        (1000, Epoch::Number(number(9)), true),
        (1000, Epoch::Hash(7), false),
    ] {
        assert_eq!(set.fits(ms(at), epoch), fits, "{epoch:?} at {at}");
    }
    assert!(!set.is_settled(ms(1499)));
    assert!(set.is_settled(ms(1500)));
    assert!(!set.adopt(ms(1600), voters(Some(7), &[0])), "no later one");
    assert!(!set.adopt(ms(1600), voters(None, &[0])));
}

#[test]
fn lists_of_a_store_that_was_put_back_are_later_than_all_before_and_follow_none() {
    let restored =
        |list, nodes: &[u16]| Voters::new(Some(Number { store: 2, list }), nodes).unwrap();
    let mut set = Set::new(voters(Some(7), &[0, 1, 2, 3, 4]), ms(0));
    for list in [7, 8, 1] {
        let newer = restored(list, &[0, 1, 5]);
        assert_ne!(newer.epoch(), set.voters().epoch());
        assert!(set.fits(ms(0), newer.epoch()), "as any later list");
    }
    // Though it counts on, and though it counts the same again.
    for list in [8, 7] {
        let mut set = set.clone();
        assert!(set.adopt(ms(1000), restored(list, &[0, 1, 5])));
        assert_eq!(set.counted(ms(1249)).count(), 0, "who was lost nobody knows");
        assert_eq!(set.counted(ms(1250)).count(), 1);
        assert!(!set.fits(ms(1000), Epoch::Number(number(7))));
        assert!(!set.fits(ms(1000), Epoch::Number(number(9))), "of the store before");
        assert!(!set.adopt(ms(1300), voters(Some(9), &[0, 1])));
    }
    assert!(set.adopt(ms(1000), restored(1, &[0, 1, 5])));
    assert!(set.adopt(ms(2000), restored(2, &[0, 1])));
    assert_eq!(set.counted(ms(2000)).count(), 2, "within an incarnation as ever");
}

#[test]
fn lists_without_a_store_are_the_same_or_have_nothing_to_do_with_each_other() {
    let set = Set::new(voters(None, &[2, 0, 1]), ms(0));
    assert!(set.fits(ms(0), voters(None, &[0, 1, 2]).epoch()));
    assert!(!set.fits(ms(0), voters(None, &[0, 1]).epoch()));
    assert!(!set.fits(ms(0), voters(None, &[0, 1, 258]).epoch()));
    assert!(set.fits(ms(0), voters(Some(1), &[0, 1, 2]).epoch()), "a store's is later than any");
}

#[test]
fn a_list_has_each_node_once_and_somebody() {
    assert_eq!(Voters::new(None, &[]), None);
    assert_eq!(Voters::new(None, &[1, 0, 1]), None);
    assert_eq!(Voters::new(None, &[9; MAX_VOTERS + 1]), None);
    let majorities = (1..=5).map(|n| voters(None, &[0, 1, 2, 3, 4][..n]).majority());
    assert_eq!(majorities.collect::<Vec<_>>(), [1, 2, 2, 3, 3]);
}
