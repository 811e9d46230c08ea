//! `http-request` and `http-response` rules with their conditions.

use base::Span;

use super::action::{Action, Format, Part, Rule};
use super::expr::{self, Acl, Moment, Regular};
use super::format;
use crate::NOT_RUN_YET;
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::{Keyword, Run, checked, later, now};
use crate::line::{Line, Word};

pub(crate) use target::redirect;

mod reply;
mod target;

/// What reading one rule needs and yields.
#[derive(Debug)]
pub(crate) struct Draft {
    /// 403 for requests, 502 for responses.
    pub(crate) denied_with: u16,
    pub(crate) moment: Moment,
    /// The action as it is written, with what stands in parentheses.
    word: Word,
    pub(crate) action: Option<Action>,
}

/// Actions of `http-request` that we run, and those HAProxy has beyond them.
pub(crate) const REQUEST: &[Keyword<Draft>] = &[
    now("add-header", "<name> <value>", "", "adds a header", add_header),
    now("del-header", "<name>", "", "removes all headers of that name", delete_header),
    now("deny", reply::DENIES, "403", "answers with an error", reply::denies),
    now("set-header", "<name> <value>", "", "replaces the header, or adds it", set_header),
    later("add-acl"),
    now("allow", "", "", "no further rule", allow),
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
    now("redirect", target::SYNTAX, "", "sends the client elsewhere", redirect),
    now("reject", "", "", "the connection ends without a word", reject),
    now(
        "replace-header",
        "<name> <regex> <format>",
        "",
        "a header anew where it matches",
        |r, l| replace(r, l, true),
    ),
    now("replace-path", "<regex> <format>", "", "the path anew where it matches", |r, l| {
        target::replace(r, l, Part::Path)
    }),
    now("replace-pathq", "<regex> <format>", "", "the same with the query string", |r, l| {
        target::replace(r, l, Part::PathQuery)
    }),
    now("replace-uri", "<regex> <format>", "", "the target anew where it matches", |r, l| {
        target::replace(r, l, Part::Whole)
    }),
    now(
        "replace-value",
        "<name> <regex> <format>",
        "",
        "the same of values between commas",
        |r, l| replace(r, l, false),
    ),
    now("return", reply::SYNTAX, "", "answers", reply::returns),
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
    now("set-method", "<format>", "", "another method", |r, l| {
        r.action = Some(Action::SetMethod(value(r, l, "a method")?));
        Ok(())
    }),
    later("set-nice"),
    now("set-path", "<format>", "", "another path", |r, l| target::set(r, l, Part::Path)),
    now("set-pathq", "<format>", "", "another path and query string", |r, l| {
        target::set(r, l, Part::PathQuery)
    }),
    later("set-priority-class"),
    later("set-priority-offset"),
    now("set-query", "<format>", "", "another query string", |r, l| target::set(r, l, Part::Query)),
    later("set-src"),
    later("set-src-port"),
    later("set-timeout"),
    later("set-tos"),
    now("set-uri", "<format>", "", "another target", |r, l| target::set(r, l, Part::Whole)),
    now("set-var", "(<variable>) <expression>", "", "keeps it in a variable", set_variable),
    now("set-var-fmt", "(<variable>) <format>", "", "keeps a text in a variable", set_format),
    later("silent-drop"),
    later("strict-mode"),
    later("tarpit"),
    later("track-sc0"),
    later("track-sc1"),
    later("track-sc2"),
    now("unset-var", "(<variable>)", "", "forgets a variable", unset_variable),
    checked("use-service", "prometheus-exporter|lua.<name>", service),
    later("wait-for-body"),
    later("wait-for-handshake"),
];

