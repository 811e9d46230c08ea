//! One client connection and what is done for it.
//!
//! ```text
//! HTTP:  Head -> Choose -> [Queued] -> Connecting -> Exchange -> Response -> Head ...
//!                  ^          | failed: [Pause]          |  101       |
//!                  +----------+--------------------------+-> Tunnel   +-> Linger -> Dead
//! TCP:           Choose -> [Queued] -> Connecting -> Tunnel -> Dead
//! ```
//!
//! A session does what it can until it must wait, then says when it wants to be woken
//! ([`Session::wake_at`], a pure function of its state).

use std::net::SocketAddr;
use std::os::fd::AsFd;

use base::Time;

use crate::buffer::Held;
use crate::shared::{Limits, Route, after};
use crate::slab::Key;
use crate::socket::Socket;
use crate::timer::Alarm;
use crate::view::SessionLine;
use crate::worker::Core;

pub(crate) use transaction::Transaction;

mod connect;
mod end;
mod head;
mod request;
mod response;
mod transaction;
mod tunnel;

/// After an answer that the client did not expect: until its bytes are drained, or so long. Closing
/// at once would send RST and could destroy the answer on its way.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

/// Or so many bytes: many times what sockets and a network have under way, and a client that never
/// ends is not read for a whole second.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// Reads of one direction in a row before other sessions have their turn: 16 times 64 KB.
const ROUNDS: usize = 16;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) key: Key,
    pub(crate) client: Socket,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) front: usize,
    pub(crate) listener: usize,
    pub(crate) phase: Phase,
    pub(crate) alarm: Alarm,
    /// Received from the client and not used yet: a part of a head, or the next requests.
    ahead: Held,
    /// `ahead` was not looked at yet.
    fresh: bool,
    /// For the client, which did not take it yet.
    down: Held,
    requests: u32,
    /// The number of its last ticket in a queue.
    ticket: u32,
    /// The accept, or the end of the request before.
    accepted: Time,
    /// First byte of the present request; the accept before that.
    began: Time,
    /// Last byte from or to the client.
    heard: Time,
    /// From choosing a server to the end of the answer; idle sessions have none.
    txn: Option<Box<Transaction>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// HTTP: reads a request's head.
    Head,
    /// Looks for a server.
    Choose,
    /// Waits for a place at a server.
    Queued {
        since: Time,
    },
    /// Waits before the next connect.
    Pause {
        until: Time,
        same: bool,
    },
    Connecting,
    /// The request is on its way, no answer yet.
    Exchange,
    /// The answer is on its way.
    Response,
    /// Bytes both ways until the end.
    Tunnel,
    /// Nothing more is sent; the client's rest is thrown away.
    Linger {
        until: Time,
        /// Bytes.
        left: usize,
    },
    Dead,
}

/// Whether a phase can do more at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Again,
    Wait,
}

impl Session {
    pub(crate) fn new(
        key: Key,
        client: Socket,
        peer: Option<SocketAddr>,
        front: usize,
        listener: usize,
        now: Time,
    ) -> Self {
        Self {
            key,
            client,
            peer,
            front,
            listener,
            phase: Phase::Head,
            alarm: Alarm::default(),
            ahead: Held::new(),
            fresh: false,
            down: Held::new(),
            requests: 0,
            ticket: 0,
            accepted: now,
            began: now,
            heard: now,
            txn: None,
        }
    }

    /// Does everything that can be done now.
    pub(crate) fn drive(&mut self, core: &mut Core, scratch: &mut [u8]) {
        while self.step(core, scratch) == Step::Again {}
        if self.phase != Phase::Dead {
            let route = &core.shared.routes[self.front];
            let wake_at = self.wake_at(route);
            core.timers.set(self.key, &mut self.alarm, wake_at);
        }
    }

    fn step(&mut self, core: &mut Core, scratch: &mut [u8]) -> Step {
        if self.txn.is_some() && self.client.has_error() && self.phase != Phase::Dead {
            return self.client_broke(core);
        }
        if self.client.has_hangup()
            && core.shared.routes[self.front].abort_on_close
            && let Some(step) = self.let_go(core)
        {
            return step;
        }
        match self.phase {
            Phase::Head if core.shared.routes[self.front].http => self.read_head(core, scratch),
            Phase::Head => self.begin_tcp(core),
            Phase::Choose => self.choose(core),
            Phase::Queued { since } => self.wait_in_queue(core, since),
            Phase::Pause { until, same } => self.pause(core, until, same),
            Phase::Connecting => self.watch_connect(core),
            Phase::Exchange => self.exchange(core, scratch),
            Phase::Response => self.respond(core, scratch),
            Phase::Tunnel => self.tunnel(core, scratch),
            Phase::Linger { until, left } => self.linger(core, scratch, until, left),
            Phase::Dead => Step::Wait,
        }
    }

    /// When to be woken if nothing happens.
    fn wake_at(&self, route: &Route) -> Time {
        let limits = &route.limits;
        let Some(txn) = &self.txn else {
            return if let Phase::Linger { until, .. } = self.phase {
                until
            } else {
                self.head_limit(limits)
            };
        };
        match self.phase {
            Phase::Head | Phase::Choose | Phase::Dead => Time::NEVER,
            Phase::Queued { since } => after(since, limits.queue),
            Phase::Pause { until, .. } | Phase::Linger { until, .. } => until,
            Phase::Connecting => after(txn.connect_at, limits.connect).min(txn.hedge_at),
            Phase::Exchange => self.client_limit(limits).min(self.server_limit(limits)),
            Phase::Response => self.client_limit(limits).min(self.server_limit(limits)),
            Phase::Tunnel => self.tunnel_limit(route),
        }
    }

