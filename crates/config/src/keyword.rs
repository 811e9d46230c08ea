//! Rows of the keyword tables: name, place, default, what it does, and the function that reads it.
//!
//! Parser, guesses in errors and the manual all come from these rows.

use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::duration::Unit;
use crate::guess;
use crate::line::{Line, Word};

/// Reads what follows a keyword into `T`.
pub(crate) type Parse<T> = fn(&mut T, &mut Line<'_>) -> Result<(), Diagnostic>;

/// Sections in which a keyword may stand.
pub(crate) mod places {
    pub(crate) const DEFAULTS: u8 = 1;
    pub(crate) const FRONTEND: u8 = 2;
    pub(crate) const LISTEN: u8 = 4;
    pub(crate) const BACKEND: u8 = 8;
    /// In `defaults` only if it has a name.
    pub(crate) const NAMED: u8 = 16;
    /// In the wrong half (frontend or backend) an error, not a warning.
    pub(crate) const STRICT: u8 = 32;

    pub(crate) const ALL: u8 = DEFAULTS | FRONTEND | LISTEN | BACKEND;
    pub(crate) const SERVING: u8 = FRONTEND | LISTEN | BACKEND;
    pub(crate) const FRONT: u8 = DEFAULTS | FRONTEND | LISTEN;
    pub(crate) const BACK: u8 = DEFAULTS | LISTEN | BACKEND;
    pub(crate) const FRONT_ONLY: u8 = FRONTEND | LISTEN;
    pub(crate) const BACK_ONLY: u8 = LISTEN | BACKEND;
}

/// One row.
#[derive(Debug)]
pub(crate) struct Keyword<T: 'static> {
    /// One word, or two where the first is a family (`option redispatch`).
    pub(crate) name: &'static str,
    pub(crate) places: u8,
    /// What follows the name.
    pub(crate) syntax: &'static str,
    pub(crate) default: &'static str,
    pub(crate) does: &'static str,
    pub(crate) run: Run<T>,
    /// May be written with `no` before it.
    pub(crate) negatable: bool,
    /// The least and the most words behind it, for rows whose words are not read by us.
    pub(crate) args: (u8, u8),
}

/// As a number of words: no limit.
pub(crate) const MANY: u8 = u8::MAX;

const ANY: (u8, u8) = (0, MANY);

/// What we do with a keyword.
#[derive(Debug)]
pub(crate) enum Run<T: 'static> {
    Now(Parse<T>),
    /// A switch, off with `no`.
    Flag(fn(&mut T) -> &mut bool),
    /// A limit in time; 0 means none.
    Time(fn(&mut T) -> &mut Option<Duration>),
    /// Accepted, and nothing needs to be done: the row says why.
    Idle,
    /// The peer runs it and we do not yet; as an option it takes this many words.
    Later(u8),
    /// The same; its words are read to find mistakes in them.
    Checked(Parse<T>),
    /// The peer refuses it too; what to write in its place, if nothing else changes.
    Gone(Option<&'static str>),
}

/// A row of a keyword that we run.
pub(crate) const fn now<T>(
    name: &'static str,
    syntax: &'static str,
    default: &'static str,
    does: &'static str,
    parse: Parse<T>,
) -> Keyword<T> {
    let run = Run::Now(parse);
    Keyword { name, places: 0, syntax, default, does, run, negatable: false, args: ANY }
}

/// A row of a switch.
pub(crate) const fn flag<T>(
    name: &'static str,
    does: &'static str,
    field: fn(&mut T) -> &mut bool,
) -> Keyword<T> {
    let run = Run::Flag(field);
    Keyword { name, places: 0, syntax: "", default: "off", does, run, negatable: true, args: ANY }
}

/// A row of a limit in time.
pub(crate) const fn time<T>(
    name: &'static str,
    does: &'static str,
    field: fn(&mut T) -> &mut Option<Duration>,
) -> Keyword<T> {
    let run = Run::Time(field);
    Keyword {
        name,
        places: 0,
        syntax: "<time>",
        default: "none",
        does,
        run,
        negatable: false,
        args: ANY,
    }
}

