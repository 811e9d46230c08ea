//! `outlast completion SHELL` and `outlast man [DIR]`: printed by the executable itself, so they are
//! always those of its own version.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Command;
use clap::builder::Resettable;
use clap_complete::Shell;

use crate::EXIT_CODES;

/// Print what a shell must know to complete the arguments of outlast
///
/// bash: source <(outlast completion bash), or into /usr/share/bash-completion/completions/outlast;
/// zsh: into a folder of $fpath as _outlast; fish: into ~/.config/fish/completions/outlast.fish.
#[derive(Debug, clap::Args)]
pub struct Args {
    shell: Shell,
}

/// Print the page of the manual, or write one per subcommand into a folder
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Where to write outlast.1, outlast-status.1 and so on, for example /usr/share/man/man1
    folder: Option<PathBuf>,
}

/// Prints the completion of `command`.
///
/// # Errors
/// When the output cannot be written; a closed one ends it quietly.
pub fn run(args: &Args, command: &mut Command, out: &mut impl Write) -> io::Result<()> {
    let mut text = vec![];
    clap_complete::generate(args.shell, command, "outlast", &mut text);
    quietly(out.write_all(&text))
}

/// Prints the page of `command`, or writes those of all subcommands and says so.
///
/// # Errors
/// When the output or a file cannot be written; a closed output ends it quietly.
pub fn man(args: &ManArgs, command: Command, out: &mut impl Write) -> io::Result<()> {
    let Some(folder) = &args.folder else {
        return quietly(out.write_all(page(command)?.1.as_bytes()));
    };
    let is_new = !folder.is_dir();
    std::fs::create_dir_all(folder)?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = vec![];
    pages_of(&command, &mut pages)?;
    for (name, text) in &pages {
        std::fs::write(folder.join(name), text)?;
    }
    let new = if is_new { "the new folder " } else { "" };
    quietly(writeln!(out, "{} pages written to {new}{}", pages.len(), folder.display()))
}

/// Names and texts of the pages of all that is not hidden.
fn pages_of(command: &Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        pages_of(inner, pages)?;
    }
    pages.push(page(command.clone())?);
    Ok(())
}

/// Name and text of one page. Options of the synopsis tell what follows them, and the exit codes have
/// the section in which a manual has them.
fn page(command: Command) -> io::Result<(String, String)> {
    let values: Vec<(String, String)> = command
        .get_opts()
        .filter_map(|option| {
            let value = option.get_value_names()?.first()?.to_string();
            Some((escaped(option.get_long()?), escaped(&value)))
        })
        .collect();
    let man = clap_mangen::Man::new(
        command.after_help(Resettable::Reset).after_long_help(Resettable::Reset),
    );
    let mut text = vec![];
    man.render(&mut text)?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    for (name, value) in &values {
        // Nowhere but in the synopsis does a bracket follow the name.
        let option = format!("\\-\\-{name}\\fR");
        text = text.replace(&format!("{option}]"), &format!("{option} \\fI{value}\\fR]"));
    }
    text.push_str(".SH \"EXIT STATUS\"\n");
    for (code, meaning) in EXIT_CODES.lines().filter_map(|line| line.trim().split_once("  ")) {
        text.push_str(&format!(".TP\n\\fB{code}\\fR\n{}\n", escaped(meaning)));
    }
    Ok((man.get_filename(), text))
}

/// As roff takes it within a line.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

fn quietly(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
