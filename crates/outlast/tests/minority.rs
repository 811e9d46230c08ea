//! Three nodes as processes on one loopback, two of which stand still without a goodbye: what the third
//! does of each layer, by the rows of the table in `docs/reference/without-quorum.md`.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use api::{Event, NodeLine, Standing, Status, Verdict};
use lonely::{Lonely, OUTLAST, alone, kill, until};

const NODES: [&str; 3] = ["node01", "node02", "node03"];
/// Stands still with the majority.
const COMPUTE: &str = "cmp1";
/// The one that goes on.
const LAST: &str = "node01";
/// Its address, where its doors are.
const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where servers of nobody's are.
const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 8), Ipv4Addr::new(127, 0, 0, 9)];

const CLUSTER: &str = r#"[cluster]
name = "trio"
secret_file = "secret"
haproxy = "haproxy-NODE.cfg"
detect = "2s"
[node.node01]
networks = { management = "127.0.0.2", storage = "127.0.1.2" }
[node.node02]
networks = { management = "127.0.0.3", storage = "127.0.1.3" }
[node.node03]
networks = { management = "127.0.0.4", storage = "127.0.1.4" }
[node.cmp1]
role = "compute"
networks = { management = "127.0.0.5", storage = "127.0.1.5" }
[dashboard]
listen = "DASHBOARD"
[store]
"#;

/// A pool on servers of nobody's, and one writer of two.
const HAPROXY: &str = "defaults
  mode tcp
  timeout connect 2s
  timeout client 1m
  timeout server 1m
listen api
  bind ADDRESS:8080
  server one 127.0.0.8:9000 check inter 100ms
  server two 127.0.0.9:9000 check inter 100ms
listen database
  bind ADDRESS:3306
  server one 127.0.0.8:3306 check inter 100ms fall 2
  server two 127.0.0.9:3306 check inter 100ms fall 2 backup
";

/// Says its name to whoever connects, until it is ended.
struct Server {
    at: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Server {
    fn new(at: (Ipv4Addr, u16), name: &'static str) -> Self {
        let listener = TcpListener::bind(at).expect("an address of the test");
        let (at, ended) = (at.into(), Arc::new(AtomicBool::new(false)));
        let end = Arc::clone(&ended);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                // Checks connect and go.
                drop((&client).write_all(name.as_bytes()));
            }
        });
        Self { at, ended }
    }

    /// Its port is closed when this returns.
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        until("its port is closed", || TcpStream::connect(self.at).is_err());
    }
}

struct Trio {
    files: Lonely,
    nodes: Vec<(&'static str, Child)>,
}

impl Trio {
    fn new() -> Self {
        let files = Lonely::new();
        let mut trio = Self { files, nodes: vec![] };
        for (at, node) in NODES.into_iter().chain([COMPUTE]).enumerate() {
            let dashboard = if node == LAST { "127.0.0.2:7412" } else { "none" };
            let text = CLUSTER.replace("NODE", node).replace("DASHBOARD", dashboard);
            trio.files.write(&format!("{node}.toml"), &text);
            let address = format!("127.0.0.{}", at + 2);
            trio.files.write(&haproxy(node), &HAPROXY.replace("ADDRESS", &address));
            trio.start(node);
        }
        trio
    }

    fn start(&mut self, node: &'static str) {
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.files.path(&format!("{node}.toml")));
        command.args(["--node", node]).arg("--run-dir").arg(self.run_dir(node));
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        let log = File::create(self.files.path(&format!("log-{node}"))).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes.push((node, command.spawn().expect("the node starts")));
    }

