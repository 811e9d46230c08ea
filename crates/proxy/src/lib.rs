//! The data plane: one control thread, one worker thread per core.
//!
//! ```text
//! supervisor --Order--> control ----Letter----> worker 0..n   each: epoll, sessions, timers,
//!            <-Report--    ^    <----Note------                     connections to servers
//!                          +-- checks, suspicion, writers, statistics socket
//! ```
//!
//! Workers share nothing on the request path but counters; what they need to know about servers
//! arrives as letters.

mod buffer;
mod check;
mod choice;
mod control;
mod counters;
pub mod fuzz;
mod http;
mod listener;
mod log;
mod queue;
mod record;
mod server;
mod session;
mod setup;
mod shared;
mod slab;
mod socket;
mod stats;
mod timer;
mod view;
mod worker;

pub use setup::{Error, Setup, run};
