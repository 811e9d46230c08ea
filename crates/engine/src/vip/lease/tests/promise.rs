use super::voter::{Voter, Word};
use super::*;

const X: u16 = 0;
const Y: u16 = 1;

const fn word(life: u64, serial: u64) -> Word {
    Word { life, serial }
}

#[test]
fn a_voter_that_promised_waits_the_vip_lease_and_what_clocks_differ() {
    let mut voter = Voter::new(ms(0));
    assert!(voter.ask(ms(0), X, word(1, 1), SPAN));
    assert!(!voter.ask(ms(40), Y, word(1, 1), SPAN));
    assert!(!voter.ask(us(49_999), Y, word(1, 2), SPAN));
    assert!(voter.ask(ms(50), Y, word(1, 3), SPAN));
}

#[test]
fn a_promise_outlasts_the_vip_lease_whatever_a_time_daemon_does_to_both_clocks() {
    for tenths in 1..=2000 {
        let span = Duration::from_micros(100) * tenths;
        // The holder's clock at 0.8995 of its rate, the voter's at 1.1005.
        assert!(hold(span).as_nanos() * 8995 >= span.as_nanos() * 11005, "{span:?}");
    }
    assert_eq!(hold(SPAN), Duration::from_millis(50));
    assert!(hold(Duration::from_nanos(7)) >= Duration::from_nanos(9));
}

#[test]
fn who_is_bound_promises_the_same_life_again_and_no_other() {
    let mut voter = Voter::new(ms(0));
    assert!(voter.ask(ms(0), X, word(1, 1), SPAN));
    assert!(voter.ask(ms(10), X, word(1, 2), SPAN));
    assert!(!voter.ask(ms(10), X, word(2, 1), SPAN), "its former life may be open");
    assert_eq!(voter.free_at(), ms(60));
}

#[test]
fn a_shorter_claim_ends_no_longer_promise() {
    let mut voter = Voter::new(ms(0));
    assert!(voter.ask(ms(0), X, word(1, 1), SPAN * 4));
    assert!(voter.ask(ms(10), X, word(1, 2), SPAN));
    assert_eq!(voter.free_at(), ms(200));
}

#[test]
fn a_word_without_a_claim_ends_the_promise_if_it_is_later() {
    for (life, serial, closed, ends) in [
        (3, 8, false, true),
        // Came late over another network.
        (3, 6, false, false),
        (3, 7, true, false),
        // A later process that does not know what its former one left open, and one that does.
        (4, 1, false, false),
        (4, 1, true, true),
        (2, 99, true, false),
    ] {
        let mut voter = Voter::new(ms(0));
        assert!(voter.ask(ms(0), X, word(3, 7), SPAN));
        voter.release(ms(1), Y, word(9, 9), true);
        voter.release(ms(1), X, word(life, serial), closed);
        assert_eq!(voter.promise(ms(2)).is_none(), ends, "{life}.{serial} {closed}");
    }
}

#[test]
fn a_grant_is_of_the_newest_claim_only() {
    let mut voter = Voter::new(ms(0));
    assert!(voter.ask(ms(0), X, word(1, 1), SPAN));
    assert!(voter.grants(ms(49), X, word(1, 1)));
    assert!(!voter.grants(ms(49), X, word(1, 2)), "that one was refused, or claimed nothing");
    assert!(!voter.grants(ms(50), X, word(1, 1)));
}

#[test]
fn whoever_claims_votes_for_nobody_else() {
    let mut voter = Voter::new(ms(0));
    assert!(voter.keep(ms(0), X, 1));
    assert!(!voter.ask(ms(100_000), Y, word(1, 1), SPAN));
    let mut voter = Voter::new(ms(0));
    assert!(voter.ask(ms(0), Y, word(1, 1), SPAN));
    assert!(!voter.keep(ms(49), X, 1));
    assert!(voter.keep(ms(50), X, 1));
}
