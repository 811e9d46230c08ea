//! Three nodes as processes on one loopback: their store is one, over mutual TLS.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use lonely::{Lonely, OUTLAST, alone, kill, until};
use serde_json::Value;

const NODES: [&str; 3] = ["node01", "node02", "node03"];

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
struct Trio {
    files: Lonely,
    nodes: Vec<(String, Child)>,
}

impl Trio {
    /// A cluster of controllers, by tokens; the last may be something else.
    fn founded(last: &str) -> Self {
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

    fn write(&self, node: &str, store: &str) {
        let text = CLUSTER.replace("trust-NODE", &format!("trust-{node}")) + store;
        self.files.write(&format!("{node}.toml"), &text);
    }

    /// Who is in, as the authority knows it.
    fn refresh(&self, node: &str) {
        let desk = format!("127.0.0.1:{}", lonely::free_port());
        let mut serves = self.trusting(&["trust", "serve", "--listen", &desk], "node01");
        let mut serves = serves.stdout(Stdio::null()).spawn().expect("it serves");
        until("a roster is refreshed", || {
            let words = ["trust", "refresh", "--from", &desk];
            self.trusting(&words, node).output().expect("the tool runs").status.success()
        });
        serves.kill().and_then(|()| serves.wait()).expect("it ends");
    }

    fn trusting(&self, words: &[&str], node: &str) -> Command {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--trust-dir").arg(self.files.path(&format!("trust-{node}")));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn said(&self, words: &[&str], node: &str) -> String {
        let output = self.trusting(words, node).output().expect("the tool runs");
        assert!(output.status.success(), "{words:?} of {node}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn run_dir(&self, node: &str) -> PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    fn start(&mut self, node: &str) {
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.files.path(&format!("{node}.toml")));
        command.args(["--node", node]).arg("--run-dir").arg(self.run_dir(node));
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        let log = self.files.path(&format!("log-{node}"));
        let log = File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes.push((node.to_owned(), command.spawn().expect("the node starts")));
    }

    fn store(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.arg("store").args(words).arg("--run-dir").arg(self.run_dir(node));
        command.stdin(Stdio::null()).output().expect("the tool runs")
    }

    fn report(&self, node: &str) -> Value {
        let output = self.store(node, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// The leader that all of these follow; waits for it.
    fn leader(&self, among: &[&str]) -> String {
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

    fn put(&self, node: &str, key: &str, value: &str) {
        until("a write is acknowledged", || {
            self.store(node, &["put", key, value]).status.success()
        });
    }

    fn get(&self, node: &str, key: &str) -> Option<String> {
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
    fn process(&self, node: &str) -> i32 {
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
    fn ask(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node));
        command.stdin(Stdio::null()).output().expect("the tool runs")
    }

    fn status(&self, node: &str) -> Value {
        let output = self.ask(node, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Status and events of a node have what its store says.
    fn tells_its_facts(&self, node: &str, leader: &str) {
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

    fn folder(&self, node: &str) -> PathBuf {
        self.files.path(&format!("state-{node}/store"))
    }

    fn check(&self, node: &str) -> Output {
        check(&self.folder(node))
    }

    fn restore(&self, node: &str, file: &str, more: &[&str]) -> Output {
        let config = self.files.path(&format!("{node}.toml"));
        let mut command = Command::new(OUTLAST);
        command.args(["store", "restore", file, "--node", node, "--config"]).arg(config).args(more);
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        command.arg("--run-dir").arg(self.run_dir(node)).output().expect("the tool runs")
    }

    /// A copy of a file with one bit flipped.
    fn damaged(&self, file: &str) -> String {
        let mut damaged = std::fs::read(file).expect("a file");
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        let broken = self.files.path("damaged");
        std::fs::write(&broken, damaged).expect("a file");
        broken.to_str().expect("a path of the test").to_owned()
    }

    /// What a node is at as soon as it is later than this one.
    fn revision_after(&self, node: &str, before: u64) -> u64 {
        let mut found = 0;
        until("the node has what was written", || {
            found = self.report(node)["revision"].as_u64().unwrap_or(0);
            found > before
        });
        found
    }

    /// On all members, as the first one says; the revision from which they go on.
    fn restored(&self, file: &str) -> u64 {
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

    /// All nodes end, and their processes have let the files go, which are whole.
    fn stop(&mut self) {
        for (_, node) in &mut self.nodes {
            node.kill().and_then(|()| node.wait()).expect("it ends");
        }
        self.nodes.clear();
        for node in NODES {
            until("the file is free and whole", || self.check(node).status.success());
        }
    }
}

fn check(folder: &Path) -> Output {
    let mut command = Command::new(OUTLAST);
    command.args(["store", "check"]).arg(folder).output().expect("the tool runs")
}

fn said(output: &Output) -> String {
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

#[test]
fn three_nodes_found_one_store_and_its_process_is_replaced() {
    alone("three_nodes_found_one_store_and_its_process_is_replaced", || {
        let mut trio = Trio::founded("controller");
        // Two of them found nothing: the third may have a store already.
        trio.start("node01");
        trio.start("node02");
        until("the first says for whom it waits", || {
            let report = trio.report("node01");
            report["trouble"].as_str().is_some_and(|text| text.contains("node03"))
        });
        assert_eq!(trio.report("node01")["leader"], Value::Null);
        trio.start("node03");
        let leader = trio.leader(&NODES);
        let report = trio.report(&leader);
        let voters = report["voters"].as_array().expect("a list");
        let mut voters: Vec<_> = voters.iter().map(|voter| voter["name"].as_str()).collect();
        voters.sort_unstable();
        assert_eq!(voters, NODES.map(Some));
        trio.put("node01", "a", "1");
        for node in NODES {
            assert_eq!(trio.get(node, "a").as_deref(), Some("1"), "{node}");
            assert_eq!(trio.get(node, "b"), None);
        }
        trio.tells_its_facts("node02", &leader);
        // A process that is killed or hangs is replaced; the others go on meanwhile.
        let other = NODES.into_iter().find(|node| *node != leader).expect("there are three");
        for (signal, value) in [("KILL", "2"), ("STOP", "3")] {
            let before = trio.process(&leader);
            kill(before, signal);
            trio.put(other, "a", value);
            until("another process runs", || trio.process(&leader) != before);
            trio.leader(&NODES);
            assert_eq!(trio.get(&leader, "a").as_deref(), Some(value));
        }
    });
}

#[test]
fn a_backup_is_restored_on_all_members_and_no_revision_comes_twice() {
    alone("a_backup_is_restored_on_all_members_and_no_revision_comes_twice", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "before");
        let file = trio.files.path("backup");
        let file = file.to_str().expect("a path of the test");
        assert!(trio.store("node02", &["backup", file]).status.success());
        trio.put("node01", "a", "after");
        trio.put("node01", "b", "after");
        let revision = trio.report("node01")["revision"].as_u64().expect("a number");
        // Its process may just be replaced.
        until("a store that runs is not read by others", || {
            said(&trio.check("node01")).contains("stop outlast")
        });
        trio.stop();
        // As the process of a store holds it.
        let held = File::open(trio.folder("node01").join("store.redb")).expect("a file");
        held.lock().expect("nobody else has it");
        let output = trio.restore("node01", file, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("stop outlast"), "{}", said(&output));
        drop(held);
        let output = trio.restore("node01", &trio.damaged(file), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(trio.check("node01").status.success(), "nothing was changed");
        let first = trio.restored(file);
        assert!(first > revision);
        // A disk with a flipped bit is found.
        let old = trio.folder("node01").join("store.redb.before-restore");
        let bad = trio.files.path("bad");
        std::fs::create_dir_all(&bad).expect("a folder");
        let mut bytes = std::fs::read(&old).expect("a file");
        bytes.iter_mut().skip(4096).step_by(512).for_each(|byte| *byte ^= 0x40);
        std::fs::write(bad.join("store.redb"), bytes).expect("a file");
        let output = check(&bad);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        assert_eq!(trio.get("node03", "a").as_deref(), Some("before"));
        assert_eq!(trio.get("node03", "b"), None);
        trio.put("node02", "c", "new");
        let revision = trio.revision_after("node02", first);
        // The same again.
        trio.stop();
        for node in NODES {
            let old = trio.folder(node).join("store.redb.before-restore");
            std::fs::remove_file(old).expect("it is there");
        }
        let output = trio.restore("node01", file, &["--from", &first.to_string()]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("would give revisions again"), "{}", said(&output));
        let second = trio.restored(file);
        assert!(second > revision, "{second} after {revision}");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        assert_eq!(trio.get("node02", "a").as_deref(), Some("before"));
        assert_eq!(trio.get("node02", "c"), None);
        trio.put("node03", "d", "new");
        for node in NODES {
            assert_eq!(trio.get(node, "d").as_deref(), Some("new"), "{node}");
        }
        trio.revision_after("node03", second);
    });
}

#[test]
fn a_member_that_was_revoked_has_no_part_in_the_store() {
    alone("a_member_that_was_revoked_has_no_part_in_the_store", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node03", "a", "1");
        trio.said(&["trust", "revoke", "node03"], "node01");
        trio.refresh("node02");
        until("node03 can write no more", || {
            !trio.store("node03", &["put", "a", "2"]).status.success()
        });
        trio.leader(&NODES[..2]);
        trio.put("node01", "a", "3");
        assert_eq!(trio.get("node02", "a").as_deref(), Some("3"));
        until("node03 cannot even read", || !trio.store("node03", &["get", "a"]).status.success());
    });
}

#[test]
fn a_compute_node_is_no_member_whatever_its_file_says() {
    alone("a_compute_node_is_no_member_whatever_its_file_says", || {
        let mut trio = Trio::founded("compute");
        for node in NODES {
            trio.start(node);
        }
        for node in &NODES[..2] {
            until("it says why it waits", || {
                let report = trio.report(node);
                let why = report["trouble"].as_str().unwrap_or_default();
                why.contains("`node03` is a compute node") && report["leader"].is_null()
            });
        }
        // What it waits for is told by name where it is not known, too.
        until("it is not let in", || {
            let report = trio.report("node03");
            report["trouble"].as_str().is_some_and(|why| why.contains("it may not know this node"))
        });
    });
}
