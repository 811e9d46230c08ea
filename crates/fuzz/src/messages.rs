//! Messages between processes, and the log of events.

use api::keeper::{KeeperAnswer, KeeperAsk};
use api::{Answer, Ask, Event, Order, Report};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn api(bytes: &[u8]) {
    same_again::<Order>(bytes);
    same_again::<Report>(bytes);
    same_again::<Ask>(bytes);
    same_again::<Answer>(bytes);
    same_again::<KeeperAsk>(bytes);
    same_again::<KeeperAnswer>(bytes);
    same_again::<api::bequest::VipBequest>(bytes);
}

fn same_again<T>(bytes: &[u8])
where
    T: std::fmt::Debug + PartialEq + Serialize + DeserializeOwned,
{
    let Ok(read) = api::decode::<T>(bytes) else { return };
    let mut written = vec![];
    api::encode(&read, &mut written);
    // What is unknown is left out and what has a default may be added.
    assert!(written.len() <= bytes.len() * 6 + 4096, "{} bytes of {}", written.len(), bytes.len());
    assert_eq!(api::decode::<T>(&written).expect("what we write we read"), read);
}

/// The log as read at a start.
pub(crate) fn event_log(bytes: &[u8]) {
    let read = events(bytes);
    let mut written = vec![];
    for event in &read {
        api::encode(event, &mut written);
        written.push(b'\n');
    }
    assert_eq!(events(&written), read, "what we write we read");
    // A power loss tears the last line: all before it stay.
    let torn = events(&written[..written.len().saturating_sub(2)]);
    assert_eq!(torn.len(), read.len().saturating_sub(1));
    assert!(torn.iter().eq(read.iter().take(torn.len())));
}

/// What lies in the store's log, goes between its nodes, and is restored from a file.
pub(crate) fn store(bytes: &[u8]) {
    use engine::intent::{Receiver, Record};
    use engine::kv::{Entry, Kv, Outcome, Transaction, read_snapshot};
    if let Some(intent) = Record::decode(bytes) {
        let again = intent.encode();
        let read = Record::decode(&again).expect("what we write we read");
        // What an earlier version wrote is written anew.
        assert_eq!(Record { version: intent.version, ..read }, intent, "what we write we read");
        assert!(again == bytes || again.first() != bytes.first(), "one meaning has one form");
    }
    // What a node keeps of the steps that it did.
    if let Some(receiver) = Receiver::decode(bytes) {
        let again = Receiver::decode(&receiver.encode()).map(|again| again.encode());
        assert_eq!(again, Some(receiver.encode()), "what we write we read");
    }
    if let Ok(transaction) = Transaction::decode(bytes) {
        assert_eq!(transaction.encode(), bytes, "one meaning has one form");
    }
    if let Ok(result) = Outcome::decode(bytes) {
        assert_eq!(Outcome::encode(&result), bytes, "one meaning has one form");
    }
    let mut kv = read_snapshot(bytes).unwrap_or_else(|_| Kv::new());
    if !kv.is_empty() {
        assert_eq!(kv.snapshot(), bytes, "one meaning has one form");
    }
    content(bytes);
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode(), bytes, "one meaning has one form");
        let before = kv.clone();
        if kv.apply(&entry).is_err() {
            assert_eq!(kv.revision(), before.revision(), "what is refused changes nothing");
        }
        assert_eq!(read_snapshot(&kv.snapshot()).expect("what we write we read"), kv);
    }
}

/// The content of a generation, which is sealed or not.
fn content(bytes: &[u8]) {
    use engine::generation::sealed::{Key, NONCE, OVERHEAD, key_of, open, seal};
    let key = Key::new([1; 8], &[1; 32]);
    let Ok(clear) = open(std::slice::from_ref(&key), 7, bytes) else { return };
    let Some(nonce) = bytes.get(16..16 + NONCE).filter(|_| key_of(bytes).is_some()) else {
        return assert_eq!(**clear, *bytes, "what is not sealed is as it is");
    };
    assert_eq!(clear.len() + OVERHEAD, bytes.len());
    let nonce = nonce.try_into().expect("so many bytes");
    assert_eq!(
        seal(&key, 7, nonce, &clear).expect("it is short"),
        bytes,
        "one meaning has one form"
    );
}

/// A recorded incident: what was cut off or damaged is left out, and never more is read than there is.
pub(crate) fn recording(bytes: &[u8]) {
    use engine::replay::Recording;
    let Ok(recording) = Recording::open(bytes) else { return };
    let facts = recording.facts();
    // An entry has three bytes at least: moment, input, number of decisions.
    assert!(facts.len() <= bytes.len() / 3);
    let names = &recording.head.names;
    let words = |(_, fact, said): &(_, engine::replay::Fact, Vec<engine::replay::Decision>)| {
        fact.words(names).len() + said.iter().map(|one| one.words(names).len()).sum::<usize>()
    };
    let named = names.nodes.iter().chain(&names.networks).chain(&names.instances);
    let longest = named.map(String::len).max().unwrap_or(0);
    assert!(facts.iter().map(words).max().unwrap_or(0) <= bytes.len() + 3 * longest + 512);
    let torn = Recording::open(&bytes[..bytes.len() - 1]);
    if let Ok(torn) = torn {
        assert!(facts.starts_with(&torn.facts()), "what was read before is read the same");
    }
    // Any state that is accepted is written the same again.
    if let Ok(mut play) = recording.play() {
        let again = play.machine().again().expect("what we write we read");
        assert_eq!(again.kept(), play.machine().kept());
        // A machine of an address plays whatever a file says; one of membership has indices in its state
        // that only its own files keep right.
        if recording.head.is_of_vips() {
            assert!(play.by_ref().count() <= facts.len());
        }
    }
}

/// What a machine that may be anybody's sends to join, and what an operator pastes.
pub(crate) fn trust(bytes: &[u8]) {
    use trust::wire::{Ask, Reply};
    let again = |read: &dyn Fn(&[u8]) -> bool, text: serde_json::Result<Vec<u8>>| {
        assert!(read(&text.expect("it can be written")), "what we write we read");
    };
    if let Ok(ask) = Ask::decode(bytes) {
        again(&|text| Ask::decode(text).is_ok_and(|read| read == ask), serde_json::to_vec(&ask));
    }
    if let Ok(reply) = Reply::decode(bytes) {
        let text = serde_json::to_vec(&reply);
        again(&|text| Reply::decode(text).is_ok_and(|read| read == reply), text);
    }
    if let Ok(exported) = trust::Exported::read(bytes) {
        let fingerprint = exported.fingerprint;
        assert!(bytes[28..].starts_with(&fingerprint.0), "it is the one that the file names");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = trust::Token::read(text) {
        assert_eq!(trust::Token::read(&token.print()), Ok(token));
    }
    if let Ok(fingerprint) = text.parse::<trust::Fingerprint>() {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
    let name = trust::is_name(text);
    assert!(!name || (text.len() <= trust::MAX_NAME && text.is_ascii()));
}

fn events(log: &[u8]) -> Vec<Event> {
    api::events(log).collect()
}
