//! `check` of `[vip.NAME]`: a word, a table, or a list of them.

use std::time::Duration;

use super::read::{Field, REQUIRED, Value, boolean, fields, number, span, texts, time, wrong};
use super::{run_as, weighs};
use crate::diagnostic::Diagnostic;
use crate::vip::Script;
use base::Span;

#[derive(Debug)]
pub(crate) enum CheckDraft {
    None,
    Balancer(Span),
    Script(Script),
    All(Vec<Self>),
}

pub(super) fn command(value: &Value<'_>) -> Result<Vec<String>, Diagnostic> {
    let words = texts(value, "program and arguments")?;
    let command: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
    if command.is_empty() { Err(wrong(value, "program and arguments")) } else { Ok(command) }
}

/// Defaults as keepalived's, but a script that hangs is not waited for longer than its interval.
pub(super) fn script() -> Script {
    Script {
        name: String::new(),
        command: Vec::new(),
        interval: Duration::from_secs(1),
        timeout: Duration::ZERO,
        fall: 1,
        rise: 1,
        weight: 0,
        starts_failed: false,
        reversed: false,
        user: None,
        group: None,
        secure: false,
    }
}
/// One check, alone or in a list.
pub(super) fn check(
    value: &Value<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Result<CheckDraft, Diagnostic> {
    let (word, table) = (value.get_ref().as_str(), value.get_ref().as_table());
    match (word, table) {
        (Some("balancer"), _) => Ok(CheckDraft::Balancer(span(value))),
        (Some("none"), _) => Ok(CheckDraft::None),
        (_, Some(table)) => {
            let mut script = script();
            fields(SCRIPT, "`check`", span(value), table, &mut script, findings);
            Ok(CheckDraft::Script(script))
        }
        (_, None) => Err(wrong(value, "\"balancer\", \"none\" or { script = [...] }")),
    }
}

/// `check = { script = ... }`
pub(crate) const SCRIPT: &[Field<Script>] = &[
    Field {
        name: "script",
        form: "[\"/usr/local/bin/check\", \"argument\"]",
        default: REQUIRED,
        does: "program and arguments; no shell",
        set: |script, value, _| {
            script.command = command(value)?;
            Ok(())
        },
    },
    Field {
        name: "interval",
        form: "\"2s\"",
        default: "1s",
        does: "between two runs",
        set: |script, value, _| {
            script.interval = time(value)?;
            Ok(())
        },
    },
    Field {
        name: "timeout",
        form: "\"2s\"",
        default: "interval",
        does: "a script that runs longer has failed",
        set: |script, value, _| {
            script.timeout = time(value)?;
            Ok(())
        },
    },
    Field {
        name: "fall",
        form: "2",
        default: "1",
        does: "failures in a row until the address goes",
        set: |script, value, _| {
            script.fall = u32::try_from(number(value, "a count", 1, 1000)?).unwrap_or(1);
            Ok(())
        },
    },
    Field {
        name: "rise",
        form: "2",
        default: "1",
        does: "successes in a row until the node may hold it again",
        set: |script, value, _| {
            script.rise = u32::try_from(number(value, "a count", 1, 1000)?).unwrap_or(1);
            Ok(())
        },
    },
    run_as::user("user that runs the script"),
    run_as::group("group that runs the script"),
    run_as::secure(),
    weighs::weight(
        "-20",
        "0: failure means that the node cannot hold the address",
        "added to the priority while the script passes, or taken from it while it fails",
    ),
    weighs::reverse("a run that fails counts as passed, and one that passes as failed"),
    Field {
        name: "init_fail",
        form: "true",
        default: "false",
        does: "counts as failed until it has passed",
        set: |script, value, _| {
            script.starts_failed = boolean(value)?;
            Ok(())
        },
    },
];
