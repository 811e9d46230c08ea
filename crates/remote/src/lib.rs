//! Other people's services, as verbs without decisions.
//!
//! Probes: one learns one thing about one target and says so in a [`base::Report`]. Mail servers and webhooks: one
//! takes one message. None of them retries, counts, or does I/O itself.

pub mod mail;
pub mod probe;
pub mod webhook;
