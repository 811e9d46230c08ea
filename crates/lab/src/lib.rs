//! Real processes in network namespaces: the demo, and the tests that use it.
//!
//! [`demo`] is `outlast demo`; [`child`] are the processes it starts beside those of the program.

pub mod child;
mod client;
mod cloud;
pub mod demo;
mod stand_in;
mod wait;
mod watch;
