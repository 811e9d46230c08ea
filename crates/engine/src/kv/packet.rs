//! Entries, results and snapshots as bytes, for the log on disk and between nodes.
//!
//! ```text
//!   entry     version, clock u64, kind u8, ...
//!   result    version, 0 = outcome | 1 = refusal, ...
//!   snapshot  "OUTS", version, clock u64, revision u64, count u32, items, SHA-256 of all before
//! ```
//!
//! Numbers are big-endian; texts and values have their length, a u32, before them. A newer version is
//! refused: an older program must not guess what a newer one meant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::history::History;
use super::{
    Answer, Command, Compare, Condition, Entry, Item, Keys, Kv, MAX_BYTES, MAX_FOUND, MAX_KEYS,
    MAX_OPS, Op, Outcome, Refusal, Transaction,
};

/// Of all three forms; it grows when one changes.
pub const VERSION: u8 = 1;
const MAGIC: [u8; 4] = *b"OUTS";
const DIGEST: usize = 32;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Damage {
    #[error("it ends too early")]
    Short,
    #[error("something follows its end")]
    Long,
    #[error("it has version {0}, this program reads up to {VERSION}")]
    Version(u8),
    #[error("{0} is none of the known kinds")]
    Kind(u8),
    #[error("a key is not UTF-8")]
    Text,
    #[error("it has more parts than the limits allow")]
    Limit,
    #[error("it is no snapshot of a store")]
    Magic,
    #[error("its checksum does not fit")]
    Checksum,
    #[error("keys are not in order, or a revision or a time limit cannot be")]
    State,
}

impl Entry {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![VERSION]);
        out.u64(self.clock);
        match &self.command {
            Command::Transact(transaction) => {
                out.u8(1);
                out.transaction(transaction);
            }
            Command::Expire => out.u8(2),
        }
        out.0
    }

    /// # Errors
    /// When these bytes are no entry of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut from = Reader::versioned(bytes)?;
        let clock = from.u64()?;
        let command = match from.u8()? {
            1 => Command::Transact(from.transaction()?),
            2 => Command::Expire,
            kind => return Err(Damage::Kind(kind)),
        };
        from.end()?;
        Ok(Self { clock, command })
    }
}

impl Transaction {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![VERSION]);
        out.transaction(self);
        out.0
    }

    /// # Errors
    /// When these bytes are no transaction of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut from = Reader::versioned(bytes)?;
        let transaction = from.transaction()?;
        from.end()?;
        Ok(transaction)
    }
}

impl Outcome {
    /// What [`Kv::apply`] answered.
    #[must_use]
    pub fn encode(result: &Result<Self, Refusal>) -> Vec<u8> {
        let mut out = Writer(vec![VERSION]);
        match result {
            Ok(outcome) => {
                out.u8(0);
                out.u64(outcome.revision);
                out.u8(u8::from(outcome.held));
                out.list(&outcome.answers, Writer::answer);
            }
            Err(refusal) => {
                out.u8(1);
                out.refusal(refusal);
            }
        }
        out.0
    }

    /// # Errors
    /// When these bytes are no result of this version.
    pub fn decode(bytes: &[u8]) -> Result<Result<Self, Refusal>, Damage> {
        let mut from = Reader::versioned(bytes)?;
        let result = match from.u8()? {
            0 => Ok(Self {
                revision: from.u64()?,
                held: from.bool()?,
                answers: from.list(MAX_OPS, Reader::answer)?,
            }),
            1 => Err(from.refusal()?),
            kind => return Err(Damage::Kind(kind)),
        };
        from.end()?;
        Ok(result)
    }
}

impl Kv {
    /// Everything but the history, which a restored store does not have.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(self.bytes + 40 * self.items.len() + 64));
        out.0.extend(MAGIC);
        out.u8(VERSION);
        out.u64(self.clock);
        out.u64(self.revision);
        out.count(self.items.len());
        for (key, item) in &self.items {
            out.item(key, item);
        }
        let digest = Sha256::digest(&out.0);
        out.0.extend(digest);
        out.0
    }
}

