use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;

use super::*;

mod model;

fn at(clock: u64, transaction: Transaction) -> Entry {
    Entry { clock, command: Command::Transact(transaction) }
}

fn put_for(key: &str, value: &[u8], limit: u32) -> Transaction {
    Transaction::of(Op::Put { key: key.into(), value: value.into(), limit: Some(limit) })
}

fn keys(kv: &Kv) -> Vec<String> {
    let (items, more) = kv.range(&Keys::Prefix(String::new()), usize::MAX);
    assert!(!more);
    items.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_write_has_a_revision_and_a_read_has_none() {
    let mut kv = Kv::new();
    assert_eq!(kv.apply(&at(0, Transaction::put("a", b"1"))).unwrap().revision, 1);
    assert_eq!(kv.apply(&at(0, Transaction::of(Op::read("a")))).unwrap().revision, 1);
    assert_eq!(kv.apply(&at(0, Transaction::delete("b"))).unwrap().revision, 1);
    assert_eq!(kv.apply(&at(0, Transaction::put("a", b"2"))).unwrap().revision, 2);
    let item = kv.get("a").unwrap();
    assert_eq!((item.created, item.changed, &*item.value), (1, 2, &b"2"[..]));
}

#[test]
fn a_swap_that_does_not_hold_changes_nothing_and_tells_what_is_there() {
    let mut kv = Kv::new();
    kv.apply(&at(0, Transaction::swap("a", Condition::Missing, b"1"))).unwrap();
    let late = kv.apply(&at(0, Transaction::swap("a", Condition::Missing, b"2"))).unwrap();
    assert!(!late.held);
    let [Answer::Found { items, .. }] = &late.answers[..] else { panic!("{late:?}") };
    assert_eq!(&*items[0].1.value, b"1");
    let value = Condition::Value(b"1"[..].into());
    assert!(kv.apply(&at(0, Transaction::swap("a", value, b"3"))).unwrap().held);
    assert!(!kv.apply(&at(0, Transaction::swap("a", Condition::Changed(1), b"4"))).unwrap().held);
    assert!(kv.apply(&at(0, Transaction::swap("a", Condition::Changed(2), b"4"))).unwrap().held);
}

#[test]
fn a_transaction_is_all_or_nothing_and_one_revision() {
    let mut kv = Kv::new();
    let mut both = Transaction::put("a", b"1");
    both.then.push(Op::put("b", b"1"));
    assert_eq!(kv.apply(&at(0, both.clone())).unwrap().revision, 1);
    both.then.push(Op::put("c", &vec![0; MAX_VALUE + 1]));
    let refused = kv.apply(&at(0, both)).unwrap_err();
    expect!["the value of `c` has 262145 bytes, the limit is 262144"]
        .assert_eq(&refused.to_string());
    assert_eq!((kv.revision(), kv.get("a").unwrap().changed), (1, 1));
}

#[test]
fn a_key_goes_when_its_time_is_up_and_not_before() {
    let mut kv = Kv::new();
    kv.apply(&at(100, put_for("a", b"1", 50))).unwrap();
    assert_eq!(kv.deadline(), Some(150));
    kv.apply(&Entry { clock: 149, command: Command::Expire }).unwrap();
    assert!(kv.get("a").is_some());
    // A later leader that counts from less does not turn the clock back.
    kv.apply(&Entry { clock: 20, command: Command::Expire }).unwrap();
    assert_eq!(kv.clock(), 149);
    let seen = kv.apply(&at(150, Transaction::of(Op::read("a")))).unwrap();
    assert_eq!(seen.answers, [Answer::Found { items: vec![], more: false }]);
    let changes: Vec<_> = kv.changes(1, &Keys::One("a".into())).unwrap().cloned().collect();
    let gone = Change { revision: 2, key: "a".into(), value: None, expired: true };
    assert_eq!((changes, kv.revision(), kv.deadline()), (vec![gone], 2, None));
}

#[test]
fn writing_a_key_again_renews_or_ends_its_time_limit() {
    let mut kv = Kv::new();
    kv.apply(&at(0, put_for("a", b"1", 50))).unwrap();
    kv.apply(&at(40, put_for("a", b"1", 50))).unwrap();
    assert_eq!(kv.deadline(), Some(90));
    kv.apply(&at(50, Transaction::put("a", b"1"))).unwrap();
    kv.apply(&Entry { clock: 1000, command: Command::Expire }).unwrap();
    assert_eq!(keys(&kv), ["a"]);
}

#[test]
fn a_watch_tells_each_change_once_or_says_that_it_cannot() {
    let mut kv = Kv::new();
    let value = vec![0; MAX_VALUE];
    for key in 0..40 {
        kv.apply(&at(0, Transaction::put(&format!("k{key}"), &value))).unwrap();
    }
    let prefix = Keys::Prefix("k".into());
    let Err(compacted) = kv.changes(0, &prefix) else { panic!("8 MB hold no 40 of these") };
    expect!["changes up to revision 9 are compacted: read the keys again and watch from there"]
        .assert_eq(&compacted.to_string());
    let revisions: Vec<_> =
        kv.changes(compacted.upto, &prefix).unwrap().map(|c| c.revision).collect();
    assert_eq!(revisions, (compacted.upto + 1..=40).collect::<Vec<_>>());
    assert_eq!(kv.changes(40, &prefix).unwrap().count(), 0);
}

#[test]
fn a_transaction_whose_changes_are_partly_forgotten_is_compacted() {
    let mut kv = Kv::new();
    for round in 0..=MAX_CHANGES / 64 {
        let ops =
            (0..64).map(|key| Op::put(&format!("{key}"), &[u8::try_from(round % 256).unwrap()]));
        kv.apply(&at(0, Transaction { then: ops.collect(), ..Transaction::default() })).unwrap();
    }
    let all = Keys::Prefix(String::new());
    assert_eq!(kv.changes(0, &all).err(), Some(Compacted { upto: 1 }));
    assert_eq!(kv.changes(1, &all).unwrap().count(), MAX_CHANGES);
}

#[test]
fn limits_refuse_by_name_and_leave_everything() {
    let long = "k".repeat(MAX_KEY + 1);
    let ops = |count| Transaction { then: vec![Op::read("a"); count], ..Transaction::default() };
    let twice = |one, two| Transaction { then: vec![one, two], ..Transaction::default() };
    let value = vec![0; MAX_VALUE];
    let five = ["a", "b", "c", "d", "e"].map(|key| Op::put(key, &value)).to_vec();
    let five = Transaction { then: five, ..Transaction::default() };
    let all = || Op::Delete { keys: Keys::Prefix(String::new()) };
    let rows = [
        (Transaction::put("", b""), "a key has at least one byte"),
        (Transaction::put(&long, b""), "the key has 513 bytes, the limit is 512"),
        (ops(MAX_OPS + 1), "a transaction has at most 128 compares and as many operations"),
        (five, "the transaction has over 1048576 bytes, the limit"),
        (put_for("a", b"1", 0), "a time limit has at least one millisecond"),
        (twice(Op::put("a", b"1"), Op::put("a", b"2")), "the transaction writes `a` twice"),
        (twice(Op::put("a", b"1"), all()), "the transaction writes `a` twice"),
        (twice(all(), Op::put("a", b"1")), "the transaction writes `a` twice"),
    ];
    for (transaction, expected) in rows {
        let mut kv = Kv::new();
        assert_eq!(kv.apply(&at(0, transaction)).unwrap_err().to_string(), expected);
        assert_eq!(kv, Kv::new());
    }
    Kv::new().apply(&at(0, ops(MAX_OPS))).unwrap();
}

#[test]
fn a_full_store_takes_no_new_key_but_smaller_values_and_deletes() {
    let mut kv = Kv::new();
    let value = vec![0; MAX_VALUE];
    for key in 0..MAX_BYTES / (MAX_VALUE + 3) {
        kv.apply(&at(0, Transaction::put(&format!("{key:03}"), &value))).unwrap();
    }
    assert_eq!(kv.apply(&at(0, Transaction::put("more", &value))), Err(Refusal::Full));
    kv.apply(&at(0, Transaction::put("000", b"small"))).unwrap();
    kv.apply(&at(0, Transaction::delete("001"))).unwrap();
    kv.apply(&at(0, Transaction::put("more", &value))).unwrap();
}

#[test]
fn the_last_key_that_fits_is_taken_and_the_next_refused() {
    let mut kv = Kv::new();
    for block in 0..MAX_KEYS / 128 {
        let ops = (0..128).map(|key| Op::put(&format!("{block}/{key}"), b""));
        kv.apply(&at(0, Transaction { then: ops.collect(), ..Transaction::default() })).unwrap();
    }
    assert_eq!(kv.len(), MAX_KEYS);
    assert_eq!(kv.apply(&at(0, Transaction::put("more", b""))), Err(Refusal::TooManyKeys));
    kv.apply(&at(0, Transaction::put("0/0", b"again"))).unwrap();
}

#[test]
fn a_long_range_is_read_in_parts() {
    let mut kv = Kv::new();
    let value = vec![0; MAX_FOUND_BYTES / 4];
    for key in 0..6 {
        kv.apply(&at(0, Transaction::put(&format!("{key}"), &value))).unwrap();
    }
    let (first, more) = kv.range(&Keys::Prefix(String::new()), 100);
    assert!(more && first.len() == 3, "{}", first.len());
    let span = Keys::Span { from: "3".into(), to: "5".into() };
    let (rest, more) = kv.range(&span, 100);
    assert_eq!((rest.len(), more), (2, false));
}

#[test]
fn a_token_grows_with_every_holder_and_a_restarted_holder_is_a_new_one() {
    let mut kv = Kv::new();
    let mut run = |clock, transaction| acquired(&kv.apply(&at(clock, transaction)).unwrap());
    let first = run(0, acquire("writer", "node1", 1000)).unwrap();
    let held = Held { holder: "node1".into(), token: first };
    assert_eq!(run(10, acquire("writer", "node2", 1000)), Err(Some(held.clone())));
    assert_eq!(run(10, acquire("writer", "node1", 1000)), Err(Some(held)));
    assert_eq!(run(900, renew("writer", first, "node1", 1000)), Ok(first));
    // 1900: its time is up, and it does not know.
    let second = run(1900, acquire("writer", "node2", 1000)).unwrap();
    assert!(second > first);
    let held = Held { holder: "node2".into(), token: second };
    assert_eq!(run(1901, renew("writer", first, "node1", 1000)), Err(Some(held)));
    assert!(!kv.apply(&at(1902, release("writer", first))).unwrap().held);
    assert_eq!(check(&kv, "writer", second), Ok(()));
    assert_eq!(check(&kv, "writer", first), Err(Stale::Older { given: first, newest: second }));
    assert!(kv.apply(&at(1903, release("writer", second))).unwrap().held);
    assert_eq!(check(&kv, "writer", second), Err(Stale::NotHeld { given: second }));
    let third = acquired(&kv.apply(&at(1904, acquire("writer", "node1", 9))).unwrap()).unwrap();
    assert!(third > second);
    let gone = kv.apply(&at(2000, renew("writer", third, "node1", 9))).unwrap();
    assert_eq!(acquired(&gone), Err(None));
}

#[test]
fn a_name_that_is_bequeathed_goes_to_its_heir_or_after_a_moment_to_anybody() {
    let mut kv = Kv::new();
    let mut run = |clock, transaction| kv.apply(&at(clock, transaction)).unwrap();
    let first = acquired(&run(0, acquire("writer", "node1", 9000))).unwrap();
    assert!(!run(1, bequeath("writer", Token(first.0 + 1), "node2", 500)).held, "another token");
    assert!(run(2, bequeath("writer", first, "node2", 500)).held);
    // Neither the former holder nor a third one.
    assert_eq!(acquired(&run(3, renew("writer", first, "node1", 9000))), Err(None));
    assert_eq!(acquired(&run(3, acquire("writer", "node1", 9000))), Err(None));
    assert_eq!(acquired(&run(3, inherit("writer", "node3", 9000))), Err(None));
    let second = acquired(&run(4, inherit("writer", "node2", 9000))).unwrap();
    assert!(second > first);
    // An heir that died: its moment passes.
    assert!(run(5, bequeath("writer", second, "node3", 500)).held);
    assert_eq!(acquired(&run(504, acquire("writer", "node1", 9000))), Err(None));
    let third = acquired(&run(505, acquire("writer", "node1", 9000))).unwrap();
    assert!(third > second);
    let held = Held { holder: "node1".into(), token: third };
    assert_eq!(acquired(&run(506, inherit("writer", "node3", 9000))), Err(Some(held)));
}

#[test]
fn a_receiver_refuses_an_older_token_for_ever() {
    let mut fence = Fence::default();
    let (old, new) = (Token(3), Token(7));
    assert_eq!(fence.pass("writer", old), Ok(()));
    assert_eq!(fence.pass("writer", new), Ok(()));
    assert_eq!(fence.pass("writer", new), Ok(()));
    assert_eq!(fence.pass("writer", old), Err(Stale::Older { given: old, newest: new }));
    assert_eq!(fence.pass("other", old), Ok(()));
    for name in 2..MAX_NAMES {
        fence.pass(&name.to_string(), old).unwrap();
    }
    assert_eq!(fence.pass("one more", new), Err(Stale::TooManyNames));
    assert_eq!(fence.pass("writer", old), Err(Stale::Older { given: old, newest: new }));
}

/// One of everything that has bytes.
fn samples() -> (Vec<Entry>, Vec<Result<Outcome, Refusal>>) {
    let transaction = Transaction {
        compares: vec![
            Compare { key: "a".into(), is: Condition::Missing },
            Compare { key: "b".into(), is: Condition::Value(b"v"[..].into()) },
            Compare { key: "c".into(), is: Condition::Created(3) },
            Compare { key: "d".into(), is: Condition::Changed(4) },
        ],
        then: vec![
            Op::put("e", b"value"),
            Op::Put { key: "f".into(), value: b""[..].into(), limit: Some(1000) },
            Op::Delete { keys: Keys::Prefix("g/".into()) },
        ],
        otherwise: vec![Op::Read {
            keys: Keys::Span { from: "h".into(), to: "i".into() },
            limit: 9,
        }],
    };
    let item = Item { value: b"v"[..].into(), created: 1, changed: 2, until: Some(5) };
    let found = Answer::Found { items: vec![("k".into(), item)], more: true };
    let answers = vec![Answer::Put, Answer::Deleted(2), found];
    let outcome = Outcome { revision: 7, held: true, answers };
    let refusals = [
        Refusal::EmptyKey,
        Refusal::LongKey(600),
        Refusal::LongValue { key: "k".into(), length: 300_000 },
        Refusal::TooManyOps,
        Refusal::Twice("k".into()),
        Refusal::TooManyKeys,
        Refusal::Full,
        Refusal::NoTime,
        Refusal::LongTransaction,
    ];
    let results = std::iter::once(Ok(outcome)).chain(refusals.map(Err)).collect();
    (vec![at(258, transaction), Entry { clock: 1, command: Command::Expire }], results)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn entries_results_and_snapshots_have_these_bytes() {
    let (entries, results) = samples();
    let mut text = String::new();
    for entry in &entries {
        text += &format!("{}\n", hex(&entry.encode()));
        assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(entry));
    }
    for result in &results {
        text += &format!("{}\n", hex(&Outcome::encode(result)));
        assert_eq!(Outcome::decode(&Outcome::encode(result)).as_ref(), Ok(result));
    }
    let mut kv = Kv::new();
    kv.apply(&at(7, put_for("a", b"1", 50))).unwrap();
    kv.apply(&at(8, Transaction::put("b", b"2"))).unwrap();
    text += &format!("{}\n", hex(&kv.snapshot()));
    expect![[r#"
        0100000000000001020100000004000000016100000000016201000000017600000001630200000000000000030000000164030000000000000004000000030100000001650000000576616c756502000000016600000000000003e8030100000002672f0000000104020000000168000000016900000009
        01000000000000000102
        010000000000000000070100000003000100000002020100000001000000016b0000000176000000000000000100000000000000020000000000000005
        010100
        01010100000258
        010102000000016b000493e0
        010103
        010104000000016b
        010105
        010106
        010107
        010108
        4f5554530100000000000000080000000000000002000000020000000161000000013100000000000000010000000000000001000000000000003900000001620000000132000000000000000200000000000000020000000000000000510698f47f758ae750a85d93f301370c6940045f35e08ff68b660aecff8d148b
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_newer_version_is_refused_by_number() {
    let (entries, results) = samples();
    let newer = |mut bytes: Vec<u8>, at: usize| {
        bytes[at] = VERSION + 1;
        bytes
    };
    let refused = Damage::Version(VERSION + 1);
    assert_eq!(Entry::decode(&newer(entries[0].encode(), 0)).err(), Some(refused));
    assert_eq!(Outcome::decode(&newer(Outcome::encode(&results[0]), 0)).err(), Some(refused));
    assert_eq!(read_snapshot(&newer(Kv::new().snapshot(), 4)).err(), Some(refused));
}

#[test]
fn a_damaged_snapshot_is_refused_whichever_byte_it_is() {
    let mut kv = Kv::new();
    kv.apply(&at(7, put_for("a", b"1", 50))).unwrap();
    let bytes = kv.snapshot();
    assert_eq!(read_snapshot(&bytes).unwrap(), kv);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(read_snapshot(&damaged).is_err(), "byte {at}");
        assert!(read_snapshot(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(read_snapshot(&[&bytes[..], b"x"].concat()).is_err());
}

#[test]
fn a_store_that_skips_revisions_sends_watchers_to_read_again() {
    let mut kv = Kv::new();
    kv.apply(&at(0, Transaction::put("a", b"1"))).unwrap();
    kv.skip(1_000);
    assert_eq!((kv.revision(), kv.get("a").unwrap().changed), (1_001, 1));
    let all = Keys::Prefix(String::new());
    assert_eq!(kv.changes(1, &all).err(), Some(Compacted { upto: 1_001 }));
    assert_eq!(kv.apply(&at(0, Transaction::put("a", b"2"))).unwrap().revision, 1_002);
    assert_eq!(read_snapshot(&kv.snapshot()).unwrap(), kv);
}

#[test]
fn a_restored_store_goes_on_and_sends_watchers_to_read_again() {
    let mut kv = Kv::new();
    kv.apply(&at(7, put_for("a", b"1", 50))).unwrap();
    let mut restored = read_snapshot(&kv.snapshot()).unwrap();
    assert_eq!(restored.changes(0, &Keys::One("a".into())).err(), Some(Compacted { upto: 1 }));
    for store in [&mut kv, &mut restored] {
        store.apply(&at(57, Transaction::put("b", b"2"))).unwrap();
        assert_eq!((store.revision(), keys(store)), (3, vec!["b".to_owned()]));
        assert_eq!(store.changes(1, &Keys::Prefix(String::new())).unwrap().count(), 2);
    }
    assert_eq!(kv, restored);
}
