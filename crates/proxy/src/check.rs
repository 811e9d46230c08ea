//! Asks every server with `check` how it is.
//!
//! ```text
//!   waiting --(due)--> connecting --(connected)--> asked --(report)--> waiting
//! ```
//!
//! The driver owns sockets and deadlines. What is asked is `remote::probe`, what the answers mean is
//! `engine::health`; each answer leaves as one [`Outcome`]. It runs on the control thread and waits
//! for nothing.

mod probing;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Layer, Report, Time};
use config::haproxy::{CheckKind, Server};
use engine::health::{self, Evidence, Health, Limits};
use remote::probe::{HttpQuestion, MysqlQuestion, Question};
use sys::poll::{Poller, Ready};

use crate::view::{Admin, Outcome, View};
use probing::{Probing, Step};

/// Servers with a shorter interval do not set the pace at which all others start
/// (haproxy's `SRV_CHK_INTER_THRES`).
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

/// A deadline seen later than this was missed by ourselves (frozen, starved): then the check says
/// nothing about the server and is repeated. Half of the shortest interval anybody uses.
const OWN_STALL: Duration = Duration::from_millis(500);

/// Low bits of a token: which server. 2^20 servers are more than a file of any size has.
const INDEX_BITS: u32 = 20;

/// High bits of a token: which of its checks, so that an event of a closed socket is recognised.
const NUMBER_BITS: u32 = 32 - INDEX_BITS;

/// All checks of this process.
#[derive(Debug)]
pub(crate) struct Driver {
    view: Arc<View>,
    targets: Vec<Target>,
    tokens: u64,
    started: bool,
    /// What arrives is read into this.
    buffer: Box<[u8]>,
}

/// One server with `check`.
#[derive(Debug)]
struct Target {
    proxy: usize,
    server: usize,
    address: SocketAddr,
    question: Arc<Question>,
    limits: Limits,
    health: Health,
    interval: Duration,
    fall: u32,
    /// Not in maintenance.
    wanted: bool,
    /// When the next check begins, if none is on its way.
    due: Time,
    probing: Option<Probing>,
    /// Counts checks, modulo 2^[`NUMBER_BITS`].
    number: u64,
}

impl Driver {
    /// `tokens`: the first of 2^32 epoll tokens that are the driver's own.
    pub(crate) fn new(view: &Arc<View>, tokens: u64) -> Self {
        let board = view.board();
        let mut targets = Vec::new();
        for (number, proxy) in view.config.proxies.iter().enumerate() {
            if proxy.disabled {
                continue;
            }
            let question = Arc::new(question(&proxy.check));
            for (position, server) in proxy.servers.iter().enumerate() {
                let Some(check) = &server.check else { continue };
                let health = Health::new(check, Time::NEVER);
                targets.push(Target {
                    proxy: number,
                    server: position,
                    address: address(server),
                    question: Arc::clone(&question),
                    limits: health.limits(&proxy.timeouts),
                    health,
                    interval: check.interval,
                    fall: check.fall,
                    wanted: board[number][position].admin != Admin::Maintenance,
                    due: Time::NEVER,
                    probing: None,
                    number: 0,
                });
            }
        }
        targets.truncate(1 << INDEX_BITS);
        let buffer = vec![0; remote::probe::MAX_ANSWER].into_boxed_slice();
        drop(board);
        Self { view: Arc::clone(view), targets, tokens, started: false, buffer }
    }

    /// Goes on counting where the generation before stopped.
    pub(crate) fn restore(&mut self, states: &[api::ServerState]) {
        for target in &mut self.targets {
            let proxy = &self.view.config.proxies[target.proxy];
            let known = states.iter().find(|state| {
                state.proxy == proxy.name && state.server == proxy.servers[target.server].name
            });
            let Some(state) = known else { continue };
            target.wanted = state.check != api::ServerCheck::Maintenance;
            match state.check {
                api::ServerCheck::Up => target.health.restore(true, state.count),
                api::ServerCheck::Down => target.health.restore(false, state.count),
                api::ServerCheck::Maintenance
                | api::ServerCheck::Drain
                | api::ServerCheck::Unchecked => {}
            }
        }
    }

