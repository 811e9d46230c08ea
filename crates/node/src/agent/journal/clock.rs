//! Notices that somebody set the clock that events are dated with. No decision uses that clock.

use base::Time;

/// Clocks that are drawn towards the right time move by less than this in a day; between two looks
/// only somebody who sets them, or a machine that slept, moves them by more (milliseconds).
const JUMP: u64 = 1000;
const DAY: u64 = 86_400_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    looked: Time,
    wall_ms: u64,
}

/// What the clock should have said, and what it said: milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Jump {
    pub(super) expected: u64,
    pub(super) found: u64,
}

impl Clock {
    pub(super) const fn new(now: Time, wall_ms: u64) -> Self {
        Self { looked: now, wall_ms }
    }

    pub(super) fn look(&mut self, now: Time, wall_ms: u64) -> Option<Jump> {
        let passed = u64::try_from(now.since(self.looked).as_millis()).unwrap_or(u64::MAX);
        let expected = self.wall_ms.saturating_add(passed);
        *self = Self::new(now, wall_ms);
        let jump = Jump { expected, found: wall_ms };
        (wall_ms.abs_diff(expected) > JUMP).then_some(jump)
    }

    /// A log that ends in the future was written before the clock was set back.
    pub(super) fn after_restart(last_ms: Option<u64>, wall_ms: u64) -> Option<Jump> {
        let expected = last_ms.filter(|last| *last > wall_ms.saturating_add(JUMP))?;
        Some(Jump { expected, found: wall_ms })
    }
}

impl std::fmt::Display for Jump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { expected, found } = *self;
        let way = if found < expected { "back" } else { "forward" };
        let by = found.abs_diff(expected) / 1000;
        let (before, after) = (utc(expected), utc(found));
        write!(f, "the clock was at {before} and is at {after}: {by} s {way}")
    }
}

/// As people write it, whatever the machine's zone.
pub(crate) fn utc(ms: u64) -> String {
    // Days to a date: the civil calendar in eras of 400 years that begin in March.
    let (days, in_day) = (ms / DAY + 719_468, ms % DAY / 1000);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_478_400_000;

    const fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_drifts_is_not() {
        let mut clock = Clock::new(at(0), NOON);
        assert_eq!(clock.look(at(1000), NOON + 1900), None);
        assert_eq!(clock.look(at(2000), NOON + 2000), None);
        let jump = clock.look(at(3000), NOON - 3_597_000).unwrap();
        assert_eq!(
            jump.to_string(),
            "the clock was at 2026-11-24 00:00:03 UTC and is at 2026-11-23 23:00:03 UTC: 3600 s back"
        );
        assert_eq!(clock.look(at(4000), NOON - 3_596_000), None, "it is told once");
        assert!(clock.look(at(5000), NOON).unwrap().to_string().ends_with(" 3595 s forward"));
    }

    #[test]
    fn a_log_that_ends_in_the_future_is_told() {
        assert_eq!(Clock::after_restart(None, NOON), None);
        assert_eq!(Clock::after_restart(Some(NOON - 5), NOON), None);
        let expected = NOON + 3_600_000;
        let jump = Jump { expected, found: NOON };
        assert_eq!(Clock::after_restart(Some(expected), NOON), Some(jump));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let rows = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_000, "2024-02-29 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ];
        for (ms, expected) in rows {
            assert_eq!(utc(ms), expected);
        }
    }
}
