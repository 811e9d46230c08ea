//! Looks for processes and into files that are tracked, in an ordinary thread: neither a long list of processes nor a slow
//! disk delays an advert.
//!
//! A thread that cannot look any more would leave all that is tracked as it was: it says so, begins anew until it can, and says that
//! too. One that ends for another reason ends the process, whose addresses go to another node.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use api::Report;
use base::Time;
use config::vip::{Matching, TrackedFile, TrackedProcess, Vip};
use engine::vip::Input;
use engine::vip::crew::{self, Crew, Rule};
use sys::inotify::Folders;
use sys::poll::{Interest, Poller, Ready, Waker};
use sys::process::table;

use super::slow::LastWord;
use super::{Driver, tell};

#[cfg(test)]
mod tests;

/// How soon a process that came is seen, where one more could be news.
const SCAN_EVERY: Duration = Duration::from_millis(250);
/// Where none could, and how soon a folder that came is.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Of its time it looks at processes for a twentieth at most, however many there are.
const SHARE: u32 = 20;
/// How soon one that cannot look begins anew.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Bytes of a file that are looked at, as by keepalived.
const LONGEST: u64 = 127;

const STOP: u64 = 0;
const FOLDERS: u64 = 1;
/// Of a process: its pid is added.
const PROCESSES: u64 = 1 << 32;

/// What is told of one instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Told {
    pub(super) instance: usize,
    index: usize,
    what: What,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    Passed(bool),
    Weighs(i16),
}

impl Told {
    /// Of a check script.
    pub(super) const fn passed(instance: usize, index: usize, passed: bool) -> Self {
        Self { instance, index, what: What::Passed(passed) }
    }

    pub(super) const fn input(&self) -> Input<'static> {
        let index = self.index;
        match self.what {
            What::Passed(passed) => Input::Script { index, passed },
            What::Weighs(weight) => Input::Measure { index, weight },
        }
    }
}

/// What comes from the thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    Told(Told),
    /// It cannot look, for this number of an error, and begins anew.
    Failed(i16),
    /// It can look again.
    Again,
    /// It is not there any more, and was not told to end.
    Ended,
}

/// As it goes from thread to thread.
pub(super) const RECORD: usize = 12;

impl News {
    pub(super) fn encode(self) -> [u8; RECORD] {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes();
        let (instance, index, kind, value) = match self {
            Self::Told(Told { instance, index, what: What::Passed(passed) }) => {
                (instance, index, 0_i16, i16::from(passed))
            }
            Self::Told(Told { instance, index, what: What::Weighs(weight) }) => {
                (instance, index, 1, weight)
            }
            Self::Failed(error) => (0, 0, 2, error),
            Self::Again => (0, 0, 3, 0),
            Self::Ended => (0, 0, 4, 0),
        };
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&number(instance));
        bytes[4..8].copy_from_slice(&number(index));
        bytes[8..10].copy_from_slice(&kind.to_ne_bytes());
        bytes[10..].copy_from_slice(&value.to_ne_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; RECORD]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        let number = |bytes| usize::try_from(u32::from_ne_bytes(bytes)).ok();
        let value = i16::from_ne_bytes([k, l]);
        let what = match i16::from_ne_bytes([i, j]) {
            0 => What::Passed(value != 0),
            1 => What::Weighs(value),
            2 => return Some(Self::Failed(value)),
            3 => return Some(Self::Again),
            _ => return Some(Self::Ended),
        };
        let (instance, index) = (number([a, b, c, d])?, number([e, f, g, h])?);
        Some(Self::Told(Told { instance, index, what }))
    }
}

/// The thread; it ends with this. What it says comes through the kernel: the thread of the adverts waits for no lock that an
/// ordinary one holds.
pub(super) struct Watch {
    news: Option<UnixDatagram>,
    stop: Waker,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How the thread waits for what happens.
type Wait<'a> = dyn FnMut(&Poller, &mut Vec<Ready>, Duration) -> io::Result<()> + 'a;

impl Watch {
    /// None: nothing is tracked. News make `token` of `poller` ready.
    pub(super) fn start(vips: &[Vip], poller: &Poller, token: u64) -> io::Result<Option<Self>> {
        let (stop, ends) = (Waker::new()?, Arc::new(AtomicBool::new(false)));
        let worker = Worker::new(vips, stop.clone(), Arc::clone(&ends))?;
        if worker.processes.is_empty() && worker.files.is_empty() {
            return Ok(None);
        }
        let (news, said) = UnixDatagram::pair()?;
        news.set_nonblocking(true)?;
        poller.add(news.as_fd(), token, Interest::READ)?;
        let name = std::thread::Builder::new().name("outlast-watch".to_owned());
        let thread = name.spawn(move || {
            let last = LastWord::new(&said, &News::Ended.encode());
            worker.keep_looking(&said, &mut |poller, ready, span| poller.wait(ready, Some(span)));
            last.was_expected();
        })?;
        Ok(Some(Self { news: Some(news), stop, ends, thread: Some(thread) }))
    }

