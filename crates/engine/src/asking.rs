//! How often others are asked for what this node lacks and they may not have either.
//!
//! ```text
//!   lacks --asks--> waits 2 s, 4 s, ... 60 s for the same one --asks--> ...
//!   what it lacks changed, or it lacks nothing: from the beginning
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;

/// The same one is asked again after so long; after each further time it is twice as long.
pub const FIRST: Duration = Duration::from_secs(2);
/// The longest wait: who gets the thing meanwhile gives it within a minute.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Whom this node has asked, and how often in vain.
#[derive(Debug, Default)]
pub struct Asking {
    /// Version of what says what should be there.
    version: u64,
    asked: BTreeMap<String, (u32, Time)>,
    times: u32,
}

/// The wait after so many times in vain.
#[must_use]
pub fn wait(times: u32) -> Duration {
    let doubled = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST.saturating_mul(doubled).min(LONGEST)
}

impl Asking {
    /// What lacks is of this version: with another one everybody may be asked at once.
    pub fn lacks(&mut self, version: u64) {
        if self.version != version {
            *self = Self { version, ..Self::default() };
        }
    }

    /// Nothing lacks any more.
    pub fn has_all(&mut self) {
        *self = Self { version: self.version, ..Self::default() };
    }

    #[must_use]
    pub fn is_due(&self, who: &str, now: Time) -> bool {
        self.asked.get(who).is_none_or(|(_, again_at)| now >= *again_at)
    }

    pub fn asked(&mut self, who: &str, now: Time) {
        self.times = self.times.saturating_add(1);
        let (times, again_at) = self.asked.entry(who.to_owned()).or_default();
        *times = times.saturating_add(1);
        *again_at = now + wait(*times);
    }

    /// How soon the next one is thought of, which is another one where there is one.
    #[must_use]
    pub fn next_in(&self) -> Duration {
        wait(self.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_two_seconds_to_a_minute() {
        let waits = [0, 1, 2, 3, 4, 5, 6, 7, 40, u32::MAX].map(|times| wait(times).as_secs());
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn who_has_not_got_it_is_asked_once_a_minute_and_nobody_is_skipped_for_another_one() {
        // Two others take turns every five seconds, as the keeper of the trust folder has them.
        let mut asking = Asking::default();
        asking.lacks(7);
        let (mut now, end) = (Time::ZERO, Time::ZERO + Duration::from_secs(86_400));
        let mut counts = [0, 0];
        for turn in 0_usize.. {
            if now >= end {
                break;
            }
            let who = ["a", "b"][turn % 2];
            if asking.is_due(who, now) {
                counts[turn % 2] += 1;
                asking.asked(who, now);
            }
            now += asking.next_in().min(Duration::from_secs(5));
        }
        assert!(counts.iter().all(|count| (1200..=1450).contains(count)), "{counts:?} in a day");
    }

    #[test]
    fn another_roster_begins_again() {
        let mut asking = Asking::default();
        asking.lacks(7);
        (0..9).for_each(|_| asking.asked("a", Time::ZERO));
        asking.lacks(7);
        assert!(!asking.is_due("a", Time::ZERO + Duration::from_secs(59)));
        assert!(asking.is_due("b", Time::ZERO), "another one");
        asking.lacks(8);
        assert!(asking.is_due("a", Time::ZERO) && asking.next_in() == FIRST);
        asking.asked("a", Time::ZERO);
        asking.has_all();
        assert!(asking.is_due("a", Time::ZERO));
    }
}
