//! What nodes of the store say to each other.

use std::io;
use std::sync::Arc;

use engine::kv::{Outcome, Refusal, Transaction};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use super::disk::owner::Incarnation;
use super::standing::{Standings, Told};
use super::types::{Image, LogId, MAX_MEMBERS, NodeId, SnapshotMeta, Types, Vote};
use crate::bytes::{Reader, Writer, damaged};

#[cfg(test)]
mod tests;

/// Entries of one message.
pub(crate) const MAX_ENTRIES: usize = 64;
/// Bytes of a snapshot in one message.
pub(crate) const CHUNK: usize = 1 << 20;

/// Kinds of frames. Answers have the kind of what they are, not of what was asked.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 0;
    pub(crate) const ASK: u8 = 1;
    pub(crate) const CANVASS: u8 = 2;
    pub(crate) const VOTE: u8 = 3;
    pub(crate) const APPEND: u8 = 4;
    pub(crate) const SNAPSHOT: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const READ: u8 = 7;
    /// From the leader: stand for election, as soon as it is silent.
    pub(crate) const STAND: u8 = 8;
    /// From the leader: another voter stands, do not.
    pub(crate) const YIELD: u8 = 9;
    /// The answer that was asked for.
    pub(crate) const DONE: u8 = 64;
    /// Not done, and the text says why.
    pub(crate) const REFUSED: u8 = 65;
    /// Not done: this node does not lead.
    pub(crate) const NOT_LEADER: u8 = 66;
    /// Nobody knows whether it was done or will be.
    pub(crate) const UNKNOWN: u8 = 67;
}

/// The first message on a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hello {
    pub(crate) cluster: String,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// Of the store that the speaker is a part of; none while its disk holds nothing.
    pub(crate) incarnation: Option<Incarnation>,
}

/// Of a hello; 2 has the incarnation.
const HELLO: u8 = 2;

/// Part of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    pub(crate) offset: u64,
    pub(crate) total: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Entries for a follower, and what the leader knows of everybody.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) request: AppendEntriesRequest<Types>,
    pub(crate) standings: Standings,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![HELLO]);
        out.bytes(self.cluster.as_bytes());
        out.u64(self.from);
        out.u64(self.to);
        out.option(self.incarnation, Writer::u64);
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut rest = Reader(bytes);
        let version = rest.u8()?;
        if version != HELLO {
            let text =
                format!("its messages begin with version {version}, this program reads {HELLO}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let (cluster, from, to) = (rest.text()?, rest.u64()?, rest.u64()?);
        let incarnation = rest.option(Reader::u64)?;
        rest.end()?;
        Ok(Self { cluster, from, to, incarnation })
    }
}

impl Append {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::versioned();
        out.vote(self.request.vote);
        out.option(self.request.prev_log_id, Writer::log_id);
        out.option(self.request.leader_commit, Writer::log_id);
        out.standings(&self.standings);
        out.list(self.request.entries.iter(), Writer::entry);
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        whole(bytes, |from| {
            let vote = from.vote()?;
            let prev_log_id = from.option(Reader::log_id)?;
            let leader_commit = from.option(Reader::log_id)?;
            let standings = from.standings()?;
            let entries = from.list(MAX_ENTRIES, Reader::entry)?;
            let request = AppendEntriesRequest { vote, prev_log_id, entries, leader_commit };
            Ok(Self { request, standings })
        })
    }

    /// The last entry that a follower has which took these.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.request.entries.last().map(|entry| entry.log_id).or(self.request.prev_log_id)
    }
}

pub(crate) fn encode_appended(response: &AppendEntriesResponse<NodeId>) -> Vec<u8> {
    let mut out = Writer::versioned();
    match response {
        AppendEntriesResponse::Success => out.u8(0),
        AppendEntriesResponse::PartialSuccess(upto) => {
            out.u8(1);
            out.option(*upto, Writer::log_id);
        }
        AppendEntriesResponse::Conflict => out.u8(2),
        AppendEntriesResponse::HigherVote(vote) => {
            out.u8(3);
            out.vote(*vote);
        }
    }
    out.0
}

pub(crate) fn decode_appended(bytes: &[u8]) -> io::Result<AppendEntriesResponse<NodeId>> {
    whole(bytes, |from| {
        Ok(match from.u8()? {
            0 => AppendEntriesResponse::Success,
            1 => AppendEntriesResponse::PartialSuccess(from.option(Reader::log_id)?),
            2 => AppendEntriesResponse::Conflict,
            3 => AppendEntriesResponse::HigherVote(from.vote()?),
            4.. => return Err(damaged("an answer of unknown kind")),
        })
    })
}

pub(crate) fn encode_vote(request: &VoteRequest<NodeId>) -> Vec<u8> {
    let mut out = Writer::versioned();
    out.vote(request.vote);
    out.option(request.last_log_id, Writer::log_id);
    out.0
}

pub(crate) fn decode_vote(bytes: &[u8]) -> io::Result<VoteRequest<NodeId>> {
    whole(bytes, |from| Ok(VoteRequest::new(from.vote()?, from.option(Reader::log_id)?)))
}

