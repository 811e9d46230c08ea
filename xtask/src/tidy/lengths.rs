//! Files and functions stay short; what is longer already may only shrink (`tidy-ratchet.toml`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Finding;
use super::tree::{File, Tree};
use crate::shell::{self, Failure, Outcome};

const RATCHET: &str = "tidy-ratchet.toml";
/// More than a reader keeps in mind.
const FILE_LINES: usize = 500;
/// More than a screen.
const FUNCTION_LINES: usize = 70;

type Lengths = BTreeMap<String, usize>;

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Ratchet {
    files: Lengths,
    functions: Lengths,
}

pub(super) fn check(tree: &Tree, update: bool) -> Outcome<Vec<Finding>> {
    let text = tree.file(RATCHET).map(|file| file.text.as_str()).unwrap_or_default();
    let ratchet: Ratchet =
        toml::from_str(text).map_err(|error| Failure::new(format!("{RATCHET}: {error}")))?;
    let (measured, lines) = measure(&tree.files);
    if update {
        let lowered = lower(&ratchet, &measured);
        shell::write(&shell::root().join(RATCHET), &print(&lowered))?;
        return Ok(compare(&lowered, &measured, &lines));
    }
    Ok(compare(&ratchet, &measured, &lines))
}

/// What is too long now, and on which line it starts.
fn measure(files: &[File]) -> (Ratchet, Lengths) {
    let mut found = Ratchet::default();
    let mut lines = Lengths::new();
    for file in files {
        let Some(code) = &file.code else { continue };
        let length = file.text.lines().count();
        if length > FILE_LINES {
            found.files.insert(file.path.clone(), length);
            lines.insert(file.path.clone(), 1);
        }
        for function in code.functions().into_iter().filter(|f| f.length > FUNCTION_LINES) {
            let name = format!("{}::{}", file.path, function.name);
            // Two of one name in a file share the longer one's number.
            let known = found.functions.entry(name.clone()).or_default();
            *known = function.length.max(*known);
            lines.insert(name, function.line);
        }
    }
    (found, lines)
}

fn compare(ratchet: &Ratchet, found: &Ratchet, lines: &Lengths) -> Vec<Finding> {
    let mut findings = differences(&ratchet.files, &found.files, lines, FILE_LINES);
    findings.extend(differences(&ratchet.functions, &found.functions, lines, FUNCTION_LINES));
    findings
}

fn differences(allowed: &Lengths, found: &Lengths, lines: &Lengths, limit: usize) -> Vec<Finding> {
    let mut findings = vec![];
    for (name, length) in found {
        let limit = allowed.get(name).copied().unwrap_or(limit);
        if *length > limit {
            let (file, what) = name.split_once("::").unwrap_or((name, "the file"));
            let message = format!("{what} has {length} lines, {limit} are allowed");
            findings.push(Finding::new(file, lines.get(name).copied().unwrap_or(1), message));
        }
    }
    for (name, allowed) in allowed {
        let length = found.get(name).copied().unwrap_or_default();
        if length < *allowed {
            let message =
                format!("{name} is shorter than {allowed} now: cargo xtask tidy --update");
            findings.push(Finding::new(RATCHET, 1, message));
        }
    }
    findings
}

/// Never adds a row and never raises a number: that takes an editor, and a reviewer.
fn lower(ratchet: &Ratchet, found: &Ratchet) -> Ratchet {
    let lower = |allowed: &Lengths, found: &Lengths| {
        let kept = allowed.iter().filter_map(|(name, allowed)| {
            found.get(name).map(|length| (name.clone(), *length.min(allowed)))
        });
        kept.collect()
    };
    Ratchet {
        files: lower(&ratchet.files, &found.files),
        functions: lower(&ratchet.functions, &found.functions),
    }
}

fn print(ratchet: &Ratchet) -> String {
    let mut text = String::from(
        "# What is longer than the house allows. Numbers may only shrink: `cargo xtask tidy --update`.\n",
    );
    for (title, lengths) in [("files", &ratchet.files), ("functions", &ratchet.functions)] {
        text += &format!("\n[{title}]\n");
        for (name, length) in lengths {
            text += &format!("{name:?} = {length}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratchet(files: &[(&str, usize)]) -> Ratchet {
        let files = files.iter().map(|(name, length)| ((*name).to_owned(), *length)).collect();
        Ratchet { files, functions: Lengths::new() }
    }

    fn check(allowed: &[(&str, usize)], found: &[(&str, usize)], expected: &[&str]) {
        let findings = compare(&ratchet(allowed), &ratchet(found), &Lengths::new());
        let messages: Vec<_> = findings.into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages, expected);
    }

    #[test]
    fn a_long_file_needs_a_row() {
        check(&[], &[("a.rs", 501)], &["the file has 501 lines, 500 are allowed"]);
        check(&[("a.rs", 501)], &[("a.rs", 501)], &[]);
    }

    #[test]
    fn a_row_may_only_shrink() {
        check(&[("a.rs", 510)], &[("a.rs", 511)], &["the file has 511 lines, 510 are allowed"]);
        let shorter = "a.rs is shorter than 510 now: cargo xtask tidy --update";
        check(&[("a.rs", 510)], &[("a.rs", 505)], &[shorter]);
        check(&[("a.rs", 510)], &[], &[shorter]);
    }

    #[test]
    fn an_update_lowers_and_never_adds() {
        let lowered = lower(
            &ratchet(&[("a.rs", 510), ("b.rs", 520), ("c.rs", 530)]),
            &ratchet(&[("a.rs", 505), ("b.rs", 600), ("d.rs", 700)]),
        );
        assert_eq!(lowered, ratchet(&[("a.rs", 505), ("b.rs", 520)]));
        assert_eq!(toml::from_str::<Ratchet>(&print(&lowered)).unwrap(), lowered);
    }
}
