//! How late the vip process does what is due at a moment: a histogram of the last ten to twenty minutes.
//!
//! ```text
//!   until 8 us | 10 12 14 16 | 20 24 28 32 | 40 48 56 64 | ... | 458752 us | above
//! ```
//! Four steps to the octave, so a quantile is at most a quarter too high, and never too low: it is the end of its step, or
//! the longest of all if that is less. Two halves of [`HALF`] each: when one is full, the older one is forgotten.

use std::time::Duration;

use base::Time;

/// A beat of 10 ms waits 60,000 times in so long: enough for one in a thousand.
pub const HALF: Duration = Duration::from_secs(600);
/// Steps of the histogram.
pub const STEPS: usize = 64;
/// A quantile of fewer says nothing about one in a thousand.
pub const ENOUGH: u64 = 1000;
/// What is less late than this is not late (microseconds).
const FIRST: u64 = 8;
const OF_OCTAVE: u64 = 4;

/// Of one process.
#[derive(Clone, Debug)]
pub struct Lateness {
    /// The present half, then the one before.
    halves: [Half; 2],
    ends: Time,
}

#[derive(Clone, Copy, Debug)]
struct Half {
    counts: [u32; STEPS],
    longest: Duration,
}

impl Half {
    const EMPTY: Self = Self { counts: [0; STEPS], longest: Duration::ZERO };
}

impl Lateness {
    #[must_use]
    pub const fn new() -> Self {
        Self { halves: [Half::EMPTY; 2], ends: Time::ZERO }
    }

    /// What was due was done that much later. `now`: when.
    pub fn note(&mut self, now: Time, late: Duration) {
        if now >= self.ends {
            let last = if now.since(self.ends) < HALF { self.halves[0] } else { Half::EMPTY };
            (self.halves, self.ends) = ([Half::EMPTY, last], now + HALF);
        }
        let half = &mut self.halves[0];
        half.counts[step(late)] = half.counts[step(late)].saturating_add(1);
        half.longest = half.longest.max(late);
    }

    /// How often something was due.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.steps().map(|(_, count)| count).sum()
    }

    /// The longest of all.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.halves[0].longest.max(self.halves[1].longest)
    }

    /// So many in a thousand were not later; zero: nothing was due yet.
    #[must_use]
    pub fn quantile(&self, in_a_thousand: u64) -> Duration {
        let rank = (self.waits() * in_a_thousand).div_ceil(1000);
        let mut below = 0;
        let reached = self.steps().find(|(_, count)| {
            below += count;
            rank > 0 && below >= rank
        });
        let upto = reached.map(|(upto, _)| upto);
        upto.map_or(Duration::ZERO, |upto| upto.unwrap_or(Duration::MAX)).min(self.longest())
    }

    /// All but one in a thousand were not later; none: there were not [`ENOUGH`] to say so.
    #[must_use]
    pub fn usual(&self) -> Option<Duration> {
        (self.waits() >= ENOUGH).then(|| self.quantile(999))
    }

    /// From the least late on: where a step ends (the last one nowhere), and how many there were.
    pub fn steps(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        (0..STEPS).map(|step| {
            let count = |half: &Half| u64::from(half.counts[step]);
            (end(step), self.halves.iter().map(count).sum())
        })
    }
}

impl Default for Lateness {
    fn default() -> Self {
        Self::new()
    }
}

/// The number of the step that has it.
fn step(late: Duration) -> usize {
    let micros = u64::try_from(late.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
    // A step has its end, as in "at most 10 us".
    let Some(micros) = micros.checked_sub(1).filter(|micros| *micros >= FIRST) else { return 0 };
    let octave = u64::from(micros.ilog2() - FIRST.ilog2());
    let quarter = (micros >> (micros.ilog2() - OF_OCTAVE.ilog2())) % OF_OCTAVE;
    usize::try_from(1 + octave * OF_OCTAVE + quarter).unwrap_or(STEPS).min(STEPS - 1)
}

/// Where it ends; the last one does not.
fn end(step: usize) -> Option<Duration> {
    let step = u64::try_from(step).ok().filter(|_| step < STEPS - 1)?;
    // The first step has no quarter; the ends of the others are those of the steps before, one further.
    let octave = FIRST << (step / OF_OCTAVE);
    Some(Duration::from_micros(octave + octave / OF_OCTAVE * (step % OF_OCTAVE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_step_has_what_is_at_most_its_end_and_more_than_the_one_before() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|at| end(at).unwrap().as_micros()),
            [8, 10, 12, 14, 16, 20]
        );
        assert_eq!((end(STEPS - 2), end(STEPS - 1)), (Some(micros(393_216)), None));
        for at in 0..STEPS - 1 {
            let upto = end(at).unwrap();
            assert_eq!((step(upto), step(upto + micros(1))), (at, at + 1), "{upto:?}");
            assert_eq!(step(upto + Duration::from_nanos(1)), at + 1, "{upto:?} and a little");
        }
        for late in [Duration::ZERO, micros(1), micros(8)] {
            assert_eq!(step(late), 0);
        }
        assert_eq!((step(Duration::from_secs(9)), step(Duration::MAX)), (STEPS - 1, STEPS - 1));
    }

    #[test]
    fn a_quantile_is_never_too_low_and_at_most_a_quarter_too_high() {
        let mut lateness = Lateness::new();
        assert_eq!((lateness.quantile(999), lateness.usual()), (Duration::ZERO, None));
        let start = Time::ZERO + Duration::from_secs(5000);
        (1..=ENOUGH).for_each(|late| lateness.note(start, micros(late)));
        for in_a_thousand in [1, 10, 500, 990, 999] {
            let (said, is) = (lateness.quantile(in_a_thousand), micros(in_a_thousand));
            assert!((is..=(is * 5 / 4).max(micros(FIRST))).contains(&said), "{said:?} of {is:?}");
        }
        assert_eq!(lateness.quantile(1000), micros(1000), "the longest, not the end of its step");
        assert_eq!((lateness.waits(), lateness.longest()), (1000, micros(1000)));
        assert_eq!(lateness.usual(), Some(lateness.quantile(999)));
    }

    #[test]
    fn one_that_is_beyond_all_steps_is_told_as_it_was() {
        let mut lateness = Lateness::new();
        lateness.note(Time::ZERO, Duration::from_secs(7));
        assert_eq!(lateness.quantile(500), Duration::from_secs(7));
        assert_eq!(lateness.steps().last(), Some((None, 1)));
    }

    #[test]
    fn what_is_older_than_two_halves_is_forgotten() {
        let mut lateness = Lateness::new();
        let start = Time::ZERO + Duration::from_secs(5000);
        lateness.note(start, micros(500));
        lateness.note(start + HALF, micros(9));
        assert_eq!((lateness.waits(), lateness.longest()), (2, micros(500)));
        lateness.note(start + HALF * 2, micros(9));
        assert_eq!((lateness.waits(), lateness.longest()), (2, micros(9)));
        lateness.note(start + HALF * 9, micros(9));
        assert_eq!(lateness.waits(), 1, "after a long sleep nothing is known of before");
    }
}
