//! What everybody in this process may look at: configuration, counters, the state of each server.
//!
//! Nothing here is touched on the request path except [`Counters`].

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Report, Time};
use config::haproxy::Haproxy;

use crate::counters::Counters;
use crate::log::Tally;

/// How long `show sess` waits for the workers: one that does not answer by then is frozen, and the
/// list says what the others have.
const SESSIONS_WAIT: Duration = Duration::from_millis(200);

/// Shared by control thread and workers.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) config: Haproxy,
    pub(crate) mode: api::Mode,
    /// The name of this node.
    pub(crate) node: String,
    pub(crate) workers: usize,
    /// Of the process that the operator started and that stays: the supervisor.
    pub(crate) pid: u32,
    pub(crate) started: Time,
    /// Milliseconds since 1970 (UTC).
    pub(crate) started_ms: u64,
    pub(crate) counters: Counters,
    /// `show info`, `Maxconn`.
    pub(crate) maxconn: u32,
    pub(crate) draining: AtomicBool,
    board: Mutex<Vec<Vec<ServerStatus>>>,
    pub(crate) sessions: SessionsAsk,
    /// What became of log lines, per target.
    pub(crate) logs: Vec<Tally>,
}

/// One server, as the control thread (its only writer) knows it.
#[derive(Clone, Debug)]
pub(crate) struct ServerStatus {
    /// It has `check` on its line.
    pub(crate) checked: bool,
    /// By its checks; true without checks.
    pub(crate) up: bool,
    pub(crate) admin: Admin,
    /// Adaptive: evidence beyond the file's checks says no.
    pub(crate) suspect: bool,
    /// Adaptive: its node takes on no work.
    pub(crate) resting: bool,
    /// Why up, down or suspect, as `outlast status` prints it.
    pub(crate) why: String,
    /// Successes or failures counted towards the next change.
    pub(crate) count: u16,
    /// The last check.
    pub(crate) report: Option<Report>,
    /// Of the last change between up and down.
    pub(crate) changed: Time,
    pub(crate) failed_checks: u64,
    /// Times it went down.
    pub(crate) downs: u64,
    /// Before `changed`.
    pub(crate) downtime: Duration,
}

/// What the operator wants of a server (`set server B/S state ...`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Admin {
    #[default]
    Ready,
    /// No new sessions except by persistence.
    Drain,
    /// Nothing at all, no checks either.
    Maintenance,
}

/// What one check of one server led to; `check::Driver` tells the control thread.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) proxy: usize,
    pub(crate) server: usize,
    pub(crate) report: Report,
    /// Counted towards the next change.
    pub(crate) count: u16,
    /// The state by checks after this one.
    pub(crate) up: bool,
}

/// What the statistics socket or page wants done; the control thread does it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    SetServer { proxy: usize, server: usize, to: Admin },
}

/// One line of `show sess`.
#[derive(Clone, Debug)]
pub(crate) struct SessionLine {
    /// Unique in this process: printed as the session's address.
    pub(crate) id: u64,
    pub(crate) worker: usize,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) frontend: usize,
    pub(crate) backend: Option<usize>,
    pub(crate) server: Option<usize>,
    pub(crate) began: Time,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Time left of the next timeout.
    pub(crate) expires: Option<Duration>,
}

/// A question to all workers, and the place for their answers.
#[derive(Debug, Default)]
pub(crate) struct SessionsAsk {
    state: Mutex<Sessions>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Sessions {
    number: u64,
    missing: usize,
    lines: Vec<SessionLine>,
}

impl SessionsAsk {
    /// Asks by `post(number)`, which tells every worker, and waits a little for the answers.
    pub(crate) fn ask(&self, workers: usize, post: impl FnOnce(u64)) -> Vec<SessionLine> {
        let mut state = lock(&self.state);
        state.number += 1;
        state.missing = workers;
        state.lines.clear();
        let number = state.number;
        drop(state);
        post(number);
        let state = lock(&self.state);
        let waited = self.answered.wait_timeout_while(state, SESSIONS_WAIT, |s| s.missing > 0);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.lines)
    }

    /// A worker's answer; one to an older question is dropped.
    pub(crate) fn answer(&self, number: u64, lines: Vec<SessionLine>) {
        let mut state = lock(&self.state);
        if state.number == number && state.missing > 0 {
            state.missing -= 1;
            state.lines.extend(lines);
            self.answered.notify_one();
        }
    }
}

impl View {
    pub(crate) fn new(
        config: Haproxy,
        mode: api::Mode,
        node: &str,
        workers: usize,
        maxconn: u32,
        now: Time,
        wall_ms: u64,
    ) -> Arc<Self> {
        let counters = Counters::new(&config, workers);
        let board = config
            .proxies
            .iter()
            .map(|proxy| proxy.servers.iter().map(|s| ServerStatus::new(s, now)).collect());
        Arc::new(Self {
            board: Mutex::new(board.collect()),
            counters,
            mode,
            node: node.to_owned(),
            workers,
            pid: std::os::unix::process::parent_id(),
            started: now,
            started_ms: wall_ms,
            maxconn,
            draining: AtomicBool::new(false),
            sessions: SessionsAsk::default(),
            logs: crate::log::tallies(&config),
            config,
        })
    }

    /// Status of every server: `[proxy][server]`. Hold it briefly; never on the request path.
    pub(crate) fn board(&self) -> MutexGuard<'_, Vec<Vec<ServerStatus>>> {
        lock(&self.board)
    }

    pub(crate) fn adaptive(&self) -> bool {
        self.mode == api::Mode::Adaptive
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}

impl ServerStatus {
    fn new(server: &config::haproxy::Server, now: Time) -> Self {
        Self {
            checked: server.check.is_some(),
            up: true,
            admin: if server.disabled { Admin::Maintenance } else { Admin::Ready },
            suspect: false,
            resting: false,
            why: String::new(),
            count: 0,
            report: None,
            changed: now,
            failed_checks: 0,
            downs: 0,
            downtime: Duration::ZERO,
        }
    }

    /// May get sessions, as far as checks and the operator are concerned.
    pub(crate) fn serves(&self) -> bool {
        self.up && self.admin != Admin::Maintenance
    }
}

/// Where a thread panicked while holding it, what it guards is still whole: writers only assign.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
