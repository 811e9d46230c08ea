//! The page about life without a majority is the table's own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use outlast_engine::quorum::TABLE;

const HEAD: &str = "# Without a majority

<!-- written by a test from the table in crates/engine/src/quorum.rs; UPDATE_EXPECT=1 rewrites it -->

What a node does that reaches itself and fewer than half of the others. `outlast status` shows this table, shortened, on such a node. *Not
yet* means that the machine that decides it is built and tested, and no process of this version runs it.

| layer | does | what that means | why | runs | test |
|---|---|---|---|---|---|
";

#[test]
fn the_page_about_life_without_a_majority_is_that_of_the_table() {
    let mut page = HEAD.to_owned();
    for row in TABLE {
        let runs = if row.runs { "yes" } else { "not yet" };
        let (layer, does, means) = (row.layer, row.conduct.name(), row.means);
        let (why, proof) = (row.because, row.proof);
        writeln!(page, "| {layer} | {does} | {means} | {why} | {runs} | `{proof}` |").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/without-quorum.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/reference/without-quorum.md is old: run with UPDATE_EXPECT=1");
}
