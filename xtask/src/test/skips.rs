//! Which tests were allowed not to run: the list they wrote against `tests/skips.toml`.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::shell::{Failure, Outcome};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    skip: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// `crate::test` as the test names itself; a trailing `*` stands for any ending.
    test: String,
    /// What is absent where it skips.
    absent: String,
    /// How the absence is proved, by the test itself.
    proof: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The folder of documents beside the repository.
    Shared,
    /// Something this kernel does not have or does not allow.
    Kernel,
    Root,
    Package,
    /// A package of Python's index, which may be out of reach.
    Index,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// `OUTLAST_TEST_ALL=1`: nothing that could be installed may be missing.
    pub all: bool,
    pub shared_is_here: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub lines: Vec<String>,
    pub broken: bool,
}

/// `skipped` holds lines `SKIP crate::test: reason`.
pub(crate) fn judge(skipped: &str, table: &str, rules: Rules) -> Outcome<Report> {
    let table: Table = toml::from_str(table)
        .map_err(|error| Failure::new(format!("tests/skips.toml: {error}")))?;
    let mut report = Report::default();
    let unique: BTreeSet<_> = skipped.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in unique {
        report.lines.push(line.to_owned());
        if let Some(complaint) = complaint(line, &table, rules) {
            report.lines.push(format!("     ^ not allowed: {complaint}"));
            report.broken = true;
        }
    }
    Ok(report)
}

fn complaint(line: &str, table: &Table, rules: Rules) -> Option<String> {
    let Some((test, _reason)) = line.strip_prefix("SKIP ").and_then(|rest| rest.split_once(": "))
    else {
        return Some("expected `SKIP crate::test: reason`".into());
    };
    // The row that says most about this test: its own, or the longest pattern.
    let rows = table.skip.iter().filter(|row| row.names(test));
    let Some(row) = rows.max_by_key(|row| row.test.trim_end_matches('*').len()) else {
        return Some("no row in tests/skips.toml".into());
    };
    if row.absent.is_empty() || row.proof.is_empty() {
        return Some("its row does not say what is absent and how that is proved".into());
    }
    match row.kind {
        Kind::Shared if rules.shared_is_here => Some("the shared folder is here".into()),
        Kind::Root | Kind::Package if rules.all => {
            Some("OUTLAST_TEST_ALL=1 runs as root with every package".into())
        }
        Kind::Shared | Kind::Kernel | Kind::Root | Kind::Package | Kind::Index => None,
    }
}

impl Row {
    fn names(&self, test: &str) -> bool {
        match self.test.strip_suffix('*') {
            Some(start) => test.starts_with(start),
            None => self.test == test,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
        [[skip]]
        test = 'config::published_*'
        absent = 'the shared folder'
        proof = 'no folder there'
        kind = 'shared'
        [[skip]]
        test = 'outlast::mixed'
        absent = 'keepalived'
        proof = 'not in PATH'
        kind = 'package'
    ";

    fn check(skipped: &str, rules: Rules, expected: &[&str]) {
        let report = judge(skipped, TABLE, rules).unwrap();
        assert_eq!(report.lines, expected);
        assert_eq!(report.broken, expected.iter().any(|line| line.contains("not allowed")));
    }

    const LENIENT: Rules = Rules { all: false, shared_is_here: false };

    #[test]
    fn a_skip_with_a_row_passes() {
        let line = "SKIP config::published_file: no shared folder";
        check(&format!("{line}\n{line}\n"), LENIENT, &[line]);
    }

    #[test]
    fn a_skip_without_a_row_is_refused() {
        let line = "SKIP config::other: why not";
        check(line, LENIENT, &[line, "     ^ not allowed: no row in tests/skips.toml"]);
    }

    #[test]
    fn a_missing_package_is_no_excuse_when_everything_must_run() {
        let line = "SKIP outlast::mixed: no keepalived";
        check(line, LENIENT, &[line]);
        let complaint = "     ^ not allowed: OUTLAST_TEST_ALL=1 runs as root with every package";
        check(line, Rules { all: true, shared_is_here: false }, &[line, complaint]);
    }

    #[test]
    fn the_shared_folder_is_no_excuse_where_it_exists() {
        let line = "SKIP config::published_file: no shared folder";
        check(line, Rules { all: true, shared_is_here: false }, &[line]);
        let rules = Rules { all: false, shared_is_here: true };
        check(line, rules, &[line, "     ^ not allowed: the shared folder is here"]);
    }
}
