//! What can be asked of the store, and its limits.

use std::sync::Arc;

use super::Item;

/// Bytes of a key: `role/`, a noun, two names of 63 and room.
pub const MAX_KEY: usize = 512;
/// Bytes of a value: a cluster file of a thousand nodes. More belongs into files.
pub const MAX_VALUE: usize = 256 << 10;
/// Bytes of all keys and values of one transaction, so that it fits into one message between nodes.
pub const MAX_TRANSACTION: usize = 1 << 20;
/// Compares and operations of one transaction, each; etcd's default is 128.
pub const MAX_OPS: usize = 128;
/// Items of one answer; whoever wants more asks again after the last key.
pub const MAX_FOUND: usize = 1_000;
/// Bytes of the items of one answer, unless a single one is longer.
pub const MAX_FOUND_BYTES: usize = 1 << 20;

/// One committed entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The cluster's clock as the leader counted it, milliseconds. An older one than the store's is
    /// not obeyed.
    pub clock: u64,
    pub command: Command,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    Transact(Transaction),
    /// Nothing but the clock: keys whose time is up go.
    Expire,
}

/// If all compares hold, all of `then`, else all of `otherwise`; nothing in between is ever seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transaction {
    pub compares: Vec<Compare>,
    pub then: Vec<Op>,
    pub otherwise: Vec<Op>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compare {
    pub key: String,
    pub is: Condition,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    Missing,
    Value(Arc<[u8]>),
    /// Made by this revision: the same key, not one that was deleted and made again.
    Created(u64),
    /// Last written by this revision.
    Changed(u64),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// With a limit in milliseconds the key goes by itself; without one an earlier limit ends.
    Put {
        key: String,
        value: Arc<[u8]>,
        limit: Option<u32>,
    },
    Delete {
        keys: Keys,
    },
    Read {
        keys: Keys,
        limit: u32,
    },
}

/// Which keys are meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keys {
    One(String),
    /// All that begin so; the empty prefix is everything.
    Prefix(String),
    /// From the first, included, to the last, excluded.
    Span {
        from: String,
        to: String,
    },
}

/// What a transaction did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Of the store after it.
    pub revision: u64,
    /// Whether all compares held.
    pub held: bool,
    /// One per operation of the branch that was taken.
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    Put,
    /// How many keys there were.
    Deleted(u32),
    Found {
        items: Vec<(String, Item)>,
        more: bool,
    },
}

/// Why nothing was done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("a key has at least one byte")]
    EmptyKey,
    #[error("the key has {0} bytes, the limit is {MAX_KEY}")]
    LongKey(u32),
    #[error("the value of `{key}` has {length} bytes, the limit is {MAX_VALUE}")]
    LongValue { key: String, length: u32 },
    #[error("a time limit has at least one millisecond")]
    NoTime,
    #[error("a transaction has at most {MAX_OPS} compares and as many operations")]
    TooManyOps,
    #[error("the transaction has over {MAX_TRANSACTION} bytes, the limit")]
    LongTransaction,
    #[error("the transaction writes `{0}` twice")]
    Twice(String),
    #[error("the store has {max} keys, the limit", max = super::MAX_KEYS)]
    TooManyKeys,
    #[error("keys and values would have over {max} bytes, the limit", max = super::MAX_BYTES)]
    Full,
}

impl Transaction {
    #[must_use]
    pub fn put(key: &str, value: &[u8]) -> Self {
        Self::of(Op::put(key, value))
    }

    #[must_use]
    pub fn delete(key: &str) -> Self {
        Self::of(Op::Delete { keys: Keys::One(key.to_owned()) })
    }

    #[must_use]
    pub fn of(op: Op) -> Self {
        Self { then: vec![op], ..Self::default() }
    }

    /// Compare-and-swap: writes if the condition holds, and otherwise tells what is there.
    #[must_use]
    pub fn swap(key: &str, is: Condition, value: &[u8]) -> Self {
        Self {
            compares: vec![Compare { key: key.to_owned(), is }],
            then: vec![Op::put(key, value)],
            otherwise: vec![Op::read(key)],
        }
    }

