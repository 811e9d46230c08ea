//! The thread that writes. A disk that takes nothing costs lines only when more wait than it keeps,
//! and then their number is told.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{FILE, OLDER};

/// Two files of this size: about 30,000 events, a year of a quiet cloud (bytes).
pub(super) const MAX_FILE: u64 = 4 << 20;
/// Lines that wait for a disk that takes nothing: a day of a quiet cloud, half a megabyte.
const LATE: usize = 1024;
/// How often a disk that takes nothing is tried again: sooner than an operator looks.
const RETRY: Duration = Duration::from_secs(1);
/// The largest number that an event has had, on disk or not; overwritten in place, which a full disk
/// allows. What a killed process had not written is counted by it.
const NUMBER: &str = "events.number";
const DIGITS: usize = 20;

/// One line, and the number of its event.
pub(super) type Line = (u64, Vec<u8>);

/// How the disk is, for everybody else.
#[derive(Debug, Default)]
pub(super) struct Disk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outage: Option<Outage>,
    /// Outages begun, and ended, that nobody was told of.
    began: Option<Outage>,
    ended: Option<Outage>,
}

/// A time in which the disk takes nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Outage {
    pub(super) why: String,
    /// Waiting for the disk, or written late once it is over.
    pub(super) late: usize,
    /// Of which nothing is left but their number.
    pub(super) dropped: u64,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outage(&self) -> Option<Outage> {
        self.state().outage.clone()
    }

    /// What began and what ended since the last call.
    pub(super) fn news(&self) -> (Option<Outage>, Option<Outage>) {
        let mut state = self.state();
        (state.began.take(), state.ended.take())
    }
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<Disk>,
    folder: PathBuf,
    lines: Option<Lines>,
    number: Option<File>,
    late: VecDeque<Line>,
}

impl Writer {
    pub(super) fn new(folder: &Path, disk: Arc<Disk>) -> Self {
        let (folder, lines, number) = (folder.to_owned(), None, None);
        Self { disk, folder, lines, number, late: VecDeque::new() }
    }

    /// Writes until the channel's other end is gone.
    pub(super) fn run(mut self, queue: &Receiver<Line>) {
        loop {
            let line = if self.late.is_empty() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(RETRY)
            };
            match line {
                Ok(line) => {
                    self.keep_number(line.0);
                    self.add(line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write();
        }
        self.write();
    }

    fn add(&mut self, line: Line) {
        if self.late.len() == LATE {
            self.late.pop_front();
            if let Some(outage) = &mut self.disk.state().outage {
                outage.dropped += 1;
            }
        }
        self.late.push_back(line);
    }

    /// Everything that waits, in order.
    pub(super) fn write(&mut self) {
        let mut written = 0;
        while let Some((_, line)) = self.late.front() {
            if let Err(error) = write(&mut self.lines, &self.folder, line) {
                self.failed(&error);
                return;
            }
            self.late.pop_front();
            written += 1;
        }
        let mut state = self.disk.state();
        if let Some(outage) = state.outage.take_if(|_| written > 0) {
            state.ended = Some(Outage { late: written, ..outage });
        }
    }

    fn failed(&self, error: &io::Error) {
        let mut state = self.disk.state();
        let late = self.late.len();
        if let Some(outage) = &mut state.outage {
            outage.late = late;
            return;
        }
        let why = format!("{}: {error}", self.folder.join(FILE).display());
        let outage = Outage { why, late, dropped: 0 };
        state.began = Some(outage.clone());
        state.outage = Some(outage);
    }

    /// Where even this cannot be written, what a killed process takes along is not counted.
    fn keep_number(&mut self, number: u64) {
        if self.number.is_none() {
            self.number = open_number(&self.folder).ok();
        }
        if let Some(file) = &mut self.number {
            let record = format!("{number:0DIGITS$}\n");
            let kept = file.rewind().and_then(|()| file.write_all(record.as_bytes()));
            if kept.is_err() {
                self.number = None;
            }
        }
    }
}

fn open_number(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false).open(folder.join(NUMBER))
}

/// The largest number given before; 0: none is known.
pub(super) fn last_number(folder: &Path) -> u64 {
    let mut text = String::new();
    let Ok(file) = File::open(folder.join(NUMBER)) else { return 0 };
    // Bytes that are no number count as none.
    let _unreadable = file.take(64).read_to_string(&mut text);
    text.trim().parse().unwrap_or(0)
}

fn write(lines: &mut Option<Lines>, folder: &Path, line: &[u8]) -> io::Result<()> {
    let open = match lines {
        Some(open) => open,
        None => lines.insert(Lines::open(folder)?),
    };
    open.write(line)
}

#[derive(Debug)]
pub(super) struct Lines {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    size: u64,
}

impl Lines {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { folder: folder.to_owned(), path, file, size })
    }

    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size + line.len() as u64 > MAX_FILE {
            match std::fs::rename(&self.path, self.folder.join(OLDER)) {
                // Renamed before, and there was no room for the next file.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                renamed => renamed?,
            }
            *self = Self::open(&self.folder)?;
        }
        let written = self.file.write_all(line);
        match written {
            Ok(()) => self.size += line.len() as u64,
            // What a full disk took of a line would spoil the next one.
            Err(_) => self.file.set_len(self.size)?,
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("outlast-disk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    fn line(number: u64) -> Line {
        (number, format!("{number}\n").into_bytes())
    }

    #[test]
    fn lines_wait_for_the_disk_and_the_oldest_of_too_many_are_counted() {
        let folder = folder("wait");
        // A file in the way is a disk that takes nothing, and can be mended.
        std::fs::write(&folder, "in the way").unwrap();
        let disk = Arc::new(Disk::default());
        let mut writer = Writer::new(&folder, Arc::clone(&disk));
        for number in 1..=LATE as u64 + 3 {
            writer.add(line(number));
            writer.write();
        }
        let outage = disk.outage().unwrap();
        assert_eq!((outage.late, outage.dropped), (LATE, 3));
        assert!(disk.news().0.is_some_and(|began| began.why == outage.why));
        assert_eq!(disk.news(), (None, None), "told once");

        std::fs::remove_file(&folder).unwrap();
        writer.write();
        assert_eq!((disk.outage(), disk.news().1), (None, Some(outage)));
        let written = std::fs::read_to_string(folder.join(FILE)).unwrap();
        let expected: String = (4..=LATE as u64 + 3).map(|number| format!("{number}\n")).collect();
        assert_eq!(written, expected);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_largest_number_is_known_whatever_was_written() {
        let folder = folder("number");
        assert_eq!(last_number(&folder), 0);
        std::fs::create_dir_all(&folder).unwrap();
        let mut writer = Writer::new(&folder, Arc::default());
        writer.keep_number(7);
        writer.keep_number(1008);
        assert_eq!(last_number(&folder), 1008);
        std::fs::write(folder.join(NUMBER), "torn").unwrap();
        assert_eq!(last_number(&folder), 0);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_log_never_outgrows_two_files() {
        let folder = folder("bound");
        let mut lines = Lines::open(&folder).unwrap();
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
}
