//! `include` and its like: which files a line names.

use std::ops::BitOr;

use base::Span;

use super::expand::{self, Files, Node};
use crate::Source;
use crate::diagnostic::Diagnostic;

/// Words that take other files in, for the manual and to know the language by.
pub(crate) const WORDS: [&str; 6] =
    ["include", "includea", "includeb", "includem", "includer", "includew"];

/// More files than this are no configuration, and each is kept whole.
const MAX_FILES: usize = 1000;
/// So many ways to write a path may be meant by one with braces.
const MAX_ALTERNATIVES: usize = 1000;

/// The code of what is missing where a file said that it must be there: keepalived has a number of its own for it.
pub const MISSING: &str = "include-missing";

/// What is wrong if it is missing (`include_check`); a file that cannot be read always is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Check {
    literal: bool,
    wild: bool,
    brace: bool,
}

impl BitOr for Check {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            literal: self.literal || other.literal,
            wild: self.wild || other.wild,
            brace: self.brace || other.brace,
        }
    }
}

impl Check {
    pub(super) const ALL: Self = Self { literal: true, wild: true, brace: true };

    /// As the words of an `include_check` say.
    pub(super) fn changed<'a>(
        self,
        words: impl Iterator<Item = &'a str>,
    ) -> Result<Self, &'static str> {
        let mut check = self;
        let mut is_first = true;
        for word in words {
            let (sign, name) = match word.split_at_checked(1) {
                Some((sign @ ("+" | "-"), name)) => (sign, name),
                _ => ("", word),
            };
            if sign.is_empty() {
                if !is_first {
                    return Err("a second word of `include_check` begins with + or -");
                }
                check = Self::default();
            }
            let field = match name {
                "read" | "readable" => None,
                "match" => Some(&mut check.literal),
                "wildcard_match" => Some(&mut check.wild),
                "brace_match" => Some(&mut check.brace),
                _ => return Err("expected read, match, wildcard_match or brace_match"),
            };
            if let Some(field) = field {
                *field = sign != "-";
            }
            is_first = false;
        }
        Ok(if is_first { Self::ALL } else { check })
    }

    /// What is said where a line finds not all that it names.
    pub(super) fn complain(
        self,
        pattern: &str,
        has_none: bool,
        missing: Option<&str>,
        span: Span,
    ) -> Option<Diagnostic> {
        let has_brace = alternatives(pattern).len() > 1;
        let (must, message) = match missing {
            Some(path) if has_brace => (self.brace, format!("there is no file {path}")),
            Some(path) => (self.literal, format!("there is no file {path}")),
            None if has_none => (self.wild, format!("no file is named {pattern}")),
            None => return None,
        };
        if must {
            return Some(Diagnostic::error(span, MISSING, message));
        }
        missing?;
        let finding = Diagnostic::warning(span, "include-nothing", message);
        Some(match pattern.contains(['"', '\'']) {
            true => finding.help("write it without quotes"),
            false => finding.help("write `includea` where it must be there, or remove the line"),
        })
    }
}

/// What a line that includes something asks for, and where in it the path begins.
pub(super) fn asked(line: &str) -> Option<(Check, usize)> {
    let rest = line.strip_prefix("include")?;
    let (check, rest) = match rest.bytes().next()? {
        b'r' => (Check::default(), &rest[1..]),
        b'm' => (Check { literal: true, ..Check::default() }, &rest[1..]),
        b'w' => (Check { literal: true, wild: true, brace: false }, &rest[1..]),
        b'b' => (Check { brace: true, ..Check::default() }, &rest[1..]),
        b'a' => (Check::ALL, &rest[1..]),
        _ => (Check::default(), rest),
    };
    let path = rest.trim_start_matches([' ', '\t']);
    (path.len() < rest.len() && !path.is_empty()).then(|| (check, line.len() - path.len()))
}

/// The folder of a file, with a `/` at its end.
pub(super) fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

/// Each path that one with braces stands for: `a{b,c}` is `ab` and `ac`.
pub(super) fn alternatives(pattern: &str) -> Vec<String> {
    let mut found = vec![pattern.to_owned()];
    let mut at = 0;
    while at < found.len() && found.len() < MAX_ALTERNATIVES {
        match opened(&found[at]) {
            Some(each) => {
                found.splice(at..=at, each);
            }
            None => at += 1,
        }
    }
    found.truncate(MAX_ALTERNATIVES);
    found
}

