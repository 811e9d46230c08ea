//! Routers of neutron: all namespaces of a host in one process, in place of two of keepalived and one that watches for each.
//!
//! ```text
//!   neutron's agent --starts--> stand-in (`keepalived`) --socket--> desk (`outlast routers`) --channel--> process of routers
//!                               its number, 300 bytes                keeps sockets, starts it anew         all the work
//! ```
//! The desk decides nothing about addresses. A process of routers that dies leaves them where they are, and the next one adopts
//! what is kept here. Whose stand-in ends has its socket closed by the kernel, and its addresses are released.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::MAX_MESSAGE;
use api::router::{Entry, RouterOrder, RouterReport};
use base::{Chain, Time};
use engine::router::restart::{Order, Restart};
use sys::channel::{Channel, Listener};
use sys::poll::{Interest, Poller, Ready};
use sys::process::{Child, SIGKILL, SpawnOptions};
use sys::signal::{SIGHUP, SIGINT, SIGTERM, Signals};

use crate::supervisor::tell;
mod list;
mod neutron;
mod outbox;
mod process;
mod record;
mod seat;
mod stand_in;

pub(crate) use process::{ROOM, run as process};

pub use list::list;
pub use stand_in::{Part, StandInError, owner, stand_in, stands_in};

/// Where stand-ins connect to, unless this says otherwise.
pub const SOCKET: &str = "/run/outlast/routers.sock";
pub const SOCKET_VARIABLE: &str = "OUTLAST_ROUTERS";
/// Thousands of routers, a dozen descriptors each.
const DESCRIPTORS: u64 = 262_144;
/// Where no descriptor is left, nobody is accepted for so long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(500);
/// When one is gone, its record is looked at after so long: most often the process of routers has done all there is to do.
const SWEEP_SOON: Duration = Duration::from_secs(1);
/// One that is killed before it has joined another desk is told by nobody.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

const SIGNALS: u64 = 0;
const LISTENER: u64 = 1;
const CHANNEL: u64 = 2;
const PIDFD: u64 = 3;
const DYING: u64 = 4;

/// Why the desk or the process of routers ended.
#[derive(Debug, thiserror::Error)]
pub enum RoutersError {
    #[error("cannot make the folder of {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    #[error("cannot lock {}", .0.display())]
    Lock(PathBuf, #[source] io::Error),
    #[error("cannot listen on {}", .0.display())]
    Listen(PathBuf, #[source] io::Error),
    #[error("cannot watch processes and sockets")]
    Poll(#[source] io::Error),
    #[error(transparent)]
    Rights(#[from] crate::supervisor::LockError),
    #[error("cannot ask whoever listens on {}", .0.display())]
    Ask(PathBuf, #[source] io::Error),
}

/// How the desk runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub socket: PathBuf,
    /// What neutron's agent calls primary and backup.
    pub words: (String, String),
}

/// Where the desk of this host is.
#[must_use]
pub fn socket() -> PathBuf {
    let named = std::env::var_os(SOCKET_VARIABLE).filter(|name| !name.is_empty());
    named.map_or_else(|| PathBuf::from(SOCKET), PathBuf::from)
}

/// Of each stand-in, what the next process of routers has to know.
struct Kept {
    socket: Channel,
    entry: Option<Box<Entry>>,
    fds: Vec<OwnedFd>,
}

struct Desk {
    settings: Settings,
    poller: Poller,
    signals: Signals,
    listener: Listener,
    process: Option<(Child, Channel)>,
    /// What the kernel still closes.
    dying: Vec<Child>,
    restart: Restart,
    kept: BTreeMap<u64, Kept>,
    next: u64,
    /// Orders that the process has not taken yet: numbers of stand-ins whose seats are to be told.
    waiting: VecDeque<u64>,
    /// Nobody is accepted until then; never: all are.
    accept_at: Time,
    is_full: bool,
    sweep_at: Time,
    ended: bool,
    buffer: Vec<u8>,
    _lock: File,
}

/// Runs the desk until SIGTERM or SIGINT. A second one waits until the first has ended, and takes its place.
///
/// # Errors
/// When it cannot start.
pub fn serve(settings: Settings) -> Result<(), RoutersError> {
    crate::supervisor::may_hold_addresses()?;
    let lock = alone(&settings.socket)?;
    // Started by a stand-in it would keep the namespace of one router for ever.
    let home = sys::netns::of_process(1).and_then(|home| sys::netns::enter(home.as_fd()));
    if let Err(error) = home {
        tell::line(&format!("stays in the network namespace in which it was started: {error}"));
    }
    let mut desk = Desk::open(settings, lock)?;
    desk.run()
}

fn alone(socket: &Path) -> Result<File, RoutersError> {
    if let Some(folder) = socket.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| RoutersError::Folder(socket.to_owned(), error))?;
    }
    let path = beside(socket, "lock");
    let fail = |error| RoutersError::Lock(path.clone(), error);
    let mut options = File::options();
    options.mode(0o600);
    let file = options.create(true).write(true).truncate(false).open(&path).map_err(fail)?;
    if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
        tell::line("another one serves the routers: this one waits until it ends");
        file.lock().map_err(fail)?;
    }
    file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id())).map_err(fail)?;
    Ok(file)
}

