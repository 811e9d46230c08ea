//! Three nodes with a store, as processes on one loopback.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::lonely::{self, Lonely, OUTLAST, until};
use serde_json::Value;

pub const NODES: [&str; 3] = ["node01", "node02", "node03"];

const CLUSTER: &str = r#"[cluster]
name = "trio"
trust_dir = "trust-NODE"
[node.node01]
networks = { management = "127.0.0.2", storage = "127.0.1.2" }
[node.node02]
networks = { management = "127.0.0.3", storage = "127.0.1.3" }
[node.node03]
networks = { management = "127.0.0.4", storage = "127.0.1.4" }
[dashboard]
listen = "none"
[store]
"#;

/// Nodes with files and folders of their own below one folder.
pub struct Trio {
    pub files: Lonely,
    pub nodes: Vec<(String, Child)>,
}

impl Trio {
    /// A cluster of controllers, by tokens; the last may be something else.
    pub fn founded(last: &str) -> Self {
        let files = Lonely::new();
        let trio = Self { files, nodes: vec![] };
        let desk = format!("127.0.0.1:{}", lonely::free_port());
        trio.said(&["init", "trio", "--node", "node01"], "node01");
        let mut serves = trio.trusting(&["trust", "serve", "--listen", &desk], "node01");
        let mut serves = serves.stdout(Stdio::null()).spawn().expect("it serves");
        for (node, role) in [(NODES[1], "controller"), (NODES[2], last)] {
            let words = ["token", "create", "--role", role, "--address", &desk];
            let token = trio.said(&words, "node01");
            let words = ["join", token.trim(), "--node", node];
            until("a node joins", || {
                trio.trusting(&words, node).output().expect("the tool runs").status.success()
            });
        }
        serves.kill().and_then(|()| serves.wait()).expect("it ends");
        // The second has to hear of the third.
        trio.refresh("node02");
        for node in NODES {
            trio.write(node, "");
        }
        trio
    }

    pub fn write(&self, node: &str, store: &str) {
        let text = CLUSTER.replace("trust-NODE", &format!("trust-{node}")) + store;
        self.files.write(&format!("{node}.toml"), &text);
    }

    /// Who is in, as the authority knows it.
    pub fn refresh(&self, node: &str) {
        let desk = format!("127.0.0.1:{}", lonely::free_port());
        let mut serves = self.trusting(&["trust", "serve", "--listen", &desk], "node01");
        let mut serves = serves.stdout(Stdio::null()).spawn().expect("it serves");
        until("a roster is refreshed", || {
            let words = ["trust", "refresh", "--from", &desk];
            self.trusting(&words, node).output().expect("the tool runs").status.success()
        });
        serves.kill().and_then(|()| serves.wait()).expect("it ends");
    }

    pub fn trusting(&self, words: &[&str], node: &str) -> Command {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--trust-dir").arg(self.files.path(&format!("trust-{node}")));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub fn said(&self, words: &[&str], node: &str) -> String {
        let output = self.trusting(words, node).output().expect("the tool runs");
        assert!(output.status.success(), "{words:?} of {node}");
        String::from_utf8(output.stdout).expect("text")
    }

    pub fn run_dir(&self, node: &str) -> PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    pub fn start(&mut self, node: &str) {
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.files.path(&format!("{node}.toml")));
        command.args(["--node", node]).arg("--run-dir").arg(self.run_dir(node));
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        let log = self.files.path(&format!("log-{node}"));
        let log = File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes.push((node.to_owned(), command.spawn().expect("the node starts")));
    }

    pub fn store(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.arg("store").args(words).arg("--run-dir").arg(self.run_dir(node));
        command.stdin(Stdio::null()).output().expect("the tool runs")
    }

    pub fn report(&self, node: &str) -> Value {
        let output = self.store(node, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// The leader that all of these follow; waits for it.
    pub fn leader(&self, among: &[&str]) -> String {
        let mut found = None;
        until("all follow one leader", || {
            let leaders: Vec<_> =
                among.iter().map(|node| self.report(node)["leader"].clone()).collect();
            let same = leaders.iter().all(|leader| *leader == leaders[0]);
            found = leaders[0].as_str().filter(|_| same).map(str::to_owned);
            found.as_deref().is_some_and(|leader| among.contains(&leader))
        });
        found.expect("it was waited for")
    }

    pub fn put(&self, node: &str, key: &str, value: &str) {
        until("a write is acknowledged", || {
            self.store(node, &["put", key, value]).status.success()
        });
    }

    /// Asked once; the value comes on the standard input.
    pub fn put_from_input(&self, node: &str, key: &str, value: &[u8]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.args(["store", "put", key, "-", "--run-dir"]).arg(self.run_dir(node));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tool = command.spawn().expect("the tool runs");
        tool.stdin.take().expect("its input").write_all(value).expect("it reads all");
        tool.wait_with_output().expect("it ends")
    }

    pub fn get(&self, node: &str, key: &str) -> Option<String> {
        let mut found = None;
        until("a read is answered", || {
            let output = self.store(node, &["get", key]);
            found = Some(String::from_utf8(output.stdout).expect("text"));
            // 1 without a word: there is no such key.
            output.status.success() || (output.status.code() == Some(1) && output.stderr.is_empty())
        });
        found.map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty())
    }

    /// The process of the store of a node.
    pub fn process(&self, node: &str) -> i32 {
        let mut found = None;
        until("the store's process runs", || {
            let status = self.status(node);
            let processes = status["processes"].as_array().cloned().unwrap_or_default();
            let store = processes.iter().find(|p| p["role"] == "store" && p["running"] == true);
            found = store.and_then(|process| process["pid"].as_i64());
            found.is_some()
        });
        i32::try_from(found.expect("it runs")).expect("a pid")
    }
}

