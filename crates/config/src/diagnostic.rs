//! A mistake in a file, as the operator sees it.

use base::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Known to the peer, not run by us yet: fine in `check`, refused in `run`.
    Note,
    /// Legal and probably not meant.
    Warning,
    Error,
}

impl Severity {
    /// As in `--json` and at the head of each finding.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding in one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Position in the list of files given.
    pub file: usize,
    pub span: Span,
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Stable name for `--json` and for lint rules, e.g. `unknown-keyword`, `check-socket`.
    pub code: &'static str,
    /// A change that is surely meant, so that a machine may make it.
    pub fix: Option<Box<Fix>>,
    /// Its place is a password, or has one: neither the place nor the change is shown.
    pub is_secret: bool,
}

/// Text in place of other text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fix {
    /// Position in the list of files given, behind them of check scripts; none: the finding's file.
    pub file: Option<usize>,
    /// What goes; empty where something is only put in.
    pub span: Span,
    pub text: String,
}

/// Nobody reads more findings than this of one start.
pub(crate) const MAX_FINDINGS: usize = 1000;

/// A message or help repeats words of the file; longer ones say no more (bytes).
const MAX_TEXT: usize = 1000;

/// The code of a keyword that the peer knows and we do not run yet.
pub const NOT_RUN_YET: &str = "not-run-yet";

impl Diagnostic {
    /// A mistake; the parser that reports it fills in the file.
    #[must_use]
    pub fn error(span: Span, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: 0,
            span,
            message: shown(message.into()),
            help: None,
            code,
            fix: None,
            is_secret: false,
        }
    }

    #[must_use]
    pub fn warning(span: Span, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, code, message) }
    }

    #[must_use]
    pub fn note(span: Span, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(span, code, message) }
    }

    /// `what` belongs to the language and is not run yet.
    #[must_use]
    pub fn not_yet(span: Span, what: impl std::fmt::Display) -> Self {
        Self::note(span, NOT_RUN_YET, format!("{what} is not run yet"))
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shown(help.into()));
        self
    }

    #[must_use]
    pub(crate) fn help_if_none(self, help: impl FnOnce() -> String) -> Self {
        if self.help.is_some() { self } else { self.help(help()) }
    }

    /// `text` in place of `span`, in the same file, is surely meant.
    #[must_use]
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Self {
        self.fix = Some(Box::new(Fix { file: None, span, text: text.into() }));
        self
    }

    /// `text` in place of the place of this finding is surely meant.
    #[must_use]
    pub fn fix_here(self, text: impl Into<String>) -> Self {
        let span = self.span;
        self.fix(span, text)
    }

    /// The change is in another file than the finding.
    #[must_use]
    pub fn fix_in(mut self, file: usize) -> Self {
        if let Some(fix) = &mut self.fix {
            fix.file = Some(file);
        }
        self
    }

    #[must_use]
    pub fn in_file(mut self, file: usize) -> Self {
        self.file = file;
        self
    }
}

/// A text on one line, of bounded length, in which nothing gets at the operator's terminal.
fn shown(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
    if text.contains(char::is_control) {
        text = text.replace(['\n', '\t'], " ").replace(char::is_control, "\u{fffd}");
    }
    text
}

/// Keeps the first findings; one more stands for all the others, as grave as the gravest of them.
pub(crate) fn limit(findings: &mut Vec<Diagnostic>) {
    if findings.len() <= MAX_FINDINGS + 1 {
        return;
    }
    let others = findings.split_off(MAX_FINDINGS);
    let gravest = others.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Error);
    // What may not be run must not be forgotten.
    let refused = others.iter().any(|finding| finding.code == NOT_RUN_YET);
    let code = if refused { NOT_RUN_YET } else { "too-many" };
    let Diagnostic { span, file, .. } = others[0];
    let message = format!("more than {MAX_FINDINGS} findings: the others are not shown");
    let last = Diagnostic::error(span, code, message).in_file(file);
    findings.push(Diagnostic { severity: gravest, ..last });
}

/// There are so many mistakes that looking for more helps nobody: the rest need not be read.
pub(crate) fn is_hopeless(findings: &[Diagnostic]) -> bool {
    let error = |finding: &Diagnostic| finding.severity == Severity::Error;
    findings.len() > MAX_FINDINGS && findings.last().is_some_and(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_of_what_is_left_out_is_not_forgotten() {
        let span = Span::new(0, 1);
        let mut findings = vec![Diagnostic::note(span, "a", "x"); MAX_FINDINGS + 10];
        findings.push(Diagnostic::error(span, "b", "y"));
        findings.push(Diagnostic::not_yet(span, "z"));
        limit(&mut findings);
        findings.extend(vec![Diagnostic::note(span, "a", "x"); 5]);
        limit(&mut findings);
        assert_eq!(findings.len(), MAX_FINDINGS + 1);
        let last = findings.last().unwrap();
        assert_eq!((last.severity, last.code), (Severity::Error, NOT_RUN_YET));
    }

    #[test]
    fn a_message_is_one_short_line_without_control_characters() {
        let finding = Diagnostic::error(Span::new(0, 1), "a", "é\u{1b}[2J\n".repeat(1000));
        assert!(finding.message.len() < MAX_TEXT * 2);
        assert!(!finding.message.contains(char::is_control));
    }
}