    /// Begins to check, spread over an interval as haproxy does it. Only the proxy that serves does.
    pub(crate) fn start(&mut self, now: Time) {
        self.started = true;
        let count = self.targets.len();
        let intervals = self.targets.iter().map(|target| target.interval);
        let pace = intervals.filter(|&i| i >= SHORT_INTERVAL).min().unwrap_or(SHORT_INTERVAL);
        for (position, target) in self.targets.iter_mut().enumerate() {
            target.due = health::first_check_at(now, position, count, pace.max(target.interval));
        }
    }

    /// Ends all checks; no outcome comes any more.
    pub(crate) fn stop(&mut self, poller: &Poller) {
        self.started = false;
        for target in &mut self.targets {
            target.abandon(poller);
        }
    }

    /// When [`Driver::timeout`] is wanted.
    pub(crate) fn deadline(&self) -> Time {
        if !self.started {
            return Time::NEVER;
        }
        self.targets.iter().map(Target::deadline).min().unwrap_or(Time::NEVER)
    }

    /// By its checks; true for a server without.
    pub(crate) fn is_up(&self, proxy: usize, server: usize) -> bool {
        self.find(proxy, server).is_none_or(|index| self.targets[index].health.is_up())
    }

    /// Something spoke against a server: its next check begins at once.
    pub(crate) fn check_now(&mut self, proxy: usize, server: usize, now: Time) {
        if let Some(index) = self.find(proxy, server) {
            self.targets[index].due = self.targets[index].due.min(now);
        }
    }

    /// A server in maintenance is not checked. One that leaves maintenance counts as up until its
    /// first check, which follows at once (as haproxy does); see [`Driver::is_up`].
    pub(crate) fn set_admin(
        &mut self,
        poller: &Poller,
        proxy: usize,
        server: usize,
        to: Admin,
        now: Time,
    ) {
        let Some(index) = self.find(proxy, server) else { return };
        let target = &mut self.targets[index];
        let wanted = to != Admin::Maintenance;
        if !wanted {
            target.abandon(poller);
        } else if !target.wanted {
            let full = u16::try_from(target.fall.saturating_sub(1)).unwrap_or(u16::MAX);
            target.health.restore(true, full);
            target.due = now;
        }
        target.wanted = wanted;
    }

    /// Begins what is due, ends what took too long.
    pub(crate) fn timeout(&mut self, poller: &Poller, now: Time, out: &mut Vec<Outcome>) {
        if !self.started {
            return;
        }
        for index in 0..self.targets.len() {
            if self.targets[index].deadline() > now {
                continue;
            }
            if self.targets[index].probing.is_some() {
                self.late(index, poller, now, out);
            } else {
                self.begin(index, poller, now, out);
            }
        }
    }

    /// A socket of the driver is ready.
    pub(crate) fn ready(
        &mut self,
        poller: &Poller,
        ready: Ready,
        now: Time,
        out: &mut Vec<Outcome>,
    ) {
        let token = ready.token.wrapping_sub(self.tokens);
        let index = usize::try_from(token & ((1 << INDEX_BITS) - 1)).unwrap_or(usize::MAX);
        let current = self.targets.get(index).is_some_and(|t| t.number == token >> INDEX_BITS);
        if current {
            self.advance(index, poller, now, out);
        }
    }

    fn find(&self, proxy: usize, server: usize) -> Option<usize> {
        self.targets.iter().position(|t| (t.proxy, t.server) == (proxy, server))
    }

