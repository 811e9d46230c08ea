//! What the cluster has decided to do, one step after the other, whoever leads.
//!
//! ```text
//!   asked --- propose ---> Committed { next: 0 } --- step done ---> Committed { next: 1 } ... Done
//!     |                          |  a step failed, or was not answered in time
//!     +--> Refused(why)          +--> Failed(why)
//! ```
//!
//! An intent is an entry of the replicated store ([`record`]). The [`Leader`] proposes it under its
//! token, orders its steps one at a time, and commits each before it orders the next. Where it dies its
//! successor reads the store and orders the same step again; the [`Receiver`] knows which steps it began
//! and which it ended, so that each is done once. Refusals are entries too: they are output. What ended is
//! kept for a while ([`MAX_HISTORY`]).

pub use history::{MAX_HISTORY, begins, found, opened, read, read_each};
pub use leader::{Action, GONE_FOR, Input, Leader, MAX_OPEN, RESEND, STEP_WITHIN, Wish};
pub use receiver::{At, Damage, Duty, MAX_KEPT, Order, Receiver, Word};
pub use record::{LEADER, MAX_STEPS, MAX_WORDS, Record, Step, VERSION};

mod history;
mod kept;
mod leader;
mod receiver;
mod record;
#[cfg(test)]
mod tests;

/// Where intents lie: `intent/` and the number in 20 digits, so that their order is that of the keys.
pub const INTENTS: &str = "intent/";
/// The number of the newest intent.
pub const LAST: &str = "intent-last";
/// Which intent is open about an object: one at a time.
pub const OPEN: &str = "intent-open/";

/// What an intent has come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Decided; the step of this number is next.
    Committed {
        next: u8,
    },
    Done,
    /// Part of it may have been done: the text says which step, and why it went no further.
    Failed(String),
    /// Nothing was done, and why.
    Refused(String),
}

impl State {
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Committed { .. })
    }

    /// As an operator reads it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Committed { .. } => "committed",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Refused(_) => "refused",
        }
    }
}

/// The key of an intent.
#[must_use]
pub fn key(number: u64) -> String {
    format!("{INTENTS}{number:020}")
}

/// The number of a key of [`INTENTS`].
#[must_use]
pub fn number(key: &str) -> Option<u64> {
    key.strip_prefix(INTENTS)?.parse().ok()
}
