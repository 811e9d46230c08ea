//! One request on its way (HTTP), or the whole session (TCP).

use std::net::SocketAddr;

use base::Time;
use engine::balance::ServerSet;

use crate::buffer::{Buffers, Held};
use crate::http::body::Body;
use crate::http::head::Method;
use crate::record::Destination;
use crate::slab::Key;

/// What is true from choosing a server to the end of the answer. Recycled: [`Transaction::reset`].
#[derive(Debug)]
pub(crate) struct Transaction {
    /// For the server: the edited head and the body's beginning, then body bytes it did not take.
    pub(crate) request: Held,
    /// An answer's head so far.
    pub(crate) partial: Held,
    /// `request` is all of it, and sending it twice does no harm.
    pub(crate) replayable: bool,
    pub(crate) method: Method,
    /// The client speaks HTTP/1.1.
    pub(crate) modern: bool,
    /// The client's connection ends with this answer.
    pub(crate) close: bool,
    /// The client asked for another protocol.
    pub(crate) upgrade: bool,
    /// What is left to come from the client, and from the server.
    pub(crate) up: Body,
    pub(crate) down: Body,
    /// The client broke the request's body: nothing more of it is read.
    pub(crate) cut: bool,
    /// The server's connection may serve another request.
    pub(crate) keep_link: bool,
    pub(crate) link: Option<Key>,
    /// A second connect that races with the first one: its connection and server.
    pub(crate) second: Option<(Key, usize)>,
    /// The backend.
    pub(crate) back: usize,
    /// Counted there (`scur` of the backend).
    pub(crate) entered: bool,
    /// A place is held there.
    pub(crate) server: Option<usize>,
    /// The server before the last failure.
    pub(crate) former: Option<usize>,
    pub(crate) avoid: ServerSet,
    /// Connects that failed.
    pub(crate) failures: u32,
    /// Times the whole request was sent again.
    pub(crate) replays: u32,
    pub(crate) retries: u32,
    pub(crate) redispatched: bool,
    /// On a connection that had served before.
    pub(crate) reused: bool,
    /// Its ticket was popped: nobody waits before it.
    pub(crate) called: bool,
    /// Its ticket is in the queue.
    pub(crate) queued: bool,
    pub(crate) connect_at: Time,
    pub(crate) hedge_at: Time,
    /// Last byte from or to the server.
    pub(crate) heard: Time,
    pub(crate) marks: Marks,
    pub(crate) status: Option<u16>,
    /// Bytes sent to the client, received from it.
    pub(crate) given: u64,
    pub(crate) received: u64,
    /// Who ended it, and when: HAProxy's two letters.
    pub(crate) ended: [u8; 2],
    pub(crate) destination: Destination,
    /// The addresses of its connection to the server, ours and the server's, if they will be logged.
    pub(crate) path: Option<[SocketAddr; 2]>,
    /// Which request of the process it is, if that will be logged.
    pub(crate) number: u32,
    /// How many were before it in the queue.
    pub(crate) before: u32,
    /// The request line, if it will be logged.
    pub(crate) line: Vec<u8>,
    /// Sending halves that were closed after an end had been passed on: to the server, the client.
    pub(crate) shut: [bool; 2],
    /// Something reached the client (an interim answer too): no second try.
    pub(crate) answered: bool,
    /// Not logged, as HAProxy does not log its monitor.
    pub(crate) silent: bool,
}

/// When what happened; none: it did not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    pub(crate) request: Option<Time>,
    pub(crate) unqueued: Option<Time>,
    pub(crate) connected: Option<Time>,
    pub(crate) response: Option<Time>,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            request: Held::new(),
            partial: Held::new(),
            replayable: false,
            method: Method::Other,
            modern: true,
            close: false,
            upgrade: false,
            up: Body::Done,
            down: Body::Done,
            cut: false,
            keep_link: false,
            link: None,
            second: None,
            back: 0,
            entered: false,
            server: None,
            former: None,
            avoid: ServerSet::EMPTY,
            failures: 0,
            replays: 0,
            retries: 0,
            redispatched: false,
            reused: false,
            called: false,
            queued: false,
            connect_at: Time::NEVER,
            hedge_at: Time::NEVER,
            heard: Time::ZERO,
            marks: Marks::default(),
            status: None,
            given: 0,
            received: 0,
            ended: *b"--",
            destination: Destination::Nobody,
            path: None,
            number: 0,
            before: 0,
            line: Vec::new(),
            shut: [false; 2],
            answered: false,
            silent: false,
        }
    }
}

impl Transaction {
    /// As new, but for the memory of `line`.
    pub(crate) fn reset(&mut self, buffers: &mut Buffers) {
        self.request.clear(buffers);
        self.partial.clear(buffers);
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        *self = Self { line, ..Self::default() };
    }

    /// Something is still to come from the client before the server can be expected to answer.
    pub(crate) fn wants_body(&self) -> bool {
        !self.up.is_done() && !self.cut && self.request.is_empty()
    }
}