/// The first pair of braces, opened.
fn opened(pattern: &str) -> Option<Vec<String>> {
    let (mut depth, mut from, mut parts) = (0_usize, 0, Vec::new());
    let mut is_escaped = false;
    let mut start = 0;
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'{' => {
                depth += 1;
                if depth == 1 {
                    (start, from) = (at, at + 1);
                }
            }
            b',' if depth == 1 => {
                parts.push(&pattern[from..at]);
                from = at + 1;
            }
            b'}' if depth == 1 => {
                parts.push(&pattern[from..at]);
                let (before, behind) = (&pattern[..start], &pattern[at + 1..]);
                // `{}` stands for itself, as in a shell.
                if parts == [""] {
                    return None;
                }
                return Some(parts.iter().map(|part| format!("{before}{part}{behind}")).collect());
            }
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

pub(super) fn is_wild(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Whether a path is one that `pattern` stands for; it has no braces.
fn fits(pattern: &str, path: &str) -> bool {
    fn plain(path: &str) -> &str {
        path.trim_start_matches("./")
    }
    let (mut parts, mut names) = (plain(pattern).split('/'), plain(path).split('/'));
    loop {
        match (parts.next(), names.next()) {
            (None, None) => return true,
            (Some(part), Some(name)) if name_fits(part, name) => {}
            _ => return false,
        }
    }
}

/// As `fnmatch` has it, of one name.
fn name_fits(part: &str, name: &str) -> bool {
    if name.starts_with('.') && !part.starts_with('.') {
        return false;
    }
    let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
    let (mut at, mut next) = (0, 0);
    // Where the last `*` was, and how much of the name it stood for.
    let mut star: Option<(usize, usize)> = None;
    while next < name.len() {
        if part.get(at) == Some(&'*') {
            star = Some((at + 1, next));
            at += 1;
        } else if let Some(behind) = one_fits(&part, at, name[next]) {
            (at, next) = (behind, next + 1);
        } else if let Some((behind, taken)) = star {
            star = Some((behind, taken + 1));
            (at, next) = (behind, taken + 1);
        } else {
            return false;
        }
    }
    part.get(at..).is_none_or(|rest| rest.iter().all(|sign| *sign == '*'))
}

/// Whether the sign at `at` stands for a character, and where the next one is.
fn one_fits(part: &[char], at: usize, character: char) -> Option<usize> {
    match part.get(at)? {
        '?' => Some(at + 1),
        '\\' => (part.get(at + 1) == Some(&character)).then_some(at + 2),
        '[' => {
            let is_not = matches!(part.get(at + 1), Some('!' | '^'));
            let from = at + 1 + usize::from(is_not);
            // A `]` that comes first is one of the set.
            let rest = part.get(from + 1..).unwrap_or_default();
            let length = rest.iter().position(|sign| *sign == ']');
            let Some(length) = length else { return (character == '[').then_some(at + 1) };
            let set = &part[from..=from + length];
            let (mut is_in, mut index) = (false, 0);
            while let Some(first) = set.get(index) {
                match (set.get(index + 1), set.get(index + 2)) {
                    (Some('-'), Some(last)) => {
                        is_in |= (*first..=*last).contains(&character);
                        index += 3;
                    }
                    _ => {
                        is_in |= *first == character;
                        index += 1;
                    }
                }
            }
            (is_in != is_not).then_some(from + length + 2)
        }
        sign => (*sign == character).then_some(at + 1),
    }
}

fn unescaped(path: &str) -> String {
    let mut plain = String::new();
    let mut signs = path.chars();
    while let Some(sign) = signs.next() {
        plain.push(if sign == '\\' { signs.next().unwrap_or(sign) } else { sign });
    }
    plain
}

/// Texts that are at hand: `main`, and the others, some of which it includes.
pub(crate) struct AtHand<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) main: usize,
    /// Numbers of those that were taken in.
    pub(crate) taken: Vec<usize>,
}

/// Between the places of two files, so that what is said of the end of one is not of the next (bytes).
const GAP: usize = 16;

