//! `outlast config check`: what is wrong with files.

use std::io::{self, Write};
use std::path::PathBuf;

use ::config::{Diagnostic, Kind, Loaded, Severity, Source, recognise};
use serde::Serialize;

use super::files::{self, Files, Folder, Here, Secret, Unreadable};
use super::{keys, repair};
use crate::EXIT_CODES;

/// Check haproxy.cfg, keepalived.conf and outlast.toml, in any mixture
///
/// The language of each file is recognised by its content. A folder stands for its *.cfg,
/// keepalived.conf and outlast.toml; what else looks like a configuration in it is named. Files that an outlast.toml names are read too. Exit code 1 if something is wrong,
/// 2 if a file cannot be read or nothing was checked; notes and warnings are not wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct Args {
    /// Files or folders of one configuration; several in HAProxy's language are one
    #[arg(required = true)]
    pub(super) files: Vec<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
    /// Show every note, also those that say the same of several places
    #[arg(long)]
    pub(super) all: bool,
    /// Write repaired files beside the originals, as FILE.repaired: only what is surely meant
    /// otherwise is changed, and each change is shown
    #[arg(long, conflicts_with = "json")]
    pub(super) repair: bool,
    /// With --repair: the folder for the repaired files, under their own names
    #[arg(short, long, value_name = "DIR", requires = "repair")]
    pub(super) output: Option<PathBuf>,
    /// The name of which `@name` are the lines of keepalived.conf [default: this machine's, up to the first dot]
    #[arg(short = 'i', long, value_name = "NAME")]
    pub(super) config_id: Option<String>,
}

/// Runs the subcommand; the exit code: 0 nothing wrong, 1 something is, 2 not all could be checked.
pub(super) fn run(args: &Args, out: &mut impl Write) -> u8 {
    let here = Here::new(args.config_id.as_deref());
    let files = files::read_all(&args.files, Folder::Whole, &here);
    if args.repair {
        return repair::run(args, files, out);
    }
    let found = look(&files, &here);
    let all_read = files.unreadable.is_empty() && !files.sources.is_empty();
    let written =
        if args.json { json(out, &found, &files) } else { text(out, &found, &files, args.all) };
    match written {
        // Whoever reads our output may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 2,
        _ if !all_read => 2,
        _ => u8::from(found.has_errors()),
    }
}

/// All findings about the files, and whether two starts are described.
pub(super) fn look(files: &Files, here: &Here) -> Loaded {
    let mut loaded = ::config::load_with(files.sources.clone(), here.around());
    if is_another_start(&loaded) {
        let (cluster, keepalived) = (loaded.cluster_file, loaded.keepalived_file);
        let start =
            |left_out| ::config::load_without(files.sources.clone(), Some(left_out), here.around());
        loaded = start(keepalived);
        for finding in start(cluster).diagnostics {
            if !loaded.diagnostics.contains(&finding) {
                loaded.diagnostics.push(finding);
            }
        }
        let message = "this file and the cluster file hold the same virtual IPs: each was checked \
                       as a start of its own";
        let note = Diagnostic::note(first_line(&files.sources[keepalived]), "two-starts", message);
        loaded.diagnostics.push(note.in_file(keepalived));
    }
    loaded.diagnostics.extend(files.secrets.iter().map(|secret| told(secret, &files.sources)));
    let keys = keys::look(&loaded);
    loaded.diagnostics.extend(keys);
    loaded.diagnostics.sort_by_key(|finding| (finding.file, finding.span.start));
    loaded
}

/// Whether keepalived's file says the same as the cluster file, which does not name it.
fn is_another_start(loaded: &Loaded) -> bool {
    let (Some(cluster), Some(keepalived)) = (&loaded.cluster, &loaded.keepalived) else {
        return false;
    };
    let mut instances = keepalived.instances.iter();
    let held = |ip| cluster.vips.iter().any(|vip| vip.addresses.contains(&ip));
    cluster.keepalived.is_none()
        && !keepalived.instances.is_empty()
        && instances.all(|instance| instance.addresses.iter().all(|address| held(address.ip)))
}

fn first_line(source: &Source) -> base::Span {
    let line = source.text.lines().position(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(['#', '!'])
    });
    let start: usize =
        source.text.split_inclusive('\n').take(line.unwrap_or(0)).map(str::len).sum();
    let rest = source.text.get(start..).unwrap_or_default();
    let indent = rest.len() - rest.trim_start().len();
    let length = rest.trim_start().find(['\n', '\r']).unwrap_or(0);
    base::Span::new(start + indent, start + indent + length)
}

