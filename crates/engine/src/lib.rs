//! Every decision, without I/O.
//!
//! A decision is a machine: `step(now, input, &mut out)` takes a fact and writes orders into a
//! [`Buffer`], `deadline()` says when it next wants to hear the time. No machine has a socket, a
//! clock, a lock or a log call; drivers in `node` and `proxy` perform what it orders.

pub mod asking;
pub mod back;
pub mod balance;
pub mod bfd;
mod buffer;
pub mod carry;
pub mod duty;
pub mod errand;
pub mod evidence;
pub mod generation;
pub mod gossip;
pub mod health;
pub mod intent;
mod keep;
pub mod kv;
pub mod lives;
pub mod maintenance;
pub mod member;
pub mod notify;
pub mod own;
pub mod packet;
pub mod procedure;
pub mod quorum;
pub mod reach;
pub mod reference;
pub mod replay;
pub mod role;
pub mod router;
pub mod strangers;
pub mod succession;
pub mod tally;
pub mod tenure;
pub mod timeline;
pub mod twins;
pub mod verdict;
pub mod vip;
pub mod whole;
pub mod writer;

pub use buffer::{Buffer, CAPACITY};
