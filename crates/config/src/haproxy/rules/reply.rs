//! `deny` and `return`: answers of the proxy's own.

use super::super::action::{Action, Format, Reply};
use super::super::{LogPart, format};
use super::Draft;
use crate::diagnostic::Diagnostic;
use crate::line::Line;

pub(super) const SYNTAX: &str =
    "[status <code>] [content-type <type>] [string|lf-string|file <body>] [hdr <name> <format>]";

pub(super) const DENIES: &str = "[deny_status|status <code>] [the same as return]";

/// A page out of a file is no larger (bytes): HAProxy's buffer.
const MAX_PAGE: usize = 16 * 1024;

/// Codes that HAProxy has an answer for.
const CODES: [u16; 19] =
    [200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504];

pub(super) fn denies(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut reply = read(rule, line, rule.denied_with, &["deny_status", "status"])?;
    if reply.body.is_none() && reply.headers.is_empty() && !CODES.contains(&reply.status) {
        let message = format!("there is no answer with status {}; it will be 500", reply.status);
        line.report(Diagnostic::warning(rule.word.span, "bad-value", message));
        reply.status = 500;
    }
    rule.action = Some(Action::Deny(reply));
    Ok(())
}

pub(super) fn returns(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let reply = read(rule, line, 200, &["status"])?;
    rule.action = Some(Action::Return(reply));
    Ok(())
}

fn read(
    rule: &Draft,
    line: &mut Line<'_>,
    status: u16,
    codes: &[&str],
) -> Result<Reply, Diagnostic> {
    let mut reply = Reply { status, content_type: None, body: None, headers: Vec::new() };
    while let Some(word) = line.peek().cloned() {
        match word.text.as_str() {
            "if" | "unless" => break,
            code if codes.contains(&code) => {
                line.take();
                let code = line.number("a status", 200, 599)?;
                reply.status = u16::try_from(code).unwrap_or(status);
            }
            "content-type" => {
                line.take();
                reply.content_type = Some(line.expect("a type like text/plain")?.text);
            }
            "string" => {
                line.take();
                reply.body = Some(plain(line.expect("a text")?.text));
            }
            "lf-string" => {
                line.take();
                reply.body = Some(format::text(&line.expect("a text")?, rule.moment)?);
            }
            "file" => {
                line.take();
                let path = line.expect("a file")?;
                let wrong = |why: String| {
                    let message = format!("cannot read `{}`: {why}", path.text);
                    Diagnostic::error(path.span, "bad-value", message)
                };
                let is_file = std::fs::metadata(&path.text).map(|about| about.is_file());
                if !is_file.map_err(|error| wrong(error.to_string()))? {
                    return Err(wrong("it is no file".to_owned()));
                }
                let text = std::fs::read_to_string(&path.text);
                let text = text.map_err(|error| wrong(error.to_string()))?;
                if text.len() > MAX_PAGE {
                    return Err(wrong(format!("it has more than {MAX_PAGE} bytes")));
                }
                reply.body = Some(plain(text));
            }
            "hdr" => {
                line.take();
                let name = line.expect("the name of a header")?.text;
                let value = format::text(&line.expect("the value of the header")?, rule.moment)?;
                reply.headers.push((name, value));
            }
            "default-errorfiles" | "errorfile" | "errorfiles" | "lf-file" => {
                let what = format!("`{}` of `{}`", word.text, rule.word.text);
                return Err(Diagnostic::not_yet(word.span, what));
            }
            _ => return Err(super::expr::expected_condition(line)),
        }
    }
    if reply.body.is_some() && reply.content_type.is_none() {
        let message = "a body needs a type";
        let finding = Diagnostic::error(rule.word.span, "missing-word", message);
        return Err(finding.help("add `content-type text/plain`"));
    }
    Ok(reply)
}

fn plain(text: String) -> Format {
    Format { parts: vec![LogPart::Text(text)] }
}
