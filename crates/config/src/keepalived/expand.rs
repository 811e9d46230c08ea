//! A file in keepalived's language as its `read_line` gives it: with what it includes, without what is for other nodes,
//! with the values of parameters, and with sequences and lists written out.

use std::collections::BTreeMap;

use base::Span;

use super::include::{self, Check};
use super::piece::{Piece, is_blank};
use crate::Source;
use crate::diagnostic::{Diagnostic, is_hopeless, limit};

mod parameter;
mod repeat;

use parameter::Parameter;

/// Files that include each other without end are deeper than this.
const MAX_DEPTH: usize = 32;
/// Lines that may come of a file and of what it includes: as many as it may have words.
const MAX_LINES: usize = 100_000;
/// Values that may be put in place: a thousand instances of a template take 30,000.
const MAX_VALUES: usize = 200_000;
/// Rounds of sequences and lists, those of one in another counted each time: a round may be of lines for other nodes, or of
/// none at all, and fill nothing.
const MAX_ALL_ROUNDS: usize = 200_000;
/// A line that gets longer by values of parameters is not read (bytes); keepalived's end at 1,024.
const MAX_LINE: usize = 16 << 10;

/// The texts, and where they are found.
pub(crate) trait Files {
    /// Numbers of the files that a line names, in the order in which they are read.
    fn find(&mut self, pattern: &str) -> Vec<usize>;
    /// Its path and its text.
    fn source(&self, file: usize) -> Source;
    /// Where the places of that file begin among those of all.
    fn base(&self, file: usize) -> usize;
}

/// What the same text is read differently by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Node<'a> {
    /// Of which `@name` are the lines; none is nobody's.
    pub id: Option<&'a str>,
    /// The folder that paths which do not begin with `/` are in.
    pub folder: Option<&'a str>,
    /// A file that is included and missing is an error, whoever includes it (`keepalived -e`).
    pub needs_all: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    pub(crate) lines: Vec<Piece>,
    /// The lines are not just those of the file.
    pub(crate) is_made: bool,
}

/// Reads the file with number `main`.
pub(crate) fn expand(
    files: &mut dyn Files,
    main: usize,
    node: Node<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Expanded {
    let check = if node.needs_all { Check::ALL } else { Check::default() };
    let mut expander = Expander {
        files,
        node,
        parameters: BTreeMap::new(),
        open: None,
        made: Expanded::default(),
        place: Place { folder: String::new(), check, depth: 0 },
        values: 0,
        rounds: 0,
        is_full: false,
        findings,
    };
    expander.file(main);
    expander.made
}

struct Expander<'a> {
    files: &'a mut dyn Files,
    node: Node<'a>,
    parameters: BTreeMap<String, Parameter>,
    /// The parameter whose value goes on in the next line.
    open: Option<String>,
    made: Expanded,
    place: Place,
    /// Put in place so far.
    values: usize,
    /// Of sequences and lists, so far.
    rounds: usize,
    /// Nothing more is read: there is too much of it.
    is_full: bool,
    findings: &'a mut Vec<Diagnostic>,
}

/// Where the reading stands.
#[derive(Clone)]
struct Place {
    /// Of the file that is read, with a `/` at its end; empty: the one that the program is in.
    folder: String,
    check: Check,
    depth: usize,
}

