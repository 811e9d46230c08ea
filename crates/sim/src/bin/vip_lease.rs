//! `cargo xtask sweep --vip-lease` runs this: seeds of the world of vip processes that vote.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// What some seeds came to.
#[derive(Default)]
struct Sum {
    marks: Marks,
    events: u64,
    storms: u64,
    /// By seed.
    broken: Vec<(u64, String)>,
}

impl Sum {
    fn add(&mut self, seed: u64) {
        let script = Script::roll(seed);
        let outcome = run(&script);
        self.marks.add(outcome.marks);
        self.events += outcome.events;
        self.storms += script.storms.len() as u64;
        if let Some((property, at, what)) = outcome.violation {
            self.broken.push((seed, format!("{property} at {at:?}: {what}")));
        }
    }

    fn join(mut self, other: Self) -> Self {
        self.marks.add(other.marks);
        self.events += other.events;
        self.storms += other.storms;
        self.broken.extend(other.broken);
        self
    }
}

fn sweep(first: u64, seeds: u64) -> ExitCode {
    let (next, end) = (AtomicU64::new(first), first.saturating_add(seeds));
    // Each third of them once more, with addresses that have places beside each other.
    let work = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return sum;
            }
            sum.add(seed);
            if seed % 3 == 0 {
                sum.add(PLACED | seed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut sum = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let sums = all.into_iter().map(|thread| thread.join().expect("no run of a world panics"));
        sums.fold(Sum::default(), Sum::join)
    });
    sum.broken.sort_unstable();
    for (seed, what) in &sum.broken {
        println!("  seed {seed}: {what}");
    }
    let Sum { marks, events, storms, broken } = sum;
    let violations = broken.len();
    println!("{seeds} seeds, {storms} storms of faults, {events} events, {violations} violations");
    let missing: Vec<_> = marks.missing().filter(|_| seeds >= ENOUGH).collect();
    if !missing.is_empty() {
        println!("never reached: {missing:?}");
    }
    ExitCode::from(u8::from(violations > 0 || !missing.is_empty()))
}
