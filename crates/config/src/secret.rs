//! Values that nobody may read along: which keywords have them, and what a finding shows in their place.
//!
//! A finding goes to logs, events and other people's screens. It is made of the source line, of its message and of the
//! change it proposes; all three are shown without the value. What stands behind such a keyword is found in the text
//! itself, not by the parsers: a line with a mistake in it, a mistyped keyword or a comment has the password as well.

use std::collections::HashMap;
use std::ops::Range;

use base::Span;

use crate::{Diagnostic, Source, explain, guess};

/// What stands for a value that nobody may read along.
pub const HIDDEN: &str = "(secret)";

/// Keywords of all three languages whose value is a secret, or may hold one. The value goes to the end of the line.
pub(crate) const KEYWORDS: [&str; 8] = [
    "stats auth",
    "auth_pass",
    // Its lines are found by themselves, as each is `key`, a number and the secret.
    "auth_hmac",
    "password",
    "insecure-password",
    "cluster-secret",
    // Where files take passwords from.
    "setenv",
    "presetenv",
];

/// Before the number of a key, and before its digits.
const NUMBERED: &str = "key";
const DIGITS: &str = "hex";

/// The command with which a Redis is asked in a `tcp-check send`: the password is behind it.
const REDIS: &str = "AUTH";

/// What a header's name stands behind where its value, or what it is compared with, follows.
const SETTERS: [&str; 4] = ["set-header", "add-header", "replace-header", "replace-value"];
const FETCHES: [&str; 2] = ["hdr", "fhdr"];

/// Headers whose value is a credential (RFC 9110 §11, RFC 6265).
const HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// Parts of other names of such headers: `X-Api-Key`, `X-Auth-Token`, `PRIVATE-TOKEN`, `X-Authorization`.
const HEADER_PARTS: [&str; 11] = [
    "authorization",
    "pass",
    "auth",
    "cookie",
    "token",
    "key",
    "apikey",
    "secret",
    "password",
    "credential",
    "credentials",
];

/// Strings of `outlast.toml` that may be longer than their line.
const LONG_STRINGS: [&str; 2] = ["\"\"\"", "'''"];

/// Of a line so much is looked at (bytes), more than any program reads of one; what is behind may be anything, and is
/// hidden.
const MOST_LINE: usize = 512 << 10;
/// A longer value is not looked for in what is said of it: that is hidden whole (bytes).
const MOST_VALUE: usize = 4096;
/// Of a text so much (bytes), twice the largest generation; the same.
const MOST_TEXT: usize = 2 << 20;
/// Letters that a word which is sure to be meant may have more or less.
const MISTAKES: usize = 2;

/// What was found out about words; files repeat theirs.
#[derive(Default)]
struct Words<'a> {
    /// Whether a secret follows, and whether the name of a header does.
    known: HashMap<&'a str, (bool, bool)>,
    /// Whether a secret follows two words.
    pairs: HashMap<(&'a str, &'a str), bool>,
}

impl<'a> Words<'a> {
    fn of(&mut self, word: &'a str) -> (bool, bool) {
        *self.known.entry(word).or_insert_with(|| (is_secret(word), names_header(word)))
    }

    fn of_pair(&mut self, before: &'a str, word: &'a str) -> bool {
        *self.pairs.entry((before, word)).or_insert_with(|| is_secret_pair(before, word))
    }
}

/// `text` with [`HIDDEN`] for every secret in it.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut shown = text.to_owned();
    for secret in places(text).into_iter().rev() {
        shown.replace_range(secret, HIDDEN);
    }
    shown
}

/// Where the secrets of a text are, in its order; they do not overlap, and none is empty.
pub(crate) fn places(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let (mut at, mut words) = (0, Words::default());
    for line in text.split_inclusive('\n') {
        if at >= MOST_TEXT {
            found.push(at..text.len());
            break;
        }
        let (start, end) = (at, at + line.trim_end().len());
        at += line.len();
        // The end of a string of several lines.
        if found.last().is_some_and(|last| last.end > start) {
            continue;
        }
        let Some(value) = value_in(line, &mut words) else { continue };
        let value = start + value;
        let long = LONG_STRINGS.into_iter().find(|quotes| text[value..].starts_with(quotes));
        let end = match long.map(|quotes| text[value + quotes.len()..].find(quotes)) {
            Some(Some(length)) => end.max(value + 2 * LONG_STRINGS[0].len() + length),
            Some(None) => text.trim_end().len().max(end),
            None => end,
        };
        if value < end {
            found.push(value..end);
        }
    }
    found
}

