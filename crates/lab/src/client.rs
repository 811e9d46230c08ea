//! The client of the demo: it asks on schedule, whatever became of the questions before.
//!
//! One thread in the client's namespace starts one HTTP request and one database session every
//! interval (open loop), keeps a few database sessions open that write all the time, and records
//! when each request was due, when it ended and how. Nothing is tried again.

mod live;
mod talk;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Time;
use sys::poll::{Interest, Poller, Ready};

pub(crate) use self::live::{Live, Slot};
use self::talk::{Progress, Talk};

/// The priority of the client's thread among the real-time ones: below the vip process, above all
/// that is ordinary.
const PRIORITY: u8 = 20;
/// Requests under way at once; beyond it a due request fails at once and says so.
const MOST_OPEN: usize = 8192;
/// Time between two writes of a long session.
const WRITE_EVERY: Duration = Duration::from_millis(20);
/// Before a broken long session is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(20);
/// A long session lives this long, so that new ones begin during every run.
const SESSION_LIFE: Duration = Duration::from_secs(4);

/// What is asked, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) api: SocketAddr,
    /// None: it is not asked.
    pub(crate) database: Option<SocketAddr>,
    /// Between two questions to the same port.
    pub(crate) interval: Duration,
    /// When a request without an answer counts as failed.
    pub(crate) limit: Duration,
    /// Long database sessions that write all the time.
    pub(crate) sessions: usize,
    pub(crate) realtime: bool,
}

/// Which question.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Port {
    Api,
    Database,
}

impl Port {
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Database => "database",
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) port: Port,
    /// When it was due.
    pub(crate) scheduled: Time,
    pub(crate) ended: Time,
    pub(crate) outcome: Outcome,
}

impl Sample {
    /// Why it failed.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Answered(_) => None,
            Outcome::Failed(why) => Some(why.clone()),
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// By this server.
    Answered(String),
    Failed(String),
}

/// A write that a database server acknowledged on a long session.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// Counts long sessions, reopened ones anew.
    pub(crate) session: u32,
    pub(crate) at: Time,
    pub(crate) server: String,
}

/// All that one client saw.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) samples: Vec<Sample>,
    pub(crate) writes: Vec<Write>,
    pub(crate) interval: Duration,
}

/// A running client.
#[derive(Debug)]
pub(crate) struct Client {
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<Run>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: [AtomicU64; 2],
    /// Where the outcomes go instead of the record, for a client that runs for hours.
    live: Option<Arc<Mutex<Live>>>,
}

impl Client {
    /// Starts asking from inside `netns`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(netns: BorrowedFd<'_>, plan: Plan) -> io::Result<Self> {
        Self::begin(netns, plan, None)
    }

    /// The same, but nothing is recorded: outcomes are counted in `live`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start_live(
        netns: BorrowedFd<'_>,
        plan: Plan,
        live: &Arc<Mutex<Live>>,
    ) -> io::Result<Self> {
        Self::begin(netns, plan, Some(Arc::clone(live)))
    }

    fn begin(
        netns: BorrowedFd<'_>,
        plan: Plan,
        live: Option<Arc<Mutex<Live>>>,
    ) -> io::Result<Self> {
        let netns = netns.try_clone_to_owned()?;
        let shared = Arc::new(Shared { live, ..Shared::default() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("client".into()).spawn(move || {
            sys::netns::enter(netns.as_fd())?;
            if plan.realtime {
                sys::schedule::realtime(PRIORITY)?;
            }
            Loop::new(plan, theirs)?.run()
        })?;
        Ok(Self { shared, thread })
    }

    /// Good answers so far.
    #[must_use]
    pub(crate) fn answered(&self, port: Port) -> u64 {
        self.shared.answered[port as usize].load(Ordering::Relaxed)
    }

    #[must_use]
    pub(crate) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Asks nothing new, waits for what is under way (at most the limit), and hands out the record.
    ///
    /// # Errors
    /// When the thread could not work.
    ///
    /// # Panics
    /// When the client's thread panicked.
    pub(crate) fn finish(self) -> io::Result<Run> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client's thread does not panic")
    }
}

#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    talk: Talk,
    connected: bool,
    scheduled: Time,
    expires: Time,
    /// Tells this use of the slot from earlier ones.
    generation: u32,
}

/// A long session: which one it is, when it ends, when it writes next.
#[derive(Clone, Copy, Debug)]
struct Session {
    number: u32,
    slot: Option<usize>,
    due: Time,
    ends: Time,
}