/// A file that belongs to the socket.
fn beside(socket: &Path, what: &str) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

impl Desk {
    fn open(settings: Settings, lock: File) -> Result<Self, RoutersError> {
        let signals = Signals::new(&[SIGTERM, SIGINT, SIGHUP]).map_err(RoutersError::Poll)?;
        if let Err(error) = sys::rights::raise_open_files(DESCRIPTORS) {
            tell::line(&format!("cannot raise the limit of open files: {error}"));
        }
        let listener = Listener::bind(&settings.socket)
            .map_err(|error| RoutersError::Listen(settings.socket.clone(), error))?;
        let poller = Poller::new().map_err(RoutersError::Poll)?;
        poller.add(signals.as_fd(), SIGNALS, Interest::READ).map_err(RoutersError::Poll)?;
        poller.add(listener.as_fd(), LISTENER, Interest::READ).map_err(RoutersError::Poll)?;
        Ok(Self {
            settings,
            poller,
            signals,
            listener,
            process: None,
            dying: vec![],
            restart: Restart::new(sys::clock::now()),
            kept: BTreeMap::new(),
            next: process::FIRST_SEAT,
            waiting: VecDeque::new(),
            accept_at: Time::NEVER,
            is_full: false,
            sweep_at: Time::ZERO,
            ended: false,
            buffer: vec![0; MAX_MESSAGE],
            _lock: lock,
        })
    }

    fn run(&mut self) -> Result<(), RoutersError> {
        let mut ready: Vec<Ready> = Vec::with_capacity(64);
        loop {
            while let Some(order) = self.restart.step(sys::clock::now()).filter(|_| !self.ended) {
                self.obey(order);
            }
            self.seat_waiting();
            self.pass_time();
            let deadline = if self.ended { Time::NEVER } else { self.deadline() };
            let wait = (deadline != Time::NEVER).then(|| deadline.since(sys::clock::now()));
            self.poller.wait(&mut ready, wait).map_err(RoutersError::Poll)?;
            for token in ready.iter().map(|event| event.token) {
                match token {
                    SIGNALS => self.signalled(),
                    LISTENER => self.accept(),
                    CHANNEL => self.hear(),
                    DYING => self.bury(),
                    _ => self.exited(),
                }
            }
            if self.ended && self.process.is_none() {
                if self.kept.is_empty() {
                    // Nobody has to look for another one.
                    let _gone = std::fs::remove_file(&self.settings.socket);
                }
                return Ok(());
            }
        }
    }

