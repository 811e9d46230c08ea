//! Nodes whose store is an etcd of the site.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

#[path = "etcd/decides.rs"]
mod decides;

#[path = "etcd/secure.rs"]
mod secure;

use std::fs::File;
use std::process::{Child, Command, Output, Stdio};

use lonely::{Lonely, OUTLAST, alone, until};
use serde_json::Value;

const NODES: [&str; 2] = ["node01", "node02"];

const CLUSTER: &str = r#"[cluster]
name = "pair"
[node.node01]
networks = { management = "127.0.0.2" }
[node.node02]
networks = { management = "127.0.0.3" }
[dashboard]
listen = "none"
[store]
engine = "etcd"
endpoints = ["http://127.0.0.1:PORT"]
"#;

/// The etcd of the site, for clients at one port; it goes on with what it had.
fn etcd(port: u16, peer: u16) -> Child {
    let client = format!("http://127.0.0.1:{port}");
    let mut etcd = Command::new("etcd");
    etcd.args(["--name", "site", "--log-level", "error", "--data-dir", "/run/etcd"]);
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    peers(&mut etcd, peer);
    etcd.stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("etcd starts")
}

/// It has no others.
fn peers(etcd: &mut Command, peer: u16) {
    let peer = format!("http://127.0.0.1:{peer}");
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.args(["--initial-cluster", &format!("site={peer}")]);
}

fn has_etcd(test: &str) -> bool {
    has("etcd", "--version", test)
}

fn has(program: &str, version: &str, test: &str) -> bool {
    let found = Command::new(program).arg(version).stdout(Stdio::null()).status().is_ok();
    if !found {
        lab::skip::note(&format!("outlast::{test}"), &format!("no {program}"));
    }
    found
}

struct Pair {
    files: Lonely,
    port: u16,
    peer: u16,
    children: Vec<Child>,
}

impl Pair {
    fn start() -> Self {
        let files = Lonely::new();
        let (port, peer) = (lonely::free_port(), lonely::free_port());
        files.write("outlast.toml", &CLUSTER.replace("PORT", &port.to_string()));
        let mut pair = Self { files, port, peer, children: vec![] };
        for node in NODES {
            let mut command = Command::new(OUTLAST);
            command.arg("run").arg("--config").arg(pair.files.path("outlast.toml"));
            command.args(["--node", node]).arg("--run-dir").arg(pair.run_dir(node));
            command.arg("--state-dir").arg(pair.files.path(&format!("state-{node}")));
            let log = File::create(pair.files.path(&format!("log-{node}"))).expect("a log");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            pair.children.push(command.spawn().expect("the node starts"));
        }
        pair
    }

    fn etcd(&self) -> Child {
        etcd(self.port, self.peer)
    }

    fn run_dir(&self, node: &str) -> std::path::PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    fn store(&self, node: &str, words: &[&str]) -> Output {
        self.typed(node, &[&["store"], words].concat())
    }

