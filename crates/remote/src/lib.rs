//! Other people's services, as verbs without decisions.
//!
//! So far: probes. A probe learns one thing about one target and says so in a [`base::Report`]; it
//! never retries, never counts, and does no I/O itself.

pub mod probe;
