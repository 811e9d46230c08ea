//! A text to an expression.

use base::Span;

use super::arguments::{self, Call, Wrong};
use super::convert::{CONVERTERS, OTHERS, map, maps};
use super::fetch::{FETCHES, Row};
use super::pattern::{Method, Patterns};
use super::{Converter, Expr, Fetch, Kind, Life, Matcher, Moment, Regular, Variable, hash};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::haproxy::fetches;
use crate::line::Word;

/// Reads a whole text as an expression that is run at `moment`.
///
/// What the language has and we do not run comes back as a note, like a mistake.
pub(crate) fn read(text: &str, span: Span, moment: Moment) -> Result<Expr, Diagnostic> {
    let (name, rest) = name(text);
    let Some(row) = FETCHES.iter().find(|row| row.name == name) else {
        return Err(unknown_fetch(name, span));
    };
    if row.moments & moment as u8 == 0 {
        let message = format!("`{name}` has nothing to look at {}", moment.name());
        return Err(Diagnostic::error(span, "bad-value", message));
    }
    let (fetch, kind, rest) = fetch(row, name, rest, moment).map_err(|wrong| wrong.at(span))?;
    finish(text, fetch, kind, rest, span)
}

/// The fetch with its arguments, and what follows it.
pub(super) fn fetch<'t>(
    row: &Row,
    name: &str,
    rest: &'t str,
    moment: Moment,
) -> Result<(Fetch, Kind, &'t str), Wrong> {
    let (given, rest) = arguments::split(rest)?;
    if row.arguments.is_empty() && !given.is_empty() {
        return Err(format!("`{name}` takes nothing in parentheses").into());
    }
    Ok(((row.make)(&Call { name, arguments: &given }, moment)?, row.kind, rest))
}

/// Converters up to the end of the text.
pub(super) fn finish(
    text: &str,
    fetch: Fetch,
    mut kind: Kind,
    mut rest: &str,
    span: Span,
) -> Result<Expr, Diagnostic> {
    let mut converters = Vec::new();
    while !rest.is_empty() {
        let Some(behind) = rest.strip_prefix(',') else {
            let message = format!("`{rest}` is no converter: one follows a comma");
            return Err(Diagnostic::error(span, "bad-value", message));
        };
        let (name, behind) = name(behind);
        let (takes, gives, converter, behind) = converter(name, behind, span)?;
        if !kind.becomes(takes) {
            let message = format!("`{name}` takes a {} and gets a {}", takes.name(), kind.name());
            return Err(Diagnostic::error(span, "bad-value", message));
        }
        kind = if gives == Kind::Any { kind } else { gives };
        converters.push(converter);
        rest = behind;
    }
    Ok(Expr { fetch, converters, kind, text: text.to_owned() })
}

type Read<'t> = (Kind, Kind, Converter, &'t str);

fn converter<'t>(name: &str, rest: &'t str, span: Span) -> Result<Read<'t>, Diagnostic> {
    let (given, rest) = arguments::split(rest).map_err(|told| Wrong::from(told).at(span))?;
    let call = Call { name, arguments: &given };
    if let Some(read) = map(&call) {
        let (takes, gives, converter) = read.map_err(|wrong| wrong.at(span))?;
        return Ok((takes, gives, converter, rest));
    }
    if let Some(row) = CONVERTERS.iter().find(|row| row.name == name) {
        if row.arguments.is_empty() && !given.is_empty() {
            let message = format!("`{name}` takes nothing in parentheses");
            return Err(Diagnostic::error(span, "bad-value", message));
        }
        let converter = (row.make)(&call).map_err(|wrong| wrong.at(span))?;
        return Ok((row.takes, row.gives, converter, rest));
    }
    if OTHERS.split_ascii_whitespace().any(|other| other == name) {
        return Err(Diagnostic::not_yet(span, format!("the converter `{name}`")));
    }
    let message = format!("`{name}` is no converter");
    let finding = Diagnostic::error(span, "unknown-keyword", message);
    let maps = maps();
    let known = CONVERTERS.iter().map(|row| row.name).chain(OTHERS.split_ascii_whitespace());
    Err(guess::near(finding, name, known.chain(maps.iter().map(String::as_str))))
}

/// The name at the head of a text, and what follows it.
pub(super) fn name(text: &str) -> (&str, &str) {
    let is_part = |char: char| char.is_ascii_alphanumeric() || "._-+:".contains(char);
    text.split_at(text.find(|char| !is_part(char)).unwrap_or(text.len()))
}

