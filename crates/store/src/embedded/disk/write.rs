//! The thread that writes: one transaction and one fsync for everything that waits.

use std::io;
use std::sync::{Arc, Mutex, mpsc};

use openraft::storage::LogFlushed;
use redb::{Database, Table};
use tokio::sync::{oneshot, watch};

use super::owner::Incarnation;
use super::{COMMITTED, FACTS, IMAGE, Job, LOG, META, PURGED, STANDINGS, State, VOTE, lock};
use crate::bytes::Writer;
use crate::embedded::standing::Standing;
use crate::embedded::types::{LogId, Types, Vote};
use crate::embedded::witness::Witness;

/// Jobs of one transaction; what comes later waits one fsync.
const MAX_JOBS: usize = 256;

/// Who is told when the transaction is on disk.
enum Waiting {
    Nobody,
    Log(LogFlushed<Types>),
    Other(oneshot::Sender<io::Result<()>>),
}

/// What the thread has.
pub(super) struct Writing {
    pub(super) database: Arc<Database>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) witness: Option<Witness>,
    /// What the disk promises as it is.
    pub(super) kept: Standing,
    /// Hears of the last entry on disk.
    pub(super) flushed: watch::Sender<Option<LogId>>,
}

impl Writing {
    /// Ends when nobody holds the other end, and at the first error: what may or may not be on disk is
    /// for the next start to find out.
    pub(super) fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let (mut batch, mut waiting, mut closed) = (vec![], vec![], None);
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match split(job) {
                    Split::Work(work, told) => {
                        batch.push(work);
                        waiting.push(told);
                    }
                    Split::Close(done) => {
                        closed = Some(done);
                        break;
                    }
                }
                if batch.len() < MAX_JOBS {
                    next = jobs.try_recv().ok();
                }
            }
            let result = if batch.is_empty() { Ok(()) } else { self.write(batch) };
            if let Err(error) = &result {
                lock(&self.state).failed = Some(base::Chain(error).to_string());
            }
            for waiting in waiting {
                // An error has no copy; its text is what operators read.
                let result = match &result {
                    Ok(()) => Ok(()),
                    Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                };
                match waiting {
                    Waiting::Nobody => {}
                    Waiting::Log(flushed) => flushed.log_io_completed(result),
                    // Who no longer waits need not know.
                    Waiting::Other(done) => drop(done.send(result)),
                }
            }
            if let Some(closed) = closed {
                drop(self);
                drop(closed.send(Ok(())));
                return;
            }
            if result.is_err() {
                return;
            }
            lock(&self.state).trim();
        }
    }

    fn write(&mut self, works: Vec<Work>) -> io::Result<()> {
        for work in &works {
            work.promise(&mut self.kept);
        }
        write(&self.database, &self.state, works).map_err(io::Error::other)?;
        if let Some(witness) = &self.witness {
            let (promised, part) = self.promised();
            witness.note(&promised, part)?;
        }
        self.flushed.send_replace(self.kept.log);
        Ok(())
    }
}

impl Writing {
    /// What this node has promised by now, and in which store.
    fn promised(&self) -> (Standing, Option<Incarnation>) {
        let (mut promised, mut state) = (self.kept, lock(&self.state));
        if state.owes.exceeds(&promised) {
            promised.raise(&state.owes);
        } else {
            // What is taken away after that is taken away by a leader.
            state.owes = Standing::default();
        }
        (promised, state.incarnation)
    }
}

