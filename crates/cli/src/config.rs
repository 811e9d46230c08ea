//! `outlast config`: files, without running them.

use std::io::Write;

mod check;
mod diff;
mod explain;
mod files;
mod import;
mod repair;

/// Look at configuration files without running them
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Check(check::Args),
    Diff(diff::Args),
    Import(import::Args),
    Explain(explain::Args),
}

/// Runs the subcommand; the exit code: 0 well, 1 not well, 2 wrong arguments.
pub fn run(command: &Command, out: &mut impl Write) -> u8 {
    match command {
        Command::Check(args) => check::run(args, out),
        Command::Diff(args) => diff::run(args, out),
        Command::Import(args) => import::run(args, out),
        Command::Explain(args) => explain::run(args, out),
    }
}

#[cfg(test)]
mod tests;
