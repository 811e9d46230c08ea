//! Rules, what they ask, and lines of a log, as text.

use std::fmt::Write as _;

use crate::haproxy::expr::{Acl, Condition, Converter, Expr, Test};
use crate::haproxy::{
    Action, Format, LogLine, LogMoment, LogPart, LogStyle, Reply, Rule, Switch, Target,
};

/// A rule as it is written; files that it reads are told by what is in them.
pub(super) fn text(rule: &Rule) -> String {
    let Rule { action, condition, text, span: _ } = rule;
    format!("{text}{}{}", contents(action), condition_text(condition.as_ref()))
}

pub(super) fn switch_text(switch: &Switch) -> String {
    let Switch { to, condition, text, span: _ } = switch;
    let read = match to {
        Target::Name(_) => String::new(),
        Target::Made(format) => digests(format),
    };
    format!("{text}{read}{}", condition_text(condition.as_ref()))
}

fn condition_text(condition: Option<&Condition>) -> String {
    condition.map_or_else(String::new, |condition| format!(" {}", condition.text))
}

/// Lines of one name, or a `{ ... }`, with what the files said.
pub(super) fn acl_text(acl: &Acl) -> String {
    let Acl { name, tests } = acl;
    let name = if name.is_empty() { "{ }" } else { name };
    let test = |test: &Test| {
        let Test { expr, matcher, text } = test;
        let is_read = text.contains("-f ");
        let read = if is_read { format!(" ({matcher:?})") } else { String::new() };
        format!("{text}{read}{}", digest(expr))
    };
    let tests: Vec<String> = tests.iter().map(test).collect();
    format!("{name} {}", tests.join(" | "))
}

fn contents(action: &Action) -> String {
    match action {
        Action::Deny(reply) | Action::Return(reply) => {
            let Reply { status: _, content_type: _, body, headers } = reply;
            let body = body.as_ref().map_or(String::new(), |body| {
                let text = body.constant().map(|text| format!(" ({text:?})"));
                text.unwrap_or_else(|| digests(body))
            });
            headers.iter().fold(body, |text, (_, value)| text + &digests(value))
        }
        Action::Redirect(redirect) => digests(&redirect.to),
        Action::SetHeader(_, format)
        | Action::AddHeader(_, format)
        | Action::ReplaceHeader { to: format, .. }
        | Action::SetMethod(format)
        | Action::SetTarget(_, format)
        | Action::ReplaceTarget(_, _, format)
        | Action::SetVariableFormat(_, format) => digests(format),
        Action::SetVariable(_, expr) => digest(expr),
        Action::Allow
        | Action::Reject
        | Action::DeleteHeader(_)
        | Action::DeleteHeaders(_)
        | Action::SetStatus(..)
        | Action::UnsetVariable(_) => String::new(),
    }
}

fn digests(format: &Format) -> String {
    let of = |part: &LogPart| match part {
        LogPart::Expr(expr, _) => digest(expr),
        LogPart::Text(_) | LogPart::Blank | LogPart::Value(..) => String::new(),
    };
    format.parts.iter().map(of).collect()
}

/// Of the maps that it reads.
fn digest(expr: &Expr) -> String {
    let mut text = String::new();
    for converter in &expr.converters {
        if let Converter::Map(map) = converter {
            let _ = write!(text, " ({}: {:016x})", map.path, map.digest);
        }
    }
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
            LogPart::Value(_, style) | LogPart::Expr(_, style) => {
                let LogStyle { mandatory, quoted, hexadecimal, escaped } = style;
                let _ = match part {
                    LogPart::Value(value, _) => write!(text, " {value:?}"),
                    LogPart::Expr(expr, _) => write!(text, " {}{}", expr.text, digest(expr)),
                    LogPart::Text(_) | LogPart::Blank => Ok(()),
                };
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
