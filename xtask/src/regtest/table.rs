//! What both programs made of the tests, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Pass,
    Fail,
    /// The program answered no to a question of the test (`feature cmd`), so nothing was tested:
    /// counts as a failure of the column.
    Skip,
}

/// What one program made of one test.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) attempts: u8,
    /// The first thing that went wrong, in the words of varnishtest or of the program.
    pub(super) why: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) test: String,
    pub(super) theirs: Outcome,
    pub(super) ours: Outcome,
    /// We passed it once, and must not lose it.
    pub(super) in_bar: bool,
}

/// Counts of one group, or of all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
struct Count {
    tests: usize,
    theirs: usize,
    ours: usize,
    /// Both pass: what the bar may hold.
    both: usize,
    in_bar: usize,
    lost: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        })
    }
}

impl Row {
    /// Where haproxy fails in the same run, nothing is said about us.
    pub(super) fn is_lost(&self) -> bool {
        let passes = |outcome: &Outcome| outcome.verdict == Verdict::Pass;
        self.in_bar && passes(&self.theirs) && !passes(&self.ours)
    }

    pub(super) fn line(&self) -> String {
        let mark = match (self.is_lost(), self.in_bar) {
            (true, _) => " LOST",
            (false, true) => " bar",
            (false, false) => "",
        };
        let why = match self.ours.why.as_str() {
            "" => String::new(),
            why => format!("  {why}"),
        };
        let line = format!(
            "{:<52} {:<7} {:<7}{mark}{why}",
            self.test, self.theirs.verdict, self.ours.verdict
        );
        line.trim_end().to_owned()
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn group(&self) -> &str {
        self.test.split('/').next().unwrap_or_default()
    }
}

fn count<'a>(rows: impl Iterator<Item = &'a Row>) -> Count {
    let mut count = Count::default();
    for row in rows {
        let theirs = row.theirs.verdict == Verdict::Pass;
        let ours = row.ours.verdict == Verdict::Pass;
        count.tests += 1;
        count.theirs += usize::from(theirs);
        count.ours += usize::from(ours);
        count.both += usize::from(theirs && ours);
        count.in_bar += usize::from(row.in_bar);
        count.lost += usize::from(row.is_lost());
    }
    count
}

fn groups(rows: &[Row]) -> BTreeMap<&str, Count> {
    let mut groups: BTreeMap<&str, Count> = BTreeMap::new();
    for row in rows {
        let group = row.group();
        groups.insert(group, count(rows.iter().filter(|row| row.group() == group)));
    }
    groups
}

pub(super) fn totals(rows: &[Row]) -> String {
    let mut text = format!(
        "\n{:<20} {:>5} {:>8} {:>5} {:>5} {:>5}\n",
        "group", "tests", "haproxy", "ours", "both", "bar"
    );
    let mut line = |name: &str, count: &Count| {
        text += &format!(
            "{name:<20} {:>5} {:>8} {:>5} {:>5} {:>5}\n",
            count.tests, count.theirs, count.ours, count.both, count.in_bar
        );
    };
    for (name, count) in groups(rows) {
        line(name, &count);
    }
    line("all", &count(rows.iter()));
    text
}

pub(super) fn json_totals(rows: &[Row]) -> String {
    let totals = serde_json::json!({ "groups": groups(rows), "all": count(rows.iter()) });
    format!("{totals}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(test: &str, theirs: Verdict, ours: Verdict, in_bar: bool) -> Row {
        let outcome = |verdict| Outcome { verdict, attempts: 1, why: String::new() };
        Row { test: test.to_owned(), theirs: outcome(theirs), ours: outcome(ours), in_bar }
    }

    #[test]
    fn a_test_is_lost_only_where_haproxy_passes_it() {
        use Verdict::{Fail, Pass, Skip};
        assert!(row("log/a.vtc", Pass, Fail, true).is_lost());
        assert!(row("log/a.vtc", Pass, Skip, true).is_lost());
        assert!(!row("log/a.vtc", Fail, Fail, true).is_lost());
        assert!(!row("log/a.vtc", Pass, Fail, false).is_lost());
        assert!(!row("log/a.vtc", Pass, Pass, true).is_lost());
    }

    #[test]
    fn a_skip_is_no_pass_in_the_totals() {
        use Verdict::{Fail, Pass, Skip};
        let rows = [
            row("log/a.vtc", Pass, Skip, true),
            row("log/b.vtc", Pass, Pass, true),
            row("mcli/c.vtc", Fail, Pass, false),
        ];
        let log = groups(&rows)["log"];
        assert_eq!(log, Count { tests: 2, theirs: 2, ours: 1, both: 1, in_bar: 2, lost: 1 });
        assert_eq!(count(rows.iter()).ours, 2);
        assert_eq!(rows[0].line().split_whitespace().last(), Some("LOST"));
        assert!(json_totals(&rows).contains("\"mcli\":{\"both\":0"), "{}", json_totals(&rows));
    }
}
