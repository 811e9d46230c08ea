//! docs/status.md tells the truth: every row names a proof that exists, every scenario has a row.
//!
//! A proof is written `test: crate::words_of_its_name`, `demo: scenario`, `run: command` or
//! `file: path`, in backquotes; a row without any says `not done` in its last column.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::{File, Tree};

const STATUS: &str = "docs/status.md";
const MAP: &str = "ARCHITECTURE.md";
/// The table of what each layer does without a majority: its last column is a test.
const QUORUM: &str = "docs/reference/without-quorum.md";
/// What the RFC of VRRP demands: each with its test, or why it is otherwise.
const RFC: &str = "docs/reference/rfc9568.md";
/// Where the demo's table is.
const SCENARIOS: &str = "crates/lab/src/demo/scenario.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(status) = tree.file(STATUS) else {
        return vec![Finding::new(STATUS, 1, "is missing")];
    };
    let scenarios = scenarios(tree);
    let mut findings = doubles(status);
    for (line, row) in status.lines().filter(|(_, line)| is_row(line)) {
        let proofs: Vec<_> = proofs(row).collect();
        if proofs.is_empty() && !row.contains("not done") {
            findings.push(Finding::new(STATUS, line, "names no proof and does not say `not done`"));
        }
        for (kind, what) in proofs {
            let exists = match kind {
                "test" => test_exists(tree, what),
                "demo" => scenarios.iter().any(|(_, _, name)| name == what),
                "file" => tree.files.iter().any(|file| file.path.starts_with(what)),
                _ => what.starts_with("cargo xtask ") || what.starts_with("outlast "),
            };
            if !exists {
                findings.push(Finding::new(STATUS, line, format!("there is no {kind} `{what}`")));
            }
        }
    }
    findings.extend(lost_files(tree));
    findings.extend(unproved_layers(tree));
    findings.extend(unproved_demands(tree));
    for (file, line, name) in &scenarios {
        if !status.text.contains(&format!("`demo: {name}`")) {
            let message = format!("scenario {name} has no row in {STATUS}");
            findings.push(Finding::new(file, *line, message));
        }
    }
    findings
}

/// `crate/src/file.rs` in ARCHITECTURE.md: the flows are told with files as they are.
fn lost_files(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.file(MAP) else { return vec![] };
    let mut findings = vec![];
    for (line, text) in map.lines() {
        let paths = text.split(['`', ' ', ',', '(', ')']).filter(|word| word.contains("/src/"));
        for path in paths.filter(|path| path.ends_with(".rs")) {
            if tree.file(path).is_none() && tree.file(&format!("crates/{path}")).is_none() {
                findings.push(Finding::new(MAP, line, format!("there is no file {path}")));
            }
        }
    }
    findings
}

/// Every layer's row has a test that exists.
fn unproved_layers(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(QUORUM) else { return vec![] };
    let rows =
        page.lines().filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| layer"));
    let unproved = rows.filter_map(|(at, row)| {
        let proof = row.rsplit('`').nth(1).unwrap_or_default();
        let message = format!("there is no test `{proof}`");
        (!test_exists(tree, proof)).then(|| Finding::new(QUORUM, at, message))
    });
    unproved.collect()
}

/// Every demand has tests that exist, or a reason why there is none.
fn unproved_demands(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(RFC) else { return vec![] };
    let mut findings = doubles(page);
    let rows = page.lines().filter(|(_, line)| is_row(line) && !line.starts_with("| id "));
    for (at, row) in rows {
        let tests: Vec<_> = proofs(row).collect();
        let has_reason = ["deviation: ", "not ours: "].iter().any(|word| row.contains(word));
        if tests.is_empty() && !has_reason {
            findings.push(Finding::new(RFC, at, "names no test, no `deviation` and no `not ours`"));
        }
        let lost = tests.iter().filter(|(kind, what)| *kind != "test" || !test_exists(tree, what));
        findings.extend(
            lost.map(|(kind, what)| Finding::new(RFC, at, format!("there is no {kind} `{what}`"))),
        );
    }
    findings
}

/// Rows that have the number of another: two changes that were merged.
fn doubles(status: &File) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let rows = status.lines().filter(|(_, line)| is_row(line));
    let numbered = rows.filter_map(|(at, row)| {
        let number = row.split('|').nth(1)?.trim();
        let is_number = number.len() > 1 && number.ends_with(|last: char| last.is_ascii_digit());
        is_number.then_some((at, number))
    });
    let doubles = numbered.filter(|(_, number)| !seen.insert(*number));
    doubles
        .map(|(at, number)| Finding::new(STATUS, at, format!("there are two rows {number}")))
        .collect()
}

/// Rows of the tables, without their heads.
fn is_row(line: &str) -> bool {
    line.starts_with("| ") && !line.starts_with("| #")
}

fn proofs(row: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| {
        let (kind, what) = text.split_once(": ")?;
        ["test", "demo", "run", "file"].contains(&kind).then_some((kind, what))
    })
}

