//! `outlast config check`: what is wrong with files, without running them.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ::config::cluster::Cluster;
use ::config::{Diagnostic, Kind, Loaded, Severity, Source, recognise};
use serde::Serialize;

/// Check haproxy.cfg, keepalived.conf and outlast.toml, in any mixture
///
/// The language of each file is recognised by its content. Files that an outlast.toml names are
/// read too. Exit code 1 if something is wrong; notes and warnings are not wrong.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of one configuration; several in HAProxy's language are one
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Show every note, also those that say the same of several places
    #[arg(long)]
    all: bool,
}

/// A check script longer than this is not looked into.
const MAX_SCRIPT: u64 = 64 * 1024;

/// Runs the subcommand; the exit code: 0 nothing wrong, 1 something is, or a file cannot be read.
pub fn run(args: &Args, out: &mut impl Write) -> u8 {
    let (sources, unreadable) = read_all(&args.files);
    let loaded = ::config::load_with(sources, &script);
    let written = if args.json {
        json(out, &loaded, &unreadable)
    } else {
        text(out, &loaded, &unreadable, args.all)
    };
    match written {
        // Whoever reads our output may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 1,
        _ => u8::from(loaded.has_errors() || !unreadable.is_empty()),
    }
}

struct Unreadable {
    path: PathBuf,
    why: String,
}

/// All files given, and those that a cluster file among them names.
fn read_all(files: &[PathBuf]) -> (Vec<Source>, Vec<Unreadable>) {
    let (mut sources, mut unreadable) = (Vec::new(), Vec::new());
    let mut wanted: Vec<PathBuf> = files.to_vec();
    let mut at = 0;
    while let Some(path) = wanted.get(at).cloned() {
        at += 1;
        match fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let source = Source { path: path.display().to_string(), text };
                // Only files that the operator gave may name others.
                if at <= files.len() && recognise(&source) == Kind::Cluster {
                    let named = named(&source, &path);
                    wanted.extend(named.into_iter().filter(|file| !is_among(file, files)));
                }
                sources.push(source);
            }
            Err(error) => unreadable.push(Unreadable { path, why: error.to_string() }),
        }
    }
    (sources, unreadable)
}

fn named(source: &Source, path: &Path) -> Vec<PathBuf> {
    let Some(cluster) = ::config::cluster::parse(source, 0).0 else { return Vec::new() };
    let files = [cluster.haproxy, cluster.keepalived].into_iter().flatten();
    files.map(|file| Cluster::beside(path, &file)).collect()
}

fn is_among(file: &Path, files: &[PathBuf]) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    files.iter().any(|known| real(known) == real(file))
}

/// The text of a check script, for the lint.
fn script(path: &str) -> Option<String> {
    let length = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len();
    (length <= MAX_SCRIPT).then(|| fs::read_to_string(path).ok())?
}

fn text(
    out: &mut impl Write,
    loaded: &Loaded,
    unreadable: &[Unreadable],
    all: bool,
) -> io::Result<()> {
    for Unreadable { path, why } in unreadable {
        writeln!(out, "error[unreadable]: cannot read {}: {why}\n", path.display())?;
    }
    let shown = if all { loaded.diagnostics.clone() } else { grouped(&loaded.diagnostics) };
    let rendered = ::config::render(&loaded.sources, &shown);
    out.write_all(rendered.as_bytes())?;
    if shown.len() < loaded.diagnostics.len() {
        writeln!(out, "notes that say the same are shown once; --all shows them all")?;
    }
    if rendered.is_empty() && unreadable.is_empty() {
        let files = loaded.sources.len();
        writeln!(out, "{files} file{} checked, nothing to say", if files == 1 { "" } else { "s" })?;
    }
    Ok(())
}

/// Notes that say the same of several places become one.
fn grouped(findings: &[Diagnostic]) -> Vec<Diagnostic> {
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

#[derive(Serialize)]
struct Report<'a> {
    errors: usize,
    warnings: usize,
    notes: usize,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    severity: &'a str,
    code: &'a str,
    file: String,
    line: usize,
    column: usize,
    /// The word underlined.
    word: &'a str,
    message: &'a str,
    help: Option<&'a str>,
}

fn json(out: &mut impl Write, loaded: &Loaded, unreadable: &[Unreadable]) -> io::Result<()> {
    let count =
        |severity| loaded.diagnostics.iter().filter(|finding| finding.severity == severity).count();
    let of_files = unreadable.iter().map(|file| Finding {
        severity: "error",
        code: "unreadable",
        file: file.path.display().to_string(),
        line: 0,
        column: 0,
        word: "",
        message: &file.why,
        help: None,
    });
    let report = Report {
        errors: count(Severity::Error) + unreadable.len(),
        warnings: count(Severity::Warning),
        notes: count(Severity::Note),
        findings: of_files
            .chain(loaded.diagnostics.iter().filter_map(|f| finding(loaded, f)))
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

fn finding<'a>(loaded: &'a Loaded, found: &'a Diagnostic) -> Option<Finding<'a>> {
    let source = loaded.sources.get(found.file)?;
    let place = ::config::place(&source.text, found.span.start);
    Some(Finding {
        severity: found.severity.name(),
        code: found.code,
        file: source.path.clone(),
        line: place.line,
        column: place.column,
        word: source.text.get(found.span.start..found.span.end).unwrap_or_default(),
        message: &found.message,
        help: found.help.as_deref(),
    })
}

#[cfg(test)]
mod tests;
