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
            message: message.into(),
            help: None,
            code,
            fix: None,
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
        self.help = Some(help.into());
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
