//! Accepting connections, within all limits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use sys::poll::Interest;
use sys::socket::Peer;

use crate::counters::Count;
use crate::session::Session;
use crate::socket::Socket;
use crate::worker::{KIND_CLIENT, KIND_LISTENER, Worker, stream};

/// Connections accepted per event: another thread may take the rest.
const BURST: usize = 8;

/// One address of a `bind` line, shared by all workers.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) fd: OwnedFd,
    pub(crate) front: usize,
    /// `maxconn` of the bind line.
    pub(crate) limit: Option<u32>,
    current: AtomicU32,
}

/// A door as one worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    door: Arc<Door>,
    registered: bool,
}

/// Why a listener does not accept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Full {
    Process,
    Frontend,
    Door,
}

impl Door {
    pub(crate) const fn new(fd: OwnedFd, front: usize, limit: Option<u32>) -> Self {
        Self { fd, front, limit, current: AtomicU32::new(0) }
    }

    fn try_enter(&self) -> bool {
        let limit = self.limit.unwrap_or(u32::MAX);
        let step = |current| (current < limit).then_some(current + 1);
        self.current.fetch_update(SeqCst, SeqCst, step).is_ok()
    }

    fn leave(&self) {
        self.current.fetch_sub(1, SeqCst);
    }
}

impl Listener {
    pub(crate) const fn new(door: Arc<Door>) -> Self {
        Self { door, registered: false }
    }

    pub(crate) fn leave(&self) {
        self.door.leave();
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.door.fd.as_fd()
    }
}

impl Worker {
    pub(crate) fn start_listening(&mut self) {
        self.is_active = true;
        for index in 0..self.listeners.len() {
            self.register(index);
        }
    }

    pub(crate) fn stop_listening(&mut self) {
        self.is_active = false;
        for index in 0..self.listeners.len() {
            self.unregister(index);
        }
    }

    fn register(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        if listener.registered {
            return;
        }
        let token = KIND_LISTENER | index as u64;
        let interest = Interest::READ | Interest::EXCLUSIVE;
        listener.registered = self.core.poller.add(listener.as_fd(), token, interest).is_ok();
    }

    fn unregister(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        if std::mem::take(&mut listener.registered) {
            drop(self.core.poller.remove(listener.as_fd()));
        }
    }

    /// Some listener does not accept, although it should.
    pub(crate) fn is_starved(&self) -> bool {
        self.is_active && self.listeners.iter().any(|listener| !listener.registered)
    }

    /// A limit has room: listeners that stopped try again.
    pub(crate) fn accept_again(&mut self) {
        if !self.is_active {
            return;
        }
        for index in 0..self.listeners.len() {
            if !self.listeners[index].registered {
                self.register(index);
                self.accept(index);
            }
        }
    }

    pub(crate) fn accept(&mut self, index: usize) {
        if !self.is_active || index >= self.listeners.len() {
            return;
        }
        for _ in 0..BURST {
            if self.enter(index).is_err() {
                // Between this thread's look and its announcement another one may have left.
                self.core.shared.starve();
                if self.enter(index).is_err() {
                    self.unregister(index);
                    return;
                }
            }
            match sys::socket::accept(self.listeners[index].as_fd()) {
                Ok((fd, peer)) => self.begin(index, fd, peer),
                Err(error) => {
                    self.give_up(index);
                    if error.kind() != io::ErrorKind::WouldBlock {
                        // No descriptor left: the tick tries again, sessions that end do too.
                        self.core.shared.starve();
                        self.unregister(index);
                    }
                    return;
                }
            }
        }
    }

    fn enter(&self, index: usize) -> Result<(), Full> {
        let counters = &self.core.view.counters;
        let door = &self.listeners[index].door;
        if !counters.process.try_enter(self.core.view.maxconn) {
            return Err(Full::Process);
        }
        let frontend = &counters.proxies[door.front].frontend;
        let limit = self.core.view.config.proxies[door.front].maxconn.filter(|limit| *limit > 0);
        if !frontend.try_enter(limit.unwrap_or(u32::MAX)) {
            counters.process.leave();
            return Err(Full::Frontend);
        }
        if !door.try_enter() {
            frontend.leave();
            counters.process.leave();
            return Err(Full::Door);
        }
        Ok(())
    }

    fn give_up(&self, index: usize) {
        let door = &self.listeners[index].door;
        door.leave();
        self.core.view.counters.proxies[door.front].frontend.leave();
        self.core.view.counters.process.leave();
    }

    fn begin(&mut self, index: usize, fd: OwnedFd, peer: Peer) {
        let front = self.listeners[index].door.front;
        let peer = match peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix => None,
        };
        let now = self.core.now;
        let client = Socket::open(fd);
        let key = self.sessions.insert(|key| Session::new(key, client, peer, front, index, now));
        let session = self.sessions.get(key).expect("just inserted");
        let token = KIND_CLIENT | key.to_bits();
        if self.core.poller.add(session.client.as_fd(), token, stream()).is_err() {
            self.remove(key);
            return;
        }
        let counters = &self.core.view.counters;
        let frontend = &counters.proxies[front].frontend;
        for side in [&counters.process, frontend] {
            side.add(self.core.index, Count::Connections, 1);
            side.add(self.core.index, Count::Sessions, 1);
        }
        self.drive(key);
    }
}