pub(crate) fn encode_voted(response: &VoteResponse<NodeId>) -> Vec<u8> {
    let mut out = Writer::versioned();
    out.vote(response.vote);
    out.u8(u8::from(response.vote_granted));
    out.option(response.last_log_id, Writer::log_id);
    out.0
}

pub(crate) fn decode_voted(bytes: &[u8]) -> io::Result<VoteResponse<NodeId>> {
    whole(bytes, |from| {
        let (vote, vote_granted) = (from.vote()?, from.bool()?);
        Ok(VoteResponse { vote, vote_granted, last_log_id: from.option(Reader::log_id)? })
    })
}

/// The last log position of one that would stand for election.
pub(crate) fn encode_canvass(last: Option<LogId>) -> Vec<u8> {
    let mut out = Writer::versioned();
    out.option(last, Writer::log_id);
    out.0
}

pub(crate) fn decode_canvass(bytes: &[u8]) -> io::Result<Option<LogId>> {
    whole(bytes, |from| from.option(Reader::log_id))
}

/// With the question what is known of the asker: the voters that its file names.
pub(crate) fn encode_founders(founders: impl ExactSizeIterator<Item = NodeId>) -> Vec<u8> {
    let mut out = Writer::versioned();
    out.list(founders, Writer::u64);
    out.0
}

pub(crate) fn decode_founders(bytes: &[u8]) -> io::Result<Vec<NodeId>> {
    whole(bytes, |from| from.list(MAX_MEMBERS, Reader::u64))
}

/// It says nothing but itself.
pub(crate) fn encode_yield() -> Vec<u8> {
    Writer::versioned().0
}

pub(crate) fn decode_yield(bytes: &[u8]) -> io::Result<()> {
    whole(bytes, |_| Ok(()))
}

pub(crate) fn encode_yes(yes: bool) -> Vec<u8> {
    let mut out = Writer::versioned();
    out.u8(u8::from(yes));
    out.0
}

pub(crate) fn decode_yes(bytes: &[u8]) -> io::Result<bool> {
    whole(bytes, |from| from.bool())
}

impl Told {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::versioned();
        out.standing(&self.of_you);
        out.standing(&self.own);
        // A version without it reads what comes from a disk that holds something.
        if self.known > 0 {
            out.u64(self.known);
        }
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        whole(bytes, |from| {
            let (of_you, own) = (from.standing()?, from.standing()?);
            if from.end().is_ok() {
                return Ok(Self { of_you, own, known: 0 });
            }
            match from.u64()? {
                0 => Err(damaged("it knows of no store, and says of which")),
                known => Ok(Self { of_you, own, known }),
            }
        })
    }
}

impl Chunk {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::versioned();
        out.vote(self.vote);
        out.meta(&self.meta);
        out.u64(self.offset);
        out.u64(self.total);
        out.bytes(&self.bytes);
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        whole(bytes, |from| {
            let (vote, meta) = (from.vote()?, from.meta()?);
            let (offset, total) = (from.u64()?, from.u64()?);
            Ok(Self { vote, meta, offset, total, bytes: from.bytes()?.to_vec() })
        })
    }

    /// All chunks of a snapshot; even an empty one has one.
    pub(crate) fn all(vote: Vote, meta: &SnapshotMeta, image: &Image) -> Vec<Self> {
        let total = image.0.len() as u64;
        let part = |offset: usize| {
            let end = (offset + CHUNK).min(image.0.len());
            let bytes = image.0[offset..end].to_vec();
            Self { vote, meta: meta.clone(), offset: offset as u64, total, bytes }
        };
        (0..image.0.len().max(1)).step_by(CHUNK).map(part).collect()
    }
}

/// A snapshot that comes in chunks.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    id: String,
    bytes: Vec<u8>,
}

/// Longer snapshots are not taken: keys, values and their numbers, twice.
const MAX_IMAGE: u64 = 2 * engine::kv::MAX_BYTES as u64;

impl Incoming {
    /// The whole snapshot, when this was its last part.
    pub(crate) fn take(&mut self, chunk: &Chunk) -> io::Result<Option<Image>> {
        if chunk.offset == 0 {
            *self = Self { id: chunk.meta.snapshot_id.clone(), bytes: vec![] };
        }
        let follows = self.id == chunk.meta.snapshot_id && self.bytes.len() as u64 == chunk.offset;
        if !follows || chunk.total > MAX_IMAGE {
            return Err(damaged("a part of a snapshot that does not follow on the last one"));
        }
        self.bytes.extend(&chunk.bytes);
        let have = self.bytes.len() as u64;
        if have > chunk.total || (chunk.bytes.is_empty() && have < chunk.total) {
            return Err(damaged("a part of a snapshot that is too long or empty"));
        }
        let whole = have == chunk.total;
        Ok(whole.then(|| Image(Arc::from(std::mem::take(&mut self.bytes)))))
    }
}

pub(crate) fn decode_result(bytes: &[u8]) -> io::Result<Result<Outcome, Refusal>> {
    Outcome::decode(bytes).map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))
}

pub(crate) fn decode_transaction(bytes: &[u8]) -> io::Result<Transaction> {
    Transaction::decode(bytes).map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))
}

fn whole<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> io::Result<T>) -> io::Result<T> {
    let mut from = Reader::versioned(bytes)?;
    let value = read(&mut from)?;
    from.end()?;
    Ok(value)
}