    /// The next of what came.
    fn next(&self) -> Option<News> {
        let mut bytes = [0; RECORD];
        let length = self.news.as_ref()?.recv(&mut bytes).ok()?;
        (length == RECORD).then(|| News::decode(bytes))?
    }
}

impl Driver<'_> {
    /// What scripts, processes and files say.
    pub(super) fn hear_watch(&mut self) {
        while let Some(news) = self.around.scripts.next() {
            match news {
                News::Told(told) => self.step(told.instance, told.input()),
                News::Ended => self.around.lost_thread = Some("outlast-scripts"),
                News::Failed(_) | News::Again => {}
            }
        }
        while let Some(news) = self.around.watch.as_ref().and_then(Watch::next) {
            match news {
                News::Told(told) => self.step(told.instance, told.input()),
                News::Failed(error) => {
                    let error = io::Error::from_raw_os_error(error.into());
                    self.tell(&Report::Event(tell::watch(&self.node, Some(&error))));
                }
                News::Again => self.tell(&Report::Event(tell::watch(&self.node, None))),
                News::Ended => self.around.lost_thread = Some("outlast-watch"),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Whoever waits for room to say something waits no more.
        self.news = None;
        self.ends.store(true, Ordering::SeqCst);
        self.stop.wake();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say at its end.
            let _ended = thread.join();
        }
    }
}

struct Worker {
    poller: Poller,
    folders: Folders,
    processes: Vec<(Told, TrackedProcess, Crew)>,
    files: Vec<(Told, TrackedFile)>,
    /// Those that match, so that their end is known at once.
    alive: BTreeMap<i32, OwnedFd>,
    stop: Waker,
    ends: Arc<AtomicBool>,
    /// It was told that it cannot look.
    failed: bool,
}

impl Worker {
    fn new(vips: &[Vip], stop: Waker, ends: Arc<AtomicBool>) -> io::Result<Self> {
        let (mut processes, mut files) = (Vec::new(), Vec::new());
        for (instance, vip) in vips.iter().enumerate() {
            let before = vip.track_scripts.len() + vip.weighed_interfaces.len();
            for (index, tracked) in (before..).zip(&vip.track_processes) {
                let what = What::Passed(false);
                let rule = Rule {
                    least: tracked.least,
                    most: tracked.most,
                    rise: tracked.fork_delay,
                    fall: tracked.terminate_delay,
                };
                let told = Told { instance, index, what };
                processes.push((told, tracked.clone(), Crew::new(rule)));
            }
            for (index, file) in (before + vip.track_processes.len()..).zip(&vip.track_files) {
                // No number weighs so much: the first one is news.
                let what = What::Weighs(i16::MIN);
                files.push((Told { instance, index, what }, file.clone()));
            }
        }
        let (poller, folders) = eyes(&stop)?;
        let (alive, failed) = (BTreeMap::new(), false);
        Ok(Self { poller, folders, processes, files, alive, stop, ends, failed })
    }

    /// Until it is told to end, or nobody listens any more.
    fn keep_looking(mut self, said: &UnixDatagram, wait: &mut Wait<'_>) {
        let mut looked = self.look(said, wait);
        while let Err(error) = looked {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let number = error.raw_os_error().and_then(|number| i16::try_from(number).ok());
            if !std::mem::replace(&mut self.failed, true)
                && said.send(&News::Failed(number.unwrap_or(0)).encode()).is_err()
            {
                return;
            }
            std::thread::sleep(AGAIN_AFTER);
            looked = eyes(&self.stop).and_then(|(poller, folders)| {
                (self.poller, self.folders) = (poller, folders);
                self.alive.clear();
                self.look(said, wait)
            });
        }
    }

