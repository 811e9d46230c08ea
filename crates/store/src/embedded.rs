//! The engine inside: openraft for agreement, redb for the disk.
//!
//! ```text
//!   Store::transact -> leader here? -> batch -> openraft -> disk (fsync) + followers (fsync) -> content
//!                   -> leader there? -> link ------^
//! ```
//!
//! A start goes: disk, listen, ask the others what they know of this node (`standing`), openraft. Before
//! that answer nothing is voted, appended or led.

mod batch;
mod content;
mod disk;
mod election;
mod frame;
pub(crate) mod fuzz;
mod lead;
mod link;
mod log;
pub(crate) mod members;
mod message;
mod network;
mod options;
mod serve;
mod standing;
mod start;
mod strangers;
mod types;
mod witness;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use engine::kv::{Command, Keys, Outcome, Transaction};
use openraft::ServerState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::batch::{Clock, Proposal, Question, Reply};
use crate::transport::Transport;
use crate::{Error, Store, Watch};
use content::Content;
use disk::Disk;
pub use disk::offline::{Checked, FILE, Restoring, TRUSTED, check, restore};
pub(crate) use disk::own_folder;
use election::{Moment, View};
pub(crate) use frame::{Frame, MAX_FRAME};
use link::{CallError, Lane, Links};
use message::kind;
pub(crate) use message::{decode_result, decode_transaction};
pub use options::{Options, Timing};
use standing::Standing;
use strangers::Strangers;
pub use types::NodeId;
use types::{Members, Raft};

/// How long an operation looks for a leader before it says that there is none.
const LOOK: Duration = Duration::from_secs(2);
/// How long a command waits for its answer once it was given to a leader.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks for a leader.
const AGAIN: Duration = Duration::from_millis(10);
/// Revisions of changes that wait for a watcher.
const WATCHED: usize = 64;

/// With entries of 200 bytes 1 MB of log; reading it at a start takes some 10 ms.
pub const SNAPSHOT_EVERY: u64 = 5_000;

/// What a node of the store knows of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    pub leader: Option<NodeId>,
    pub term: u64,
    /// Index of the last entry on this disk, of the last one known to be committed, and of the last one
    /// that was applied.
    pub last: u64,
    pub committed: u64,
    pub applied: u64,
    pub revision: u64,
    pub keys: usize,
    /// Keys and values together.
    pub bytes: usize,
    pub voters: Vec<NodeId>,
    /// Nodes that are filled up and do not vote.
    pub learners: Vec<NodeId>,
    /// Index up to which the disk has to be filled before this node stands for election or votes for a
    /// shorter log: others had more when it started.
    pub floor: Option<u64>,
    /// At this start the others, or a witness, remembered more of this node than its disk did.
    pub went_back: bool,
    /// Nodes that have another store, and do not speak with this one.
    pub strangers: Vec<NodeId>,
    /// How often this node has waited for its disk since the start.
    pub syncs: u64,
    /// The last entry of the newest snapshot.
    pub snapshot: Option<u64>,
    /// When that was made, milliseconds since 1970 (UTC), if since the start.
    pub snapshot_at_ms: Option<u64>,
    /// Of the file on disk.
    pub file_bytes: u64,
}

/// What a start waits for, and who has another store, for operators.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    waits: Arc<Mutex<Option<String>>>,
    strangers: Strangers,
    /// Of the store's file, once it is known.
    folder: Arc<OnceLock<PathBuf>>,
}

