//! HAProxy's language: the proxies.

pub use format::{LogLine, LogMoment, LogPart, LogStyle, LogValue};
pub use model::{
    Action, Balance, Bind, BindAddress, Check, CheckKind, Condition, ForwardFor, Global, Haproxy,
    HeaderRule, HttpCheck, LogFormat, LogTarget, LogTo, Mode, MysqlCheck, Proxy, ProxyKind,
    Redispatch, Server, StatsPage, StatsSocket, Timeouts,
};

pub(crate) use bind::KEYWORDS as BIND_OPTIONS;
pub(crate) use fetches::NAMES as FETCHES;
pub(crate) use global::KEYWORDS as GLOBAL_KEYWORDS;
pub(crate) use later::NOT_YET as CHECKED_ONLY;
pub(crate) use parse::PROXY_TABLES;
pub(crate) use rules::{
    AFTER as AFTER_ACTIONS, REQUEST as REQUEST_ACTIONS, RESPONSE as RESPONSE_ACTIONS,
};
pub(crate) use sections::SECTIONS;
pub(crate) use server::KEYWORDS as SERVER_OPTIONS;

use crate::{Diagnostic, Source};

mod address;
mod bind;
mod checks;
pub mod condition;
mod fetches;
mod format;
mod global;
mod inherit;
mod later;
mod lines;
mod log;
mod model;
mod parse;
mod proxy;
mod rules;
mod sections;
mod server;
mod tls;
mod verify;
mod words;

/// Reads files as one configuration; the first has number `first_file` in findings.
///
/// What could be read is returned even when there are errors.
#[must_use]
pub fn parse(sources: &[Source], first_file: usize) -> (Haproxy, Vec<Diagnostic>) {
    let numbered: Vec<(usize, &Source)> =
        sources.iter().enumerate().map(|(at, source)| (first_file + at, source)).collect();
    parse_numbered(&numbered)
}

pub(crate) fn parse_numbered(sources: &[(usize, &Source)]) -> (Haproxy, Vec<Diagnostic>) {
    parse::parse(sources)
}

/// Whether `word` opens a section of this language.
pub(crate) fn is_section(word: &str) -> bool {
    matches!(word, "global" | "defaults" | "listen" | "frontend" | "backend")
        || SECTIONS.iter().any(|section| section.name == word)
}
