//! What every engine of the store promises, asked of one; `other` is the same store by another way.

use engine::kv::{
    Answer, Compare, Condition, Keys, MAX_VALUE, Op, Refusal, Transaction, acquire, acquired,
    release, renew,
};
use outlast_store::{Error, Store};

pub(crate) async fn conforms<S: Store>(store: &S, other: &S) {
    keys_and_revisions(store, other).await;
    conditions(store, other).await;
    transactions(store).await;
    limits(store, other).await;
    ranges(store, other).await;
    watches(store, other).await;
    locks(store, other).await;
}

async fn keys_and_revisions<S: Store>(store: &S, other: &S) {
    assert_eq!(store.get("a").await.unwrap(), None);
    let first = store.put("a", b"1", None).await.unwrap();
    let second = other.put("a", b"", None).await.unwrap();
    assert_eq!(second, first + 1);
    let item = store.get("a").await.unwrap().unwrap();
    assert_eq!((item.created, item.changed, &*item.value), (first, second, &b""[..]));
    assert!(store.delete("a").await.unwrap());
    assert!(!other.delete("a").await.unwrap());
    // Deleting nothing is no revision; a key that is made again is another one.
    assert_eq!(store.put("a", &[0, 255, 10], None).await.unwrap(), second + 2);
    let item = other.get("a").await.unwrap().unwrap();
    assert_eq!((item.created, &*item.value), (second + 2, &[0, 255, 10][..]));
    let refused = store.put("", b"", None).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::EmptyKey))), "{refused:?}");
}

async fn conditions<S: Store>(store: &S, other: &S) {
    assert!(store.swap("c", Condition::Missing, b"1").await.unwrap());
    assert!(!other.swap("c", Condition::Missing, b"2").await.unwrap());
    let item = store.get("c").await.unwrap().unwrap();
    let rows = [
        (Condition::Value(b"2"[..].into()), false),
        (Condition::Value(b"1"[..].into()), true),
        (Condition::Changed(item.changed), false),
        (Condition::Created(item.created), true),
        (Condition::Created(item.created + 1), false),
        (Condition::Created(0), false),
        (Condition::Changed(0), false),
        (Condition::Missing, false),
    ];
    for (condition, holds) in rows {
        let swapped = other.swap("c", condition.clone(), b"1").await.unwrap();
        assert_eq!(swapped, holds, "{condition:?}");
    }
    // Of a key that is not there nothing but that holds.
    for condition in
        [Condition::Value(b""[..].into()), Condition::Created(0), Condition::Changed(0)]
    {
        let swapped = store.swap("absent", condition.clone(), b"").await.unwrap();
        assert!(!swapped, "{condition:?}");
    }
    assert_eq!(store.get("absent").await.unwrap(), None);
}

async fn transactions<S: Store>(store: &S) {
    let mut transaction = Transaction {
        compares: vec![Compare { key: "t/1".into(), is: Condition::Missing }],
        then: vec![Op::put("t/1", b"x"), Op::put("t/2", b"y"), Op::read("t/2")],
        otherwise: vec![Op::Delete { keys: Keys::Prefix("t/".into()) }, Op::read("t/1")],
    };
    let outcome = store.transact(transaction.clone()).await.unwrap();
    let [Answer::Put, Answer::Put, Answer::Found { items, more: false }] = &outcome.answers[..]
    else {
        panic!("{outcome:?}")
    };
    // What was written before in the same transaction is seen.
    assert_eq!((&*items[0].1.value, items[0].1.changed), (&b"y"[..], outcome.revision));
    let outcome = store.transact(transaction.clone()).await.unwrap();
    let nothing = Answer::Found { items: vec![], more: false };
    assert_eq!((outcome.held, outcome.answers), (false, vec![Answer::Deleted(2), nothing]));
    transaction.then.push(Op::put("t/2", b"z"));
    let refused = store.transact(transaction).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Twice(_)))), "{refused:?}");
}