impl AtHand<'_> {
    /// The file of a place, and the place in it.
    pub(crate) fn locate(&self, span: Span) -> (usize, Span) {
        let main = self.sources.get(self.main).map_or(0, |source| source.text.len());
        if span.start <= main + 1 {
            return (self.main, span);
        }
        let starts = (0..self.sources.len()).map(|file| (self.base_of(file), file));
        let (base, file) =
            starts.filter(|(base, _)| *base <= span.start).max().unwrap_or((0, self.main));
        let length = self.sources.get(file).map_or(0, |source| source.text.len());
        let start = (span.start - base).min(length);
        (file, Span::new(start, span.end.saturating_sub(base).clamp(start, length + 1)))
    }

    fn base_of(&self, file: usize) -> usize {
        let length =
            |file: usize| self.sources.get(file).map_or(0, |source| source.text.len() + GAP);
        if file == self.main {
            return 0;
        }
        let before = (0..file).filter(|other| *other != self.main).map(length);
        length(self.main) + before.sum::<usize>()
    }
}

impl Files for AtHand<'_> {
    fn find(&mut self, pattern: &str) -> Vec<usize> {
        let plain = (!is_wild(pattern)).then(|| unescaped(pattern));
        let is_meant = |source: &Source| match &plain {
            Some(plain) => fits(pattern, &source.path) || *plain == source.path,
            None => fits(pattern, &source.path),
        };
        let mut found: Vec<usize> =
            (0..self.sources.len()).filter(|file| is_meant(&self.sources[*file])).collect();
        found.sort_by_key(|file| &self.sources[*file].path);
        self.taken.extend(&found);
        found
    }

    fn source(&self, file: usize) -> Source {
        self.sources.get(file).cloned().unwrap_or_default()
    }

    fn base(&self, file: usize) -> usize {
        self.base_of(file)
    }
}

/// Where files are read from.
pub trait Disk {
    /// Why one could not be read.
    type Error;

    /// What is in a folder; nothing where that is not known.
    fn names(&self, folder: &str) -> Vec<String>;

    /// One file; none, if there is none at that path that keepalived would read.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Source>, Self::Error>;
}

/// The files, and behind them those that the ones in keepalived's language include.
pub fn with_included<D: Disk>(
    sources: Vec<Source>,
    node: Node<'_>,
    disk: &D,
) -> (Vec<Source>, Vec<D::Error>) {
    let given = sources.len();
    let mut reading = Reading { sources, disk, errors: Vec::new() };
    for file in 0..given {
        if crate::recognise(&reading.sources[file]) == crate::Kind::Keepalived {
            // Mistakes are told when everything is read.
            expand::expand(&mut reading, file, node, &mut Vec::new());
        }
    }
    (reading.sources, reading.errors)
}

struct Reading<'a, D: Disk> {
    sources: Vec<Source>,
    disk: &'a D,
    errors: Vec<D::Error>,
}

impl<D: Disk> Reading<'_, D> {
    /// Every path that a pattern may stand for, in the order of `glob`.
    fn paths(&self, pattern: &str) -> Vec<String> {
        let root = if pattern.starts_with('/') { "/" } else { "" };
        let mut heads = vec![root.to_owned()];
        for (at, part) in pattern.split('/').filter(|part| !part.is_empty()).enumerate() {
            let joined = |head: &str, name: &str| match at {
                0 => format!("{head}{name}"),
                _ => format!("{head}/{name}"),
            };
            let each = heads.iter().flat_map(|head| {
                if !is_wild(part) {
                    return vec![joined(head, &unescaped(part))];
                }
                let mut names = self.disk.names(if head.is_empty() { "." } else { head });
                names.retain(|name| name_fits(part, name));
                names.sort();
                names.iter().map(|name| joined(head, name)).collect()
            });
            heads = each.collect();
        }
        heads
    }
}

impl<D: Disk> Files for Reading<'_, D> {
    fn find(&mut self, pattern: &str) -> Vec<usize> {
        let mut found = Vec::new();
        for path in self.paths(pattern) {
            let known = self.sources.iter().position(|source| fits(&path, &source.path));
            if let Some(file) = known {
                found.push(file);
                continue;
            }
            if self.sources.len() >= MAX_FILES {
                break;
            }
            match self.disk.read(&path) {
                Ok(None) => {}
                Ok(Some(source)) => {
                    found.push(self.sources.len());
                    self.sources.push(Source { path, ..source });
                }
                Err(error) => self.errors.push(error),
            }
        }
        found
    }

    fn source(&self, file: usize) -> Source {
        self.sources.get(file).cloned().unwrap_or_default()
    }

    fn base(&self, _: usize) -> usize {
        0
    }
}

#[cfg(test)]
mod tests;