impl Trio {
    pub fn ask(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node));
        command.stdin(Stdio::null()).output().expect("the tool runs")
    }

    pub fn status(&self, node: &str) -> Value {
        let output = self.ask(node, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Status and events of a node have what its store says.
    pub fn tells_its_facts(&self, node: &str, leader: &str) {
        until("the status has the store's facts", || {
            let store = self.status(node)["store"].clone();
            let voters = store["members"].as_array().map_or(0, |members| {
                members.iter().filter(|member| member["votes"] == true).count()
            });
            let sizes = [&store["applied"], &store["file_bytes"]];
            store["leader"] == leader
                && voters == NODES.len()
                && store["disk"] == "whole"
                && sizes.iter().all(|size| size.as_u64() > Some(0))
        });
        until("an event says who leads", || {
            let events = self.ask(node, &["events"]);
            let events = String::from_utf8_lossy(&events.stdout).into_owned();
            events.contains("store-led") && events.contains(&format!("{leader} leads the store"))
        });
    }

    pub fn folder(&self, node: &str) -> PathBuf {
        self.files.path(&format!("state-{node}/store"))
    }

    pub fn check(&self, node: &str) -> Output {
        check(&self.folder(node))
    }

    pub fn check_with(&self, node: &str, more: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.args(["store", "check"]).arg(self.folder(node)).args(more);
        command.output().expect("the tool runs")
    }

    pub fn restore(&self, node: &str, file: &str, more: &[&str]) -> Output {
        let config = self.files.path(&format!("{node}.toml"));
        let mut command = Command::new(OUTLAST);
        command.args(["store", "restore", file, "--node", node, "--config"]).arg(config).args(more);
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        command.arg("--run-dir").arg(self.run_dir(node)).output().expect("the tool runs")
    }

    /// A copy of a file with one bit flipped.
    pub fn damaged(&self, file: &str) -> String {
        let mut damaged = std::fs::read(file).expect("a file");
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        let broken = self.files.path("damaged");
        std::fs::write(&broken, damaged).expect("a file");
        broken.to_str().expect("a path of the test").to_owned()
    }

    /// What a node is at as soon as it is later than this one.
    pub fn revision_after(&self, node: &str, before: u64) -> u64 {
        let mut found = 0;
        until("the node has what was written", || {
            found = self.report(node)["revision"].as_u64().unwrap_or(0);
            found > before
        });
        found
    }

    /// On all members, as the first one says; the revision from which they go on.
    pub fn restored(&self, file: &str) -> u64 {
        let output = self.restore(NODES[0], file, &[]);
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        let from = text.split_once("--from ").and_then(|(_, rest)| rest.split_whitespace().next());
        let from = from.expect("a command for the others").to_owned();
        for node in &NODES[1..] {
            let output = self.restore(node, file, &["--from", &from]);
            assert!(output.status.success(), "{}", said(&output));
            let text = String::from_utf8(output.stdout).expect("text");
            assert!(text.contains(&format!("goes on from revision {from}")), "{text}");
        }
        for node in NODES {
            assert!(self.folder(node).join("store.redb.before-restore").exists());
        }
        from.parse().expect("a number")
    }

    /// One node ends.
    pub fn stop_node(&mut self, name: &str) {
        let at = self.nodes.iter().position(|(node, _)| node == name).expect("it runs");
        let (_, mut node) = self.nodes.remove(at);
        node.kill().and_then(|()| node.wait()).expect("it ends");
    }

    /// One node ends, and its process has let its file go.
    pub fn stop_one(&mut self, name: &str) {
        self.stop_node(name);
        until("the file is free and whole", || self.check(name).status.success());
    }

    /// Waits until a node's store says this of what keeps it or another one out.
    pub fn says(&self, node: &str, words: &str) {
        until(words, || {
            self.report(node)["trouble"].as_str().is_some_and(|text| text.contains(words))
        });
    }

    /// All nodes end, and their processes have let the files go, which are whole.
    pub fn stop(&mut self) {
        for (_, node) in &mut self.nodes {
            node.kill().and_then(|()| node.wait()).expect("it ends");
        }
        self.nodes.clear();
        for node in NODES {
            until("the file is free and whole", || self.check(node).status.success());
        }
    }
}

pub fn check(folder: &Path) -> Output {
    let mut command = Command::new(OUTLAST);
    command.args(["store", "check"]).arg(folder).output().expect("the tool runs")
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Drop for Trio {
    fn drop(&mut self) {
        for (_, node) in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
        if std::thread::panicking() {
            for node in NODES {
                let log = std::fs::read_to_string(self.files.path(&format!("log-{node}")));
                eprintln!("{node} said:\n{}{}", log.unwrap_or_default(), self.report(node));
            }
        }
    }
}
