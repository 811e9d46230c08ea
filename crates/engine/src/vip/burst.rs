//! Gratuitous ARP comes in bursts, because switches and clients lose single frames, and then slowly
//! for as long as the address is held.

use std::time::Duration;

use base::Time;

use crate::keep::kept;

/// After the first at once: soon enough that a loser's last answer is corrected before a client
/// retries (10, 100 ms), late enough to pass a switch port that is just opening (1, 5 s).
const OFFSETS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// A holder that was cut off without noticing, and whose stand-in (a router of somebody else, or a
/// node that died meanwhile) let go without a word, never learns that clients look elsewhere. They
/// would for half a minute; two frames in this time are nothing beside an advert a second.
const REFRESH: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    /// Of the burst, then of the last repetition.
    started: Time,
    /// Repetitions done, or left out because they came due together.
    done: usize,
}

kept!(Burst { started, done });

impl Burst {
    /// No burst: the next announcement is a slow one.
    pub(super) const fn silent(now: Time) -> Self {
        Self { started: now, done: OFFSETS.len() }
    }

    /// Begins anew; false within the first repetition of a burst, so that a flood of adverts does
    /// not become a flood of ARP.
    pub(super) fn restart(&mut self, now: Time) -> bool {
        let running = self.done == 0 && now < self.next();
        if !running {
            *self = Self { started: now, done: 0 };
        }
        !running
    }

    pub(super) fn next(&self) -> Time {
        self.started + OFFSETS.get(self.done).copied().unwrap_or(REFRESH)
    }

    /// Whether a repetition is due. Several that are late count as one.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let due = self.next() <= now;
        while self.done < OFFSETS.len() && self.next() <= now {
            self.done += 1;
            if self.done == OFFSETS.len() {
                self.started = now;
            }
        }
        if due && self.next() <= now {
            self.started = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn repeats_four_times_and_then_slowly() {
        let mut burst = Burst::silent(ms(0));
        assert!(burst.restart(ms(0)));
        let mut at = vec![];
        while burst.next() < ms(20_000) {
            at.push(burst.next());
            assert!(burst.take(burst.next()));
        }
        assert_eq!(at, [10, 100, 1000, 5000, 10_000, 15_000].map(ms));
    }

    #[test]
    fn a_late_refresh_is_one() {
        let mut burst = Burst::silent(ms(0));
        assert!(!burst.take(ms(4999)));
        assert!(burst.take(ms(23_000)));
        assert_eq!(burst.next(), ms(28_000));
    }

    #[test]
    fn late_repetitions_are_one() {
        let mut burst = Burst::silent(ms(0));
        burst.restart(ms(0));
        assert!(burst.take(ms(500)));
        assert!(!burst.take(ms(500)));
        assert_eq!(burst.next(), ms(1000));
    }

    #[test]
    fn a_flood_of_reasons_is_one_burst() {
        let mut burst = Burst::silent(ms(0));
        assert!(burst.restart(ms(0)));
        assert!(!burst.restart(ms(5)));
        burst.take(ms(10));
        assert!(burst.restart(ms(11)));
    }
}
