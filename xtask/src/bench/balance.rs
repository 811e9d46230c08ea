//! `cargo xtask bench balance`: processor time per request and memory per connection beside haproxy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::figure::{Bound, Figure, median};
use super::shared;
use crate::shell::{self, Failure, Outcome};

/// A point of `balance.sh` and what it is held to.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    measures: Measures,
    /// Of ours / haproxy's.
    max: f64,
    must: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Measures {
    /// Microseconds of processor time per request.
    Cpu,
    /// Median time until an answer in microseconds.
    Latency,
}

const fn cpu(name: &'static str, max: f64, must: bool) -> Case {
    Case { name, measures: Measures::Cpu, max, must }
}

/// TCP keep-alive is at the floor of two reads and two writes in both programs: 5 % is noise.
const CASES: [Case; 9] = [
    cpu("http-ka", 1.0, true),
    cpu("http-ka1k", 1.0, false),
    cpu("http-close", 1.0, false),
    cpu("http-log", 1.0, false),
    cpu("http-bulk", 1.0, false),
    Case { name: "http-lat1", measures: Measures::Latency, max: 1.0, must: false },
    cpu("tcp-ka", 1.05, false),
    cpu("tcp-close", 1.0, false),
    cpu("tcp-bulk", 1.0, false),
];

/// Bytes of user-space memory that a connection may take while nothing is sent on it.
const IDLE_BYTES: f64 = 2048.0;

const REPS: u32 = 5;

pub(super) fn measure(outlast: &Path) -> Outcome<Vec<Figure>> {
    let script = shared::script("balance.sh")?;
    shared::need_root("balance")?;
    let folder = shared::folder("balance")?;
    let programs = shared::install(outlast, &folder, &["haproxy"])?;
    let adaptor = folder.join("as-haproxy");
    let text = ADAPTOR.replace("PROGRAM", &programs.join("haproxy").display().to_string());
    shared::adaptor(&adaptor, &text)?;
    let bench = Bench { script, folder, adaptor };
    let (names, reps) = (CASES.map(|case| case.name), shared::number("REPS", REPS));
    let mut figures = bench.load(&names, reps, false)?;
    let beyond: Vec<_> = CASES
        .iter()
        .zip(&figures)
        .filter(|(_, figure)| figure.kept != Some(true))
        .map(|(case, _)| case.name)
        .collect();
    if !beyond.is_empty() {
        // Once more, with twice the rounds: what was noise is gone, what was not stays.
        let again = bench.load(&beyond, reps * 2, true)?;
        for figure in again {
            if let Some(place) = figures.iter_mut().find(|former| former.name == figure.name) {
                *place = figure;
            }
        }
    }
    figures.extend(bench.memory()?);
    Ok(figures)
}

#[derive(Debug)]
struct Bench {
    script: PathBuf,
    folder: PathBuf,
    adaptor: PathBuf,
}

impl Bench {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.script);
        // A prefix of its own: somebody else may use the script with its own one at the same time.
        command.arg(&self.folder).env("SUT", &self.adaptor).env("P", "xtask");
        command.env("SKIP", "sut:tls");
        command
    }

    fn load(&self, cases: &[&str], reps: u32, repeated: bool) -> Outcome<Vec<Figure>> {
        let results = self.folder.join("load.tsv");
        // The script appends.
        drop(std::fs::remove_file(&results));
        let mut command = self.command();
        command.env("CASES", cases.join(" ")).env("REPS", reps.to_string()).env("THREADS", "1");
        shared::run(&mut command)?;
        let points = Points::read(&shell::read(&results)?)?;
        let wanted = CASES.iter().filter(|case| cases.contains(&case.name));
        Ok(wanted.map(|case| Figure { repeated, ..points.figure(case) }).collect())
    }

    fn memory(&self) -> Outcome<Vec<Figure>> {
        idle(&shared::run(self.command().arg("memory"))?)
    }
}

/// One column of `load.tsv` by case, program and round.
#[derive(Debug, Default)]
struct Points {
    values: BTreeMap<(String, String), BTreeMap<u32, [f64; 2]>>,
}

