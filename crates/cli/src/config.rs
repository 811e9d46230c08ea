//! `outlast config`: files without running them, and generations of what the cluster runs.

use std::io::Write;

use generation::GenerationError;

pub(crate) use generation::who;

mod check;
mod diff;
mod explain;
mod files;
mod generation;
mod import;
mod keys;
mod repair;

/// Look at configuration files, and change what the cluster runs
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Check(check::Args),
    Diff(diff::Args),
    Import(import::Args),
    Explain(explain::Args),
    Apply(generation::ApplyArgs),
    History(generation::HistoryArgs),
    Rollback(generation::RollbackArgs),
    Show(generation::ShowArgs),
    Status(generation::StatusArgs),
}

/// Runs the subcommand; the exit code: 0 well, 1 not well, 2 wrong arguments, 3 no store answered.
pub fn run(command: &Command, out: &mut impl Write) -> u8 {
    // Files of configuration have passwords.
    sys::rights::keep_out_of_core_dumps();
    match command {
        Command::Check(args) => check::run(args, out),
        Command::Diff(args) => diff::run(args, out),
        Command::Import(args) => import::run(args, out),
        Command::Explain(args) => explain::run(args, out),
        Command::Apply(args) => told(generation::apply(args, out)),
        Command::History(args) => told(generation::history(args, out)),
        Command::Rollback(args) => told(generation::rollback(args, out)),
        Command::Show(args) => told(generation::show(args, out)),
        Command::Status(args) => told(generation::status(args, out)),
    }
}

fn told(outcome: Result<bool, GenerationError>) -> u8 {
    match outcome {
        Ok(well) => u8::from(!well),
        Err(error) => {
            // Whom should one tell that nobody can be told?
            let _ = writeln!(std::io::stderr(), "outlast: {}", base::Chain(&error));
            error.exit_code()
        }
    }
}

#[cfg(test)]
mod tests;
