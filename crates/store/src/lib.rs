//! The replicated store: what all controllers hold alike, one trait and two engines.
//!
//! [`Store`] is linearizable: an operation that was answered happened at one moment between question
//! and answer, whoever asks wherever. [`Embedded`] is openraft over redb and needs nothing installed;
//! [`etcd::Etcd`] is an etcd outside, by its JSON gateway.
//! What is stored and what the limits are is [`engine::kv`].

mod bytes;
pub mod embedded;
pub mod etcd;
pub mod fuzz;
mod host;
pub mod linear;
mod local;
mod net;
mod transport;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use engine::kv::{
    Answer, Change, Compacted, Condition, Item, Keys, Op, Outcome, Refusal, Transaction,
};
use tokio::sync::mpsc;

/// In the state folder of a node: the greatest incarnation of a store that it was part of, in digits.
pub const INCARNATION: &str = "store.incarnation";

pub use embedded::members::{Outlook, WISHES, Wish};
pub use embedded::{Checked, FILE, Restoring, TRUSTED, check, restore};
pub use embedded::{Embedded, NodeId, Options, Status, Timing};
pub use host::{Host, Setup};
pub use local::blocking::Local;
pub use local::client::Client;
pub use local::link::{Link, News, Range};
pub use local::{Report, SOCKET};
pub use net::Credentials;
pub use transport::{Accepted, Duplex, Later, Plain, Transport};

/// Why something was not done, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store refuses it")]
    Refused(#[source] Refusal),
    /// Surely not done; worth another try.
    #[error(
        "the store has no leader: {} ms were waited for one; a majority of its members has to hear each other again \
         (`outlast why store` says who is missing)",
        .0.as_millis()
    )]
    NoLeader(Duration),
    /// It may have been done, or be done later: read before doing it again.
    #[error(
        "nobody knows whether it was done: the store lost its leader meanwhile; read before doing it again"
    )]
    Unknown,
    #[error("the watch cannot go on")]
    Compacted(#[source] Compacted),
    #[error("the store on this node has stopped: {0}")]
    Stopped(String),
    #[error("cannot use {}", .path.display())]
    Disk { path: PathBuf, source: std::io::Error },
    #[error("{} {belongs}", .path.display())]
    OtherOwner { path: PathBuf, belongs: String },
    /// Two voters stop when either does, and so are worse than one.
    #[error("two voters cannot lose any: name a third node, it may run nothing else")]
    TwoVoters,
    #[error("the store of this node's cluster names no address of node {0}")]
    NoAddress(u64),
    #[error("etcd says: {0}")]
    Etcd(String),
    #[error("the backup is not whole or none of a store")]
    Backup(#[source] engine::kv::Damage),
    #[error("cannot change the members: {0}")]
    Members(String),
    #[error("the lead of the store is not given away: {0}")]
    Lead(String),
    #[error("no store of this node answers at {}", socket.display())]
    Away { socket: PathBuf, source: std::io::Error },
}

/// The number of a node in the store: of its name (FNV-1a, 64 bits), so that it stays the same whatever
/// else changes in the cluster's file.
#[must_use]
pub fn node_id(name: &str) -> NodeId {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ NodeId::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The newest changes, as they come.
#[derive(Debug)]
pub struct Watch {
    changes: mpsc::Receiver<Result<Vec<Change>, Error>>,
}

impl Watch {
    pub(crate) const fn new(changes: mpsc::Receiver<Result<Vec<Change>, Error>>) -> Self {
        Self { changes }
    }

    /// The next changes, all of a revision together; waits for them.
    ///
    /// # Errors
    /// [`Error::Compacted`] when some are lost: read the keys again and watch from there.
    pub async fn next(&mut self) -> Result<Vec<Change>, Error> {
        let ended = || Err(Error::Stopped("the watch has ended".to_owned()));
        self.changes.recv().await.unwrap_or_else(ended)
    }
}

/// A linearizable store. All of it can be asked on any node.
pub trait Store: Send + Sync {
    /// Does all of a transaction or nothing.
    fn transact(
        &self,
        transaction: Transaction,
    ) -> impl Future<Output = Result<Outcome, Error>> + Send;

    /// Changes of `keys` after revision `after`.
    fn watch(&self, after: u64, keys: Keys) -> impl Future<Output = Result<Watch, Error>> + Send;

    /// The value of one key.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Item>, Error>> + Send {
        let asked = self.transact(Transaction::of(Op::read(key)));
        async { Ok(asked.await?.found().into_iter().next().map(|(_, item)| item)) }
    }

    /// Writes one key; with a limit in milliseconds it goes by itself. The revision is answered.
    fn put(
        &self,
        key: &str,
        value: &[u8],
        limit: Option<u32>,
    ) -> impl Future<Output = Result<u64, Error>> + Send {
        let op = Op::Put { key: key.to_owned(), value: value.into(), limit };
        let asked = self.transact(Transaction::of(op));
        async { Ok(asked.await?.revision) }
    }

    /// Whether there was such a key.
    fn delete(&self, key: &str) -> impl Future<Output = Result<bool, Error>> + Send {
        let asked = self.transact(Transaction::delete(key));
        async {
            Ok(asked.await?.answers.iter().any(|answer| matches!(answer, Answer::Deleted(1..))))
        }
    }

    /// Compare-and-swap; whether the condition held.
    fn swap(
        &self,
        key: &str,
        is: Condition,
        value: &[u8],
    ) -> impl Future<Output = Result<bool, Error>> + Send {
        let asked = self.transact(Transaction::swap(key, is, value));
        async { Ok(asked.await?.held) }
    }

    /// All keys of a range, in as many questions as it takes, and the revision of the first answer;
    /// watch from there.
    fn range(
        &self,
        keys: Keys,
    ) -> impl Future<Output = Result<(Vec<(String, Item)>, u64), Error>> + Send {
        async move {
            let (mut all, mut rest, mut revision) = (vec![], keys.clone(), None);
            loop {
                let op = Op::Read { keys: rest.clone(), limit: u32::MAX };
                let outcome = self.transact(Transaction::of(op)).await?;
                revision.get_or_insert(outcome.revision);
                let more = outcome
                    .answers
                    .iter()
                    .any(|answer| matches!(answer, Answer::Found { more: true, .. }));
                all.extend(outcome.found().into_iter().filter(|(key, _)| keys.has(key)));
                let Some((last, _)) = all.last().filter(|_| more) else { break };
                // The first key after the last one, up to the end of all keys.
                let (from, to) = (format!("{last}\0"), char::MAX.to_string().repeat(8));
                rest = Keys::Span { from, to };
            }
            Ok((all, revision.unwrap_or_default()))
        }
    }
}

/// What an outcome found.
trait Found {
    fn found(self) -> Vec<(String, Item)>;
}

impl Found for Outcome {
    fn found(self) -> Vec<(String, Item)> {
        let mut all = vec![];
        for answer in self.answers {
            match answer {
                Answer::Found { items, .. } => all.extend(items),
                Answer::Put | Answer::Deleted(_) => {}
            }
        }
        all
    }
}
