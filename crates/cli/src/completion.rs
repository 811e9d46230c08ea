//! `outlast completion SHELL` and `outlast man [DIR]`: printed by the executable itself, so they are
//! always those of its own version.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

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

/// Prints the page of `command`, or writes those of all subcommands.
///
/// # Errors
/// When the output or a file cannot be written; a closed output ends it quietly.
pub fn man(args: &ManArgs, command: Command, out: &mut impl Write) -> io::Result<()> {
    let Some(folder) = &args.folder else {
        let mut text = vec![];
        clap_mangen::Man::new(command).render(&mut text)?;
        return quietly(out.write_all(&text));
    };
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}

fn quietly(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
