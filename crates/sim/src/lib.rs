//! The whole cloud in one thread on virtual time: the same machines, no socket, no clock.
//!
//! ```text
//!   test --- verbs (faults) ---> Sim --- Input ---> engine::vip, engine::member of each Node
//!                                 ^                        |
//!                                 +--- due packets --- Network <--- Action
//! ```
//!
//! A step takes what is due first (a packet, a deadline, the supervisor's turn), and the whole cloud
//! is inspected after each (`check`). The log has consequences only: who claims and releases, and why.
//! Everything random comes from one seed; a failure prints it.
//!
//! [`world`] is the second, larger one: clouds of 25 hosts, a thousand times faster than they live,
//! judged by a second reading of the rules after each event ([`sweep`], `cargo xtask sweep`). [`scenarios`]
//! runs scenario files on it, which the lab runs on real processes.
//!
//! [`notify`] is a third one, of nodes that tell people of moves (`cargo xtask sweep --notify`).
//!
//! [`gossip`] is a thousand nodes that gossip (`cargo xtask bench gossip`).

mod check;
mod cloud;
mod fault;
pub mod gossip;
pub mod lease;
mod network;
mod node;
pub mod notify;
mod random;
pub mod scenarios;
pub mod shrink;
pub mod sweep;
pub mod world;

pub use cloud::Sim;
pub use network::Weather;
pub use random::Chance;
