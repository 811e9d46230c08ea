//! What a host takes for the time.

use base::Time;

const MILLION: i64 = 1_000_000;

/// The monotonic clock of one host: its own origin, and a little too fast or too slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base_true: i64,
    base_local: i64,
    /// Nanoseconds gained in a millisecond.
    ppm: i64,
}

impl Clock {
    /// Ahead of true time by `skew`.
    pub(crate) fn new(skew: Time) -> Self {
        Self { base_true: 0, base_local: whole(skew), ppm: 0 }
    }

    pub(crate) fn local(&self, now: Time) -> Time {
        let passed = whole(now) - self.base_true;
        moment(self.base_local + passed + passed / MILLION * self.ppm)
    }

    /// The first moment at which [`Clock::local`] says `local`, or later.
    pub(crate) fn truly(&self, local: Time) -> Time {
        if local == Time::NEVER {
            return Time::NEVER;
        }
        let wanted = whole(local) - self.base_local;
        // `local` counts whole millionths, so the guess is early or late by a few nanoseconds.
        let guess = self.base_true + wanted - wanted / (MILLION + self.ppm) * self.ppm;
        let mut at = moment(guess);
        while self.local(at) < local {
            at = moment(whole(at) + 1 + (whole(local) - whole(self.local(at))) / 2);
        }
        at
    }

    /// From now on it gains so many nanoseconds in a millisecond.
    pub(crate) fn drift(&mut self, now: Time, ppm: i64) {
        *self = Self { base_true: whole(now), base_local: whole(self.local(now)), ppm };
    }
}

fn whole(time: Time) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4)
}

fn moment(nanos: i64) -> Time {
    Time::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_found_again_whatever_the_clock_does() {
        for ppm in [-500, -1, 0, 1, 77, 500] {
            let mut clock = Clock::new(Time::from_nanos(12_345_678_901));
            clock.drift(Time::from_nanos(5_000_000_007), ppm);
            for local in (18_000_000_000..90_000_000_000).step_by(777_777_777) {
                let local = Time::from_nanos(local);
                let at = clock.truly(local);
                assert!(clock.local(at) >= local, "early at {ppm}");
                let before = Time::from_nanos(at.as_nanos() - 2_000);
                assert!(clock.local(before) < local, "late at {ppm}");
            }
        }
    }

    #[test]
    fn never_stays_never() {
        assert_eq!(Clock::new(Time::ZERO).truly(Time::NEVER), Time::NEVER);
    }
}
