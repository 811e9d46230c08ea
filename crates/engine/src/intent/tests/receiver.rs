use super::*;

fn heard(receiver: &mut Receiver, word: Word) -> Vec<Duty> {
    let mut out = Buffer::new();
    receiver.step(word, &mut out);
    out.drain().collect()
}

fn order(token: u64, step: u8) -> Word {
    let what = self::step("node01", "hand-over");
    Word::Ordered(Order { token: Token(token), at: at(step), what })
}

const fn at(step: u8) -> At {
    At { incarnation: STORE, number: 1, step }
}

#[test]
fn a_step_is_done_once_however_often_it_is_ordered() {
    let mut receiver = Receiver::default();
    let what = step("node01", "hand-over");
    let first = heard(&mut receiver, order(5, 0));
    assert_eq!(first, [Duty::Keep, Duty::Do { at: at(0), what: what.clone() }]);
    assert_eq!(heard(&mut receiver, order(5, 0)), [], "it is being done");
    let ended = Word::Ended { at: at(0), outcome: Ok(()) };
    let answer = Duty::Answer { at: at(0), outcome: Ok(()) };
    assert_eq!(heard(&mut receiver, ended), [Duty::Keep, answer.clone()]);
    assert_eq!(heard(&mut receiver, order(6, 0)), [Duty::Keep, answer], "another leader asks");
    let mut receiver = receiver.restarted();
    assert_eq!(heard(&mut receiver, order(5, 1)), [Duty::Stale], "the one before asks");
}

/// A drain whose order was lost on the way and is sent again, after `resume` called it off and was done.
#[test]
fn a_step_that_comes_after_a_later_decision_about_its_object_is_not_done() {
    let ordered = |number, verb: &str, object: &str| {
        let what = Step { object: object.to_owned(), ..step("node01", verb) };
        Word::Ordered(Order { token: Token(5), at: At { number, ..at(0) }, what })
    };
    let mut receiver = Receiver::default();
    heard(&mut receiver, ordered(6, "resume", "node/node01"));
    let late = heard(&mut receiver, ordered(5, "drain", "node/node01"));
    let [.., Duty::Answer { outcome: Err(why), .. }] = &late[..] else { panic!("{late:?}") };
    assert_eq!(why, "what was decided later about it has been carried out");
    assert!(!late.iter().any(|duty| matches!(duty, Duty::Do { .. })), "{late:?}");
    let mut receiver = Receiver::decode(&receiver.encode()).expect("it is whole").restarted();
    let late = heard(&mut receiver, ordered(5, "drain", "node/node01 60"));
    assert!(!late.iter().any(|duty| matches!(duty, Duty::Do { .. })), "{late:?}");
    let other = heard(&mut receiver, ordered(4, "hand-over", "vip/internal node02"));
    assert!(matches!(&other[..], [Duty::Keep, Duty::Do { .. }]), "of another object: {other:?}");
}

#[test]
fn another_store_begins_anew_and_orders_of_the_former_one_are_refused_over_a_restart() {
    let in_store = |incarnation, token, step| {
        let what = self::step("node01", "hand-over");
        let at = At { incarnation, ..at(step) };
        Word::Ordered(Order { token: Token(token), at, what })
    };
    let mut receiver = Receiver::default();
    heard(&mut receiver, order(500, 0));
    heard(&mut receiver, Word::Ended { at: at(0), outcome: Ok(()) });
    heard(&mut receiver, order(500, 1));
    // Restored or founded anew: numbers and tokens begin again, and the same words mean another step.
    let (new, what) = (At { incarnation: STORE + 1, ..at(0) }, step("node01", "hand-over"));
    let duties = heard(&mut receiver, in_store(STORE + 1, 2, 0));
    assert_eq!(duties, [Duty::Keep, Duty::Do { at: new, what: what.clone() }]);
    // What the former store had begun ends, and is no answer to the new one.
    assert_eq!(heard(&mut receiver, Word::Ended { at: at(1), outcome: Ok(()) }), []);
    assert_eq!(heard(&mut receiver, Word::Ended { at: at(0), outcome: Ok(()) }), []);
    assert_eq!((receiver.outcome(new), receiver.outcome(at(0))), (None, None));
    // A coordinator of the former store wakes up, with the greater token.
    assert_eq!(heard(&mut receiver, order(501, 1)), [Duty::Stale]);
    let mut receiver = Receiver::decode(&receiver.encode()).expect("it is whole").restarted();
    assert_eq!(heard(&mut receiver, order(501, 1)), [Duty::Stale]);
    assert_eq!(heard(&mut receiver, in_store(STORE + 1, 1, 0)), [Duty::Stale], "its own older one");
    assert_eq!((receiver.incarnation(), receiver.newest()), (Some(STORE + 1), Some(Token(2))));
    let duties = heard(&mut receiver, in_store(STORE + 1, 2, 0));
    assert_eq!(duties, [Duty::Look { at: new, what }]);
}

