//! `cargo xtask bench vip --documents`: how long a client cannot reach the virtual IP, beside keepalived, by the script of the
//! shared folder: what earlier releases were measured with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::bench::figure::{Bound, Figure, median};
use crate::bench::shared;
use crate::shell::{self, Failure, Outcome};

/// What `vip.sh` breaks, of what both have: a daemon, its worker, a link, a network, the balancer's
/// health, and a stop in order.
const FAULTS: &str = "kill kill-child link-down silent haproxy stop";

/// Interleaved rounds of all programs and faults; each takes 2 minutes per program.
const REPS: u32 = 5;

/// A program of ours as the script knows it, what its figures are called, and what their ratio may
/// be. Called as keepalived it keeps that program's timers: then the ratio is the phase of a timer.
const PROGRAMS: [(&str, &str, f64); 2] =
    [("outlast", "", 1.0), ("as-keepalived", ", called as keepalived", 1.25)];

pub(in crate::bench) fn measure(outlast: &Path) -> Outcome<Vec<Figure>> {
    let script = shared::script("vip.sh")?;
    shared::need_root("vip")?;
    let folder = shared::folder("vip")?;
    let programs = shared::install(outlast, &folder, &["keepalived"])?;
    for (name, start) in [("outlast", START_RUN), ("as-keepalived", START_KEEPALIVED)] {
        let text = ADAPTOR.replace("START", start.trim_end());
        let text = text.replace("PROGRAMS", &programs.display().to_string());
        shared::adaptor(&folder.join(format!("{name}.sh")), &text)?;
    }
    let faults = std::env::var("FAULTS").unwrap_or_else(|_| FAULTS.to_owned());
    let reps = shared::number("REPS", REPS);
    let mut measured = rounds(&script, &folder, &faults, reps)?;
    let beyond: BTreeSet<&str> = measured
        .iter()
        .filter(|figure| figure.kept == Some(false))
        .filter_map(|figure| figure.name.split(' ').next())
        .collect();
    let beyond = beyond.into_iter().collect::<Vec<_>>().join(" ");
    if !beyond.is_empty() {
        for figure in rounds(&script, &folder, &beyond, reps * 2)? {
            if let Some(place) = measured.iter_mut().find(|former| former.name == figure.name) {
                *place = Figure { repeated: true, ..figure };
            }
        }
    }
    Ok(measured)
}

fn rounds(script: &Path, folder: &Path, faults: &str, reps: u32) -> Outcome<Vec<Figure>> {
    let mut command = Command::new(script);
    let results = folder.join("results.jsonl");
    // The script appends.
    drop(std::fs::remove_file(&results));
    command.arg(folder).env("P", "xtask").env("PROFILE", "seed");
    command.env("REPS", reps.to_string()).env("FAULTS", faults);
    for (name, ..) in PROGRAMS {
        command.arg(format!("{name}={}", folder.join(format!("{name}.sh")).display()));
    }
    shared::run(&mut command)?;
    figures(&shell::read(&results)?, faults)
}

/// One line of `results.jsonl`; it says more than this.
#[derive(Debug, Deserialize)]
struct Case {
    program: String,
    fault: String,
    vip: Port,
    two_holders: f64,
}

#[derive(Debug, Deserialize)]
struct Port {
    outage: Option<f64>,
}

fn figures(results: &str, faults: &str) -> Outcome<Vec<Figure>> {
    let mut outages: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    let mut doubles: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for line in results.lines() {
        let case: Case = serde_json::from_str(line)
            .map_err(|error| Failure::new(format!("reading the case of vip.sh: {error}")))?;
        let key = (case.fault, case.program);
        outages.entry(key.clone()).or_default().extend(case.vip.outage);
        doubles.entry(key).or_default().push(case.two_holders);
    }
    let mut figures = vec![];
    for fault in faults.split_whitespace() {
        for (program, suffix, max) in PROGRAMS {
            let of = |values: &BTreeMap<(String, String), Vec<f64>>, program: &str| {
                values.get(&(fault.to_owned(), program.to_owned())).cloned().unwrap_or_default()
            };
            let runs = of(&doubles, program).len();
            if runs == 0 {
                continue;
            }
            let runs = u32::try_from(runs).unwrap_or(u32::MAX);
            let beside = |figure: Figure, values: &BTreeMap<_, _>| {
                let (peer, ours) = (of(values, "keepalived"), of(values, program));
                figure.measured(median(peer), median(ours), runs)
            };
            let outage = Figure::new(&format!("{fault} outage{suffix}"), "ms", Bound::Ratio(max));
            figures.push(beside(outage, &outages));
            let two = Figure::new(&format!("{fault} two holders{suffix}"), "ms", Bound::None);
            figures.push(beside(two, &doubles));
        }
    }
    Ok(figures)
}

