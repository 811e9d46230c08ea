//! Clients of a cluster's store, one at each member: they write all along, by the program's own command, and remember
//! what was acknowledged.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use base::Time;

use crate::wait;

/// Between two writes: each is a process.
const EVERY: Duration = Duration::from_millis(100);
/// A command that takes longer is given up; nobody knows what became of it.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// Ends with it.
#[derive(Debug)]
pub(super) struct Client {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    /// Of the members.
    run_dirs: Vec<PathBuf>,
    prefix: String,
    ends: AtomicBool,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// Keys of acknowledged writes; each is written once.
    keys: Vec<String>,
    /// When the newest of them had begun.
    newest: Option<Duration>,
}

impl Client {
    /// Writes below `prefix`, at all members at once: one that does not answer keeps nobody from writing at another.
    pub(super) fn begin(program: &Path, run_dirs: Vec<PathBuf>, prefix: String) -> Self {
        let (program, ends) = (program.to_owned(), AtomicBool::new(false));
        let written = Mutex::default();
        let shared = Arc::new(Shared { program, run_dirs, prefix, ends, written });
        let write = |member| {
            let shared = Arc::clone(&shared);
            spawn(move || shared.write_on(member))
        };
        let threads = (0..shared.run_dirs.len()).map(write).collect();
        Self { shared, threads }
    }

    /// When the newest acknowledged write had begun, by the clock of this machine.
    pub(super) fn written(&self) -> Option<Duration> {
        self.shared.written().newest
    }

    /// Keys that were acknowledged before this question and that the store has not; none: it does not answer.
    pub(super) fn lost(&self) -> Option<Vec<String>> {
        let keys = self.shared.written().keys.clone();
        let list = |run_dir: &PathBuf| self.shared.asked(run_dir, &["list", &self.shared.prefix]);
        let there = self.shared.run_dirs.iter().find_map(list)?;
        let there: Vec<_> =
            there.lines().filter_map(|line| line.split_whitespace().last()).collect();
        Some(keys.into_iter().filter(|key| !there.contains(&key.as_str())).collect())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Nobody is left to be told that it failed.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_on(&self, member: usize) {
        for number in 0.. {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let begun = sys::clock::now();
            let key = format!("{}{member}/{number}", self.prefix);
            if self.asked(&self.run_dirs[member], &["put", &key, "x"]).is_some() {
                let mut written = self.written();
                written.keys.push(key);
                written.newest = written.newest.max(Some(begun.since(Time::ZERO)));
            }
            sleep(EVERY.saturating_sub(sys::clock::now().since(begun)));
        }
    }

    /// What the command said; none: it failed, or took too long.
    fn asked(&self, run_dir: &Path, words: &[&str]) -> Option<String> {
        let mut command = Command::new(&self.program);
        command.arg0("outlast").arg("store").args(words).arg("--run-dir").arg(run_dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let ended = wait::until(GIVEN_UP, || !matches!(child.try_wait(), Ok(None)));
        if !ended {
            drop(child.kill());
        }
        let output = child.wait_with_output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
