//! The main thread of the proxy process: orders, checks, statistics socket, letters to workers.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use api::{Order, Report};
use base::Time;
use config::cluster::Cluster;
use sys::channel::Channel;
use sys::poll::{Interest, Poller, Ready};

use crate::check;
use crate::log::{Logger, Sockets};
use crate::setup::Error;
use crate::shared::{Letter, Note, Shared};
use crate::view::{View, Wish};
use servers::Known;
use writer::Seat;

mod logs;
mod servers;
mod tell;
mod waiting;
mod wishes;
mod writer;

const CHANNEL: u64 = 0;
const BELL: u64 = 1;
/// The first tokens of checks and of the statistics socket.
const CHECKS: u64 = 1 << 32;
const STATISTICS: u64 = 2 << 32;

/// Rates are counted per second.
const SAMPLE: Duration = Duration::from_secs(1);

/// Letters whose answers are awaited at once. Pings come ten times a second: a worker that missed
/// six seconds of them has been given up by the supervisor long before.
const MOST_AWAITED: usize = 64;

/// How soon they are tried again.
const TRY_AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Control {
    channel: Channel,
    poller: Poller,
    shared: Arc<Shared>,
    view: Arc<View>,
    checks: check::Driver,
    /// None when draining: the process after answers.
    statistics: Option<crate::stats::Socket>,
    logger: Logger,
    logs: Arc<Sockets>,
    /// Per log target.
    log_watches: Vec<logs::Watch>,
    /// Per proxy and server: what the board does not show.
    known: Vec<Vec<Known>>,
    writers: Vec<Seat>,
    cluster: Option<Cluster>,
    /// Positions of vip instances held by this node.
    holding: Vec<bool>,
    generation: u64,
    is_active: bool,
    /// Letters that want an answer, and how many answers each worker gave.
    asked: u64,
    answered: Vec<u64>,
    awaited: VecDeque<(u64, Await)>,
    /// Workers without sessions, draining.
    empty: Vec<bool>,
    waiting: waiting::Waiting,
    wishes: wishes::Wishes,
    sample_at: Time,
    now: Time,
    is_over: bool,
}

/// What happens when every worker has answered.
#[derive(Clone, Copy, Debug)]
enum Await {
    Serving,
    Pong(u64),
    /// Sessions with the former writer are closed.
    Closed {
        seat: usize,
    },
    Nothing,
}