impl Expander<'_> {
    fn file(&mut self, file: usize) {
        let (source, base) = (self.files.source(file), self.files.base(file));
        let outer = self.place.clone();
        self.place.folder = include::folder(&source.path).to_owned();
        self.place.depth += 1;
        let mut at = base;
        for line in source.text.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            let start = at;
            at += line.len();
            if content.is_empty() {
                self.close();
                continue;
            }
            let piece = Piece::of(content, start).without_comment();
            if !piece.is_empty() {
                self.line(piece);
            }
            if self.is_full || is_hopeless(self.findings) {
                break;
            }
        }
        self.place = outer;
    }

    /// A line of a file.
    fn line(&mut self, piece: Piece) {
        let Some(name) = self.open.clone() else { return self.process(piece, 0) };
        let goes_on = piece.bytes().last() == Some(&b'\\');
        let kept = if goes_on { piece.cut(0, piece.len() - 1).trimmed() } else { piece };
        if let Some(parameter) = self.parameters.get_mut(&name)
            && !kept.is_empty()
        {
            parameter.lines.push(kept);
        }
        if !goes_on {
            self.close();
        }
    }

    /// The value of the last parameter ends.
    fn close(&mut self) {
        let name = self.open.take();
        let parameter = name.and_then(|name| self.parameters.get_mut(&name));
        if let Some(parameter) = parameter.filter(|parameter| parameter.lines.is_empty()) {
            parameter.has_lines = false;
        }
    }

    /// A line of a file, or of a value of several lines, so deep among such.
    fn process(&mut self, mut piece: Piece, depth: usize) {
        if self.is_full || piece.is_empty() {
            return;
        }
        if depth > MAX_DEPTH {
            let message = "parameters are made of each other without end";
            return self.too_much(piece.span(0, piece.len()), message);
        }
        // Lines behind this one, those that came last first.
        let mut behind: Vec<Vec<Piece>> = Vec::new();
        loop {
            match self.for_this_node(piece) {
                Some(kept) => piece = kept,
                None => break self.all(behind, depth),
            }
            if self.define(&piece) {
                break self.all(behind, depth);
            }
            if let Some(repeated) = self.repeat(&piece, depth) {
                if let Err(finding) = repeated {
                    self.report(finding);
                }
                break self.all(behind, depth);
            }
            let is_sequence = piece.bytes().first() == Some(&b'~');
            let Some(replaced) =
                (!is_sequence).then(|| self.replace(&piece, &mut behind)).flatten()
            else {
                self.give(piece);
                break self.all(behind, depth);
            };
            piece = replaced.without_comment();
            if piece.is_empty() || self.is_full {
                break self.all(behind, depth);
            }
        }
    }

    fn all(&mut self, behind: Vec<Vec<Piece>>, depth: usize) {
        for line in behind.into_iter().rev().flatten() {
            self.process(line, depth + 1);
        }
    }

    /// The line behind its `@name` or `@^name`; none: it is for other nodes.
    fn for_this_node(&mut self, piece: Piece) -> Option<Piece> {
        let text = piece.bytes();
        if text.first() != Some(&b'@') {
            return Some(piece);
        }
        self.made.is_made = true;
        let is_other = text.get(1) == Some(&b'^');
        let from = if is_other { 2 } else { 1 };
        let to = from + text.get(from..)?.iter().position(|byte| is_blank(*byte))?;
        let is_ours = self.node.id.is_some_and(|id| text.get(from..to) == Some(id.as_bytes()));
        (is_ours != is_other).then(|| piece.cut(to, piece.len()).trimmed())
    }

    /// A line that is read.
    fn give(&mut self, piece: Piece) {
        match include::asked(&piece.whole()) {
            Some((check, from)) => self.include(&piece, check, from),
            None => {
                let words = piece.whole();
                let mut words = words.split_ascii_whitespace();
                if words.next() == Some("include_check") {
                    let changed = self.place.check.changed(words);
                    match changed {
                        Ok(check) => self.place.check = check,
                        Err(why) => {
                            let span = piece.span(0, piece.len());
                            self.report(Diagnostic::error(span, "bad-value", why));
                        }
                    }
                }
                if self.made.lines.len() >= MAX_LINES {
                    let message = format!("more than {MAX_LINES} lines: the rest is not read");
                    return self.too_much(piece.span(0, piece.len()), &message);
                }
                self.made.lines.push(piece);
            }
        }
    }

    fn include(&mut self, piece: &Piece, check: Check, from: usize) {
        self.made.is_made = true;
        let (named, span) = (piece.text(from, piece.len()), piece.span(from, piece.len()));
        if self.place.depth >= MAX_DEPTH {
            return self.too_much(span, "these files include each other");
        }
        let pattern = match named.starts_with('/') {
            true => named,
            false => format!("{}{named}", self.place.folder),
        };
        let mut found = Vec::new();
        let mut missing: Option<String> = None;
        for one in include::alternatives(&pattern) {
            let files = self.files.find(&one);
            if files.is_empty() && !include::is_wild(&one) && missing.is_none() {
                missing = Some(one);
            }
            found.extend(files);
        }
        let check = check | self.place.check;
        if let Some(finding) = check.complain(&pattern, found.is_empty(), missing.as_deref(), span)
        {
            self.report(finding);
        }
        for file in found {
            if self.is_full {
                return;
            }
            self.file(file);
        }
    }

    fn too_much(&mut self, span: Span, message: &str) {
        self.is_full = true;
        self.report(Diagnostic::error(span, "too-large", message));
    }

    fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
        limit(self.findings);
    }
}

#[cfg(test)]
mod tests;
