//! Where a request goes: its target, and other places that the client is sent to.

use super::super::action::{Action, Part, Redirect, RedirectKind};
use super::super::format;
use super::{Draft, regular, value};
use crate::diagnostic::Diagnostic;
use crate::line::Line;

pub(super) const SYNTAX: &str =
    "location|prefix|scheme <format> [code <code>] [drop-query] [append-slash] [ignore-empty]";

/// Codes of `redirect` (HAProxy's manual, 4.2).
const CODES: [u16; 5] = [301, 302, 303, 307, 308];

pub(super) fn set(rule: &mut Draft, line: &mut Line<'_>, part: Part) -> Result<(), Diagnostic> {
    rule.action = Some(Action::SetTarget(part, value(rule, line, "what it becomes")?));
    Ok(())
}

pub(super) fn replace(rule: &mut Draft, line: &mut Line<'_>, part: Part) -> Result<(), Diagnostic> {
    let from = regular(line)?;
    let to = value(rule, line, "what it becomes")?;
    rule.action = Some(Action::ReplaceTarget(part, from, to));
    Ok(())
}

/// `redirect location|prefix|scheme VALUE [code N] [options]`
pub(crate) fn redirect(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut target = None;
    let (mut code, mut cookie) = (302, None);
    let (mut drop_query, mut append_slash, mut ignore_empty) = (false, false, false);
    while let Some(word) = line.peek().cloned() {
        let kind = match word.text.as_str() {
            "if" | "unless" => break,
            "location" => Some(RedirectKind::Location),
            "prefix" => Some(RedirectKind::Prefix),
            "scheme" => Some(RedirectKind::Scheme),
            "set-cookie" | "clear-cookie" | "code" | "drop-query" | "append-slash"
            | "ignore-empty" => None,
            _ => return Err(word.wrong("location, prefix, scheme, code, if or unless")),
        };
        line.take();
        if let Some(kind) = kind {
            let place = line.expect(&format!("the value of `{}`", word.text))?;
            target = Some((kind, format::text(&place, rule.moment)?));
            continue;
        }
        match word.text.as_str() {
            "set-cookie" => cookie = Some(format!("{}; path=/;", line.expect("the cookie")?.text)),
            "clear-cookie" => {
                let name = line.expect("the cookie")?.text;
                cookie = Some(format!("{name}; path=/; Max-Age=0;"));
            }
            "code" => {
                let word = line.expect("a status")?;
                let known = word.text.parse().ok().filter(|code| CODES.contains(code));
                code = known.ok_or_else(|| word.wrong("301, 302, 303, 307 or 308"))?;
            }
            "drop-query" => drop_query = true,
            "append-slash" => append_slash = true,
            _ => ignore_empty = true,
        }
    }
    let Some((kind, to)) = target else {
        return line
            .expect("location, prefix or scheme")
            .and_then(|word| Err(word.wrong("location, prefix or scheme")));
    };
    rule.action = Some(Action::Redirect(Redirect {
        kind,
        to,
        code,
        drop_query,
        append_slash,
        ignore_empty,
        cookie,
    }));
    Ok(())
}
