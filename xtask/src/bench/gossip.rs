//! `cargo xtask bench gossip`: a thousand nodes that gossip, the real machine on virtual time; then real nodes among as
//! many that are played.

use std::path::Path;
use std::process::Command;

use super::cluster::{Sample, read, worst};
use super::figure::{Bound, Figure};
use super::shared;
use crate::shell::{self, Outcome};

/// Crashes, and goodbyes; `REPS=N` sets another number.
const REPS: u32 = 30;
/// A cluster that a larger one is compared with: a node costs no more there than this many times as much.
const SMALL: u32 = 100;
const CONSTANT: f64 = 1.2;
/// How long real nodes are looked at: their processor time is counted in hundredths of a second.
const IDLE: u32 = 30;
const PROFILE: &str = "demo";

/// A sample, how its figure is called, its unit, what it is held to.
type Row = (&'static str, &'static str, &'static str, Option<f64>);

/// Ends the names of samples that were taken then.
const LOST: &str = ", 100 lost";

/// What issue 5 promises of one of 1,000 members.
const MEMBER: [Row; 6] = [
    ("member agent memory", "memory of a compute node's agent", "MB", Some(64.0)),
    ("member agent cpu", "processor time of a compute node's agent", "% of a core", Some(2.0)),
    ("member bytes", "sent by a compute node per network", "B/s", Some(4000.0)),
    // Who starts asks for all until it knows nine of ten.
    ("member missing", "nodes that a compute node never heard of", "nodes", Some(100.0)),
    ("member deaf controllers", "controllers that do not hear a compute node", "nodes", Some(0.0)),
    ("member worst lag of the others", "how late a played node was, at worst", "ms", Some(250.0)),
];

/// The same of a controller, which hears of all and serves pages and metrics. Where 100 are lost at once, 20 have a line
/// on a page and 100 series of their own.
const CONTROLLER: [Row; 28] = [
    ("controller agent memory", "memory of a controller's agent", "MB", Some(64.0)),
    ("controller agent cpu", "processor time of a controller's agent", "% of a core", Some(2.0)),
    ("controller store memory", "memory of a controller's store", "MB", None),
    ("controller store cpu", "processor time of a controller's store", "% of a core", None),
    ("controller services memory", "memory of a controller's dashboard", "MB", None),
    ("controller services cpu", "processor time of a controller's dashboard", "% of a core", None),
    (
        "controller bytes",
        "sent by a controller to compute nodes per network",
        "B/s",
        Some(40_000.0),
    ),
    (
        "controller all bytes",
        "sent by a controller at all, store and scrapes with it",
        "B/s",
        Some(100_000.0),
    ),
    ("controller missing", "nodes that a controller does not hear", "nodes", Some(0.0)),
    (
        "controller worst lag of the others",
        "how late a played node was, at worst",
        "ms",
        Some(250.0),
    ),
    ("metrics samples", "samples of the metrics", "", Some(500.0)),
    ("metrics bytes", "bytes of the metrics", "bytes", Some(64_000.0)),
    ("metrics ms", "time for the metrics", "ms", Some(500.0)),
    ("first page bytes", "bytes of the first page", "bytes", Some(64_000.0)),
    ("first page ms", "time for the first page", "ms", Some(500.0)),
    ("cluster page bytes", "bytes of the page of the cluster", "bytes", Some(64_000.0)),
    ("cluster page ms", "time for the page of the cluster", "ms", Some(500.0)),
    ("status lines", "lines of `outlast status`", "lines", Some(60.0)),
    ("status ms", "time for `outlast status`", "ms", Some(500.0)),
    ("answer bytes", "bytes of the agent's answer to `outlast status`", "bytes", Some(600_000.0)),
    ("metrics samples, 100 lost", "samples of the metrics", "", Some(2000.0)),
    ("metrics bytes, 100 lost", "bytes of the metrics", "bytes", Some(128_000.0)),
    ("metrics ms, 100 lost", "time for the metrics", "ms", Some(500.0)),
    ("first page bytes, 100 lost", "bytes of the first page", "bytes", Some(96_000.0)),
    ("cluster page bytes, 100 lost", "bytes of the page of the cluster", "bytes", Some(64_000.0)),
    ("cluster page ms, 100 lost", "time for the page of the cluster", "ms", Some(500.0)),
    ("status lines, 100 lost", "lines of `outlast status`", "lines", Some(60.0)),
    ("status ms, 100 lost", "time for `outlast status`", "ms", Some(500.0)),
];

/// `seconds`: how long a tenth of all packets is lost.
pub(super) fn measure(outlast: &Path, members: u16, seconds: u32) -> Outcome<Vec<Figure>> {
    shared::need_root("gossip")?;
    let reps = shared::number("REPS", REPS);
    let program = shell::root().join("target/sweep/outlast-gossip");
    let build = ["build", "--quiet", "--profile", "sweep", "-p", "outlast-sim"];
    shell::run(Command::new("cargo").args(build).args(["--bin", "outlast-gossip"]))?;
    let simulated = |numbers: [u32; 3]| {
        let numbers = numbers.map(|number| number.to_string());
        read(&shared::run(Command::new(&program).args(numbers))?)
    };
    let many = simulated([u32::from(members), reps, seconds])?;
    let mut figures = figures(&many, members, seconds);
    figures.extend(constant(&simulated([SMALL, 1, seconds])?, &many, members, seconds));
    let package = ["build", "--quiet", "--package", "outlast-node", "--example", "one_of_many"];
    shell::run(shell::cargo(package).args(["--profile", PROFILE]))?;
    let among = shell::target().join(PROFILE).join("examples/one_of_many");
    let real = |role: &str| {
        let mut command = Command::new(&among);
        command.args([members.to_string(), IDLE.to_string()]).arg(outlast).arg(role);
        read(&shared::run(&mut command)?)
    };
    figures.extend(rows(&real("compute")?, &MEMBER, &format!("one of {members} members")));
    let name = format!("3 controllers of {members} members");
    figures.extend(rows(&real("controller")?, &CONTROLLER, &name));
    Ok(figures)
}

/// Those of a table, in its order.
fn rows(samples: &[Sample], rows: &[Row], of: &str) -> Vec<Figure> {
    let figure = |(sample, name, unit, max): &Row| {
        let bound = max.map_or(Bound::None, Bound::Absolute);
        let when = if sample.ends_with(LOST) { LOST } else { "" };
        let figure = Figure::new(&format!("{name}, {of}{when}"), unit, bound);
        let figure = if max.is_some() { figure.must() } else { figure };
        figure.measured(None, worst(samples, sample), 1)
    };
    rows.iter().map(figure).collect()
}

/// What a node says in the mean, in a cluster of [`SMALL`] and in the larger one.
fn constant(small: &[Sample], large: &[Sample], members: u16, seconds: u32) -> Vec<Figure> {
    let lost = format!("a tenth of all packets lost for {seconds} s");
    let rows = [("mean bytes", "at rest".to_owned()), ("mean bytes at loss", lost)];
    let figure = |(sample, when): (&str, String)| {
        let name =
            format!("sent per compute node and network in the mean, {members} members, {when}");
        let figure = Figure::new(&name, "B/s", Bound::Ratio(CONSTANT)).must();
        figure.measured(worst(small, sample), worst(large, sample), 1)
    };
    rows.into_iter().take(if seconds > 0 { 2 } else { 1 }).map(figure).collect()
}

fn figures(samples: &[Sample], members: u16, seconds: u32) -> Vec<Figure> {
    let mut figures = vec![];
    let mut row = |sample: &str, name: String, unit: &'static str, max: Option<f64>| {
        let runs = samples.iter().filter(|found| found.name == sample).count();
        let worst = worst(samples, sample);
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
    let killed = format!("kill -9 of all processes -> in doubt on all, {all}");
    row("processes killed everywhere", killed, "ms", Some(200.0));
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
    use super::super::figure::broken;
    use super::*;

    #[test]
    fn one_false_verdict_breaks_the_promise() {
        let text =
            "{\"name\":\"false verdicts\",\"value\":1}\n{\"name\":\"crash\",\"value\":800}\n";
        let figures = figures(&read(text).unwrap(), 1000, 60);
        let kept =
            |name: &str| figures.iter().find(|figure| figure.name.starts_with(name)).unwrap().kept;
        assert_eq!((kept("false"), kept("crash"), kept("leave")), (Some(false), Some(true), None));
    }

    #[test]
    fn a_node_of_very_many_costs_no_more_than_one_of_a_hundred() {
        let of = |rest: u32, loss: u32| {
            let text = format!(
                "{{\"name\":\"mean bytes\",\"value\":{rest}}}\n\
                 {{\"name\":\"mean bytes at loss\",\"value\":{loss}}}\n"
            );
            read(&text).unwrap()
        };
        let kept = |large: &[Sample]| -> Vec<_> {
            let figures = constant(&of(900, 2300), large, 1000, 60);
            figures.iter().map(|figure| (figure.must, figure.kept)).collect()
        };
        assert_eq!(kept(&of(1000, 2700)), [(true, Some(true)), (true, Some(true))]);
        // What it was with five members that are asked to try.
        assert_eq!(kept(&of(763, 3324)), [(true, Some(true)), (true, Some(false))]);
    }

    #[test]
    fn what_a_real_node_does_not_say_is_a_broken_promise() {
        let text = "{\"name\":\"member agent memory\",\"value\":17}\n\
                    {\"name\":\"member agent cpu\",\"value\":2.5}\n";
        let figures = rows(&read(text).unwrap(), &MEMBER, "one of 1000 members");
        assert_eq!(figures[0].kept, Some(true));
        let musts = figures.iter().filter(|figure| figure.must).count();
        assert_eq!((musts, broken(&figures).len()), (MEMBER.len(), MEMBER.len() - 1));
    }
}
