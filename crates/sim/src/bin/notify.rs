//! `cargo xtask sweep --notify` runs this: seeds of the world of nodes that tell people of moves.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

use std::process::ExitCode;

use outlast_sim::notify::{Marks, World, run};

/// So many seeds reach every mark.
const ENOUGH: u64 = 200;

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [seed] => tell(seed),
        [first, seeds] => sweep(first, seeds),
        _ => {
            eprintln!("notify: SEED, or the FIRST seed and how many SEEDS");
            ExitCode::from(2)
        }
    }
}

fn tell(seed: u64) -> ExitCode {
    let outcome = World::new(seed).telling().run();
    println!("{}", outcome.story);
    println!("seed {seed}: {:?}, hash {:016x}", outcome.violation, outcome.hash);
    ExitCode::from(u8::from(outcome.violation.is_some()))
}

fn sweep(first: u64, seeds: u64) -> ExitCode {
    let (mut marks, mut moves, mut arrivals, mut broken) = (Marks::default(), 0, 0, 0_u64);
    for seed in first..first.saturating_add(seeds) {
        let outcome = run(seed);
        marks.add(outcome.marks);
        (moves, arrivals) = (moves + outcome.moves, arrivals + outcome.arrivals);
        if let Some((property, at_ms, what)) = outcome.violation {
            println!("  seed {seed}: {property} at {at_ms} ms: {what}");
            broken += 1;
        }
    }
    println!("{seeds} seeds, {moves} moves, {arrivals} arrivals, {broken} violations");
    let missing: Vec<_> = marks.missing().filter(|_| seeds >= ENOUGH).collect();
    if !missing.is_empty() {
        println!("never reached: {missing:?}");
    }
    ExitCode::from(u8::from(broken > 0 || !missing.is_empty()))
}
