//! What the supervisor says on stderr, and words for events.

use std::io::Write;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use sys::process::Exit;

/// What a pipe takes whole once it is writable (`PIPE_BUF`, bytes).
const WHOLE: usize = 4096;

/// One line with our name; nobody is left to be told where stderr is closed.
pub(crate) fn line(text: &str) {
    write(&format!("outlast: {text}\n"));
}

/// A text that has its own line ends.
pub(crate) fn text(text: &str) {
    text.split_inclusive('\n').for_each(write);
}

/// Never waits: whoever reads our stderr may be frozen, and the event log has the same.
fn write(line: &str) {
    let mut end = line.len().min(WHOLE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let stderr = std::io::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut ready, Some(&Timespec::default())).is_ok_and(|count| count == 1) {
        let _ = stderr.lock().write_all(&line.as_bytes()[..end]);
    }
}

pub(crate) fn exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    }
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
