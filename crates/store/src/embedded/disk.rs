//! The log, the vote and the snapshot in one redb file; nothing is acknowledged before its fsync.
//!
//! One thread writes. Whatever waits for it when it comes round goes into one transaction and one
//! fsync. The newest entries are kept in memory, where replication and the content read them.
//!
//! A leader's own entries go to its disk while they go to the others ([`Disk::append`]): openraft 0.9 sends
//! them only when its own disk has answered, which would be two fsyncs after each other in every write.
//! Nothing leaves this node that says they are committed before they are on its disk
//! ([`Disk::on_disk`]): not to clients, not to the content, not to the others.

mod file;
pub(crate) mod offline;
pub(crate) mod owner;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::panic::UnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use openraft::storage::LogFlushed;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{oneshot, watch};

use super::Options;
use super::standing::{Standing, Standings};
use super::types::{Image, LogEntry, LogId, MAX_MEMBERS, NodeId, SnapshotMeta, Types, Vote};
use super::witness::Witness;
use crate::Error;
use crate::bytes::{Reader, Writer};
use file::database;
pub(crate) use file::own_folder;
use owner::Incarnation;

/// Facts by name; each value begins with its version.
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
/// Log entries by index.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const STANDINGS: &str = "standings";
const META: &str = "snapshot meta";
const IMAGE: &str = "snapshot";

/// Entries that are kept in memory, at most; replication to a slow node reads older ones from disk.
const CACHED: usize = 2_048;
/// And their bytes.
const CACHED_BYTES: usize = 8 << 20;

/// Where the log stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    pub(crate) last: Option<LogId>,
    pub(crate) purged: Option<LogId>,
}

#[derive(Debug)]
pub(crate) struct Disk {
    /// Nothing once it is closed.
    database: Mutex<Option<Arc<Database>>>,
    jobs: mpsc::Sender<Job>,
    /// Of the file; shown, and counted by tests.
    syncs: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
    /// The last entry that is on disk; nobody tells it once the writing thread has ended.
    flushed: watch::Receiver<Option<LogId>>,
    pub(crate) me: NodeId,
    /// What the witness saw before this start, and of which store.
    witness: Option<(Incarnation, Standing)>,
    path: PathBuf,
    cluster: String,
    /// When the newest snapshot was made, milliseconds since 1970 (UTC); 0: before this start.
    snapshot_at_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    position: Position,
    newest: BTreeMap<u64, LogEntry>,
    /// Of the entries in `newest`.
    bytes: usize,
    vote: Option<Vote>,
    committed: Option<LogId>,
    standings: Standings,
    /// What this node has promised in this store and the disk does not have: the witness keeps it.
    owes: Standing,
    /// The last entry of this node as leader, which openraft was told of before it was on disk.
    ahead: Option<LogId>,
    /// None while it holds nothing.
    incarnation: Option<Incarnation>,
    /// Facts that changed and go along with the next transaction that writes facts.
    loose: bool,
    /// Why the writing thread has ended.
    failed: Option<String>,
}

/// What the writing thread does, in order.
enum Job {
    /// Who waits for it, unless that is [`Disk::on_disk`].
    Append(Vec<(LogId, Vec<u8>)>, Option<LogFlushed<Types>>),
    Vote(Vote, oneshot::Sender<io::Result<()>>),
    /// From this index; what is the last entry then.
    Truncate(u64, Option<LogId>, oneshot::Sender<io::Result<()>>),
    Purge(LogId, oneshot::Sender<io::Result<()>>),
    Snapshot(Box<(SnapshotMeta, Image)>, oneshot::Sender<io::Result<()>>),
    /// Nothing but what is loose.
    Facts(oneshot::Sender<io::Result<()>>),
    /// The last one.
    Close(oneshot::Sender<io::Result<()>>),
}

impl Disk {
    /// Opens the file `store.redb` in `folder`, or makes it.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, from a newer version, or of another node or cluster.
    pub(crate) fn open(options: &Options) -> Result<Self, Error> {
        Self::open_with(options, database)
    }

