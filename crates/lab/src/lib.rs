//! Real processes in network namespaces: the demo, and the tests that use it.
//!
//! [`demo`] is `outlast demo`; [`child`] are the processes it starts beside those of the program.
//! [`cluster`] is agents alone, as many as wanted, on several networks.

pub mod child;
mod client;
mod cloud;
pub mod cluster;
pub mod demo;
pub mod skip;
mod stand_in;
pub mod trial;
pub mod vip;
mod wait;
mod watch;
