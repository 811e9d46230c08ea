//! The store for the other processes of a node: a unix socket, with messages as between nodes.
//!
//! ```text
//!   question                          answers
//!   TRANSACT  transaction             DONE outcome | NO_LEADER | UNKNOWN | STOPPED text | ETCD text
//!   WATCH     after, keys             CHANGES* as they come, at last COMPACTED | STOPPED text
//!   STATUS                            DONE report
//!   LEAD      name                    DONE | LEADS text | NO_LEADER | ETCD text
//!   BACKUP                            PART* of a snapshot, at last DONE | ...
//! ```
//!
//! One question after the other on each connection. Who may open the socket, root and the daemon's own
//! user, may write everything: what is between nodes is proven by TLS, what is inside one by the kernel.

pub(crate) mod blocking;
pub(crate) mod client;
pub(crate) mod link;
pub(crate) mod server;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine::kv::{Change, Compacted, Keys, Op, Outcome, Transaction};

use crate::bytes::{Reader, Writer, damaged};
use crate::embedded::{decode_result, decode_transaction};
use crate::{Error, NodeId};

pub(crate) use crate::embedded::Frame;

/// Where the socket is, in the run folder.
pub const SOCKET: &str = "store.sock";

/// Of questions and answers.
const VERSION: u8 = 1;
/// Of reports; 2 has learners, what is committed, snapshot, size of the file and incarnation; 3 who is heard.
const REPORT: u8 = 3;
/// Changes of one revision: as many as a transaction has operations, or as many keys as go at once.
const MAX_CHANGES: usize = engine::kv::MAX_KEYS;
/// Bytes of a backup in one message, and of a whole one: keys, values and their numbers, twice.
const PART: usize = 1 << 20;
const MAX_BACKUP: usize = 2 * engine::kv::MAX_BYTES;
/// Nodes of a report.
const MAX_NODES: usize = 64;

/// Kinds of frames.
pub(crate) mod kind {
    pub(crate) const TRANSACT: u8 = 16;
    pub(crate) const WATCH: u8 = 17;
    pub(crate) const STATUS: u8 = 18;
    pub(crate) const BACKUP: u8 = 19;
    pub(crate) const LEAD: u8 = 20;
    pub(crate) const DONE: u8 = 64;
    pub(crate) const STOPPED: u8 = 65;
    pub(crate) const NO_LEADER: u8 = 66;
    pub(crate) const UNKNOWN: u8 = 67;
    pub(crate) const CHANGES: u8 = 68;
    pub(crate) const COMPACTED: u8 = 69;
    pub(crate) const PART: u8 = 70;
    pub(crate) const ETCD: u8 = 71;
    pub(crate) const LEADS: u8 = 72;
}

/// What a node says of its part of the store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// `embedded` or `etcd`.
    pub engine: String,
    /// Name of this node.
    pub me: String,
    /// What it waits for, or why it has stopped; nothing while it serves.
    pub trouble: Option<String>,
    pub leader: Option<String>,
    pub term: u64,
    /// Index of the last entry on this disk, of the last one known to be committed, and of the last one
    /// that was applied.
    pub last: u64,
    pub committed: u64,
    pub applied: u64,
    pub revision: u64,
    pub keys: u64,
    /// Keys and values together, bytes.
    pub bytes: u64,
    /// Those that vote, by name, with the last index they are known to have; only the leader knows.
    pub voters: Vec<(String, Option<u64>)>,
    /// The same of those that are filled up and do not vote.
    pub learners: Vec<(String, Option<u64>)>,
    /// Other nodes that this one asks, as a leader does all the time, and how long ago (ms) they last said
    /// something, be it late.
    pub heard: Vec<(String, u64)>,
    /// Index up to which the disk has to be filled up before this node counts again.
    pub floor: Option<u64>,
    /// At the start others remembered more of this node than its disk did.
    pub went_back: bool,
    /// Waits for the disk since the start.
    pub syncs: u64,
    /// Bytes of the file on disk.
    pub file_bytes: u64,
    /// The last entry of the newest snapshot; when it was made, in milliseconds since 1970 (UTC), if
    /// since the start.
    pub snapshot: Option<u64>,
    pub snapshot_at_ms: Option<u64>,
    /// Which store this is: another one after each founding and restore. None while the disk holds nothing.
    pub incarnation: Option<u64>,
}