    fn typed(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node));
        command.stdin(Stdio::null()).output().expect("the tool runs")
    }

    fn report(&self, node: &str) -> Value {
        let output = self.store(node, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for node in NODES {
                let log = std::fs::read_to_string(self.files.path(&format!("log-{node}")));
                eprintln!("{node} said:\n{}{}", log.unwrap_or_default(), self.report(node));
            }
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_etcd_that_was_put_back_from_an_older_copy_is_noticed_by_its_revision() {
    let test = "an_etcd_that_was_put_back_from_an_older_copy_is_noticed_by_its_revision";
    if !has_etcd(test) {
        return;
    }
    alone(test, || {
        let pair = Pair::start();
        let ended = |mut etcd: Child| etcd.kill().and_then(|()| etcd.wait()).expect("it ends");
        let copied = |from: &str, to: &str| {
            std::fs::remove_dir_all(to).ok();
            let copied = Command::new("cp").args(["-a", from, to]).status().expect("cp runs");
            assert!(copied.success(), "{from} to {to}");
        };
        let put = |value: &str| {
            until("a write is acknowledged", || {
                pair.store("node01", &["put", "a", value]).status.success()
            });
        };
        let says = |node: &str, words: &[&str]| {
            let said = pair.typed(node, words);
            String::from_utf8_lossy(&said.stdout).contains("it was put back from an older copy")
        };
        let etcd = pair.etcd();
        put("before");
        ended(etcd);
        copied("/run/etcd", "/run/copy");
        let etcd = pair.etcd();
        (0..20).for_each(|number| put(&number.to_string()));
        let written = pair.report("node01")["revision"].as_u64().unwrap_or(0).max(20);
        for node in NODES {
            until("both have read it", || pair.report(node)["revision"].as_u64() >= Some(written));
            assert!(
                !says(node, &["status"]) && !says(node, &["events"]),
                "it only ended and began"
            );
        }
        ended(etcd);
        copied("/run/copy", "/run/etcd");
        let etcd = pair.etcd();
        for node in NODES {
            until("the status says it", || says(node, &["status"]));
            until("an event says it", || says(node, &["events"]));
            assert!(says(node, &["why", "store"]), "and what is asked why");
        }
        assert_eq!(pair.store("node02", &["get", "a"]).stdout, b"before\n");
        // When it is as far as it was, what comes is newer than all that was known.
        (0..30).for_each(|number| put(&number.to_string()));
        for node in NODES {
            until("it is over", || !says(node, &["status"]));
        }
        ended(etcd);
    });
}

#[test]
fn two_nodes_share_an_etcd_of_the_site_and_say_when_it_is_away() {
    let test = "two_nodes_share_an_etcd_of_the_site_and_say_when_it_is_away";
    if !has_etcd(test) {
        return;
    }
    alone(test, || {
        let pair = Pair::start();
        let says = |node: &str, wanted: &str| {
            until("the node says what is wrong", || {
                let trouble = pair.report(node)["trouble"].clone();
                trouble.as_str().is_some_and(|text| text.contains(wanted))
            });
        };
        says("node01", "no leader");
        assert!(!pair.store("node01", &["status"]).status.success());
        let mut etcd = pair.etcd();
        for node in NODES {
            until("the node's etcd has a leader", || pair.report(node)["leader"] == "site");
        }
        assert!(pair.store("node01", &["put", "a", "1"]).status.success());
        let output = pair.store("node02", &["get", "a"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n", "{}", said(&output));
        until("the node counts its keys", || pair.report("node02")["keys"].as_u64() >= Some(1));
        assert_eq!(pair.report("node02")["engine"], "etcd");
        // Its key is what it was called, without the cluster's prefix; the coordinator has keys of its own.
        let listed = pair.store("node02", &["list", "a"]);
        assert!(String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.ends_with("  a")));
        let file = pair.files.path("backup");
        let file = file.to_str().expect("a path of the test");
        let refused = pair.store("node01", &["backup", file]);
        assert!(!refused.status.success() && said(&refused).contains("etcdctl snapshot save"));
        let config = pair.files.path("outlast.toml");
        let config = config.to_str().expect("a path of the test");
        let words = ["store", "restore", config, "--node", "node01", "--config", config];
        let refused = Command::new(OUTLAST).args(words).output().expect("the tool runs");
        assert!(!refused.status.success() && said(&refused).contains("etcdctl snapshot restore"));
        // It is away, and back.
        etcd.kill().and_then(|()| etcd.wait()).expect("it ends");
        says("node01", "no leader");
        until("it is explained", || {
            let why = pair.typed("node01", &["why", "store"]);
            String::from_utf8_lossy(&why.stdout).contains("the store has no leader")
        });
        let away = pair.store("node02", &["put", "a", "2"]);
        assert_eq!(away.status.code(), Some(1), "{}", said(&away));
        let mut etcd = pair.etcd();
        until("it goes on", || pair.store("node02", &["put", "a", "3"]).status.success());
        assert_eq!(String::from_utf8_lossy(&pair.store("node01", &["get", "a"]).stdout), "3\n");
        etcd.kill().and_then(|()| etcd.wait()).expect("it ends");
    });
}
