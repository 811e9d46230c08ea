//! Running one test with one program, in bounded time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::table::{Outcome, Verdict};
use crate::shell::{self, Failure};

/// varnishtest ends a test after this long; the longest that passes takes a fifth on an idle machine
/// (seconds).
const LONGEST: u32 = 30;

/// varnishtest's own buffers, as HAProxy's script sets them: some tests say a lot (bytes).
const BUFFER: usize = 2 << 20;

/// What a line of a table takes of the reason (bytes).
const MAX_WHY: usize = 110;

#[derive(Debug)]
pub(super) struct Runner<'a> {
    dir: PathBuf,
    /// Where tests put their sockets; a short name, because those of Unix sockets are short.
    scratch: PathBuf,
    ours: PathBuf,
    attempts: u8,
    keep: Option<&'a Path>,
}

impl<'a> Runner<'a> {
    /// Copies our executable to where its name is `haproxy`: it is what its name says.
    pub(super) fn new(
        dir: &Path,
        ours: &Path,
        attempts: u8,
        keep: Option<&'a Path>,
    ) -> Result<Self, Failure> {
        let scratch = env::temp_dir().join(format!("regtest-{}", std::process::id()));
        for folder in [Some(scratch.as_path()), keep].into_iter().flatten() {
            fs::create_dir_all(folder)
                .map_err(Failure::trying(format_args!("making {}", folder.display())))?;
        }
        let named = scratch.join("haproxy");
        fs::copy(ours, &named)
            .map_err(Failure::trying(format_args!("copying {}", ours.display())))?;
        let dir = dir
            .canonicalize()
            .map_err(Failure::trying(format_args!("looking at {}", dir.display())))?;
        Ok(Self { dir, scratch, ours: named, attempts, keep })
    }

    pub(super) fn ours(&self) -> &Path {
        &self.ours
    }

    /// The last attempt's outcome: the first that passes, or that asks for what the program lacks.
    pub(super) fn run(&self, program: &Path, test: &str, who: &str) -> Result<Outcome, Failure> {
        let mut attempts = 1;
        loop {
            let outcome = self.once(program, test, who, attempts)?;
            if outcome.verdict != Verdict::Fail || attempts == self.attempts {
                return Ok(outcome);
            }
            attempts += 1;
        }
    }

    fn once(
        &self,
        program: &Path,
        test: &str,
        who: &str,
        attempts: u8,
    ) -> Result<Outcome, Failure> {
        let varnishtest =
            shell::find_program("varnishtest").ok_or_else(|| Failure::new("no varnishtest"))?;
        let longest = LONGEST.to_string();
        let buffer = BUFFER.to_string();
        // As HAProxy's own script calls it; tests name their files relative to the group's folder.
        let output = Command::new(varnishtest)
            .args(["-b", &buffer, "-k", "-t", &longest, test])
            .current_dir(&self.dir)
            .env("HAPROXY_PROGRAM", program)
            .env("HAPROXY_ARGS", "-dM")
            .env("TMPDIR", &self.scratch)
            .stdin(Stdio::null())
            .output()
            .map_err(Failure::trying("starting varnishtest"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = verdict(&said, test).ok_or_else(|| {
            Failure::new(format!("varnishtest said nothing about {test}: {said}"))
        })?;
        let why = if verdict == Verdict::Pass { String::new() } else { why(&said) };
        if let (Some(folder), Verdict::Fail) = (self.keep, verdict) {
            shell::write(&folder.join(format!("{}.{who}", test.replace('/', "_"))), &said)?;
        }
        Ok(Outcome { verdict, attempts, why })
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.scratch) {
            eprintln!("removing {}: {error}", self.scratch.display());
        }
    }
}

/// `#    top  TEST log/a.vtc passed (0.388)`.
fn verdict(said: &str, test: &str) -> Option<Verdict> {
    let of = |line: &str| {
        let rest = line.strip_prefix('#')?.trim_start().strip_prefix("top")?.trim_start();
        let rest = rest.strip_prefix("TEST ")?.strip_prefix(test)?.trim_start();
        match rest.split(' ').next()? {
            "passed" => Some(Verdict::Pass),
            "skipped" => Some(Verdict::Skip),
            "FAILED" | "TIMED" => Some(Verdict::Fail),
            _ => None,
        }
    };
    said.lines().rev().find_map(of)
}

/// What explains a failure best: what the program refused, then what varnishtest missed.
fn why(said: &str) -> String {
    let find = |wanted: &dyn Fn(&str) -> Option<String>| said.lines().find_map(wanted);
    let refused = |line: &str| {
        let (_, text) = line.split_once(" debug|")?;
        let known = text.contains("[not-run-yet]") || text.starts_with("error");
        known.then(|| text.trim_start_matches("outlast: ").to_owned())
    };
    let missed = |line: &str| Some(line.strip_prefix("----")?.trim().to_owned());
    let slow = |line: &str| line.contains("TIMED OUT").then(|| "timed out".to_owned());
    let why = find(&refused).or_else(|| find(&missed)).or_else(|| find(&slow));
    let mut why = why.unwrap_or_default();
    let mut end = why.len().min(MAX_WHY);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why.truncate(end);
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "\
***  h1    debug|outlast: note[not-run-yet]: `proto` of `bind` is not run yet
---- h1    Bad exit status: 0x0100 exit 0x1 signal 0 core 0
*    top   TEST balance/b.vtc FAILED
#    top  TEST balance/b.vtc FAILED (0.097) exit=2
1 tests failed, 0 tests skipped, 0 tests passed
";

    #[test]
    fn what_varnishtest_says_is_understood() {
        let of = |end: &str| verdict(&format!("#    top  TEST log/a.vtc {end}\n"), "log/a.vtc");
        assert_eq!(of("passed (0.388)"), Some(Verdict::Pass));
        assert_eq!(of("skipped (0.037)"), Some(Verdict::Skip));
        assert_eq!(of("TIMED OUT (kill -9)"), Some(Verdict::Fail));
        assert_eq!(verdict(FAILED, "balance/b.vtc"), Some(Verdict::Fail));
        assert_eq!(verdict(FAILED, "balance/other.vtc"), None);
    }

    #[test]
    fn a_refusal_explains_more_than_an_exit_code() {
        assert_eq!(why(FAILED), "note[not-run-yet]: `proto` of `bind` is not run yet");
        let missed = "---- S     EXPECT FAILED ~ \"x\"\n#    top  TEST log/a.vtc FAILED\n";
        assert_eq!(why(missed), "S     EXPECT FAILED ~ \"x\"");
        assert_eq!(why("#    top  TEST a TIMED OUT (kill -9)\n"), "timed out");
    }
}
