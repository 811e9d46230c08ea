//! The main thread of the proxy process: orders, checks, statistics socket.
//!
//! What this thread and the workers call in `check`, `log` and `stats` (they build on `view`,
//! `counters` and `record`):
//!
//! ```text
//! check::Driver::new(view: &Arc<View>, tokens: u64 /* first epoll token of 2^32 that are its own */)
//!     .restore(&mut self, &[api::ServerState])          hand-over from the generation before
//!     .start(&mut self, poller: &Poller, now: Time)     only the active proxy checks
//!     .deadline(&self) -> Time
//!     .timeout(&mut self, poller: &Poller, now: Time, out: &mut Vec<Outcome>)
//!     .ready(&mut self, poller: &Poller, ready: Ready, now: Time, out: &mut Vec<Outcome>)
//!     .set_admin(&mut self, proxy: usize, server: usize, to: Admin)
//! log::Sockets::open(view: &View) -> Result<Arc<Sockets>, ...>   before rights are dropped
//! log::Logger::new(view: &Arc<View>, sockets: &Arc<Sockets>)     one per thread
//!     .session(&mut self, &LogRecord<'_>)               formats, batches, bounded
//!     .server(&mut self, proxy, server, &ServerStatus, &Outcome)  "Server a/b is DOWN, reason ..."
//!     .flush(&mut self)                                 at the end of each turn of a loop
//! stats::page(view: &View, proxy: usize, ask: &stats::Ask<'_>, out: &mut Vec<u8>) -> u16
//!     a whole response (head and body, Content-Length or none for HEAD), returns its status;
//!     Ask { method, uri, authorization: Option<&[u8]>, keep_alive: bool (else adds Connection: close) }
//! stats::matches(view: &View, proxy: usize, uri: &[u8]) -> bool
//! stats::Socket::new(view: &Arc<View>, listeners: Vec<(OwnedFd, admin: bool)>, tokens: u64)
//!     .start(&mut self, poller), .deadline(), .timeout(..), .ready(&mut self, poller, ready, now,
//!      ask: &dyn Fn() -> Vec<SessionLine>, wishes: &mut Vec<Wish>)
//! ```
