//! Every event that is told somewhere has a row in the catalogue, and the page is the catalogue's.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use outlast_api::catalogue;

/// Words with hyphens in files that tell events, and are no events.
const OTHERS: [&str; 0] = [];

/// `{}` in the name of an event, and what it may stand for.
const FAMILIES: [(&str, &[&str]); 3] = [
    ("{}-failed", &["agent", "proxy", "services", "spare", "store", "vip"]),
    ("{name}-lost", &["agent", "proxy", "services", "store", "vip"]),
    ("node-{word}", &["alive", "left", "suspect", "unknown"]),
];

/// Sources of the crates that run on a node, without tests.
fn sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = fs::read_dir(crates)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // What tests and the operator's tool make up is not told by a node.
        .filter(|path| {
            !["lab", "sim", "cli", "config", "fuzz"].iter().any(|name| path.ends_with(name))
        })
        .map(|path| path.join("src"))
        .filter(|path| path.is_dir())
        .collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.starts_with("tests") && name != "catalogue.rs"
            {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path, code));
            }
        }
    }
    found
}

/// Texts between double quotes, line by line, without comments.
fn literals(code: &str) -> Vec<&str> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// Literals that follow `what:` (perhaps inside `format!(` on the next line).
fn named(code: &str) -> Vec<&str> {
    let after = code.split("what: ").skip(1);
    after
        .filter(|rest| rest.starts_with(['"', '\n']) || rest.starts_with("format!("))
        .filter_map(|rest| rest.split('"').nth(1))
        .collect()
}

fn is_hyphenated(text: &str) -> bool {
    text.contains('-')
        && text
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
}

#[test]
fn every_event_that_is_told_has_a_row() {
    let mut told = BTreeSet::new();
    for (path, code) in sources() {
        let mut words: Vec<&str> = named(&code);
        if code.contains("Event {") || code.contains("explain") {
            let hyphenated = literals(&code).into_iter().filter(|text| is_hyphenated(text));
            words.extend(hyphenated.filter(|text| !OTHERS.contains(text)));
        }
        for word in words {
            match FAMILIES.iter().find(|(pattern, _)| *pattern == word) {
                Some((pattern, fillings)) => {
                    let open = pattern.find('{').unwrap();
                    let close = pattern.find('}').unwrap() + 1;
                    told.extend(fillings.iter().map(|filling| {
                        format!("{}{filling}{}", &pattern[..open], &pattern[close..])
                    }));
                }
                None => {
                    assert!(
                        catalogue::kind(word).is_some(),
                        "{}: event `{word}` has no row in crates/api/src/catalogue.rs",
                        path.display()
                    );
                    told.insert(word.to_owned());
                }
            }
        }
    }
    let rows: BTreeSet<String> =
        catalogue::EVENTS.iter().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(
        rows.difference(&told).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "nobody tells these"
    );
}

#[test]
fn the_page_of_the_events_is_that_of_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/events.md");
    let written = catalogue::page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == written, "docs/reference/events.md is old: run with UPDATE_EXPECT=1");
}
