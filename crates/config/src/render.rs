//! Findings as the operator reads them: place, line, the word underlined, what to write instead.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use crate::secret::{self, HIDDEN};
use crate::{Diagnostic, Severity, Source};

/// A place in a file, counted from 1 as editors do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    pub line: usize,
    /// In characters, not bytes.
    pub column: usize,
}

/// Where byte `offset` of `text` is.
#[must_use]
pub fn place(text: &str, offset: usize) -> Place {
    let offset = floor(text, offset);
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    Place {
        line: text[..start].matches('\n').count() + 1,
        column: text[start..offset].chars().count() + 1,
    }
}

/// All findings, one after the other, with a line that counts them. Passwords are not shown: this goes to logs, too.
#[must_use]
pub fn render(sources: &[Source], findings: &[Diagnostic]) -> String {
    let mut out = String::new();
    let mut secrets: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
    for finding in findings {
        let Some(source) = sources.get(finding.file) else { continue };
        let secrets = secrets.entry(finding.file).or_insert_with(|| secret::places(&source.text));
        one(&mut out, source, secrets, finding);
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let (n, name) = (count(severity), severity.name());
        (n, format!("{n} {name}{}", if n == 1 { "" } else { "s" }))
    });
    let told: Vec<String> =
        counts.into_iter().filter(|(n, _)| *n > 0).map(|(_, text)| text).collect();
    if !told.is_empty() {
        let _ = writeln!(out, "{}", told.join(", "));
    }
    out
}

fn one(out: &mut String, source: &Source, secrets: &[Range<usize>], finding: &Diagnostic) {
    let text = &source.text;
    let start = floor(text, finding.span.start);
    let end = floor(text, finding.span.end.max(finding.span.start));
    let at = place(text, start);
    let line_start = text[..start].rfind('\n').map_or(0, |found| found + 1);
    let line_end = text[line_start..].find('\n').map_or(text.len(), |found| line_start + found);
    // Of a line longer than a screen, what is around the mistake.
    let shown_start = line_start.max(floor(text, start.saturating_sub(MAX_SHOWN)));
    let shown_end = line_end.min(floor(text, start + MAX_SHOWN));
    let end = end.min(shown_end).max(start);
    let shown = Shown::of(text, secrets, shown_start..shown_end);
    let line = shown.text.trim_end_matches('\r');
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    let (from, to) = (shown.at(start, false), shown.at(end, true));
    let before = width(&shown.text[..from]);
    let marked = width(&shown.text[from..to.max(from)]).max(1);
    let (severity, code) = (finding.severity.name(), finding.code);
    let _ = writeln!(out, "{severity}[{code}]: {}", finding.message);
    let _ = writeln!(out, "{margin}--> {}:{}:{}", printable(&source.path), at.line, at.column);
    let _ = writeln!(out, "{margin} |");
    let _ = writeln!(out, "{number} | {}", printable(line));
    let _ = writeln!(out, "{margin} | {}{}", " ".repeat(before), "^".repeat(marked));
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "{margin} = help: {help}");
    }
    out.push('\n');
}

/// A part of a line as it is shown, without the secret in it.
struct Shown {
    text: String,
    /// Where that part begins in the file.
    start: usize,
    /// The secret's place in the part; at most one stands in a line.
    hidden: Option<Range<usize>>,
}

impl Shown {
    fn of(text: &str, secrets: &[Range<usize>], part: Range<usize>) -> Self {
        let cut = |secret: &Range<usize>| {
            let (start, end) = (secret.start.max(part.start), secret.end.min(part.end));
            (start < end).then(|| start - part.start..end - part.start)
        };
        let from = secrets.partition_point(|secret| secret.end <= part.start);
        let hidden = secrets.get(from).and_then(cut);
        let mut shown = text[part.clone()].to_owned();
        if let Some(hidden) = hidden.clone() {
            shown.replace_range(hidden, HIDDEN);
        }
        Self { text: shown, start: part.start, hidden }
    }

    /// Where byte `offset` of the file is in what is shown; within the secret its begin, or its end.
    fn at(&self, offset: usize, is_end: bool) -> usize {
        let offset = offset - self.start;
        match &self.hidden {
            Some(hidden) if offset >= hidden.end => offset - hidden.len() + HIDDEN.len(),
            Some(hidden) if offset > hidden.start => {
                hidden.start + if is_end { HIDDEN.len() } else { 0 }
            }
            _ => offset,
        }
    }
}

/// The character boundary at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Bytes of a line that are shown before a mistake, and from its start on.
const MAX_SHOWN: usize = 400;

/// A tab is shown as this many blanks, so that the underline fits whatever the terminal does.
const TAB: usize = 4;

fn printable(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '\t' => shown.push_str(&" ".repeat(TAB)),
            _ if character.is_control() => shown.push('\u{fffd}'),
            _ => shown.push(character),
        }
    }
    shown
}

/// Columns of a terminal that `text` takes.
fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// East Asian wide characters take two columns, marks that combine take none (Unicode annex 11).
fn columns(character: char) -> usize {
    match u32::from(character) {
        0x09 => TAB,
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe4f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use base::Span;
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_underline_stands_below_the_word_behind_wide_characters() {
        let text = "maxconn 40\n\tmode 连接 htpp # 数\n".to_owned();
        let start = text.find("htpp").unwrap();
        let source = Source { path: "lb.cfg".to_owned(), text };
        let finding = Diagnostic::error(Span::new(start, start + 4), "bad-value", "no such mode")
            .help("write `http`");
        expect![[r#"
            error[bad-value]: no such mode
             --> lb.cfg:2:10
              |
            2 |     mode 连接 htpp # 数
              |               ^^^^
              = help: write `http`

            1 error
        "#]]
        .assert_eq(&render(&[source], &[finding]));
    }

    #[test]
    fn of_a_long_line_only_the_place_is_shown() {
        let text = format!("{} htpp {}", "é".repeat(100_000), "b".repeat(100_000));
        let start = text.find("htpp").unwrap();
        let source = Source { path: "lb.cfg".to_owned(), text };
        let finding = Diagnostic::error(Span::new(start, start + 4), "bad-value", "no such mode");
        let shown = render(&[source], &[finding]);
        assert!(shown.len() < 4000, "{} bytes", shown.len());
        let lines: Vec<&str> = shown.lines().collect();
        let column = lines[3].chars().position(|c| c == 'h').unwrap();
        assert_eq!(lines[4].chars().position(|c| c == '^'), Some(column), "{shown}");
        assert!(lines[1].ends_with(":1:100002"), "{shown}");
    }

    #[test]
    fn a_password_is_underlined_and_not_shown() {
        let text = "vrrp_instance a {\n auth_pass \"Hunter2 Hunter2\"\n}\n".to_owned();
        let (start, end) = (text.find('"').unwrap(), text.rfind('"').unwrap() + 1);
        let source = Source { path: "vip.conf".to_owned(), text };
        let finding = crate::vip::cut_password(Span::new(start, end), "Hunter2 Hunter2");
        expect![[r#"
            warning[password-cut]: only 8 bytes of this password are used, not 15
             --> vip.conf:2:12
              |
            2 |  auth_pass (secret)
              |            ^^^^^^^^
              = help: it travels readable anyway; name a `secret_file` in outlast.toml instead

            1 warning
        "#]]
        .assert_eq(&render(&[source], &[finding]));
    }

    #[test]
    fn an_offset_behind_the_end_is_the_end() {
        assert_eq!(place("a\nb", 99), Place { line: 2, column: 2 });
    }
}
