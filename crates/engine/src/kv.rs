//! What the replicated store holds: keys, revisions, time limits. The same entries in the same order
//! give the same state on every node.
//!
//! ```text
//!   Entry { clock, Transaction { compares, then, otherwise } }
//!        |
//!      apply: clock = max(clock, entry.clock)
//!        |    1. keys whose time is up go, as a revision of their own
//!        |    2. all compares hold? `then`, else `otherwise`
//!        v    3. anything changed: revision + 1, one Change per key into the history
//!   Outcome { revision, held, answers }   or   Refusal (nothing changed)
//! ```
//!
//! Time is the *cluster's clock*: milliseconds that the leader counts on from the last applied entry
//! with its own monotonic clock and writes into each entry. A change of leader can make it late, so a
//! key may live longer than its limit, never shorter; wall clocks do not enter.

mod command;
mod history;
mod lock;
mod packet;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

pub use command::{
    Answer, Command, Compare, Condition, Entry, Keys, MAX_FOUND, MAX_FOUND_BYTES, MAX_KEY, MAX_OPS,
    MAX_TRANSACTION, MAX_VALUE, Op, Outcome, Refusal, Transaction,
};
pub use history::{Change, Compacted, MAX_CHANGES, MAX_CHANGES_BYTES};
pub use lock::{
    Fence, HEIRS, Held, LOCKS, MAX_NAMES, Stale, Token, acquire, acquired, bequeath, check,
    inherit, release, renew,
};
pub use packet::{Damage, VERSION, read_snapshot};

use history::History;

/// Keys at once: a cloud of 1,000 nodes with 50 keys each and room.
pub const MAX_KEYS: usize = 65_536;
/// Keys and values together, bytes: what every node holds in memory and sends as one snapshot.
pub const MAX_BYTES: usize = 32 << 20;

/// A key's value and when it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    pub value: Arc<[u8]>,
    /// The revision that made the key; a key that was deleted and made again has a higher one.
    pub created: u64,
    /// The revision that wrote it last.
    pub changed: u64,
    /// When it goes by itself, in milliseconds of the cluster's clock.
    pub until: Option<u64>,
}

/// The state of the store.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    items: BTreeMap<String, Item>,
    /// Keys with a time limit, by their end.
    timed: BTreeSet<(u64, String)>,
    revision: u64,
    clock: u64,
    /// Keys and values together.
    bytes: usize,
    history: History,
}

/// What is stored and when; the history of changes is not compared, a restored store has none.
impl PartialEq for Kv {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision && self.clock == other.clock && self.items == other.items
    }
}

impl Kv {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Grows by one with every entry that changed something, and when keys expired.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The cluster's clock, milliseconds.
    #[must_use]
    pub const fn clock(&self) -> u64 {
        self.clock
    }

    /// Goes on from a later revision: after a restore no revision that was told before is told again. Those
    /// who watch read anew.
    pub fn skip(&mut self, revisions: u64) {
        self.revision = self.revision.saturating_add(revisions);
        self.history = History::from(self.revision);
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Keys and values together.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the next key goes by itself; at that time the leader commits [`Command::Expire`].
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.timed.first().map(|(until, _)| *until)
    }

