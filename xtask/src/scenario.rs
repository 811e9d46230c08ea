//! `cargo xtask scenario`: scenario files in the simulator (`outlast-scenario`), on real processes in
//! namespaces (`outlast lab scenario`), or both.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo;
use crate::shell::{self, Failure, Outcome};

/// Where the files are that tests run.
const FOLDER: &str = "tests/scenarios";
/// Of the simulator: as fast as a sweep.
const PROFILE: &str = "sweep";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files; all of tests/scenarios where none is given
    files: Vec<PathBuf>,
    /// In the simulator only
    #[arg(long, conflicts_with = "lab")]
    sim: bool,
    /// On real processes only
    #[arg(long)]
    lab: bool,
    /// How much later than the file says something may be on real processes, in milliseconds: a machine
    /// that builds beside it is late
    #[arg(long, default_value_t = 0)]
    patience: u32,
    /// Run this executable instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let files = if args.files.is_empty() {
        files_of(&shell::root().join(FOLDER))?
    } else {
        args.files.clone()
    };
    let in_sim = if args.lab { Ok(()) } else { simulate(&files) };
    if args.sim {
        return in_sim;
    }
    let program = match &args.program {
        Some(program) => program.clone(),
        None => demo::build()?,
    };
    let mut command = Command::new(program);
    command.args(["lab", "scenario", &args.patience.to_string()]).args(&files);
    let in_lab = shell::run(&mut command);
    in_sim.and(in_lab)
}

fn simulate(files: &[PathBuf]) -> Outcome {
    let package = ["build", "--quiet", "--package", "outlast-sim", "--bin", "outlast-scenario"];
    shell::run(shell::cargo(package).args(["--profile", PROFILE]))?;
    let program = shell::target().join(PROFILE).join("outlast-scenario");
    shell::run(Command::new(program).args(files))
}

fn files_of(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let unreadable = |error| Failure::new(format!("reading {}: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}
