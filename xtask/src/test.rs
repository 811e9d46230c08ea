//! `cargo xtask test`: the whole workspace, with an honest list of what did not run.
//!
//! The runner's output streams through; its closing lines wait until the skips are printed, so that
//! the last line of the output is always the runner's own.

mod output;
mod skips;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, io, thread};

use crate::packages;
use crate::python;
use crate::shell::{self, Failure, Outcome};
use crate::sweep;
use output::{Output, Runner};
use skips::Rules;

/// A daemon that a test left behind may hold our pipe open: how long to wait for more lines once the
/// runner itself has ended.
const QUIET: Duration = Duration::from_secs(2);

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Err(failure) = packages::provide(&packages::TESTS) {
        eprintln!("{failure}");
        eprintln!("tests that need them will skip");
    }
    if let Err(failure) = python::provide() {
        eprintln!("{failure}");
        eprintln!("tests that need it will skip");
    }
    // A selection of tests is for somebody who waits.
    let swept = if arguments.is_empty() { sweep::minute() } else { Ok(()) };
    if let Err(failure) = &swept {
        eprintln!("{failure}");
    }
    let skipped_to = shell::target().join(format!("skips.{}", std::process::id()));
    shell::write(&skipped_to, "")?;
    let (runner, mut command) = runner(arguments);
    command.env("OUTLAST_SKIPS", &skipped_to);
    let (status, output) = stream(runner, command)?;

    let skipped = shell::read(&skipped_to)?;
    fs::remove_file(&skipped_to).map_err(Failure::trying("removing the list of skips"))?;
    let rows = shell::read(&shell::root().join("tests/skips.toml"))?;
    let report = skips::judge(&skipped, &rows, rules())?;

    let mut out = io::stdout().lock();
    let lines = output.times().into_iter().chain(report.lines).chain(output.closing());
    for line in lines {
        writeln!(out, "{line}").map_err(Failure::trying("printing"))?;
    }
    out.flush().map_err(Failure::trying("printing"))?;
    if !status.success() || report.broken || swept.is_err() {
        // Said already, and the runner keeps the last word.
        std::process::exit(status.code().filter(|code| *code != 0).unwrap_or(1));
    }
    Ok(())
}

fn rules() -> Rules {
    let shared = env::var_os("OUTLAST_SHARED")
        .map_or_else(|| shell::root().join("../shared"), std::path::PathBuf::from);
    Rules {
        all: env::var("OUTLAST_TEST_ALL").is_ok_and(|value| value == "1"),
        shared_is_here: shared.is_dir(),
    }
}

fn runner(arguments: &[String]) -> (Runner, Command) {
    let workspace = ["--workspace", "--all-features", "--no-fail-fast"];
    if shell::has_cargo("nextest") {
        let mut command = shell::cargo(["nextest", "run", "--color=never"]);
        command.args(workspace).args(arguments);
        return (Runner::Nextest, command);
    }
    let mut command = shell::cargo(["test", "--all-targets", "--color=never"]);
    command.args(workspace).args(arguments);
    (Runner::Cargo, command)
}

fn stream(runner: Runner, mut command: Command) -> Outcome<(ExitStatus, Output)> {
    let trying = "starting the test runner";
    let (reader, writer) = io::pipe().map_err(Failure::trying(trying))?;
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(Failure::trying(trying))?).stderr(writer);
    let mut child = command.spawn().map_err(Failure::trying(trying))?;
    drop(command); // our copies of the pipe's end

    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(reader).split(b'\n');
        for line in lines.map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut output = Output::new(runner);
    let mut ended = None;
    loop {
        match receiver.recv_timeout(QUIET) {
            Ok(line) => {
                for line in output.push(line) {
                    println!("{line}");
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                ended = child.try_wait().map_err(Failure::trying("waiting for the runner"))?;
            }
        }
    }
    let status = child.wait().map_err(Failure::trying("waiting for the runner"))?;
    Ok((status, output))
}
