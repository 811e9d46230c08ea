//! The executable: by its name and first word it becomes the tool, the daemon, one of the daemon's
//! processes, or the demo.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cli::duty::DutyError;
use cli::object::ObjectError;
use cli::reach::ReachError;
use cli::replay::ReplayError;
use cli::store::StoreError;
use cli::top::TopError;
use cli::trust::CommandError;

mod answer;
mod as_haproxy;
mod as_keepalived;
mod as_state_change;
mod routers;
mod run;

use answer::Answer;

/// Keeps a private cloud available: virtual IPs, load balancing, one verdict
#[derive(Debug, Parser)]
#[command(name = "outlast", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Routers(routers::Args),
    /// Look at configuration files, and change what the cluster runs
    #[command(subcommand)]
    Config(cli::config::Command),
    Init(cli::trust::init::Args),
    Join(cli::trust::join::Args),
    #[command(subcommand)]
    Token(cli::trust::token::Command),
    #[command(subcommand)]
    Trust(cli::trust::Command),
    Status(cli::status::Args),
    Events(cli::events::Args),
    Why(cli::why::Args),
    Top(cli::top::Args),
    Replay(cli::replay::Args),
    /// Take a node out of service and back, without its end
    #[command(subcommand)]
    Node(cli::duty::NodeCommand),
    Move(cli::duty::MoveArgs),
    Intents(cli::intents::Args),
    #[command(subcommand)]
    Access(cli::access::Command),
    Audit(cli::access::AuditArgs),
    #[command(subcommand)]
    Store(cli::store::Command),
    #[command(subcommand)]
    Maintenance(cli::maintenance::Command),
    #[command(subcommand)]
    Notify(cli::notify::Command),
    Demo(lab::demo::Args),
    Completion(cli::completion::Args),
    Man(cli::completion::ManArgs),
    /// One of the daemon's processes; started by `run` only
    #[command(hide = true)]
    Role {
        name: String,
    },
    /// One of the demo's processes; started by `demo` only
    #[command(hide = true)]
    Lab {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let name = Path::new(&name).file_name().map(|name| name.to_string_lossy().into_owned());
    match name.as_deref() {
        Some("haproxy") => return as_haproxy::main(words),
        Some("keepalived") => return as_keepalived::main(words),
        Some("neutron-keepalived-state-change") => return as_state_change::main(words),
        _ => {}
    }
    // `exit` is clap's: 2 for wrong arguments, 0 after help.
    let arguments = Cli::from_arg_matches(&command().get_matches());
    match arguments.unwrap_or_else(|error| error.exit()).command {
        Command::Run(args) => run::main(&args),
        Command::Routers(args) => routers::main(&args),
        Command::Config(command) => ExitCode::from(cli::config::run(&command, &mut Answer::new())),
        Command::Init(args) => trusted(cli::trust::init::run(&args, &mut Answer::new())),
        Command::Join(args) => trusted(cli::trust::join::run(&args, &mut Answer::new())),
        Command::Token(command) => trusted(cli::trust::token::run(&command, &mut Answer::new())),
        Command::Trust(command) => trusted(cli::trust::run(&command, &mut Answer::new())),
        Command::Status(args) => answered(cli::status::run(&args, &mut Answer::new())),
        Command::Events(args) => about_object(cli::events::run(&args, &mut Answer::new())),
        Command::Why(args) => about_object(cli::why::run(&args, &mut Answer::new())),
        Command::Top(args) => match cli::top::run(&args) {
            Err(TopError::Reach(error)) => answered(Err(error)),
            Err(error @ (TopError::NoTerminal | TopError::Terminal(_))) => wrong(&error),
            Ok(()) => ExitCode::SUCCESS,
        },
        Command::Replay(args) => {
            let (mut keys, mut out) = (std::io::stdin().lock(), Answer::new());
            replayed(cli::replay::run(&args, &mut keys, &mut out))
        }
        Command::Node(command) => done(cli::duty::node(&command, &mut Answer::new())),
        Command::Move(args) => done(cli::duty::move_object(&args, &mut Answer::new())),
        Command::Intents(args) => obeyed(cli::intents::run(&args, &mut Answer::new())),
        Command::Access(command) => obeyed(cli::access::run(&command, &mut Answer::new())),
        Command::Audit(args) => obeyed(cli::access::audit(&args, &mut Answer::new())),
        Command::Store(command) => stored(cli::store::run(&command, &mut Answer::new())),
        Command::Maintenance(command) => {
            match cli::maintenance::run(&command, &mut Answer::new()) {
                Ok(well) => ExitCode::from(u8::from(!well)),
                Err(error) => {
                    complain(&error);
                    ExitCode::from(error.exit_code())
                }
            }
        }
        Command::Notify(command) => match cli::notify::run(&command, &mut Answer::new()) {
            Err(error @ ReachError::Refused(_)) => obeyed(Err(error)),
            other => answered(other),
        },
        Command::Completion(args) => {
            let mut out = Answer::new();
            written(cli::completion::run(&args, &mut command(), &mut out))
        }
        Command::Man(args) => written(cli::completion::man(&args, command(), &mut Answer::new())),
        Command::Demo(args) => lab::demo::main(&args),
        Command::Lab { words } => lab::child::main(&words),
        Command::Role { name } => part(&name),
    }
}

