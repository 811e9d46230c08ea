//! Transactions and their answers in the words of etcd's JSON gateway: base64, numbers as texts, and the
//! site's prefix before every key.

use std::sync::Arc;

use engine::kv::{Answer, Change, Compare, Condition, Item, Keys, Op, Outcome, Transaction};
use serde_json::{Map, Value, json};

pub(super) fn transaction(
    prefix: &str,
    transaction: &Transaction,
    then: &[Option<String>],
    otherwise: &[Option<String>],
) -> Value {
    let branch = |ops: &[Op], grants: &[Option<String>]| -> Vec<Value> {
        ops.iter().zip(grants).map(|(op, grant)| operation(prefix, op, grant.as_deref())).collect()
    };
    json!({
        "compare": transaction.compares.iter().map(|is| compare(prefix, is)).collect::<Vec<_>>(),
        "success": branch(&transaction.then, then),
        "failure": branch(&transaction.otherwise, otherwise),
    })
}

fn whole(prefix: &str, key: &str) -> Vec<u8> {
    [prefix.as_bytes(), key.as_bytes()].concat()
}

fn compare(prefix: &str, compare: &Compare) -> Value {
    let key = base64(&whole(prefix, &compare.key));
    match &compare.is {
        Condition::Missing => {
            json!({ "key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0" })
        }
        Condition::Value(value) => {
            json!({ "key": key, "target": "VALUE", "result": "EQUAL", "value": base64(value) })
        }
        Condition::Created(revision) => {
            let (result, revision) = (revision_is(*revision), revision.to_string());
            json!({ "key": key, "target": "CREATE", "result": result, "create_revision": revision })
        }
        Condition::Changed(revision) => {
            let (result, revision) = (revision_is(*revision), revision.to_string());
            json!({ "key": key, "target": "MOD", "result": result, "mod_revision": revision })
        }
    }
}

/// No key has revision 0 but for etcd, where a key that is missing has it: that one is below 0 never holds.
const fn revision_is(revision: u64) -> &'static str {
    if revision == 0 { "LESS" } else { "EQUAL" }
}

fn operation(prefix: &str, op: &Op, grant: Option<&str>) -> Value {
    match op {
        Op::Put { key, value, .. } => {
            let (key, value) = (base64(&whole(prefix, key)), base64(value));
            json!({ "request_put": { "key": key, "value": value, "lease": grant.unwrap_or("0") } })
        }
        Op::Delete { keys } => json!({ "request_delete_range": range(prefix, keys) }),
        Op::Read { keys, limit } => {
            let mut range = range(prefix, keys);
            let most = usize::try_from(*limit).unwrap_or(usize::MAX).min(engine::kv::MAX_FOUND);
            range.insert("limit".to_owned(), most.to_string().into());
            json!({ "request_range": range })
        }
    }
}

pub(super) fn watch(prefix: &str, after: u64, keys: &Keys) -> Value {
    let mut range = range(prefix, keys);
    range.insert("start_revision".to_owned(), (after + 1).to_string().into());
    json!({ "create_request": range })
}

/// How many keys there are.
pub(super) fn count(prefix: &str) -> Value {
    let mut range = range(prefix, &Keys::Prefix(String::new()));
    range.insert("count_only".to_owned(), true.into());
    range.into()
}

/// etcd's half-open range of bytes; `\0` stands for the first key and for the end of all.
fn range(prefix: &str, keys: &Keys) -> Map<String, Value> {
    let (from, to) = match keys {
        Keys::One(key) => (whole(prefix, key), None),
        Keys::Prefix(begin) => {
            let mut end = whole(prefix, begin);
            while end.last() == Some(&u8::MAX) {
                end.pop();
            }
            match end.last_mut() {
                Some(last) => *last += 1,
                None => end = vec![0],
            }
            (whole(prefix, begin), Some(end))
        }
        // Its end is excluded, and an empty one excludes everything. Neither etcd nor the rights of an
        // account know a range that ends before it begins: the empty range begins where it ends.
        Keys::Span { from, to } if to <= from => {
            let nothing = [whole(prefix, from), vec![0]].concat();
            (nothing.clone(), Some(nothing))
        }
        Keys::Span { from, to } => (whole(prefix, from), Some(whole(prefix, to))),
    };
    let from = if from.is_empty() { vec![0] } else { from };
    let mut range = Map::new();
    range.insert("key".to_owned(), base64(&from).into());
    if let Some(to) = to {
        range.insert("range_end".to_owned(), base64(&to).into());
    }
    range
}

