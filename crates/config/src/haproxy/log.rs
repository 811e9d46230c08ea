//! `log ADDRESS[:PORT] FACILITY [LEVEL [MINLEVEL]]`

use std::net::SocketAddr;

use base::Span;

use super::address::{self, Host, Port, Target};
use super::{LogTarget, LogTo};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::{Line, Word};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// RFC 3164 2.
const SYSLOG_PORT: u16 = 514;

/// Reads what follows `log`; nothing if the target is of a kind that we do not run yet.
pub(crate) fn parse(line: &mut Line<'_>) -> Result<Option<LogTarget>, Diagnostic> {
    let address = line.expect("`global` or an address like 10.0.0.1:514")?;
    let to = target(&address, line)?;
    let mut runs = to.is_some();
    while let Some(option) = line.peek().cloned() {
        let words = match option.text.as_str() {
            "len" | "format" => 1,
            "sample" => 2,
            _ => break,
        };
        line.report(Diagnostic::not_yet(option.span, format!("`{}` of `log`", option.text)));
        runs = false;
        for _ in 0..words + usize::from(option.text != "sample") {
            line.expect(&format!("the value of `{}`", option.text))?;
        }
    }
    let facility = line.expect("a facility like local1")?;
    let facility = number(&facility, &FACILITIES, "log facility")
        .map_err(|finding| misplaced_port(finding, &address, &facility, line))?;
    let mut level_of = |otherwise| match line.take() {
        None => Ok(otherwise),
        Some(word) => number(&word, &LEVELS, "log level"),
    };
    let (level, min_level) = (level_of(7)?, level_of(0)?);
    line.finish();
    Ok(to.filter(|_| runs).map(|to| LogTarget { to, facility, level, min_level }))
}

fn target(word: &Word, line: &mut Line<'_>) -> Result<Option<LogTo>, Diagnostic> {
    let text = word.text.as_str();
    let text = text.strip_prefix("udp@").unwrap_or(text);
    if matches!(text, "stdout" | "stderr") {
        line.report(Diagnostic::not_yet(word.span, format!("`log {text}`")));
        return Ok(None);
    }
    match address::parse(word, text)? {
        Target::Unix(path) => Ok(Some(LogTo::Unix(path))),
        Target::Inet { host: Host::Ip(ip), port: Port::None } => {
            Ok(Some(LogTo::Udp(SocketAddr::new(ip, SYSLOG_PORT))))
        }
        Target::Inet { host: Host::Ip(ip), port: Port::One(port) } => {
            Ok(Some(LogTo::Udp(SocketAddr::new(ip, port))))
        }
        Target::Inet { host: Host::Name(name), port: Port::None | Port::One(_) } => {
            line.report(Diagnostic::not_yet(word.span, format!("looking up the name `{name}`")));
            Ok(None)
        }
        Target::Inet { .. } => Err(word.wrong("an address like 10.0.0.1:514")),
        Target::Descriptor(_) => {
            line.report(Diagnostic::not_yet(word.span, "`log fd@`"));
            Ok(None)
        }
        Target::Later(prefix) => {
            line.report(Diagnostic::not_yet(word.span, format!("`log {prefix}`")));
            Ok(None)
        }
    }
}

fn number(word: &Word, names: &[&str], what: &str) -> Result<u8, Diagnostic> {
    let found = names.iter().position(|name| *name == word.text);
    match found.and_then(|at| u8::try_from(at).ok()) {
        Some(at) => Ok(at),
        None => {
            let message = format!("`{}` is no {what}", word.text);
            let finding = Diagnostic::error(word.span, "bad-value", message);
            let finding = guess::near(finding, &word.text, names.iter().copied());
            Err(finding.help_if_none(|| match names.len() {
                0..=8 => format!("known are {}", names.join(", ")),
                _ => "write one of local0 to local7, or daemon".to_owned(),
            }))
        }
    }
}

/// `log 10.0.0.1 5140 local1`: a port behind a blank is the likeliest mistake here.
fn misplaced_port(
    finding: Diagnostic,
    address: &Word,
    facility: &Word,
    line: &Line<'_>,
) -> Diagnostic {
    let next = line.look(0).unwrap_or("local0");
    let behind = FACILITIES.contains(&next).then_some(next);
    match (facility.text.parse::<u16>(), behind) {
        (Ok(port), Some(behind)) if port > 0 => {
            let help = format!(
                "the port follows the address directly: write `log {}:{port} {behind}`",
                address.text
            );
            let span = Span::new(address.span.end, facility.span.end);
            finding.help(help).fix(span, format!(":{port}"))
        }
        _ => finding,
    }
}
