//! `cargo xtask sweep --vip-lease` runs this: seeds of the world of vip processes that vote.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

use std::process::ExitCode;

use outlast_sim::lease::{Marks, PLACED, Script, World, run};

/// So many seeds reach every mark.
const ENOUGH: u64 = 300;

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [seed] => tell(seed),
        [first, seeds] => sweep(first, seeds),
        _ => {
            eprintln!("vip_lease: SEED, or the FIRST seed and how many SEEDS");
            ExitCode::from(2)
        }
    }
}

fn tell(seed: u64) -> ExitCode {
    let script = Script::roll(seed);
    let outcome = World::new(&script).telling().run();
    println!("{script:#?}\n{}", outcome.story);
    println!("seed {seed}: {:?}, hash {:016x}", outcome.violation, outcome.hash);
    ExitCode::from(u8::from(outcome.violation.is_some()))
}

fn sweep(first: u64, seeds: u64) -> ExitCode {
    let (mut marks, mut events, mut broken) = (Marks::default(), 0, 0_u64);
    let all = first..first.saturating_add(seeds);
    // Each third of them once more, with addresses that have places beside each other.
    let placed = all.clone().filter(|seed| seed % 3 == 0).map(|seed| PLACED | seed);
    for seed in all.chain(placed) {
        let outcome = run(&Script::roll(seed));
        marks.add(outcome.marks);
        events += outcome.events;
        if let Some((property, at, what)) = outcome.violation {
            println!("  seed {seed}: {property} at {at:?}: {what}");
            broken += 1;
        }
    }
    println!("{seeds} seeds, {events} events, {broken} violations");
    let missing: Vec<_> = marks.missing().filter(|_| seeds >= ENOUGH).collect();
    if !missing.is_empty() {
        println!("never reached: {missing:?}");
    }
    ExitCode::from(u8::from(broken > 0 || !missing.is_empty()))
}
