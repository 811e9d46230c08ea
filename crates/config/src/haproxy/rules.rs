//! `http-request` and `http-response` rules with their conditions.

use base::Span;

use super::{Action, Condition, HeaderRule};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::{Keyword, Run, checked, later, now};
use crate::line::Line;

/// Names that every proxy may use in conditions (HAProxy's manual, 7.4).
const PREDEFINED: [&str; 22] = [
    "FALSE",
    "HTTP",
    "HTTP_1.0",
    "HTTP_1.1",
    "HTTP_2.0",
    "HTTP_3.0",
    "HTTP_CONTENT",
    "HTTP_URL_ABS",
    "HTTP_URL_SLASH",
    "HTTP_URL_STAR",
    "LOCALHOST",
    "METH_CONNECT",
    "METH_DELETE",
    "METH_GET",
    "METH_HEAD",
    "METH_OPTIONS",
    "METH_POST",
    "METH_PUT",
    "METH_TRACE",
    "RDP_COOKIE",
    "REQ_CONTENT",
    "TRUE",
];

/// What reading one rule needs and yields.
#[derive(Debug)]
pub(crate) struct Rule {
    /// 403 for requests, 502 for responses.
    pub(crate) denied_with: u16,
    pub(crate) action: Option<Action>,
}

/// Actions of `http-request` that we run, and those HAProxy has beyond them.
pub(crate) const REQUEST: &[Keyword<Rule>] = &[
    now("add-header", "<name> <value>", "", "adds a header", add_header),
    now("del-header", "<name>", "", "removes all headers of that name", delete_header),
    now("deny", "[deny_status <code>]", "403", "answers with an error", deny),
    now("set-header", "<name> <value>", "", "replaces the header, or adds it", set_header),
    later("add-acl"),
    later("allow"),
    later("auth"),
    later("cache-use"),
    later("capture"),
    later("del-acl"),
    later("del-map"),
    later("disable-l7-retry"),
    later("do-resolve"),
    later("early-hint"),
    later("normalize-uri"),
    later("ot-group"),
    later("redirect"),
    later("reject"),
    later("replace-header"),
    later("replace-path"),
    later("replace-pathq"),
    later("replace-uri"),
    later("replace-value"),
    later("return"),
    later("sc-inc-gpc"),
    later("sc-inc-gpc0"),
    later("sc-inc-gpc1"),
    later("sc-set-gpt"),
    later("sc-set-gpt0"),
    later("send-spoe-group"),
    later("set-dst"),
    later("set-dst-port"),
    later("set-log-level"),
    later("set-map"),
    later("set-mark"),
    later("set-method"),
    later("set-nice"),
    later("set-path"),
    later("set-pathq"),
    later("set-priority-class"),
    later("set-priority-offset"),
    later("set-query"),
    later("set-src"),
    later("set-src-port"),
    later("set-timeout"),
    later("set-tos"),
    later("set-uri"),
    later("set-var"),
    later("set-var-fmt"),
    later("silent-drop"),
    later("strict-mode"),
    later("tarpit"),
    later("track-sc0"),
    later("track-sc1"),
    later("track-sc2"),
    later("unset-var"),
    checked("use-service", "prometheus-exporter|lua.<name>", service),
    later("wait-for-body"),
    later("wait-for-handshake"),
];

/// The same for `http-response`.
pub(crate) const RESPONSE: &[Keyword<Rule>] = &[
    now("add-header", "<name> <value>", "", "adds a header", add_header),
    now("del-header", "<name>", "", "removes all headers of that name", delete_header),
    now("deny", "[deny_status <code>]", "502", "answers with an error", deny),
    now("set-header", "<name> <value>", "", "replaces the header, or adds it", set_header),
    later("add-acl"),
    later("allow"),
    later("cache-store"),
    later("capture"),
    later("del-acl"),
    later("del-map"),
    later("ot-group"),
    later("redirect"),
    later("replace-header"),
    later("replace-value"),
    later("return"),
    later("sc-inc-gpc"),
    later("sc-inc-gpc0"),
    later("sc-inc-gpc1"),
    later("sc-set-gpt"),
    later("sc-set-gpt0"),
    later("send-spoe-group"),
    later("set-log-level"),
    later("set-map"),
    later("set-mark"),
    later("set-nice"),
    later("set-status"),
    later("set-tos"),
    later("set-var"),
    later("set-var-fmt"),
    later("silent-drop"),
    later("strict-mode"),
    later("track-sc0"),
    later("track-sc1"),
    later("track-sc2"),
    later("unset-var"),
    later("wait-for-body"),
];

