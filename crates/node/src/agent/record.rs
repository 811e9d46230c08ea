//! Records what the membership machine is fed and what it decides, for `outlast replay`.
//!
//! A ring of files in a folder of its own, the oldest is removed first. A thread of its own writes: a disk
//! that is slow or full costs the beats no time. What it cannot take is given up, and the next file begins
//! with the whole machine again, so every file can be played by itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use engine::Buffer;
use engine::member::{Action, Input, Member};
use engine::replay::{Head, Names, Recorder};

/// In the state folder.
pub(super) const FOLDER: &str = "record";
/// Of what recordings may take, one file has an eighth: so much is lost when the oldest goes.
const SHARE: u64 = 8;
/// Agents that end again and again leave short files: so many are kept at most.
const MOST_FILES: usize = 64;
/// A file that is being begun, then the number of its process; what an agent that was killed then has
/// left is removed by the next.
const NEXT: &str = "next-";
/// What is written at once (bytes): a page of the disk.
const BLOCK: usize = 4096;
/// What a killed agent takes along at most: a quarter of what a detection takes by default.
const BLOCK_EVERY: Duration = Duration::from_millis(250);
/// Blocks that may wait for a slow disk: a minute of a node at rest, 1 MB at most.
const WAITING: usize = 256;
/// A disk that took nothing is tried again after this.
const RETRY: Duration = Duration::from_secs(10);

/// What the thread is to write.
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
pub(super) struct Trouble {
    why: Arc<Mutex<Option<String>>>,
    /// The present file takes nothing more, which the recording end does not know yet.
    is_new: Arc<AtomicBool>,
}

impl Trouble {
    fn text(&self) -> MutexGuard<'_, Option<String>> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For `status`.
    pub(super) fn limit(&self) -> Option<String> {
        self.text().as_ref().map(|why| format!("membership is not recorded: {why}"))
    }
}

/// The recording end; in the agent's loop.
#[derive(Debug)]
pub(super) struct Record {
    node: String,
    names: Names,
    /// One file is full after so many bytes.
    full: u64,
    queue: SyncSender<Piece>,
    trouble: Trouble,
    /// None: the next step begins a file, from `again_at` on.
    recorder: Option<Recorder>,
    size: u64,
    block_at: Time,
    again_at: Time,
    writer: JoinHandle<()>,
}

impl Record {
    /// None: the file says that nothing is recorded, or no thread can be had, which `trouble` says then.
    pub(super) fn start(
        state_dir: &Path,
        node: &str,
        cluster: &Cluster,
        trouble: Trouble,
    ) -> Option<Self> {
        let limit = cluster.record_mb << 20;
        if limit == 0 {
            return None;
        }
        let (queue, pieces) = sync_channel(WAITING);
        let folder = state_dir.join(FOLDER);
        let mut files = Files { folder, limit, file: None, trouble: trouble.clone() };
        let thread = std::thread::Builder::new().name("record".to_owned());
        let writer = thread.spawn(move || files.run(&pieces));
        let writer = writer.map_err(|error| *trouble.text() = Some(error.to_string())).ok()?;
        let names = Names {
            nodes: cluster.controllers().iter().map(|node| node.name.clone()).collect(),
            networks: cluster.networks.clone(),
        };
        Some(Self {
            node: node.to_owned(),
            names,
            full: limit / SHARE,
            queue,
            trouble,
            recorder: None,
            size: 0,
            block_at: Time::ZERO,
            again_at: Time::ZERO,
            writer,
        })
    }

    /// To be called before each step: begins a file where there is none.
    pub(super) fn before(&mut self, now: Time, member: &Member) {
        if self.trouble.is_new.swap(false, Ordering::Relaxed) {
            self.give_up(now);
        }
        if self.recorder.is_some() || now < self.again_at {
            return;
        }
        let wall_ms = sys::clock::wall_ms();
        let version = env!("CARGO_PKG_VERSION");
        let head = Head::new(version, &self.node, self.names.clone(), wall_ms, now);
        let (recorder, bytes) = Recorder::begin(head, member);
        self.size = bytes.len() as u64;
        self.block_at = now + BLOCK_EVERY;
        self.recorder = Some(recorder);
        self.send(now, Piece::Begin { wall_ms, bytes });
    }

