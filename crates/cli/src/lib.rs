//! The operator's tool: one file per subcommand.

/// What a script may rely on; the end of every `--help` and of every page of the manual.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  yes, or done
  1  no: an error was found, something is not well, a promise was broken
  2  wrong arguments, a file that cannot be read, an unknown name, or nothing could be started
  3  no running outlast answered";

pub mod access;
pub mod completion;
pub mod config;
mod confirm;
pub mod duty;
pub mod events;
#[cfg(test)]
mod example;
pub mod intents;
pub mod maintenance;
pub mod manual;
pub mod notify;
pub mod object;
pub mod reach;
pub mod replace;
pub mod replay;
pub mod status;
pub mod store;
mod table;
pub mod top;
pub mod trust;
pub mod why;
mod words;
