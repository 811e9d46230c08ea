//! Connections to servers.

use std::io;
use std::os::fd::AsFd;

use base::Time;
use engine::balance::MOST_PATIENCE;
use engine::health::Evidence;
use sys::poll::Ready;

use crate::choice::Backend;
use crate::counters::{Count, Side};
use crate::shared::Note;
use crate::slab::Key;
use crate::socket::Socket;
use crate::worker::{Core, KIND_LINK, stream};

/// One connection to a server. It keeps its epoll registration while sessions come and go.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: Socket,
    pub(crate) proxy: usize,
    pub(crate) server: usize,
    /// None: kept for the next request, or nobody waits any more until it is connected.
    pub(crate) owner: Option<Key>,
}

impl Core {
    /// Begins to connect.
    pub(crate) fn connect(&mut self, proxy: usize, server: usize, owner: Key) -> io::Result<Key> {
        let config = &self.view.config.proxies[proxy];
        let fd = sys::socket::connect_tcp(config.servers[server].address)?;
        sys::socket::no_delay(fd.as_fd())?;
        if config.server_keepalive {
            sys::socket::keep_alive(fd.as_fd())?;
        }
        let key = self.links.insert(|_| Link {
            socket: Socket::new(fd),
            proxy,
            server,
            owner: Some(owner),
        });
        let link = self.links.get(key).expect("just inserted");
        let token = KIND_LINK | key.to_bits();
        if let Err(error) = self.poller.add(link.socket.as_fd(), token, stream()) {
            self.links.remove(key);
            return Err(error);
        }
        self.server_side(proxy, server).add(self.index, Count::Connects, 1);
        Ok(key)
    }

    pub(crate) fn server_side(&self, proxy: usize, server: usize) -> &Side {
        &self.view.counters.proxies[proxy].servers[server]
    }

    /// Closes it; closing takes it out of epoll too.
    pub(crate) fn hang_up(&mut self, link: Key) {
        self.links.remove(link);
    }

    /// Closes it with RST: the server shall not go on with what it has.
    pub(crate) fn reset(&mut self, link: Key) {
        if let Some(link) = self.links.remove(link) {
            drop(sys::socket::reset_on_close(link.socket.as_fd()));
        }
    }

    /// Keeps a connection whose last answer is complete.
    pub(crate) fn keep(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let fit = !link.socket.has_hangup() && !link.socket.has_error();
        let (proxy, server) = (link.proxy, link.server);
        link.owner = None;
        if !fit || !self.backends[proxy].keep(server, key, self.now) {
            self.links.remove(key);
        }
    }

    /// A kept connection for a request. `careful`: the request must not be sent in vain, so look
    /// whether the server has closed meanwhile.
    pub(crate) fn reuse(
        &mut self,
        proxy: usize,
        server: usize,
        owner: Key,
        careful: bool,
    ) -> Option<Key> {
        while let Some(key) = self.backends[proxy].kept(server) {
            let Some(link) = self.links.get_mut(key) else { continue };
            if careful && !link.socket.is_quiet() {
                self.links.remove(key);
                continue;
            }
            link.owner = Some(owner);
            self.server_side(proxy, server).add(self.index, Count::Reuses, 1);
            return Some(key);
        }
        None
    }

    /// Something happened on a kept connection: whatever it was, it is of no use any more.
    pub(crate) fn drop_kept(&mut self, key: Key) {
        if let Some(link) = self.links.remove(key) {
            self.backends[link.proxy].forget(link.server, key);
        }
    }

    /// A connect that lost against another one goes on by itself, one to each server: nobody would ever learn how far a server is that
    /// is farther than the others, and it would be held for bad for that.
    pub(crate) fn let_connect(&mut self, key: Key, since: Time) {
        let Some(link) = self.links.get_mut(key) else { return };
        let (proxy, server) = (link.proxy, link.server);
        link.owner = None;
        let is_over = self.now >= since + MOST_PATIENCE;
        if is_over || !self.backends[proxy].goes_on(server, key, since) {
            self.links.remove(key);
        }
        self.late_until = self.next_late();
    }