/// `http-after-response` has actions of its own, none of which we run.
pub(crate) const AFTER: &[Keyword<Rule>] = &[
    later("add-header"),
    later("allow"),
    later("capture"),
    later("del-header"),
    later("ot-group"),
    later("replace-header"),
    later("replace-value"),
    later("set-header"),
    later("set-status"),
    later("set-var"),
    later("set-var-fmt"),
    later("strict-mode"),
    later("unset-var"),
];

/// Services that answer by themselves: one is built in, the others come with Lua files.
fn service(_: &mut Rule, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let word = line.expect("the name of a service")?;
    if word.text.starts_with("lua.") || word.text == PROMETHEUS {
        return Ok(());
    }
    let finding = word.wrong("the name of a service");
    Err(guess::suggest(finding, &word.text, [PROMETHEUS]))
}

const PROMETHEUS: &str = "prometheus-exporter";

fn delete_header(rule: &mut Rule, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let name = line.expect("the name of a header")?;
    if line.look(0) == Some("-m") {
        line.report(Diagnostic::not_yet(line.span(), "`-m` of `del-header`"));
        line.take();
        line.expect("str, beg, end, sub or reg")?;
        return Ok(());
    }
    rule.action = Some(Action::DeleteHeader(name.text));
    Ok(())
}

fn set_header(rule: &mut Rule, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    rule.action = header(line)?.map(|(name, value)| Action::SetHeader(name, value));
    Ok(())
}

fn add_header(rule: &mut Rule, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    rule.action = header(line)?.map(|(name, value)| Action::AddHeader(name, value));
    Ok(())
}

fn header(line: &mut Line<'_>) -> Result<Option<(String, String)>, Diagnostic> {
    let name = line.expect("the name of a header")?;
    let value = line.expect("the value of the header")?;
    let unescaped = value.text.replace("%%", "");
    if unescaped.contains('%') {
        line.report(Diagnostic::not_yet(value.span, "a header made of a log format"));
        return Ok(None);
    }
    Ok(Some((name.text, value.text.replace("%%", "%"))))
}

/// Codes that HAProxy has an answer for.
const CODES: [u16; 19] =
    [200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504];

fn deny(rule: &mut Rule, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut status = rule.denied_with;
    while let Some(word) = line.peek().cloned() {
        match word.text.as_str() {
            "if" | "unless" => break,
            "deny_status" | "status" => {
                line.take();
                let code = line.number("a status", 200, 599)?;
                status = u16::try_from(code).unwrap_or(rule.denied_with);
                if !CODES.contains(&status) {
                    let message =
                        format!("there is no answer with status {status}; it will be 500");
                    line.report(Diagnostic::warning(word.span, "bad-value", message));
                    status = 500;
                }
            }
            "content-type" | "default-errorfiles" | "errorfile" | "errorfiles" | "file"
            | "lf-file" | "string" | "lf-string" | "hdr" => {
                line.report(Diagnostic::not_yet(word.span, format!("`{}` of `deny`", word.text)));
                while !matches!(line.look(0), None | Some("if" | "unless")) {
                    line.take();
                }
                return Ok(());
            }
            _ => return Err(expected_condition(line)),
        }
    }
    rule.action = Some(Action::Deny { status });
    Ok(())
}

/// Reads the action and the condition of one rule. `None` if we do not run it yet.
pub(crate) fn parse(
    family: &str,
    table: &[Keyword<Rule>],
    denied_with: u16,
    acls: &[String],
    span: Span,
    line: &mut Line<'_>,
) -> Result<Option<HeaderRule>, Diagnostic> {
    let word = line.expect(&format!("an action of `{family}`"))?;
    let name = word.text.split('(').next().unwrap_or_default();
    let Some(row) = table.iter().find(|row| row.name == name) else {
        let message = format!("`{name}` is no action of `{family}`");
        let finding = Diagnostic::error(word.span, "unknown-keyword", message);
        return Err(guess::near(finding, name, table.iter().map(|row| row.name)));
    };
    let mut rule = Rule { denied_with, action: None };
    match row.run {
        Run::Now(parse) => parse(&mut rule, line)?,
        Run::Checked(parse) => {
            line.report(Diagnostic::not_yet(word.span, format!("`{family} {name}`")));
            parse(&mut rule, line)?;
        }
        Run::Flag(_) | Run::Time(_) | Run::Idle | Run::Later(_) | Run::Gone(_) => {
            line.report(Diagnostic::not_yet(word.span, format!("`{family} {name}`")));
            while !matches!(line.look(0), None | Some("if" | "unless")) {
                line.take();
            }
        }
    }
    let condition = condition(acls, line)?;
    Ok(match (rule.action, condition) {
        (Some(action), Some(condition)) => Some(HeaderRule { action, condition, span }),
        _ => None,
    })
}

