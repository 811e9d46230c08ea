//! The store: committed writes and the time to a new leader, three real nodes on one disk, over mutual TLS.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::figure::{Bound, Figure};
use super::shared;
use crate::shell::{self, Failure, Outcome};

const PROFILE: &str = "demo";

const SERIAL: &str = "writes, serial, ms each";
/// Its peer: as many files, one fsync each at the same time, on the same disk in turns with it.
const BARE: &str = "three writers without a store, ms each";

/// What is printed, its unit, and what it is held to. 1 ms each is 1,000 writes a second.
const FIGURES: [(&str, &str, Bound, bool); 11] = [
    (SERIAL, "ms", Bound::Absolute(1.0), true),
    ("writes, serial, p50", "ms", Bound::None, false),
    ("writes, serial, p99", "ms", Bound::None, false),
    ("fsyncs per write on a majority, serial", "", Bound::None, false),
    ("writes, 64 clients, ms each", "ms", Bound::Absolute(0.25), false),
    ("writes, 64 clients, p99", "ms", Bound::None, false),
    ("fsyncs per write on a majority, 64 clients", "", Bound::None, false),
    ("leader killed, new leader, median", "s", Bound::Absolute(1.0), true),
    ("leader killed, new leader, worst", "s", Bound::None, false),
    ("leader stopped, new leader, median", "s", Bound::Absolute(1.0), true),
    ("leader stopped, new leader, worst", "s", Bound::None, false),
];

pub(super) fn measure(outlast: &Path) -> Outcome<Vec<Figure>> {
    shared::need_root("store")?;
    let package = ["build", "--quiet", "--package", "outlast-store", "--example", "measure"];
    shell::run(shell::cargo(package).args(["--profile", PROFILE]))?;
    let program = shell::target().join(PROFILE).join("examples/measure");
    // On the disk of the build, not on a tmpfs: fsync is what is measured.
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(program)
        .arg(outlast)
        .arg(shell::target())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(Failure::trying("measuring the store"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect();
    let figure = |(name, unit, bound, must): (&'static str, &'static str, Bound, bool)| {
        let figure = Figure::new(name, unit, bound);
        let figure = if must { figure.must() } else { figure };
        let peer = (name == SERIAL).then(|| numbers.get(BARE).copied()).flatten();
        figure.measured(peer, numbers.get(name).copied(), 1)
    };
    Ok(FIGURES.map(figure).into())
}