    fn look(&mut self, said: &UnixDatagram, wait: &mut Wait<'_>) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut scan_at = if self.processes.is_empty() { Time::NEVER } else { Time::ZERO };
        loop {
            let mut news = Vec::new();
            self.read_files(&mut news);
            let began = sys::clock::now();
            if began >= scan_at || began >= self.deadline() {
                self.count(began, &mut news);
                let now = sys::clock::now();
                let awaits = self.processes.iter().any(|(_, _, crew)| crew.awaits());
                let every = if awaits { SCAN_EVERY } else { LOOK_EVERY };
                scan_at = now + every.max(now.since(began) * SHARE);
            }
            if news.iter().any(|told| said.send(&News::Told(*told).encode()).is_err()) {
                return Ok(()); // nobody listens any more
            }
            let now = sys::clock::now();
            let until = scan_at.min(self.deadline()).max(now).min(now + LOOK_EVERY);
            // That it can look again is told at once.
            let until = if self.failed { now } else { until };
            wait(&self.poller, &mut ready, until.since(now))?;
            if std::mem::take(&mut self.failed) && said.send(&News::Again.encode()).is_err() {
                return Ok(());
            }
            for event in &ready {
                match event.token {
                    STOP => return Ok(()),
                    FOLDERS => self.folders.drain(),
                    pid => {
                        if let Ok(pid) = i32::try_from(pid - PROCESSES) {
                            self.alive.remove(&pid);
                        }
                        scan_at = Time::ZERO;
                    }
                }
            }
        }
    }

    fn deadline(&self) -> Time {
        let all = self.processes.iter().map(|(_, _, crew)| crew.deadline());
        all.min().unwrap_or(Time::NEVER)
    }

    fn count(&mut self, now: Time, news: &mut Vec<Told>) {
        let all = table::all();
        let mut words: BTreeMap<i32, Vec<Vec<u8>>> = BTreeMap::new();
        for (told, tracked, crew) in &mut self.processes {
            let mut number = 0;
            for entry in &all {
                let matches = match tracked.matching {
                    Matching::Name => tracked.is_named(&entry.name),
                    Matching::Program | Matching::Exact | Matching::Initial | Matching::Partial => {
                        tracked.matches(
                            words.entry(entry.pid).or_insert_with(|| table::words(entry.pid)),
                        )
                    }
                };
                if matches && follow(&self.poller, &mut self.alive, entry.pid) {
                    number += 1;
                }
            }
            if let Some(up) = crew.counted(now, number) {
                news.push(Told { what: What::Passed(up != tracked.reversed), ..*told });
            }
        }
        // Who calls itself otherwise now is followed no more.
        self.alive.retain(|pid, _| all.iter().any(|entry| entry.pid == *pid));
    }

    fn read_files(&mut self, news: &mut Vec<Told>) {
        for (told, file) in &mut self.files {
            let path = Path::new(&file.path);
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            // One that is not there may come; it is looked for again.
            let _absent = self.folders.watch(folder.unwrap_or_else(|| Path::new(".")));
            let Some(number) = read(path) else { continue };
            let what = What::Weighs(crew::weighed(number, file.weight, file.reversed));
            if told.what != what {
                told.what = what;
                news.push(*told);
            }
        }
    }
}

/// What a thread looks with; it is told to end by `stop`.
fn eyes(stop: &Waker) -> io::Result<(Poller, Folders)> {
    let (poller, folders) = (Poller::new()?, Folders::new()?);
    poller.add(folders.as_fd(), FOLDERS, Interest::READ)?;
    poller.add(stop.as_fd(), STOP, Interest::READ)?;
    Ok((poller, folders))
}

/// Whether it is there: its end is then told.
fn follow(poller: &Poller, alive: &mut BTreeMap<i32, OwnedFd>, pid: i32) -> bool {
    if alive.contains_key(&pid) {
        return true;
    }
    let Ok(pidfd) = sys::process::watch(pid) else { return false };
    let Ok(number) = u64::try_from(pid) else { return false };
    if poller.add(pidfd.as_fd(), PROCESSES + number, Interest::READ).is_ok() {
        alive.insert(pid, pidfd);
    }
    true
}

/// A file that is not there, or empty, says 0, as for keepalived. None: what was known stays.
fn read(path: &Path) -> Option<i64> {
    // A pipe that nobody writes to is empty.
    let open = File::options().read(true).custom_flags(sys::inotify::NONBLOCK).open(path);
    let mut text = Vec::new();
    let whole = open.and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    if whole.is_err() {
        text.clear();
    }
    crew::number(&text)
}