/// The same for `http-response`.
pub(crate) const RESPONSE: &[Keyword<Draft>] = &[
    now("add-header", "<name> <value>", "", "adds a header", add_header),
    now("del-header", "<name>", "", "removes all headers of that name", delete_header),
    now("deny", reply::DENIES, "502", "answers with an error", reply::denies),
    now("set-header", "<name> <value>", "", "replaces the header, or adds it", set_header),
    later("add-acl"),
    now("allow", "", "", "no further rule", allow),
    later("cache-store"),
    later("capture"),
    later("del-acl"),
    later("del-map"),
    later("ot-group"),
    later("redirect"),
    now(
        "replace-header",
        "<name> <regex> <format>",
        "",
        "a header anew where it matches",
        |r, l| replace(r, l, true),
    ),
    now(
        "replace-value",
        "<name> <regex> <format>",
        "",
        "the same of values between commas",
        |r, l| replace(r, l, false),
    ),
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
    now("set-status", "<status> [reason <text>]", "", "another status", set_status),
    later("set-tos"),
    now("set-var", "(<variable>) <expression>", "", "keeps it in a variable", set_variable),
    now("set-var-fmt", "(<variable>) <format>", "", "keeps a text in a variable", set_format),
    later("silent-drop"),
    later("strict-mode"),
    later("track-sc0"),
    later("track-sc1"),
    later("track-sc2"),
    now("unset-var", "(<variable>)", "", "forgets a variable", unset_variable),
    later("wait-for-body"),
];

/// `http-after-response` has actions of its own, none of which we run.
pub(crate) const AFTER: &[Keyword<Draft>] = &[
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
fn service(_: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let word = line.expect("the name of a service")?;
    if word.text.starts_with("lua.") || word.text == PROMETHEUS {
        return Ok(());
    }
    let finding = word.wrong("the name of a service");
    Err(guess::suggest(finding, &word.text, [PROMETHEUS]))
}

const PROMETHEUS: &str = "prometheus-exporter";

pub(crate) fn allow(rule: &mut Draft, _: &mut Line<'_>) -> Result<(), Diagnostic> {
    rule.action = Some(Action::Allow);
    Ok(())
}

pub(crate) fn reject(rule: &mut Draft, _: &mut Line<'_>) -> Result<(), Diagnostic> {
    rule.action = Some(Action::Reject);
    Ok(())
}

fn delete_header(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let name = line.expect("the name of a header")?;
    if !line.accept("-m") {
        rule.action = Some(Action::DeleteHeader(name.text));
        return Ok(());
    }
    let method = line.expect("str, beg, end, sub or reg")?;
    let matcher = expr::names(&name, &method)?;
    rule.action = Some(Action::DeleteHeaders(matcher));
    Ok(())
}

fn set_header(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let name = line.expect("the name of a header")?.text;
    rule.action = Some(Action::SetHeader(name, value(rule, line, "the value of the header")?));
    Ok(())
}

fn add_header(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let name = line.expect("the name of a header")?.text;
    rule.action = Some(Action::AddHeader(name, value(rule, line, "the value of the header")?));
    Ok(())
}

/// A text with values in it.
fn value(rule: &Draft, line: &mut Line<'_>, what: &str) -> Result<Format, Diagnostic> {
    format::text(&line.expect(what)?, rule.moment)
}

fn regular(line: &mut Line<'_>) -> Result<Regular, Diagnostic> {
    let word = line.expect("a regular expression")?;
    expr::regular(&word)
}

fn replace(rule: &mut Draft, line: &mut Line<'_>, full: bool) -> Result<(), Diagnostic> {
    let name = line.expect("the name of a header")?.text;
    let from = regular(line)?;
    let to = value(rule, line, "what it becomes")?;
    rule.action = Some(Action::ReplaceHeader { name, from, to, full });
    Ok(())
}

fn set_status(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let status = line.number("a status", 100, 999)?;
    let reason = match line.accept("reason") {
        true => Some(line.expect("the reason")?.text),
        false => None,
    };
    rule.action = Some(Action::SetStatus(u16::try_from(status).unwrap_or(200), reason));
    Ok(())
}

/// The `(NAME)` of an action's word.
fn variable(rule: &Draft) -> Result<expr::Variable, Diagnostic> {
    let word = &rule.word;
    let inside = word.text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let Some(name) = inside else {
        let message = format!("`{}` names no variable", word.text);
        let help = format!("write it like `{}(txn.name)`", word.text);
        return Err(Diagnostic::error(word.span, "bad-value", message).help(help));
    };
    expr::variable_at(name, word.span)
}

pub(crate) fn set_variable(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let variable = variable(rule)?;
    let word = line.expect("what the variable becomes")?;
    let expr = expr::read(&word.text, word.span, rule.moment)?;
    rule.action = Some(Action::SetVariable(variable, expr));
    Ok(())
}

fn set_format(rule: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let variable = variable(rule)?;
    rule.action = Some(Action::SetVariableFormat(variable, value(rule, line, "a text")?));
    Ok(())
}

pub(crate) fn unset_variable(rule: &mut Draft, _: &mut Line<'_>) -> Result<(), Diagnostic> {
    rule.action = Some(Action::UnsetVariable(variable(rule)?));
    Ok(())
}

/// Of which rules a line is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) table: &'static [Keyword<Draft>],
    pub(crate) moment: Moment,
    pub(crate) denied_with: u16,
}