async fn limits<S: Store>(store: &S, other: &S) {
    let most = vec![b'x'; MAX_VALUE];
    let changed = store.put("large", &most, None).await.unwrap();
    let more = [&most[..], b"x"].concat();
    let length = u32::try_from(more.len()).unwrap();
    let expected = Refusal::LongValue { key: "large".into(), length };
    for refused in [
        other.put("large", &more, None).await.map(drop),
        other.swap("large", Condition::Changed(changed), &more).await.map(drop),
        other.transact(Transaction::of(Op::put("large", &more))).await.map(drop),
    ] {
        assert!(matches!(&refused, Err(Error::Refused(why)) if *why == expected), "{refused:?}");
    }
    let item = other.get("large").await.unwrap().unwrap();
    assert_eq!((item.changed, &*item.value), (changed, &most[..]), "nothing was written");
}

async fn ranges<S: Store>(store: &S, other: &S) {
    for block in 0..11 {
        let ops = (0..100).map(|key| Op::put(&format!("r/{block:02}{key:02}"), b"v"));
        store
            .transact(Transaction { then: ops.collect(), ..Transaction::default() })
            .await
            .unwrap();
    }
    let (items, revision) = other.range(Keys::Prefix("r/".into())).await.unwrap();
    assert_eq!(items.len(), 1100);
    assert!(items.is_sorted_by_key(|(key, _)| key.clone()));
    assert_eq!(items.last().unwrap().1.changed, revision);
    let rows = [
        (Keys::Span { from: "r/0005".into(), to: "r/0008".into() }, 3),
        (Keys::Span { from: "r/0008".into(), to: "r/0005".into() }, 0),
        (Keys::Span { from: "r/".into(), to: String::new() }, 0),
        (Keys::Prefix("r/10".into()), 100),
        (Keys::One("r/1".into()), 0),
    ];
    for (keys, count) in rows {
        assert_eq!(store.range(keys.clone()).await.unwrap().0.len(), count, "{keys:?}");
    }
    let op = Op::Read { keys: Keys::Prefix("r/".into()), limit: 2 };
    let outcome = store.transact(Transaction::of(op)).await.unwrap();
    let [Answer::Found { items, more: true }] = &outcome.answers[..] else { panic!("{outcome:?}") };
    assert_eq!(items.len(), 2);
}

async fn watches<S: Store>(store: &S, other: &S) {
    let before = store.put("w/1", b"old", None).await.unwrap();
    let ops = vec![Op::put("w/1", b"1"), Op::put("w/2", b"2"), Op::put("elsewhere", b"3")];
    other.transact(Transaction { then: ops, ..Transaction::default() }).await.unwrap();
    let mut watch = store.watch(before, Keys::Prefix("w/".into())).await.unwrap();
    let changes = watch.next().await.unwrap();
    let told: Vec<_> =
        changes.iter().map(|c| (c.revision, c.key.as_str(), c.value.is_some())).collect();
    assert_eq!(told, [(before + 1, "w/1", true), (before + 1, "w/2", true)]);
    other.put("w/2", b"4", Some(1000)).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].revision, before + 2);
    // And when its time is up, it goes, and that is told.
    let gone = watch.next().await.unwrap();
    assert_eq!((gone[0].key.as_str(), gone[0].value.is_none()), ("w/2", true));
    assert_eq!(other.get("w/2").await.unwrap(), None);
}

async fn locks<S: Store>(store: &S, other: &S) {
    let first = acquired(&store.transact(acquire("role", "one", 60_000)).await.unwrap()).unwrap();
    let held = acquired(&other.transact(acquire("role", "two", 60_000)).await.unwrap());
    let held = held.unwrap_err().unwrap();
    assert_eq!((held.holder.as_str(), held.token), ("one", first));
    let renewed = other.transact(renew("role", first, "one", 60_000)).await.unwrap();
    assert_eq!(acquired(&renewed), Ok(first));
    assert!(store.transact(release("role", first)).await.unwrap().held);
    assert!(!store.transact(release("role", first)).await.unwrap().held);
    let second = acquired(&other.transact(acquire("role", "two", 60_000)).await.unwrap()).unwrap();
    assert!(second > first);
    let late = store.transact(renew("role", first, "one", 60_000)).await.unwrap();
    assert_eq!(acquired(&late).unwrap_err().unwrap().token, second);
}
