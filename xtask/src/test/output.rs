//! What a test runner prints: which lines may pass, and which must wait for the skips.

use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Runner {
    Nextest,
    Cargo,
}

/// Lets lines through, holds the closing ones back and adds up the time per crate.
#[derive(Debug)]
pub(crate) struct Output {
    runner: Runner,
    /// From the first closing line on.
    held: Vec<String>,
    milliseconds: BTreeMap<String, u64>,
}

impl Output {
    pub(crate) fn new(runner: Runner) -> Self {
        Self { runner, held: vec![], milliseconds: BTreeMap::new() }
    }

    /// The lines that may be printed now.
    pub(crate) fn push(&mut self, line: String) -> Vec<String> {
        match self.runner {
            Runner::Nextest => {
                self.add_time(&line);
                if self.held.is_empty() && !line.trim_start().starts_with("Summary [") {
                    return vec![line];
                }
                self.held.push(line);
                vec![]
            }
            // One closing line per test binary: only the last is the runner's. Blank lines around it
            // wait with it.
            Runner::Cargo if line.starts_with("test result:") => {
                let before = std::mem::take(&mut self.held);
                self.held.push(line);
                before
            }
            Runner::Cargo if self.held.is_empty() => vec![line],
            Runner::Cargo if line.is_empty() => {
                self.held.push(line);
                vec![]
            }
            // Cargo's own complaint about a failure is its closing line then.
            Runner::Cargo if line.starts_with("error:") || self.held.len() > 2 => {
                self.held.push(line);
                vec![]
            }
            Runner::Cargo => {
                let mut lines = std::mem::take(&mut self.held);
                lines.push(line);
                lines
            }
        }
    }

    /// What was held back; nextest's summary comes last, even after its list of failures.
    pub(crate) fn closing(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.held.iter().filter(|line| !line.is_empty()).cloned().collect();
        let is_summary = |line: &String| line.trim_start().starts_with("Summary [");
        if let Some(at) = lines.iter().position(is_summary) {
            let summary = lines.remove(at);
            lines.push(summary);
        }
        lines
    }

    /// The budget of CONTRIBUTING.md is kept with these numbers.
    pub(crate) fn times(&self) -> Vec<String> {
        if self.milliseconds.is_empty() {
            return vec![];
        }
        let mut line = String::from("seconds of tests per crate:");
        for (name, milliseconds) in &self.milliseconds {
            line += &format!(" {name} {}.{}", milliseconds / 1000, milliseconds % 1000 / 100);
        }
        vec![line]
    }

    /// `        PASS [   0.005s] ( 1/23) outlast-base chain::tests::a_name`
    fn add_time(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        if !matches!(words.next(), Some("PASS" | "FAIL" | "LEAK" | "TIMEOUT")) {
            return;
        }
        let Some((time, rest)) = line.split_once('[').and_then(|(_, rest)| rest.split_once(']'))
        else {
            return;
        };
        let seconds = time.trim().trim_start_matches('>').trim_end_matches('s');
        let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
        let (Ok(whole), Ok(part)) = (whole.parse::<u64>(), part.parse::<u64>()) else { return };
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('(').and_then(|r| r.split_once(')')).map_or(rest, |(_, r)| r);
        let binary = rest.split_whitespace().next().unwrap_or_default();
        let name = binary.split("::").next().unwrap_or(binary).to_owned();
        *self.milliseconds.entry(name).or_default() += whole * 1000 + part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(runner: Runner, lines: &str, expected_passed: &str, expected_closing: &str) -> Output {
        let mut output = Output::new(runner);
        let passed: Vec<_> = lines.lines().flat_map(|line| output.push(line.to_owned())).collect();
        assert_eq!(passed.join("\n"), expected_passed);
        assert_eq!(output.closing().join("\n"), expected_closing);
        output
    }

    #[test]
    fn the_summary_of_nextest_waits() {
        let output = check(
            Runner::Nextest,
            "    PASS [   0.105s] (1/2) outlast-base chain::a\n    PASS [   1.2s] outlast::demo b\n\
             ------\n     Summary [   0.2s] 2 tests run: 2 passed, 0 skipped",
            "    PASS [   0.105s] (1/2) outlast-base chain::a\n    PASS [   1.2s] outlast::demo b\n------",
            "     Summary [   0.2s] 2 tests run: 2 passed, 0 skipped",
        );
        assert_eq!(output.times(), ["seconds of tests per crate: outlast 1.0 outlast-base 0.1"]);
    }

    #[test]
    fn the_summary_is_last_even_when_failures_follow_it() {
        check(
            Runner::Nextest,
            "Summary [ 1s] 1 test run: 0 passed, 1 failed\nFAIL a\nerror: test run failed",
            "",
            "FAIL a\nerror: test run failed\nSummary [ 1s] 1 test run: 0 passed, 1 failed",
        );
    }

    #[test]
    fn only_the_last_result_of_cargo_test_waits() {
        check(
            Runner::Cargo,
            "Running a\n\ntest result: ok. 1 passed\n\nRunning b\n\ntest result: ok. 2 passed\n",
            "Running a\n\ntest result: ok. 1 passed\n\nRunning b\n",
            "test result: ok. 2 passed",
        );
    }

    #[test]
    fn the_complaint_of_cargo_test_is_its_closing_line() {
        check(
            Runner::Cargo,
            "Running a\n\ntest result: FAILED. 1 failed\n\nerror: 1 target failed:\n    `-p a`",
            "Running a\n",
            "test result: FAILED. 1 failed\nerror: 1 target failed:\n    `-p a`",
        );
    }
}