/// `run` would not start with this secret or trust folder; here the file may be of another machine.
fn told(secret: &Secret, sources: &[Source]) -> Diagnostic {
    let text = sources.get(secret.file).map_or("", |source| source.text.as_str());
    let Secret { field, code, .. } = secret;
    let start = text.find(field).unwrap_or(0);
    let message = format!("{} {}", secret.path.display(), secret.why);
    let span = base::Span::new(start, (start + field.len()).min(text.len()));
    let help = format!("`outlast run` does not start so: {}", secret.help);
    Diagnostic::warning(span, code, message).help(help).in_file(secret.file)
}

fn text(out: &mut impl Write, loaded: &Loaded, files: &Files, all: bool) -> io::Result<()> {
    for Unreadable { path, why } in &files.unreadable {
        writeln!(out, "error[unreadable]: cannot read {}: {why}\n", path.display())?;
    }
    for (path, why) in &files.skipped {
        writeln!(out, "{}: {why}\n", path.display())?;
    }
    findings(out, loaded, all)?;
    let quiet = loaded.diagnostics.is_empty() && files.unreadable.is_empty();
    if files.sources.is_empty() {
        writeln!(out, "nothing was checked")?;
    } else if quiet {
        let files = files.sources.len();
        writeln!(out, "{files} file{} checked, nothing to say", if files == 1 { "" } else { "s" })?;
    }
    Ok(())
}

/// The findings, and what `run` would say to them.
pub(super) fn findings(out: &mut impl Write, loaded: &Loaded, all: bool) -> io::Result<()> {
    let shown = if all { loaded.diagnostics.clone() } else { ::config::once(&loaded.diagnostics) };
    out.write_all(::config::render(&loaded.sources, &shown).as_bytes())?;
    if shown.len() < loaded.diagnostics.len() {
        writeln!(out, "notes that say the same are shown once; --all shows them all")?;
    }
    if let Some(refusal) = refusal(loaded) {
        writeln!(out, "{refusal}")?;
    }
    Ok(())
}

/// What `outlast run` would say.
fn refusal(loaded: &Loaded) -> Option<String> {
    ::config::refusal(loaded).map(|why| format!("outlast run would refuse these files: {why}"))
}

#[derive(Serialize)]
struct Report<'a> {
    errors: usize,
    warnings: usize,
    notes: usize,
    /// What `outlast run` would say, or null.
    refused: Option<String>,
    /// Files that were not checked.
    skipped: Vec<String>,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    severity: &'a str,
    code: &'a str,
    file: String,
    line: usize,
    column: usize,
    /// The word underlined; `(secret)` for a password.
    word: &'a str,
    message: &'a str,
    help: Option<&'a str>,
    /// A change that is surely meant; none in a password.
    fix: Option<Change<'a>>,
}

/// `text` in place of the bytes from `start` to `end` of `file`.
#[derive(Serialize)]
struct Change<'a> {
    file: &'a str,
    start: usize,
    end: usize,
    text: &'a str,
}

fn json(out: &mut impl Write, loaded: &Loaded, files: &Files) -> io::Result<()> {
    let count =
        |severity| loaded.diagnostics.iter().filter(|finding| finding.severity == severity).count();
    let of_files = files.unreadable.iter().map(|file| Finding {
        severity: "error",
        code: "unreadable",
        file: file.path.display().to_string(),
        line: 0,
        column: 0,
        word: "",
        message: &file.why,
        help: None,
        fix: None,
    });
    let report = Report {
        errors: count(Severity::Error) + files.unreadable.len(),
        warnings: count(Severity::Warning),
        notes: count(Severity::Note),
        refused: refusal(loaded),
        skipped: files.skipped.iter().map(|(path, _)| path.display().to_string()).collect(),
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
    let fix = found.fix.as_ref().filter(|_| !found.is_secret);
    let fix = fix.and_then(|fix| {
        let file = fix.file.unwrap_or(found.file);
        let source = loaded.sources.iter().chain(&loaded.scripts).nth(file)?;
        let (start, end) = (fix.span.start, fix.span.end);
        Some(Change { file: &source.path, start, end, text: &fix.text })
    });
    let word = source.text.get(found.span.start..found.span.end).unwrap_or_default();
    Some(Finding {
        severity: found.severity.name(),
        code: found.code,
        file: source.path.clone(),
        line: place.line,
        column: place.column,
        word: if found.is_secret { ::config::HIDDEN } else { word },
        message: &found.message,
        help: found.help.as_deref(),
        fix,
    })
}

/// Whether a file of this language is among the sources.
pub(super) fn has(sources: &[Source], kind: Kind) -> bool {
    sources.iter().any(|source| recognise(source) == kind)
}
