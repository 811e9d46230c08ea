//! What any text of the repository may say: no machine's paths, no notes to oneself, no bare "lease".

use super::Finding;
use super::tree::File;

/// Folders and hosts of the machines this was written on. Put together here, so that this file does
/// not find itself.
const MACHINE: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/tmp/", "lab"),
    concat!("/fa", "rm"),
    concat!("/ro", "ot/."),
    concat!("arti", "factory"),
    concat!("crates-", "mirror"),
];

const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Each sense has its own name (docs/glossary.md).
const SENSES: [&str; 3] = ["vip", "leader", "watchdog"];

/// What `git` leaves where two sides do not fit; the file is read, so it is spelt apart.
const CONFLICT: [&str; 2] = [concat!("<<<<", "<<< "), concat!(">>>>", ">>> ")];

pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut findings = vec![];
    for (line, text) in file.lines() {
        for found in MACHINE.iter().filter(|path| text.contains(**path)) {
            let message = format!("`{found}` is a place on one machine");
            findings.push(Finding::new(&file.path, line, message));
        }
        if CONFLICT.iter().any(|mark| text.starts_with(mark)) {
            let message = "a merge was not finished here";
            findings.push(Finding::new(&file.path, line, message));
        }
        for found in NOTES.iter().filter(|note| text.contains(**note)) {
            let message = format!("`{found}`: do it, or write an issue");
            findings.push(Finding::new(&file.path, line, message));
        }
    }
    if file.is_source() && !is_tests(&file.path) && !file.text.starts_with("//!") {
        let message = "a module begins with a `//!` line that says what it is";
        findings.push(Finding::new(&file.path, 1, message));
    }
    if file.path.ends_with(".md") || file.path.ends_with(".rs") {
        findings.extend(bare_leases(file));
    }
    if file.is_source() {
        findings.extend(untested_examples(file));
    }
    findings
}

fn is_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn bare_leases(file: &File) -> Vec<Finding> {
    let mut findings = vec![];
    let mut before = String::new();
    for (line, text) in file.lines() {
        for part in text.split(|c: char| c.is_whitespace() || c == '-') {
            // In quotes it is the word that is meant.
            let quoted = part.contains("\"lease") || part.contains("`lease");
            let word: String = part.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
            let word = word.to_lowercase();
            // A module is declared by its name alone; where it lies says which sense.
            let bare = matches!(word.as_str(), "lease" | "leases" | "leased") && before != "mod";
            if bare && !quoted && !SENSES.contains(&before.as_str()) {
                let message =
                    "which sense? vip lease, leader lease or watchdog lease (docs/glossary.md)";
                findings.push(Finding::new(&file.path, line, message));
            }
            if !word.is_empty() {
                before = word;
            }
        }
    }
    findings
}

/// nextest does not run examples in comments, so there are none: a test says it as well.
fn untested_examples(file: &File) -> Vec<Finding> {
    let mut findings = vec![];
    let mut inside = false;
    for (line, text) in file.lines() {
        let comment = text.trim_start();
        let Some(fence) = ["//!", "///"]
            .iter()
            .find_map(|mark| comment.strip_prefix(mark)?.trim().strip_prefix("```"))
        else {
            continue;
        };
        let is_text = ["text", "toml", "sh", "console", "json", "ignore"].contains(&fence);
        if !inside && !is_text {
            let message = "an example in a comment is not run: mark it ```text or write a test";
            findings.push(Finding::new(&file.path, line, message));
        }
        inside = !inside;
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&File::new(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_bare_lease_is_found_even_across_lines() {
        let text =
            "the vip lease, a leader-lease\nand the watchdog\nlease; please release \"lease\"\n";
        let text = format!("{text}the {}\n", concat!("le", "ase"));
        assert_eq!(lines("docs/a.md", &text), [4]);
    }

    #[test]
    fn places_of_one_machine_are_found_anywhere() {
        let text = format!("ok\ncd {}main\n", concat!("/wo", "rk/"));
        assert_eq!(lines("README.md", &text), [2]);
        assert_eq!(lines("crates/a/tests/b.rs", &text), [2]);
    }

    #[test]
    fn a_merge_that_was_not_finished_is_found() {
        let text = format!("a\n{}HEAD\nb\n=======\nc\n{}x\n", CONFLICT[0], CONFLICT[1]);
        assert_eq!(lines("docs/a.md", &text), [2, 6]);
    }

    #[test]
    fn a_module_says_what_it_is() {
        assert_eq!(lines("crates/a/src/b.rs", "use std;\n"), [1]);
        assert_eq!(lines("crates/a/src/b.rs", "//! B.\n"), [0; 0]);
        assert_eq!(lines("crates/a/src/b/tests.rs", "use std;\n"), [0; 0]);
    }

    #[test]
    fn an_example_that_nobody_runs_is_found() {
        let text = "//! A.\n//! ```text\n//! x\n//! ```\n/// ```\n/// x\n/// ```\n";
        assert_eq!(lines("crates/a/src/b.rs", text), [5]);
    }
}
