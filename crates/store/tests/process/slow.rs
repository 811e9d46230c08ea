//! A disk that is slow, for one process: every `fdatasync` of it begins late.
//!
//! ```text
//!   strace -f -e trace=fdatasync -e inject=fdatasync:delay_enter=MICROSECONDS -p PID
//! ```
//!
//! No module, no mount and no rights over the disk are needed, only those to trace a process of the same
//! user that is no child of strace.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// As long as this lives.
pub(crate) struct Slow(Child);

impl Slow {
    /// Why there is no such thing here: it is tried on a process that sleeps.
    pub(crate) fn is_missing() -> Option<&'static str> {
        if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
            return Some("no strace");
        }
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let slow = Self::take_hold(sleeper.id(), Duration::from_millis(1));
        let missing =
            slow.is_none().then_some("strace may not take hold of a process of this user");
        drop(slow);
        drop((sleeper.kill(), sleeper.wait()));
        missing
    }

    pub(crate) fn disk_of(pid: u32, by: Duration) -> Self {
        Self::take_hold(pid, by).expect("strace takes hold of another process, it did before")
    }

    fn take_hold(pid: u32, by: Duration) -> Option<Self> {
        let delay = format!("inject=fdatasync:delay_enter={}", by.as_micros());
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=fdatasync", "-e", &delay, "-o", "/dev/null", "-p"]);
        let mut child = strace.arg(pid.to_string()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = lines.any(|line| line.is_ok_and(|line| line.contains("attached")));
        // It goes on telling about threads that come and go.
        std::thread::spawn(move || lines.for_each(drop));
        let slow = Self(child);
        attached.then_some(slow)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // It lets the process go on as before; or it has ended with it.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        drop(self.0.wait());
    }
}