/// The store that [`Kv::snapshot`] wrote.
///
/// # Errors
/// When it is damaged or from a newer version.
pub fn read_snapshot(bytes: &[u8]) -> Result<Kv, Damage> {
    let magic = bytes.get(..MAGIC.len()).ok_or(Damage::Short)?;
    if magic != MAGIC {
        return Err(Damage::Magic);
    }
    let mut from = Reader::versioned(&bytes[MAGIC.len()..])?;
    // Only now: a newer version may end otherwise.
    let (whole, digest) = bytes.split_last_chunk::<DIGEST>().ok_or(Damage::Short)?;
    if Sha256::digest(whole)[..] != digest[..] {
        return Err(Damage::Checksum);
    }
    from.0 = from.0.split_last_chunk::<DIGEST>().ok_or(Damage::Short)?.0;
    let (clock, revision) = (from.u64()?, from.u64()?);
    let list = from.list(MAX_KEYS, Reader::item)?;
    from.end()?;
    let bytes: usize = list.iter().map(|(key, item)| key.len() + item.value.len()).sum();
    let ordered = list.is_sorted_by(|(one, _), (next, _)| one < next);
    let possible = list.iter().all(|(key, item)| {
        !key.is_empty()
            && (1..=item.changed).contains(&item.created)
            && item.changed <= revision
            && item.until.is_none_or(|until| until > clock)
    });
    if !ordered || !possible || bytes > MAX_BYTES {
        return Err(Damage::State);
    }
    let timed: BTreeSet<_> =
        list.iter().filter_map(|(key, item)| Some((item.until?, key.clone()))).collect();
    let items: BTreeMap<_, _> = list.into_iter().collect();
    Ok(Kv { items, timed, revision, clock, bytes, history: History::from(revision) })
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }

    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("limits keep every part far below 4 GiB"));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    fn list<T>(&mut self, list: &[T], write: impl Fn(&mut Self, &T)) {
        self.count(list.len());
        for item in list {
            write(self, item);
        }
    }

    fn transaction(&mut self, transaction: &Transaction) {
        self.list(&transaction.compares, Self::compare);
        self.list(&transaction.then, Self::op);
        self.list(&transaction.otherwise, Self::op);
    }

    fn compare(&mut self, compare: &Compare) {
        self.bytes(compare.key.as_bytes());
        match &compare.is {
            Condition::Missing => self.u8(0),
            Condition::Value(value) => {
                self.u8(1);
                self.bytes(value);
            }
            Condition::Created(revision) => {
                self.u8(2);
                self.u64(*revision);
            }
            Condition::Changed(revision) => {
                self.u8(3);
                self.u64(*revision);
            }
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Put { key, value, limit } => {
                self.u8(if limit.is_some() { 2 } else { 1 });
                self.bytes(key.as_bytes());
                self.bytes(value);
                if let Some(limit) = limit {
                    self.u32(*limit);
                }
            }
            Op::Delete { keys } => {
                self.u8(3);
                self.keys(keys);
            }
            Op::Read { keys, limit } => {
                self.u8(4);
                self.keys(keys);
                self.u32(*limit);
            }
        }
    }

    fn keys(&mut self, keys: &Keys) {
        match keys {
            Keys::One(key) => {
                self.u8(0);
                self.bytes(key.as_bytes());
            }
            Keys::Prefix(prefix) => {
                self.u8(1);
                self.bytes(prefix.as_bytes());
            }
            Keys::Span { from, to } => {
                self.u8(2);
                self.bytes(from.as_bytes());
                self.bytes(to.as_bytes());
            }
        }
    }

    fn item(&mut self, key: &str, item: &Item) {
        self.bytes(key.as_bytes());
        self.bytes(&item.value);
        self.u64(item.created);
        self.u64(item.changed);
        // No key ends at 0: limits count from a clock that has begun.
        self.u64(item.until.unwrap_or(0));
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Put => self.u8(0),
            Answer::Deleted(count) => {
                self.u8(1);
                self.u32(*count);
            }
            Answer::Found { items, more } => {
                self.u8(2);
                self.u8(u8::from(*more));
                self.list(items, |out, (key, item)| out.item(key, item));
            }
        }
    }

    fn refusal(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::EmptyKey => self.u8(0),
            Refusal::LongKey(length) => {
                self.u8(1);
                self.u32(*length);
            }
            Refusal::LongValue { key, length } => {
                self.u8(2);
                self.bytes(key.as_bytes());
                self.u32(*length);
            }
            Refusal::TooManyOps => self.u8(3),
            Refusal::Twice(key) => {
                self.u8(4);
                self.bytes(key.as_bytes());
            }
            Refusal::TooManyKeys => self.u8(5),
            Refusal::Full => self.u8(6),
            Refusal::NoTime => self.u8(7),
            Refusal::LongTransaction => self.u8(8),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn versioned(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut from = Self(bytes);
        match from.u8()? {
            VERSION => Ok(from),
            version => Err(Damage::Version(version)),
        }
    }

    fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage::Long) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Result<u8, Damage> {
        self.array().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_be_bytes)
    }

    fn bool(&mut self) -> Result<bool, Damage> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            kind => Err(Damage::Kind(kind)),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let length = usize::try_from(self.u32()?).map_err(|_| Damage::Short)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Damage> {
        str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Damage::Text)
    }

    fn value(&mut self) -> Result<Arc<[u8]>, Damage> {
        self.bytes().map(Arc::from)
    }

    /// Nothing is set aside for what a count only promises.
    fn list<T>(
        &mut self,
        most: usize,
        read: impl Fn(&mut Self) -> Result<T, Damage>,
    ) -> Result<Vec<T>, Damage> {
        let count = usize::try_from(self.u32()?).map_err(|_| Damage::Limit)?;
        if count > most {
            return Err(Damage::Limit);
        }
        let mut list = vec![];
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }

    fn transaction(&mut self) -> Result<Transaction, Damage> {
        Ok(Transaction {
            compares: self.list(MAX_OPS, Self::compare)?,
            then: self.list(MAX_OPS, Self::op)?,
            otherwise: self.list(MAX_OPS, Self::op)?,
        })
    }

    fn compare(&mut self) -> Result<Compare, Damage> {
        let key = self.text()?;
        let is = match self.u8()? {
            0 => Condition::Missing,
            1 => Condition::Value(self.value()?),
            2 => Condition::Created(self.u64()?),
            3 => Condition::Changed(self.u64()?),
            kind => return Err(Damage::Kind(kind)),
        };
        Ok(Compare { key, is })
    }

    fn op(&mut self) -> Result<Op, Damage> {
        Ok(match self.u8()? {
            kind @ (1 | 2) => {
                let (key, value) = (self.text()?, self.value()?);
                let limit = if kind == 2 { Some(self.u32()?) } else { None };
                Op::Put { key, value, limit }
            }
            3 => Op::Delete { keys: self.keys()? },
            4 => Op::Read { keys: self.keys()?, limit: self.u32()? },
            kind => return Err(Damage::Kind(kind)),
        })
    }

    fn keys(&mut self) -> Result<Keys, Damage> {
        Ok(match self.u8()? {
            0 => Keys::One(self.text()?),
            1 => Keys::Prefix(self.text()?),
            2 => Keys::Span { from: self.text()?, to: self.text()? },
            kind => return Err(Damage::Kind(kind)),
        })
    }

    fn item(&mut self) -> Result<(String, Item), Damage> {
        let (key, value) = (self.text()?, self.value()?);
        let (created, changed, until) = (self.u64()?, self.u64()?, self.u64()?);
        let until = (until != 0).then_some(until);
        Ok((key, Item { value, created, changed, until }))
    }

    fn answer(&mut self) -> Result<Answer, Damage> {
        Ok(match self.u8()? {
            0 => Answer::Put,
            1 => Answer::Deleted(self.u32()?),
            2 => {
                let more = self.bool()?;
                Answer::Found { items: self.list(MAX_FOUND, Self::item)?, more }
            }
            kind => return Err(Damage::Kind(kind)),
        })
    }

    fn refusal(&mut self) -> Result<Refusal, Damage> {
        Ok(match self.u8()? {
            0 => Refusal::EmptyKey,
            1 => Refusal::LongKey(self.u32()?),
            2 => Refusal::LongValue { key: self.text()?, length: self.u32()? },
            3 => Refusal::TooManyOps,
            4 => Refusal::Twice(self.text()?),
            5 => Refusal::TooManyKeys,
            6 => Refusal::Full,
            7 => Refusal::NoTime,
            8 => Refusal::LongTransaction,
            kind => return Err(Damage::Kind(kind)),
        })
    }
}