impl Points {
    /// `round name threads case rps p50 p99 mb cpu errors busy steal`.
    fn read(text: &str) -> Outcome<Self> {
        let mut points = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            let number = |place: usize| words.get(place).and_then(|word| word.parse::<f64>().ok());
            let round = words.first().and_then(|word| word.parse().ok());
            let (Some(round), Some(cpu), Some(p50)) = (round, number(8), number(5)) else {
                return Err(Failure::new(format!("reading the point of balance.sh: {line}")));
            };
            let key = (words[3].to_owned(), words[1].to_owned());
            points.values.entry(key).or_default().insert(round, [cpu, p50]);
        }
        Ok(points)
    }

    fn figure(&self, case: &Case) -> Figure {
        let (column, what, unit) = match case.measures {
            Measures::Cpu => (0, "cpu per request", "us"),
            Measures::Latency => (1, "p50", "us"),
        };
        let of = |program: &str| {
            let key = (case.name.to_owned(), program.to_owned());
            let rounds = self.values.get(&key).into_iter().flatten();
            rounds.map(|(round, values)| (*round, values[column])).collect::<BTreeMap<_, _>>()
        };
        let (peer, ours) = (of("haproxy"), of("sut"));
        let ratio = |(round, ours): (&u32, &f64)| {
            peer.get(round).filter(|peer| **peer > 0.0).map(|peer| ours / peer)
        };
        let ratios: Vec<f64> = ours.iter().filter_map(ratio).collect();
        let runs = u32::try_from(ratios.len()).unwrap_or(u32::MAX);
        let middle = |values: &BTreeMap<u32, f64>| median(values.values().copied().collect());
        let name = format!("{} {what}", case.name);
        let figure = Figure::new(&name, unit, Bound::Ratio(case.max));
        let figure = if case.must { figure.must() } else { figure };
        figure.measured(middle(&peer), middle(&ours), runs).with_ratio(median(ratios))
    }
}

/// `sut         http    9890 idle connections:     8.7 MB, at rest 6.4 MB, 248 bytes per connection`.
fn idle(text: &str) -> Outcome<Vec<Figure>> {
    // The larger number of connections comes last and counts.
    let mut bytes: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for line in text.lines().filter(|line| line.ends_with(" bytes per connection")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words.len().checked_sub(4).and_then(|place| words[place].parse().ok());
        let (Some(number), [program, kind, ..]) = (number, words.as_slice()) else {
            return Err(Failure::new(format!("reading the line of balance.sh: {line}")));
        };
        bytes.insert((program, kind), number);
    }
    let figure = |kind| {
        let name = format!("idle {kind} connection");
        let of = |program| bytes.get(&(program, kind)).copied();
        Figure::new(&name, "bytes", Bound::Absolute(IDLE_BYTES)).must().measured(
            of("haproxy"),
            of("sut"),
            1,
        )
    };
    Ok(["http", "tcp"].map(figure).into())
}

/// Starts ours in the place of `haproxy`. The bench's file has a front end with TLS: as long as we
/// refuse one, it is left out, and the cases with TLS are skipped.
const ADAPTOR: &str = r#"#!/bin/bash
args=()
for word in "$@"; do
  if [[ $word == *.cfg ]] && "PROGRAM" -c -f "$word" 2>&1 | grep -q not-run-yet; then
    awk '/^[a-z]/ {tls = ($0 == "frontend fe_tls")} !tls' "$word" > "$word.plain"
    word=$word.plain
  fi
  args+=("$word")
done
exec "PROGRAM" "${args[@]}"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: &str = "0\thaproxy\t1\thttp-ka\t100\t5\t9\t1\t20\t0\t99\t0
0\tsut\t1\thttp-ka\t100\t4\t9\t1\t13\t0\t99\t0
1\thaproxy\t1\thttp-ka\t100\t5\t9\t1\t40\t0\t99\t0
1\tsut\t1\thttp-ka\t100\t4\t9\t1\t20\t0\t99\t0
";

    #[test]
    fn the_ratio_is_the_median_of_the_rounds() {
        let figure = Points::read(LOAD).unwrap().figure(&CASES[0]);
        assert_eq!((figure.peer, figure.ours, figure.runs), (Some(30.0), Some(16.5), 2));
        assert_eq!(figure.ratio, Some(f64::midpoint(0.65, 0.5)));
        assert_eq!((figure.must, figure.kept), (true, Some(true)));
    }

    #[test]
    fn a_case_that_was_not_measured_is_not_kept() {
        let figure = Points::read("").unwrap().figure(&CASES[0]);
        assert_eq!((figure.ours, figure.kept, figure.runs), (None, None, 0));
        assert!(Points::read("0\tsut").is_err());
    }

    #[test]
    fn the_memory_of_a_connection_is_that_of_the_larger_number() {
        let text = "haproxy     tcp    9890 idle connections:    49.7 MB, at rest 17.8 MB, 3380 bytes per connection
sut         tcp     1000 idle connections:     7.0 MB, at rest 6.3 MB, 702 bytes per connection
sut         tcp     9890 idle connections:    12.7 MB, at rest 6.3 MB, 675 bytes per connection
";
        let figures = idle(text).unwrap();
        assert_eq!(figures[0].kept, None);
        assert_eq!((figures[1].peer, figures[1].ours), (Some(3380.0), Some(675.0)));
        assert_eq!((figures[1].max, figures[1].kept), (Some(2048.0), Some(true)));
    }
}