pub(super) fn unknown_fetch(name: &str, span: Span) -> Diagnostic {
    let mut names = fetches::NAMES.split_ascii_whitespace();
    if names.any(|known| known == name) {
        return Diagnostic::not_yet(span, format!("`{name}` in an expression"));
    }
    let message = format!("`{name}` is nothing that can be fetched");
    let finding = Diagnostic::error(span, "unknown-keyword", message);
    guess::near(finding, name, fetches::NAMES.split_ascii_whitespace())
}

/// `txn.NAME`.
pub(crate) fn variable(text: &str) -> Result<Variable, Wrong> {
    let (scope, name) = text.split_once('.').unwrap_or((text, ""));
    let life = match scope {
        "proc" => Life::Process,
        "sess" => Life::Session,
        "txn" => Life::Transaction,
        "req" => Life::Request,
        "res" => Life::Response,
        "check" => return Err(Wrong::NotYet("a variable of a check".to_owned())),
        _ => {
            let lives = "proc, sess, txn, req or res";
            return Err(format!("`{text}` is no variable: its name begins with {lives}").into());
        }
    };
    if life == Life::Process {
        return Err(Wrong::NotYet(format!("`{text}`, a variable of the process,")));
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_part) {
        return Err(format!("`{text}` is no variable: letters, digits, `_` and `.` are").into());
    }
    Ok(Variable { life, id: hash(text.as_bytes()), name: text.to_owned() })
}

/// The same, with its place.
pub(crate) fn variable_at(text: &str, span: Span) -> Result<Variable, Diagnostic> {
    variable(text).map_err(|wrong| wrong.at(span))
}

/// A word as a regular expression.
pub(crate) fn regular(word: &Word) -> Result<Regular, Diagnostic> {
    Regular::new(&word.text, false).map_err(|wrong| wrong.at(word.span))
}

/// Names that `-m METHOD` compares with one pattern.
pub(crate) fn names(pattern: &Word, method: &Word) -> Result<Matcher, Diagnostic> {
    let known = ["str", "beg", "end", "sub", "reg"];
    let method = match Method::named(&method.text) {
        Some(how) if known.contains(&method.text.as_str()) => how,
        _ => return Err(method.wrong("str, beg, end, sub or reg")),
    };
    // Names of headers are the same in small letters and in capitals.
    let mut patterns = Patterns::new(method, method != Method::Regular);
    patterns.push(&pattern.text).map_err(|wrong| wrong.at(pattern.span))?;
    Ok(patterns.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Expr, String> {
        read(text, Span::default(), Moment::Request).map_err(|finding| finding.message)
    }

    #[test]
    fn an_expression_is_a_fetch_and_converters() {
        let read = one("req.hdr(Host),lower,field(1,:)").unwrap();
        let Fetch::Header(header) = &read.fetch else { panic!("{read:?}") };
        assert_eq!((header.name.as_deref(), header.occurrence), (Some("host"), 0));
        assert_eq!(read.converters.len(), 2);
        assert_eq!(read.kind, Kind::Str);
        assert_eq!(one("src,ipmask(24)").unwrap().kind, Kind::Ip);
        assert_eq!(one("var(txn.a),add(1)").unwrap().kind, Kind::Int);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let told = |text| one(text).unwrap_err();
        assert_eq!(told("pth"), "`pth` is nothing that can be fetched");
        assert_eq!(told("path,lowr"), "`lowr` is no converter");
        assert_eq!(told("path lower"), "` lower` is no converter: one follows a comma");
        assert_eq!(told("ssl_fc,ipmask(24)"), "`ipmask` takes a addr and gets a bool");
        assert_eq!(told("status"), "`status` has nothing to look at in rules for requests");
        assert_eq!(told("path,field(0,a)"), "`field` counts from 1, or from -1 for the last");
        assert_eq!(told("path(x)"), "`path` takes nothing in parentheses");
        assert_eq!(
            told("var(a.b)"),
            "`a.b` is no variable: its name begins with proc, sess, txn, req or res"
        );
        assert!(told("path,map(/no/such/file)").starts_with("cannot read `/no/such/file`: "));
    }

    #[test]
    fn what_is_not_run_yet_is_told() {
        for text in ["path,sha1", "src_conn_cnt(x)", "path,map_reg(/x,y),in_table(z)"] {
            let told = read(text, Span::default(), Moment::Request).unwrap_err();
            let is_note = told.code == crate::NOT_RUN_YET;
            assert!(is_note || text.contains("map_reg"), "{told:?}");
        }
    }
}
