//! The demo as a test runs it: one scenario in a cloud of its own, and what came out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// One JSON line of `outlast demo --json`, as far as tests look at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    pub scenario: String,
    /// None: not judged.
    pub kept: Option<bool>,
    pub misses: Vec<String>,
    pub outage_ms: f64,
    pub requests: u32,
    pub failed: u32,
    pub slow: u32,
    pub longest_ms: f64,
    pub two_holders: u32,
    pub holders: u32,
    pub holder_before: Option<String>,
    pub holder_after: Option<String>,
    pub moves: u32,
    pub two_writers: u32,
    pub database_moves: u32,
    pub first_answer_ms: f64,
    pub back_at_ms: f64,
    pub failures: BTreeMap<String, u32>,
    pub promise: Promise,
}

/// The numbers a scenario promises.
#[derive(Clone, Debug, Deserialize)]
pub struct Promise {
    pub text: String,
    pub outage_ms: Option<u32>,
    pub moves: Option<u32>,
    pub failed: Option<u32>,
    pub one_writer: bool,
    pub database_moves: Option<u32>,
    pub first_answer_ms: Option<u32>,
}

/// All that one call printed.
#[derive(Clone, Debug)]
pub struct Trial {
    pub line: Option<Line>,
    pub stderr: String,
    pub success: bool,
}

/// Two clouds at once would measure each other. Under nextest the group `lab` does the same across
/// processes.
static ONE_CLOUD: Mutex<()> = Mutex::new(());

/// Waits until no other test of this process has a cloud.
pub fn alone() -> MutexGuard<'static, ()> {
    ONE_CLOUD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `outlast demo --json` with these words more, alone.
///
/// # Panics
/// When the program cannot be started or prints something else than JSON lines.
#[must_use]
pub fn run(outlast: impl AsRef<Path>, words: &[&str]) -> Trial {
    let _alone = alone();
    let output = Command::new(outlast.as_ref())
        .args(["demo", "--json"])
        .args(words)
        .output()
        .expect("the executable was built for this test");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout
        .lines()
        .last()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Trial { line, stderr, success: output.status.success() }
}

impl Trial {
    /// The line of the scenario.
    ///
    /// # Panics
    /// When there is none; the message says what the demo said.
    #[must_use]
    pub fn line(&self) -> &Line {
        self.line.as_ref().unwrap_or_else(|| panic!("no line; the demo said:\n{}", self.stderr))
    }

    /// Why no namespaces can be made here, if they cannot.
    #[must_use]
    pub fn forbidden(&self) -> Option<&str> {
        let lines = self.stderr.lines();
        self.line.is_none().then(|| lines.last()).flatten().filter(|line| {
            line.contains("cannot make namespaces") || line.contains("cannot mount /proc")
        })
    }
}

impl Line {
    /// What a test may hold a machine to that is busy with other things: every count of the
    /// promise, and ten times every duration.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn assert_facts(&self) {
        let what = format!("{self:?}");
        assert!(self.requests > 0, "it did not run: {:?}", self.misses);
        assert_eq!(self.two_holders, 0, "two holders in {what}");
        assert_eq!(self.holders, 1, "one holder at the end of {what}");
        let limit = |ms: Option<u32>| ms.map_or(f64::INFINITY, |ms| f64::from(ms) * 10.0);
        assert!(self.outage_ms <= limit(self.promise.outage_ms), "outage in {what}");
        assert!(self.first_answer_ms <= limit(self.promise.first_answer_ms), "start in {what}");
        assert!(self.moves <= self.promise.moves.unwrap_or(u32::MAX), "moves in {what}");
        assert!(self.failed <= self.promise.failed.unwrap_or(u32::MAX), "failures in {what}");
        let database_moves = self.promise.database_moves.unwrap_or(u32::MAX);
        assert!(self.database_moves <= database_moves, "database moves in {what}");
        assert!(!self.promise.one_writer || self.two_writers == 0, "writers in {what}");
    }
}