    fn begin(&mut self, index: usize, poller: &Poller, now: Time, out: &mut Vec<Outcome>) {
        let target = &mut self.targets[index];
        target.number = (target.number + 1) % (1 << NUMBER_BITS);
        let token = u64::try_from(index).unwrap_or(0) | target.number << INDEX_BITS;
        let token = self.tokens.wrapping_add(token);
        let begun = Probing::begin(
            Arc::clone(&target.question),
            target.address,
            target.limits,
            poller,
            token,
            now,
        );
        match begun {
            Ok(probing) => target.probing = Some(probing),
            // We are short of something. That is no verdict on the server: ask again later.
            Err(error) if is_our_fault(&error) => target.due = now + target.interval,
            Err(error) => {
                let report = Probing::refused(&target.question, &error);
                target.finish(report, now, out);
            }
        }
    }

    fn advance(&mut self, index: usize, poller: &Poller, now: Time, out: &mut Vec<Outcome>) {
        let target = &mut self.targets[index];
        let Some(probing) = &mut target.probing else { return };
        match probing.advance(poller, &mut self.buffer, now) {
            Step::Waits => {}
            Step::Done(report) => {
                target.abandon(poller);
                target.finish(report, now, out);
            }
        }
    }

    /// The answer may have come while nobody looked: look once more before accusing.
    fn late(&mut self, index: usize, poller: &Poller, now: Time, out: &mut Vec<Outcome>) {
        self.advance(index, poller, now, out);
        let target = &mut self.targets[index];
        let Some(probing) = target.probing.as_mut().filter(|p| p.deadline() <= now) else { return };
        if now.since(probing.deadline()) > OWN_STALL {
            target.abandon(poller);
            target.due = now;
            return;
        }
        let report = probing.give_up(now);
        target.abandon(poller);
        target.finish(report, now, out);
    }
}

impl Target {
    fn deadline(&self) -> Time {
        match &self.probing {
            Some(probing) => probing.deadline(),
            None if self.wanted => self.due,
            None => Time::NEVER,
        }
    }

    fn abandon(&mut self, poller: &Poller) {
        if let Some(probing) = self.probing.take() {
            probing.end(poller);
        }
    }

    fn finish(&mut self, report: Report, now: Time, out: &mut Vec<Outcome>) {
        // The state after it is in the outcome; who compares finds the change.
        let _ = self.health.record(now, report.passed);
        self.due = self.health.next_check_at();
        out.push(Outcome {
            proxy: self.proxy,
            server: self.server,
            report,
            count: self.health.count(),
            up: self.health.is_up(),
        });
    }
}

/// What a check that just ended says beyond the file's rise and fall: a refused connection speaks
/// against the server at once, without waiting for `fall`.
pub(crate) fn evidence(report: &Report, now: Time) -> Option<Evidence> {
    match report.layer {
        Layer::ConnectError => Some(Evidence::Refused),
        Layer::ConnectOk | Layer::AnswerOk => Some(Evidence::CheckPassed {
            started: now - report.duration,
            answered: report.layer == Layer::AnswerOk,
        }),
        Layer::Socket
        | Layer::ConnectTimeout
        | Layer::AnswerTimeout
        | Layer::AnswerInvalid
        | Layer::AnswerBad => None,
    }
}

fn question(kind: &CheckKind) -> Question {
    match kind {
        CheckKind::Tcp => Question::Connect,
        CheckKind::Http(http) => Question::Http(HttpQuestion::new(
            &http.method,
            &http.uri,
            &http.version,
            &http.headers,
            &http.body,
            &http.expect_status,
        )),
        CheckKind::Mysql(mysql) => Question::Mysql(match &mysql.user {
            Some(user) => MysqlQuestion::login(user, mysql.pre_41),
            None => MysqlQuestion::greeting(),
        }),
    }
}

/// `addr` and `port` of the check, if given.
fn address(server: &Server) -> SocketAddr {
    let check = server.check.as_ref();
    let ip = check.and_then(|c| c.address).unwrap_or_else(|| server.address.ip());
    let port = check.and_then(|c| c.port).unwrap_or_else(|| server.address.port());
    SocketAddr::new(ip, port)
}

/// No descriptors, no memory, no ports.
fn is_our_fault(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    ours.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
