//! The event log: on disk, bounded, and never in the way of a decision.
//!
//! A thread of its own writes, so a stalled disk costs lines (counted, and said so later), not time.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Event;

/// Where the log is, in the state folder.
pub(crate) const FILE: &str = "events.jsonl";
/// The one before it.
const OLDER: &str = "events.1.jsonl";
/// Two files of this size: about 30,000 events, a year of a quiet cloud (bytes).
const MAX_FILE: u64 = 4 << 20;
/// Events kept in memory, for `events` and its followers.
const KEPT: usize = 2048;
/// Lines that may wait for a slow disk before lines are lost.
const WAITING: usize = 1024;

/// What has happened on this node.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    /// None: memory only.
    lines: Option<SyncSender<Vec<u8>>>,
    /// Lines that a slow disk cost since the last one that was written.
    lost: u64,
    node: String,
    writer: Option<std::thread::JoinHandle<()>>,
}

/// The part that threads serving the control socket read.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    events: Mutex<VecDeque<Event>>,
    grown: Condvar,
}

impl Shared {
    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events after number `after`; waits up to `patience` for the first.
    pub(crate) fn after(&self, after: u64, patience: Duration) -> Vec<Event> {
        let events = self.events();
        let none =
            |events: &mut VecDeque<Event>| events.back().is_none_or(|last| last.seq <= after);
        let (events, _) = self
            .grown
            .wait_timeout_while(events, patience, none)
            .unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event.seq > after).cloned().collect()
    }
}

impl Journal {
    /// Goes on where the log in `folder` ends.
    pub(crate) fn open(folder: &Path, node: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let kept = read_back(folder);
        let (lines, queue) = sync_channel(WAITING);
        let file = Lines::open(folder)?;
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(file, &queue))?;
        let shared = Arc::new(Shared { events: Mutex::new(kept), grown: Condvar::new() });
        let lines = Some(lines);
        Ok(Self { shared, lines, lost: 0, node: node.to_owned(), writer: Some(writer) })
    }

    /// Keeps events in memory only, for a node whose disk takes nothing: its beats matter more.
    pub(crate) fn without_disk(node: &str) -> Self {
        let shared = Arc::new(Shared::default());
        Self { shared, lines: None, lost: 0, node: node.to_owned(), writer: None }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Numbers and keeps one event.
    pub(crate) fn add(&mut self, mut event: Event) {
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.keep(Event {
                what: "events-lost".to_owned(),
                object: format!("node/{}", self.node),
                evidence: format!("the disk did not take {lost} lines in time"),
                decision: "go on without them: deciding must not wait for a disk".to_owned(),
                ..Event::default()
            });
        }
        if event.node.is_empty() {
            event.node.clone_from(&self.node);
        }
        self.keep(event);
    }

    fn keep(&mut self, mut event: Event) {
        let mut events = self.shared.events();
        event.seq = events.back().map_or(1, |last| last.seq.saturating_add(1));
        if event.at_ms == 0 {
            event.at_ms = sys::clock::wall_ms();
        }
        let mut line = vec![];
        api::encode(&event, &mut line);
        line.push(b'\n');
        if let Some(lines) = &self.lines
            && let Err(TrySendError::Full(_)) = lines.try_send(line)
        {
            self.lost += 1;
        }
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back(event);
        drop(events);
        self.shared.grown.notify_all();
    }

    /// Waits until everything is with the kernel.
    pub(crate) fn close(mut self) {
        // The end of the channel ends the writer.
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            // A panicked writer has already said so on stderr.
            let _ = writer.join();
        }
    }
}

/// Events of both files of `folder`, oldest first, at most [`KEPT`]; lines that cannot be read are
/// skipped: a log cut short by a power loss must not keep a node down.
pub(crate) fn read_back(folder: &Path) -> VecDeque<Event> {
    let mut kept = VecDeque::with_capacity(KEPT);
    for name in [OLDER, FILE] {
        let Ok(file) = File::open(folder.join(name)) else { continue };
        // A file that something else has written into does not fill the memory.
        for event in api::events(BufReader::new(file.take(2 * MAX_FILE))) {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(event);
        }
    }
    kept
}

fn write_all(mut file: Lines, queue: &Receiver<Vec<u8>>) {
    let mut failing = false;
    while let Ok(line) = queue.recv() {
        match file.write(&line) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                eprintln!("outlast agent: cannot write {}: {error}", file.path.display());
            }
            Err(_) => {}
        }
    }
}

#[derive(Debug)]
struct Lines {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    size: u64,
}

impl Lines {
    fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { folder: folder.to_owned(), path, file, size })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size + line.len() as u64 > MAX_FILE {
            std::fs::rename(&self.path, self.folder.join(OLDER))?;
            *self = Self::open(&self.folder)?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: &str) -> Event {
        Event { what: what.to_owned(), ..Event::default() }
    }

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("outlast-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn numbers_go_on_after_a_restart_and_a_torn_line() {
        let folder = folder("restart");
        let mut journal = Journal::open(&folder, "node01").unwrap();
        journal.add(event("a"));
        journal.add(event("b"));
        journal.close();
        let path = folder.join(FILE);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"v\":1,\"msg\":{\"seq\":");
        text.push(b'\n');
        std::fs::write(&path, text).unwrap();

        let mut journal = Journal::open(&folder, "node01").unwrap();
        journal.add(event("c"));
        let events = journal.shared().after(0, Duration::ZERO);
        let seen: Vec<_> = events.iter().map(|event| (event.seq, event.what.as_str())).collect();
        assert_eq!(seen, [(1, "a"), (2, "b"), (3, "c")]);
        journal.close();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_a_disk_events_are_kept_in_memory() {
        let mut journal = Journal::without_disk("node01");
        journal.add(event("a"));
        assert_eq!(journal.shared().after(0, Duration::ZERO)[0].seq, 1);
        journal.close();
    }

    #[test]
    fn the_log_never_outgrows_two_files() {
        let folder = folder("bound");
        let mut lines = {
            std::fs::create_dir_all(&folder).unwrap();
            Lines::open(&folder).unwrap()
        };
        let line = vec![b'x'; 1 << 20];
        for _ in 0..11 {
            lines.write(&line).unwrap();
        }
        let size: u64 = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(size <= 2 * MAX_FILE, "{size}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_follower_wakes_up_for_the_next_event() {
        let folder = folder("follow");
        let mut journal = Journal::open(&folder, "node01").unwrap();
        let shared = journal.shared();
        let follower = std::thread::spawn(move || shared.after(0, Duration::from_secs(20)));
        journal.add(event("a"));
        assert_eq!(follower.join().unwrap()[0].what, "a");
        journal.close();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
