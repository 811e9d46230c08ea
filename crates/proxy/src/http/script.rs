//! Rules one after the other: what they ask, what they change in a head, where they end.
//!
//! Only where a file has rules that cannot be folded ([`super::rules`]): all others pay nothing.

use std::borrow::Cow;

use config::haproxy::expr::{Acl, Side};
use config::haproxy::{Action, Format, Part, Proxy, Redirect, RedirectKind, Reply, Rule};

use super::head::Response;
use super::reply::reason;
use crate::expr::{self, Message, Scene, compare, path_query};

/// Where rules end before the last one.
#[derive(Debug)]
pub(crate) enum End {
    /// The connection closes without a word.
    Reject,
    /// The page of this status.
    Page(u16),
    /// `deny` with an answer of its own.
    Denied(Answer),
    /// `return` and `redirect`.
    Answer(Answer),
    /// A head could not be changed as a rule wants it.
    Failed,
}

/// An answer of a rule.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    /// Lines with their ends.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

enum Next {
    Rule,
    Last,
    End(End),
}

/// Whether these rules of a proxy can be worked out before any request: constants, and no condition
/// but whether the client speaks TLS, which is settled.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few actions can be folded, whatever else there is"
)]
pub(crate) fn is_folded(rules: &[Rule], acls: &[Acl]) -> bool {
    rules.iter().all(|rule| {
        let is_constant = match &rule.action {
            Action::DeleteHeader(_) => true,
            Action::SetHeader(_, value) | Action::AddHeader(_, value) => value.constant().is_some(),
            Action::Deny(reply) => is_page(reply),
            _ => false,
        };
        let condition = rule.condition.as_ref();
        is_constant && condition.is_none_or(|condition| settled(condition, acls).is_some())
    })
}

/// The status of a refusal with HAProxy's own page.
pub(crate) fn is_page(reply: &Reply) -> bool {
    reply.body.is_none() && reply.headers.is_empty() && reply.content_type.is_none()
}

/// What a condition comes to for a client without TLS, if that is all it asks.
pub(crate) fn settled(condition: &config::haproxy::expr::Condition, acls: &[Acl]) -> Option<bool> {
    use config::haproxy::expr::{Fetch, Matcher};
    let mut holds = false;
    for all in &condition.any {
        let mut every = true;
        for term in all {
            let acl = acls.get(term.acl)?;
            let value = match acl.tests.as_slice() {
                [test] if test.expr.fetch == Fetch::Tls && test.matcher == Matcher::Bool => {
                    test.expr.converters.is_empty().then_some(false)?
                }
                _ => acl.constant()?,
            };
            every &= value != term.negated;
        }
        holds |= every;
    }
    Some(holds != condition.unless)
}

/// Whether anything of a proxy's requests is decided by request.
pub(crate) fn needs_requests(proxy: &Proxy) -> bool {
    !proxy.content_rules.is_empty()
        || !proxy.redirects.is_empty()
        || !proxy.switches.is_empty()
        || !proxy.monitor_fail.is_empty()
        || !is_folded(&proxy.request_rules, &proxy.acls)
}

pub(crate) fn needs_responses(proxy: &Proxy) -> bool {
    !is_folded(&proxy.response_rules, &proxy.acls)
}

/// What of an answer rules may change, in bytes.
pub(crate) fn weight(head: &Response<'_, '_>) -> u64 {
    let headers: usize = head.headers.iter().map(|one| one.name.len() + one.value.len()).sum();
    (headers + head.reason.len()) as u64
}

/// Runs rules of one proxy. None: to the end, or to one that allows.
pub(crate) fn run<'b>(
    rules: &'b [Rule],
    acls: &[Acl],
    message: &mut Message<'b>,
    side: Side,
    around: &Scene<'_>,
) -> Option<End> {
    for rule in rules {
        let scene = look(message, side, around);
        if !expr::holds(rule.condition.as_ref(), acls, &scene) {
            continue;
        }
        match one(rule, message, side, around) {
            Next::Rule => {}
            Next::Last => return None,
            Next::End(end) => return Some(end),
        }
    }
    None
}

/// What a rule says to a session of TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    Goes,
    Accepts,
    Rejects,
}

/// Does what can be done where there is no message.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what needs a message is refused there when the configuration is read"
)]
pub(crate) fn of_connection(action: &Action, scene: &Scene<'_>) -> Then {
    match action {
        Action::Allow => return Then::Accepts,
        Action::Reject => return Then::Rejects,
        Action::SetVariable(variable, what) => {
            let value = expr::evaluate(what, scene).map(expr::Sample::into_value);
            if let Some(value) = value {
                scene.variables.borrow_mut().set(variable, value);
            }
        }
        Action::UnsetVariable(variable) => scene.variables.borrow_mut().unset(variable),
        _ => {}
    }
    Then::Goes
}

