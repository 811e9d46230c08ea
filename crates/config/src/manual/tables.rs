//! Rows of keyword tables as tables of Markdown.

use std::fmt::Write as _;

use super::{Keyword, Run, places};
use crate::cluster::{Field, REQUIRED};

/// A page while it is written.
pub(super) struct Page {
    pub(super) text: String,
    peer: &'static str,
}

impl Page {
    pub(super) fn new(title: &str, about: &str, peer: &'static str) -> Self {
        let text = format!(
            "# {title}\n\n<!-- written by a test from the keyword tables in crates/config; \
             UPDATE_EXPECT=1 rewrites it -->\n\n{about}\n\n\
             - *runs*: in the tables below, with default and effect.\n\
             - *accepted*: nothing needs to be done, for the reason given.\n\
             - *not yet*: a note in `outlast config check`, which stays successful; `outlast run` \
             refuses the file and names it.\n\
             - *gone*: {peer} refuses it too.\n\n\
             A word that is on no list is an error.\n\n"
        );
        Self { text, peer }
    }

    pub(super) fn table<T>(&mut self, title: &str, tables: &[&[Keyword<T>]], with_places: bool) {
        let rows = || tables.iter().flat_map(|table| table.iter());
        let _ = writeln!(self.text, "## {title}\n");
        let runs: Vec<&Keyword<T>> = rows().filter(|row| runs(row)).collect();
        if !runs.is_empty() {
            self.running(&runs, with_places);
        }
        let idle: Vec<&Keyword<T>> = rows().filter(|row| matches!(row.run, Run::Idle)).collect();
        if !idle.is_empty() {
            self.text.push_str("Accepted, nothing to do:\n\n| keyword | why |\n|---|---|\n");
            for row in idle {
                let _ = writeln!(self.text, "| `{}` | {} |", row.name, row.does);
            }
            self.text.push('\n');
        }
        let later: Vec<String> =
            rows().filter(|row| is_later(row)).map(|row| format!("`{}`", row.name)).collect();
        if !later.is_empty() {
            let _ = writeln!(self.text, "Not yet: {}.\n", later.join(", "));
        }
        let gone: Vec<&Keyword<T>> = rows().filter(|row| matches!(row.run, Run::Gone(_))).collect();
        if !gone.is_empty() {
            let _ = writeln!(
                self.text,
                "Gone from {}:\n\n| keyword | what to write |\n|---|---|",
                self.peer
            );
            for row in gone {
                let _ = writeln!(self.text, "| `{}` | {} |", row.name, row.does);
            }
            self.text.push('\n');
        }
    }

    fn running<T>(&mut self, rows: &[&Keyword<T>], with_places: bool) {
        let (head, line) = if with_places { (" where |", "---|") } else { ("", "") };
        let _ = writeln!(
            self.text,
            "| keyword | followed by | default |{head} effect |\n|---|---|---|{line}---|"
        );
        for row in rows {
            let no = if row.negatable { "[no] " } else { "" };
            let syntax = match row.syntax {
                "" => String::new(),
                syntax => format!("`{}`", syntax.replace('|', "\\|")),
            };
            let _ = write!(self.text, "| {no}`{}` | {syntax} | {} |", row.name, row.default);
            if with_places {
                let _ = write!(self.text, " {} |", letters(row.places));
            }
            let _ = writeln!(self.text, " {} |", row.does);
        }
        if with_places {
            self.text.push_str("\nWhere: D defaults, d defaults with a name, F frontend, ");
            self.text.push_str("L listen, B backend.\n");
        }
        self.text.push('\n');
    }

    pub(super) fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text.push('\n');
        self.text
    }
}

fn runs<T>(row: &Keyword<T>) -> bool {
    !is_later(row) && matches!(row.run, Run::Now(_) | Run::Flag(_) | Run::Time(_))
}

/// Some rows are read to find typing errors in them, and not run for all that.
fn is_later<T>(row: &Keyword<T>) -> bool {
    matches!(row.run, Run::Later(_) | Run::Checked(_)) || row.does == crate::haproxy::CHECKED_ONLY
}

fn letters(at: u8) -> String {
    let all = [
        (places::DEFAULTS, 'D'),
        (places::NAMED, 'd'),
        (places::FRONTEND, 'F'),
        (places::LISTEN, 'L'),
        (places::BACKEND, 'B'),
    ];
    all.into_iter().filter(|(place, _)| at & place != 0).map(|(_, letter)| letter).collect()
}

/// The keys of one section of `outlast.toml`.
pub(super) fn field_table<T>(text: &mut String, title: &str, rows: &[Field<T>]) {
    let _ = writeln!(text, "## {title}\n\n| key | example | default | effect |\n|---|---|---|---|");
    for row in rows {
        let default = if row.default == REQUIRED { "" } else { row.default };
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} |",
            row.name,
            row.form.replace('|', "\\|"),
            default,
            row.does
        );
    }
    text.push('\n');
}
