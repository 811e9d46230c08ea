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
    /// The same of the accept, or of the end of the request before: `idle` earlier.
    pub(crate) accepted_ms: u64,
    /// The address that the client connected to, and ours and the server's behind it: looked up only
    /// where the format tells them. None: over a Unix socket, or never connected.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) path: Option<[SocketAddr; 2]>,
    pub(crate) http: bool,
    /// Position of the frontend among the proxies.
    pub(crate) frontend: usize,
    /// Position of the backend; none: never chosen, HAProxy then prints the frontend's name.
    pub(crate) backend: Option<usize>,
    pub(crate) destination: Destination,
    /// `Ti`: before the request's first byte.
    pub(crate) idle: i64,
    /// `TR`: until the request's head was whole.
    pub(crate) request: i64,
    /// `Tw`: in queues.
    pub(crate) waiting: i64,
    /// `Tc`: to connect.
    pub(crate) connect: i64,
    /// `Tr`: until the response's head was whole.
    pub(crate) response: i64,
    /// `Td`: from the response's head (TCP: from the connect) to the end.
    pub(crate) data: i64,
    /// `Ta` (HTTP) or `Tt` (TCP): all of it.
    pub(crate) total: i64,
    /// Status sent to the client; none: `-1`.
    pub(crate) status: Option<u16>,
    /// `B`: bytes sent to the client.
    pub(crate) bytes: u64,
    /// `U`: bytes received from it.
    pub(crate) bytes_up: u64,
    /// `rt`: which request of the process; counted only where a format tells it.
    pub(crate) number: u32,
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