    fn open_with(
        options: &Options,
        database: impl FnOnce(&Path, &Arc<AtomicU64>) -> io::Result<Database> + UnwindSafe,
    ) -> Result<Self, Error> {
        let path = options.folder.join("store.redb");
        let failed = |source: io::Error| Error::Disk { path: path.clone(), source };
        let other = |source: redb::Error| failed(io::Error::other(source));
        let syncs = Arc::new(AtomicU64::new(0));
        // redb takes some damage for a mistake of its own and panics.
        let opened = std::panic::catch_unwind(|| database(&path, &syncs));
        let damaged = |_| io::Error::new(io::ErrorKind::InvalidData, "its pages are damaged");
        let database = opened.map_err(damaged).flatten().map_err(failed)?;
        let incarnation = owner::own(&database, &options.cluster, options.me, None)
            .map_err(other)?
            .map_err(|belongs| Error::OtherOwner { path: path.clone(), belongs })?;
        let mut state = load(&database).map_err(other)?.map_err(failed)?;
        state.incarnation = incarnation;
        let kept = Standing { vote: state.vote.unwrap_or_default(), log: state.position.last };
        let (witness, seen) = match &options.witness {
            Some(path) => {
                let opened = Witness::open(path, incarnation);
                let opened = opened.map_err(|source| Error::Disk { path: path.clone(), source })?;
                (Some(opened.0), opened.1)
            }
            None => (None, None),
        };
        let (database, state) = (Arc::new(database), Arc::new(Mutex::new(state)));
        let (jobs, waiting) = mpsc::channel();
        let (flushed, told) = watch::channel(kept.log);
        let writing = write::Writing {
            flushed,
            database: Arc::clone(&database),
            state: Arc::clone(&state),
            witness,
            kept,
        };
        std::thread::Builder::new()
            .name("store-disk".to_owned())
            .spawn(move || writing.run(&waiting))
            .map_err(failed)?;
        let database = Mutex::new(Some(database));
        let snapshot_at_ms = AtomicU64::new(0);
        let (flushed, me, witness) = (told, options.me, seen);
        let cluster = options.cluster.clone();
        Ok(Self {
            database,
            jobs,
            syncs,
            state,
            flushed,
            me,
            witness,
            path,
            cluster,
            snapshot_at_ms,
        })
    }

    /// What the witness saw of this disk's store within this boot before this start.
    pub(crate) fn witness(&self) -> Option<Standing> {
        self.witness.filter(|seen| Some(seen.0) == self.incarnation()).map(|seen| seen.1)
    }

    /// The same while the disk holds nothing, and of which store that is.
    pub(crate) fn lost(&self) -> Option<(Incarnation, Standing)> {
        self.witness.filter(|_| self.incarnation().is_none())
    }

