//! What is typed where a controller is lost and replaced, and what is seen then.

use std::io::Write;
use std::process::{Output, Stdio};

use super::DESK;
use super::lonely::until;
use super::trio::{Trio, said};

impl Trio {
    pub fn replace(&self, old: &str, more: &[&str]) -> Output {
        self.replace_on("node01", old, more)
    }

    /// Nodes have said no address when they joined: the cluster's file has it.
    pub fn replace_on(&self, by: &str, old: &str, more: &[&str]) -> Output {
        let file = self.files.path(&format!("{by}.toml")).display().to_string();
        self.replace_by_roster(by, old, &[&["--config", &file], more].concat())
    }

    pub fn replace_by_roster(&self, by: &str, old: &str, more: &[&str]) -> Output {
        let folder = self.files.path(&format!("trust-{by}")).display().to_string();
        let words = ["node", "replace", old, "--trust-dir", &folder];
        self.ask(by, &[&words[..], more].concat())
    }

    pub fn lose_the_third(&mut self) {
        self.lose("node03", "node01");
    }

    /// A node loses power and disks; a copy of what it could prove itself with is kept by somebody.
    pub fn lose(&mut self, node: &str, witness: &str) {
        self.stop_one(node);
        for folder in ["state", "run"] {
            let folder = self.files.path(&format!("{folder}-{node}"));
            std::fs::remove_dir_all(folder).expect("it is there");
        }
        let trust = self.files.path(&format!("trust-{node}"));
        std::fs::rename(trust, self.files.path("trust-stolen")).expect("it is there");
        until("nobody hears it", || {
            ["suspect", "left"].contains(&self.standing_at(witness, node).as_str())
        });
    }

    /// As the node of the authority sees it; empty: that cannot be read.
    pub fn standing(&self, node: &str) -> String {
        self.standing_at("node01", node)
    }

    pub fn standing_at(&self, by: &str, node: &str) -> String {
        let status = self.status(by);
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let line = nodes.iter().find(|line| line["state"]["node"] == node);
        let standing = line.and_then(|line| line["state"]["standing"].as_str());
        standing.unwrap_or_default().to_owned()
    }

    pub fn verdict_at(&self, by: &str, node: &str) -> String {
        let status = self.status(by);
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let line = nodes.iter().find(|line| line["state"]["node"] == node);
        let verdict = line.and_then(|line| line["state"]["opinion"]["verdict"].as_str());
        verdict.unwrap_or_default().to_owned()
    }

    /// What the command prints for the new machine is typed there.
    pub fn join_as_printed(&self, printed: &Output, new: &str) {
        assert!(printed.status.success(), "{}", said(printed));
        let text = String::from_utf8_lossy(&printed.stdout).into_owned();
        let mut lines = text.lines().skip_while(|line| !line.contains("outlast join - "));
        let words: Vec<&str> =
            lines.next().expect("a command").split_whitespace().skip(1).collect();
        let token = lines.nth(1).expect("a token in a line of its own").trim();
        until("the new machine joins", || {
            let mut join = self.trusting(&words, new);
            let mut join = join.stdin(Stdio::piped()).spawn().expect("the tool runs");
            let typed = writeln!(join.stdin.take().expect("its input"), "{token}");
            join.wait().expect("it ends").success() && typed.is_ok()
        });
    }

    pub fn voters(&self, node: &str) -> Vec<String> {
        let report = self.report(node);
        let voters = report["voters"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> =
            voters.iter().filter_map(|voter| voter["name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    }

    pub fn refused(&self, output: &Output, words: &str) {
        assert_eq!(output.status.code(), Some(1), "{}", said(output));
        assert!(said(output).contains(words), "{}", said(output));
    }

    /// Whoever has the old keys hears that they are refused.
    pub fn old_keys_are_refused(&self) {
        let words = ["trust", "refresh", "--from", DESK];
        let mut command = self.trusting(&words, "stolen");
        let output = command.stderr(Stdio::piped()).output().expect("the tool runs");
        assert!(!output.status.success());
        assert!(said(&output).contains("revoked"), "{}", said(&output));
    }
}
