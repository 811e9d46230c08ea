//! Routers of neutron on one host: memory, processes and processor time of keepalived and a monitor for each, and of ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::figure::{Bound, Figure};
use super::shared;
use crate::python;
use crate::shell::{Failure, Outcome};

const SCRIPT: &str = include_str!("routers.sh");
/// Of the memory of keepalived and its monitors, all processes together.
const TENTH: f64 = 0.1;

/// `seconds`: over which processor time is taken.
pub(super) fn measure(outlast: &Path, routers: u32, seconds: u32) -> Outcome<Vec<Figure>> {
    shared::need_root("routers")?;
    let folder = shared::folder("routers")?;
    let script = folder.join("routers.sh");
    crate::shell::write(&script, SCRIPT)?;
    let outlast = outlast.canonicalize().map_err(Failure::trying("finding the executable"))?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"]);
    command.arg(&script).env("OUTLAST", outlast).env("ROUTERS", routers.to_string());
    command.env("SECONDS_OF_CPU", seconds.to_string()).env("FAILOVER", "1");
    if let Err(failure) = python::provide_neutron() {
        eprintln!("{failure}\nneutron's own monitors are not measured");
    }
    command.env("NEUTRON", python::neutron());
    let found = read(&shared::run(&mut command)?);
    let figure = |name: &str, key: &str, unit, bound| {
        let (peer, ours) = found.get(key).copied().unwrap_or_default();
        Figure::new(name, unit, bound).measured(peer, ours, 1)
    };
    let of = |what: &str| format!("{routers} routers: {what}");
    Ok(vec![
        figure(&of("memory, each page by its share (Pss)"), "pss", "kB", Bound::Ratio(TENTH))
            .must(),
        figure(
            &of("the same beside neutron's monitors in Python (8 measured)"),
            "python",
            "kB",
            Bound::Ratio(TENTH),
        ),
        figure(&of("memory of their own (private)"), "private", "kB", Bound::Ratio(TENTH)),
        figure(&of("processes"), "processes", "", Bound::None),
        figure(&of("processor time a minute"), "cpu", "s", Bound::Ratio(1.0)),
        figure(&of("all that end at once are released"), "released", "ms", Bound::None),
        figure(&of("all move to another host"), "failover", "ms", Bound::Absolute(4000.0)),
        figure(&of("two holders after that"), "two-holders", "", Bound::Absolute(0.0)).must(),
        figure(
            &of("all adopted after the process is killed"),
            "adoption",
            "ms",
            Bound::Absolute(4000.0),
        ),
        figure(&of("addresses lost by that"), "lost", "", Bound::Absolute(0.0)).must(),
    ])
}

/// `figure NAME PEER OURS`; `-` where there is none.
fn read(text: &str) -> BTreeMap<String, (Option<f64>, Option<f64>)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("figure "));
    let figures = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        Some((name, (number(), number())))
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_is_read_by_name() {
        let found = read("said\nfigure pss 900 80\nfigure failover - 950\n");
        assert_eq!(found["pss"], (Some(900.0), Some(80.0)));
        assert_eq!(found["failover"], (None, Some(950.0)));
    }
}
