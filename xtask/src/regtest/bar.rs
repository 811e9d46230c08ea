//! The names of the tests that we pass: what may not be lost.

use std::collections::BTreeSet;

use crate::shell::{self, Outcome};

const FILE: &str = "tests/regtest-bar.txt";

const HEAD: &str = "\
# HAProxy 2.6's regression tests that pass with us: names only, one a line, sorted.
# `cargo xtask regtest` fails when one of them is lost, `cargo xtask regtest --raise` adds new ones.
";

#[derive(Debug)]
pub(super) struct Bar(BTreeSet<String>);

impl Bar {
    pub(super) fn read() -> Outcome<Self> {
        Ok(Self::of(&shell::read(&shell::root().join(FILE))?))
    }

    fn of(text: &str) -> Self {
        let names = text.lines().map(str::trim);
        let names = names.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(names.map(str::to_owned).collect())
    }

    pub(super) fn has(&self, test: &str) -> bool {
        self.0.contains(test)
    }

    /// Names of the bar that are none of these tests: lost with the file.
    pub(super) fn beyond<'b>(&'b self, tests: &'b [String]) -> impl Iterator<Item = &'b str> {
        self.0.iter().filter(|name| !tests.contains(name)).map(String::as_str)
    }

    /// Only ever adds: what is lost is taken out with an editor, and a reason.
    pub(super) fn raise<'a>(&mut self, passed: impl Iterator<Item = &'a str>) -> Outcome {
        self.0.extend(passed.map(str::to_owned));
        shell::write(&shell::root().join(FILE), &self.text())
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for name in &self.0 {
            text += &format!("{name}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_any_more_is_beyond() {
        let bar = Bar::of("balance/a.vtc\nstartup/b.vtc\n");
        let tests = ["startup/b.vtc", "startup/c.vtc"].map(str::to_owned);
        assert_eq!(bar.beyond(&tests).collect::<Vec<_>>(), ["balance/a.vtc"]);
        assert_eq!(Bar::of("startup/c.vtc\n").beyond(&tests).count(), 0);
    }

    #[test]
    fn names_survive_and_comments_do_not() {
        let mut bar = Bar::of("# of old\n\nstartup/b.vtc\nbalance/a.vtc\n");
        assert!(bar.has("startup/b.vtc") && !bar.has("# of old"));
        bar.0.insert("checks/c.vtc".to_owned());
        let text = format!("{HEAD}balance/a.vtc\nchecks/c.vtc\nstartup/b.vtc\n");
        assert_eq!(bar.text(), text);
        assert_eq!(Bar::of(&text).text(), text);
    }
}