impl Report {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![REPORT]);
        out.bytes(self.engine.as_bytes());
        out.bytes(self.me.as_bytes());
        let text = |out: &mut Writer, text: &String| out.bytes(text.as_bytes());
        out.option(self.trouble.as_ref(), text);
        out.option(self.leader.as_ref(), text);
        for number in self.numbers() {
            out.u64(number);
        }
        for members in [&self.voters, &self.learners] {
            out.list(members.iter(), |out, (name, has)| {
                out.bytes(name.as_bytes());
                out.option(*has, Writer::u64);
            });
        }
        out.list(self.heard.iter(), |out, (name, ago)| {
            out.bytes(name.as_bytes());
            out.u64(*ago);
        });
        for number in [self.floor, self.snapshot, self.snapshot_at_ms, self.incarnation] {
            out.option(number, Writer::u64);
        }
        out.u8(u8::from(self.went_back));
        out.0
    }

    const fn numbers(&self) -> [u64; 9] {
        let Self {
            term, last, committed, applied, revision, keys, bytes, syncs, file_bytes, ..
        } = *self;
        [term, last, committed, applied, revision, keys, bytes, syncs, file_bytes]
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        whole_of(REPORT, bytes, |from| {
            let (engine, me) = (from.text()?, from.text()?);
            let (trouble, leader) = (from.option(Reader::text)?, from.option(Reader::text)?);
            let mut numbers = [0; 9];
            for number in &mut numbers {
                *number = from.u64()?;
            }
            let [term, last, committed, applied, revision, keys, bytes, syncs, file_bytes] =
                numbers;
            let member = |from: &mut Reader<'_>| Ok((from.text()?, from.option(Reader::u64)?));
            let (voters, learners) = (from.list(MAX_NODES, member)?, from.list(MAX_NODES, member)?);
            let heard = from.list(MAX_NODES, |from| Ok((from.text()?, from.u64()?)))?;
            let (floor, snapshot) = (from.option(Reader::u64)?, from.option(Reader::u64)?);
            let (snapshot_at_ms, incarnation) =
                (from.option(Reader::u64)?, from.option(Reader::u64)?);
            let went_back = from.bool()?;
            let names = Self { engine, me, trouble, leader, voters, learners, ..Self::default() };
            let numbers = Self { term, last, committed, applied, revision, ..names };
            let sizes = Self { keys, bytes, syncs, file_bytes, ..numbers };
            let sizes = Self { heard, ..sizes };
            Ok(Self { floor, went_back, snapshot, snapshot_at_ms, incarnation, ..sizes })
        })
    }

    /// Names of the voters that the leader knows to be behind, and by how many entries.
    pub fn behind(&self) -> impl Iterator<Item = (&str, u64)> {
        let has = self.voters.iter().filter_map(|(name, has)| Some((name.as_str(), (*has)?)));
        has.map(|(name, has)| (name, self.last.saturating_sub(has))).filter(|(_, lag)| *lag > 0)
    }
}

/// The keys are told as a question for them: one form, one limit, one decoder.
pub(crate) fn encode_watch(after: u64, keys: &Keys) -> Vec<u8> {
    let mut out = Writer(vec![VERSION]);
    out.u64(after);
    let keys = keys.clone();
    out.bytes(&Transaction::of(Op::Read { keys, limit: 1 }).encode());
    out.0
}

pub(crate) fn decode_watch(bytes: &[u8]) -> io::Result<(u64, Keys)> {
    whole(bytes, |from| {
        let after = from.u64()?;
        let transaction = decode_transaction(from.bytes()?)?;
        let other = || damaged("a watch of no keys");
        if !transaction.compares.is_empty() || !transaction.otherwise.is_empty() {
            return Err(other());
        }
        match <[Op; 1]>::try_from(transaction.then) {
            Ok([Op::Read { keys, limit: 1 }]) => Ok((after, keys)),
            Ok([Op::Read { .. } | Op::Put { .. } | Op::Delete { .. }]) | Err(_) => Err(other()),
        }
    })
}

pub(crate) fn encode_changes(changes: &[Change]) -> Vec<u8> {
    let mut out = Writer(vec![VERSION]);
    out.list(changes.iter(), |out, change| {
        out.u64(change.revision);
        out.bytes(change.key.as_bytes());
        out.option(change.value.as_ref(), |out, value| out.bytes(value));
        out.u8(u8::from(change.expired));
    });
    out.0
}

pub(crate) fn decode_changes(bytes: &[u8]) -> io::Result<Vec<Change>> {
    whole(bytes, |from| {
        from.list(MAX_CHANGES, |from| {
            let (revision, key) = (from.u64()?, from.text()?);
            let value = from.option(Reader::bytes)?.map(Arc::from);
            Ok(Change { revision, key, value, expired: from.bool()? })
        })
    })
}

/// What became of a transaction, as kind and body.
pub(crate) fn encode_done(done: Result<Outcome, Error>) -> (u8, Vec<u8>) {
    match done {
        Ok(outcome) => (kind::DONE, Outcome::encode(&Ok(outcome))),
        Err(Error::Refused(refusal)) => (kind::DONE, Outcome::encode(&Err(refusal))),
        Err(Error::NoLeader(span)) => {
            let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            (kind::NO_LEADER, millis.to_be_bytes().to_vec())
        }
        Err(Error::Unknown) => (kind::UNKNOWN, vec![]),
        Err(Error::Compacted(compacted)) => {
            (kind::COMPACTED, compacted.upto.to_be_bytes().to_vec())
        }
        Err(Error::Etcd(text)) => (kind::ETCD, text.into_bytes()),
        Err(Error::Lead(text)) => (kind::LEADS, text.into_bytes()),
        Err(other) => (kind::STOPPED, base::Chain(&other).to_string().into_bytes()),
    }
}

