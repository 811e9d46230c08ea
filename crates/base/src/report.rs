//! What one probe learned about one target.

use std::fmt;
use std::time::Duration;

/// The answer of a probe: how far it got, and what it saw there. Counting answers is the work of
/// `engine::health`; `passed` is the only field it reads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    pub passed: bool,
    pub layer: Layer,
    /// The code the target answered with: an HTTP status, a MySQL error number.
    pub code: Option<u16>,
    /// What the operator reads: `Connection refused`, `8.0.19`.
    pub info: String,
    pub duration: Duration,
    /// Named facts beyond pass or fail, e.g. `wsrep_local_state` = `4`.
    pub facts: Vec<(String, String)>,
}

/// Where a probe ended, in HAProxy's classes (its manual, 9.1 "check_status").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layer {
    /// Socket error before anything was sent: `SOCKERR`.
    Socket,
    /// Connected, which was all that was asked: `L4OK`.
    ConnectOk,
    /// No answer to the SYN in time: `L4TOUT`.
    ConnectTimeout,
    /// Refused, unreachable: `L4CON`.
    ConnectError,
    /// The expected answer: `L7OK`.
    AnswerOk,
    /// Connected, but no whole answer in time: `L7TOUT`.
    AnswerTimeout,
    /// Not the protocol that was expected: `L7RSP`.
    AnswerInvalid,
    /// An answer that says no, as HTTP 500: `L7STS`.
    AnswerBad,
}

impl Layer {
    /// The code of HAProxy's `show stat`, column `check_status`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Socket => "SOCKERR",
            Self::ConnectOk => "L4OK",
            Self::ConnectTimeout => "L4TOUT",
            Self::ConnectError => "L4CON",
            Self::AnswerOk => "L7OK",
            Self::AnswerTimeout => "L7TOUT",
            Self::AnswerInvalid => "L7RSP",
            Self::AnswerBad => "L7STS",
        }
    }
}

/// HAProxy's long form, as its logs print it after `reason:`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket => "Socket error",
            Self::ConnectOk => "Layer4 check passed",
            Self::ConnectTimeout => "Layer4 timeout",
            Self::ConnectError => "Layer4 connection problem",
            Self::AnswerOk => "Layer7 check passed",
            Self::AnswerTimeout => "Layer7 timeout",
            Self::AnswerInvalid => "Layer7 invalid response",
            Self::AnswerBad => "Layer7 wrong status",
        })
    }
}
