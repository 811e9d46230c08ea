//! The world of vip processes that vote, seed by seed.

use std::collections::BTreeMap;

use outlast_sim::lease::{Marks, Script, World, run};

/// Enough for every mark, and seconds on a slow machine.
const SEEDS: u64 = 300;

#[test]
fn seeds_of_the_vip_lease_keep_every_property_and_reach_every_mark() {
    let mut marks = Marks::default();
    let mut broken = BTreeMap::new();
    for seed in 0..SEEDS {
        let outcome = run(&Script::roll(seed));
        marks.add(outcome.marks);
        if let Some(violation) = outcome.violation {
            broken.insert(seed, violation);
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    let missing: Vec<_> = marks.missing().collect();
    assert!(missing.is_empty(), "never reached in {SEEDS} seeds: {missing:?}");
}

#[test]
fn the_same_seed_of_the_vip_lease_gives_the_same_story() {
    let script = Script::roll(7);
    let told = World::new(&script).telling().run();
    assert_eq!(told.hash, run(&script).hash);
    assert!(told.story.lines().count() > 4, "{}", told.story);
}
