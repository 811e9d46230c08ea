//! Three nodes as processes on one loopback, which decide together. Each has a folder of its own for its files, as on
//! a machine of its own.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use api::{Duty, Event, Intent, Role, Standing, Status};

use super::lonely::{self, Lonely, OUTLAST, until};

pub const NODES: [&str; 3] = ["node01", "node02", "node03"];

/// A compute node; its address ends with 5.
pub const COMPUTE: &str = "cmp1";

/// A busy machine makes nobody suspect.
const CLUSTER: &str = r#"[cluster]
name = "trio"
secret_file = "secret"
haproxy = "haproxy.cfg"
detect = "3s"
[node.node01]
networks = { management = "127.0.0.2", storage = "127.0.1.2" }
[node.node02]
networks = { management = "127.0.0.3", storage = "127.0.1.3" }
[node.node03]
networks = { management = "127.0.0.4", storage = "127.0.1.4" }
[dashboard]
listen = "none"
"#;

/// The balancer of a node, in front of a server on node03.
const HAPROXY: &str = "defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
listen api
  bind ADDRESS:8080
  server three 127.0.0.4:9000
";

/// The balancer of the node at this place in the file, at this port.
pub fn haproxy(at: usize, port: u16) -> String {
    HAPROXY.replace("ADDRESS:8080", &format!("127.0.0.{}:{port}", at + 2))
}

pub struct Trio {
    pub files: Lonely,
    pub nodes: Vec<(&'static str, Child)>,
}

impl Trio {
    /// All hold the store, unless a line of `[store]` says something else.
    pub fn new(store: &str) -> Self {
        Self::with(store, "")
    }

    /// With more lines after it; there may be a compute node [`COMPUTE`] in them, which is not started.
    pub fn with(store: &str, more: &str) -> Self {
        let mut trio = Self::laid(store, more);
        trio.start_all();
        trio
    }

    /// Their files only.
    pub fn laid(store: &str, more: &str) -> Self {
        Self::files(Some(store), more, "")
    }

    /// With more of the balancer's file, `ADDRESS` in it is that of the node; without lines of a store there is
    /// none.
    pub fn of(store: Option<&str>, more: &str, proxies: &str) -> Self {
        let mut trio = Self::files(store, more, proxies);
        trio.start_nodes();
        trio
    }

    fn files(store: Option<&str>, more: &str, proxies: &str) -> Self {
        let files = Lonely::new();
        for (at, node) in NODES.iter().chain([&COMPUTE]).enumerate() {
            let section = store.map(|lines| format!("[store]\n{lines}\n")).unwrap_or_default();
            std::fs::create_dir_all(files.path(node)).expect("a folder");
            let own = files.path(&format!("{node}/secret"));
            std::fs::copy(files.path("secret"), own).expect("a secret");
            files.write(&format!("{node}/outlast.toml"), &(CLUSTER.to_owned() + &section + more));
            let proxies = proxies.replace("ADDRESS", &format!("127.0.0.{}", at + 2));
            files.write(&format!("{node}/haproxy.cfg"), &(haproxy(at, 8080) + &proxies));
        }
        Self { files, nodes: vec![] }
    }

    /// Starts them, and waits until they hear each other and decide.
    pub fn start_all(&mut self) {
        self.start_nodes();
        self.leads();
    }

    fn start_nodes(&mut self) {
        for node in NODES {
            self.start(node);
        }
        until("everybody hears everybody", || NODES.iter().all(|node| self.hears_all(node)));
    }

    pub fn start(&mut self, node: &'static str) {
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.config_file(node));
        command.args(["--node", node]).arg("--run-dir").arg(self.run_dir(node));
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        let log = self.files.path(&format!("log-{node}"));
        let log = File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes.push((node, command.spawn().expect("the node starts")));
    }

    /// Ends as an operator ends it: all that it has is let go.
    pub fn end(&mut self, node: &str) {
        lonely::kill(self.supervisor(node), "TERM");
        let at = self.nodes.iter().position(|(name, _)| *name == node).expect("it runs");
        let (_, mut child) = self.nodes.remove(at);
        child.wait().expect("it ends");
    }

    /// The cluster file of a node.
    pub fn config_file(&self, node: &str) -> std::path::PathBuf {
        self.files.path(&format!("{node}/outlast.toml"))
    }

