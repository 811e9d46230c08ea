//! The data plane with real sockets on loopback: real clients, real little servers, in one process.

mod admin;
mod differential;
mod failover;
mod framing;
mod http;
mod limits;
mod rig;
mod tcp;
mod timeouts;
