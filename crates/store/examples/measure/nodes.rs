//! Three nodes of a founded trust, as processes of the real executable.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use outlast_store::{Client, Report};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const NODES: [&str; 3] = ["node01", "node02", "node03"];
/// Longer than anything here takes on a machine that is ten times too slow.
const PATIENCE: Duration = Duration::from_secs(30);

const CLUSTER: &str = r#"[cluster]
name = "measured"
trust_dir = "trust-NODE"
[node.node01]
networks = { management = "127.0.0.2" }
[node.node02]
networks = { management = "127.0.0.3" }
[node.node03]
networks = { management = "127.0.0.4" }
[dashboard]
listen = "none"
[store]
"#;

pub(crate) struct Nodes {
    program: PathBuf,
    folder: PathBuf,
    clients: BTreeMap<&'static str, Client>,
    running: BTreeMap<&'static str, Node>,
}

struct Node {
    supervisor: Child,
    /// Of its processes, the store's first.
    children: Vec<i32>,
}

impl Nodes {
    /// A cluster of three controllers, by tokens, and all of them run.
    pub(crate) async fn found(program: &Path, folder: &Path) -> Self {
        sys::netns::loopback_up().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let (program, folder) = (program.to_owned(), folder.to_owned());
        let client = |node| (node, Client::new(&folder.join(format!("run-{node}"))));
        let clients = NODES.map(client).into();
        let mut nodes = Self { program, folder, clients, running: BTreeMap::new() };
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let desk = free.to_string();
        nodes.said(NODES[0], &["init", "measured", "--node", NODES[0]]);
        let mut serves = nodes.trusting(NODES[0], &["trust", "serve", "--listen", &desk]);
        let mut serves = serves.stdout(Stdio::null()).spawn().unwrap();
        for node in &NODES[1..] {
            let words = ["token", "create", "--role", "controller", "--address", &desk];
            let token = nodes.said(NODES[0], &words);
            nodes.until_done(node, &["join", token.trim(), "--node", node]).await;
        }
        // The second has to hear of the third.
        nodes.until_done(NODES[1], &["trust", "refresh", "--from", &desk]).await;
        serves.kill().and_then(|()| serves.wait()).unwrap();
        for node in NODES {
            nodes.launch(node);
        }
        nodes
    }

    fn trusting(&self, node: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--trust-dir").arg(self.folder.join(format!("trust-{node}")));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn said(&self, node: &str, words: &[&str]) -> String {
        let Output { status, stdout, .. } = self.trusting(node, words).output().unwrap();
        assert!(status.success(), "{words:?} of {node}");
        String::from_utf8(stdout).unwrap()
    }

    async fn until_done(&self, node: &str, words: &[&str]) {
        let begun = sys::clock::now();
        while !self.trusting(node, words).output().unwrap().status.success() {
            assert!(sys::clock::now().since(begun) < PATIENCE, "{words:?} of {node}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn launch(&mut self, node: &'static str) {
        let file = self.folder.join(format!("{node}.toml"));
        let text = CLUSTER.replace("trust-NODE", &format!("trust-{node}"));
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(file).args(["--node", node]);
        for folder in ["run", "state"] {
            command
                .arg(format!("--{folder}-dir"))
                .arg(self.folder.join(format!("{folder}-{node}")));
        }
        let log = self.folder.join(format!("log-{node}"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let supervisor = command.spawn().unwrap();
        self.running.insert(node, Node { supervisor, children: vec![] });
    }

    /// A client of its own of a node's store.
    pub(crate) fn client(&self, node: &str) -> Client {
        Client::new(&self.folder.join(format!("run-{node}")))
    }

    async fn report(&self, node: &str) -> Option<Report> {
        let asked = tokio::time::timeout(Duration::from_secs(1), self.clients[node].report()).await;
        asked.ok()?.ok()
    }

    /// A leader other than `not` that `among` all follow.
    pub(crate) async fn leader(&self, among: &[&'static str], not: Option<&str>) -> &'static str {
        let begun = sys::clock::now();
        loop {
            let mut leaders = vec![];
            for node in among {
                leaders.push(self.report(node).await.and_then(|report| report.leader));
            }
            let found = NODES.into_iter().find(|node| leaders[0].as_deref() == Some(*node));
            let found = found.filter(|node| Some(*node) != not);
            if let Some(leader) = found.filter(|_| leaders.iter().all(|other| *other == leaders[0]))
            {
                return leader;
            }
            let late = sys::clock::now().since(begun) >= PATIENCE;
            assert!(!late, "{among:?} have no leader: {leaders:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for the disk of each node's store since it started.
    pub(crate) async fn syncs(&self) -> [u64; 3] {
        let mut syncs = [0; 3];
        for (node, syncs) in NODES.iter().zip(&mut syncs) {
            *syncs = self.report(node).await.unwrap().syncs;
        }
        syncs
    }

    /// All processes of a node, as when it loses its power or its kernel stands still; when it began.
    pub(crate) fn strike(&mut self, node: &'static str, signal: Signal) -> base::Time {
        let children = self.children(node);
        let there = self.running.get_mut(node).unwrap();
        there.children = children;
        // The supervisor would replace a store that is gone.
        kill_process(Pid::from_child(&there.supervisor), Signal::STOP).unwrap();
        let begun = sys::clock::now();
        for child in &there.children {
            kill_process(Pid::from_raw(*child).unwrap(), signal).unwrap();
        }
        kill_process(Pid::from_child(&there.supervisor), signal).unwrap();
        if signal == Signal::KILL {
            there.supervisor.wait().unwrap();
        }
        begun
    }

    pub(crate) fn resume(&self, node: &str) {
        let there = &self.running[node];
        for child in &there.children {
            kill_process(Pid::from_raw(*child).unwrap(), Signal::CONT).unwrap();
        }
        kill_process(Pid::from_child(&there.supervisor), Signal::CONT).unwrap();
    }

    /// Pids of a node's processes, as it tells them; the store's first.
    fn children(&self, node: &str) -> Vec<i32> {
        let mut command = Command::new(&self.program);
        let run_dir = self.folder.join(format!("run-{node}"));
        let output = command.args(["status", "--json", "--run-dir"]).arg(run_dir).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut processes = status["processes"].as_array().unwrap().clone();
        processes.retain(|process| process["running"] == true);
        processes.sort_by_key(|process| process["role"] != "store");
        assert_eq!(processes[0]["role"], "store");
        let pid = |process: &serde_json::Value| process["pid"].as_i64().unwrap();
        processes.iter().map(|process| i32::try_from(pid(process)).unwrap()).collect()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in self.running.values_mut() {
            // Its processes end with it, those that stand still with the namespace.
            drop((node.supervisor.kill(), node.supervisor.wait()));
        }
        if std::thread::panicking() {
            for node in NODES {
                let log = std::fs::read_to_string(self.folder.join(format!("log-{node}")));
                eprintln!("{node} said:\n{}", log.unwrap_or_default());
            }
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
