//! The same file and the same events through this program and through Debian's haproxy: the log
//! lines are the same but for moments, durations and ports.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;
mod checks;
mod formats;
mod page;
mod sessions;
mod websocket;