    /// Something happened on a connection that nobody has: one that is kept is of no use any more, whatever it was.
    pub(crate) fn stray(&mut self, key: Key, event: &Ready) {
        let Some(link) = self.links.get(key) else { return };
        let (proxy, server) = (link.proxy, link.server);
        let (failed, there) = (link.socket.has_error(), link.socket.is_writable());
        if let Some(since) = self.backends[proxy].ends(server, key) {
            if failed {
                self.witness(proxy, server, Evidence::Refused);
            } else if there {
                self.backends[proxy].pool.connected(server, self.now.since(since));
                self.witness(proxy, server, Evidence::Connected);
            } else {
                self.backends[proxy].goes_on(server, key, since);
                return;
            }
            self.links.remove(key);
            self.late_until = self.next_late();
        } else if event.readable || event.hangup || event.error {
            self.drop_kept(key);
        }
    }

    /// Connects that went on and are silent for longer than any server of ours needs.
    pub(crate) fn give_up_late(&mut self) {
        let before = self.now - MOST_PATIENCE;
        for proxy in 0..self.backends.len() {
            while let Some((server, key)) = self.backends[proxy].overdue(before) {
                let since = self.backends[proxy].ends(server, key).unwrap_or(before);
                self.links.remove(key);
                let other = self.backends[proxy].other_answered(server);
                let silence = Evidence::ConnectPending { since, patience: MOST_PATIENCE, other };
                self.witness(proxy, server, silence);
            }
        }
        self.late_until = self.next_late();
    }

    fn next_late(&self) -> Time {
        let first = self.backends.iter().filter_map(Backend::goes_on_since).min();
        first.map_or(Time::NEVER, |since| since + MOST_PATIENCE)
    }

    /// Closes all kept connections to a server.
    pub(crate) fn purge(&mut self, proxy: usize, server: usize) {
        for link in self.backends[proxy].purge(server) {
            self.links.remove(link);
        }
    }

    /// Closes connections that were kept too long.
    pub(crate) fn expire_kept(&mut self, before: Time) {
        for proxy in 0..self.backends.len() {
            while let Some(link) = self.backends[proxy].expired(before) {
                self.links.remove(link);
            }
        }
    }

    /// Takes a place at a server; false if another thread took the last one.
    pub(crate) fn enter(&self, proxy: usize, server: usize) -> bool {
        let side = self.server_side(proxy, server);
        match self.backends[proxy].limit(server) {
            Some(limit) => side.try_enter(limit),
            None => {
                side.enter();
                true
            }
        }
    }

    /// Gives the place back; whoever waits gets its turn.
    pub(crate) fn leave(&mut self, proxy: usize, server: usize) {
        self.server_side(proxy, server).leave();
        self.call_next(proxy);
    }

    /// Wakes the first session in a backend's queue.
    pub(crate) fn call_next(&mut self, proxy: usize) {
        if self.view.counters.proxies[proxy].backend.queued() == 0 {
            return;
        }
        let Some(ticket) = self.shared.queues[proxy].pop() else { return };
        if ticket.worker == self.index {
            self.turns.push(ticket);
        } else {
            let letter = crate::shared::Letter::Turn(ticket);
            self.shared.workers[ticket.worker].post(letter);
        }
    }

    /// Tells the control thread what was seen of a server; only what may change its mind.
    pub(crate) fn witness(&self, proxy: usize, server: usize, evidence: Evidence) {
        let good = matches!(evidence, Evidence::Connected | Evidence::Answered);
        if self.view.adaptive() && self.backends[proxy].is_suspect(server) == good {
            self.shared.control.post(Note::Evidence { proxy, server, evidence });
        }
    }
}