#[test]
fn a_receiver_of_a_version_that_knew_no_incarnation_takes_the_next_store_for_its_own() {
    let mut kept = vec![1];
    // As version 1 kept it: the greatest token, and one step that has ended.
    kept.extend([1, 5, 1, 1, 0, 6]);
    kept.extend(b"node01");
    kept.push(9);
    kept.extend(b"hand-over");
    kept.push(12);
    kept.extend(b"vip/internal");
    kept.extend([1, 0]);
    let mut receiver = Receiver::decode(&kept).expect("it is whole");
    assert_eq!((receiver.incarnation(), receiver.newest()), (None, Some(Token(5))));
    let answer = Duty::Answer { at: at(0), outcome: Ok(()) };
    assert_eq!(heard(&mut receiver, order(6, 0)), [Duty::Keep, answer]);
    assert_eq!(receiver.incarnation(), Some(STORE));
}

#[test]
fn a_step_that_was_begun_before_a_death_is_looked_at_before_it_is_done() {
    for is_done in [false, true] {
        let mut receiver = Receiver::default();
        heard(&mut receiver, order(5, 0));
        let mut receiver = receiver.restarted();
        let what = step("node01", "hand-over");
        let look = Duty::Look { at: at(0), what: what.clone() };
        assert_eq!(heard(&mut receiver, order(6, 0)), [Duty::Keep, look]);
        let duties = heard(&mut receiver, Word::Looked { at: at(0), is_done });
        if is_done {
            let answer = Duty::Answer { at: at(0), outcome: Ok(()) };
            assert_eq!(duties, [Duty::Keep, answer]);
        } else {
            assert_eq!(duties, [Duty::Do { at: at(0), what }]);
        }
    }
}

#[test]
fn a_receiver_is_read_as_it_was_kept_and_damaged_bytes_are_no_receiver() {
    let mut receiver = Receiver::default();
    assert_eq!(Receiver::decode(&receiver.encode()).map(|r| r.encode()), Some(receiver.encode()));
    heard(&mut receiver, order(5, 0));
    heard(&mut receiver, Word::Ended { at: at(0), outcome: Err("no".to_owned()) });
    let bytes = receiver.encode();
    expect![
        "040103010500010100066e6f646530310968616e642d6f7665720c7669702f696e7465726e616c0101026e6fe9b7a421"
    ]
    .assert_eq(&hex(&bytes));
    let mut again = Receiver::decode(&bytes).expect("it is whole");
    assert_eq!(
        (again.newest(), again.outcome(at(0))),
        (Some(Token(5)), Some(Err("no".to_owned())))
    );
    assert_eq!(heard(&mut again, order(4, 1)), [Duty::Stale], "the token is remembered");
    for end in 0..bytes.len() {
        assert!(Receiver::decode(&bytes[..end]).is_none(), "{end} bytes");
    }
    assert!(Receiver::decode(&[bytes.clone(), vec![0]].concat()).is_none());
    for version in [1, 2, 3, 5] {
        assert!(
            Receiver::decode(&[&[version], &bytes[1..]].concat()).is_none(),
            "version {version}"
        );
    }
    for bit in 0..bytes.len() * 8 {
        let mut turned = bytes.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        assert!(Receiver::decode(&turned).is_none(), "bit {bit} has turned");
    }
}