struct Loop {
    plan: Plan,
    shared: Arc<Shared>,
    poller: Poller,
    open: Vec<Option<Open>>,
    free: Vec<usize>,
    generation: u32,
    /// Slots in the order of their deadlines, with the generation they were meant for.
    deadlines: VecDeque<(Time, usize, u32)>,
    sessions: Vec<Session>,
    session_count: u32,
    run: Run,
}

impl Loop {
    fn new(plan: Plan, shared: Arc<Shared>) -> io::Result<Self> {
        let now = sys::clock::now();
        let session = |n: u32| Session {
            number: n,
            slot: None,
            // Spread out, so that they do not all begin again at once.
            due: now + SESSION_LIFE / 16 * n,
            ends: now,
        };
        let session_count = u32::try_from(plan.sessions).unwrap_or(0);
        Ok(Self {
            plan,
            shared,
            poller: Poller::new()?,
            open: Vec::new(),
            free: Vec::new(),
            generation: 0,
            deadlines: VecDeque::new(),
            sessions: (0..session_count).map(session).collect(),
            session_count,
            run: Run { interval: plan.interval, ..Run::default() },
        })
    }

    fn run(mut self) -> io::Result<Run> {
        let mut ready = Vec::with_capacity(256);
        let mut due = sys::clock::now();
        let mut port = Port::Api;
        loop {
            let stopping = self.shared.stop.load(Ordering::Relaxed);
            let now = sys::clock::now();
            if stopping {
                self.close_sessions();
                if self.open.iter().all(Option::is_none) {
                    return Ok(self.run);
                }
            } else {
                // A late thread starts all that became due: the schedule does not wait for it.
                while due <= now {
                    self.start(port, due);
                    if self.plan.database.is_some() {
                        port = if port == Port::Api { Port::Database } else { Port::Api };
                        due += self.plan.interval / 2;
                    } else {
                        due += self.plan.interval;
                    }
                }
                self.write_sessions(now);
            }
            self.expire(now);
            let next = if stopping { now + WRITE_EVERY } else { due };
            self.poller.wait(&mut ready, Some(next.since(sys::clock::now())))?;
            for &event in &ready {
                self.advance(event);
            }
        }
    }

    fn start(&mut self, port: Port, due: Time) {
        let (to, talk) = match (port, self.plan.database) {
            (Port::Database, Some(database)) => (database, Talk::ping()),
            (Port::Database, None) | (Port::Api, _) => (self.plan.api, Talk::http(self.plan.api)),
        };
        if let Err(why) = self.connect(to, talk, due, due + self.plan.limit) {
            self.record(port, due, Outcome::Failed(why.to_string()));
        }
    }

    fn connect(&mut self, to: SocketAddr, talk: Talk, due: Time, ends: Time) -> io::Result<usize> {
        if self.open.len() - self.free.len() >= MOST_OPEN {
            return Err(io::Error::other("too many requests under way"));
        }
        let fd = sys::socket::connect_tcp(to)?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let token = (u64::from(generation) << 32) | u64::try_from(slot).unwrap_or(0);
        let added =
            self.poller.add(fd.as_fd(), token, Interest::READ | Interest::WRITE | Interest::EDGE);
        if let Err(error) = added {
            self.free.push(slot);
            return Err(error);
        }
        if talk.port().is_some() {
            self.deadlines.push_back((ends, slot, generation));
        }
        let open = Open { fd, talk, connected: false, scheduled: due, expires: ends, generation };
        self.open[slot] = Some(open);
        Ok(slot)
    }

