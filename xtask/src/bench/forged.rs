//! `cargo xtask bench forged`: floods of forged packets at one of three agents and at the vip process that holds the
//! address, with the real executable in namespaces (`outlast lab forged`).

use std::path::Path;
use std::process::Command;

use super::cluster::{read, worst};
use super::figure::{Bound, Figure};
use super::shared;
use crate::shell::Outcome;

const CORE: &str = "% of a core";

/// A sample, how its figure is called, its unit, what it is held to.
const ROWS: [(&str, &str, &str, Option<f64>); 30] = [
    ("stranger: sent", "from the address of no node: sent", "1/s", None),
    ("stranger: unread", "of these thrown away by the kernel", "1/s", None),
    ("stranger: cpu", "processor time of the agent meanwhile", "% of a core", Some(5.0)),
    ("stranger: false verdicts", "false verdicts meanwhile", "verdicts", Some(0.0)),
    ("peer: sent", "from the address of another node: sent", "1/s", None),
    ("peer: read", "of these read and found forged", "1/s", None),
    ("peer: time of one", "processor time for one of these", "us", Some(20.0)),
    ("peer: cpu", "processor time of the agent meanwhile", "% of a core", None),
    ("peer: false verdicts", "false verdicts meanwhile", "verdicts", Some(0.0)),
    ("refusals: sent", "refusals (ICMP) of packets from the port of the beats: sent", "1/s", None),
    ("refusals: unread", "datagrams thrown away by the kernel meanwhile", "1/s", Some(0.0)),
    ("refusals: cpu", "processor time of the agent meanwhile", CORE, Some(5.0)),
    ("refusals: false verdicts", "false verdicts meanwhile", "verdicts", Some(0.0)),
    (
        "hand-overs: sent",
        "hand-overs to the vip process from the address of another node: sent",
        "1/s",
        None,
    ),
    ("hand-overs: read", "of these read and found forged", "1/s", None),
    ("hand-overs: cpu", "processor time of the vip process meanwhile", CORE, Some(35.0)),
    ("hand-overs: moves", "moves of the address meanwhile", "moves", Some(0.0)),
    ("password: sent", "adverts with another password: sent", "1/s", None),
    ("password: read", "of these read and refused", "1/s", None),
    ("password: cpu", "processor time of the vip process meanwhile", CORE, Some(10.0)),
    ("password: moves", "moves of the address meanwhile", "moves", Some(0.0)),
    ("password: false verdicts", "false verdicts meanwhile", "verdicts", Some(0.0)),
    ("router id: sent", "adverts of another group: sent", "1/s", None),
    ("router id: read", "of these read and refused", "1/s", None),
    ("router id: cpu", "processor time of the vip process meanwhile", CORE, Some(10.0)),
    ("router id: moves", "moves of the address meanwhile", "moves", Some(0.0)),
    ("weaker: sent", "adverts of a weaker router that knows the password: sent", "1/s", None),
    ("weaker: cpu", "processor time of the vip process meanwhile", CORE, Some(40.0)),
    ("weaker: moves", "moves of the address meanwhile", "moves", Some(0.0)),
    ("weaker: false verdicts", "false verdicts meanwhile", "verdicts", Some(0.0)),
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
