//! When a kind of process may be started again.

use std::time::Duration;

use base::Time;

/// The first wait: a process that died by accident is back before a client notices.
pub const FIRST: Duration = Duration::from_millis(10);
/// The last: a process that cannot live costs nothing, and is back soon after the cause is gone.
pub const LAST: Duration = Duration::from_secs(5);
/// A life this long was a good one.
const GOOD_LIFE: Duration = Duration::from_secs(10);

/// Waits that double from 10 ms to 5 s while lives are short.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restart {
    at: Time,
    wait: Duration,
    starts: u32,
}

impl Restart {
    pub(super) const fn new(now: Time) -> Self {
        Self { at: now, wait: FIRST, starts: 0 }
    }

    pub(super) fn after_life(&mut self, now: Time, life: Duration) {
        if life >= GOOD_LIFE {
            self.wait = FIRST;
        }
        self.at = now + self.wait;
        self.wait = (self.wait * 2).min(LAST);
    }

    pub(super) const fn at_once(&mut self, now: Time) {
        self.at = now;
    }

    pub(super) fn not_before(&mut self, at: Time) {
        self.at = self.at.max(at);
    }

    pub(super) const fn count(&mut self) {
        self.starts = self.starts.saturating_add(1);
    }

    pub(super) const fn at(&self) -> Time {
        self.at
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        now >= self.at
    }

    pub(super) const fn starts(&self) -> u32 {
        self.starts
    }
}