    pub fn run_dir(&self, node: &str) -> std::path::PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    pub fn typed(&self, node: &str, words: &[&str]) -> Command {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node)).stdin(Stdio::null());
        command
    }

    /// Exit code, and what was printed on both.
    pub fn types(&self, node: &str, words: &[&str]) -> (Option<i32>, String) {
        let output = self.typed(node, words).output().expect("the tool runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    pub fn status(&self, node: &str) -> Option<Status> {
        let output = self.typed(node, &["status", "--json"]).output().expect("the tool runs");
        serde_json::from_slice(&output.stdout).ok()
    }

    pub fn hears_all(&self, node: &str) -> bool {
        let nodes = self.status(node).map(|status| status.nodes).unwrap_or_default();
        let is_heard = |name: &str| {
            let line = nodes.iter().find(|line| line.state.node == name);
            line.is_some_and(|line| line.state.standing == Standing::Alive)
        };
        NODES.into_iter().all(is_heard)
    }

    /// What a question prints, line by line; none: it was not answered.
    pub fn lines(&self, node: &str, words: &[&str]) -> Option<Vec<Vec<u8>>> {
        let output = self.typed(node, words).output().expect("the tool runs");
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        output.status.success().then(|| lines.map(<[u8]>::to_vec).collect())
    }

    /// Asked again until the store answers.
    pub fn intents(&self, node: &str) -> Vec<Intent> {
        let mut found = None;
        until("the intents are told", || {
            found = self.lines(node, &["intents", "--json"]);
            found.is_some()
        });
        let lines = found.expect("it was waited for");
        lines.iter().map(|line| serde_json::from_slice(line).expect("an intent")).collect()
    }

    /// As this node tells it.
    pub fn intent(&self, node: &str, number: u64) -> Option<Intent> {
        self.intents(node).into_iter().find(|intent| intent.number == number)
    }

    /// The name of the node that holds the name of the leader, as the store says.
    pub fn coordinator(&self) -> Option<&'static str> {
        let output = self.typed("node01", &["store", "get", "lock/leader"]).output();
        let output = output.expect("the tool runs");
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        NODES.into_iter().find(|node| output.status.success() && *node == name)
    }

    /// The newest time in office that one of these nodes began: its token, and who.
    pub fn newest(&self, among: &[&'static str]) -> Option<(u64, &'static str)> {
        let began = among.iter().flat_map(|node| {
            let events = self.events(node, "coordinator-began");
            events.into_iter().map(|event| (token(&event), *node))
        });
        began.max()
    }

    /// Who coordinates, by its own word and by the store's, and under which token.
    pub fn leads(&self) -> (u64, &'static str) {
        let mut found = None;
        until("somebody coordinates", || {
            found = self.newest(&NODES);
            found.map(|(_, node)| node) == self.coordinator() && found.is_some()
        });
        found.expect("it was waited for")
    }

    pub fn events(&self, node: &str, what: &str) -> Vec<Event> {
        let lines = self.lines(node, &["events", "--json"]).unwrap_or_default();
        let events = lines.iter().map(|line| serde_json::from_slice(line).expect("an event"));
        events.filter(|event: &Event| event.what == what).collect()
    }

    /// As if its power went: no process says anything any more.
    pub fn power_off(&mut self, node: &str) {
        let supervisor = self.supervisor(node);
        lonely::kill(supervisor, "STOP");
        let processes = self.status(node).expect("its agent runs").processes;
        // The supervisor last: an agent that misses it says goodbye.
        for process in processes.iter().filter(|p| p.running && p.pid != supervisor) {
            lonely::kill(process.pid, "KILL");
        }
        let at = self.nodes.iter().position(|(name, _)| *name == node).expect("it runs");
        let (_, mut child) = self.nodes.remove(at);
        child.kill().and_then(|()| child.wait()).expect("it ends");
    }

    /// A folder as an operator keeps it: the balancer of each node at this port.
    pub fn folder(&self, port: u16) -> String {
        let folder = self.files.path("wanted");
        for (at, node) in NODES.into_iter().enumerate() {
            let own = folder.join("nodes").join(node);
            std::fs::create_dir_all(&own).expect("a folder");
            std::fs::write(own.join("haproxy.cfg"), haproxy(at, port)).expect("a file");
        }
        let file = self.config_file(NODES[0]);
        std::fs::copy(file, folder.join("outlast.toml")).expect("a file");
        folder.to_str().expect("a path of the test").to_owned()
    }

    pub fn pid(&self, node: &str, role: Role) -> Option<i32> {
        let processes = self.status(node)?.processes;
        processes.iter().find(|p| p.role == role && p.running).map(|p| p.pid)
    }

    pub fn agent(&self, node: &str) -> i32 {
        let mut found = None;
        until("there is an agent", || {
            found = self.pid(node, Role::Agent);
            found.is_some()
        });
        found.expect("it was waited for")
    }

    pub fn supervisor(&self, node: &str) -> i32 {
        let child = self.nodes.iter().find(|(name, _)| *name == node).map(|(_, child)| child.id());
        i32::try_from(child.expect("it was started")).expect("a pid")
    }

    pub fn duty(&self, node: &str) -> Option<Duty> {
        self.status(node).map(|status| status.duty)
    }
}

fn token(event: &Event) -> u64 {
    event.evidence.rsplit(' ').next().and_then(|text| text.parse().ok()).expect("a token")
}

impl Drop for Trio {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in NODES {
                let log = std::fs::read_to_string(self.files.path(&format!("log-{node}")));
                eprintln!("{node} said:\n{}", log.unwrap_or_default());
                eprintln!("{}", self.types(node, &["intents"]).1);
                eprintln!("{}", self.types(node, &["events"]).1);
            }
        }
    }
}
