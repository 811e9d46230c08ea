//! The data plane with real sockets on loopback: real clients, real little servers, in one process.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod admin;
mod differential;
mod failover;
mod framing;
mod http;
mod limits;
mod rig;
mod tcp;
mod timeouts;
