//! Records what the machines of the agent, of the vip process and of the coordinator are fed and what they decide,
//! for `outlast replay`.
//!
//! Each of them has a ring of files in one folder, the oldest is removed first. A thread of its own
//! writes: a disk that is slow or full costs beats and adverts no time. What it cannot take is given up, and the next file begins
//! with the whole machine again, so every file can be played by itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use engine::replay::{Head, Names, Recorder};

/// In the state folder.
const FOLDER: &str = "record";
/// Of what the recordings of one process may take, one file has an eighth: so much is lost when the oldest goes.
const SHARE: u64 = 8;
/// Processes that end again and again leave short files: so many are kept at most.
const MOST_FILES: usize = 64;
/// A file that is being begun, then the number of its process; what a process that was killed then has
/// left is removed by the next.
const NEXT: &str = "next-";
/// What is written at once (bytes): a page of the disk.
const BLOCK: usize = 4096;
/// A quarter of what a detection takes by default.
const BLOCK_EVERY: Duration = Duration::from_millis(250);
/// Memory of the writing thread (bytes): it calls nothing that is deep.
const STACK: usize = 64 * 1024;
/// A disk that hangs holds up the end of a process no longer than this.
const CLOSE: Duration = Duration::from_millis(500);
/// A disk that took nothing is tried again after this.
const RETRY: Duration = Duration::from_secs(10);

/// Whose machines are recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    Member,
    Vips,
    Coordinator,
    Gossip,
}

impl Whose {
    /// How names of files begin.
    const fn name(self) -> &'static str {
        match self {
            Self::Member => "member-",
            Self::Vips => "vip-",
            Self::Coordinator => "coordinator-",
            Self::Gossip => "gossip-",
        }
    }

    /// What its files may take of `all` bytes: adverts and hellos are fewer than beats, and commands rare.
    const fn share(self, all: u64) -> u64 {
        match self {
            Self::Member => all - all / 4 - all / 8,
            Self::Vips => all / 4,
            Self::Coordinator | Self::Gossip => all / 16,
        }
    }

    /// What a killed process takes along at most; a coordinator is told little, and each of it matters.
    const fn block_every(self) -> Duration {
        match self {
            Self::Member | Self::Vips | Self::Gossip => BLOCK_EVERY,
            Self::Coordinator => Duration::ZERO,
        }
    }

    /// Blocks that may wait for a slow disk: a minute of a node at rest, 1 MB at most; of the vip process,
    /// whose memory is small, an eighth of that.
    const fn waiting(self) -> usize {
        match self {
            Self::Member | Self::Gossip => 256,
            Self::Vips | Self::Coordinator => 32,
        }
    }
}

/// Files that may be on their way to the disk at once.
const BEGUN: usize = 2;
/// What one step may add to a block (bytes).
const STEP: usize = 2048;

/// What the thread is to write; it gives the memory back.
#[derive(Debug)]
enum Piece {
    /// A new file, named by the wall clock.
    Begin {
        wall_ms: u64,
        bytes: Vec<u8>,
    },
    More(Vec<u8>),
}

/// Why nothing is recorded now, if so; for everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    why: Arc<Mutex<Option<String>>>,
    /// The present file takes nothing more, which the recording end does not know yet.
    is_new: Arc<AtomicBool>,
}

impl Trouble {
    fn text(&self) -> MutexGuard<'_, Option<String>> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For `status`.
    pub(crate) fn limit(&self) -> Option<String> {
        self.text().as_ref().map(|why| format!("membership is not recorded: {why}"))
    }

