//! What `outlast run` says to files: the same words in `check`, `run` and `demo`.

use std::collections::{BTreeSet, HashMap};

use crate::{Diagnostic, Loaded, NOT_RUN_YET, Severity, keepalived, place, render};

/// Why `outlast run` refuses the files: `1 error; 2 keywords not run yet, in 26 places`.
#[must_use]
pub fn refusal(loaded: &Loaded) -> Option<String> {
    let errors = loaded.diagnostics.iter().filter(|f| f.severity == Severity::Error).count();
    let refused: Vec<&Diagnostic> =
        loaded.diagnostics.iter().filter(|finding| finding.code == NOT_RUN_YET).collect();
    let keywords: BTreeSet<&str> = refused.iter().map(|found| found.message.as_str()).collect();
    let plural = |n: usize, one: &str, more: &str| match n {
        1 => format!("1 {one}"),
        _ => format!("{n} {more}"),
    };
    let mut why = Vec::new();
    if errors > 0 {
        why.push(plural(errors, "error", "errors"));
    }
    if !refused.is_empty() {
        let places = plural(refused.len(), "place", "places");
        let keywords = plural(keywords.len(), "keyword", "keywords");
        why.push(format!("{keywords} not run yet, in {places}"));
    }
    (!why.is_empty()).then(|| why.join("; "))
}

/// Notes that say the same of several places of a file become one.
#[must_use]
pub fn once(findings: &[Diagnostic]) -> Vec<Diagnostic> {
    let is_note = |finding: &&Diagnostic| finding.severity == Severity::Note;
    let mut counts: HashMap<(usize, &str), usize> = HashMap::new();
    for note in findings.iter().filter(is_note) {
        *counts.entry((note.file, note.message.as_str())).or_default() += 1;
    }
    let mut shown = Vec::new();
    for finding in findings {
        if finding.severity != Severity::Note {
            shown.push(finding.clone());
            continue;
        }
        // Taken out by the first of them, so that the others find nothing.
        if let Some(count) = counts.remove(&(finding.file, finding.message.as_str())) {
            let mut note = finding.clone();
            if count > 1 {
                note.message = format!("{} (in {count} places)", note.message);
            }
            shown.push(note);
        }
    }
    shown
}

/// Why files cannot run, in full and in one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The findings with their places, rendered; the last line sums them up.
    pub shown: String,
    /// The first finding with its file and line.
    pub first: String,
    /// A file that is included and has to be there is not.
    pub lacks_included: bool,
}

/// What is said of files that `outlast run` refuses: errors with warnings, or what is not run yet.
#[must_use]
pub fn refused(loaded: &Loaded) -> Option<Refused> {
    let why = refusal(loaded)?;
    let has_errors = loaded.has_errors();
    let is_told = |finding: &&Diagnostic| match has_errors {
        true => finding.severity > Severity::Note,
        false => finding.code == NOT_RUN_YET,
    };
    let told: Vec<Diagnostic> = loaded.diagnostics.iter().filter(is_told).cloned().collect();
    let told = once(&told);
    let gravest = told.iter().find(|finding| !has_errors || finding.severity == Severity::Error)?;
    let source = loaded.sources.get(gravest.file);
    let (path, line) = source.map_or(("", 0), |source| {
        (source.path.as_str(), place(&source.text, gravest.span.start).line)
    });
    Some(Refused {
        lacks_included: told.iter().any(|finding| finding.code == keepalived::MISSING),
        first: format!("{path}:{line}: {}; in all {why}", gravest.message),
        shown: format!("{}outlast run refuses these files: {why}", render(&loaded.sources, &told)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Source, load};

    fn of(text: &str) -> Option<Refused> {
        refused(&load(vec![Source { path: "lb.cfg".to_owned(), text: text.to_owned() }]))
    }

    const BACKEND: &str = "backend b\n timeout connect 1s\n timeout server 1s\n";

    #[test]
    fn a_keyword_not_run_yet_is_shown_once_and_is_no_error() {
        let servers = " server a 10.0.0.1:80 stick\n server b 10.0.0.2:80 stick\n";
        let said = of(&format!("{BACKEND}{servers}")).unwrap();
        assert_eq!(said.shown.matches(" --> ").count(), 1, "{}", said.shown);
        let sum = "outlast run refuses these files: 1 keyword not run yet, in 2 places";
        assert!(said.shown.ends_with(sum), "{}", said.shown);
        assert!(!said.shown.contains("error"), "{}", said.shown);
        assert!(said.first.starts_with("lb.cfg:4: `stick` of `server` is not run yet"));
    }

    #[test]
    fn errors_come_first_and_good_files_are_not_refused() {
        let said = of(&format!("{BACKEND} balanse source\n server a 10.0.0.1:80 stick\n")).unwrap();
        assert!(said.first.starts_with("lb.cfg:4: `balanse` is no keyword"), "{}", said.first);
        assert!(!said.first.contains('\n'));
        assert!(said.shown.contains("did you mean `balance`?"), "{}", said.shown);
        assert_eq!(of("global\n maxconn 3\n"), None);
    }
}
