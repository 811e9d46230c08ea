//! The time in office of one holder of a token: when it may act, when it renews, when it must stop.
//!
//! ```text
//!   asked at t --- granted: token, limit --->  Held until t + limit - MARGIN
//!        ^                                        |  renewed: until grows
//!        |                                        v
//!      Idle <--- refused, given back, late, or time is up --- (stops first, then says so)
//! ```
//!
//! The time of a grant counts from the moment of *asking*: the store gave the name no earlier, so here
//! it ends no later than there. A holder that was paused finds that its time is up before it acts; one
//! that was paused between looking and acting is stopped by the receivers, whose [`crate::kv::Fence`]
//! has seen a greater token. Neither alone is enough.

use std::time::Duration;

use base::Time;

use crate::Buffer;
use crate::kv::Token;

#[cfg(test)]
mod tests;

/// Ends this much earlier here than in the store: two clocks that count the longest limit differ by
/// less (500 parts in a million, of an hour), and an act begun takes a moment to arrive.
pub const MARGIN: Duration = Duration::from_secs(2);
/// The shortest limit that leaves time to renew twice outside of [`MARGIN`].
pub const SHORTEST: Duration = Duration::from_secs(5);
/// The longest: what a dead holder keeps the others waiting.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// A question that was not answered is put again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// This node wants the name (or no longer: it gives it back).
    Want(bool),
    /// The store gave the name, or renewed it, to the question of that number.
    Granted {
        question: u64,
        token: Token,
    },
    /// Somebody else holds it, or what was to be renewed is gone.
    Refused {
        question: u64,
    },
    /// A receiver has seen a greater token.
    Stale {
        token: Token,
    },
    Timeout,
}

/// What to do, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Commit [`crate::kv::acquire`] with the limit.
    Acquire { question: u64 },
    /// Commit [`crate::kv::renew`] with the limit.
    Renew { question: u64, token: Token },
    /// Commit [`crate::kv::release`].
    Release { token: Token },
    /// This node may act under the token from now on.
    Begin { token: Token },
    /// It must not any more: whatever acts is stopped before anything else is done.
    Stop { token: Token, why: End },
}

/// Why a time in office ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Nobody renewed it in time: the store was not reached, or this node did not run.
    TimeIsUp,
    /// The store, or a receiver, knows a later holder.
    Replaced,
    GivenBack,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Idle,
    Held { token: Token, until: Time },
}

/// One name, as one node tries to hold it.
#[derive(Clone, Debug)]
pub struct Tenure {
    limit: Duration,
    wanted: bool,
    state: State,
    /// The newest question and when it was put; none: nothing is open.
    asked: Option<(u64, Time)>,
    questions: u64,
    ask_at: Time,
}

impl Tenure {
    /// `limit`: how long the store keeps the name without being asked, [`SHORTEST`] to [`LONGEST`].
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit: limit.clamp(SHORTEST, LONGEST),
            wanted: false,
            state: State::Idle,
            asked: None,
            questions: 0,
            ask_at: Time::NEVER,
        }
    }

    /// The limit as the store is told it, in milliseconds.
    #[must_use]
    pub fn limit_ms(&self) -> u32 {
        u32::try_from(self.limit.as_millis()).unwrap_or(u32::MAX)
    }

    /// The token under which this node may act *now*. Ask at each act, not once: time passes.
    #[must_use]
    pub fn token(&self, now: Time) -> Option<Token> {
        match self.state {
            State::Held { token, until } if now < until => Some(token),
            State::Held { .. } | State::Idle => None,
        }
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        match self.state {
            State::Held { until, .. } => until.min(self.ask_at),
            State::Idle => self.ask_at,
        }
    }

    /// The only way in.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Buffer<Action>) {
        if let State::Held { until, .. } = self.state
            && now >= until
        {
            // Before anything is read: what arrives may be an order to act.
            self.end(now, End::TimeIsUp, out);
        }
        match input {
            Input::Want(wanted) => self.want(now, wanted, out),
            Input::Granted { question, token } => self.granted(now, question, token, out),
            Input::Refused { question } => {
                if self.asked.is_some_and(|(asked, _)| asked == question) {
                    self.asked = None;
                    self.end(now, End::Replaced, out);
                }
            }
            Input::Stale { token } => {
                if matches!(self.state, State::Held { token: held, .. } if held == token) {
                    self.end(now, End::Replaced, out);
                }
            }
            Input::Timeout => {}
        }
        if self.wanted && now >= self.ask_at {
            self.ask(now, out);
        }
    }

    fn want(&mut self, now: Time, wanted: bool, out: &mut Buffer<Action>) {
        if wanted == self.wanted {
            return;
        }
        self.wanted = wanted;
        if wanted {
            self.ask_at = now;
            return;
        }
        self.asked = None;
        if let State::Held { token, .. } = self.state {
            self.end(now, End::GivenBack, out);
            out.push(Action::Release { token });
        }
        self.ask_at = Time::NEVER;
    }

    fn ask(&mut self, now: Time, out: &mut Buffer<Action>) {
        self.questions += 1;
        let question = self.questions;
        self.asked = Some((question, now));
        self.ask_at = now + ASK_AGAIN;
        out.push(match self.state {
            State::Idle => Action::Acquire { question },
            State::Held { token, .. } => Action::Renew { question, token },
        });
    }

    fn granted(&mut self, now: Time, question: u64, token: Token, out: &mut Buffer<Action>) {
        let Some((_, asked)) = self.asked.filter(|(asked, _)| *asked == question) else {
            // Nobody waits for it: given back in the meantime, or asked again since.
            let held = matches!(self.state, State::Held { token: held, .. } if held == token);
            if !held {
                out.push(Action::Release { token });
            }
            return;
        };
        self.asked = None;
        let until = asked + self.limit.saturating_sub(MARGIN);
        if now >= until {
            out.push(Action::Release { token });
            return;
        }
        let before = std::mem::replace(&mut self.state, State::Held { token, until });
        match before {
            State::Held { token: old, .. } if old == token => {}
            State::Held { token: old, .. } => {
                out.push(Action::Stop { token: old, why: End::Replaced });
                out.push(Action::Begin { token });
            }
            State::Idle => out.push(Action::Begin { token }),
        }
        // Early enough for one question to be lost.
        self.ask_at = now + until.since(now) / 3;
    }

    fn end(&mut self, now: Time, why: End, out: &mut Buffer<Action>) {
        if let State::Held { token, .. } = std::mem::replace(&mut self.state, State::Idle) {
            out.push(Action::Stop { token, why });
        }
        // An answer to a question of before would start a new time in office behind our back.
        self.asked = None;
        self.ask_at = if self.wanted { now + ASK_AGAIN } else { Time::NEVER };
    }
}
