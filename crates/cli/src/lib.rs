//! The operator's tool: one file per subcommand.
//!
//! Exit codes, for all: 0 yes, 1 no (an error was found, something is not well), 2 wrong arguments,
//! 3 no running outlast answered.

pub mod config;
pub mod events;
pub mod reach;
pub mod status;
mod table;