/// `[if|unless CONDITION]`: `Some(None)` always holds, `None` is not run yet.
pub(crate) fn condition(
    acls: &[String],
    line: &mut Line<'_>,
) -> Result<Option<Option<Condition>>, Diagnostic> {
    let Some(word) = line.peek().cloned() else { return Ok(Some(None)) };
    let unless = match word.text.as_str() {
        "if" => false,
        "unless" => true,
        _ => return Err(expected_condition(line)),
    };
    line.take();
    let start = line.span();
    let terms = terms(acls, line)?;
    let one = match terms.as_slice() {
        [Term { negated, text }] => Some((*negated, text.as_str())),
        _ => None,
    };
    match one {
        Some((negated, "{ ssl_fc }")) => Ok(Some(Some(if negated == unless {
            Condition::SslFrontend
        } else {
            Condition::NotSslFrontend
        }))),
        Some((negated, "TRUE")) if negated == unless => Ok(Some(None)),
        None if terms.is_empty() => Ok(Some(None)),
        _ => {
            line.report(Diagnostic::not_yet(start, "a condition other than `{ ssl_fc }`"));
            Ok(None)
        }
    }
}

struct Term {
    negated: bool,
    /// The name of an ACL, or `{ ... }`.
    text: String,
}

/// All terms of a condition; `or` and `||` count as terms, as only single ones are run.
fn terms(acls: &[String], line: &mut Line<'_>) -> Result<Vec<Term>, Diagnostic> {
    let mut found = Vec::new();
    while let Some(word) = line.take() {
        let bare = word.text.trim_start_matches('!');
        let mut negated = (word.text.len() - bare.len()) % 2 == 1;
        match bare {
            "" => {
                negated ^= line.accept("!");
                if negated && line.look(0) != Some("{") {
                    continue;
                }
            }
            "or" | "OR" | "||" | "|" => found.push(Term { negated, text: "or".to_owned() }),
            "{" => found.push(Term { negated, text: expression(&word.span, line)? }),
            _ => {
                if !acls.iter().any(|acl| acl == bare) && !PREDEFINED.contains(&bare) {
                    let message = format!("there is no ACL `{bare}` above this line");
                    let finding = Diagnostic::error(word.span, "unknown-acl", message);
                    let known = acls.iter().map(String::as_str).chain(PREDEFINED);
                    let finding = guess::near(finding, bare, known);
                    return Err(finding.help_if_none(|| format!("define it with `acl {bare} ...`")));
                }
                found.push(Term { negated, text: bare.to_owned() });
            }
        }
    }
    Ok(found)
}

/// `{ ssl_fc }` up to its closing brace.
fn expression(open: &Span, line: &mut Line<'_>) -> Result<String, Diagnostic> {
    let mut text = String::from("{");
    if let Some(first) = line.take() {
        super::fetches::check(&first)?;
        text.push(' ');
        text.push_str(&first.text);
        let has_flags = line.look(0).is_some_and(|word| word.starts_with('-'));
        super::fetches::flags(line)?;
        text.push_str(if has_flags { " -" } else { "" });
    }
    while let Some(word) = line.take() {
        text.push(' ');
        text.push_str(&word.text);
        if word.text == "}" {
            return Ok(text);
        }
    }
    Err(Diagnostic::error(*open, "bad-condition", "this `{` has no `}`")
        .help("braces stand between blanks: `if { ssl_fc }`"))
}

fn expected_condition(line: &Line<'_>) -> Diagnostic {
    let word = line.look(0).unwrap_or_default();
    Diagnostic::error(
        line.span(),
        "extra-word",
        format!("expected `if` or `unless` and a condition here, found `{word}`"),
    )
    .help("a value with blanks is written in quotes")
}
