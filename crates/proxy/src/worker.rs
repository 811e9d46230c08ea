//! One data thread: its epoll loop, its sessions, its connections to servers.
//!
//! ```text
//! wait -> for each ready descriptor: note it, drive its session -> turns and timers -> flush logs
//! ```

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::{io, mem};

use base::Time;
use sys::poll::{Interest, Poller, Ready};

use crate::buffer::Buffers;
use crate::choice::{Backend, IDLE_LIMIT};
use crate::listener::Listener;
use crate::log::Logger;
use crate::queue::Ticket;
use crate::server::Link;
use crate::session::{Phase, Session, Transaction};
use crate::shared::{Note, Shared};
use crate::slab::{Key, Slab};
use crate::timer::Timers;
use crate::view::View;

mod letters;

/// The upper two bits of an epoll token say what it names.
pub(crate) const KIND_CLIENT: u64 = 0;
pub(crate) const KIND_LINK: u64 = 1 << 62;
pub(crate) const KIND_LISTENER: u64 = 2 << 62;
const KIND_BELL: u64 = 3 << 62;

/// Sockets are registered once, for everything.
pub(crate) fn stream() -> Interest {
    Interest::READ | Interest::WRITE | Interest::EDGE
}

/// What one read may bring: large enough that bulk bodies need few calls, small enough for the
/// processor's cache.
pub(crate) const SCRATCH: usize = 64 * 1024;

/// Descriptors looked at between two waits.
const BATCH: usize = 256;

/// Kept connections, suspicions of silence: looked at this often.
const TICK: Duration = Duration::from_millis(500);

/// Finished transactions kept for the next request.
const SPARE_TRANSACTIONS: usize = 256;

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) core: Core,
    pub(crate) sessions: Slab<Session>,
    pub(crate) listeners: Vec<Listener>,
    scratch: Box<[u8]>,
    pub(crate) is_active: bool,
    is_stopped: bool,
    told_empty: bool,
    tick_at: Time,
}

/// What a session may use while it is driven.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: Arc<View>,
    pub(crate) poller: Poller,
    pub(crate) now: Time,
    pub(crate) links: Slab<Link>,
    pub(crate) backends: Vec<Backend>,
    pub(crate) timers: Timers,
    pub(crate) buffers: Buffers,
    /// Heads and pages are composed here.
    pub(crate) out: Vec<u8>,
    pub(crate) logger: Logger,
    /// Sessions to be driven again before the next wait.
    pub(crate) later: Vec<Key>,
    /// Sessions whose turn in a queue has come.
    pub(crate) turns: Vec<Ticket>,
    /// When a connect that nobody waits for any more has been silent for too long.
    pub(crate) late_until: Time,
    /// Connections ended: other listeners may accept again.
    pub(crate) ended: bool,
    #[expect(clippy::vec_box, reason = "sessions hold boxes; moving the pointer is the point")]
    pub(crate) spare: Vec<Box<Transaction>>,
    /// Wall clock at `Time::ZERO`, in milliseconds.
    wall_origin: u64,
}

impl Core {
    fn new(index: usize, shared: &Arc<Shared>, logger: Logger) -> io::Result<Self> {
        let view = Arc::clone(&shared.view);
        let may_redispatch = !shared.breaks(api::Break::Redispatch);
        let backend = |proxy| Backend::new(proxy, view.adaptive(), may_redispatch);
        Ok(Self {
            index,
            poller: Poller::new()?,
            now: sys::clock::now(),
            links: Slab::new(),
            backends: view.config.proxies.iter().map(backend).collect(),
            timers: Timers::default(),
            buffers: Buffers::default(),
            out: Vec::new(),
            logger,
            later: Vec::new(),
            turns: Vec::new(),
            late_until: Time::NEVER,
            ended: false,
            spare: Vec::new(),
            wall_origin: 0,
            shared: Arc::clone(shared),
            view,
        })
    }

    /// Milliseconds since 1970 at a moment of the recent past.
    pub(crate) fn wall_ms(&self, at: Time) -> u64 {
        self.wall_origin + at.as_nanos() / 1_000_000
    }

    fn set_wall(&mut self) {
        self.now = sys::clock::now();
        self.wall_origin = sys::clock::wall_ms().saturating_sub(self.now.as_nanos() / 1_000_000);
    }

    pub(crate) fn transaction(&mut self) -> Box<Transaction> {
        let mut transaction: Box<Transaction> = self.spare.pop().unwrap_or_default();
        if let Some(requests) = &self.shared.requests {
            transaction.number = requests.fetch_add(1, Relaxed);
        }
        transaction
    }

