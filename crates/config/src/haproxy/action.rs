//! Rules: what is done with a connection, a request or an answer, and when.

use std::sync::Arc;

use base::Span;

use super::expr::{Condition, Expr, Matcher, Regular, Variable};
use super::{LogFormat, LogPart, Proxy};

/// One line: an action and its condition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    pub action: Action,
    /// None: always.
    pub condition: Option<Condition>,
    /// As it is written, without the family.
    pub text: String,
    pub span: Span,
}

/// What a rule does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// No further rule of this kind.
    Allow,
    /// The connection ends without a word.
    Reject,
    Deny(Reply),
    Return(Reply),
    Redirect(Redirect),
    DeleteHeader(String),
    /// Every header whose name matches.
    DeleteHeaders(Matcher),
    SetHeader(String, Format),
    AddHeader(String, Format),
    /// The whole line where it matches, or each value between commas.
    ReplaceHeader {
        name: String,
        from: Regular,
        to: Format,
        full: bool,
    },
    SetMethod(Format),
    SetTarget(Part, Format),
    ReplaceTarget(Part, Regular, Format),
    SetStatus(u16, Option<String>),
    SetVariable(Variable, Expr),
    SetVariableFormat(Variable, Format),
    UnsetVariable(Variable),
}

/// Of a request's target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    Whole,
    Path,
    PathQuery,
    Query,
}

/// An answer of the proxy's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub content_type: Option<String>,
    /// None: the page of the status (`deny`), or nothing (`return`).
    pub body: Option<Format>,
    pub headers: Vec<(String, Format)>,
}

/// `redirect`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redirect {
    pub kind: RedirectKind,
    pub to: Format,
    pub code: u16,
    pub drop_query: bool,
    pub append_slash: bool,
    /// Nothing happens where the place is empty.
    pub ignore_empty: bool,
    /// Lines of `Set-Cookie`.
    pub cookie: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RedirectKind {
    Location,
    Prefix,
    Scheme,
}

/// `use_backend`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Switch {
    pub to: Target,
    pub condition: Option<Condition>,
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Name(String),
    /// Its name is made for each request; where there is none of it, the default counts.
    Made(Format),
}

/// A text with values in it (HAProxy's manual, 8.2.4).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Format {
    pub parts: Vec<LogPart>,
}

impl Format {
    /// The text, if there is no value in it.
    #[must_use]
    pub fn constant(&self) -> Option<String> {
        let part = |part: &LogPart| match part {
            LogPart::Text(text) => Some(text.clone()),
            LogPart::Blank => Some(" ".to_owned()),
            LogPart::Value(..) | LogPart::Expr(..) => None,
        };
        self.parts.iter().map(part).collect()
    }

    fn each(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        for part in &mut self.parts {
            if let LogPart::Expr(expr, _) = part {
                visit(expr);
            }
        }
    }
}

impl Reply {
    fn each(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        for (_, value) in &mut self.headers {
            value.each(visit);
        }
        if let Some(body) = &mut self.body {
            body.each(visit);
        }
    }
}

impl Action {
    fn each(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Self::Deny(reply) | Self::Return(reply) => reply.each(visit),
            Self::Redirect(redirect) => redirect.to.each(visit),
            Self::SetHeader(_, format)
            | Self::AddHeader(_, format)
            | Self::ReplaceHeader { to: format, .. }
            | Self::SetMethod(format)
            | Self::SetTarget(_, format)
            | Self::ReplaceTarget(_, _, format)
            | Self::SetVariableFormat(_, format) => format.each(visit),
            Self::SetVariable(_, expr) => visit(expr),
            Self::Allow
            | Self::Reject
            | Self::DeleteHeader(_)
            | Self::DeleteHeaders(_)
            | Self::SetStatus(..)
            | Self::UnsetVariable(_) => {}
        }
    }
}

impl Proxy {
    /// Whether there may be an expression in it.
    pub(crate) fn has_expressions(&self) -> bool {
        let rules = [
            &self.connection_rules,
            &self.content_rules,
            &self.request_rules,
            &self.redirects,
            &self.response_rules,
        ];
        let is_custom = matches!(self.log_format, LogFormat::Custom(_));
        is_custom
            || !self.acls.is_empty()
            || !self.switches.is_empty()
            || rules.iter().any(|r| !r.is_empty())
    }

    /// Goes through all expressions of rules, conditions and choices.
    pub(crate) fn each_expression(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        for test in self.acls.iter_mut().flat_map(|acl| &mut acl.tests) {
            visit(&mut test.expr);
        }
        let rules = [
            &mut self.connection_rules,
            &mut self.content_rules,
            &mut self.request_rules,
            &mut self.redirects,
            &mut self.response_rules,
        ];
        for rule in rules.into_iter().flatten() {
            rule.action.each(visit);
        }
        if let LogFormat::Custom(line) = &mut self.log_format {
            for part in &mut Arc::make_mut(line).parts {
                if let LogPart::Expr(expr, _) = part {
                    visit(expr);
                }
            }
        }
        for switch in &mut self.switches {
            if let Target::Made(format) = &mut switch.to {
                format.each(visit);
            }
        }
    }
}
