//! `outlast config diff`: what changes between two configurations, and what that takes.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ::config::diff::{Altered, Change, How, Needs};
use ::config::{Loaded, Severity};
use serde::Serialize;

use super::files;
use crate::EXIT_CODES;

/// Say what changes between two configurations, item by item, and the mildest thing that makes it so
///
/// Each side is a file or a folder, as for `check`; a cluster file brings the files that it names.
/// Comments and the order of lines without meaning are no change; passwords are told as changed and
/// not shown. Items that change in the same way are one entry; --json has each. Files that are only named (secrets, scripts) are not looked into. Exit code as
/// diff(1): 0 the same, 1 something changes, 2 a side has errors or cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct Args {
    /// What runs now
    pub(super) old: PathBuf,
    /// What is meant to run
    pub(super) new: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the subcommand; the exit code: 0 the same, 1 it changes, 2 a side is no configuration.
pub(super) fn run(args: &Args, out: &mut impl Write) -> u8 {
    match compared(args, out, &mut io::stderr()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 2,
        // Whoever reads our output may have seen enough.
        Err(_) => 1,
        Ok(code) => code,
    }
}

/// The same, with what is wrong to `complaints`.
pub(super) fn compared(
    args: &Args,
    out: &mut impl Write,
    complaints: &mut impl Write,
) -> io::Result<u8> {
    let Args { old, new, json } = args;
    let sides = [side(old, complaints)?, side(new, complaints)?];
    let [Some(old), Some(new)] = sides else { return Ok(2) };
    let changes = ::config::diff::diff(&old, &new);
    let cautions = ::config::diff::cautions(&old, &new);
    if *json {
        write_json(out, &changes, &cautions)?;
    } else {
        write_text(out, &changes)?;
        write_cautions(out, &cautions)?;
    }
    Ok(u8::from(!changes.is_empty()))
}

/// One side; none if it is no configuration, which has been told then.
fn side(path: &Path, complaints: &mut impl Write) -> io::Result<Option<Loaded>> {
    let here = files::Here::new(None);
    let files = files::read_all(&[path.to_owned()], files::Folder::Whole, &here);
    for file in &files.unreadable {
        let path = file.path.display();
        writeln!(complaints, "error[unreadable]: cannot read {path}: {}", file.why)?;
    }
    if !files.unreadable.is_empty() {
        return Ok(None);
    }
    if files.sources.is_empty() {
        writeln!(complaints, "error[unreadable]: {} is no configuration", path.display())?;
        return Ok(None);
    }
    let loaded = ::config::load_with(files.sources, here.around());
    let wrong = loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let wrong: Vec<_> = wrong.cloned().collect();
    if wrong.is_empty() {
        return Ok(Some(loaded));
    }
    complaints.write_all(::config::render(&loaded.sources, &wrong).as_bytes())?;
    Ok(None)
}

/// What a node does for all of them; each once, the mildest first.
fn needs(changes: &[Change]) -> Vec<Needs> {
    let each = changes.iter().flat_map(|change| match &change.how {
        How::Added | How::Removed => vec![change.needs],
        How::Altered(fields) => fields.iter().map(|field| field.needs).collect(),
    });
    each.collect::<BTreeSet<_>>().into_iter().collect()
}

/// So many items with the same change are named; of the others the number is told.
const NAMED: usize = 3;

/// Items that change in the same way, at the place of the first of them; what comes or goes has a line of its own.
fn alike(changes: &[Change]) -> Vec<(&Change, Vec<&str>)> {
    let mut groups: Vec<(&Change, Vec<&str>)> = vec![];
    for change in changes {
        let is_same = |(first, _): &&mut (&Change, Vec<&str>)| {
            matches!(change.how, How::Altered(_))
                && (&first.how, first.needs) == (&change.how, change.needs)
        };
        match groups.iter_mut().find(is_same) {
            Some((_, names)) => names.push(&change.object),
            None => groups.push((change, vec![&change.object])),
        }
    }
    groups
}

/// `proxy/a`, `proxy/a, proxy/b`, `proxy/a, proxy/b, proxy/c and 13 more`.
fn named(names: &[&str]) -> String {
    match names.len().checked_sub(NAMED) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

/// The changes as a list for people.
pub(crate) fn write_text(out: &mut impl Write, changes: &[Change]) -> io::Result<()> {
    for (Change { how, needs, .. }, names) in alike(changes) {
        let object = named(&names);
        let sign = match how {
            How::Added => '+',
            How::Removed => '-',
            How::Altered(_) => '~',
        };
        writeln!(out, "{sign} {object}: {}", needs.means())?;
        let How::Altered(fields) = how else { continue };
        for Altered { field, old, new, needs: _ } in fields {
            writeln!(out, "    {field}: {old} -> {new}")?;
        }
    }
    match changes.len() {
        0 => return writeln!(out, "nothing changes"),
        1 => write!(out, "\n1 change. ")?,
        number => write!(out, "\n{number} changes. ")?,
    }
    let needs: Vec<&str> = needs(changes).into_iter().map(Needs::means).collect();
    writeln!(out, "What that takes: {}", needs.join("; "))
}

#[derive(Serialize)]
struct Report<'a> {
    needs: Vec<&'static str>,
    changes: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    cautions: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    object: &'a str,
    how: &'static str,
    needs: &'static str,
    fields: Vec<FieldRow<'a>>,
}

#[derive(Serialize)]
struct FieldRow<'a> {
    field: &'a str,
    old: &'a str,
    new: &'a str,
    needs: &'static str,
}

/// What the changes do not show.
pub(super) fn write_cautions(out: &mut impl Write, cautions: &[String]) -> io::Result<()> {
    cautions.iter().try_for_each(|caution| writeln!(out, "caution: {caution}"))
}

fn write_json(out: &mut impl Write, changes: &[Change], cautions: &[String]) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &report(changes, cautions))?;
    writeln!(out)
}

/// The same as part of another answer.
pub(super) fn as_json(changes: &[Change], cautions: &[String]) -> serde_json::Value {
    serde_json::to_value(report(changes, cautions)).unwrap_or_default()
}

fn report<'a>(changes: &'a [Change], cautions: &'a [String]) -> Report<'a> {
    fn row(change: &Change) -> Row<'_> {
        let Change { object, how, needs } = change;
        let (how, fields) = match how {
            How::Added => ("added", &[][..]),
            How::Removed => ("removed", &[][..]),
            How::Altered(fields) => ("altered", fields.as_slice()),
        };
        let fields = fields.iter().map(|altered| {
            let Altered { field, old, new, needs } = altered;
            FieldRow { field, old, new, needs: needs.name() }
        });
        Row { object, how, needs: needs.name(), fields: fields.collect() }
    }
    Report {
        needs: needs(changes).into_iter().map(Needs::name).collect(),
        changes: changes.iter().map(row).collect(),
        cautions,
    }
}

#[cfg(test)]
mod tests;
