//! Rules about headers and lines of a log, as text.

use std::fmt::Write as _;

use crate::haproxy::{Action, Condition, HeaderRule, LogLine, LogMoment, LogPart, LogStyle};

pub(super) fn text(rule: &HeaderRule) -> String {
    let HeaderRule { action, condition, span: _ } = rule;
    let mut text = match action {
        Action::DeleteHeader(name) => format!("del-header {name}"),
        Action::SetHeader(name, value) => format!("set-header {name} {value:?}"),
        Action::AddHeader(name, value) => format!("add-header {name} {value:?}"),
        Action::Deny { status } => format!("deny {status}"),
    };
    text.push_str(match condition {
        None => "",
        Some(Condition::SslFrontend) => " if ssl_fc",
        Some(Condition::NotSslFrontend) => " unless ssl_fc",
    });
    text
}

/// Which variables stand in which order and style; the line itself is no longer known.
pub(super) fn line_text(line: &LogLine) -> String {
    let LogLine { parts, moment } = line;
    let mut text = match moment {
        LogMoment::Answer => "custom, at the answer:".to_owned(),
        LogMoment::End => "custom:".to_owned(),
    };
    for part in parts {
        match part {
            LogPart::Text(words) => {
                let _ = write!(text, " {words:?}");
            }
            LogPart::Blank => text.push_str(" _"),
            LogPart::Value(value, style) => {
                let LogStyle { mandatory, quoted, hexadecimal, escaped } = style;
                let _ = write!(text, " {value:?}");
                for (is_on, letter) in
                    [(!mandatory, "-M"), (*quoted, "+Q"), (*hexadecimal, "+X"), (*escaped, "+E")]
                {
                    text.push_str(if is_on { letter } else { "" });
                }
            }
        }
    }
    text
}