    pub(crate) fn give_back(&mut self, mut transaction: Box<Transaction>) {
        if self.spare.len() < SPARE_TRANSACTIONS {
            transaction.reset(&mut self.buffers);
            self.spare.push(transaction);
        }
    }
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        shared: &Arc<Shared>,
        logger: Logger,
        listeners: Vec<Listener>,
    ) -> io::Result<Self> {
        let mut core = Core::new(index, shared, logger)?;
        core.set_wall();
        let bell = &shared.workers[index].waker;
        core.poller.add(bell.as_fd(), KIND_BELL, Interest::READ)?;
        Ok(Self {
            tick_at: core.now + TICK,
            core,
            sessions: Slab::new(),
            listeners,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            is_active: false,
            is_stopped: false,
            told_empty: false,
        })
    }

    /// The thread's life.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(BATCH);
        while !self.is_stopped {
            let timeout = self.timeout();
            self.core.poller.wait(&mut ready, timeout)?;
            self.core.now = sys::clock::now();
            for event in &ready {
                self.event(event);
            }
            self.after_events();
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.core.later.is_empty() || !self.core.turns.is_empty() {
            return Some(Duration::ZERO);
        }
        // Without sessions, kept connections and listeners that stopped there is nothing to look
        // after.
        let idle = self.sessions.is_empty() && self.core.links.is_empty() && !self.is_starved();
        let tick = if idle { Time::NEVER } else { self.tick_at };
        let next = self.core.timers.next().min(tick).min(self.core.late_until);
        (next != Time::NEVER).then(|| next - self.core.now)
    }

    fn event(&mut self, event: &Ready) {
        let key = Key::from_bits(event.token & !KIND_BELL);
        match event.token & KIND_BELL {
            KIND_CLIENT => {
                let Some(session) = self.sessions.get_mut(key) else { return };
                session.client.note(event);
                self.drive(key);
            }
            KIND_LINK => {
                let Some(link) = self.core.links.get_mut(key) else { return };
                link.socket.note(event);
                match link.owner {
                    Some(owner) => self.drive(owner),
                    None => self.core.stray(key, event),
                }
            }
            KIND_LISTENER => {
                self.accept(usize::try_from(event.token & !KIND_BELL).unwrap_or(usize::MAX));
            }
            _ => self.read_letters(),
        }
    }

    /// Lets a session do what it can now. A panic costs that session only.
    pub(crate) fn drive(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (core, scratch) = (&mut self.core, &mut self.scratch);
        let driven = catch_unwind(AssertUnwindSafe(|| session.drive(core, scratch)));
        if driven.is_err() {
            self.core.view.counters.panics.fetch_add(1, Relaxed);
            self.core.shared.control.post(Note::Panicked { worker: self.core.index });
            session.kill(&mut self.core, *b"ID");
        }
        if matches!(session.phase, Phase::Dead) {
            self.remove(key);
        }
    }

    pub(crate) fn remove(&mut self, key: Key) {
        let Some(session) = self.sessions.remove(key) else { return };
        let (front, listener) = (session.front, session.listener);
        session.bury(&mut self.core);
        self.core.view.counters.process.leave();
        self.core.view.counters.proxies[front].frontend.leave();
        self.listeners[listener].leave();
        self.core.ended = true;
    }

    fn after_events(&mut self) {
        self.fire_timers();
        for key in mem::take(&mut self.core.later) {
            self.drive(key);
        }
        // A session that ends gives its place to the next one in the queue, which may end at once.
        while let Some(ticket) = self.core.turns.pop() {
            self.turn(ticket);
        }
        if mem::take(&mut self.core.ended) {
            self.core.shared.feed();
        }
        if self.core.now >= self.core.late_until {
            self.core.give_up_late();
        }
        if self.core.now >= self.tick_at {
            self.tick();
        }
        self.core.logger.flush();
        self.tell_empty();
    }

    fn fire_timers(&mut self) {
        let now = self.core.now;
        while let Some((fired, key)) = self.core.timers.pop(now) {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if self.core.timers.is_due(key, &mut session.alarm, fired, now) {
                self.drive(key);
            }
        }
    }

    fn tick(&mut self) {
        self.core.set_wall();
        let now = self.core.now;
        self.tick_at = now + TICK;
        self.core.expire_kept(now - IDLE_LIMIT);
        self.report_silence();
        self.accept_again();
    }

    /// Draining: the control thread waits for the last session of each worker.
    fn tell_empty(&mut self) {
        let empty = self.core.view.is_draining() && !self.is_active && self.sessions.is_empty();
        if empty && !self.told_empty {
            self.told_empty = true;
            self.core.shared.control.post(Note::Empty { worker: self.core.index });
        }
    }
}
