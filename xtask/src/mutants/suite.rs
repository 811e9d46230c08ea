//! A crate's own tests as the judge of a bug: for what no sweep reaches, as the rules of the real store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, str};

use crate::shell::{self, Failure, Outcome};

/// Of the kernel: ticks of processor time in a second (`USER_HZ`, the same on all machines we run on).
const TICKS: f64 = 100.0;

/// The crate whose tests judge a bug, as the second line of its patch says; none: the sweep does.
pub(super) fn judge(patch: &Path) -> Outcome<Option<String>> {
    let text = shell::read(patch)?;
    let second = text.lines().nth(1).unwrap_or_default();
    let judge = second.strip_prefix("Judged by the unit tests of `");
    Ok(judge.and_then(|rest| rest.strip_suffix("`.")).map(str::to_owned))
}

/// What the tests of a crate said.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Tests that failed, in the order of their names.
    pub(super) failed: Vec<String>,
    /// Processor time of the tests, without building them.
    pub(super) cpu_s: f64,
}

/// Runs the unit tests of a crate in a copy of the workspace; the kernel ends them after that many seconds
/// of processor time.
///
/// # Errors
/// When they cannot be built, or end without a word about any test.
pub(super) fn run(tree: &Path, target: &Path, of: &str, limit: f64) -> Outcome<Verdict> {
    let package = format!("outlast-{of}");
    let build = ["test", "--quiet", "--offline", "--no-run", "--lib", "--package", &package];
    let mut build = shell::cargo(build);
    build.current_dir(tree).env("CARGO_TARGET_DIR", target).arg("--message-format=json");
    let built = build.output().map_err(Failure::trying("building the tests"))?;
    let program = program(&built.stdout).ok_or_else(|| {
        Failure::new(format!("{package}: {}", String::from_utf8_lossy(&built.stderr)))
    })?;
    let before = children()?;
    let script = format!("ulimit -t {limit:.0}; exec \"$0\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program).current_dir(tree.join("crates").join(of));
    let said = command.output().map_err(Failure::trying("starting the tests"))?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let name = |line: &str| {
        let line = line.strip_prefix("test ")?;
        line.strip_suffix(" ... FAILED").map(str::to_owned)
    };
    let mut failed: Vec<_> = text.lines().filter_map(name).collect();
    failed.sort_unstable();
    if failed.is_empty() && !said.status.success() {
        return Err(Failure::new(format!("the tests of {of} say nothing: {}", said.status)));
    }
    Ok(Verdict { failed, cpu_s: children()? - before })
}

/// What cargo built, from its messages.
fn program(messages: &[u8]) -> Option<PathBuf> {
    let lines = messages.split(|byte| *byte == b'\n');
    let message = |line| serde_json::from_slice::<serde_json::Value>(line).ok();
    let executable = |message: serde_json::Value| message["executable"].as_str().map(PathBuf::from);
    lines.filter_map(message).find_map(executable)
}

/// Processor time of the children that ended, seconds (proc(5): `cutime` and `cstime`).
fn children() -> Outcome<f64> {
    let stat =
        fs::read_to_string("/proc/self/stat").map_err(Failure::trying("reading the time"))?;
    // Behind the name, which may have spaces.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_the_tests_is_read_from_what_cargo_says() {
        let said = b"{\"executable\":null}\nno JSON\n{\"executable\":\"/target/store-1\"}\n";
        assert_eq!(program(said), Some(PathBuf::from("/target/store-1")));
        assert_eq!(program(b"{}"), None);
    }

    #[test]
    fn the_second_line_of_a_patch_names_its_judge() {
        let root = shell::root().join(super::super::FOLDER);
        let store = judge(&root.join("store-forgets-its-vote.patch")).unwrap();
        assert_eq!(store.as_deref(), Some("store"));
        assert_eq!(judge(&root.join("verdict-asks-nobody.patch")).unwrap(), None);
    }
}
