//! A disk that is slow, for one process: every `fdatasync` of it begins late.
//!
//! ```text
//!   strace -f -e trace=fdatasync -e inject=fdatasync:delay_enter=MICROSECONDS -p PID
//! ```
//!
//! No module, no mount and no rights over the disk are needed, only those to trace a child.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// As long as this lives.
pub(crate) struct Slow(Child);

impl Slow {
    /// Why there is no such thing here.
    pub(crate) fn is_missing() -> Option<&'static str> {
        let mut probe = Command::new("strace");
        let probe = probe.args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
        match probe {
            Err(_) => Some("no strace"),
            Ok(status) if status.success() => None,
            Ok(_) => Some("this user may not trace"),
        }
    }

    pub(crate) fn disk_of(pid: u32, by: Duration) -> Self {
        let delay = format!("inject=fdatasync:delay_enter={}", by.as_micros());
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=fdatasync", "-e", &delay, "-o", "/dev/null", "-p"]);
        let mut child = strace.arg(pid.to_string()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = lines.any(|line| line.is_ok_and(|line| line.contains("attached")));
        assert!(attached, "strace cannot take hold of process {pid}");
        // It goes on telling about threads that come and go.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // It lets the process go on as before; or it has ended with it.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        drop(self.0.wait());
    }
}