/// The failure that an answer tells; none if it tells something else.
pub(crate) fn decode_failure(frame: &Frame) -> Option<Error> {
    let text = || String::from_utf8_lossy(&frame.body).into_owned();
    let number = || frame.body.as_slice().try_into().map_or(0, u64::from_be_bytes);
    match frame.kind {
        kind::NO_LEADER => Some(Error::NoLeader(Duration::from_millis(number()))),
        kind::UNKNOWN => Some(Error::Unknown),
        kind::COMPACTED => Some(Error::Compacted(Compacted { upto: number() })),
        kind::STOPPED => Some(Error::Stopped(text())),
        kind::ETCD => Some(Error::Etcd(text())),
        kind::LEADS => Some(Error::Lead(text())),
        _ => None,
    }
}

pub(crate) fn decode_done(frame: &Frame) -> Result<Outcome, Error> {
    if let Some(failure) = decode_failure(frame) {
        return Err(failure);
    }
    // An answer that cannot be read may be one to something that was done.
    decode_result(&frame.body).map_err(|_| Error::Unknown)?.map_err(Error::Refused)
}

/// The name of a node by its number, as far as the membership tells.
pub(crate) fn name(members: &[(NodeId, String)], node: NodeId) -> String {
    let known = members.iter().find(|(id, _)| *id == node);
    known.map_or_else(|| format!("{node:x}"), |(_, name)| name.clone())
}

fn whole<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> io::Result<T>) -> io::Result<T> {
    whole_of(VERSION, bytes, read)
}

fn whole_of<T>(
    known: u8,
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let mut from = Reader(bytes);
    let version = from.u8()?;
    if version != known {
        let text = format!("it has version {version}, this program reads {known}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let value = read(&mut from)?;
    from.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_on_the_socket_is_read_as_it_was_written() {
        let report = Report {
            engine: "embedded".to_owned(),
            me: "node02".to_owned(),
            leader: Some("node01".to_owned()),
            term: 3,
            last: 12,
            applied: 11,
            voters: vec![("node01".to_owned(), Some(12)), ("node02".to_owned(), Some(9))],
            learners: vec![("node04".to_owned(), None)],
            heard: vec![("node01".to_owned(), 40)],
            floor: Some(12),
            went_back: true,
            committed: 11,
            snapshot: Some(5),
            snapshot_at_ms: Some(1_700_000_000_000),
            file_bytes: 1 << 20,
            incarnation: Some(7),
            ..Report::default()
        };
        assert_eq!(Report::decode(&report.encode()).unwrap(), report);
        assert_eq!(report.behind().collect::<Vec<_>>(), [("node02", 3)]);
        for keys in [Keys::One("a".to_owned()), Keys::Prefix("role/".to_owned())] {
            assert_eq!(decode_watch(&encode_watch(7, &keys)).unwrap(), (7, keys));
        }
        let change = |value: Option<&[u8]>| Change {
            revision: 4,
            key: "a".to_owned(),
            value: value.map(Arc::from),
            expired: value.is_none(),
        };
        let changes = vec![change(Some(b"1")), change(None)];
        assert_eq!(decode_changes(&encode_changes(&changes)).unwrap(), changes);
        assert!(decode_changes(&[2, 0, 0, 0, 0]).is_err(), "a newer version");
    }

    #[test]
    fn every_failure_comes_out_as_it_went_in() {
        let through = |error: Error| {
            let (kind, body) = encode_done(Err(error));
            decode_done(&Frame { number: 1, kind, body }).unwrap_err()
        };
        let span = Duration::from_millis(2001);
        assert!(matches!(through(Error::NoLeader(span)), Error::NoLeader(same) if same == span));
        assert!(matches!(through(Error::Unknown), Error::Unknown));
        let refusal = engine::kv::Refusal::EmptyKey;
        assert!(
            matches!(through(Error::Refused(refusal.clone())), Error::Refused(r) if r == refusal)
        );
        let compacted = Compacted { upto: 9 };
        assert!(
            matches!(through(Error::Compacted(compacted)), Error::Compacted(c) if c == compacted)
        );
        assert!(matches!(through(Error::Etcd("no".to_owned())), Error::Etcd(said) if said == "no"));
        assert!(matches!(through(Error::Lead("no".to_owned())), Error::Lead(said) if said == "no"));
        let said = through(Error::TwoVoters).to_string();
        assert!(said.contains("third"), "{said}");
        let unreadable = Frame { number: 1, kind: kind::DONE, body: vec![9] };
        assert!(matches!(decode_done(&unreadable), Err(Error::Unknown)));
    }
}