    /// Why, if that can be had without waiting for the writing thread.
    fn glance(&self) -> Option<Option<String>> {
        match self.why.try_lock() {
            Ok(why) => Some(why.clone()),
            Err(TryLockError::Poisoned(why)) => Some(why.into_inner().clone()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// The recording end; in the loop of its process.
#[derive(Debug)]
pub(crate) struct Record {
    whose: Whose,
    node: String,
    names: Names,
    /// One file is full after so many bytes.
    full: u64,
    queue: SyncSender<Piece>,
    /// Memory for blocks, and for what a file begins with, which came back.
    blocks: Receiver<Vec<u8>>,
    begins: Receiver<Vec<u8>>,
    /// The ways by which they come.
    back: Back,
    trouble: Trouble,
    /// As it was told last.
    told: Option<String>,
    /// None: the next step begins a file, from `again_at` on.
    recorder: Option<Recorder>,
    /// That of the file before.
    former: Option<Recorder>,
    size: u64,
    block_at: Time,
    again_at: Time,
    /// Nothing comes; it ends with the writing thread.
    written: Receiver<()>,
}

impl Record {
    /// None: the file says that nothing is recorded, or no thread can be had, which `trouble` says then.
    pub(crate) fn start(
        whose: Whose,
        state_dir: &Path,
        node: &str,
        cluster: &Cluster,
        instances: Vec<String>,
        trouble: Trouble,
    ) -> Option<Self> {
        let limit = whose.share(cluster.record_mb << 20);
        if limit == 0 {
            return None;
        }
        let (queue, pieces) = sync_channel(whose.waiting());
        // As many as the queue takes, one that is written, and one that is made.
        let (blocks_back, blocks) = sync_channel(whose.waiting() + 2);
        let (begins_back, begins) = sync_channel(BEGUN);
        if whose == Whose::Vips {
            let block = || Vec::with_capacity(BLOCK + STEP);
            (0..whose.waiting() + 2).for_each(|_| drop(blocks_back.try_send(block())));
        }
        let back = Back { blocks: blocks_back, begins: begins_back };
        let (end, written) = sync_channel(1);
        let folder = state_dir.join(FOLDER);
        let mut files = Files {
            whose,
            folder,
            limit,
            file: None,
            trouble: trouble.clone(),
            back: back.clone(),
        };
        let thread = std::thread::Builder::new().name("record".to_owned()).stack_size(STACK);
        let writer = thread.spawn(move || {
            files.run(&pieces);
            drop(end);
        });
        let _unwatched = writer.map_err(|error| *trouble.text() = Some(error.to_string())).ok()?;
        let nodes = match whose {
            Whose::Gossip => cluster.nodes.as_slice(),
            Whose::Member | Whose::Vips | Whose::Coordinator => cluster.controllers(),
        };
        let names = Names {
            nodes: nodes.iter().map(|node| node.name.clone()).collect(),
            networks: cluster.networks.clone(),
            instances,
        };
        Some(Self {
            whose,
            node: node.to_owned(),
            names,
            full: limit / SHARE,
            queue,
            blocks,
            begins,
            back,
            trouble,
            told: None,
            recorder: None,
            former: None,
            size: 0,
            block_at: Time::ZERO,
            again_at: Time::ZERO,
            written,
        })
    }

    /// To be called before each step: begins a file where there is none.
    pub(crate) fn before(&mut self, now: Time, begin: impl FnOnce(Head) -> (Recorder, Vec<u8>)) {
        if self.has_to_begin(now) {
            let wall_ms = sys::clock::wall_ms();
            let (recorder, bytes) = begin(self.head(wall_ms, now));
            self.begin(now, wall_ms, recorder, bytes);
        }
    }

    /// The same of one that asks for no memory after its first file: `again` goes on with the recorder of the file before. A disk that
    /// has not written what the last two began with is not waited for.
    pub(crate) fn before_again(
        &mut self,
        now: Time,
        begin: impl FnOnce(Head) -> (Recorder, Vec<u8>),
        again: impl FnOnce(&mut Recorder, (u64, Time), &mut Vec<u8>),
    ) {
        if !self.has_to_begin(now) {
            return;
        }
        let wall_ms = sys::clock::wall_ms();
        let Some(mut recorder) = self.former.take() else {
            let (recorder, bytes) = begin(self.head(wall_ms, now));
            let room = bytes.len() * 2;
            (1..BEGUN).for_each(|_| self.back.begins(Vec::with_capacity(room)));
            let mut first = Vec::with_capacity(room);
            first.extend_from_slice(&bytes);
            return self.begin(now, wall_ms, recorder, first);
        };
        if let Ok(mut bytes) = self.begins.try_recv() {
            again(&mut recorder, (wall_ms, now), &mut bytes);
            self.begin(now, wall_ms, recorder, bytes);
        } else {
            self.former = Some(recorder);
        }
    }

    fn has_to_begin(&mut self, now: Time) -> bool {
        if self.trouble.is_new.swap(false, Ordering::Relaxed) {
            self.give_up(now);
        }
        self.recorder.is_none() && now >= self.again_at
    }

    fn head(&self, wall_ms: u64, now: Time) -> Head {
        Head::new(env!("CARGO_PKG_VERSION"), &self.node, self.names.clone(), wall_ms, now)
    }

    fn begin(&mut self, now: Time, wall_ms: u64, recorder: Recorder, bytes: Vec<u8>) {
        self.size = bytes.len() as u64;
        self.block_at = now + self.whose.block_every();
        self.recorder = Some(recorder);
        self.send(now, Piece::Begin { wall_ms, bytes });
    }

    /// To be called after it.
    pub(crate) fn after(&mut self, now: Time, note: impl FnOnce(&mut Recorder)) {
        let Some(recorder) = &mut self.recorder else { return };
        note(recorder);
        if recorder.waiting() < BLOCK && now < self.block_at {
            return;
        }
        let Some(mut block) = self.spare_block() else { return self.give_up(now) };
        if let Some(recorder) = &mut self.recorder {
            recorder.block_into(&mut block);
        }
        self.block_at = now + self.whose.block_every();
        self.size += block.len() as u64;
        let is_full = self.size >= self.full;
        self.send(now, Piece::More(block));
        if is_full {
            self.former = self.recorder.take();
        }
    }

    /// None: all are on their way, and the queue takes no more.
    fn spare_block(&self) -> Option<Vec<u8>> {
        let back = self.blocks.try_recv().ok();
        back.or_else(|| (self.whose != Whose::Vips).then(Vec::new))
    }

    /// What was noted longer ago than a block takes goes to the disk; for who is fed seldom.
    pub(crate) fn due(&mut self, now: Time) {
        let waits = self.recorder.as_ref().is_some_and(|recorder| recorder.waiting() > 0);
        if waits && now >= self.block_at {
            self.after(now, |_| {});
        }
    }

    /// Why nothing is recorded any more, or (inner none) that it is again; each once.
    pub(crate) fn news(&mut self) -> Option<Option<String>> {
        let why = self.trouble.glance().filter(|why| *why != self.told)?;
        self.told.clone_from(&why);
        Some(why)
    }

    /// What was noted is on its way to the disk when this returns, unless the disk hangs.
    pub(crate) fn close(mut self) {
        if let Some(recorder) = &mut self.recorder {
            let block = recorder.block();
            let _ = self.queue.try_send(Piece::More(block));
        }
        drop(self.queue);
        let _ended = self.written.recv_timeout(CLOSE);
    }

    fn send(&mut self, now: Time, piece: Piece) {
        let Err(unsent) = self.queue.try_send(piece) else { return };
        let (TrySendError::Full(piece) | TrySendError::Disconnected(piece)) = unsent;
        self.back.take(piece);
        self.give_up(now);
    }

    fn give_up(&mut self, now: Time) {
        self.former = self.recorder.take().or_else(|| self.former.take());
        self.again_at = now + RETRY;
    }
}

/// The writing end.
#[derive(Debug)]
struct Files {
    whose: Whose,
    folder: PathBuf,
    /// All files together (bytes).
    limit: u64,
    file: Option<File>,
    trouble: Trouble,
    back: Back,
}

/// Memory that was written, or could not be sent, on its way back. What is too much is not kept.
#[derive(Clone, Debug)]
struct Back {
    blocks: SyncSender<Vec<u8>>,
    begins: SyncSender<Vec<u8>>,
}

impl Back {
    fn take(&self, piece: Piece) {
        match piece {
            Piece::Begin { bytes, .. } => self.begins(bytes),
            Piece::More(bytes) => drop(self.blocks.try_send(bytes)),
        }
    }

    fn begins(&self, bytes: Vec<u8>) {
        drop(self.begins.try_send(bytes));
    }
}

impl Files {
    fn run(&mut self, pieces: &Receiver<Piece>) {
        while let Ok(piece) = pieces.recv() {
            let written = match &piece {
                Piece::Begin { wall_ms, bytes } => Some(self.begin(*wall_ms, bytes)),
                // Of a file that was given up nothing is written.
                Piece::More(bytes) => self.file.as_mut().map(|file| file.write_all(bytes)),
            };
            self.back.take(piece);
            let Some(written) = written else { continue };
            *self.trouble.text() = written.err().map(|error| {
                self.file = None;
                self.trouble.is_new.store(true, Ordering::Relaxed);
                format!("{}: {error}", self.folder.display())
            });
        }
    }

    fn begin(&mut self, wall_ms: u64, bytes: &[u8]) -> io::Result<()> {
        self.file = None;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.make_room()?;
        // Nobody finds a file whose first block is not whole, and of two processes that follow each other in
        // a reload each has one of its own.
        let next = self.folder.join(format!("{NEXT}{}", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        let named = file.write_all(bytes).and_then(|()| self.name(&next, wall_ms));
        let removed = fs::remove_file(&next);
        named.and(removed)?;
        self.file = Some(file);
        Ok(())
    }

    /// The clock may have been set back: what is there already is not written over.
    fn name(&self, next: &Path, wall_ms: u64) -> io::Result<()> {
        let link = |number: u64| {
            let name = format!("{}{number:013}.rec", self.whose.name());
            let linked = fs::hard_link(next, self.folder.join(name));
            let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
            if linked.as_ref().is_err_and(is_taken) { None } else { Some(linked) }
        };
        let linked = (wall_ms..wall_ms.saturating_add(MOST_FILES as u64 + 1)).find_map(link);
        linked.unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
    }

    /// Removes the oldest files until one more fits.
    fn make_room(&self) -> io::Result<()> {
        let mut files = vec![];
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(process) = name.strip_prefix(NEXT) {
                // Of two processes that follow each other in a reload both live.
                if !Path::new("/proc").join(process).exists() {
                    removed(&entry.path())?;
                }
            } else if name.starts_with(self.whose.name()) && name.ends_with(".rec") {
                match entry.metadata() {
                    Ok(known) => files.push((entry.path(), known.len())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        files.sort();
        let mut size: u64 = files.iter().map(|(_, size)| size).sum();
        let room = self.limit - self.limit / SHARE;
        let mut left = files.len();
        for (path, bytes) in files {
            if size <= room && left < MOST_FILES {
                break;
            }
            removed(&path)?;
            (size, left) = (size - bytes, left - 1);
        }
        Ok(())
    }
}

/// Another recorder of this folder may have been faster.
fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