/// `crate::name`, or `crate::start_of_name*`; a line of a macro's table (`name: …`) counts too.
fn test_exists(tree: &Tree, what: &str) -> bool {
    let Some((layer, name)) = what.split_once("::") else { return false };
    let wanted = match name.strip_suffix('*') {
        Some(start) => [format!("fn {start}"), format!("\n    {start}")],
        None => [format!("fn {name}("), format!("\n    {name}: ")],
    };
    let in_layer =
        |path: &str| path.strip_prefix("crates/").unwrap_or(path).starts_with(&format!("{layer}/"));
    tree.files
        .iter()
        .any(|file| in_layer(&file.path) && wanted.iter().any(|text| file.text.contains(text)))
}

/// File, line and name of every row of the demo's table: `"balancer-killed",` or `row("…",`.
fn scenarios(tree: &Tree) -> Vec<(String, usize, String)> {
    let Some(file) = tree.file(SCENARIOS) else { return vec![] };
    let table = file.lines().skip_while(|(_, line)| !line.contains("SCENARIOS: ["));
    let rows = table.take_while(|(_, line)| *line != "];");
    rows.filter_map(|(line, text)| {
        let text = text.trim_start();
        let quoted = text.strip_prefix("row(").unwrap_or(text).strip_prefix('"')?;
        let (name, _) = quoted.split_once("\",")?;
        let is_name =
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        is_name.then(|| (file.path.clone(), line, name.to_owned()))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_status(text: &str, expected: &[&str]) {
        let table = "SCENARIOS: [\n  row(\n    \"balancer-killed\",\n    \"in words\",\n];\n";
        let tree = Tree {
            files: vec![
                File::new(STATUS, text),
                File::new(SCENARIOS, table),
                File::new("crates/engine/src/vip/tests.rs", "fn it_moves() {}\n"),
            ],
        };
        let messages: Vec<_> = check(&tree).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages, expected);
    }

    const ROW: &str = "| killed | `demo: balancer-killed` |\n";

    #[test]
    fn a_row_needs_a_proof_that_exists() {
        check_status(&format!("{ROW}| a | `test: engine::it_moves` |\n"), &[]);
        check_status(&format!("{ROW}| a | not done |\n"), &[]);
        let nothing = "names no proof and does not say `not done`";
        check_status(&format!("{ROW}| a | surely |\n"), &[nothing]);
        let missing = "there is no test `engine::it_stays`";
        check_status(&format!("{ROW}| a | `test: engine::it_stays` |\n"), &[missing]);
    }

    #[test]
    fn two_rows_of_one_number_are_found() {
        let row = "| B1 | a | `test: engine::it_moves` |\n";
        check_status(&format!("{ROW}{row}"), &[]);
        check_status(&format!("{ROW}{row}{row}"), &["there are two rows B1"]);
    }

    #[test]
    fn a_file_on_the_map_exists() {
        let files = vec![
            File::new(MAP, "`a/src/b.rs` -> (`a/src/c.rs`)\n"),
            File::new("crates/a/src/b.rs", ""),
        ];
        let messages: Vec<_> = lost_files(&Tree { files }).into_iter().map(|f| f.message).collect();
        assert_eq!(messages, ["there is no file a/src/c.rs"]);
    }

    #[test]
    fn a_layer_without_a_majority_needs_a_test_that_exists() {
        let page = "| layer | test |\n|---|---|\n| a | `a::it_moves` |\n| b | `a::it_stays` |\n";
        let files =
            vec![File::new(QUORUM, page), File::new("crates/a/src/b.rs", "fn it_moves() {}\n")];
        let findings = unproved_layers(&Tree { files });
        let messages: Vec<_> = findings.into_iter().map(|f| f.message).collect();
        assert_eq!(messages, ["there is no test `a::it_stays`"]);
    }

    #[test]
    fn a_demand_of_the_rfc_needs_a_test_that_exists_or_a_reason() {
        let page = "| id | demand | proof |\n|---|---|---|\n\
                    | 5.1-1 | a | `test: a::it_moves` |\n| 5.1-2 | b | `test: a::it_stays` |\n\
                    | 5.1-3 | c | deviation: so |\n| 5.1-4 | d | surely |\n| 5.1-4 | e | not ours: x |\n";
        let files =
            vec![File::new(RFC, page), File::new("crates/a/src/b.rs", "fn it_moves() {}\n")];
        let findings = unproved_demands(&Tree { files });
        let messages: Vec<_> = findings.into_iter().map(|f| f.message).collect();
        assert_eq!(
            messages,
            [
                "there are two rows 5.1-4",
                "there is no test `a::it_stays`",
                "names no test, no `deviation` and no `not ours`",
            ]
        );
    }

    #[test]
    fn a_scenario_needs_a_row() {
        let missing = "scenario balancer-killed has no row in docs/status.md";
        check_status("| #| demand | proof |\n", &[missing]);
    }
}
