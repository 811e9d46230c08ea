//! Standard output of a command, whose reader may leave (`outlast store list | head -1`).

use std::io::{self, ErrorKind, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whoever read the answer has left. Other programs end by SIGPIPE then, without a word; Rust ignores that
/// signal, and a command must not be ended by a socket that closes.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Whether the reader has left: what cannot be written is no trouble to tell of.
pub(crate) fn is_unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}

/// Standard output, which remembers that nobody reads it any more.
#[derive(Debug)]
pub(crate) struct Answer(Stdout);

impl Answer {
    pub(crate) fn new() -> Self {
        Self(io::stdout())
    }
}

fn noted<T>(outcome: io::Result<T>) -> io::Result<T> {
    if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        UNREAD.store(true, Ordering::Relaxed);
    }
    outcome
}

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        noted(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        noted(self.0.flush())
    }
}
