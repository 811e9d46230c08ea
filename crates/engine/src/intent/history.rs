//! What lies in the store about intents: what a leader that begins reads, and how much of it is kept.

use super::{LAST, LEADER, OPEN, Record, key, number};
use crate::kv::{Answer, Item, Keys, LOCKS, Op, Outcome, Token, Transaction};

/// Intents that are kept at least: some weeks of an operator's work, a hundred kilobytes.
pub const MAX_HISTORY: u64 = 256;
/// Intents that are read with one question. A leader has [`super::MAX_OPEN`] of them open at most.
const AT_ONCE: usize = 100;

/// What a leader that begins reads first: which intents are open, and the newest number.
#[must_use]
pub fn read() -> Transaction {
    let keys = Keys::Prefix(OPEN.to_owned());
    Transaction {
        then: vec![Op::Read { keys, limit: u32::MAX }, Op::read(LAST)],
        ..Transaction::default()
    }
}

/// The answer to [`read`]: the newest number, and the numbers of those that are open.
#[must_use]
pub fn opened(outcome: &Outcome) -> (u64, Vec<u64>) {
    let value = |item: &Item| Some(u64::from_be_bytes((*item.value).try_into().ok()?));
    let last = items(outcome).find(|(key, _)| key == LAST).and_then(|(_, item)| value(item));
    let open = items(outcome).filter(|(key, _)| key.starts_with(OPEN));
    (last.unwrap_or_default(), open.filter_map(|(_, item)| value(item)).collect())
}

/// What it reads then: those that are open, and whether it still leads ([`begins`]). Nobody but it writes them
/// any more.
#[must_use]
pub fn read_each(numbers: &[u64]) -> Transaction {
    let first = numbers.get(..AT_ONCE).unwrap_or(numbers);
    let mut then: Vec<Op> = first.iter().map(|number| Op::read(&key(*number))).collect();
    // Again: what they are about is in no record that a later version wrote.
    let keys = Keys::Prefix(OPEN.to_owned());
    then.push(Op::Read { keys, limit: u32::MAX });
    then.extend([Op::read(LAST), Op::read(&format!("{LOCKS}{LEADER}"))]);
    Transaction { then, ..Transaction::default() }
}

/// The intents of an answer. Of an open one that a later version wrote nothing is known but what it is about
/// ([`Record::is_unread`]); others of later versions are left out.
#[must_use]
pub fn found(outcome: &Outcome) -> Vec<(u64, Record)> {
    let object = |number: u64| {
        let mut open =
            items(outcome).filter_map(|(key, item)| Some((key.strip_prefix(OPEN)?, item)));
        open.find(|(_, item)| *item.value == number.to_be_bytes()).map(|(object, _)| object)
    };
    let intent = |(key, item): &(String, Item)| {
        let number = number(key)?;
        let unread = || Record::unread(object(number)?, *item.value.first()?);
        Some((number, Record::decode(&item.value).or_else(unread)?))
    };
    items(outcome).filter_map(intent).collect()
}

/// Whether the answer to [`read_each`] is of a store in which this token leads, and this holder has it: another
/// store may have given the same token to another one.
#[must_use]
pub fn begins(outcome: &Outcome, token: Token, holder: &str) -> bool {
    items(outcome).any(|(key, item)| {
        key.starts_with(LOCKS) && item.created == token.0 && &*item.value == holder.as_bytes()
    })
}

/// Whether this token leads, by the lock in an answer.
pub(super) fn leads(outcome: &Outcome, token: Token) -> bool {
    items(outcome).any(|(key, item)| key.starts_with(LOCKS) && item.created == token.0)
}

/// Takes away what is older than [`MAX_HISTORY`] before `newest`, up to the oldest that is open.
pub(super) fn prune(newest: u64, oldest_open: Option<u64>) -> Option<Op> {
    let end = newest.saturating_sub(MAX_HISTORY).min(oldest_open.unwrap_or(u64::MAX));
    let keys = Keys::Span { from: key(0), to: key(end) };
    (end > 0).then_some(Op::Delete { keys })
}

fn items(outcome: &Outcome) -> impl Iterator<Item = &(String, Item)> {
    outcome.answers.iter().flat_map(|answer| match answer {
        Answer::Found { items, .. } => items.as_slice(),
        Answer::Put | Answer::Deleted(_) => &[],
    })
}
