//! The operator's terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Nobody types more in one line (bytes).
const LONGEST: u64 = 4096;
/// Ctrl-C, which is a character like others while nothing is shown.
const INTERRUPT: char = '\u{3}';

/// Shows what is typed again, whatever happened.
struct Shown<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing any more.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Asks on the terminal of this process for a line that is not shown while it is typed.
///
/// # Errors
/// When this process has no terminal, or Ctrl-C was typed.
pub fn ask_hidden(prompt: &str) -> io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut hidden = before.clone();
    hidden.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    let shown = Shown { terminal: &terminal, before };
    // After that: what is typed before the question was flushed.
    (&terminal).write_all(prompt.as_bytes())?;
    let mut line = String::new();
    let read = BufReader::new((&terminal).take(LONGEST)).read_line(&mut line);
    drop(shown);
    terminal.write_all(b"\n")?;
    read?;
    if line.contains(INTERRUPT) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
