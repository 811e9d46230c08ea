//! `cargo xtask bench cluster`: how fast agents know of a crash, and what they cost, with the real
//! executable in namespaces (`outlast lab cluster`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::figure::{Bound, Figure};
use super::shared;
use crate::shell::{Failure, Outcome};

/// Rounds of each kind of crash; `REPS=N` sets another number.
const REPS: u32 = 5;
/// Long enough that one hundredth of a second, the kernel's unit, is a tenth of a percent.
const IDLE: u32 = 10;

/// One measured number of `outlast lab cluster`.
#[derive(Clone, Debug, Deserialize)]
struct Sample {
    name: String,
    value: f64,
}

/// A figure: how a sample is called, what it is held to, and whether the bench fails with it.
type Row = (&'static str, &'static str, &'static str, f64, bool);

const AT_A_SECOND: [Row; 6] = [
    ("power off", "power off -> unreachable on all others, detect 1 s", "ms", 1100.0, true),
    ("processes killed", "kill -9 of all processes -> in doubt on all others", "ms", 200.0, true),
    ("supervisor killed", "kill -9 of the supervisor -> known on all others", "ms", 200.0, true),
    ("leave", "leave -> known on all others", "ms", 200.0, true),
    ("agent memory", "memory of an idle agent, 3 controllers", "MB", 40.0, true),
    ("agent cpu", "processor time of an idle agent, 3 controllers", "% of a core", 1.0, true),
];

const FAST: [Row; 1] =
    [("power off", "power off -> unreachable on all others, detect 0.3 s", "ms", 350.0, false)];

/// `seconds`: how long wrong verdicts are counted at load 20.
pub(super) fn measure(outlast: &Path, seconds: u32) -> Outcome<Vec<Figure>> {
    let reps = shared::number("REPS", REPS);
    let mut figures = figures(&run(outlast, "1s", [reps, IDLE, 0])?, &AT_A_SECOND);
    figures.extend(self::figures(&run(outlast, "300ms", [reps, 0, 0])?, &FAST));
    if seconds > 0 {
        let name = format!("false verdicts, {seconds} s at load 20, detect 1 s");
        let samples = run(outlast, "1s", [0, 0, seconds])?;
        let worst = worst(&samples, "false verdicts");
        let figure = Figure::new(&name, "verdicts", Bound::Absolute(0.0)).must();
        figures.push(figure.measured(None, worst, 1));
    }
    Ok(figures)
}

fn run(outlast: &Path, detect: &str, numbers: [u32; 3]) -> Outcome<Vec<Sample>> {
    let mut command = Command::new(outlast);
    command.args(["lab", "cluster", detect]).args(numbers.map(|number| number.to_string()));
    read(&shared::run(&mut command)?)
}

fn read(text: &str) -> Outcome<Vec<Sample>> {
    let sample = |line: &str| {
        serde_json::from_str(line)
            .map_err(|error| Failure::new(format!("reading the sample {line}: {error}")))
    };
    text.lines().map(sample).collect()
}

/// The slowest or largest of all rounds and nodes counts: a promise to know in time has no median.
fn figures(samples: &[Sample], rows: &[Row]) -> Vec<Figure> {
    let figure = |(sample, name, unit, max, must): &Row| {
        let figure = Figure::new(name, unit, Bound::Absolute(*max));
        let figure = if *must { figure.must() } else { figure };
        let runs = samples.iter().filter(|found| found.name == *sample).count();
        figure.measured(None, worst(samples, sample), u32::try_from(runs).unwrap_or(u32::MAX))
    };
    rows.iter().map(figure).collect()
}

fn worst(samples: &[Sample], name: &str) -> Option<f64> {
    let mut by_name: BTreeMap<&str, f64> = BTreeMap::new();
    for sample in samples {
        let worst = by_name.entry(&sample.name).or_insert(sample.value);
        *worst = worst.max(sample.value);
    }
    by_name.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_round_is_held_to_the_bound() {
        let text =
            "{\"name\":\"power off\",\"value\":300.5}\n{\"name\":\"power off\",\"value\":351}\n";
        let figures = figures(&read(text).unwrap(), &FAST);
        let figure = &figures[0];
        assert_eq!((figure.ours, figure.runs, figure.kept), (Some(351.0), 2, Some(false)));
    }

    #[test]
    fn what_was_not_measured_is_not_kept() {
        let figures = figures(&[], &AT_A_SECOND);
        assert!(figures.iter().all(|figure| figure.must && figure.kept.is_none()));
        assert!(read("not JSON").is_err());
    }
}