/// Nothing if the answer is not one to this transaction.
pub(super) fn outcome(prefix: &str, transaction: &Transaction, answer: &Value) -> Option<Outcome> {
    // The gateway leaves out what is false, nought or empty.
    let held = answer["succeeded"].as_bool().unwrap_or(false);
    let ops = if held { &transaction.then } else { &transaction.otherwise };
    let none = vec![];
    let responses = answer["responses"].as_array().unwrap_or(&none);
    if responses.len() != ops.len() {
        return None;
    }
    let answers = ops.iter().zip(responses).map(|(op, response)| match op {
        Op::Put { .. } => Some(Answer::Put),
        Op::Delete { .. } => {
            let deleted = number(&response["response_delete_range"]["deleted"]).unwrap_or(0);
            Some(Answer::Deleted(deleted.try_into().ok()?))
        }
        Op::Read { .. } => {
            let range = &response["response_range"];
            let items = range["kvs"]
                .as_array()
                .map_or(Some(vec![]), |items| items.iter().map(|kv| item(prefix, kv)).collect())?;
            Some(Answer::Found { items, more: range["more"].as_bool().unwrap_or(false) })
        }
    });
    let revision = number(&answer["header"]["revision"])?;
    Some(Outcome { revision, held, answers: answers.collect::<Option<_>>()? })
}

fn key(prefix: &str, value: &Value) -> Option<String> {
    let key = String::from_utf8(bytes(value)?).ok()?;
    key.strip_prefix(prefix).map(str::to_owned)
}

fn item(prefix: &str, value: &Value) -> Option<(String, Item)> {
    let item = Item {
        value: bytes(&value["value"])?.into(),
        created: number(&value["create_revision"])?,
        changed: number(&value["mod_revision"])?,
        until: None,
    };
    Some((key(prefix, &value["key"])?, item))
}

pub(super) fn changes(prefix: &str, result: &Value) -> Option<Vec<Change>> {
    let Some(events) = result["events"].as_array() else { return Some(vec![]) };
    let change = |event: &Value| {
        let kv = &event["kv"];
        let value = match event["type"].as_str() {
            Some("DELETE") => None,
            Some(_) | None => Some(Arc::from(bytes(&kv["value"])?)),
        };
        let key = key(prefix, &kv["key"])?;
        Some(Change { revision: number(&kv["mod_revision"])?, key, value, expired: false })
    };
    events.iter().map(change).collect()
}

/// The gateway writes 64-bit numbers as texts.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_str().and_then(|text| text.parse().ok()).or(value.as_u64())
}

/// What is left out is empty.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map_or(Some(vec![]), unbase64)
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for letter in 0..4_usize {
            let six = usize::try_from(bits >> (18 - 6 * letter) & 63).unwrap_or(0);
            text.push(if letter <= three.len() { char::from(LETTERS[six]) } else { '=' });
        }
    }
    text
}

pub(super) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for four in text.chunks(4) {
        let mut bits = 0_u32;
        for letter in four {
            let six = LETTERS.iter().position(|known| known == letter)?;
            bits = bits << 6 | u32::try_from(six).ok()?;
        }
        bits <<= 6 * (4 - four.len());
        let [_, first, second, third] = bits.to_be_bytes();
        bytes.extend([first, second, third].iter().take((four.len() * 6) / 8));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc_and_goes_both_ways() {
        // RFC 4648 §10.
        let rows = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, text) in rows {
            assert_eq!(base64(plain.as_bytes()), text);
            assert_eq!(unbase64(text).unwrap(), plain.as_bytes());
        }
        assert_eq!(unbase64(&base64(&[255, 0, 254, 1])).unwrap(), [255, 0, 254, 1]);
        assert_eq!(unbase64("a b"), None);
    }

    #[test]
    fn only_missing_holds_for_a_key_that_is_missing() {
        // What etcd compares for a missing key: both revisions are 0.
        let holds = |is: Condition| {
            let said = compare("", &Compare { key: "k".into(), is });
            let revision = said.get("create_revision").or_else(|| said.get("mod_revision"));
            let given: i64 = revision.unwrap().as_str().unwrap().parse().unwrap();
            match said["result"].as_str().unwrap() {
                "EQUAL" => 0 == given,
                "LESS" => 0 < given,
                result => panic!("{result}"),
            }
        };
        assert!(holds(Condition::Missing));
        for revision in [0, 1, 7] {
            assert!(!holds(Condition::Created(revision)), "{revision}");
            assert!(!holds(Condition::Changed(revision)), "{revision}");
        }
    }

    #[test]
    fn ranges_end_where_etcd_ends_them() {
        let rows = [
            (Keys::One("a".into()), "", "a", None),
            (Keys::Prefix("a/".into()), "", "a/", Some("a0")),
            (Keys::Prefix(String::new()), "", "\0", Some("\0")),
            (Keys::Prefix(String::new()), "o/", "o/", Some("o0")),
            (Keys::Span { from: String::new(), to: "b".into() }, "", "\0", Some("b")),
            (Keys::Span { from: String::new(), to: "b".into() }, "o/", "o/", Some("o/b")),
            (Keys::Span { from: "a".into(), to: String::new() }, "o/", "o/a\0", Some("o/a\0")),
        ];
        for (keys, prefix, from, to) in rows {
            let range = range(prefix, &keys);
            assert_eq!(range["key"], base64(from.as_bytes()), "{keys:?}");
            let to = to.map(|to| Value::from(base64(to.as_bytes())));
            assert_eq!(range.get("range_end"), to.as_ref(), "{keys:?}");
        }
        assert_eq!(key("o/", &base64(b"o/a").into()).unwrap(), "a");
        assert_eq!(key("o/", &base64(b"p/a").into()), None);
    }
}