    /// Until a request's head must be there.
    fn head_limit(&self, limits: &Limits) -> Time {
        if self.requests > 0 && self.ahead.is_empty() {
            after(self.began, limits.http_keep_alive)
        } else {
            let since = if self.requests == 0 { self.accepted } else { self.began };
            after(since, limits.http_request)
        }
    }

    /// While something is wanted of the client: a body, or that it takes what it asked for.
    fn client_limit(&self, limits: &Limits) -> Time {
        let wanted = !self.down.is_empty() || self.txn.as_ref().is_some_and(|txn| txn.wants_body());
        if wanted { after(self.heard, limits.client) } else { Time::NEVER }
    }

    /// While something is wanted of the server, and the client is not what it waits for.
    fn server_limit(&self, limits: &Limits) -> Time {
        let Some(txn) = &self.txn else { return Time::NEVER };
        let waits = txn.link.is_some() && self.down.is_empty() && !txn.wants_body();
        if waits { after(txn.heard, limits.server) } else { Time::NEVER }
    }

    /// Between requests: nothing is lost by closing.
    pub(crate) fn is_idle(&self) -> bool {
        self.txn.is_none()
            && self.phase == Phase::Head
            && self.requests > 0
            && self.ahead.is_empty()
    }

    pub(crate) fn back(&self) -> Option<usize> {
        self.txn.as_ref().map(|txn| txn.back)
    }

    /// Whether it has, or is getting, a connection to this server.
    pub(crate) fn uses(&self, proxy: usize, server: usize) -> bool {
        self.is_at_any(proxy) && self.txn.as_ref().is_some_and(|txn| txn.server == Some(server))
    }

    /// Whether it is on its way to this server, with or without a connection.
    pub(crate) fn wants(&self, proxy: usize, server: usize) -> bool {
        let wants = |txn: &Transaction| txn.back == proxy && txn.server == Some(server);
        self.txn.as_deref().is_some_and(wants)
    }

    pub(crate) fn is_at_any(&self, proxy: usize) -> bool {
        self.txn.as_ref().is_some_and(|txn| txn.back == proxy && txn.link.is_some())
    }

    /// Which server has owed the first byte of an answer, and since when.
    pub(crate) fn waits_since(&self) -> Option<(usize, usize, Time)> {
        let txn = self.txn.as_ref().filter(|_| self.phase == Phase::Exchange)?;
        let whole = txn.request.is_empty() && !txn.wants_body();
        txn.server.filter(|_| whole).map(|server| (txn.back, server, txn.heard))
    }

    /// One line of `show sess`.
    pub(crate) fn line(&self, core: &Core) -> SessionLine {
        let txn = self.txn.as_ref();
        let deadline = self.alarm.deadline();
        SessionLine {
            id: u64::try_from(core.index).unwrap_or(0) << 56 | self.key.to_bits(),
            worker: core.index,
            client: self.peer,
            frontend: self.front,
            backend: self.back(),
            server: txn.and_then(|txn| txn.server),
            began: self.began,
            bytes_in: txn.map_or(0, |txn| txn.received),
            bytes_out: txn.map_or(0, |txn| txn.given),
            expires: (deadline != Time::NEVER).then(|| deadline.since(core.now)),
        }
    }

    /// Sends to the client; what it does not take waits. False: it is gone.
    fn give(&mut self, core: &mut Core, bytes: &[u8], more: bool) -> bool {
        let mut sent = 0;
        if self.down.is_empty() {
            match self.client.send(bytes, more) {
                Ok(count) => sent = count,
                Err(_) => return false,
            }
        }
        if sent > 0 {
            self.heard = core.now;
        }
        self.down.push(&bytes[sent..], &mut core.buffers);
        true
    }

    /// Sends what waits for the client. False: it is gone.
    fn flush_down(&mut self, core: &mut Core) -> bool {
        if self.down.is_empty() {
            return true;
        }
        match self.client.send(self.down.rest(), false) {
            Ok(0) => true,
            Ok(count) => {
                self.heard = core.now;
                self.down.advance(count);
                if self.down.is_empty() {
                    self.down.clear(&mut core.buffers);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Ends at once, with RST to both sides if bytes were flowing.
    pub(crate) fn kill(&mut self, core: &mut Core, ended: [u8; 2]) {
        if let Some(txn) = &mut self.txn {
            drop(sys::socket::reset_on_close(self.client.as_fd()));
            if let Some(link) = txn.link.take() {
                core.reset(link);
            }
            self.note_end(ended);
            self.close_transaction(core);
        }
        self.phase = Phase::Dead;
    }

    /// Returns what it holds; the socket closes with the value.
    pub(crate) fn bury(mut self, core: &mut Core) {
        self.close_transaction(core);
        self.ahead.clear(&mut core.buffers);
        self.down.clear(&mut core.buffers);
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;
    use crate::server::Link;

    /// What a TCP connection has while nothing is sent: its two sockets, the transaction, two entries
    /// of the timers. An idle HTTP connection has less. Half of the promised 2 KB, because memory
    /// grows by doubling.
    #[test]
    fn an_idle_connection_is_small() {
        let timers = 2 * size_of::<(Time, u64)>();
        let all = size_of::<Session>() + size_of::<Transaction>() + size_of::<Link>() + timers;
        assert!(all <= 1024, "{all} bytes");
    }
}
