//! `cargo xtask scenario --sim` runs this: scenario files on the simulator, with 20 seeds each.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

use std::process::ExitCode;

use outlast_sim::scenarios::run;
use scenario::Scenario;

/// Clocks and beats lie otherwise with each seed.
const SEEDS: u64 = 20;

fn main() -> ExitCode {
    let mut failed = false;
    for file in std::env::args().skip(1) {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                println!("{file}: cannot be read: {error}");
                failed = true;
                continue;
            }
        };
        match Scenario::parse(&text) {
            Ok(scenario) => failed |= !is_kept(&file, &scenario),
            Err(mistakes) => {
                mistakes.iter().for_each(|mistake| println!("{file}: {mistake}"));
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

fn is_kept(file: &str, scenario: &Scenario) -> bool {
    let mut slowest: Option<scenario::Record> = None;
    for seed in 0..SEEDS {
        match run(scenario, seed) {
            Ok(record) => match &mut slowest {
                None => slowest = Some(record),
                Some(slowest) => {
                    for (worst, kept) in slowest.kept.iter_mut().zip(record.kept) {
                        worst.took = worst.took.max(kept.took);
                    }
                }
            },
            Err(failure) => {
                println!("{file}: NOT KEPT with seed {seed}: {failure}");
                return false;
            }
        }
    }
    println!("{file}: kept with {SEEDS} seeds, simulated; the slowest:");
    print!("{}", slowest.unwrap_or_default());
    true
}
