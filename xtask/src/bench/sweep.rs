//! `cargo xtask bench sweep`: how fast the simulator judges, one core, the cloud of the figures.

use std::process::Command;

use super::figure::{Bound, Figure};
use super::shared;
use crate::shell::Outcome;
use crate::sweep;

/// What `outlast-sweep --json` says, its unit, and the most processor time that one may take: 300,000
/// events and 500 faults a second, 1,500 times real time.
const FIGURES: [(&str, &str, &str, f64, f64); 3] = [
    ("events_per_second", "processor time of an event", "us", 1e6, 1e6 / 300_000.0),
    ("faults_per_second", "processor time of a fault and what follows", "us", 1e6, 1e6 / 500.0),
    ("speed", "processor time of an hour with beats of 1 s", "s", 3600.0, 3600.0 / 1500.0),
];

pub(super) fn measure(seconds: u32) -> Outcome<Vec<Figure>> {
    let mut command = Command::new(sweep::build()?);
    command.args(["--json", "--seconds", &seconds.to_string()]);
    let text = shared::run(&mut command)?;
    let told = serde_json::from_str(&text).unwrap_or_default();
    Ok(figures(&told))
}

fn figures(told: &serde_json::Value) -> Vec<Figure> {
    let rate = |(key, name, unit, of, max): (&str, &str, &'static str, f64, f64)| {
        let rate = told[key].as_f64().filter(|rate| *rate > 0.0);
        let figure = Figure::new(name, unit, Bound::Absolute(max)).must();
        figure.measured(None, rate.map(|rate| of / rate), 1)
    };
    let mut figures: Vec<_> = FIGURES.map(rate).into();
    let count = |key: &str| {
        told[key].as_array().map(|list| f64::from(u32::try_from(list.len()).unwrap_or(u32::MAX)))
    };
    for (key, name) in [("violations", "violations"), ("never", "marks that were never reached")] {
        let figure = Figure::new(name, "", Bound::Absolute(0.0)).must();
        figures.push(figure.measured(None, count(key), 1));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_simulator_and_a_violation_break_the_promise() {
        let kept = |text: &str| -> Vec<_> {
            let told = serde_json::from_str(text).unwrap();
            figures(&told).iter().map(|figure| figure.kept).collect()
        };
        let fast = r#"{"events_per_second":300001,"faults_per_second":501,"speed":1501,"violations":[],"never":[]}"#;
        assert_eq!(kept(fast), [Some(true); 5]);
        let slow = r#"{"events_per_second":299999,"faults_per_second":499,"speed":1499,"violations":[{}],"never":["Forged"]}"#;
        assert_eq!(kept(slow), [Some(false); 5]);
        assert_eq!(kept("{}"), [None; 5], "a must that was not measured is not kept");
    }
}
