//! `cargo xtask regtest`: HAProxy's own regression tests, run by Debian's `varnishtest` against the
//! real haproxy and against us, in two columns.
//!
//! The tests stay where they are (`--dir`); nothing of them is in this repository but the names of
//! those that pass (`tests/regtest-bar.txt`). A test of that list that is lost fails the command.

mod bar;
mod runner;
mod table;

use std::path::{Path, PathBuf};

use crate::shell::{Failure, Outcome};
use crate::{demo, packages};
use bar::Bar;
use runner::Runner;
use table::{Row, Verdict};

/// What the ground supports, and so what is looked at when nothing else is said.
const GROUPS: [&str; 6] = ["startup", "balance", "checks", "log", "mcli", "connection"];

/// Where Debian puts it; `--theirs` names another one.
pub(crate) const THEIRS: &str = "/usr/sbin/haproxy";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// HAProxy's folder `reg-tests`, of the version to compare with (2.6)
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// One object per test and one with the totals, one a line
    #[arg(long)]
    json: bool,
    /// Our executable instead of a fresh build
    #[arg(long, value_name = "FILE")]
    ours: Option<PathBuf>,
    /// The real haproxy
    #[arg(long, value_name = "FILE", default_value = THEIRS)]
    theirs: PathBuf,
    /// How often a failing test is tried in all: both programs are timed by the tests
    #[arg(long, value_name = "TIMES", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=5))]
    attempts: u8,
    /// Keep what varnishtest said of tests that did not pass in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Add what passes now to the bar
    #[arg(long)]
    raise: bool,
    /// Folders (startup, balance ...) or files below them [default: what the ground supports]
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    packages::provide(&packages::REGTEST)?;
    let built = args.ours.is_none().then(demo::build).transpose()?;
    let ours = args.ours.clone().or(built).ok_or_else(|| Failure::new("nothing was built"))?;
    let tests = tests(args)?;
    let mut bar = Bar::read()?;
    // Who names groups wants to see these only.
    let all = args.groups.is_empty();
    let gone = |name| format!("{name:<52} is in the bar and not in {}", args.dir.display());
    let gone: Vec<String> = if all { bar.beyond(&tests).map(gone).collect() } else { Vec::new() };
    let runner = Runner::new(&args.dir, &ours, args.attempts, args.keep.as_deref())?;
    let mut rows = vec![];
    for test in tests {
        let theirs = runner.run(&args.theirs, &test, "haproxy")?;
        let ours = runner.run(runner.ours(), &test, "ours")?;
        let row = Row { in_bar: bar.has(&test), test, ours, theirs };
        println!("{}", if args.json { row.json() } else { row.line() });
        rows.push(row);
    }
    print!("{}", if args.json { table::json_totals(&rows) } else { table::totals(&rows) });
    let passed = rows.iter().filter(|row| row.ours.verdict == Verdict::Pass);
    if args.raise {
        bar.raise(passed.map(|row| row.test.as_str()))?;
    }
    let lost = rows.iter().filter(|row| row.is_lost()).map(Row::line);
    let lost: Vec<_> = lost.chain(gone).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{} tests that passed are lost:\n{}", lost.len(), lost.join("\n"))))
}

/// The chosen tests by their path below the folder, in order.
fn tests(args: &Args) -> Outcome<Vec<String>> {
    let groups: Vec<String> = match args.groups.as_slice() {
        [] => GROUPS.map(str::to_owned).into(),
        named => named.to_vec(),
    };
    let mut tests = vec![];
    for group in groups {
        let path = args.dir.join(&group);
        if path.is_file() {
            tests.push(group);
        } else {
            let mut found = below(&path, group.trim_end_matches('/'))?;
            found.sort();
            tests.append(&mut found);
        }
    }
    tests.dedup();
    if tests.is_empty() {
        return Err(Failure::new(format!("{}: no test of that name", args.dir.display())));
    }
    Ok(tests)
}

fn below(folder: &Path, group: &str) -> Outcome<Vec<String>> {
    let trying = || Failure::trying(format!("reading {}", folder.display()));
    let mut names = vec![];
    for entry in std::fs::read_dir(folder).map_err(trying())? {
        let name = entry.map_err(trying())?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "vtc") {
            names.push(format!("{group}/{name}"));
        }
    }
    Ok(names)
}