impl Progress {
    fn tell(&self, text: Option<String>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// `name`: of a node by its number.
    pub(crate) fn text(&self, name: impl Fn(NodeId) -> String) -> Option<String> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let words: Vec<_> = self
            .strangers
            .text(name, self.folder.get().map(PathBuf::as_path))
            .into_iter()
            .chain(waits)
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// A node of the store.
#[derive(Debug)]
pub struct Embedded {
    core: Arc<Core>,
    tasks: Vec<JoinHandle<()>>,
}

pub(crate) struct Core {
    options: Options,
    disk: Arc<Disk>,
    content: Content,
    links: Arc<Links>,
    /// Not before the disk is known to be whole, or how far it is not.
    raft: OnceLock<Raft>,
    floor: Mutex<Standing>,
    went_back: AtomicBool,
    /// Nodes that have another store.
    strangers: Strangers,
    /// The store of each node that has said who it is, since this start.
    parts: Mutex<BTreeMap<NodeId, disk::owner::Incarnation>>,
    /// One at a time decides of which store an empty disk becomes a part.
    joining: tokio::sync::Mutex<()>,
    /// A leader, last.
    heard: Moment,
    /// When this node last gave its vote to another.
    voted: Moment,
    /// This node gives the lead away: what is asked waits.
    gives: AtomicBool,
    /// Until then it does not stand for election: another one does.
    yields: Mutex<Option<Instant>>,
    clock: Arc<Clock>,
    proposals: mpsc::Sender<Proposal>,
    questions: mpsc::Sender<Question>,
    /// True once this node ends.
    ends: watch::Sender<bool>,
}

impl Embedded {
    /// Starts a node and returns when a majority has said what it knows of its disk: this waits as long
    /// as there is none.
    ///
    /// # Errors
    /// When the disk cannot be used, or with two founders.
    pub async fn start(options: Options, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        start::start(options, transport, Progress::default()).await
    }

    /// The same, and `progress` tells meanwhile what it waits for.
    pub(crate) async fn start_telling(
        options: Options,
        transport: Arc<dyn Transport>,
        progress: Progress,
    ) -> Result<Self, Error> {
        start::start(options, transport, progress).await
    }

    #[must_use]
    pub fn status(&self) -> Status {
        let core = &self.core;
        // openraft names the last leader for ever where no other can be elected.
        let is_led = core.is_led(2 * core.options.timing.silence);
        let mut status = core.raft().map_or_else(Status::default, |raft| {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            let members = &metrics.membership_config;
            let is_alone = members.voter_ids().count() == 1;
            Status {
                leader: metrics.current_leader.filter(|_| is_led || is_alone),
                term: metrics.current_term,
                voters: members.voter_ids().collect(),
                learners: members.membership().learner_ids().collect(),
                snapshot: metrics.snapshot.map(|last| last.index),
                ..Status::default()
            }
        });
        let last = core.disk.position().last;
        let index = |id: Option<types::LogId>| id.map_or(0, |id| id.index);
        let floor = core.floor().log.filter(|floor| Some(*floor) > last);
        status.floor = floor.map(|floor| floor.index);
        core.content.look(|kv| {
            (status.revision, status.keys, status.bytes) = (kv.revision(), kv.len(), kv.bytes());
        });
        status.last = index(last);
        status.applied = index(core.content.applied());
        // What is applied is committed; the note of it comes later.
        status.committed = index(core.disk.committed()).max(status.applied);
        status.strangers = core.strangers.nodes();
        status.syncs = core.disk.syncs();
        status.went_back = core.went_back.load(Ordering::Relaxed);
        status.snapshot_at_ms = core.disk.snapshot_at_ms();
        status.file_bytes = core.disk.file_bytes();
        status
    }

    /// All nodes of the store with their addresses, as this one knows them.
    #[must_use]
    pub fn members(&self) -> Vec<(NodeId, String)> {
        let Some(raft) = self.core.raft() else { return vec![] };
        let metrics = raft.metrics();
        let metrics = metrics.borrow();
        let nodes = metrics.membership_config.nodes();
        nodes.map(|(id, node)| (*id, node.addr.clone())).collect()
    }

    /// How long ago each other node last said something, be it late; only of those that this one asks, as a
    /// leader does ten times a second.
    #[must_use]
    pub fn heard(&self) -> BTreeMap<NodeId, Duration> {
        self.core.links.heard()
    }

    /// The last index that each node is known to have; empty on a node that does not lead.
    #[must_use]
    pub fn replicated(&self) -> BTreeMap<NodeId, u64> {
        let Some(raft) = self.core.raft() else { return BTreeMap::new() };
        let metrics = raft.metrics();
        let metrics = metrics.borrow();
        let followers = metrics.replication.iter().flatten();
        let index = |last: &Option<types::LogId>| last.map_or(0, |last| last.index);
        followers.map(|(id, last)| (*id, index(last))).collect()
    }

    /// Of which store this node is a part; none while it holds nothing.
    #[must_use]
    pub fn incarnation(&self) -> Option<u64> {
        self.core.disk.incarnation()
    }

    /// Why this node's store has stopped for good, if it has: its disk failed. Start it again.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let metrics = self.core.raft()?.metrics();
        let failed = metrics.borrow().running_state.clone().err()?;
        Some(self.core.disk.failed().unwrap_or_else(|| failed.to_string()))
    }

    /// Makes these the voters; to be asked on the leader. New ones are brought up to date first.
    ///
    /// # Errors
    /// When two would be left, or this node does not lead.
    pub async fn change_voters(&self, voters: BTreeMap<NodeId, String>) -> Result<(), Error> {
        self.core.change_voters(voters).await
    }

    /// All of the content as this node has it, as a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.core.content.look(engine::kv::Kv::snapshot)
    }

