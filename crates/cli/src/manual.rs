//! The page of the manual that lists every command, written from the definitions of the arguments.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::EXIT_CODES;

/// `docs/reference/commands.md` for the whole tool.
#[must_use]
pub fn commands(mut root: Command) -> String {
    // Fills in what clap adds itself, such as the names of values.
    root.build();
    let mut text = String::from(
        "# Commands\n\n<!-- written by a test from the definitions of the arguments; UPDATE_EXPECT=1 \
         rewrites it -->\n\n",
    );
    let about = root.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "{about}.\n\n```text\n{}\n```\n", EXIT_CODES.trim_end());
    text.push_str("`-h` shows a summary, `--help` everything, `outlast man` the same as pages of ");
    text.push_str("the manual.\n");
    section(&mut text, &root, "outlast");
    text
}

fn section(text: &mut String, command: &Command, path: &str) {
    for inner in shown(command) {
        let path = format!("{path} {}", inner.get_name());
        if inner.has_subcommands() {
            section(text, inner, &path);
            continue;
        }
        let _ = write!(text, "\n## {path}\n\n    {path}{}\n\n", usage(inner));
        let about = inner.get_long_about().or_else(|| inner.get_about());
        if let Some(about) = about {
            let _ = writeln!(text, "{}\n", about.to_string().trim_end());
        }
        let arguments: Vec<&Arg> = inner
            .get_arguments()
            .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help")
            .collect();
        if !arguments.is_empty() {
            text.push_str("| argument | meaning |\n|---|---|\n");
        }
        for argument in arguments {
            let help = argument.get_long_help().or_else(|| argument.get_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {help}{} |", name(argument), extra(argument));
        }
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

/// Positional arguments, and whether there are options.
fn usage(command: &Command) -> String {
    let mut text = String::new();
    for argument in command.get_positionals().filter(|arg| !arg.is_hide_set()) {
        let name = value(argument);
        let several = if is_repeated(argument) { "..." } else { "" };
        let _ = match argument.is_required_set() {
            true => write!(text, " {name}{several}"),
            false => write!(text, " [{name}]{several}"),
        };
    }
    let options = command.get_opts().chain(command.get_arguments().filter(|arg| is_flag(arg)));
    if options.filter(|arg| !arg.is_hide_set() && arg.get_id() != "help").count() > 0 {
        text.push_str(" [OPTIONS]");
    }
    text
}

fn is_flag(argument: &Arg) -> bool {
    !argument.is_positional() && !argument.get_action().takes_values()
}

fn is_repeated(argument: &Arg) -> bool {
    argument.get_num_args().is_some_and(|range| range.max_values() > 1)
        || matches!(argument.get_action(), clap::ArgAction::Append)
}

fn value(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    match names.first() {
        Some(name) => name.to_string(),
        None => argument.get_id().as_str().to_uppercase(),
    }
}

fn name(argument: &Arg) -> String {
    if argument.is_positional() {
        return value(argument);
    }
    let mut text = String::new();
    if let Some(short) = argument.get_short() {
        let _ = write!(text, "-{short}");
    }
    if let Some(long) = argument.get_long() {
        let _ = write!(text, "{}--{long}", if text.is_empty() { "" } else { ", " });
    }
    if argument.get_action().takes_values() {
        let _ = write!(text, " {}", value(argument));
    }
    text
}

/// Defaults and possible values.
fn extra(argument: &Arg) -> String {
    let mut text = String::new();
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, " (default: `{}`)", defaults.join(" "));
    }
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !possible.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, " ({})", possible.join(", "));
    }
    text
}