/// A row of a keyword that changes nothing for us.
pub(crate) const fn idle<T>(name: &'static str, why: &'static str) -> Keyword<T> {
    let run = Run::Idle;
    Keyword {
        name,
        places: 0,
        syntax: "...",
        default: "",
        does: why,
        run,
        negatable: false,
        args: ANY,
    }
}

/// A row of a keyword that only the peer runs.
pub(crate) const fn later<T>(name: &'static str) -> Keyword<T> {
    later_with(name, 0)
}

/// The same for an option inside a line, with the number of words that follow it.
pub(crate) const fn later_with<T>(name: &'static str, words: u8) -> Keyword<T> {
    let run = Run::Later(words);
    Keyword {
        name,
        places: 0,
        syntax: "...",
        default: "",
        does: "",
        run,
        negatable: false,
        args: ANY,
    }
}

/// The same, with a reader that finds mistakes in what follows.
pub(crate) const fn checked<T>(
    name: &'static str,
    syntax: &'static str,
    parse: Parse<T>,
) -> Keyword<T> {
    Keyword { syntax, run: Run::Checked(parse), ..later_with(name, 0) }
}

/// A row of a keyword that the peer has given up.
pub(crate) const fn gone<T>(name: &'static str, advice: &'static str) -> Keyword<T> {
    let run = Run::Gone(None);
    Keyword {
        name,
        places: 0,
        syntax: "",
        default: "",
        does: advice,
        run,
        negatable: false,
        args: ANY,
    }
}

/// A row of a keyword that only has another name now.
pub(crate) const fn renamed<T>(
    name: &'static str,
    new: &'static str,
    advice: &'static str,
) -> Keyword<T> {
    let run = Run::Gone(Some(new));
    Keyword {
        name,
        places: 0,
        syntax: "",
        default: "",
        does: advice,
        run,
        negatable: false,
        args: ANY,
    }
}

impl<T> Keyword<T> {
    pub(crate) const fn at(mut self, places: u8) -> Self {
        self.places = places;
        self
    }

    /// How many words HAProxy takes behind it.
    pub(crate) const fn args(mut self, least: u8, most: u8) -> Self {
        self.args = (least, most);
        self
    }

    pub(crate) const fn no(mut self) -> Self {
        self.negatable = true;
        self
    }
}

/// Second words that end with a name in brackets.
const NAMED_IN_WORD: [&str; 3] = ["set-var", "set-var-fmt", "unset-var"];

/// The row for the word(s) at the head of the line, and whether it has two.
pub(crate) fn find<'t, T>(
    tables: &[&'t [Keyword<T>]],
    first: &str,
    second: Option<&str>,
) -> Option<(&'t Keyword<T>, bool)> {
    let rows = || tables.iter().flat_map(|table| table.iter());
    if let Some(second) = second {
        // `set-var(NAME)` carries its argument in the same word.
        let bare = match second.split_once('(') {
            Some((name, _)) if NAMED_IN_WORD.contains(&name) => name,
            _ => second,
        };
        let both = rows().find(|row| {
            row.name.split_once(' ').is_some_and(|(head, tail)| head == first && tail == bare)
        });
        if let Some(row) = both {
            return Some((row, true));
        }
    }
    rows().find(|row| row.name == first).map(|row| (row, false))
}

/// The words that may follow the family `first`.
pub(crate) fn family<'t, T>(tables: &[&'t [Keyword<T>]], first: &str) -> Vec<&'t str> {
    let rows = tables.iter().flat_map(|table| table.iter());
    rows.filter_map(|row| row.name.split_once(' '))
        .filter(|(head, _)| *head == first)
        .map(|(_, tail)| tail)
        .collect()
}

