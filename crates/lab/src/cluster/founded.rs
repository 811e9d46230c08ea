//! A trust of the lab's own: founded and joined by the program's own commands, as an operator would.

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Plan;

/// A program for tests takes its time to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One node to be.
struct Member<'a> {
    name: &'a str,
    folder: &'a Path,
    is_compute: bool,
}

/// The one that answers joins; ends with it.
struct Desk(Child);

impl Drop for Desk {
    fn drop(&mut self) {
        // It may have ended by itself, and then nothing is left to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn command(program: &Path, words: &[&str], of: &Member<'_>) -> Command {
    let mut command = Command::new(program);
    command.args(words).arg("--trust-dir").arg(of.folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// What it printed.
fn said(mut command: Command, input: &str) -> io::Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("{command:?}: {}", why.trim_end())));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Where nodes prove themselves: founds a trust on the first node; all others join by a token each, and know of
/// each other afterwards.
///
/// # Errors
/// When the program refuses one of the commands, or nobody can listen on loopback.
pub(super) fn found(program: &Path, plan: &Plan, folders: &[PathBuf]) -> io::Result<()> {
    let members = plan.names.iter().zip(folders).enumerate().map(|(node, (name, folder))| Member {
        name,
        folder,
        is_compute: node + plan.computes >= plan.names.len(),
    });
    let members: Vec<_> = members.collect();
    let Some((first, others)) = members.split_first().filter(|_| plan.has_trust()) else {
        return Ok(());
    };
    sys::netns::loopback_up()?;
    let begin = command(program, &["init", "lab", "--node", first.name], first);
    said(begin, "")?;
    let desk = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut serves = command(program, &["trust", "serve", "--listen", &desk], first);
    let _serves = Desk(serves.stderr(Stdio::null()).spawn()?);
    if !crate::wait::until(PATIENCE, || std::net::TcpStream::connect(&desk).is_ok()) {
        return Err(io::Error::other("`outlast trust serve` does not answer"));
    }
    for member in others {
        let role = if member.is_compute { "compute" } else { "controller" };
        let words = ["token", "create", "--role", role, "--address", &desk];
        let token = said(command(program, &words, first), "")?;
        said(command(program, &["join", "-", "--node", member.name], member), &token)?;
    }
    for member in others {
        said(command(program, &["trust", "refresh", "--from", &desk], member), "")?;
    }
    Ok(())
}