    fn run_dir(&self, node: &str) -> PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    /// Exit code, and what was printed on both.
    fn types(&self, node: &str, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node)).stdin(Stdio::null());
        let output = command.output().expect("the tool runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn status(&self, node: &str) -> Option<Status> {
        serde_json::from_str(&self.types(node, &["status", "--json"]).1).ok()
    }

    fn nodes(&self, node: &str) -> Vec<NodeLine> {
        self.status(node).map(|status| status.nodes).unwrap_or_default()
    }

    fn others(&self) -> Vec<NodeLine> {
        self.nodes(LAST).into_iter().filter(|line| line.state.node != LAST).collect()
    }

    fn supervisor(&self, node: &str) -> i32 {
        let child = self.nodes.iter().find(|(name, _)| *name == node).map(|(_, child)| child.id());
        i32::try_from(child.expect("it was started")).expect("a pid")
    }

    /// Its supervisor first, which would replace the others.
    fn processes(&self, node: &str) -> Vec<i32> {
        let processes = self.status(node).expect("it answers").processes;
        let running = processes.iter().filter(|process| process.running).map(|process| process.pid);
        [self.supervisor(node)].into_iter().chain(running).collect()
    }

    fn events(&self, node: &str) -> Vec<Event> {
        let (_, text) = self.types(node, &["events", "--json"]);
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The server that writes, as the last node has it.
    fn writer(&self) -> Option<String> {
        let choices = self.status(LAST)?.choices;
        choices.into_iter().find(|choice| choice.proxy == "database").map(|choice| choice.server)
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.files.path(&format!("log-{LAST}")));
            eprintln!("{LAST} said:\n{}", log.unwrap_or_default());
            for words in ["status", "events"] {
                eprintln!("{}", self.types(LAST, &[words]).1);
            }
        }
    }
}

fn haproxy(node: &str) -> String {
    format!("haproxy-{node}.cfg")
}

/// What a door of the last node says to a client that sends this.
fn asked(port: u16, question: &str) -> io::Result<String> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&(HERE, port).into(), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn said(port: u16) -> String {
    asked(port, "").unwrap_or_default()
}

/// The rows of the table, as `outlast status` prints them.
fn table() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/without-quorum.md");
    let page = fs::read_to_string(page).expect("a page of the manual");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.split(" | ").collect();
        (cells.len() == 6 && cells[4] == "yes")
            .then(|| format!("  {:<7} {}: {}", cells[1], cells[0], cells[2]))
    });
    rows.collect()
}

#[test]
fn while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody() {
    alone("while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody", || {
        let pool = SERVERS.map(|address| Server::new((address, 9000), "a pool"));
        let first = Server::new((SERVERS[0], 3306), "the first database");
        let _second = Server::new((SERVERS[1], 3306), "the second database");
        let trio = Trio::new();
        until("everybody hears everybody", || {
            let alive = |line: &NodeLine| line.state.standing == Standing::Alive;
            NODES.iter().all(|node| {
                let nodes = trio.nodes(node);
                nodes.len() == NODES.len() + 1 && nodes.iter().all(alive)
            })
        });
        until("the store is written to", || {
            trio.types(LAST, &["store", "put", "a", "1"]).0 == Some(0)
        });
        until("the first database writes", || {
            trio.writer().as_deref() == Some("one") && said(3306) == "the first database"
        });
        let still = NODES[1..].iter().chain([&COMPUTE]);
        let still: Vec<_> = still.flat_map(|node| trio.processes(node)).collect();
        still.iter().for_each(|pid| kill(*pid, "STOP"));
        accuses_nobody(&trio);
        serves(&trio, &pool, &first);
        says_so(&trio);
        freezes(&trio);
        // Nothing of all that was concluded meanwhile, and it ends with the others' return.
        accuses_nobody(&trio);
        let accused = |event: &Event| {
            event.what == "node-verdict" && format!("{event:?}").contains("unreachable")
        };
        assert!(!trio.events(LAST).iter().any(accused), "somebody was accused");
        reloads(&trio);
        still.iter().rev().for_each(|pid| kill(*pid, "CONT"));
        until("there is a majority again", || {
            !trio.types(LAST, &["status"]).1.contains("WITHOUT A MAJORITY")
        });
        until("the store is written to", || {
            trio.types(LAST, &["store", "put", "a", "2"]).0 == Some(0)
        });
    });
}

/// Verdicts: who is alone suspects itself.
fn accuses_nobody(trio: &Trio) {
    until("all others are in doubt, because this node has no majority", || {
        let others = trio.others();
        assert!(others.iter().all(|line| line.state.opinion.verdict != Verdict::Unreachable));
        let own = |line: &NodeLine| {
            let opinion = &line.state.opinion;
            opinion.verdict == Verdict::Suspect && opinion.rule == "own-quorum"
        };
        others.len() == 3 && others.iter().all(own)
    });
}