/// The scene with this message in it.
pub(crate) fn look<'s>(message: &'s Message<'_>, side: Side, around: &Scene<'s>) -> Scene<'s> {
    match side {
        Side::Request => Scene { request: Some(message), ..*around },
        Side::Response => {
            Scene { response: Some(message), status: Some(message.status), ..*around }
        }
    }
}

fn one<'b>(rule: &'b Rule, message: &mut Message<'b>, side: Side, around: &Scene<'_>) -> Next {
    let scene = look(message, side, around);
    let text = |format: &Format| {
        let mut out = Vec::new();
        expr::write(format, &scene, &mut out);
        out
    };
    match &rule.action {
        Action::Allow => return Next::Last,
        Action::Reject => return Next::End(End::Reject),
        Action::Deny(reply) if is_page(reply) => return Next::End(End::Page(reply.status)),
        Action::Deny(reply) => return Next::End(End::Denied(answer(reply, &scene))),
        Action::Return(reply) => return Next::End(End::Answer(answer(reply, &scene))),
        Action::Redirect(redirect) => {
            return match elsewhere(redirect, message, &text(&redirect.to)) {
                Some(answer) => Next::End(End::Answer(answer)),
                None => Next::Rule,
            };
        }
        Action::SetVariable(variable, what) => {
            let value = expr::evaluate(what, &scene).map(expr::Sample::into_value);
            if let Some(value) = value {
                scene.variables.borrow_mut().set(variable, value);
            }
        }
        Action::SetVariableFormat(variable, format) => {
            let value = config::haproxy::expr::Value::Str(text(format));
            scene.variables.borrow_mut().set(variable, value);
        }
        Action::UnsetVariable(variable) => scene.variables.borrow_mut().unset(variable),
        Action::SetHeader(name, format) => {
            let value = text(format);
            message.delete(name);
            message.add(name, value);
        }
        Action::AddHeader(name, format) => {
            let value = text(format);
            message.add(name, value);
        }
        Action::DeleteHeader(name) => message.delete(name),
        Action::DeleteHeaders(matcher) => message.retain(|name| !compare::names(matcher, name)),
        Action::ReplaceHeader { name, from, to, full } => {
            let to = text(to);
            replace_header(message, name, from, &to, *full);
        }
        Action::SetMethod(_)
        | Action::SetTarget(..)
        | Action::ReplaceTarget(..)
        | Action::SetStatus(..) => return start_line(&rule.action, message, side, around),
    }
    Next::Rule
}

/// Changes of method, target and status.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of actions is done here, whatever else there is elsewhere"
)]
fn start_line<'b>(
    action: &'b Action,
    message: &mut Message<'b>,
    side: Side,
    around: &Scene<'_>,
) -> Next {
    let scene = look(message, side, around);
    let text = |format: &Format| {
        let mut out = Vec::new();
        expr::write(format, &scene, &mut out);
        out
    };
    match action {
        Action::SetMethod(format) => match word(text(format)) {
            Some(verb) if !verb.is_empty() => message.verb = Cow::Owned(verb),
            _ => return Next::End(End::Failed),
        },
        Action::SetTarget(part, format) => {
            let target = with_part(&message.target, *part, &text(format));
            return set_target(message, target);
        }
        Action::ReplaceTarget(part, from, to) => {
            let old = match part {
                Part::Whole | Part::Query => Some(&*message.target),
                Part::Path => message.path(),
                Part::PathQuery => message.path_query(),
            };
            let mut new = Vec::new();
            let found = old.and_then(|old| expr::expand(from, old.as_bytes(), &text(to), &mut new));
            if found.is_some() {
                let target = with_part(&message.target, *part, &new);
                return set_target(message, target);
            }
        }
        Action::SetStatus(status, reason_of) => {
            message.status = *status;
            message.reason = match reason_of {
                Some(text) => Cow::Borrowed(text.as_str()),
                None => Cow::Borrowed(reason(*status)),
            };
        }
        _ => {}
    }
    Next::Rule
}

fn set_target(message: &mut Message<'_>, target: Vec<u8>) -> Next {
    match word(target) {
        Some(target) if !target.is_empty() => {
            message.target = Cow::Owned(target);
            Next::Rule
        }
        _ => Next::End(End::Failed),
    }
}

/// Printable ASCII without blanks: anything else in a first line is read by some as its end.
fn word(bytes: Vec<u8>) -> Option<String> {
    let is_word = bytes.iter().all(u8::is_ascii_graphic);
    String::from_utf8(bytes).ok().filter(|_| is_word)
}

