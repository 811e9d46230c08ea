//! The event log: on disk, bounded, and never in the way of a decision.
//!
//! A thread of its own writes ([`disk`]), so a disk that is slow or full costs no time. Lines wait for
//! it, in a bounded number; what is lost is counted and said. Numbers give the order of events, whatever
//! the clock does ([`clock`]).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Event;

pub(crate) use clock::utc;
use clock::{Clock, Jump};
use disk::{Disk, Line, MAX_FILE, Outage, Writer};

mod clock;
mod disk;

/// Where the log is, in the state folder.
pub(crate) const FILE: &str = "events.jsonl";
/// The one before it.
const OLDER: &str = "events.1.jsonl";
/// Events kept in memory, for `events` and its followers.
const KEPT: usize = 2048;
/// Lines that may wait for a slow disk before lines are lost.
const WAITING: usize = 1024;

/// What has happened on this node.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    /// None: memory only.
    lines: Option<SyncSender<Line>>,
    /// Lines that a slow disk cost since the last one that was written.
    lost: u64,
    /// Of the event before.
    number: u64,
    clock: Clock,
    node: String,
    writer: Option<std::thread::JoinHandle<()>>,
}

/// The part that threads serving the control socket read.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    events: Mutex<VecDeque<Event>>,
    grown: Condvar,
    disk: Arc<Disk>,
}

impl Shared {
    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the log cannot do now, for `status`.
    pub(crate) fn limit(&self) -> Option<String> {
        let Outage { why, late, dropped } = self.disk.outage()?;
        Some(format!("events are in memory only ({late} wait, {dropped} are lost): {why}"))
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
    ///
    /// # Errors
    /// When no thread can be had.
    pub(crate) fn open(folder: &Path, node: &str) -> io::Result<Self> {
        let kept = read_back(folder);
        let (lines, queue) = sync_channel(WAITING);
        let disk = Arc::new(Disk::default());
        let writer = Writer::new(folder, Arc::clone(&disk));
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&queue))?;
        let (written, last_ms) = kept.back().map_or((0, None), |last| (last.seq, Some(last.at_ms)));
        let given = disk::last_number(folder).max(written);
        let shared = Arc::new(Shared { events: Mutex::new(kept), grown: Condvar::new(), disk });
        let mut journal = Self { shared, writer: Some(writer), ..Self::without_disk(node) };
        (journal.lines, journal.number) = (Some(lines), given);
        if given > written {
            journal.tell_unwritten(&format!(
                "the process before ended while the disk took nothing: numbers {} to {given} are in \
                 no file",
                written + 1
            ));
        }
        if let Some(jump) = Clock::after_restart(last_ms, sys::clock::wall_ms()) {
            journal.tell_jump(jump);
        }
        Ok(journal)
    }

    /// Keeps events in memory only, for a node that can have no thread more: its beats matter more.
    pub(crate) fn without_disk(node: &str) -> Self {
        Self {
            shared: Arc::new(Shared::default()),
            lines: None,
            lost: 0,
            number: 0,
            clock: Clock::new(sys::clock::now(), sys::clock::wall_ms()),
            node: node.to_owned(),
            writer: None,
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Numbers and keeps one event.
    pub(crate) fn add(&mut self, event: Event) {
        self.look();
        self.keep(event);
    }

    /// Tells what became of the disk and of the clock; asked often.
    pub(crate) fn look(&mut self) {
        if let Some(jump) = self.clock.look(sys::clock::now(), sys::clock::wall_ms()) {
            self.tell_jump(jump);
        }
        let (began, ended) = self.shared.disk.news();
        if let Some(outage) = began {
            self.keep(Event {
                what: "journal-unwritable".to_owned(),
                evidence: outage.why,
                decision: "go on: beats and verdict do not need the disk".to_owned(),
                action: format!("up to {WAITING} events wait for the disk"),
                not_done: "events are in memory only".to_owned(),
                ..Event::default()
            });
        }
        if let Some(Outage { why, late, dropped }) = ended {
            self.tell_unwritten(&format!(
                "the disk takes events again: {late} were written late, {dropped} are in no file \
                 ({why})"
            ));
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.keep(Event {
                what: "events-lost".to_owned(),
                evidence: format!("the disk did not take {lost} lines in time"),
                decision: "go on without them: deciding must not wait for a disk".to_owned(),
                ..Event::default()
            });
        }
    }

    fn tell_unwritten(&mut self, evidence: &str) {
        self.keep(Event {
            what: "events-not-written".to_owned(),
            evidence: evidence.to_owned(),
            decision: "numbers go on".to_owned(),
            ..Event::default()
        });
    }

    fn tell_jump(&mut self, jump: Jump) {
        self.keep(Event {
            what: "clock-jumped".to_owned(),
            evidence: jump.to_string(),
            decision: "go on: nothing is decided by this clock".to_owned(),
            action: "events stay in the order of their numbers".to_owned(),
            ..Event::default()
        });
    }

    fn keep(&mut self, mut event: Event) {
        self.number = self.number.saturating_add(1);
        event.seq = self.number;
        if event.node.is_empty() {
            event.node.clone_from(&self.node);
        }
        if event.object.is_empty() {
            event.object = format!("node/{}", self.node);
        }
        if event.at_ms == 0 {
            event.at_ms = sys::clock::wall_ms();
        }
        let mut line = vec![];
        api::encode(&event, &mut line);
        line.push(b'\n');
        if let Some(lines) = &self.lines
            && let Err(TrySendError::Full(_)) = lines.try_send((event.seq, line))
        {
            self.lost += 1;
        }
        let mut events = self.shared.events();
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
    fn what_a_killed_process_did_not_write_is_counted_and_its_numbers_are_not_used_again() {
        let folder = folder("killed");
        let mut journal = Journal::open(&folder, "node01").unwrap();
        journal.add(event("a"));
        journal.close();
        // The disk took the number of two more, which is overwritten in place, and not their lines.
        std::fs::write(folder.join("events.number"), format!("{:020}\n", 3)).unwrap();

        let mut journal = Journal::open(&folder, "node01").unwrap();
        journal.add(event("d"));
        let events = journal.shared().after(1, Duration::ZERO);
        let seen: Vec<_> = events.iter().map(|event| (event.seq, event.what.as_str())).collect();
        assert_eq!(seen, [(4, "events-not-written"), (5, "d")]);
        assert!(events[0].evidence.contains("numbers 2 to 3 "), "{}", events[0].evidence);
        journal.close();
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_log_from_the_future_is_told_and_goes_on_in_order() {
        let folder = folder("future");
        let mut journal = Journal::open(&folder, "node01").unwrap();
        journal.add(Event { at_ms: sys::clock::wall_ms() + 3_600_000, ..event("a") });
        journal.close();
        let mut journal = Journal::open(&folder, "node01").unwrap();
        journal.add(event("b"));
        let events = journal.shared().after(1, Duration::ZERO);
        let seen: Vec<_> = events.iter().map(|event| (event.seq, event.what.as_str())).collect();
        assert_eq!(seen, [(2, "clock-jumped"), (3, "b")]);
        journal.close();
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
