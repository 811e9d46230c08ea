//! Gratuitous ARP comes in bursts: switches and clients lose single frames.

use std::time::Duration;

use base::Time;

/// After the first at once: soon enough that a loser's last answer is corrected before a client
/// retries (10, 100 ms), late enough to pass a switch port that is just opening (1, 5 s).
const OFFSETS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    started: Time,
    /// Repetitions done, or left out because they came due together.
    done: usize,
}

impl Burst {
    /// Nothing to announce.
    pub(super) const fn silent() -> Self {
        Self { started: Time::ZERO, done: OFFSETS.len() }
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
        OFFSETS.get(self.done).map_or(Time::NEVER, |offset| self.started + *offset)
    }

    /// Whether a repetition is due. Several that are late count as one.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let due = self.next() <= now;
        while self.next() <= now {
            self.done += 1;
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
    fn repeats_four_times() {
        let mut burst = Burst::silent();
        assert!(burst.restart(ms(0)));
        let mut at = vec![];
        while burst.next() < Time::NEVER {
            at.push(burst.next());
            assert!(burst.take(burst.next()));
        }
        assert_eq!(at, [ms(10), ms(100), ms(1000), ms(5000)]);
    }

    #[test]
    fn late_repetitions_are_one() {
        let mut burst = Burst::silent();
        burst.restart(ms(0));
        assert!(burst.take(ms(500)));
        assert!(!burst.take(ms(500)));
        assert_eq!(burst.next(), ms(1000));
    }

    #[test]
    fn a_flood_of_reasons_is_one_burst() {
        let mut burst = Burst::silent();
        assert!(burst.restart(ms(0)));
        assert!(!burst.restart(ms(5)));
        burst.take(ms(10));
        assert!(burst.restart(ms(11)));
    }
}