/// Balancer, database choice.
fn serves(trio: &Trio, pool: &[Server; 2], first: &Server) {
    for _ in 0..20 {
        assert_eq!(said(8080), "a pool", "a request through the balancer");
    }
    // Its checks count as ever.
    pool[0].end();
    until("the other server has all", || (0..10).all(|_| said(8080) == "a pool"));
    assert_eq!(
        (said(3306).as_str(), trio.writer().as_deref()),
        ("the first database", Some("one"))
    );
    first.end();
    until("the next database writes", || said(3306) == "the second database");
    until("and that is told", || trio.writer().as_deref() == Some("two"));
}

/// A folder with a cluster's configuration.
fn wanted(trio: &Trio) -> String {
    let folder = trio.files.path("wanted");
    fs::create_dir_all(&folder).expect("a folder");
    let text = CLUSTER.replace("-NODE", "").replace("DASHBOARD", "none");
    fs::write(folder.join("outlast.toml"), text).expect("a file");
    fs::write(folder.join("haproxy.cfg"), HAPROXY.replace("ADDRESS", "127.0.0.2")).expect("a file");
    folder.to_str().expect("a path of the test").to_owned()
}

/// SIGHUP.
fn reloads(trio: &Trio) {
    let file = trio.files.path(&haproxy(LAST));
    let more = fs::read_to_string(&file).expect("a file")
        + "listen more\n  bind 127.0.0.2:8081\n  \
        server two 127.0.0.9:9000\n";
    fs::write(&file, more).expect("a file");
    kill(trio.supervisor(LAST), "HUP");
    until("SIGHUP takes the new file", || said(8081) == "a pool");
}

/// Status, dashboard, metrics.
fn says_so(trio: &Trio) {
    let (code, status) = trio.types(LAST, &["status"]);
    assert_eq!(code, Some(1), "{status}");
    assert!(status.contains("WITHOUT A MAJORITY: 1 of 3 nodes reached"), "{status}");
    until("the status says that the store is not led", || {
        let status = trio.status(LAST).and_then(|status| status.store);
        status.is_some_and(|store| store.leader.is_none())
    });
    let table = table();
    assert!(table.len() >= 15, "{table:?}");
    for row in table {
        assert!(status.lines().any(|line| line == row), "{row:?} is not in {status}");
    }
    let pages = [
        ("/", "no majority: node01 reaches 1 of 3 controllers"),
        ("/cluster", "no majority: 1 of 3 controllers are reached"),
        ("/cluster", "own-quorum"),
        ("/metrics", "outlast_node"),
    ];
    for (path, words) in pages {
        let question =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.2:7412\r\nConnection: close\r\n\r\n");
        until(&format!("{path} says {words}"), || {
            let answer = asked(7412, &question).expect("the dashboard answers");
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            answer.contains(words)
        });
    }
}

/// Store, intents, planned moves, roles held by a token.
fn freezes(trio: &Trio) {
    // A write that went to a leader that stands still may be done when that wakes.
    let (leaderless, lost) = ("the store has no leader", "nobody knows whether it was done");
    let (code, said) = trio.types(LAST, &["store", "put", "a", "late"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(leaderless) || said.contains(lost), "{said}");
    let (code, said) = trio.types(LAST, &["store", "get", "a"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(leaderless), "{said}");
    let (folder, why) = (wanted(trio), ["--reason", "nobody answers"]);
    let window = [&["maintenance", "start", "node02", "--for", "2h"][..], &why].concat();
    let off = [&["node", "confirm-off", "node02", "--i-know-it-is-off"][..], &why].concat();
    let frozen: [&[&str]; 9] = [
        &["node", "standby", LAST],
        &["intents"],
        &["config", "apply", &folder, "--yes"],
        &["config", "rollback", "1", "--yes"],
        &window,
        &["maintenance", "end", "node02"],
        &off,
        &["node", "replace", "node02", "--i-know-it-is-off"],
        &["store", "members", "remove", "node02"],
    ];
    for words in frozen {
        until("it is refused by its reason", || {
            let (code, said) = trio.types(LAST, words);
            assert!(code.is_some_and(|code| code > 0), "{words:?} was done: {said}");
            let by_its_reason = said.contains("no majority: ");
            if !by_its_reason {
                eprintln!("{words:?}: {said}");
            }
            by_its_reason
        });
    }
    until("it coordinates no more", || {
        let told = |what| trio.events(LAST).iter().filter(|event| event.what == what).count();
        told("coordinator-ended") == told("coordinator-began")
    });
}
