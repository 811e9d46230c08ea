//! Seeds of the fast world in every build; `cargo xtask sweep` runs thousands of them.

use outlast_sim::sweep::{Tally, run};
use outlast_sim::world::{Script, Shape, World};

/// As many as a debug build runs in some seconds.
const SEEDS: u64 = 8;

#[test]
fn seeds_of_the_swarm_keep_every_property() {
    let mut tally = Tally::default();
    for seed in 0..SEEDS {
        tally.add(seed, Shape::Mixed);
    }
    assert_eq!(tally.broken, [], "`cargo xtask sweep --mixed --seed N` tells the story of one");
}

#[test]
fn the_same_script_is_the_same_run_and_another_is_not() {
    let shape = Shape::Fixed { controllers: 3, computes: 4 };
    let script = Script::roll(11, shape);
    let outcome = run(&script);
    assert_eq!(run(&Script::parse(&script.print()).unwrap()), outcome);
    assert_eq!(World::new(&script).telling().run().hash, outcome.hash, "telling changes nothing");
    assert_ne!(run(&Script { seed: 12, ..script }).hash, outcome.hash);
}

/// Each was made short by a sweep, or by `cargo xtask mutants` of a machine that was broken on purpose.
#[test]
fn scripts_that_once_failed_keep_every_property() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let script = Script::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(run(&script).violation, None, "{}", file.display());
    }
}