    /// The value of one key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.items.get(key)
    }

    /// What lies in `keys`, in order, at most `limit` and at most [`MAX_FOUND`] items; whether there
    /// is more.
    #[must_use]
    pub fn range(&self, keys: &Keys, limit: usize) -> (Vec<(String, Item)>, bool) {
        let mut found = vec![];
        let mut bytes = 0;
        for (key, item) in self.select(keys) {
            bytes += key.len() + item.value.len();
            // One item always fits, so that whoever reads on gets on.
            let full = found.len() >= limit.min(MAX_FOUND)
                || (bytes > MAX_FOUND_BYTES && !found.is_empty());
            if full {
                return (found, true);
            }
            found.push((key.clone(), item.clone()));
        }
        (found, false)
    }

    /// Changes of `keys` after revision `after`, oldest first.
    ///
    /// # Errors
    /// When changes that recent are no longer known: read the keys, then watch from that revision.
    pub fn changes(
        &self,
        after: u64,
        keys: &Keys,
    ) -> Result<impl Iterator<Item = &Change>, Compacted> {
        let changes = self.history.after(after)?;
        let keys = keys.clone();
        Ok(changes.filter(move |change| keys.has(&change.key)))
    }

    /// Does what a committed entry says.
    ///
    /// # Errors
    /// What the limits forbid; then nothing but the clock changed.
    pub fn apply(&mut self, entry: &Entry) -> Result<Outcome, Refusal> {
        self.clock = self.clock.max(entry.clock);
        self.expire();
        match &entry.command {
            Command::Transact(transaction) => self.transact(transaction),
            Command::Expire => Ok(Outcome { revision: self.revision, held: true, answers: vec![] }),
        }
    }

    /// Whether all compares hold now.
    #[must_use]
    pub fn holds(&self, compares: &[Compare]) -> bool {
        compares.iter().all(|compare| {
            let item = self.items.get(&compare.key);
            match &compare.is {
                Condition::Missing => item.is_none(),
                Condition::Value(value) => item.is_some_and(|item| *item.value == **value),
                Condition::Created(revision) => item.is_some_and(|item| item.created == *revision),
                Condition::Changed(revision) => item.is_some_and(|item| item.changed == *revision),
            }
        })
    }

    /// What a transaction that [only reads](Transaction::only_reads) answers now; what another would
    /// write, it does not.
    ///
    /// # Errors
    /// What the limits forbid.
    pub fn read(&self, transaction: &Transaction) -> Result<Outcome, Refusal> {
        transaction.check()?;
        let held = self.holds(&transaction.compares);
        let ops = if held { &transaction.then } else { &transaction.otherwise };
        let answers = ops.iter().map(|op| match op {
            Op::Put { .. } => Answer::Put,
            Op::Delete { .. } => Answer::Deleted(0),
            Op::Read { keys, limit } => {
                let (items, more) = self.range(keys, usize::try_from(*limit).unwrap_or(usize::MAX));
                Answer::Found { items, more }
            }
        });
        Ok(Outcome { revision: self.revision, held, answers: answers.collect() })
    }

    fn transact(&mut self, transaction: &Transaction) -> Result<Outcome, Refusal> {
        transaction.check()?;
        let held = self.holds(&transaction.compares);
        let ops = if held { &transaction.then } else { &transaction.otherwise };
        self.room(ops)?;
        let revision = self.revision + 1;
        let answers = ops.iter().map(|op| self.perform(op, revision)).collect();
        if self.history.newest() == revision {
            self.revision = revision;
        }
        Ok(Outcome { revision: self.revision, held, answers })
    }

    /// Whether what `ops` write has room. Room that they free is not counted.
    fn room(&self, ops: &[Op]) -> Result<(), Refusal> {
        let (mut keys, mut bytes) = (self.items.len(), self.bytes);
        for op in ops {
            let Op::Put { key, value, .. } = op else { continue };
            match self.items.get(key) {
                Some(item) => bytes = bytes.saturating_sub(item.value.len()) + value.len(),
                None => {
                    keys += 1;
                    bytes += key.len() + value.len();
                }
            }
        }
        let writes = ops.iter().any(|op| matches!(op, Op::Put { .. }));
        if writes && keys > MAX_KEYS {
            return Err(Refusal::TooManyKeys);
        }
        if writes && bytes > MAX_BYTES {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    fn perform(&mut self, op: &Op, revision: u64) -> Answer {
        match op {
            Op::Put { key, value, limit } => {
                let until = limit.map(|limit| self.clock.saturating_add(u64::from(limit)));
                self.put(key, value, until, revision);
                Answer::Put
            }
            Op::Delete { keys } => {
                let keys: Vec<_> = self.select(keys).map(|(key, _)| key.clone()).collect();
                for key in &keys {
                    self.remove(key, revision, false);
                }
                Answer::Deleted(keys.len().try_into().unwrap_or(u32::MAX))
            }
            Op::Read { keys, limit } => {
                let (items, more) = self.range(keys, usize::try_from(*limit).unwrap_or(usize::MAX));
                Answer::Found { items, more }
            }
        }
    }

    fn put(&mut self, key: &str, value: &Arc<[u8]>, until: Option<u64>, revision: u64) {
        let item = Item { value: Arc::clone(value), created: revision, changed: revision, until };
        if let Some(old) = self.items.get_mut(key) {
            if let Some(until) = old.until {
                self.timed.remove(&(until, key.to_owned()));
            }
            self.bytes -= old.value.len();
            *old = Item { created: old.created, ..item };
        } else {
            self.bytes += key.len();
            self.items.insert(key.to_owned(), item);
        }
        self.bytes += value.len();
        if let Some(until) = until {
            self.timed.insert((until, key.to_owned()));
        }
        let value = Some(Arc::clone(value));
        self.history.push(Change { revision, key: key.to_owned(), value, expired: false });
    }

    fn remove(&mut self, key: &str, revision: u64, expired: bool) {
        let Some(item) = self.items.remove(key) else { return };
        self.bytes -= key.len() + item.value.len();
        if let Some(until) = item.until {
            self.timed.remove(&(until, key.to_owned()));
        }
        self.history.push(Change { revision, key: key.to_owned(), value: None, expired });
    }

    fn expire(&mut self) {
        let revision = self.revision + 1;
        while let Some((until, key)) = self.timed.first().cloned()
            && until <= self.clock
        {
            self.remove(&key, revision, true);
            self.revision = revision;
        }
    }

    fn select(&self, keys: &Keys) -> impl Iterator<Item = (&String, &Item)> {
        let from = match keys {
            Keys::One(key) | Keys::Prefix(key) => key.as_str(),
            Keys::Span { from, .. } => from.as_str(),
        };
        let keys = keys.clone();
        let all = self.items.range::<str, _>((Bound::Included(from), Bound::Unbounded));
        all.take_while(move |(key, _)| keys.has(key))
    }
}