    fn advance(&mut self, event: Ready) {
        let slot = usize::try_from(event.token & 0xffff_ffff).unwrap_or(usize::MAX);
        let Some(Some(open)) = self.open.get_mut(slot) else { return };
        if u64::from(open.generation) != event.token >> 32 {
            return;
        }
        let progress = open.advance(event);
        let scheduled = open.scheduled;
        let port = open.talk.port();
        match progress {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Acknowledged(server)) => self.acknowledge(slot, server),
            Ok(Progress::Answered(server)) => {
                if let Some(port) = port {
                    self.shared.answered[port as usize].fetch_add(1, Ordering::Relaxed);
                    self.record(port, scheduled, Outcome::Answered(server));
                }
                self.close(slot);
            }
            Err(why) => {
                if let Some(port) = port {
                    self.record(port, scheduled, Outcome::Failed(why));
                }
                self.close(slot);
            }
        }
    }

    fn record(&mut self, port: Port, scheduled: Time, outcome: Outcome) {
        let ended = sys::clock::now();
        if let Some(live) = &self.shared.live {
            let good = matches!(outcome, Outcome::Answered(_));
            let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
            return live.note(port, scheduled, ended, good);
        }
        self.run.samples.push(Sample { port, scheduled, ended, outcome });
    }

    fn close(&mut self, slot: usize) {
        if self.open[slot].take().is_some() {
            self.free.push(slot);
        }
        for session in self.sessions.iter_mut().filter(|s| s.slot == Some(slot)) {
            session.slot = None;
            session.due = sys::clock::now() + REOPEN_AFTER;
        }
    }

    fn expire(&mut self, now: Time) {
        while let Some(&(at, slot, generation)) = self.deadlines.front() {
            if at > now {
                return;
            }
            self.deadlines.pop_front();
            let Some(open) = &self.open[slot] else { continue };
            if open.generation != generation {
                continue;
            }
            if let Some(port) = open.talk.port() {
                let waited = open.expires - open.scheduled;
                let why = format!("no answer in {waited:?}");
                self.record(port, open.scheduled, Outcome::Failed(why));
            }
            self.close(slot);
        }
    }

    fn write_sessions(&mut self, now: Time) {
        for index in 0..self.sessions.len() {
            let session = self.sessions[index];
            if now < session.due {
                continue;
            }
            self.sessions[index].due = now + WRITE_EVERY;
            match session.slot {
                None => self.open_session(index, now),
                Some(slot) if now >= session.ends => self.close(slot),
                Some(slot) => {
                    let Some(open) = &mut self.open[slot] else { continue };
                    if open.write().is_err() {
                        self.close(slot);
                    }
                }
            }
        }
    }

    fn open_session(&mut self, index: usize, now: Time) {
        let Some(database) = self.plan.database else { return };
        self.session_count += 1;
        let number = self.session_count;
        let slot = self.connect(database, Talk::session(), now, Time::NEVER).ok();
        let ends = now + SESSION_LIFE;
        self.sessions[index] = Session { number, slot, due: now + WRITE_EVERY, ends };
    }

    fn acknowledge(&mut self, slot: usize, server: String) {
        if self.shared.live.is_some() {
            return;
        }
        let Some(session) = self.sessions.iter().find(|s| s.slot == Some(slot)) else { return };
        let at = sys::clock::now();
        self.run.writes.push(Write { session: session.number, at, server });
    }

    fn close_sessions(&mut self) {
        for slot in self.sessions.iter().filter_map(|s| s.slot).collect::<Vec<_>>() {
            self.close(slot);
        }
    }
}

impl Open {
    fn advance(&mut self, event: Ready) -> Result<Progress, String> {
        if !self.connected {
            if event.error || event.hangup {
                sys::socket::take_error(self.fd.as_fd()).map_err(|error| short(&error))?;
            }
            if !event.writable {
                return Ok(Progress::Waiting);
            }
            self.connected = true;
            if let Some(bytes) = self.talk.opening() {
                self.send(&bytes)?;
            }
        }
        let mut bytes = [0; 4096];
        loop {
            match sys::socket::receive(self.fd.as_fd(), &mut bytes) {
                Ok(0) => return self.talk.ended(),
                Ok(count) => match self.talk.received(&bytes[..count])? {
                    (Some(answer), progress) => {
                        self.send(&answer)?;
                        if !matches!(progress, Progress::Waiting) {
                            return Ok(progress);
                        }
                    }
                    (None, Progress::Waiting) => {}
                    (None, progress) => return Ok(progress),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Waiting);
                }
                Err(error) => return Err(short(&error)),
            }
        }
    }

    /// The next write of a long session, unless the one before is unanswered.
    fn write(&mut self) -> Result<(), String> {
        match self.talk.next_write() {
            Some(bytes) if self.connected => self.send(&bytes),
            Some(_) | None => Ok(()),
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), String> {
        let sent = sys::socket::send(self.fd.as_fd(), bytes, false);
        let sent = sent.map_err(|error| short(&error))?;
        // A fresh socket takes some hundred bytes whole.
        if sent == bytes.len() { Ok(()) } else { Err("cannot send".into()) }
    }
}

/// The reason without the number of the error.
fn short(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