/// Where in a line the value of its first secret begins, or where it is not looked at any more.
fn value_in<'a>(line: &'a str, words: &mut Words<'a>) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut before: Option<&str> = None;
    let mut rest = line;
    let most = (0..=MOST_LINE.min(line.len())).rev().find(|at| line.is_char_boundary(*at));
    let most = most.unwrap_or(0);
    loop {
        if line.len() - rest.len() >= most && most < line.len() {
            return Some(most);
        }
        let start = rest.find(is_part)?;
        rest = &rest[start..];
        let end = rest.find(|c| !is_part(c))?;
        let (token, behind) = rest.split_at(end);
        let is_pair = before.is_some_and(|before| words.of_pair(before, token));
        let is_key = before == Some(NUMBERED) && token.parse::<u8>().is_ok();
        let is_key = is_key || (token == DIGITS && behind.starts_with(':'));
        let is_named = is_parameter(line, line.len() - rest.len(), behind) && is_credential(token);
        if token == REDIS || is_key || is_pair || is_named || words.of(token).0 {
            let value = behind.trim_start_matches([' ', '\t', '=', ':', '\\']);
            return Some((line.len() - value.len()).min(most.max(1)));
        }
        let is_named = before.is_some_and(|before| words.of(before).1) && is_credential(token);
        if is_named || is_written(line.len() - rest.len(), line, token, behind) {
            let value = behind.trim_start_matches([' ', '\t', ':', '\\', ')']);
            return Some(line.len() - value.len());
        }
        (before, rest) = (Some(token), behind);
    }
}

/// Whether `$NAME=` stands here, of keepalived's language.
fn is_parameter(line: &str, at: usize, behind: &str) -> bool {
    behind.starts_with('=') && line.get(..at).is_some_and(|before| before.ends_with('$'))
}

/// Whether a keyword is, or was surely meant to be, one with a secret.
fn is_secret(typed: &str) -> bool {
    let near = KEYWORDS.into_iter().filter(|word| word.len().abs_diff(typed.len()) <= MISTAKES);
    guess::sure(typed, near).is_some() || KEYWORDS.contains(&typed)
}

/// As [`is_secret`], of two words: `stats auth`.
fn is_secret_pair(before: &str, word: &str) -> bool {
    let length = before.len() + 1 + word.len();
    let mut pairs = KEYWORDS.into_iter().filter(|known| known.contains(' '));
    let may_be = pairs.any(|known| known.len().abs_diff(length) <= MISTAKES);
    may_be && is_secret(&format!("{before} {word}"))
}

/// Whether the name of a header follows.
fn names_header(word: &str) -> bool {
    // Who deletes a header names it as well, with no value behind.
    let known = SETTERS.into_iter().chain(["del-header"]);
    let is_setter = |word: &str| SETTERS.contains(&word);
    let near = known.filter(|known| known.len().abs_diff(word.len()) <= MISTAKES);
    FETCHES.contains(&word) || is_setter(word) || guess::sure(word, near).is_some_and(is_setter)
}

/// Whether a header of that name has a credential, or was surely meant to.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split(['-', '_']).any(|part| HEADER_PARTS.contains(&part))
        || guess::sure(&name, HEADERS).is_some()
}

/// Whether a header with a credential is written out here, as in `option httpchk GET / HTTP/1.1\r\nCookie:\ a=b`.
fn is_written(at: usize, line: &str, token: &str, behind: &str) -> bool {
    if !behind.starts_with(':') {
        return false;
    }
    let escaped = token.strip_prefix('n').filter(|_| line[..at].ends_with('\\'));
    let name = escaped.unwrap_or(token);
    let is_header = name.contains('-') || HEADERS.contains(&name.to_ascii_lowercase().as_str());
    is_header && is_credential(name)
}

/// The first of `secrets` that `span` has a byte in, or ends or begins at.
pub(crate) fn touched(secrets: &[Range<usize>], span: Span) -> Option<&Range<usize>> {
    let from = secrets.partition_point(|secret| secret.end < span.start);
    secrets.get(from).filter(|secret| secret.start <= span.end)
}

/// Takes the values out of what findings say. The change that one proposes stays: `config check --repair` makes it.
pub(crate) fn hide(sources: &[Source], findings: &mut [Diagnostic]) {
    let mut of: Option<(usize, Vec<Range<usize>>)> = None;
    let mut names: Option<Vec<String>> = None;
    for finding in findings {
        let Some(source) = sources.get(finding.file) else { continue };
        if of.as_ref().is_none_or(|(file, _)| *file != finding.file) {
            of = Some((finding.file, places(&source.text)));
        }
        let secrets = of.as_ref().map(|(_, secrets)| secrets.as_slice()).unwrap_or_default();
        let Some(secret) = touched(secrets, finding.span) else { continue };
        finding.is_secret = true;
        let value = source.text.get(secret.clone()).unwrap_or_default();
        let names = names.get_or_insert_with(known);
        finding.message = without(&finding.message, value, names);
        finding.help = finding.help.take().map(|help| without(&help, value, names));
    }
}

/// Every word that a finding may name, whatever the files say.
fn known() -> Vec<String> {
    explain::all().into_iter().map(|row| row.name).collect()
}

/// A value shorter than this is told in quotes only: anywhere else it is part of other words (bytes).
const SHORT: usize = 4;

