//! Every compute node is asked now and then, whoever misses it or not.

use std::time::Duration;

use base::Time;

use super::{Confirm, MAX_ROUNDS, Round};

/// Every compute node is asked in turn, one of them so often: 1,000 of them within 20 s.
const AUDIT_EVERY: Duration = Duration::from_millis(20);
/// None of them by one controller more often than this, or than the detection time, however few there are:
/// what a compute node answers would grow as the cluster shrinks (19 kB/s where one was asked by five).
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// The first time round, after a start, ten times as fast.
const FIRST_AUDIT_EVERY: Duration = Duration::from_millis(2);

impl Confirm {
    /// One more node is asked, whoever misses it or not; also those that were never heard.
    pub(super) fn audit(&mut self, now: Time) {
        let node = self.audit_next;
        let last = self.controllers + u16::try_from(self.watched.len()).unwrap_or(u16::MAX) - 1;
        self.audited_all |= node >= last;
        self.audit_next = if node >= last { self.controllers } else { node + 1 };
        self.audit_at = now + if self.audited_all { self.audit_every() } else { FIRST_AUDIT_EVERY };
        self.loose.push(node);
        let is_full = self.open.len() >= MAX_ROUNDS;
        let watched = self.at(node).and_then(|at| self.watched.get_mut(at));
        if let Some(watched) = watched.filter(|watched| watched.round.is_none() && !is_full) {
            watched.round = Some(Round::new(now));
            self.open.push(node);
        }
    }

    fn audit_every(&self) -> Duration {
        let computes = u32::try_from(self.watched.len()).unwrap_or(u32::MAX).max(1);
        (self.times.detect().max(ASKED_EVERY) / computes).max(AUDIT_EVERY)
    }
}
