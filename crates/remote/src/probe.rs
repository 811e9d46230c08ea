//! Probes: one question to one server, as a machine without I/O.
//!
//! ```text
//!             on_connected       on_bytes
//!  connecting ------------> asked --------> done
//!      |                      |
//!      | on_refused           | on_closed, on_broken
//!      | on_timeout           | on_timeout
//!      v                      v
//!    done                   done
//! ```
//!
//! The driver opens the connection, feeds what arrives and obeys the [`Progress`]. Requests and
//! verdicts are HAProxy's to the byte (its 2.6 was recorded), because servers know these requests
//! and operators know these sentences.

mod http;
mod mysql;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::{Layer, Report};

pub use http::HttpQuestion;
pub use mysql::MysqlQuestion;

/// No answer is longer: HAProxy's `tune.bufsize`, beyond which it gives a verdict too (bytes).
pub const MAX_ANSWER: usize = 16 * 1024;

/// `info` is cut there, as HAProxy does (`HCHK_DESC_LEN`), so that a log line stays a line (bytes).
const MAX_INFO: usize = 127;

/// What is asked. Compiled once, shared by every probe of a backend.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// Does it accept a connection?
    Connect,
    Http(HttpQuestion),
    Mysql(MysqlQuestion),
}

/// One probe on its way.
#[derive(Debug)]
pub struct Probe {
    question: Arc<Question>,
    connected: bool,
    answer: Vec<u8>,
}

/// What the driver does next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Wait for bytes.
    More,
    /// Send these, then wait for bytes.
    Send(Vec<u8>),
    /// Close the connection. The report's `duration` is zero: the driver has the clock.
    Done(Report),
}

impl Probe {
    #[must_use]
    pub const fn new(question: Arc<Question>) -> Self {
        Self { question, connected: false, answer: Vec::new() }
    }

    /// The connection stands.
    pub fn on_connected(&mut self) -> Progress {
        self.connected = true;
        match &*self.question {
            Question::Connect => Progress::Done(report(Layer::ConnectOk, None, "")),
            Question::Http(http) => Progress::Send(http.request().to_vec()),
            Question::Mysql(mysql) if mysql.request().is_empty() => Progress::More,
            Question::Mysql(mysql) => Progress::Send(mysql.request().to_vec()),
        }
    }

    /// The connection could not be made.
    pub fn on_refused(&mut self, why: &io::Error) -> Progress {
        Progress::Done(report(Layer::ConnectError, None, &reason(why)))
    }

    /// Bytes came.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Progress {
        let room = MAX_ANSWER - self.answer.len();
        self.answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let last = self.answer.len() == MAX_ANSWER;
        self.judge(last)
    }

    /// The server closed its side in order.
    pub fn on_closed(&mut self) -> Progress {
        match self.judge(true) {
            Progress::More | Progress::Send(_) => invalid(""),
            done @ Progress::Done(_) => done,
        }
    }

    /// The connection broke after it stood.
    pub fn on_broken(&mut self, why: &io::Error) -> Progress {
        if !self.connected {
            return self.on_refused(why);
        }
        Progress::Done(report(Layer::Socket, None, &reason(why)))
    }

    /// The time is over.
    pub fn on_timeout(&mut self) -> Progress {
        let layer = if self.connected { Layer::AnswerTimeout } else { Layer::ConnectTimeout };
        Progress::Done(report(layer, None, ""))
    }

    /// `last`: nothing more will come.
    fn judge(&self, last: bool) -> Progress {
        match &*self.question {
            Question::Connect => Progress::Done(report(Layer::ConnectOk, None, "")),
            Question::Http(http) => http.judge(&self.answer, last),
            Question::Mysql(mysql) => mysql.judge(&self.answer, last),
        }
    }
}

fn invalid(info: &str) -> Progress {
    Progress::Done(report(Layer::AnswerInvalid, None, info))
}

fn report(layer: Layer, code: Option<u16>, info: &str) -> Report {
    Report {
        passed: matches!(layer, Layer::ConnectOk | Layer::AnswerOk),
        layer,
        code,
        // Servers say what they like; it is shown on terminals and in lines of logs.
        info: cut(&info.replace(char::is_control, " ")).to_owned(),
        duration: Duration::ZERO,
        facts: Vec::new(),
    }
}

/// At most [`MAX_INFO`] bytes, whole characters.
fn cut(info: &str) -> &str {
    let mut end = info.len().min(MAX_INFO);
    while !info.is_char_boundary(end) {
        end -= 1;
    }
    &info[..end]
}

/// `Connection refused`: the system's words without the number that `io::Error` appends.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
