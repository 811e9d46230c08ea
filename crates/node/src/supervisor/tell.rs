//! What the supervisor says on stderr, and words for events.

use std::io::Write;
use std::time::Duration;

use sys::process::Exit;

/// One line with our name; nobody is left to be told where stderr is closed.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "outlast: {text}");
}

/// A text that has its own line ends.
pub(crate) fn text(text: &str) {
    let _ = write!(std::io::stderr(), "{text}");
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