/// Reads the action and the condition of one rule. `None` if we do not run it yet.
pub(crate) fn parse(
    family: Family,
    acls: &mut Vec<Acl>,
    span: Span,
    line: &mut Line<'_>,
) -> Result<Option<Rule>, Diagnostic> {
    let Family { name: of, table, moment, denied_with } = family;
    let word = line.expect(&format!("an action of `{of}`"))?;
    let name = word.text.split('(').next().unwrap_or_default();
    let Some(row) = table.iter().find(|row| row.name == name) else {
        let message = format!("`{name}` is no action of `{of}`");
        let finding = Diagnostic::error(word.span, "unknown-keyword", message);
        return Err(guess::near(finding, name, table.iter().map(|row| row.name)));
    };
    let mut rule = Draft { denied_with, moment, word: word.clone(), action: None };
    let read = match row.run {
        Run::Now(parse) => parse(&mut rule, line),
        Run::Checked(parse) => {
            line.report(Diagnostic::not_yet(word.span, format!("`{of} {name}`")));
            parse(&mut rule, line)
        }
        Run::Flag(_) | Run::Time(_) | Run::Idle | Run::Later(_) | Run::Gone(_) => {
            Err(Diagnostic::not_yet(word.span, format!("`{of} {name}`")))
        }
    };
    unless_later(read, line)?;
    let text: Vec<&str> = line.taken().skip(1).collect();
    let text = text.join(" ");
    let condition = condition(acls, moment, line)?;
    Ok(match (rule.action, condition) {
        (Some(action), Some(condition)) => Some(Rule { action, condition, text, span }),
        _ => None,
    })
}

/// Tells what is not run yet, and goes on behind it: the condition may have mistakes of its own.
fn unless_later(read: Result<(), Diagnostic>, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    match read {
        Err(finding) if finding.code == NOT_RUN_YET => {
            line.report(finding);
            while !matches!(line.look(0), None | Some("if" | "unless")) {
                line.take();
            }
            Ok(())
        }
        read => read,
    }
}

/// `[if|unless CONDITION]`: `Some(None)` always holds, `None` is not run yet.
pub(crate) fn condition(
    acls: &mut Vec<Acl>,
    moment: Moment,
    line: &mut Line<'_>,
) -> Result<Option<Option<expr::Condition>>, Diagnostic> {
    match expr::condition(acls, moment, line) {
        Ok(condition) => Ok(Some(condition)),
        Err(finding) if finding.code == NOT_RUN_YET => {
            line.report(finding);
            line.rest();
            Ok(None)
        }
        Err(finding) => Err(finding),
    }
}
