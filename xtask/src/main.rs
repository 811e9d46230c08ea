//! Everything the project does to itself: `cargo xtask demo | test | verify | tidy | bench | regtest | fuzz | sweep | mutants | scenario`.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

mod bench;
mod demo;
mod fuzz;
mod mutants;
mod packages;
mod python;
mod regtest;
mod scenario;
mod shell;
mod sweep;
mod test;
mod tidy;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "What the project does to itself")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the executable and show a cloud that survives being killed
    #[command(disable_help_flag = true)]
    Demo {
        /// Passed on to `outlast demo` (try `--list`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every test of the workspace; name what was skipped and why
    Test {
        /// Passed on to the test runner, a filter for example
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// What must hold before a commit: format, lints, unit and sim tests, docs, tidy
    Verify,
    /// Layers, lengths, words, papers
    Tidy {
        /// Lower the numbers of tidy-ratchet.toml to what the tree has now
        #[arg(long)]
        update: bool,
    },
    /// Measure what is promised: scenarios and sizes, or a field beside its peer
    Bench(bench::Bench),
    /// HAProxy's regression tests against the real haproxy and against us
    Regtest(regtest::Args),
    /// Look for bytes that break a promise of a parser (nightly and cargo-fuzz)
    Fuzz(fuzz::Args),
    /// Let the simulator try to break the machines, seed after seed
    Sweep(sweep::Args),
    /// Run scenario files in the simulator and on real processes in namespaces
    Scenario(scenario::Args),
    /// Put bugs into the machines on purpose: the sweep must find each within a minute
    Mutants(mutants::Args),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo { arguments } => demo::run(&arguments),
        Task::Test { arguments } => test::run(&arguments),
        Task::Verify => verify::run(),
        Task::Tidy { update } => tidy::run(update),
        Task::Bench(bench) => bench::run(&bench),
        Task::Regtest(args) => regtest::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Sweep(args) => sweep::run(&args),
        Task::Scenario(args) => scenario::run(&args),
        Task::Mutants(args) => mutants::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
