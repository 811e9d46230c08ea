//! Many seeds, one after the other: how fast, how much, and what broke.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use base::Time;

use crate::shrink::shrink;
use crate::world::{Marks, Outcome, Script, Shape, Violation, World};

/// Every so many seeds one is run twice: the same seed is the same run (S12).
const TWICE_EVERY: u64 = 50;

/// What a sweep has come to so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub events: u64,
    pub faults: u64,
    pub simulated: Duration,
    pub marks: Marks,
    pub broken: Vec<(u64, Violation)>,
    /// The detection time of all scripts; rolled without.
    pub detect: Option<Duration>,
    /// Over the traces of all seeds, in their order: two machines with one program have the same.
    pub trace: u64,
}

impl Tally {
    /// Runs one more seed.
    pub fn add(&mut self, seed: u64, shape: Shape) {
        let script = scripted(seed, shape, self.detect);
        let outcome = run(&script);
        if self.seeds.is_multiple_of(TWICE_EVERY) {
            let again = run(&script);
            self.count(&again);
            if again.hash != outcome.hash {
                let what = format!("hash {:016x}, and then {:016x}", outcome.hash, again.hash);
                let violation = Violation { property: "S12 same seed", at: Time::ZERO, what };
                self.broken.push((seed, violation));
            }
        }
        self.seeds += 1;
        self.trace = self.trace.rotate_left(7) ^ outcome.hash;
        self.count(&outcome);
        self.marks.add(&outcome.marks);
        if let Some(violation) = outcome.violation {
            self.broken.push((seed, violation));
        }
    }

    const fn count(&mut self, outcome: &Outcome) {
        self.events += outcome.events;
        self.faults += outcome.faults;
        self.simulated = self.simulated.saturating_add(outcome.simulated);
    }
}

/// The script of a seed, as a sweep runs it, shows it and makes it short.
#[must_use]
pub fn scripted(seed: u64, shape: Shape, detect: Option<Duration>) -> Script {
    let script = Script::roll(seed, shape);
    Script { detect: detect.unwrap_or(script.detect), ..script }
}

/// The shortest script found that breaks the same property as this one does.
#[must_use]
pub fn shortest(script: &Script, property: &str) -> Script {
    shrink(script, |script| {
        let outcome = run(script);
        let broken = outcome.violation.filter(|broken| broken.property == property);
        broken.map(|broken| broken.at.since(Time::ZERO))
    })
}

/// Runs a script; a machine that panics has broken a property too.
#[must_use]
pub fn run(script: &Script) -> Outcome {
    let caught = catch_unwind(AssertUnwindSafe(|| World::new(script).run()));
    caught.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let violation = Violation {
            property: "S no panic",
            at: Time::ZERO,
            what: what.unwrap_or_else(|| "a machine panics".to_owned()),
        };
        Outcome {
            events: 0,
            faults: 0,
            simulated: Duration::ZERO,
            hash: 0,
            marks: Marks::default(),
            violation: Some(violation),
            story: String::new(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_with_a_detection_time_of_its_own_shows_the_script_that_it_ran() {
        let shape = Shape::Fixed { controllers: 3, computes: 2 };
        let detect = Some(Duration::from_millis(300));
        // Not the first, which is run twice.
        let mut tally = Tally { detect, seeds: 1, ..Tally::default() };
        tally.add(7, shape);
        let shown = Script::parse(&scripted(7, shape, detect).print()).unwrap();
        assert_eq!(shown.detect, Duration::from_millis(300));
        assert_ne!(shown.detect, Script::roll(7, shape).detect);
        assert_eq!(tally.trace, run(&shown).hash);
    }
}