    /// Whether it stays within the limits that do not depend on what is stored. Ask before proposing.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check(&self) -> Result<(), Refusal> {
        if [self.compares.len(), self.then.len(), self.otherwise.len()].iter().any(|n| *n > MAX_OPS)
        {
            return Err(Refusal::TooManyOps);
        }
        if self.bytes() > MAX_TRANSACTION {
            return Err(Refusal::LongTransaction);
        }
        for compare in &self.compares {
            check_key(&compare.key)?;
        }
        for branch in [&self.then, &self.otherwise] {
            for (at, op) in branch.iter().enumerate() {
                op.check()?;
                // etcd refuses this, and what both engines refuse nobody relies on.
                let earlier = branch[..at].iter().find_map(|before| before.also_writes(op));
                if let Some(key) = earlier {
                    return Err(Refusal::Twice(key.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Bytes of all its keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let compares = self.compares.iter().map(|compare| {
            let value = match &compare.is {
                Condition::Value(value) => value.len(),
                Condition::Missing | Condition::Created(_) | Condition::Changed(_) => 0,
            };
            compare.key.len() + value
        });
        let ops = self.then.iter().chain(&self.otherwise).map(|op| match op {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { keys } | Op::Read { keys, .. } => keys.bytes(),
        });
        compares.chain(ops).sum()
    }

    /// Whether neither branch writes: it can be answered without being committed.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.then.iter().chain(&self.otherwise).all(|op| matches!(op, Op::Read { .. }))
    }
}

impl Op {
    #[must_use]
    pub fn put(key: &str, value: &[u8]) -> Self {
        Self::Put { key: key.to_owned(), value: value.into(), limit: None }
    }

    #[must_use]
    pub fn read(key: &str) -> Self {
        Self::Read { keys: Keys::One(key.to_owned()), limit: 1 }
    }

    fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Put { key, value, limit } => {
                check_key(key)?;
                if *limit == Some(0) {
                    return Err(Refusal::NoTime);
                }
                if value.len() > MAX_VALUE {
                    let length = value.len().try_into().unwrap_or(u32::MAX);
                    return Err(Refusal::LongValue { key: key.clone(), length });
                }
                Ok(())
            }
            Self::Delete { keys } | Self::Read { keys, .. } => keys.check(),
        }
    }

    /// A key that both write.
    fn also_writes<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        match (self, other) {
            (Self::Put { key, .. }, Self::Put { key: again, .. }) => {
                (key == again).then_some(key.as_str())
            }
            (Self::Put { key, .. }, Self::Delete { keys })
            | (Self::Delete { keys }, Self::Put { key, .. }) => {
                keys.has(key).then_some(key.as_str())
            }
            (Self::Read { .. }, _) | (_, Self::Read { .. } | Self::Delete { .. }) => None,
        }
    }
}

impl Keys {
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        match self {
            Self::One(one) => key == one,
            Self::Prefix(prefix) => key.starts_with(prefix.as_str()),
            Self::Span { from, to } => from.as_str() <= key && key < to.as_str(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::One(key) | Self::Prefix(key) => key.len(),
            Self::Span { from, to } => from.len() + to.len(),
        }
    }

    /// # Errors
    /// A key that no key can be, or that is too long.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::One(key) => check_key(key),
            Self::Prefix(key) => check_length(key),
            Self::Span { from, to } => check_length(from).and_then(|()| check_length(to)),
        }
    }
}

fn check_key(key: &str) -> Result<(), Refusal> {
    if key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    check_length(key)
}

fn check_length(key: &str) -> Result<(), Refusal> {
    if key.len() > MAX_KEY {
        return Err(Refusal::LongKey(key.len().try_into().unwrap_or(u32::MAX)));
    }
    Ok(())
}