fn write(database: &Database, state: &Mutex<State>, works: Vec<Work>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        // Facts are pages of their own: appending alone does not touch them.
        let touches = works.iter().any(Work::touches_facts);
        let mut facts = touches.then(|| transaction.open_table(FACTS)).transpose()?;
        let mut log = transaction.open_table(LOG)?;
        for work in works {
            work.perform(facts.as_mut(), &mut log)?;
        }
        if let Some(facts) = &mut facts {
            loose(state, facts)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// A job without the one who waits for it.
enum Work {
    Append(Vec<(LogId, Vec<u8>)>),
    Vote(Vote),
    Truncate(u64, Option<LogId>),
    Purge(LogId),
    Snapshot(Vec<u8>, Arc<[u8]>),
    Nothing,
}

enum Split {
    Work(Work, Waiting),
    Close(oneshot::Sender<io::Result<()>>),
}

fn split(job: Job) -> Split {
    let (work, waiting) = match job {
        Job::Append(rows, flushed) => {
            (Work::Append(rows), flushed.map_or(Waiting::Nobody, Waiting::Log))
        }
        Job::Vote(vote, done) => (Work::Vote(vote), Waiting::Other(done)),
        Job::Truncate(from, last, done) => (Work::Truncate(from, last), Waiting::Other(done)),
        Job::Purge(upto, done) => (Work::Purge(upto), Waiting::Other(done)),
        Job::Snapshot(snapshot, done) => {
            let mut out = Writer::versioned();
            out.meta(&snapshot.0);
            (Work::Snapshot(out.0, snapshot.1.0), Waiting::Other(done))
        }
        Job::Facts(done) => (Work::Nothing, Waiting::Other(done)),
        Job::Close(done) => return Split::Close(done),
    };
    Split::Work(work, waiting)
}

impl Work {
    /// What the disk promises when this is on it.
    fn promise(&self, kept: &mut Standing) {
        match self {
            Self::Append(rows) => kept.log = rows.last().map(|(id, _)| *id).or(kept.log),
            Self::Vote(vote) => kept.vote = *vote,
            Self::Truncate(_, last) => kept.log = *last,
            Self::Purge(upto) => kept.log = kept.log.max(Some(*upto)),
            Self::Snapshot(..) | Self::Nothing => {}
        }
    }

    const fn touches_facts(&self) -> bool {
        match self {
            Self::Append(_) | Self::Truncate(..) => false,
            Self::Vote(_) | Self::Purge(_) | Self::Snapshot(..) | Self::Nothing => true,
        }
    }

    fn perform(
        self,
        mut facts: Option<&mut Table<'_, &str, &[u8]>>,
        log: &mut Table<'_, u64, &[u8]>,
    ) -> Result<(), redb::Error> {
        let mut fact = |name: &str, value: &[u8]| -> Result<(), redb::Error> {
            let facts = facts.as_mut().expect("`touches_facts` names whatever writes one");
            facts.insert(name, value)?;
            Ok(())
        };
        match self {
            Self::Append(rows) => {
                for (id, row) in rows {
                    log.insert(id.index, row.as_slice())?;
                }
            }
            Self::Vote(vote) => {
                let mut out = Writer::versioned();
                out.vote(vote);
                fact(VOTE, &out.0)?;
            }
            Self::Truncate(from, _) => log.retain_in(from.., |_, _| false)?,
            Self::Purge(upto) => {
                log.retain_in(..=upto.index, |_, _| false)?;
                let mut out = Writer::versioned();
                out.log_id(upto);
                fact(PURGED, &out.0)?;
            }
            Self::Snapshot(meta, image) => {
                fact(META, &meta)?;
                fact(IMAGE, &image)?;
            }
            Self::Nothing => {}
        }
        Ok(())
    }
}

fn loose(state: &Mutex<State>, facts: &mut Table<'_, &str, &[u8]>) -> Result<(), redb::Error> {
    let (committed, standings) = {
        let mut state = lock(state);
        if !std::mem::take(&mut state.loose) {
            return Ok(());
        }
        (state.committed, state.standings.clone())
    };
    if let Some(committed) = committed {
        let mut out = Writer::versioned();
        out.log_id(committed);
        facts.insert(COMMITTED, out.0.as_slice())?;
    }
    let mut out = Writer::versioned();
    out.standings(&standings);
    facts.insert(STANDINGS, out.0.as_slice())?;
    Ok(())
}