/// What is quoted stays only if it is a keyword: a variable's value is not in the file.
fn without(text: &str, value: &str, names: &[String]) -> String {
    // Nobody looked what is in it.
    if value.len() > MOST_VALUE {
        return HIDDEN.to_owned();
    }
    let quoted = text.split('`').enumerate().map(|(at, part)| match at % 2 {
        1 if !names.iter().any(|name| name == part) => HIDDEN,
        _ => part,
    });
    let mut said = quoted.collect::<Vec<_>>().join("`");
    for word in value.split_whitespace() {
        let word = word.trim_matches(['"', '\'']);
        let parts = word.split(':').chain([word]);
        for part in parts.filter(|part| part.len() >= SHORT && !HIDDEN.contains(part)) {
            said = said.replace(part, HIDDEN);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_secret_keyword_is_hidden_also_where_it_is_mistyped() {
        let told = [
            ("stats auth admin:Hunter2", "stats auth (secret)"),
            ("  stats  auht admin:Hunter2 x\r", "  stats  auht (secret)\r"),
            ("authentication { auth_type PASS auth_pass Hunter2 }", ""),
            ("    auth_paas Hunter2", "    auth_paas (secret)"),
            ("  key 1 Hunter2", "  key 1 (secret)"),
            ("  kye 255 hex:Hunter2", "  kye 255 hex:(secret)"),
            ("auth_hmac { key 7 Hunter2 }", "auth_hmac (secret)"),
            ("hmac_keys = { 1 = \"hex:Hunter2\" }", "hmac_keys = { 1 = \"hex:(secret)"),
            ("password = \"Hunter2\" # Hunter2", "password = (secret)"),
            ("v = { pasword=\"Hunter2\", id = 1 }", "v = { pasword=(secret)"),
            (" user a insecure-password Hunter2", " user a insecure-password (secret)"),
            ("tcp-check send AUTH\\ Hunter2\\r\\n", "tcp-check send AUTH\\ (secret)"),
            ("setenv PW Hunter2", "setenv (secret)"),
            ("# auth_pass Hunter2", "# auth_pass (secret)"),
            (
                "password = \"\"\"\nHunter2\nHunter2\"\"\"\nname = 1",
                "password = (secret)\nname = 1",
            ),
            ("password = '''\nHunter2", "password = (secret)"),
        ];
        for (text, shown) in told {
            let masked = masked(text);
            assert!(!masked.contains("Hunter2"), "{masked}");
            assert!(shown.is_empty() || masked == shown, "{masked:?} for {text:?}");
        }
    }

    #[test]
    fn what_a_header_with_a_credential_is_set_to_or_compared_with_is_hidden() {
        let told = [
            (
                "http-request set-header Authorization \"Basic Hunter2\" if TRUE",
                "http-request set-header Authorization (secret)",
            ),
            ("http-request add-header X-Api-Key Hunter2", ""),
            ("http-request set-heder x-auth-token Hunter2", ""),
            ("http-request set-header Autorization Bearer\\ Hunter2", ""),
            ("  http-request  set-header \"PRIVATE-TOKEN\" \"Hunter2\"", ""),
            ("http-response set-header Set-Cookie session=Hunter2", ""),
            ("http-request replace-header Cookie Hunter2 x", ""),
            ("http-check send hdr Host a hdr Proxy-Authorization Hunter2", ""),
            (
                "http-request deny unless { req.hdr(X-Token) -m str Hunter2 }",
                "http-request deny unless { req.hdr(X-Token) (secret)",
            ),
            ("option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ Basic\\ Hunter2", ""),
            ("# X-Secret: Hunter2", "# X-Secret: (secret)"),
        ];
        for (text, shown) in told {
            let masked = masked(text);
            assert!(!masked.contains("Hunter2") && masked.ends_with("(secret)"), "{masked}");
            assert!(shown.is_empty() || masked == shown, "{masked:?} for {text:?}");
        }
    }

    #[test]
    fn of_a_very_long_line_or_text_the_rest_is_hidden_and_costs_nothing() {
        let long = format!("server a {} auth_pass Hunter2", "x ".repeat(8 << 20));
        let shown = masked(&long);
        assert!(shown.len() < MOST_LINE + 20 && shown.ends_with(HIDDEN), "{}", shown.len());
        let many = format!("{}auth_pass Hunter2\n", "listen a\n".repeat(MOST_TEXT));
        let shown = masked(&many);
        assert!(shown.len() < MOST_TEXT + 20 && shown.ends_with(HIDDEN), "{}", shown.len());
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "password_file = \"/etc/x\"",
            "hmac_keys = { 1 = \"/etc/outlast/key\" }",
            "stats uri /admin",
            "auth_pass",
            "password =\n",
            "http-request set-header X-Forwarded-Proto https",
            "http-request del-header Authorization if TRUE",
            "http-request set-header X-Monkey true",
            "http-check send hdr Host example.org",
            "capture request header Authorization len 64",
            "cookie SRV insert",
            "# the key: it lies in /etc",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn every_secret_keyword_is_one_of_the_tables_or_stands_in_a_line_of_one() {
        let names = known();
        let inside = ["auth_pass", "password", "insecure-password", "setenv", "presetenv"];
        for keyword in KEYWORDS {
            let there = names.iter().any(|name| name == keyword);
            assert!(there || inside.contains(&keyword), "{keyword}");
        }
    }
}
