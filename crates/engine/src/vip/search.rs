//! Whether somebody has the address already, asked while this node waits to stand for it and knows of no holder. The
//! wait is not longer for it, and who follows a holder asks nobody.

use std::time::Duration;

use base::Time;

use super::{Action, Cause, State, Vip};
use crate::Buffer;
use crate::keep::kept;

/// Between two questions to somebody who has it.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Two questions in a row without an answer, and the time for one: it is free.
pub(super) const TAKEN_FOR: Duration = Duration::from_secs(5);

/// The hardware address of who answers.
pub type Mac = [u8; 6];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Search {
    /// Nobody was heard to hold since this node began to wait.
    is_open: bool,
    /// When to ask next.
    asks_at: Time,
    /// Questions since then.
    asked: u8,
    answered: Option<Mac>,
}

kept!(Search { is_open, asks_at, asked, answered });

impl Search {
    pub(super) const OVER: Self =
        Self { is_open: false, asks_at: Time::NEVER, asked: 0, answered: None };

    pub(super) const fn begun(now: Time) -> Self {
        Self { is_open: true, asks_at: now, asked: 0, answered: None }
    }

    pub(super) const fn asks_at(&self) -> Time {
        self.asks_at
    }
}

impl Vip {
    /// Who answers for the address, while that keeps this node from holding it.
    #[must_use]
    pub fn in_use_by(&self) -> Option<Mac> {
        self.search.answered.filter(|_| self.cause == Some(Cause::InUse))
    }

    /// Whether an answer matters now.
    #[must_use]
    pub fn searches(&self) -> bool {
        match self.state {
            State::Backup { .. } => self.search.is_open,
            State::Fault => self.search.is_open && self.facts.is_taken(),
            State::Master { .. } | State::Stopped => false,
        }
    }

    /// Somebody has it.
    pub(super) fn note_in_use(&mut self, now: Time, mac: Mac) {
        if self.searches() {
            self.search.answered = Some(mac);
            if self.facts.is_taken() {
                self.facts.taken_until(now + TAKEN_FOR);
            }
        }
    }

    /// Asks if it is time to.
    pub(super) fn ask(&mut self, now: Time, out: &mut Buffer<Action>) {
        if now < self.search.asks_at {
            return;
        }
        let asks = self.searches();
        self.search.asks_at = match self.state {
            // Once more in the middle of the wait: the first one may go to a port that is just opening.
            State::Backup { .. } if asks && self.search.asked == 0 => now + self.master_down() / 2,
            State::Fault if asks => now + ASK_AGAIN,
            State::Backup { .. } | State::Master { .. } | State::Fault | State::Stopped => {
                Time::NEVER
            }
        };
        if asks {
            self.search.asked = self.search.asked.saturating_add(1);
            out.push(Action::Probe);
        }
    }

    /// Of one whose wait ended by silence: stands back, if somebody who is no router of the group has the address.
    pub(super) fn finds_it_taken(&mut self, now: Time, reason: Cause) -> bool {
        let is_taken =
            reason == Cause::Silence && self.search.is_open && self.search.answered.is_some();
        if is_taken {
            self.facts.taken_until(now + TAKEN_FOR);
            (self.state, self.cause) = (State::Fault, Some(Cause::InUse));
            self.search.asks_at = now + ASK_AGAIN;
        }
        is_taken
    }
}
