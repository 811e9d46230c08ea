//! What the log says about one request or one session.

use std::net::SocketAddr;

/// Everything `tcplog` and `httplog` print. Times are milliseconds, -1 where the session did not get
/// that far.
#[derive(Clone, Debug)]
pub(crate) struct LogRecord<'a> {
    /// None: over a Unix socket.
    pub(crate) client: Option<SocketAddr>,
    /// Milliseconds since 1970 (UTC): of the accept (TCP), of the request's first byte (HTTP).
    pub(crate) began_ms: u64,
    /// Position of the frontend among the proxies.
    pub(crate) frontend: usize,
    /// Position of the backend; none: never chosen, HAProxy then prints the frontend's name.
    pub(crate) backend: Option<usize>,
    pub(crate) destination: Destination,
    /// `TR`: until the request's head was whole.
    pub(crate) request: i64,
    /// `Tw`: in queues.
    pub(crate) waiting: i64,
    /// `Tc`: to connect.
    pub(crate) connect: i64,
    /// `Tr`: until the response's head was whole.
    pub(crate) response: i64,
    /// `Ta` (HTTP) or `Tt` (TCP): all of it.
    pub(crate) total: i64,
    /// Status sent to the client; none: `-1`.
    pub(crate) status: Option<u16>,
    /// `B`: bytes sent to the client.
    pub(crate) bytes: u64,
    /// Two letters in TCP lines, four in HTTP ones.
    pub(crate) termination: [u8; 4],
    /// `ac/fc/bc/sc`: sessions of process, frontend, backend, server, this one included.
    pub(crate) connections: [u32; 4],
    pub(crate) retries: u32,
    /// Prints `+` before the retries.
    pub(crate) redispatched: bool,
    /// `sq/bq`: how many were before it in the server's and the backend's queue.
    pub(crate) queues: [u32; 2],
    /// The request line without its end; empty: `<BADREQ>`.
    pub(crate) request_line: &'a [u8],
    /// Nothing was exchanged (`option dontlognull` leaves the line out).
    pub(crate) null: bool,
    /// Something went wrong (`option dontlog-normal` keeps the line).
    pub(crate) failed: bool,
}

/// Who answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Destination {
    /// `<NOSRV>`.
    Nobody,
    /// `<STATS>`.
    Statistics,
    /// Position in the backend.
    Server(usize),
}
