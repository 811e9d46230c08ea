//! `outlast config explain`: what a keyword means.

use std::io::{self, Write};

use ::config::explain::{Explained, Fate, explain, meant};
use serde::Serialize;

use crate::EXIT_CODES;

/// Explain a keyword of haproxy.cfg, keepalived.conf or outlast.toml
///
/// The first letters are enough, and the second word of two: `explain timeout`, `explain httplog`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct Args {
    /// The keyword, as it is written in a file
    #[arg(required = true)]
    pub(super) keyword: Vec<String>,
    /// A JSON list instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// More rows than this are named only.
const MOST_TOLD: usize = 12;

/// Runs the subcommand; the exit code: 0 known, 2 unknown.
pub(super) fn run(args: &Args, out: &mut impl Write) -> u8 {
    let word = args.keyword.join(" ");
    let rows = explain(&word);
    let written = if args.json {
        json(out, &rows)
    } else if rows.is_empty() {
        unknown(out, &word)
    } else {
        text(out, &rows)
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 2,
        _ if rows.is_empty() => 2,
        _ => 0,
    }
}

fn unknown(out: &mut impl Write, word: &str) -> io::Result<()> {
    writeln!(out, "no language has the keyword `{word}`")?;
    match meant(word) {
        Some(near) => writeln!(out, "did you mean `{near}`?"),
        None => Ok(()),
    }
}

fn text(out: &mut impl Write, rows: &[Explained]) -> io::Result<()> {
    if rows.len() > MOST_TOLD {
        for row in rows {
            writeln!(out, "{}: {} ({})", row.language, row.name, row.place)?;
        }
        return writeln!(out, "\n{} keywords; write one of them for more", rows.len());
    }
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        one(out, row)?;
    }
    Ok(())
}

fn one(out: &mut impl Write, row: &Explained) -> io::Result<()> {
    let glue = if row.language == "outlast.toml" { " = " } else { " " };
    let syntax =
        if row.syntax.is_empty() { String::new() } else { format!("{glue}{}", row.syntax) };
    let no = if row.negatable { "[no] " } else { "" };
    writeln!(out, "{no}{}{syntax}", row.name)?;
    writeln!(out, "  language  {}", row.language)?;
    writeln!(out, "  stands in {}", row.place)?;
    if !row.does.is_empty() {
        let label = match row.fate {
            Fate::Accepted => "why      ",
            Fate::Gone => "instead  ",
            Fate::Runs | Fate::NotYet => "effect   ",
        };
        writeln!(out, "  {label} {}", row.does)?;
    }
    if row.required {
        writeln!(out, "  default   none: it must be there")?;
    } else if !row.default.is_empty() {
        writeln!(out, "  default   {}", row.default)?;
    }
    writeln!(out, "  outlast   {}", row.fate.name())
}

#[derive(Serialize)]
struct Row<'a> {
    language: &'a str,
    place: &'a str,
    name: &'a str,
    syntax: &'a str,
    default: &'a str,
    does: &'a str,
    /// `runs`, `accepted`, `not-yet` or `gone`.
    fate: &'a str,
    negatable: bool,
    required: bool,
}

fn json(out: &mut impl Write, rows: &[Explained]) -> io::Result<()> {
    let row = |row: &'_ Explained| {
        serde_json::to_value(Row {
            language: row.language,
            place: &row.place,
            name: &row.name,
            syntax: row.syntax,
            default: row.default,
            does: row.does,
            fate: match row.fate {
                Fate::Runs => "runs",
                Fate::Accepted => "accepted",
                Fate::NotYet => "not-yet",
                Fate::Gone => "gone",
            },
            negatable: row.negatable,
            required: row.required,
        })
    };
    let rows: Result<Vec<_>, _> = rows.iter().map(row).collect();
    serde_json::to_writer_pretty(&mut *out, &rows?)?;
    writeln!(out)
}