    fn deadline(&self) -> Time {
        self.restart.deadline().min(self.accept_at).min(self.sweep_at)
    }

    fn pass_time(&mut self) {
        let now = sys::clock::now();
        if self.ended {
            return;
        }
        if now >= self.accept_at {
            self.accept_at = Time::NEVER;
            let _listens = self.poller.modify(self.listener.as_fd(), LISTENER, Interest::READ);
            self.accept();
            self.seat_waiting();
        }
        if now >= self.sweep_at {
            let (told, is_more) = record::sweep(&self.settings.socket);
            told.iter().for_each(|line| tell::line(line));
            self.sweep_at = if is_more { now } else { now + SWEEP_EVERY };
        }
    }

    fn signalled(&mut self) {
        while let Some(signal) = self.signals.read() {
            if signal != SIGHUP && !self.ended {
                self.ended = true;
                self.order(&RouterOrder::Retire, &[]);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Start => {
                if let Err(error) = self.start() {
                    tell::line(&format!("cannot start the process of routers: {error}"));
                    self.restart.ended(sys::clock::now());
                }
            }
            Order::GiveUp => {
                tell::line(
                    "the process of routers does not come up: the stand-ins look after themselves",
                );
                self.ended = true;
            }
            Order::Ping(number) => drop(self.order(&RouterOrder::Ping(number), &[])),
            Order::Kill => {
                tell::line("the process of routers does not answer: it is ended");
                if let Some((child, _)) = &self.process {
                    // One that is gone is reaped by its pidfd.
                    let _gone = child.signal(SIGKILL);
                }
                // What it still said is kept, and it says nothing more.
                self.hear();
                self.hung_up();
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let (ours, theirs) = Channel::pair()?;
        let (program, words) = (Path::new("/proc/self/exe"), ["role", "routers"].map(OsStr::new));
        let environment = [(stand_in::VARIABLE, OsStr::new(""))];
        let options = SpawnOptions { environment: &environment, ..SpawnOptions::default() };
        let child = sys::process::spawn(program, Some("outlast"), &words, Some(&theirs), options)?;
        self.poller.add(ours.as_fd(), CHANNEL, Interest::READ)?;
        self.poller.add(child.pidfd(), PIDFD, Interest::READ)?;
        self.process = Some((child, ours));
        self.order(&RouterOrder::Begin { words: self.settings.words.clone() }, &[]);
        self.waiting = self.kept.keys().copied().collect();
        Ok(())
    }

    /// False: the process does not take it now.
    fn order(&self, order: &RouterOrder, fds: &[BorrowedFd<'_>]) -> bool {
        let Some((_, channel)) = &self.process else { return false };
        let mut bytes = Vec::with_capacity(512);
        api::encode(order, &mut bytes);
        match channel.send(&bytes, fds) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // Its pidfd says the rest of another error.
            Ok(()) | Err(_) => true,
        }
    }

    /// As many as the process takes now.
    fn seat_waiting(&mut self) {
        while let Some(number) = self.waiting.front().copied() {
            if let Some(kept) = self.kept.get(&number) {
                let order = RouterOrder::Seat { number, entry: kept.entry.clone() };
                let fds = kept.fds.iter().map(AsFd::as_fd);
                let fds: Vec<_> = std::iter::once(kept.socket.as_fd()).chain(fds).collect();
                if !self.order(&order, &fds) {
                    break;
                }
            }
            self.waiting.pop_front();
        }
        if let Some((_, channel)) = &self.process {
            let both = Interest::READ | Interest::WRITE;
            let interest = if self.waiting.is_empty() { Interest::READ } else { both };
            let _ended = self.poller.modify(channel.as_fd(), CHANNEL, interest);
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok(Some(socket)) => {
                    if std::mem::replace(&mut self.is_full, false) {
                        tell::line("stand-ins are accepted again");
                    }
                    let number = self.next;
                    self.next += 1;
                    self.kept.insert(number, Kept { socket, entry: None, fds: vec![] });
                    self.waiting.push_back(number);
                }
                Ok(None) => return,
                Err(error) => {
                    if !std::mem::replace(&mut self.is_full, true) {
                        tell::line(&format!(
                            "cannot accept a stand-in, those that come wait: {error}"
                        ));
                    }
                    // It would be told again and again that somebody waits.
                    let _full = self.poller.modify(self.listener.as_fd(), LISTENER, Interest::NONE);
                    self.accept_at = sys::clock::now() + ACCEPT_AGAIN;
                    return;
                }
            }
        }
    }

    fn hear(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some((_, channel)) = &self.process {
            let mut fds = vec![];
            match channel.receive(&mut buffer, &mut fds) {
                Ok(0) => {
                    self.hung_up();
                    break;
                }
                Ok(length) => match api::decode(&buffer[..length]) {
                    Ok(report) => self.report(report, fds),
                    Err(error) => tell::line(&Chain(&error).to_string()),
                },
                Err(_) => break,
            }
        }
        self.buffer = buffer;
    }

    fn report(&mut self, report: RouterReport, fds: Vec<OwnedFd>) {
        match report {
            RouterReport::Keep { number, entry } => {
                self.restart.advanced(sys::clock::now());
                if let Some(kept) = self.kept.get_mut(&number) {
                    (kept.entry, kept.fds) = (Some(entry), fds);
                }
            }
            RouterReport::Holds { number, holds } => {
                if let Some(Entry::Router(router)) = self.entry(number) {
                    router.holds = holds;
                }
            }
            RouterReport::Told { number, primary } => {
                if let Some(Entry::Watch(watch)) = self.entry(number) {
                    watch.told = Some(primary);
                }
            }
            RouterReport::Gone { number } => {
                self.kept.remove(&number);
                self.sweep_at = self.sweep_at.min(sys::clock::now() + SWEEP_SOON);
            }
            RouterReport::Pong(number) => self.restart.answered(sys::clock::now(), number),
            RouterReport::Event(event) => tell::line(&words(&event)),
            RouterReport::Said(text) => tell::line(&text),
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        self.kept.get_mut(&number)?.entry.as_deref_mut()
    }

    /// It executes nothing any more: its end of the channel is closed by the kernel. To close all else that it had open may take
    /// the kernel seconds (a packet socket for each device of each router), for which the next one need not wait.
    fn hung_up(&mut self) {
        let Some((child, channel)) = self.process.take() else { return };
        let _gone = self.poller.remove(channel.as_fd());
        let _told = self.poller.modify(child.pidfd(), DYING, Interest::READ);
        self.dying.push(child);
        // Of whom it had not said what was accepted, nothing can be given to the next one: those hear the end of their sockets,
        // and join again.
        self.kept.retain(|_, kept| kept.entry.is_some());
        if !self.ended {
            let number = self.kept.len();
            tell::line(&format!(
                "the process of routers ended: another one adopts what is here of {number}"
            ));
        }
        self.restart.ended(sys::clock::now());
    }

    fn exited(&mut self) {
        // What it still said is kept.
        self.hear();
        self.hung_up();
        self.bury();
    }

    fn bury(&mut self) {
        let poller = &self.poller;
        self.dying.retain(|child| match child.reap() {
            Ok(Some(exit)) => {
                let _gone = poller.remove(child.pidfd());
                tell::line(&format!("a process of routers is gone: {}", tell::exit(exit)));
                false
            }
            Ok(None) => true,
            Err(_) => false,
        });
    }
}

/// An event in one line.
fn words(event: &api::Event) -> String {
    let parts = [&event.evidence, &event.decision, &event.action, &event.not_done];
    let parts: Vec<&str> =
        parts.into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    format!("{} {}: {}", event.node, event.what, parts.join("; "))
}
