//! One line (or statement) of a configuration, word by word, with room for what is wrong in it.

use std::str::FromStr;
use std::time::Duration;

use base::Span;

use crate::diagnostic::{Diagnostic, limit};
use crate::duration::{self, Unit, Wrong};

/// A word after quotes, escapes and variables, and where its source is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Word {
    /// The word as a value, or what was expected instead.
    pub(crate) fn parse<T: FromStr>(&self, what: &str) -> Result<T, Diagnostic> {
        self.text.parse().map_err(|_| self.wrong(what))
    }

    /// A whole number between limits.
    pub(crate) fn number(&self, what: &str, least: u64, most: u64) -> Result<u64, Diagnostic> {
        let number: u64 = self.parse(what)?;
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        Err(Diagnostic::error(
            self.span,
            "bad-value",
            format!("expected {what} from {least} to {most}, found `{number}`"),
        ))
    }

    /// The time, and what stands behind its unit.
    fn time(&self, unit: Unit) -> Result<(Duration, &str), Diagnostic> {
        duration::parse(&self.text, unit).map_err(|wrong| {
            let message = match wrong {
                Wrong::NoNumber => format!("expected a time, found `{}`", self.text),
                Wrong::Unit => format!("`{}` has no known unit of time", self.text),
                Wrong::Overflow => format!("`{}` is longer than 24.8 days", self.text),
            };
            let bare = match unit {
                Unit::Milliseconds => "2000 (milliseconds)",
                Unit::Seconds => "15 (seconds)",
            };
            Diagnostic::error(self.span, "bad-value", message)
                .help(format!("times are written {bare}, 500ms, 10s, 1m, 2h or 1d"))
        })
    }

    pub(crate) fn wrong(&self, what: &str) -> Diagnostic {
        Diagnostic::error(self.span, "bad-value", format!("expected {what}, found `{}`", self.text))
    }
}

/// A line with the block behind it, in languages with braces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Statement {
    pub(crate) words: Vec<Word>,
    pub(crate) block: Option<Vec<Self>>,
    /// Where the last word ends.
    pub(crate) end: usize,
}

/// What a keyword's parser reads.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    words: Vec<Word>,
    next: usize,
    file: usize,
    end: usize,
    /// `no` stood before the keyword.
    pub(crate) negated: bool,
    /// What stands in braces behind the line.
    pub(crate) block: Option<Vec<Statement>>,
    findings: &'a mut Vec<Diagnostic>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(
        words: Vec<Word>,
        file: usize,
        end: usize,
        findings: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self { words, next: 0, file, end, negated: false, block: None, findings }
    }

    pub(crate) fn take(&mut self) -> Option<Word> {
        let word = self.words.get(self.next).cloned();
        self.next += usize::from(word.is_some());
        word
    }

    pub(crate) fn peek(&self) -> Option<&Word> {
        self.words.get(self.next)
    }

    /// The text of the word `ahead` of the next one.
    pub(crate) fn look(&self, ahead: usize) -> Option<&str> {
        self.words.get(self.next + ahead).map(|word| word.text.as_str())
    }

    /// Takes the next word if it is `text`.
    pub(crate) fn accept(&mut self, text: &str) -> bool {
        let found = self.look(0) == Some(text);
        self.next += usize::from(found);
        found
    }

    /// The next word, or an error that says what was expected at the end of the line.
    pub(crate) fn expect(&mut self, what: &str) -> Result<Word, Diagnostic> {
        let here = Span::new(self.end, self.end + 1);
        self.take()
            .ok_or_else(|| Diagnostic::error(here, "missing-word", format!("expected {what} here")))
    }

    pub(crate) fn number(&mut self, what: &str, least: u64, most: u64) -> Result<u64, Diagnostic> {
        self.expect(what)?.number(what, least, most)
    }

    /// The next word and the time that it is.
    pub(crate) fn time(&mut self, unit: Unit) -> Result<(Word, Duration), Diagnostic> {
        let word = self.expect("a time")?;
        let (time, rest) = word.time(unit)?;
        if !rest.is_empty() {
            let text = &word.text;
            let read = &text[..text.len() - rest.len()];
            let message = format!("`{text}` is read as `{read}`; HAProxy will refuse it one day");
            let finding = Diagnostic::warning(word.span, "long-unit", message);
            let help = format!("write `{read}`");
            // A place of another length is quoted, or holds a variable.
            let is_plain = word.span.end - word.span.start == text.len();
            let finding = if is_plain { finding.fix_here(read) } else { finding };
            self.report(finding.help(help));
        }
        Ok((word, time))
    }

    pub(crate) fn count(&mut self, what: &str, least: u32) -> Result<u32, Diagnostic> {
        let most = u64::from(i32::MAX.unsigned_abs());
        let number = self.number(what, u64::from(least), most)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// All words that are left.
    pub(crate) fn rest(&mut self) -> Vec<Word> {
        let rest = self.words[self.next.min(self.words.len())..].to_vec();
        self.next = self.words.len();
        rest
    }

    /// The place of all words that are left, or of the end of the line.
    pub(crate) fn span(&self) -> Span {
        match (self.words.get(self.next), self.words.last()) {
            (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
            _ => Span::new(self.end, self.end + 1),
        }
    }

    /// The texts of the words taken so far.
    pub(crate) fn taken(&self) -> impl Iterator<Item = &str> {
        self.words[..self.next].iter().map(|word| word.text.as_str())
    }

    /// The place of the words taken so far.
    pub(crate) fn head(&self) -> Span {
        match (self.words.first(), self.words.get(self.next.saturating_sub(1))) {
            (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
            _ => Span::new(self.end, self.end + 1),
        }
    }

    pub(crate) fn whole(&self) -> Span {
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
            _ => Span::new(self.end, self.end + 1),
        }
    }

    /// Words behind the last one that means something are mistakes.
    pub(crate) fn finish(&mut self) {
        if let Some(word) = self.peek().cloned() {
            let span = self.span();
            self.next = self.words.len();
            self.report(Diagnostic::error(
                span,
                "extra-word",
                format!("nothing is expected here, found `{}`", word.text),
            ));
        }
    }

    pub(crate) fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding.in_file(self.file));
        limit(self.findings);
    }

    /// A line that reports to the same list, for a statement inside the block.
    pub(crate) fn inner(&mut self, statement: Statement) -> Line<'_> {
        let Statement { words, block, end } = statement;
        Line { block, ..Line::new(words, self.file, end, self.findings) }
    }

    pub(crate) fn file(&self) -> usize {
        self.file
    }
}