#[test]
fn a_receiver_of_the_version_before_the_checksum_is_read() {
    let mut kept = vec![2, 1, 3, 1, 5, 1, 1, 0, 6];
    kept.extend(b"node01");
    kept.push(9);
    kept.extend(b"hand-over");
    kept.push(12);
    kept.extend(b"vip/internal");
    kept.extend([1, 0]);
    let receiver = Receiver::decode(&kept).expect("it is whole");
    assert_eq!((receiver.incarnation(), receiver.newest()), (Some(3), Some(Token(5))));
}

#[test]
fn what_a_later_version_kept_is_told_by_its_form_and_it_looks_before_it_does_anything() {
    let mut receiver = Receiver::default();
    heard(&mut receiver, order(5, 0));
    let mut kept = receiver.encode();
    kept.truncate(kept.len() - 4);
    kept[0] += 1;
    let kept = crate::whole::marked(kept);
    let (mut again, damage) = Receiver::revive([Some(&kept), Some(&kept)]);
    assert_eq!(damage, Some(Damage::Later(5)));
    let duties = heard(&mut again, order(5, 0));
    assert!(matches!(duties.last(), Some(Duty::Look { .. })), "{duties:?}");
    let torn = &kept[..9];
    assert_eq!(Receiver::revive([Some(torn), Some(torn)]).1, Some(Damage::All));
}

#[test]
fn one_whole_copy_is_enough_and_where_there_is_none_it_looks_before_it_does_anything() {
    let mut receiver = Receiver::default();
    heard(&mut receiver, order(5, 0));
    heard(&mut receiver, Word::Ended { at: at(0), outcome: Ok(()) });
    let (whole, torn) = (receiver.encode(), &receiver.encode()[..9]);
    for copies in [[Some(&whole[..]), Some(torn)], [Some(torn), Some(&whole)]] {
        let (mut again, damage) = Receiver::revive(copies);
        assert_eq!(damage, Some(Damage::One));
        assert_eq!(heard(&mut again, order(4, 1)), [Duty::Stale], "nothing was lost");
    }
    for copies in [[Some(&whole[..]), None], [None, Some(&whole)], [Some(&whole), Some(&whole)]] {
        assert_eq!(Receiver::revive(copies).1, None);
    }
    let what = step("node01", "hand-over");
    for copies in [[Some(torn), Some(torn)], [Some(torn), None]] {
        let (mut again, damage) = Receiver::revive(copies);
        assert_eq!(damage, Some(Damage::All));
        let look = Duty::Look { at: at(0), what: what.clone() };
        assert_eq!(heard(&mut again, order(5, 0)), [Duty::Keep, look]);
        let answer = Duty::Answer { at: at(0), outcome: Ok(()) };
        let looked = Word::Looked { at: at(0), is_done: true };
        assert_eq!(heard(&mut again, looked), [Duty::Keep, answer]);
        // That is kept with what it learns now.
        let mut again = Receiver::revive([Some(&again.encode()), None]).0.restarted();
        let later = At { number: 900, ..at(0) };
        let ordered = |at| Word::Ordered(Order { token: Token(5), at, what: what.clone() });
        let look = Duty::Look { at: later, what: what.clone() };
        assert_eq!(heard(&mut again, ordered(later)), [Duty::Keep, look]);
        let last = At { number: 1 + MAX_KEPT as u64, ..at(0) };
        let act = Duty::Do { at: last, what: what.clone() };
        assert_eq!(
            heard(&mut again, ordered(last)),
            [Duty::Keep, act],
            "it was never ordered before"
        );
    }
    let (mut new, damage) = Receiver::revive([None, None]);
    assert_eq!(damage, None);
    assert_eq!(heard(&mut new, order(5, 0)), [Duty::Keep, Duty::Do { at: at(0), what }]);
}
