//! `cargo xtask demo`: build, then become `outlast demo`.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::packages;
use crate::shell::{self, Failure, Outcome};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if arguments.iter().any(|argument| argument == "--stock") {
        packages::provide(&packages::STOCK)?;
    }
    let outlast = build()?;
    // Not a child: Ctrl-C, the exit code and the terminal are the demo's own.
    let error = Command::new(&outlast).arg("demo").args(arguments).exec();
    Err(Failure::new(format!("starting {}: {error}", outlast.display())))
}

/// Builds the executable in the profile whose numbers may be compared with promises.
pub(crate) fn build() -> Outcome<PathBuf> {
    let mut cargo = shell::cargo(["build", "--profile", "demo", "--package", "outlast"]);
    shell::run(&mut cargo)?;
    Ok(shell::target().join("demo").join("outlast"))
}
