//! Writes and reads on the leader: what waits together is committed, or confirmed, together.

use std::sync::{Arc, Mutex, PoisonError};

use engine::kv::{Command, Entry, Outcome, Refusal, Transaction};
use openraft::ServerState;
use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::content::Content;
use super::types::{Batch, MAX_BATCH, Raft};

/// Commands that wait for the next batch; more have to wait to be taken.
pub(crate) const QUEUE: usize = 1_024;
/// Bytes of the commands of one batch, unless a single one is longer.
const MAX_BYTES: usize = 1 << 20;
/// Batches under way: while one is on its way to the followers, the next goes to the own disk.
const UNDER_WAY: usize = 2;

/// What became of a command.
#[derive(Debug)]
pub(crate) enum Reply {
    Done(Result<Outcome, Refusal>),
    /// Surely not done.
    NotLeader,
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) command: Command,
    pub(crate) reply: oneshot::Sender<Reply>,
}

#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) transaction: Transaction,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// About how many bytes a command takes.
pub(crate) fn size(entry: &Entry) -> usize {
    command_size(&entry.command)
}

fn command_size(command: &Command) -> usize {
    match command {
        Command::Transact(transaction) => {
            let ops = transaction.then.len() + transaction.otherwise.len();
            32 + transaction.bytes() + 16 * (ops + transaction.compares.len())
        }
        Command::Expire => 32,
    }
}

/// Counts the cluster's clock on while this node leads.
#[derive(Debug, Default)]
pub(crate) struct Clock(Mutex<Option<Counting>>);

#[derive(Clone, Copy, Debug)]
struct Counting {
    term: u64,
    base: u64,
    since: Instant,
}

impl Clock {
    /// Now, in milliseconds: the store's clock when this term began here, and what has passed since.
    pub(crate) fn now(&self, term: u64, stored: u64) -> u64 {
        let mut counting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = Counting { term, base: stored, since: Instant::now() };
        let current = match *counting {
            Some(current) if current.term == term => current,
            Some(_) | None => begins,
        };
        let passed = u64::try_from(current.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = current.base.saturating_add(passed);
        // The leader before may have counted further than was applied here when the term began.
        let (current, now) = if stored > now { (begins, stored) } else { (current, now) };
        *counting = Some(current);
        now
    }
}

/// Commits what comes, until nobody can send any more.
pub(crate) async fn writes(
    raft: Raft,
    content: Content,
    clock: Arc<Clock>,
    mut waiting: mpsc::Receiver<Proposal>,
) {
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let mut left = None;
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let first = match left.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut bytes = command_size(&first.command);
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Ok(next) = waiting.try_recv()
        {
            bytes += command_size(&next.command);
            if bytes > MAX_BYTES {
                left = Some(next);
                break;
            }
            batch.push(next);
        }
        let (term, leads) = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            (metrics.current_term, metrics.state == ServerState::Leader)
        };
        if !leads {
            answer_all(batch.into_iter().map(|proposal| proposal.reply).collect(), || {
                Reply::NotLeader
            });
            continue;
        }
        let now = clock.now(term, content.look(engine::kv::Kv::clock));
        let (commands, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|proposal| (proposal.command, proposal.reply)).unzip();
        let entries = commands.into_iter().map(|command| Entry { clock: now, command }).collect();
        match raft.client_write_ff(Batch(Arc::new(entries))).await {
            Ok(committed) => {
                tokio::spawn(async move {
                    match committed.await {
                        Ok(Ok(response)) => {
                            for (reply, result) in replies.into_iter().zip(response.data.0) {
                                drop(reply.send(Reply::Done(result)));
                            }
                        }
                        // Perhaps it was never taken. Perhaps it was taken back here, and lies in
                        // the log of another who may lead yet and commit it.
                        Ok(Err(_)) | Err(_) => answer_all(replies, || Reply::Unknown),
                    }
                    drop(permit);
                });
            }
            Err(_) => answer_all(replies, || Reply::Unknown),
        }
    }
}

fn answer_all(replies: Vec<oneshot::Sender<Reply>>, reply: impl Fn() -> Reply) {
    for waiting in replies {
        drop(waiting.send(reply()));
    }
}

/// Answers reads: leadership is confirmed once for all that wait, after they came.
pub(crate) async fn reads(raft: Raft, content: Content, mut waiting: mpsc::Receiver<Question>) {
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        while batch.len() < QUEUE
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        match raft.ensure_linearizable().await {
            Ok(_) => {
                for question in batch {
                    let found = content.look(|kv| kv.read(&question.transaction));
                    drop(question.reply.send(Reply::Done(found)));
                }
            }
            Err(error) => {
                // Who does not lead says so at once; who could not confirm it may be asked again.
                let lost = match error {
                    RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_)) => false,
                    RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => false,
                    RaftError::Fatal(_) => true,
                };
                for question in batch {
                    let reply = if lost { Reply::Unknown } else { Reply::NotLeader };
                    drop(question.reply.send(reply));
                }
            }
        }
    }
}

/// A command that reads nothing and writes nothing but the clock.
pub(crate) fn expire() -> (Proposal, oneshot::Receiver<Reply>) {
    let (reply, heard) = oneshot::channel();
    (Proposal { command: Command::Expire, reply }, heard)
}
