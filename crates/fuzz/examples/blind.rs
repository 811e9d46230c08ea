//! Changes kept inputs at random and feeds them to a target, on the stable compiler and without coverage: what
//! can be done where there is no fuzzer.
//!
//!     cargo run --release -p outlast-fuzz --example blind -- TARGET SECONDS [SEED]
//!
//! Prints how many inputs held; the first one that does not is written to the folder of temporary files.

#![expect(clippy::print_stdout, reason = "a program of the command line")]

use std::path::Path;
use std::time::Duration;

/// Longer ones make every run slow; no target needs more to reach all that it has.
const LONGEST: usize = 4096;

/// Xorshift64* (Vigna 2016): small, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let wide = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(wide).unwrap_or(0) % below.max(1)
    }
}

/// One of the usual blows: a bit, a byte, a run that is cut, doubled or taken from another input, a length.
fn hurt(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let length = dice.roll(16) + 1;
    let end = (at + length).min(bytes.len());
    match dice.roll(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
        1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n'][dice.roll(7)],
        2 => drop(bytes.drain(at..end)),
        3 => {
            let run = bytes[at..end].to_vec();
            bytes.splice(at..at, run);
        }
        4 => {
            let from = dice.roll(other.len() + 1);
            let run = other[from..(from + 4 * length).min(other.len())].to_vec();
            bytes.splice(at..at, run);
        }
        5 => bytes.truncate(at),
        _ => bytes.insert(at, u8::try_from(dice.roll(256)).unwrap_or(0)),
    }
    bytes.truncate(LONGEST);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let usage = "blind TARGET SECONDS [SEED]";
    let target = words.first().expect(usage);
    let seconds: u64 = words.get(1).and_then(|word| word.parse().ok()).expect(usage);
    let seed: u64 = words.get(2).and_then(|word| word.parse().ok()).unwrap_or(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).expect("the target has a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let inputs: Vec<Vec<u8>> =
        paths.iter().map(|path| std::fs::read(path).expect("it can be read")).collect();
    let (mut dice, mut runs) = (Dice(seed | 1), 0_u64);
    let end = sys::clock::now() + Duration::from_secs(seconds);
    while sys::clock::now() < end {
        for _ in 0..64 {
            let mut bytes = inputs[dice.roll(inputs.len())].clone();
            let other = &inputs[dice.roll(inputs.len())];
            for _ in 0..=dice.roll(4) {
                hurt(&mut bytes, other, &mut dice);
            }
            let outcome = std::panic::catch_unwind(|| outlast_fuzz::run(target, &bytes));
            if outcome.is_err() {
                let file = std::env::temp_dir().join(format!("{target}-{seed}-{runs}"));
                std::fs::write(&file, &bytes).expect("it can be kept");
                panic!(
                    "{target}: input {runs} of seed {seed} breaks a promise: {}",
                    file.display()
                );
            }
            runs += 1;
        }
    }
    println!("{target}: {runs} inputs of seed {seed} held in {seconds} s");
}