    /// To be called after it.
    pub(super) fn after(&mut self, now: Time, input: &Input<'_>, out: &Buffer<Action>) {
        let Some(recorder) = &mut self.recorder else { return };
        recorder.note(now, input, out);
        if recorder.waiting() < BLOCK && now < self.block_at {
            return;
        }
        let block = recorder.block();
        self.block_at = now + BLOCK_EVERY;
        self.size += block.len() as u64;
        let is_full = self.size >= self.full;
        self.send(now, Piece::More(block));
        if is_full {
            self.recorder = None;
        }
    }

    /// What was noted is on its way to the disk when this returns.
    pub(super) fn close(mut self) {
        if let Some(recorder) = &mut self.recorder {
            let block = recorder.block();
            let _ = self.queue.try_send(Piece::More(block));
        }
        drop(self.queue);
        let _ = self.writer.join();
    }

    fn send(&mut self, now: Time, piece: Piece) {
        if self.queue.try_send(piece).is_err() {
            self.give_up(now);
        }
    }

    fn give_up(&mut self, now: Time) {
        self.recorder = None;
        self.again_at = now + RETRY;
    }
}

/// The writing end.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    /// All files together (bytes).
    limit: u64,
    file: Option<File>,
    trouble: Trouble,
}

impl Files {
    fn run(&mut self, pieces: &Receiver<Piece>) {
        while let Ok(piece) = pieces.recv() {
            let written = match piece {
                Piece::Begin { wall_ms, bytes } => self.begin(wall_ms, &bytes),
                Piece::More(bytes) => match &mut self.file {
                    Some(file) => file.write_all(&bytes),
                    // Of a file that was given up.
                    None => continue,
                },
            };
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
        // Nobody finds a file whose first block is not whole, and of two agents that follow each other in
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
            let linked = fs::hard_link(next, self.folder.join(format!("member-{number:013}.rec")));
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
                // Of two agents that follow each other in a reload both live.
                if !Path::new("/proc").join(process).exists() {
                    fs::remove_file(entry.path())?;
                }
            } else if name.starts_with("member-") && name.ends_with(".rec") {
                files.push((entry.path(), entry.metadata()?.len()));
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
            fs::remove_file(path)?;
            (size, left) = (size - bytes, left - 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use engine::packet::Seal;
    use engine::replay::{End, Recording};

    use super::*;

    fn cluster(record_mb: u64) -> Cluster {
        let text = format!(
            "[cluster]\nname = \"cloud\"\nsecret_file = \"/etc/secret\"\nrecord_mb = {record_mb}\n\
             [node.node01]\nnetworks = {{ management = \"10.79.0.41\" }}\n\
             [node.node02]\nnetworks = {{ management = \"10.79.0.42\" }}\n"
        );
        let source = config::Source { path: "outlast.toml".into(), text };
        config::cluster::parse(&source, 0).0.unwrap()
    }

    fn folder(name: &str) -> PathBuf {
        let name = format!("outlast-record-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.join(FOLDER)).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// A member at rest, its timer so many times.
    fn run(record: &mut Record, cluster: &Cluster, from: u64, steps: u64) {
        go_on(record, &mut member(cluster, from), from, steps);
    }

    fn at(step: u64) -> Time {
        Time::ZERO + Duration::from_millis(100 * step)
    }

    fn member(cluster: &Cluster, from: u64) -> Member {
        let seal = Seal::shared(&[7; 32], "cloud", 2, 0, 1);
        Member::new(cluster, 0, seal, at(from))
    }

    fn go_on(record: &mut Record, member: &mut Member, from: u64, steps: u64) {
        for step in from..from + steps {
            let mut out = Buffer::new();
            record.before(at(step), member);
            member.step(at(step), Input::Timeout, &mut out);
            record.after(at(step), &Input::Timeout, &out);
        }
    }

    /// Until the newest file has so many bytes: all that was sent is written.
    fn wait_for(folder: &Path, size: u64) {
        let deadline = sys::clock::now() + Duration::from_secs(30);
        let newest = || {
            let entries = fs::read_dir(folder.join(FOLDER)).ok()?;
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            let path = paths.filter(|path| path.extension().is_some()).max()?;
            Some(fs::metadata(path).ok()?.len())
        };
        while newest() != Some(size) {
            assert!(sys::clock::now() < deadline, "it is not written: {:?} of {size}", newest());
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_a_killed_agent_has_left_is_removed_and_that_of_a_living_one_is_not() {
        let folder = folder("left");
        let own = folder.join(FOLDER);
        fs::create_dir_all(&own).unwrap();
        // No process has a number beyond 2^22.
        let (living, killed) = (own.join("next-1"), own.join("next-5000000"));
        for path in [&living, &killed] {
            fs::write(path, "begun").unwrap();
        }
        let trouble = Trouble::default();
        let mut files = Files { folder: own, limit: 80_000, file: None, trouble };
        files.begin(1, b"whole").unwrap();
        assert!(living.exists() && !killed.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_never_take_more_than_they_may_and_each_can_be_played() {
        let (folder, cluster, trouble) = (folder("ring"), cluster(1), Trouble::default());
        let mut record = Record::start(&folder, "node01", &cluster, trouble.clone()).unwrap();
        record.full = 20_000;
        // Blocks that wait are fewer than the queue takes, however slow the disk is.
        for round in (0..4000).step_by(1000) {
            let mut member = member(&cluster, round);
            for part in (round..round + 1000).step_by(100) {
                go_on(&mut record, &mut member, part, 100);
                wait_for(&folder, record.size);
            }
            record.recorder = None;
        }
        record.close();
        let files = files(&folder);
        assert!(files.len() > 3, "{}", files.len());
        for path in &files {
            let bytes = fs::read(path).unwrap();
            assert!(bytes.len() < 30_000, "{}", bytes.len());
            let recording = Recording::open(&bytes).unwrap();
            let mut play = recording.play().unwrap();
            assert!(play.by_ref().all(|step| step.is_same()));
            assert_eq!(play.end(), End::Whole);
        }
        assert_eq!(trouble.limit(), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_oldest_files_go_first() {
        let folder = folder("oldest");
        let limit = 80_000;
        let trouble = Trouble::default();
        let mut files =
            Files { folder: folder.join(FOLDER), limit, file: None, trouble: trouble.clone() };
        for number in 0..20 {
            files.begin(number, &vec![0; 10_000]).unwrap();
        }
        let kept = self::files(&folder);
        assert_eq!(kept.len(), 8, "{kept:?}");
        assert!(kept[0].ends_with("record/member-0000000000012.rec"), "{kept:?}");
        for _ in 0..100 {
            files.begin(19, &[0]).unwrap();
        }
        assert!(self::files(&folder).len() <= MOST_FILES);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told_and_tried_again() {
        let (folder, cluster, trouble) = (folder("full"), cluster(1), Trouble::default());
        // A file in the way is a disk that takes nothing, and can be mended.
        fs::write(&folder, "in the way").unwrap();
        let mut record = Record::start(&folder, "node01", &cluster, trouble.clone()).unwrap();
        run(&mut record, &cluster, 0, 1);
        let deadline = sys::clock::now() + Duration::from_secs(30);
        while trouble.limit().is_none() {
            assert!(sys::clock::now() < deadline, "nobody says that it cannot be written");
            std::thread::yield_now();
        }
        run(&mut record, &cluster, 1, 10);
        assert!(record.recorder.is_none(), "given up");
        fs::remove_file(&folder).unwrap();
        run(&mut record, &cluster, 500, 10);
        record.close();
        assert_eq!(trouble.limit(), None);
        assert_eq!(files(&folder).len(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_is_recorded_where_the_file_says_so() {
        let (folder, trouble) = (folder("none"), Trouble::default());
        assert!(Record::start(&folder, "node01", &cluster(0), trouble).is_none());
        assert!(!folder.exists());
    }
}
