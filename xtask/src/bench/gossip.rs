//! `cargo xtask bench gossip`: a thousand nodes that gossip, the real machine on virtual time.

use std::process::Command;

use super::figure::{Bound, Figure};
use super::{cluster, shared};
use crate::shell::{self, Outcome};

/// Crashes, and goodbyes; `REPS=N` sets another number.
const REPS: u32 = 30;

/// `seconds`: how long a tenth of all packets is lost.
pub(super) fn measure(members: u16, seconds: u32) -> Outcome<Vec<Figure>> {
    let reps = shared::number("REPS", REPS);
    let program = shell::root().join("target/sweep/outlast-gossip");
    let build = ["build", "--quiet", "--profile", "sweep", "-p", "outlast-sim"];
    shell::run(Command::new("cargo").args(build).args(["--bin", "outlast-gossip"]))?;
    let numbers = [u32::from(members), reps, seconds].map(|number| number.to_string());
    let samples = cluster::read(&shared::run(Command::new(program).args(numbers))?)?;
    Ok(figures(&samples, members, seconds))
}

fn figures(samples: &[cluster::Sample], members: u16, seconds: u32) -> Vec<Figure> {
    let mut figures = vec![];
    let mut row = |sample: &str, name: String, unit: &'static str, max: Option<f64>| {
        let runs = samples.iter().filter(|found| found.name == sample).count();
        let worst = cluster::worst(samples, sample);
        let figure = match max {
            Some(max) => Figure::new(&name, unit, Bound::Absolute(max)).must(),
            None => Figure::new(&name, unit, Bound::None),
        };
        figures.push(figure.measured(None, worst, u32::try_from(runs).unwrap_or(u32::MAX)));
    };
    let all = format!("{members} members, 2 networks, detect 1 s");
    let crash = format!("crash -> unreachable on 5 controllers, {all}");
    row("crash", crash, "ms", Some(3000.0));
    let everywhere = format!("crash -> on all: unreachable, or doubt on compute nodes, {all}");
    row("crash everywhere", everywhere, "ms", Some(3000.0));
    let killed = format!("kill -9 of all processes -> in doubt on 5 controllers, {all}");
    row("processes killed", killed, "ms", Some(200.0));
    row("leave", format!("leave -> known on all, {all}"), "ms", Some(200.0));
    row("bytes", "sent per compute node and network".to_owned(), "B/s", Some(4000.0));
    if seconds > 0 {
        let lost = format!("a tenth of all packets lost for {seconds} s");
        let verdicts = format!("false verdicts of controllers, {lost}");
        row("false verdicts", verdicts, "verdicts", Some(0.0));
        row("false doubts", format!("doubts of compute nodes, {lost}"), "doubts", None);
        let bytes = format!("sent per compute node and network, {lost}");
        row("bytes at loss", bytes, "B/s", Some(4000.0));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_false_verdict_breaks_the_promise() {
        let text =
            "{\"name\":\"false verdicts\",\"value\":1}\n{\"name\":\"crash\",\"value\":800}\n";
        let figures = figures(&cluster::read(text).unwrap(), 1000, 60);
        let kept =
            |name: &str| figures.iter().find(|figure| figure.name.starts_with(name)).unwrap().kept;
        assert_eq!((kept("false"), kept("crash"), kept("leave")), (Some(false), Some(true), None));
    }
}
