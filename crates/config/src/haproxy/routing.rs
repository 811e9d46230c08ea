//! Lines that say where a connection or a request goes: ACLs, `use_backend`, `redirect`,
//! `monitor fail`, rules for connections.

use super::action::{Switch, Target};
use super::expr::{self, Moment};
use super::proxy::{Draft, Parsed};
use super::rules::{self, Family};
use super::{ProxyKind, format};
use crate::NOT_RUN_YET;
use crate::diagnostic::Diagnostic;
use crate::keyword::places::{FRONT_ONLY, NAMED, SERVING};
use crate::keyword::{Keyword, Parse, later, now};
use crate::line::Line;

pub(crate) const KEYWORDS: &[Keyword<Draft>] = &[
    of(
        "acl",
        "<name> <criterion> [<flags>] [<pattern> ...]",
        "a name for what conditions ask",
        acl,
    )
    .at(SERVING | NAMED),
    of("monitor fail", "if|unless <condition>", "`monitor-uri` answers 503", monitor_fail)
        .at(FRONT_ONLY),
    of("redirect", "... [if|unless <condition>]", "sends the client elsewhere", redirect)
        .at(SERVING),
    of("tcp-request connection", RULE, "rule for connections, when they are accepted", connection)
        .at(FRONT_ONLY | NAMED),
    of("tcp-request content", RULE, "rule for requests and sessions, before all others", content)
        .at(SERVING | NAMED),
    of(
        "use_backend",
        "<name> [if|unless <condition>]",
        "the backend in place of `default_backend`; the name may have `%[...]` in it",
        use_backend,
    )
    .at(FRONT_ONLY),
];

const RULE: &str = "<action> [if|unless <condition>]";

const fn of(
    name: &'static str,
    syntax: &'static str,
    does: &'static str,
    parse: Parse<Draft>,
) -> Keyword<Draft> {
    now(name, syntax, "", does, parse)
}

/// Actions of `tcp-request connection`.
pub(crate) const CONNECTION: &[Keyword<rules::Draft>] = &[
    now("accept", "", "", "no further rule", rules::allow),
    now("reject", "", "", "the connection ends without a word", rules::reject),
    later("expect-netscaler-cip"),
    later("expect-proxy"),
    later("sc-inc-gpc"),
    later("sc-inc-gpc0"),
    later("sc-inc-gpc1"),
    later("sc-set-gpt"),
    later("sc-set-gpt0"),
    later("set-dst"),
    later("set-dst-port"),
    later("set-mark"),
    later("set-src"),
    later("set-src-port"),
    later("set-tos"),
    later("set-var"),
    later("set-var-fmt"),
    later("silent-drop"),
    later("track-sc0"),
    later("track-sc1"),
    later("track-sc2"),
    later("unset-var"),
];

/// Actions of `tcp-request content`.
pub(crate) const CONTENT: &[Keyword<rules::Draft>] = &[
    now("accept", "", "", "no further rule", rules::allow),
    now("reject", "", "", "the connection ends without a word", rules::reject),
    now("set-var", "(<variable>) <expression>", "", "keeps it in a variable", rules::set_variable),
    now("unset-var", "(<variable>)", "", "forgets a variable", rules::unset_variable),
    later("capture"),
    later("do-resolve"),
    later("ot-group"),
    later("sc-inc-gpc"),
    later("sc-inc-gpc0"),
    later("sc-inc-gpc1"),
    later("sc-set-gpt"),
    later("sc-set-gpt0"),
    later("send-spoe-group"),
    later("set-dst"),
    later("set-dst-port"),
    later("set-log-level"),
    later("set-mark"),
    later("set-nice"),
    later("set-priority-class"),
    later("set-priority-offset"),
    later("set-src"),
    later("set-src-port"),
    later("set-tos"),
    later("set-var-fmt"),
    later("silent-drop"),
    later("switch-mode"),
    later("track-sc0"),
    later("track-sc1"),
    later("track-sc2"),
    later("use-service"),
];

const REDIRECT: &[Keyword<rules::Draft>] =
    &[now("redirect", "", "", "sends the client elsewhere", rules::redirect)];

/// What is not run yet is told and left out.
fn unless_later(read: Parsed, line: &mut Line<'_>) -> Parsed {
    match read {
        Err(finding) if finding.code == NOT_RUN_YET => {
            line.report(finding);
            line.rest();
            Ok(())
        }
        read => read,
    }
}

fn acl(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let read = expr::acl(&mut draft.proxy.acls, line);
    unless_later(read, line)
}

/// Without a condition it is what `default_backend` would be, and comes before that.
fn use_backend(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let name = line.expect("the name of a backend")?;
    let is_made = name.text.contains("%[");
    let made = if is_made { Some(format::text(&name, Moment::Request)) } else { None };
    let to = match made {
        None => {
            draft.use_backends.push(name.clone());
            Some(Target::Name(name.text.clone()))
        }
        Some(Ok(format)) => Some(Target::Made(format)),
        Some(Err(finding)) if finding.code == NOT_RUN_YET => {
            line.report(finding);
            None
        }
        Some(Err(finding)) => return Err(finding),
    };
    let condition = rules::condition(&mut draft.proxy.acls, Moment::Request, line)?;
    let (Some(to), Some(condition)) = (to, condition) else { return Ok(()) };
    if draft.always_backend.is_some() {
        // Nothing gets past the one that always holds.
        return Ok(());
    }
    match (to, condition) {
        (Target::Name(name), None) => draft.always_backend = Some(name),
        (to, condition) => {
            let (text, span) = (name.text, line.whole());
            draft.proxy.switches.push(Switch { to, condition, text, span });
        }
    }
    Ok(())
}

fn monitor_fail(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    if !matches!(line.look(0), Some("if" | "unless")) {
        let word = line.expect("`if` and a condition")?;
        return Err(word.wrong("`if` and a condition"));
    }
    let whole = line.whole();
    match rules::condition(&mut draft.proxy.acls, Moment::Request, line)? {
        Some(Some(condition)) => draft.proxy.monitor_fail.push(condition),
        Some(None) => line.report(Diagnostic::not_yet(whole, "`monitor fail` that always holds")),
        None => {}
    }
    Ok(())
}

fn redirect(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let span = line.whole();
    draft.http_rule_at.get_or_insert(span);
    // The keyword is the action.
    line.back();
    let family =
        Family { name: "redirect", table: REDIRECT, moment: Moment::Request, denied_with: 403 };
    let rule = rules::parse(family, &mut draft.proxy.acls, span, line)?;
    draft.proxy.redirects.extend(rule);
    Ok(())
}

fn connection(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let family = Family {
        name: "tcp-request connection",
        table: CONNECTION,
        moment: Moment::Connection,
        denied_with: 403,
    };
    let rule = rules::parse(family, &mut draft.proxy.acls, line.whole(), line)?;
    draft.proxy.connection_rules.extend(rule);
    Ok(())
}

fn content(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    if draft.proxy.kind == ProxyKind::Backend {
        line.report(Diagnostic::not_yet(line.whole(), "`tcp-request content` in a backend"));
    }
    let family = Family {
        name: "tcp-request content",
        table: CONTENT,
        moment: Moment::Request,
        denied_with: 403,
    };
    let rule = rules::parse(family, &mut draft.proxy.acls, line.whole(), line)?;
    draft.proxy.content_rules.extend(rule);
    Ok(())
}