/// Reads options up to the end of the line (`server`, `bind`), all mistakes at once.
pub(crate) fn options<T>(
    table: &[Keyword<T>],
    of: &str,
    target: &mut T,
    line: &mut Line<'_>,
) -> Result<(), Diagnostic> {
    while let Some(word) = line.take() {
        let Some(row) = table.iter().find(|row| row.name == word.text) else {
            line.report(unknown_option(table, of, &word));
            continue;
        };
        if let Err(finding) = option(row, of, &word, target, line) {
            line.report(finding);
        }
    }
    Ok(())
}

fn option<T>(
    row: &Keyword<T>,
    of: &str,
    word: &Word,
    target: &mut T,
    line: &mut Line<'_>,
) -> Result<(), Diagnostic> {
    match &row.run {
        Run::Now(parse) => parse(target, line)?,
        Run::Flag(field) => *field(target) = true,
        Run::Time(field) => {
            *field(target) = Some(line.time(Unit::Milliseconds)?.1);
        }
        Run::Idle => {
            if !row.syntax.is_empty() {
                line.expect(&format!("the value of `{}`", word.text))?;
            }
        }
        Run::Later(words) => {
            line.report(Diagnostic::not_yet(word.span, format!("`{}` of {of}", word.text)));
            if *words == REST {
                line.expect(&format!("the value of `{}`", word.text))?;
                line.rest();
                return Ok(());
            }
            for _ in 0..*words {
                line.expect(&format!("the value of `{}`", word.text))?;
            }
        }
        Run::Checked(parse) => {
            line.report(Diagnostic::not_yet(word.span, format!("`{}` of {of}", word.text)));
            parse(target, line)?;
        }
        Run::Gone(_) => return Err(removed(row, word)),
    }
    Ok(())
}

/// Reads one whole line whose head is `row`.
pub(crate) fn read<T>(
    row: &Keyword<T>,
    target: &mut T,
    line: &mut Line<'_>,
) -> Result<(), Diagnostic> {
    match &row.run {
        Run::Now(parse) => parse(target, line),
        Run::Flag(field) => {
            *field(target) = !line.negated;
            line.finish();
            Ok(())
        }
        Run::Time(field) => {
            let time = line.time(Unit::Milliseconds)?.1;
            *field(target) = Some(time).filter(|time| !time.is_zero());
            line.finish();
            Ok(())
        }
        Run::Idle => words(row, line),
        Run::Later(_) => {
            let span = line.head();
            line.report(Diagnostic::not_yet(span, format!("`{}`", row.name)));
            words(row, line)
        }
        Run::Checked(parse) => {
            let span = line.head();
            line.report(Diagnostic::not_yet(span, format!("`{}`", row.name)));
            parse(target, line)
        }
        Run::Gone(new) => {
            let message = format!("`{}` is no longer supported by HAProxy", row.name);
            let finding = Diagnostic::error(line.head(), "removed-keyword", message);
            let finding = finding.help(row.does);
            Err(match new {
                Some(new) => finding.fix_here(*new),
                None => finding,
            })
        }
    }
}

/// Takes the words behind a keyword that we do not read, and counts them.
fn words<T>(row: &Keyword<T>, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let (least, most) = row.args;
    if line.negated {
        line.rest();
        return Ok(());
    }
    for _ in 0..least {
        line.expect(&format!("the value of `{}`", row.name))?;
    }
    for _ in least..most {
        line.take();
    }
    if most == MANY {
        line.rest();
    }
    line.finish();
    Ok(())
}

/// As a number of words: everything up to the end of the line.
pub(crate) const REST: u8 = u8::MAX;

fn removed<T>(row: &Keyword<T>, word: &Word) -> Diagnostic {
    let message = format!("`{}` is no longer supported by HAProxy", row.name);
    Diagnostic::error(word.span, "removed-keyword", message).help(row.does)
}

fn unknown_option<T>(table: &[Keyword<T>], of: &str, word: &Word) -> Diagnostic {
    let message = format!("`{}` is no option of {of}", word.text);
    let finding = Diagnostic::error(word.span, "unknown-keyword", message);
    guess::suggest(finding, &word.text, table.iter().map(|row| row.name))
}