/// The verbs of `vip.sh`. Every process is looked for by its executable, in the node's namespace.
const ADAPTOR: &str = r#"#!/bin/bash
ours() { local p; for p in $(ip netns pids "$NETNS"); do [ "$(readlink "/proc/$p/exe")" = PROGRAMS/outlast ] && echo "$p"; done; }
main() { cat "$DIR/main.ours" 2> /dev/null; }
gone() { local i; for ((i = 0; i < 200; i++)); do [ -z "$(ours)" ] && return 0; sleep .05; done; return 1; }
start() {
START
}
case $1 in
  start) start "$2" < /dev/null >> "$DIR/ours.log" 2>&1 & echo $! > "$DIR/main.ours";;
  stop) kill -TERM "$(main)"; gone || { kill -KILL $(ours); gone; };;
  kill) kill -KILL "$(main)";;
  kill-child) for p in $(ours); do tr '\0' ' ' < "/proc/$p/cmdline" | grep -q 'role vip' && kill -KILL "$p" && exit 0; done; exit 3;;
  kill-both) kill -KILL $(ours);;
  clean) p=$(ours); [ -z "$p" ] || { kill -KILL $p; gone; }; rm -rf "$DIR/run" "$DIR/state" "$DIR/main.ours";;
  *) exit 2;;
esac
"#;

/// `outlast run` with a cluster file: both networks, the lab's check.
const START_RUN: &str = r#"
  local n=${IP##*.} order i
  {
    printf '[cluster]\nname = "bench"\nsecret_file = "secret"\nrun_dir = "%s/run"\nstate_dir = "%s/state"\n' "$DIR" "$DIR"
    for i in 43 42 41; do
      printf '[node.n%s]\nnetworks = { management = "10.79.0.%s", storage = "10.80.0.%s" }\n' $i $i $i
    done
    printf '[vip.internal]\naddress = "%s"\nnetwork = "management"\nrouter_id = 121\n' "$VIP"
    printf 'check = { script = ["%s"], interval = "2s", fall = 2, rise = 10, user = "root" }\n' "$CHECK"
  } > "$DIR/outlast.toml"
  (umask 077; echo "a secret of three nodes in a bench, no more" > "$DIR/secret")
  exec ip netns exec "$NETNS" PROGRAMS/outlast run --config "$DIR/outlast.toml"
"#;

/// The lab's own keepalived.conf.
const START_KEEPALIVED: &str = r#"
  exec ip netns exec "$NETNS" PROGRAMS/keepalived -n -l -D -f "$DIR/keepalived.conf" -p "$DIR/ours.pid"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(program: &str, outage: &str, two: &str) -> String {
        format!(
            "{{\"program\":\"{program}\",\"fault\":\"stop\",\"vip\":{{\"outage\":{outage}}},\"two_holders\":{two}}}\n"
        )
    }

    #[test]
    fn outages_are_medians_beside_keepalived() {
        let results = [
            line("keepalived", "1000", "0"),
            line("outlast", "10", "0"),
            line("keepalived", "1200", "0"),
            line("outlast", "12", "2"),
        ];
        let figures = figures(&results.concat(), "stop").unwrap();
        let outage = &figures[0];
        assert_eq!(outage.name, "stop outage / peer");
        assert_eq!((outage.peer, outage.ours, outage.runs), (Some(1100.0), Some(11.0), 2));
        assert_eq!((figures[1].ours, figures[1].kept, figures.len()), (Some(1.0), None, 2));
    }

    #[test]
    fn what_never_came_back_is_null() {
        let figures = figures(&line("outlast", "null", "0"), "stop kill").unwrap();
        assert_eq!((figures[0].ours, figures[0].kept), (None, None));
    }
}
