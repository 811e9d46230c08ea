//! Values of TOML with their places, read by the rows of a table.

use std::time::Duration;

use base::Span;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;
use crate::duration::{self, Unit};
use crate::guess;

pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// Reads one value into `T`.
pub(crate) type Set<T> = fn(&mut T, &Value<'_>, &mut Vec<Diagnostic>) -> Result<(), Diagnostic>;

/// One row: a key, what its value looks like, what happens without it.
#[derive(Debug)]
pub(crate) struct Field<T: 'static> {
    pub(crate) name: &'static str,
    /// As an example.
    pub(crate) form: &'static str,
    /// [`REQUIRED`] or what holds without it.
    pub(crate) default: &'static str,
    pub(crate) does: &'static str,
    pub(crate) set: Set<T>,
}

pub(crate) const REQUIRED: &str = "required";

/// Reads every key of `table`, all mistakes at once.
pub(crate) fn fields<T>(
    rows: &[Field<T>],
    section: &str,
    at: Span,
    table: &DeTable<'_>,
    target: &mut T,
    findings: &mut Vec<Diagnostic>,
) {
    for (key, value) in in_order(table) {
        let Some(row) = rows.iter().find(|row| row.name == key.0) else {
            findings.push(unknown(key, section, rows.iter().map(|row| row.name)));
            continue;
        };
        if let Err(finding) = (row.set)(target, value, findings) {
            findings.push(finding.help_if_none(|| format!("write `{} = {}`", row.name, row.form)));
        }
    }
    for row in rows.iter().filter(|row| row.default == REQUIRED) {
        if !table.iter().any(|(key, _)| key.get_ref() == row.name) {
            let message = format!("{section} has no `{}`", row.name);
            let finding = Diagnostic::error(at, "missing-key", message);
            findings.push(finding.help(format!("add `{} = {}`", row.name, row.form)));
        }
    }
}

/// Keys in the order of the file.
pub(crate) fn in_order<'t, 'a>(table: &'t DeTable<'a>) -> Vec<((&'t str, Span), &'t Value<'a>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| ((key.get_ref().as_ref(), Span::from(key.span())), value))
        .collect();
    entries.sort_by_key(|((_, span), _)| span.start);
    entries
}

pub(crate) fn unknown<'a>(
    (key, span): (&str, Span),
    section: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let message = format!("`{key}` is no key of {section}");
    let finding = Diagnostic::error(span, "unknown-keyword", message);
    guess::suggest(finding, key, known)
}

pub(crate) fn span(value: &Value<'_>) -> Span {
    Span::from(value.span())
}

pub(crate) fn wrong(value: &Value<'_>, what: &str) -> Diagnostic {
    let found = match value.get_ref() {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    Diagnostic::error(span(value), "bad-value", format!("expected {what}, found {found}"))
}

pub(crate) fn text(value: &Value<'_>, what: &str) -> Result<String, Diagnostic> {
    let text = value.get_ref().as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| wrong(value, what))
}

pub(crate) fn parsed<T: std::str::FromStr>(value: &Value<'_>, what: &str) -> Result<T, Diagnostic> {
    text(value, what)?.parse().map_err(|_| wrong(value, what))
}

pub(crate) fn number(
    value: &Value<'_>,
    what: &str,
    least: u64,
    most: u64,
) -> Result<u64, Diagnostic> {
    let what = format!("{what} from {least} to {most}");
    let DeValue::Integer(integer) = value.get_ref() else { return Err(wrong(value, &what)) };
    u64::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| wrong(value, &what))
}

pub(crate) fn boolean(value: &Value<'_>) -> Result<bool, Diagnostic> {
    value.get_ref().as_bool().ok_or_else(|| wrong(value, "true or false"))
}

/// `"2s"`, `"500ms"`.
pub(crate) fn time(value: &Value<'_>) -> Result<Duration, Diagnostic> {
    let what = "a time like \"2s\" or \"500ms\"";
    duration::parse(&text(value, what)?, Unit::Milliseconds)
        .ok()
        .filter(|(time, rest)| !time.is_zero() && rest.is_empty())
        .map(|(time, _)| time)
        .ok_or_else(|| wrong(value, what))
}

/// A text or a list of texts, each with its place.
pub(crate) fn texts(value: &Value<'_>, what: &str) -> Result<Vec<(String, Span)>, Diagnostic> {
    match value.get_ref().as_array() {
        Some(list) => list.iter().map(|item| Ok((text(item, what)?, span(item)))).collect(),
        None => Ok(vec![(text(value, what)?, span(value))]),
    }
}
