//! The page of evidence and rules is that of the tables.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use outlast_engine::evidence::KINDS;
use outlast_engine::verdict::{RULES, Times};

const HEAD: &str = "# Evidence and verdicts

<!-- written by a test from the tables in crates/engine/src/evidence.rs and verdict/rules.rs; UPDATE_EXPECT=1 rewrites it -->

What is known of a node is evidence of these kinds. Each counts as long as it is fresh, and says what it was, never what follows from it.

| evidence | meaning | counts | given by | read by the rules |
|---|---|---|---|---|
";

const RULES_HEAD: &str = "
## Rules

The first rule that applies decides; there are no weights. `outlast why NODE` prints which one it was. Numbers as with `detect = \"1s\"`.

| # | rule | what it says | numbers | what would change it |
|---|---|---|---|---|
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for row in KINDS {
        let counts = row.freshness.words();
        writeln!(
            page,
            "| {} | {} | {counts} | {} | {} |",
            row.name, row.meaning, row.layer, row.used
        )
        .unwrap();
    }
    page += RULES_HEAD;
    for (number, rule) in (1..).zip(&RULES) {
        let numbers = (rule.numbers)(Times::new(Duration::from_secs(1)));
        let (name, sentence, changes) = (rule.name, rule.sentence, rule.changes);
        writeln!(page, "| {number} | `{name}` | {sentence} | {numbers} | {changes} |").unwrap();
    }
    page
}

#[test]
fn the_page_of_evidence_and_rules_is_that_of_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/evidence.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page(), "docs/reference/evidence.md is old: run with UPDATE_EXPECT=1");
}
