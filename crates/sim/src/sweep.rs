//! Many seeds, one after the other: how fast, how much, and what broke.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use base::Time;

use crate::shrink::shrink;
use crate::world::{Marks, Outcome, Script, Shape, Violation, World};

/// What a sweep has come to so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub events: u64,
    pub faults: u64,
    pub simulated: Duration,
    pub marks: Marks,
    pub broken: Vec<(u64, Violation)>,
}

impl Tally {
    /// Runs one more seed.
    pub fn add(&mut self, seed: u64, shape: Shape) {
        let outcome = run(&Script::roll(seed, shape));
        self.seeds += 1;
        self.events += outcome.events;
        self.faults += outcome.faults;
        self.simulated += outcome.simulated;
        self.marks.add(&outcome.marks);
        if let Some(violation) = outcome.violation {
            self.broken.push((seed, violation));
        }
    }
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
