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

/// Connections accepted at most before a listener closes: the kernel's longest queue by default
/// (`somaxconn`). Another process may share the socket, so it need never be empty.
const LAST_BURST: usize = 4096;

/// One address of a `bind` line, shared by all workers.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) front: usize,
    /// `maxconn` of the bind line.
    pub(crate) limit: Option<u32>,
    current: AtomicU32,
}

/// A door as one worker sees it.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    door: Arc<Door>,
    /// The last worker that drops it closes the socket. None: draining.
    fd: Option<Arc<OwnedFd>>,
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
    pub(crate) const fn new(front: usize, limit: Option<u32>) -> Self {
        Self { front, limit, current: AtomicU32::new(0) }
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
    pub(crate) fn new(fd: OwnedFd, door: Door) -> Self {
        Self { door: Arc::new(door), fd: Some(Arc::new(fd)), registered: false }
    }

    pub(crate) fn front(&self) -> usize {
        self.door.front
    }

    pub(crate) fn leave(&self) {
        self.door.leave();
    }

    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(|fd| fd.as_fd())
    }
}

impl Worker {
    pub(crate) fn start_listening(&mut self) {
        self.is_active = true;
        for index in 0..self.listeners.len() {
            self.register(index);
        }
    }

    /// Draining: takes the clients that the kernel has given to this process, then closes its copies
    /// of the sockets. Of one nobody else holds, the kernel refuses the next client; of a group
    /// (`SO_REUSEPORT`), it gives it to another one.
    pub(crate) fn close_listeners(&mut self) {
        for index in 0..self.listeners.len() {
            let most = if self.is_active { LAST_BURST } else { 0 };
            self.accept_most(index, most);
            self.unregister(index);
            self.listeners[index].fd = None;
        }
        self.is_active = false;
    }

    fn register(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        if listener.registered {
            return;
        }
        let token = KIND_LISTENER | index as u64;
        let interest = Interest::READ | Interest::EXCLUSIVE;
        let add = |fd| self.core.poller.add(fd, token, interest).is_ok();
        listener.registered = listener.fd().is_some_and(add);
    }

    fn unregister(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        if let (true, Some(fd)) = (std::mem::take(&mut listener.registered), listener.fd()) {
            drop(self.core.poller.remove(fd));
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
        self.accept_most(index, BURST);
    }

    fn accept_most(&mut self, index: usize, most: usize) {
        for _ in 0..most {
            if !self.accept_one(index) {
                return;
            }
        }
    }

    /// False: there is none, or no room for it.
    fn accept_one(&mut self, index: usize) -> bool {
        if self.enter(index).is_err() {
            // Between this thread's look and its announcement another one may have left.
            self.core.shared.starve();
            if self.enter(index).is_err() {
                self.unregister(index);
                return false;
            }
        }
        let Some(fd) = self.listeners[index].fd() else {
            self.give_up(index);
            return false;
        };
        match sys::socket::accept(fd) {
            Ok((fd, peer)) => {
                self.begin(index, fd, peer);
                true
            }
            Err(error) => {
                self.give_up(index);
                if error.kind() != io::ErrorKind::WouldBlock {
                    // No descriptor left: the tick tries again, sessions that end do too.
                    self.core.shared.starve();
                    self.unregister(index);
                }
                false
            }
        }
    }

    fn enter(&self, index: usize) -> Result<(), Full> {
        let counters = &self.core.view.counters;
        let door = &self.listeners[index].door;
        if !counters.process.reserve(self.core.view.maxconn) {
            return Err(Full::Process);
        }
        let frontend = &counters.proxies[door.front].frontend;
        let limit = self.core.view.config.proxies[door.front].maxconn.filter(|limit| *limit > 0);
        if !frontend.reserve(limit.unwrap_or(u32::MAX)) {
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
            side.came();
            side.add(self.core.index, Count::Connections, 1);
            side.add(self.core.index, Count::Sessions, 1);
        }
        self.drive(key);
    }
}
