//! Counts the answers of checks, and joins what else speaks against a server.
//!
//! [`Health`] is the file's word: rise and fall as HAProxy counts them. [`Suspicion`] is ours: it never
//! takes a server down, it only keeps new requests away while another server is up.

use std::time::Duration;

use base::Time;
use config::haproxy::{Check, Timeouts};

pub use crate::member::Standing;
pub use suspicion::{ANSWER_SILENCE, Evidence, FRESH, Suspicion};

mod suspicion;
#[cfg(test)]
mod tests;

/// A server as its checks see it.
///
/// HAProxy's counter (`check.c`): `0` is down, `rise` and more is up, `rise + fall - 1` is fully up. A
/// server starts at `rise`: up, but the first failure takes it down and the first success confirms it.
#[derive(Clone, Debug)]
pub struct Health {
    interval: Duration,
    fast_interval: Duration,
    down_interval: Duration,
    rise: u32,
    fall: u32,
    count: u32,
    next_at: Time,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    Up,
    Down,
}

/// How long one check may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Until connected, from the start.
    pub connect: Duration,
    /// Until the whole answer is here; after connecting if `timeout check` is set, from the start if not.
    pub answer: Duration,
    /// Whether `answer` starts anew when connected.
    pub apart: bool,
}

impl Health {
    /// Up, to be confirmed by the first check at `first_at` (see [`first_check_at`]).
    #[must_use]
    pub fn new(check: &Check, first_at: Time) -> Self {
        let (rise, fall) = (check.rise.max(1), check.fall.max(1));
        Self {
            interval: check.interval,
            fast_interval: check.fast_interval.unwrap_or(check.interval),
            down_interval: check.down_interval.unwrap_or(check.interval),
            rise,
            fall,
            count: rise,
            next_at: first_at,
        }
    }

    /// The check that was due has ended.
    pub fn record(&mut self, now: Time, passed: bool) -> Option<Change> {
        let was_up = self.is_up();
        if passed {
            self.count += 1;
            if self.is_up() {
                self.count = self.full();
            }
        } else {
            self.count = self.count.saturating_sub(1);
            if !self.is_up() {
                self.count = 0;
            }
        }
        self.next_at = now + self.present_interval();
        match (was_up, self.is_up()) {
            (false, true) => Some(Change::Up),
            (true, false) => Some(Change::Down),
            (true, true) | (false, false) => None,
        }
    }

    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.count >= self.rise
    }

    /// When the next check is due.
    #[must_use]
    pub const fn next_check_at(&self) -> Time {
        self.next_at
    }

    /// Answers counted towards the next change.
    #[must_use]
    pub fn count(&self) -> u16 {
        let counted = if self.is_up() { self.full() - self.count } else { self.count };
        u16::try_from(counted).unwrap_or(u16::MAX)
    }

    /// HAProxy's `status: 2/3 UP`: how far, out of how many.
    #[must_use]
    pub const fn progress(&self) -> (u32, u32) {
        if self.is_up() { (self.count - self.rise + 1, self.fall) } else { (self.count, self.rise) }
    }

    /// Goes on where another generation of the process stopped ([`Health::is_up`], [`Health::count`]).
    pub fn restore(&mut self, up: bool, count: u16) {
        let count = u32::from(count);
        self.count = if up {
            self.full().saturating_sub(count).max(self.rise)
        } else {
            count.min(self.rise - 1)
        };
    }

    /// The operator's word: `set server ... health`.
    pub const fn force(&mut self, up: bool) {
        self.count = if up { self.full() } else { 0 };
    }

    /// How long a check of this server may take: HAProxy gives all of it one interval, or with `timeout
    /// check` the connect the smaller of interval and `timeout connect`, and the answer that timeout.
    #[must_use]
    pub fn limits(&self, timeouts: &Timeouts) -> Limits {
        match timeouts.check {
            None => Limits { connect: self.interval, answer: self.interval, apart: false },
            Some(answer) => {
                let connect = timeouts.connect.map_or(self.interval, |t| t.min(self.interval));
                Limits { connect, answer, apart: true }
            }
        }
    }

    const fn full(&self) -> u32 {
        self.rise + self.fall - 1
    }

    /// `srv_getinter`: the plain interval only while nothing is changing.
    const fn present_interval(&self) -> Duration {
        if self.count == self.full() {
            self.interval
        } else if self.count == 0 {
            self.down_interval
        } else {
            self.fast_interval
        }
    }
}

/// When check number `position` of `checks` is first due: spread over one interval, so that a start does
/// not ask every server in the same millisecond (`start_checks`).
#[must_use]
pub fn first_check_at(start: Time, position: usize, checks: usize, interval: Duration) -> Time {
    let share = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    start + interval / share(checks.max(1)) * share(position)
}
