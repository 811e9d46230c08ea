//! What every layer shares: moments, places in text, names of things, answers of probes.
//!
//! This crate has no dependency at all and does no I/O.

mod chain;
mod doors;
mod repeats;
mod report;
mod span;
mod time;

pub use chain::Chain;
pub use doors::{Doors, Guest, TurnedAway};
pub use repeats::Repeats;
pub use report::{Layer, Report};
pub use span::Span;
pub use time::Time;