    /// Of the store that this is a part of; none before the first entry.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.state().incarnation
    }

    /// Becomes a part of this store, before anything of it is kept.
    pub(crate) async fn become_part(&self, incarnation: Incarnation) -> io::Result<()> {
        let (database, cluster, me) = (self.database()?, self.cluster.clone(), self.me);
        let kept = tokio::task::spawn_blocking(move || {
            owner::become_part(&database, &cluster, me, incarnation)
        });
        kept.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        self.state().incarnation = Some(incarnation);
        Ok(())
    }

    /// Has the witness remember this until the disk has it: a start before that is not taken in by a disk that
    /// was filled up in part.
    pub(crate) fn owe(&self, promised: Standing) {
        self.state().owes = promised;
    }

    fn database(&self) -> io::Result<Arc<Database>> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| io::Error::other("the store has ended"))
    }

    /// Lets the file go: another process may open it now.
    pub(crate) async fn close(&self) {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A writer that ended before has let it go before.
        drop(self.done(Job::Close).await);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    pub(crate) fn position(&self) -> Position {
        self.state().position
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        self.state().vote
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        self.state().committed
    }

    /// Goes to disk within a second: what is lost with it is only asked again.
    pub(crate) fn note_committed(&self, committed: Option<LogId>) {
        let mut state = self.state();
        state.committed = committed;
        state.loose = true;
    }

    /// What this disk promised.
    pub(crate) fn own(&self) -> Standing {
        let (state, flushed) = (self.state(), self.flushed());
        let log = state.position.last.min(flushed);
        Standing { vote: state.vote.unwrap_or_default(), log }
    }

    pub(crate) fn standings(&self) -> Standings {
        self.state().standings.clone()
    }

    /// Remembers of another node; goes to disk with the next vote, or by [`Disk::keep_facts`].
    pub(crate) fn note(&self, node: NodeId, standing: &Standing) {
        let mut state = self.state();
        if !state.standings.contains_key(&node) && state.standings.len() >= MAX_MEMBERS {
            return;
        }
        if state.standings.entry(node).or_default().raise(standing) {
            state.loose = true;
        }
    }

    pub(crate) async fn keep_facts(&self) -> io::Result<()> {
        if !self.state().loose {
            return Ok(());
        }
        self.done(Job::Facts).await
    }

    /// Takes entries that follow on each other; they can be read when this returns. `flushed` is called
    /// when they are on disk; at once for entries that this node proposes as leader: openraft sends them to
    /// the others meanwhile, and [`Disk::on_disk`] is asked before anything follows from them. Whatever this
    /// node promises later (a vote, other entries) is written after them.
    pub(crate) fn append(&self, entries: Vec<LogEntry>, flushed: LogFlushed<Types>) {
        let mut rows = vec![];
        let leads = {
            let mut state = self.state();
            let leader = state.vote.map(|vote| vote.leader_id).filter(|id| id.node_id == self.me);
            let leads = entries.iter().all(|entry| Some(entry.log_id.leader_id) == leader);
            for entry in entries {
                let mut out = Writer::versioned();
                out.entry(&entry);
                rows.push((entry.log_id, out.0));
                state.position.last = Some(entry.log_id);
                state.bytes += size(&entry);
                state.newest.insert(entry.log_id.index, entry);
            }
            if leads {
                state.ahead = state.position.last;
            }
            leads
        };
        let (waits, at_once) = if leads { (None, Some(flushed)) } else { (Some(flushed), None) };
        // A writer that ended has dropped its jobs: openraft hears that the callback is gone.
        if self.jobs.send(Job::Append(rows, waits)).is_ok()
            && let Some(flushed) = at_once
        {
            flushed.log_io_completed(Ok(()));
        }
    }

    /// Waits until an entry that openraft holds for committed is on this disk.
    ///
    /// # Errors
    /// When it will never be: the writing thread has ended.
    pub(crate) async fn on_disk(&self, committed: Option<LogId>) -> io::Result<()> {
        let needed = committed.min(self.state().ahead);
        let ended = |_| io::Error::other("the writing thread has ended");
        self.flushed.clone().wait_for(|last| *last >= needed).await.map(drop).map_err(ended)
    }

    /// The last entry up to which others may hold this one's log for committed.
    pub(crate) fn flushed(&self) -> Option<LogId> {
        *self.flushed.borrow()
    }

    pub(crate) async fn save_vote(&self, vote: Vote) -> io::Result<()> {
        self.done(|done| Job::Vote(vote, done)).await?;
        self.state().vote = Some(vote);
        Ok(())
    }

    /// Takes this index and all later ones away.
    pub(crate) async fn truncate(&self, from: u64) -> io::Result<()> {
        let before = from.checked_sub(1);
        let last = match before {
            Some(index) => self.entries(index..from)?.pop().map(|entry| entry.log_id),
            None => None,
        };
        let last = {
            let mut state = self.state();
            state.newest.split_off(&from);
            state.count();
            state.position.last = last.max(state.position.purged);
            state.position.last
        };
        self.done(|done| Job::Truncate(from, last, done)).await
    }

    /// Takes this index and all earlier ones away: a snapshot has them.
    pub(crate) async fn purge(&self, upto: LogId) -> io::Result<()> {
        {
            let mut state = self.state();
            state.newest = state.newest.split_off(&(upto.index + 1));
            state.count();
            state.position.purged = Some(upto);
            state.position.last = state.position.last.max(Some(upto));
        }
        self.done(|done| Job::Purge(upto, done)).await
    }

    pub(crate) async fn save_snapshot(&self, meta: SnapshotMeta, image: Image) -> io::Result<()> {
        self.done(|done| Job::Snapshot(Box::new((meta, image)), done)).await?;
        self.snapshot_at_ms.store(sys::clock::wall_ms(), Ordering::Relaxed);
        Ok(())
    }

    /// Why nothing is written any more; of a leader openraft says only that nobody answers it.
    pub(crate) fn failed(&self) -> Option<String> {
        self.state().failed.clone()
    }

    /// When the newest snapshot was made, if since this start.
    pub(crate) fn snapshot_at_ms(&self) -> Option<u64> {
        Some(self.snapshot_at_ms.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// 0 where nobody can say.
    pub(crate) fn file_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> io::Result<Option<(SnapshotMeta, Image)>> {
        let database = self.database()?;
        let read = || -> Result<_, redb::Error> {
            let facts = database.begin_read()?.open_table(FACTS)?;
            let (meta, image) = (facts.get(META)?, facts.get(IMAGE)?);
            Ok(meta.zip(image).map(|(meta, image)| (meta.value().to_vec(), image.value().to_vec())))
        };
        let Some((meta, image)) = read().map_err(io::Error::other)? else { return Ok(None) };
        Ok(Some((Reader::versioned(&meta)?.meta()?, Image(image.into()))))
    }

    /// The entries of `range` that there are, in order.
    pub(crate) fn entries(&self, range: std::ops::Range<u64>) -> io::Result<Vec<LogEntry>> {
        {
            let state = self.state();
            let cached =
                state.newest.first_key_value().is_some_and(|(first, _)| *first <= range.start);
            if cached || range.is_empty() {
                return Ok(state.newest.range(range).map(|(_, entry)| entry.clone()).collect());
            }
        }
        let database = self.database()?;
        let read = || -> Result<Vec<Vec<u8>>, redb::Error> {
            let log = database.begin_read()?.open_table(LOG)?;
            log.range(range.clone())?.map(|row| Ok(row?.1.value().to_vec())).collect()
        };
        let rows = read().map_err(io::Error::other)?;
        let mut entries = rows
            .iter()
            .map(|row| Reader::versioned(row)?.entry())
            .collect::<io::Result<Vec<_>>>()?;
        // The newest may not be on disk yet.
        let next = entries.last().map_or(range.start, |entry| entry.log_id.index + 1);
        let state = self.state();
        entries.extend(state.newest.range(next.min(range.end)..range.end).map(|(_, e)| e.clone()));
        Ok(entries)
    }

    async fn done(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job,
    ) -> io::Result<()> {
        let (done, heard) = oneshot::channel();
        let ended = || io::Error::other("the writing thread has ended");
        self.jobs.send(job(done)).map_err(|_| ended())?;
        heard.await.map_err(|_| ended())?
    }
}

impl State {
    fn count(&mut self) {
        self.bytes = self.newest.values().map(size).sum();
    }

    /// Lets the oldest entries in memory go; they are on disk, those that wait for it are the newest.
    fn trim(&mut self) {
        while self.newest.len() > CACHED || self.bytes > CACHED_BYTES {
            let Some((_, entry)) = self.newest.pop_first() else { return };
            self.bytes -= size(&entry);
        }
    }
}

/// About how many bytes an entry has.
pub(crate) fn size(entry: &LogEntry) -> usize {
    match &entry.payload {
        openraft::EntryPayload::Normal(batch) => batch.0.iter().map(super::batch::size).sum(),
        openraft::EntryPayload::Blank | openraft::EntryPayload::Membership(_) => 64,
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(database: &Database) -> Result<io::Result<State>, redb::Error> {
    let transaction = database.begin_read()?;
    let (facts, log) = (transaction.open_table(FACTS)?, transaction.open_table(LOG)?);
    let fact = |name: &str| -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(facts.get(name)?.map(|fact| fact.value().to_vec()))
    };
    let (vote, committed) = (fact(VOTE)?, fact(COMMITTED)?);
    let (purged, standings) = (fact(PURGED)?, fact(STANDINGS)?);
    let last = log.last()?.map(|(_, row)| row.value().to_vec());
    let read = || -> io::Result<State> {
        let purged = purged.map(|fact| Reader::versioned(&fact)?.log_id()).transpose()?;
        let last = last.map(|row| Reader::versioned(&row)?.log_id()).transpose()?;
        let standings = standings.map(|fact| read_standings(&fact)).transpose()?;
        Ok(State {
            position: Position { last: last.max(purged), purged },
            newest: BTreeMap::new(),
            bytes: 0,
            vote: vote.map(|fact| Reader::versioned(&fact)?.vote()).transpose()?,
            committed: committed.map(|fact| Reader::versioned(&fact)?.log_id()).transpose()?,
            standings: standings.unwrap_or_default(),
            owes: Standing::default(),
            ahead: None,
            incarnation: None,
            loose: false,
            failed: None,
        })
    };
    Ok(read())
}

fn read_standings(fact: &[u8]) -> io::Result<Standings> {
    let mut from = Reader::versioned(fact)?;
    let standings = from.standings()?;
    from.end()?;
    Ok(standings)
}