/// One of the daemon's processes, until it ends.
fn part(name: &str) -> ExitCode {
    match node::role(name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// All arguments; each page of help ends with what a script may rely on.
fn command() -> clap::Command {
    fn with_exit_codes(command: clap::Command) -> clap::Command {
        let command = command.after_help(cli::EXIT_CODES).after_long_help(cli::EXIT_CODES);
        command.mut_subcommands(with_exit_codes)
    }
    with_exit_codes(Cli::command())
}

/// Exit codes of questions to a running instance: 0 well, 1 not well, 3 no answer.
fn answered(outcome: Result<bool, ReachError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain(&error);
            ExitCode::from(3)
        }
    }
}

/// A question that may be refused.
fn obeyed(outcome: Result<(), ReachError>) -> ExitCode {
    match outcome {
        Err(error @ ReachError::Refused(_)) => {
            complain(&error);
            ExitCode::from(1)
        }
        other => answered(other.map(|()| true)),
    }
}

/// The same of one object, whose name may be unknown.
fn about_object(outcome: Result<(), ObjectError>) -> ExitCode {
    match outcome {
        Err(ObjectError::Reach(error)) => answered(Err(error)),
        Err(error @ ObjectError::Unknown(_)) => wrong(&error),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn trusted(outcome: Result<(), CommandError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn stored(outcome: Result<bool, StoreError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The same of a command, which may be refused or come to nothing.
fn done(outcome: Result<(), DutyError>) -> ExitCode {
    match outcome {
        Err(DutyError::Object(error)) => about_object(Err(error)),
        Err(
            error @ (DutyError::NotMovable(_) | DutyError::NotAnywhere(_) | DutyError::NoNode(_)),
        ) => wrong(&error),
        Err(DutyError::Replace(error)) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
        Err(error @ (DutyError::Refused(_) | DutyError::NotSeen(_))) => {
            complain(&error);
            ExitCode::from(1)
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

/// Exit code 1: the machine decided otherwise than recorded.
fn replayed(outcome: Result<bool, ReplayError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => wrong(&error),
    }
}

/// Nothing could be asked or shown.
fn wrong(error: &dyn std::error::Error) -> ExitCode {
    complain(error);
    ExitCode::from(2)
}

fn written(outcome: std::io::Result<()>) -> ExitCode {
    outcome.map_or_else(|error| wrong(&error), |()| ExitCode::SUCCESS)
}

fn complain(error: &dyn std::error::Error) {
    if answer::is_unread() {
        return;
    }
    // Nobody is left to be told where stderr is closed.
    let _ = writeln!(std::io::stderr(), "outlast: {}", base::Chain(error));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_of_the_commands_is_that_of_the_arguments() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/commands.md");
        let written = cli::manual::commands(command());
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &written).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == written,
            "docs/reference/commands.md is old: run with UPDATE_EXPECT=1"
        );
    }

    #[test]
    fn every_command_has_a_section_of_its_page() {
        let page = cli::manual::commands(command());
        let root = command();
        let shown = root.get_subcommands().filter(|command| !command.is_hide_set());
        for command in shown {
            let name = command.get_name();
            let leaf = command.get_subcommands().next().map(|inner| inner.get_name());
            let title = format!(
                "\n## outlast {}\n",
                [Some(name), leaf].map(|part| part.unwrap_or("")).join(" ").trim()
            );
            assert!(page.contains(&title), "{name}");
        }
    }
}
