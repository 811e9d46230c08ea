//! The world of vip processes that vote, seed by seed.

use std::collections::BTreeMap;

use outlast_sim::lease::{PLACED, Script, World, run};

/// Seconds without optimisation on a slow machine. `cargo xtask test` sweeps three hundred before, which reach every mark.
const SEEDS: u64 = 45;

#[test]
fn seeds_of_the_vip_lease_keep_every_property() {
    let violation = |seed| Some((seed, run(&Script::roll(seed)).violation?));
    let broken: BTreeMap<u64, _> = (0..SEEDS).filter_map(violation).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Spread, apart, never on one host, with who coordinates, in storms.
#[test]
fn seeds_of_addresses_with_a_place_keep_every_property() {
    let violation = |seed| Some((seed, run(&Script::roll(PLACED | seed)).violation?));
    let broken: BTreeMap<u64, _> = (0..SEEDS / 3).filter_map(violation).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_same_seed_of_the_vip_lease_gives_the_same_story() {
    let script = Script::roll(7);
    let told = World::new(&script).telling().run();
    assert_eq!(told.hash, run(&script).hash);
    assert!(told.story.lines().count() > 4, "{}", told.story);
}
