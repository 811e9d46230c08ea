//! `cargo xtask bench forged`: floods of forged datagrams at one of three agents, with the real executable in
//! namespaces (`outlast lab forged`).

use std::path::Path;
use std::process::Command;

use super::cluster::{read, worst};
use super::figure::{Bound, Figure};
use super::shared;
use crate::shell::Outcome;

/// A sample, how its figure is called, its unit, what it is held to.
const ROWS: [(&str, &str, &str, Option<f64>); 9] = [
    ("stranger: sent", "from the address of no node: sent", "1/s", None),
    ("stranger: unread", "of these thrown away by the kernel", "1/s", None),
    ("stranger: agent cpu", "processor time of the agent meanwhile", "% of a core", Some(5.0)),
    ("stranger: false verdicts", "false verdicts meanwhile", "verdicts", Some(0.0)),
    ("peer: sent", "from the address of another node: sent", "1/s", None),
    ("peer: read", "of these read and found forged", "1/s", None),
    ("peer: time of one", "processor time for one of these", "us", Some(20.0)),
    ("peer: agent cpu", "processor time of the agent meanwhile", "% of a core", None),
    ("peer: false verdicts", "false verdicts meanwhile", "verdicts", Some(0.0)),
];

pub(super) fn measure(outlast: &Path, seconds: u32) -> Outcome<Vec<Figure>> {
    shared::need_root("forged")?;
    let mut command = Command::new(outlast);
    command.args(["lab", "forged", &seconds.to_string()]);
    let samples = read(&shared::run(&mut command)?)?;
    let figure = |(sample, name, unit, max): &(&str, &str, &'static str, Option<f64>)| {
        let bound = max.map_or(Bound::None, Bound::Absolute);
        let figure = Figure::new(name, unit, bound);
        let figure = if max.is_some() { figure.must() } else { figure };
        figure.measured(None, worst(&samples, sample), 1)
    };
    Ok(ROWS.iter().map(figure).collect())
}