    /// Ends this node; what was acknowledged is on its disk.
    pub async fn stop(&self) {
        self.core.ends.send_replace(true);
        if let Some(raft) = self.core.raft() {
            drop(raft.shutdown().await);
        }
        for task in &self.tasks {
            task.abort();
        }
        self.core.links.close();
        // What is lost of it is only asked again.
        drop(self.core.disk.keep_facts().await);
        self.core.disk.close().await;
    }
}

impl Store for Embedded {
    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Error> {
        self.core.transact(transaction).await
    }

    async fn watch(&self, after: u64, keys: Keys) -> Result<Watch, Error> {
        let (told, changes) = mpsc::channel(WATCHED);
        tokio::spawn(tell(self.core.content.clone(), after, keys, told));
        Ok(Watch::new(changes))
    }
}

async fn tell(
    content: Content,
    mut after: u64,
    keys: Keys,
    told: mpsc::Sender<Result<Vec<engine::kv::Change>, Error>>,
) {
    let mut revisions = content.revisions();
    loop {
        let newest = *revisions.borrow_and_update();
        let found = content.look(|kv| {
            let upto = kv.revision();
            kv.changes(after, &keys).map(|changes| (upto, changes.cloned().collect::<Vec<_>>()))
        });
        match found {
            Ok((upto, changes)) => {
                for revision in changes.chunk_by(|one, next| one.revision == next.revision) {
                    if told.send(Ok(revision.to_vec())).await.is_err() {
                        return;
                    }
                }
                after = after.max(upto).max(newest.min(upto));
            }
            Err(compacted) => {
                drop(told.send(Err(Error::Compacted(compacted))).await);
                return;
            }
        }
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            () = told.closed() => return,
        }
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Core {
    /// What this node stores from now on is of that store.
    async fn become_part(&self, incarnation: disk::owner::Incarnation) -> std::io::Result<()> {
        self.disk.become_part(incarnation).await?;
        self.links.become_part(incarnation);
        Ok(())
    }

    fn me(&self) -> NodeId {
        self.options.me
    }

    fn raft(&self) -> Option<&Raft> {
        self.raft.get()
    }

    fn floor(&self) -> Standing {
        *self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk has all that this node is known to have promised.
    fn may_stand(&self) -> bool {
        self.disk.position().last >= self.floor().log
    }

    fn voters(&self, members: &Members) -> Vec<(NodeId, String)> {
        let nodes = members.membership();
        let voters = members.voter_ids();
        voters.filter_map(|id| Some((id, nodes.get_node(&id)?.addr.clone()))).collect()
    }

    /// Where a node of the store is.
    fn address(&self, node: NodeId) -> Option<String> {
        let known = self.raft().and_then(|raft| {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            Some(metrics.membership_config.membership().get_node(&node)?.addr.clone())
        });
        known.or_else(|| self.options.founders.get(&node).cloned())
    }

    fn view(&self) -> View {
        let leader = self.is_led(self.options.timing.silence);
        View { leader, own: self.disk.position().last, floor: self.floor().log }
    }

    /// Whether a leader was heard within this time, or this node is one and had its majority within it.
    fn is_led(&self, within: Duration) -> bool {
        let leads = self.raft().is_some_and(|raft| {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            let acknowledged = metrics.millis_since_quorum_ack.map(Duration::from_millis);
            metrics.state == ServerState::Leader && acknowledged.is_some_and(|age| age < within)
        });
        leads || self.heard.age() < within
    }

    /// Where the leader is, as far as this node knows.
    fn leader(&self) -> Result<Option<(NodeId, String)>, Error> {
        let Some(raft) = self.raft() else { return Ok(None) };
        let metrics = raft.metrics();
        let metrics = metrics.borrow();
        if let Err(fatal) = &metrics.running_state {
            return Err(Error::Stopped(fatal.to_string()));
        }
        let Some(leader) = metrics.current_leader else { return Ok(None) };
        let node = metrics.membership_config.membership().get_node(&leader);
        Ok(node.map(|node| (leader, node.addr.clone())))
    }

    async fn transact(&self, transaction: Transaction) -> Result<Outcome, Error> {
        transaction.check().map_err(Error::Refused)?;
        let reads = transaction.only_reads();
        let begun = Instant::now();
        loop {
            let reply = match self.leader()? {
                None => Reply::NotLeader,
                Some((leader, _)) if leader == self.me() => {
                    if reads {
                        self.read(transaction.clone()).await
                    } else {
                        self.write(transaction.clone()).await
                    }
                }
                Some((leader, address)) => self.ask((leader, &address), &transaction, reads).await,
            };
            match reply {
                Reply::Done(result) => return result.map_err(Error::Refused),
                // A read that may have been made is simply made again.
                Reply::Unknown if !reads => return Err(Error::Unknown),
                Reply::Unknown | Reply::NotLeader => {}
            }
            if begun.elapsed() >= LOOK {
                return Err(Error::NoLeader(begun.elapsed()));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn ask(&self, to: (NodeId, &str), transaction: &Transaction, reads: bool) -> Reply {
        let kind = if reads { kind::READ } else { kind::WRITE };
        let patience = if reads { LOOK / 2 } else { PATIENCE };
        let question = (kind, transaction.encode());
        match self.links.call(to, Lane::Bulk, question, patience).await {
            Ok(body) => decode_result(&body).map_or(Reply::Unknown, Reply::Done),
            Err(CallError::NotSent(_) | CallError::NotLeader | CallError::Refused(_)) => {
                Reply::NotLeader
            }
            Err(CallError::Lost(_) | CallError::Unknown) => Reply::Unknown,
        }
    }

    /// Commits on this node, if it leads.
    async fn write(&self, transaction: Transaction) -> Reply {
        if self.gives.load(Ordering::SeqCst) {
            return Reply::NotLeader;
        }
        let (reply, heard) = oneshot::channel();
        let command = Command::Transact(transaction);
        self.wait(self.proposals.try_send(Proposal { command, reply }).is_ok(), heard).await
    }

    /// Answers on this node, if it leads.
    async fn read(&self, transaction: Transaction) -> Reply {
        // Who confirms that it leads, beats.
        if self.gives.load(Ordering::SeqCst) {
            return Reply::NotLeader;
        }
        let (reply, heard) = oneshot::channel();
        self.wait(self.questions.try_send(Question { transaction, reply }).is_ok(), heard).await
    }

    /// What is not taken because too many wait counts as not done: it is tried again.
    async fn wait(&self, taken: bool, heard: oneshot::Receiver<Reply>) -> Reply {
        if !taken {
            return Reply::NotLeader;
        }
        match timeout_at(Instant::now() + PATIENCE, heard).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => Reply::Unknown,
        }
    }
}
