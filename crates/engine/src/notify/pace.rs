//! How fast one receiver is told.

use std::time::Duration;

use base::Time;

/// So many at once are told one by one; of more a summary is made.
pub(super) const BURST: u32 = 6;
/// From then on one message in this time.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// After the first failure, doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longer, and who mends the receiver waits for us.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A server that is late, one that is started anew, one that somebody mends.
const UNSURE_PAUSES: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3600)];

#[derive(Debug)]
pub(super) struct Pace {
    /// Messages that may leave now.
    left: u32,
    /// When that was last counted.
    counted: Time,
    failures: u32,
    not_before: Time,
}

/// After so many failures.
pub(super) fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE)
}

/// After so many deliveries that may have arrived (at least one): whoever reads it twice shall at least be sure that
/// there is a reason.
pub(super) fn unsure_pause(times: u32) -> Duration {
    let step = usize::try_from(times.saturating_sub(1)).unwrap_or(usize::MAX);
    UNSURE_PAUSES[step.min(UNSURE_PAUSES.len() - 1)]
}

impl Default for Pace {
    fn default() -> Self {
        Self { left: BURST, counted: Time::ZERO, failures: 0, not_before: Time::ZERO }
    }
}

impl Pace {
    /// Messages that may leave now.
    pub(super) fn left(&mut self, now: Time) -> u32 {
        while self.left < BURST && now >= self.counted + EVERY {
            self.left += 1;
            self.counted += EVERY;
        }
        if self.left == BURST {
            self.counted = now;
        }
        if now < self.not_before { 0 } else { self.left }
    }

    /// One leaves. What is sent again costs nothing more.
    pub(super) fn spend(&mut self, is_again: bool) {
        self.left = self.left.saturating_sub(u32::from(!is_again));
    }

    pub(super) const fn worked(&mut self) {
        (self.failures, self.not_before) = (0, Time::ZERO);
    }

    pub(super) fn failed(&mut self, now: Time) {
        self.not_before = now + pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        // It did not arrive: it does not count.
        self.left = (self.left + 1).min(BURST);
    }

    /// When the next one may leave.
    pub(super) fn next(&self) -> Time {
        let counted = if self.left == 0 { self.counted + EVERY } else { Time::ZERO };
        counted.max(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_burst_leaves_at_once_and_then_one_a_minute() {
        let mut pace = Pace::default();
        for left in (1..=BURST).rev() {
            assert_eq!(pace.left(s(100)), left);
            pace.spend(false);
        }
        assert_eq!((pace.left(s(159)), pace.next()), (0, s(160)));
        assert_eq!(pace.left(s(160)), 1);
        pace.spend(false);
        pace.spend(true);
        assert_eq!(pace.left(s(219)), 0);
        assert_eq!(pace.left(s(221)), 1);
        assert_eq!(pace.left(s(10_000)), BURST);
    }

    #[test]
    fn pauses_double_until_five_minutes_and_a_success_ends_them() {
        let mut pace = Pace::default();
        let mut pauses = vec![];
        for _ in 0..10 {
            pace.spend(false);
            pace.failed(s(1000));
            pauses.push(pace.next().since(s(1000)).as_secs());
            assert_eq!(pace.left(s(1000)), 0);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        pace.worked();
        assert!(pace.next() <= s(1000) && pace.left(s(1000)) == BURST, "{pace:?}");
    }
}
