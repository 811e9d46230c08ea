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
}