impl Control {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        channel: Channel,
        start: &api::Start,
        cluster: Option<Cluster>,
        statistics: Vec<(OwnedFd, bool)>,
        logs: &Arc<Sockets>,
    ) -> Result<Self, Error> {
        let view = Arc::clone(&shared.view);
        let poller = Poller::new().map_err(Error::Poll)?;
        let channel_fd = channel.as_fd();
        poller.add(channel_fd, CHANNEL, Interest::READ).map_err(Error::Poll)?;
        poller.add(shared.control.waker.as_fd(), BELL, Interest::READ).map_err(Error::Poll)?;
        let now = sys::clock::now();
        let mut control = Self {
            channel,
            poller,
            checks: check::Driver::new(&view, CHECKS),
            statistics: Some(crate::stats::Socket::new(&view, statistics, STATISTICS)),
            logger: Logger::new(&view, logs),
            logs: Arc::clone(logs),
            log_watches: vec![logs::Watch::default(); view.logs.len()],
            known: servers::known(&view.config, cluster.as_ref()),
            writers: writer::seats(&view, cluster.as_ref(), start, shared),
            cluster,
            holding: Vec::new(),
            generation: start.generation,
            is_active: false,
            asked: 0,
            answered: vec![0; view.workers],
            awaited: VecDeque::new(),
            empty: vec![false; view.workers],
            waiting: waiting::Waiting::default(),
            wishes: wishes::Wishes::default(),
            sample_at: now + SAMPLE,
            now,
            is_over: false,
            shared: Arc::clone(shared),
            view,
        };
        control.hold_writers();
        control.restore(&start.servers);
        for node in &start.nodes {
            control.node_changed(node);
        }
        for choice in &start.choices {
            control.told(choice);
        }
        control.send_all_conditions();
        Ok(control)
    }

    /// The loop. Returns when it is over.
    pub(crate) fn run(&mut self) -> Result<(), Error> {
        self.say(&Report::Ready { generation: self.generation });
        let mut ready = Vec::with_capacity(64);
        while !self.is_over {
            let timeout = self.timeout();
            self.poller.wait(&mut ready, timeout).map_err(Error::Poll)?;
            self.now = sys::clock::now();
            for event in &ready {
                self.event(event);
            }
            self.after_events();
        }
        if self.view.is_draining() {
            (0..self.view.config.proxies.len()).for_each(|proxy| self.logger.stopped(proxy));
        }
        self.logger.flush();
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let retry = if self.waiting.is_empty() { Time::NEVER } else { self.now + TRY_AGAIN };
        let next = self
            .checks
            .deadline()
            .min(self.statistics.as_ref().map_or(Time::NEVER, crate::stats::Socket::deadline))
            .min(self.suspicion_deadline())
            .min(self.sample_at)
            .min(retry);
        (next != Time::NEVER).then(|| next.since(self.now))
    }

    fn event(&mut self, event: &Ready) {
        match event.token {
            CHANNEL => self.read_orders(),
            BELL => self.read_notes(),
            token if token >= STATISTICS => {
                let mut wishes = Vec::new();
                let shared = Arc::clone(&self.shared);
                let ask = || {
                    let post = |number| shared.post_all(&Letter::Sessions(number));
                    shared.view.sessions.ask(shared.view.workers, post)
                };
                if let Some(statistics) = &mut self.statistics {
                    statistics.ready(&self.poller, *event, self.now, &ask, &mut wishes);
                }
                self.grant(wishes);
            }
            _ => {
                let mut outcomes = Vec::new();
                self.checks.ready(&self.poller, *event, self.now, &mut outcomes);
                self.checked(outcomes);
            }
        }
    }

    fn after_events(&mut self) {
        if self.checks.deadline() <= self.now {
            let mut outcomes = Vec::new();
            self.checks.timeout(&self.poller, self.now, &mut outcomes);
            self.checked(outcomes);
        }
        if let Some(statistics) = self.statistics.as_mut().filter(|s| s.deadline() <= self.now) {
            statistics.timeout(&self.poller, self.now);
        }
        self.expire_suspicions();
        if self.now >= self.sample_at {
            self.sample_at = self.now + SAMPLE;
            self.view.counters.sample();
            self.watch_logs();
            self.tell_wishes(self.now);
        }
        self.send_waiting();
        self.logger.flush();
    }

    fn read_orders(&mut self) {
        let mut buffer = vec![0; api::MAX_MESSAGE];
        loop {
            let mut files = Vec::new();
            match self.channel.receive(&mut buffer, &mut files) {
                Ok(0) => {
                    self.is_over = true;
                    return;
                }
                Ok(count) => match api::decode::<Order>(&buffer[..count]) {
                    Ok(order) => self.obey(order),
                    Err(error) => self.not_understood(&error),
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.is_over = true;
                    return;
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Activate => self.activate(),
            Order::Drain => self.drain(),
            Order::Ping(number) => {
                if self.awaited.len() < MOST_AWAITED {
                    self.ask(&Letter::Ping, Await::Pong(number));
                }
            }
            Order::Stop => {
                self.tell_wishes(Time::NEVER);
                self.is_over = true;
            }
            Order::Change(change) => self.change(change),
            // For other processes, or before this thread was there.
            Order::Start(_)
            | Order::Retire
            | Order::Relay(..)
            | Order::Keys
            | Order::Refused { .. }
            | Order::GiveUp { .. }
            | Order::Succeed { .. }
            | Order::Count { .. }
            | Order::Move { .. }
            | Order::Anywhere { .. } => {}
            Order::Use { proxy, server } => self.writer_asked(&proxy, &server),
        }
    }

    fn activate(&mut self) {
        if self.is_active {
            return;
        }
        self.is_active = true;
        // Clients may wait already.
        self.ask(&Letter::Activate, Await::Serving);
        self.checks.start(self.now);
        if let Some(statistics) = &mut self.statistics
            && let Err(error) = statistics.start(&self.poller)
        {
            self.cannot_show(&error);
        }
        self.start_writers();
        self.say_all_servers();
    }

    fn drain(&mut self) {
        self.view.draining.store(true, Relaxed);
        self.is_active = false;
        self.checks.stop(&self.poller);
        // Nobody can wish any more.
        self.tell_wishes(Time::NEVER);
        if let Some(mut statistics) = self.statistics.take() {
            statistics.stop(&self.poller);
        }
        self.shared.post_all(&Letter::Drain);
    }

    /// Posts a letter that every worker answers.
    fn ask(&mut self, letter: &Letter, then: Await) {
        self.asked += 1;
        self.awaited.push_back((self.asked, then));
        self.shared.post_all(letter);
    }

    fn read_notes(&mut self) {
        for note in self.shared.control.take() {
            match note {
                Note::Done { worker } => self.answered[worker] += 1,
                Note::Empty { worker } => self.empty[worker] = true,
                Note::Evidence { proxy, server, evidence } => self.seen(proxy, server, evidence),
                Note::Closed { proxy, count } => self.sessions_closed(proxy, count),
                Note::Panicked { worker } => self.panicked(worker),
            }
        }
        let all = self.answered.iter().copied().min().unwrap_or(0);
        while let Some((number, then)) = self.awaited.front().copied() {
            if number > all {
                break;
            }
            self.awaited.pop_front();
            self.answered_by_all(then);
        }
        if self.view.is_draining() && self.empty.iter().all(|empty| *empty) {
            self.is_over = true;
        }
    }

    fn answered_by_all(&mut self, then: Await) {
        match then {
            Await::Serving => self.say(&Report::Serving { generation: self.generation }),
            Await::Pong(number) => self.say(&Report::Pong(number)),
            Await::Closed { seat } => self.open_writer(seat),
            Await::Nothing => {}
        }
    }

    fn grant(&mut self, wishes: Vec<(Wish, String)>) {
        for (wish, by) in wishes {
            match wish {
                Wish::SetServer { proxy, server, to } => {
                    self.set_admin(proxy, server, to);
                    self.tell_wish((proxy, server), to, by);
                }
            }
        }
    }
}
