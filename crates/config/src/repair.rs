//! Repairs what is surely meant otherwise: the changes that findings carry, and nothing else.

use std::collections::BTreeMap;

use base::Span;

use crate::{Around, Diagnostic, Loaded, Severity, Source, load_with};

/// A repair may uncover the next mistake; more rounds than this no file has needed.
const MAX_ROUNDS: usize = 8;

/// What became of the files.
#[derive(Clone, Debug, Default)]
pub struct Repair {
    /// Files that changed, with their new text: those given first, then check scripts.
    pub files: Vec<Source>,
    pub changes: Vec<Change>,
    /// The files after the repair, with what is left to say.
    pub loaded: Loaded,
}

/// One place that changed: whole lines, so that it can be read by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    pub path: String,
    /// Of the first line, counted from 1, when the change was made.
    pub line: usize,
    pub before: String,
    pub after: String,
    /// What was wrong, one per mistake in these lines.
    pub reasons: Vec<String>,
}

/// One change, with the file and the finding that asks for it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Edit {
    file: usize,
    span: Span,
    text: String,
    reason: String,
}

/// Makes every sure change in the files; `around` gets the texts of check scripts.
#[must_use]
pub fn repair(sources: Vec<Source>, around: Around<'_>) -> Repair {
    let original = sources.clone();
    let mut scripts: BTreeMap<String, String> = BTreeMap::new();
    let mut changes = Vec::new();
    let mut loaded = check(sources, &scripts, around);
    for _ in 0..MAX_ROUNDS {
        let wanted = edits(&loaded);
        let Some((made, next)) = best(&loaded, &wanted, &mut scripts, around) else { break };
        changes.extend(told(&loaded, &made));
        loaded = next;
    }
    let changed = |source: &&Source| !original.contains(source);
    let mut files: Vec<Source> = loaded.sources.iter().filter(changed).cloned().collect();
    files.extend(scripts.into_iter().map(|(path, text)| Source { path, text }));
    Repair { files, changes, loaded }
}

fn check(sources: Vec<Source>, scripts: &BTreeMap<String, String>, around: Around<'_>) -> Loaded {
    let script = |path: &str| scripts.get(path).cloned().or_else(|| (around.script)(path));
    load_with(sources, Around { script: &script, ..around })
}

/// All edits together; if they do more harm than good, those of them that do none.
fn best(
    loaded: &Loaded,
    wanted: &[Edit],
    scripts: &mut BTreeMap<String, String>,
    around: Around<'_>,
) -> Option<(Vec<Edit>, Loaded)> {
    if wanted.is_empty() {
        return None;
    }
    let mut attempt = |edits: &[Edit]| {
        let mut tried = scripts.clone();
        let sources = apply(loaded, edits, &mut tried);
        let next = check(sources, &tried, around);
        (errors(&next) <= errors(loaded)).then(|| {
            *scripts = tried;
            next
        })
    };
    if let Some(next) = attempt(wanted) {
        return Some((wanted.to_vec(), next));
    }
    // Alone each of them must do no harm; then together, or only the first.
    let harmless: Vec<Edit> = {
        let alone = |edit: &&Edit| {
            let mut tried = BTreeMap::new();
            let sources = apply(loaded, std::slice::from_ref(*edit), &mut tried);
            errors(&check(sources, &tried, around)) <= errors(loaded)
        };
        wanted.iter().filter(alone).cloned().collect()
    };
    if harmless.is_empty() {
        return None;
    }
    match attempt(&harmless) {
        Some(next) => Some((harmless, next)),
        None => attempt(&harmless[..1]).map(|next| (harmless[..1].to_vec(), next)),
    }
}

fn errors(loaded: &Loaded) -> usize {
    let is_error = |finding: &&Diagnostic| finding.severity == Severity::Error;
    loaded.diagnostics.iter().filter(is_error).count()
}

/// What the findings ask for, without what overlaps.
fn edits(loaded: &Loaded) -> Vec<Edit> {
    let mut found: Vec<Edit> = loaded
        .diagnostics
        .iter()
        .filter_map(|finding| {
            let fix = finding.fix.as_ref()?;
            let file = fix.file.unwrap_or(finding.file);
            let (span, text) = (fix.span, fix.text.clone());
            let current = source(loaded, file)?.text.get(span.start..span.end)?;
            let reason = finding.message.clone();
            (current != text).then_some(Edit { file, span, text, reason })
        })
        .collect();
    found.sort_by_key(|edit| (edit.file, edit.span.start, edit.span.end));
    let mut kept: Vec<Edit> = Vec::new();
    for edit in found {
        let meets = kept.last().is_some_and(|last| {
            last.file == edit.file
                && (edit.span.start < last.span.end || edit.span.start == last.span.start)
        });
        if !meets {
            kept.push(edit);
        }
    }
    kept
}

/// A file of the configuration, or a check script behind them.
fn source(loaded: &Loaded, file: usize) -> Option<&Source> {
    loaded.sources.iter().chain(&loaded.scripts).nth(file)
}

fn apply(loaded: &Loaded, edits: &[Edit], scripts: &mut BTreeMap<String, String>) -> Vec<Source> {
    let mut sources = loaded.sources.clone();
    let mut others: Vec<Source> = loaded.scripts.clone();
    for edit in edits.iter().rev() {
        let given = sources.len();
        let target = match edit.file.checked_sub(given) {
            None => sources.get_mut(edit.file),
            Some(script) => others.get_mut(script),
        };
        if let Some(source) = target {
            source.text.replace_range(edit.span.start..edit.span.end, &edit.text);
        }
    }
    for (new, old) in others.into_iter().zip(&loaded.scripts) {
        if new != *old {
            scripts.insert(new.path, new.text);
        }
    }
    sources
}

/// The edits as whole lines; those of one line are one change.
fn told(loaded: &Loaded, edits: &[Edit]) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    let mut open: Option<(usize, usize, usize)> = None;
    for (at, edit) in edits.iter().enumerate() {
        let Some(source) = source(loaded, edit.file) else { continue };
        let (start, end) = lines_of(&source.text, edit.span);
        if open == Some((edit.file, start, end)) {
            if let Some(change) = found.last_mut() {
                change.reasons.push(edit.reason.clone());
            }
            continue;
        }
        let here = edits[at..].iter().take_while(|other| {
            other.file == edit.file && lines_of(&source.text, other.span) == (start, end)
        });
        let mut after = source.text[start..end].to_owned();
        for other in here.collect::<Vec<_>>().into_iter().rev() {
            let range = other.span.start - start..other.span.end - start;
            after.replace_range(range, &other.text);
        }
        found.push(Change {
            path: source.path.clone(),
            line: source.text[..start].matches('\n').count() + 1,
            before: source.text[start..end].to_owned(),
            after,
            reasons: vec![edit.reason.clone()],
        });
        open = Some((edit.file, start, end));
    }
    found
}

/// The whole lines around a place, without the last line break.
fn lines_of(text: &str, span: Span) -> (usize, usize) {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at);
    (start, end)
}