/// A target with another path, query string, or both.
fn with_part(target: &str, part: Part, new: &[u8]) -> Vec<u8> {
    let path_query = path_query(target).unwrap_or(target);
    let before = &target[..target.len() - path_query.len()];
    let (path, query) = match path_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_query, None),
    };
    let mut out = Vec::with_capacity(target.len() + new.len());
    if part != Part::Whole {
        out.extend_from_slice(before.as_bytes());
    }
    match part {
        Part::Whole | Part::PathQuery => out.extend_from_slice(new),
        Part::Path => {
            out.extend_from_slice(new);
            if let Some(query) = query {
                out.push(b'?');
                out.extend_from_slice(query.as_bytes());
            }
        }
        Part::Query => {
            out.extend_from_slice(path.as_bytes());
            if query.is_some() || !new.is_empty() {
                out.push(b'?');
            }
            out.extend_from_slice(new);
        }
    }
    out
}

fn replace_header(
    message: &mut Message<'_>,
    name: &str,
    from: &config::haproxy::expr::Regular,
    to: &[u8],
    full: bool,
) {
    for field in message.named(name) {
        let mut out = Vec::new();
        if full {
            if expr::expand(from, &field.value, to, &mut out).is_some() {
                field.value = Cow::Owned(out);
            }
            continue;
        }
        let mut changed = false;
        for (at, value) in expr::values(&field.value).enumerate() {
            if at > 0 {
                out.extend_from_slice(b", ");
            }
            match expr::expand(from, value, to, &mut out) {
                Some(()) => changed = true,
                None => out.extend_from_slice(value),
            }
        }
        if changed {
            field.value = Cow::Owned(out);
        }
    }
}

fn answer(reply: &Reply, scene: &Scene<'_>) -> Answer {
    let (mut head, mut body) = (Vec::new(), Vec::new());
    if let Some(format) = &reply.body {
        // A page has line ends.
        match format.constant() {
            Some(text) => body.extend_from_slice(text.as_bytes()),
            None => expr::write(format, scene, &mut body),
        }
    }
    for (name, format) in &reply.headers {
        let mut value = Vec::new();
        expr::write(format, scene, &mut value);
        line(&name.to_ascii_lowercase(), &value, &mut head);
    }
    line("content-length", body.len().to_string().as_bytes(), &mut head);
    if let Some(kind) = reply.content_type.as_ref().filter(|_| !body.is_empty()) {
        line("content-type", kind.as_bytes(), &mut head);
    }
    Answer { status: reply.status, reason: reason(reply.status), head, body }
}

fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `redirect`: none if there is nowhere to go (`ignore-empty`).
fn elsewhere(redirect: &Redirect, message: &Message<'_>, to: &[u8]) -> Option<Answer> {
    if to.is_empty() && redirect.ignore_empty {
        return None;
    }
    let mut place = to.to_vec();
    if redirect.kind != RedirectKind::Location {
        if redirect.kind == RedirectKind::Scheme {
            place.extend_from_slice(b"://");
            place.extend_from_slice(message.lines("host").next().unwrap_or_default());
        } else if to == b"/" {
            place.clear();
        }
        let path = message.path_query().unwrap_or("/");
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        expr::encoded(path.as_bytes(), &mut place);
        if redirect.append_slash && !path.ends_with('/') {
            place.push(b'/');
        }
        if let Some(query) = query.filter(|_| !redirect.drop_query) {
            place.push(b'?');
            expr::encoded(query.as_bytes(), &mut place);
        }
    }
    let mut head = Vec::new();
    line("content-length", b"0", &mut head);
    line("location", &place, &mut head);
    if matches!(redirect.code, 302 | 303 | 307) {
        line("cache-control", b"no-cache", &mut head);
    }
    if let Some(cookie) = &redirect.cookie {
        line("set-cookie", cookie.as_bytes(), &mut head);
    }
    let reason = match redirect.code {
        302 => "Found",
        code => reason(code),
    };
    Some(Answer { status: redirect.code, reason, head, body: Vec::new() })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn parts_of_a_target_are_exchanged_where_they_are() {
        for (target, part, new, wanted) in [
            ("/a?b", Part::Path, "/x", "/x?b"),
            ("http://h/a?b", Part::Path, "/x", "http://h/x?b"),
            ("/a?b", Part::Query, "c", "/a?c"),
            ("/a", Part::Query, "c", "/a?c"),
            ("/a?b", Part::Query, "", "/a?"),
            ("/a", Part::Query, "", "/a"),
            ("/a?b", Part::PathQuery, "/x?y", "/x?y"),
            ("http://h/a?b", Part::PathQuery, "/x", "http://h/x"),
            ("/a?b", Part::Whole, "*", "*"),
        ] {
            let made = with_part(target, part, new.as_bytes());
            assert_eq!(String::from_utf8_lossy(&made), wanted, "{target} {part:?} {new}");
        }
    }

    #[test]
    fn what_would_end_a_first_line_early_is_no_target() {
        assert_eq!(word(b"/a b".to_vec()), None);
        assert_eq!(word(b"/a\r\nx:".to_vec()), None);
        assert_eq!(word("/ä".into()), None);
        assert_eq!(word(b"/a%20b".to_vec()).as_deref(), Some("/a%20b"));
    }
}
