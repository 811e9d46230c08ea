//! Three nodes as processes on one loopback: generations of the configuration, by their store.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[path = "generations/anew.rs"]
mod anew;
#[path = "generations/at_rest.rs"]
mod at_rest;
#[path = "generations/machine.rs"]
mod machine;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lonely::{Lonely, OUTLAST, alone, kill, until};
use serde_json::Value;

const NODES: [&str; 3] = ["node01", "node02", "node03"];
/// Where each node's clients come.
const DOORS: [&str; 3] = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];

const CLUSTER: &str = r#"[cluster]
name = "trio"
trust_dir = "trust"
haproxy = "haproxy.cfg"
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

/// Nodes with files of their own below one folder, as on machines of their own.
struct Trio {
    files: Lonely,
    nodes: Vec<(&'static str, Child)>,
    port: u16,
}

impl Trio {
    /// Members of one cluster, by tokens, each with the files that it is installed with.
    fn founded() -> Self {
        let files = Lonely::new();
        let port = lonely::free_port();
        let trio = Self { files, nodes: vec![], port };
        for node in NODES {
            fs::create_dir_all(trio.files.path(node)).expect("a folder");
        }
        let desk = format!("127.0.0.1:{}", lonely::free_port());
        trio.trusted(&["init", "trio", "--node", "node01"], "node01");
        let mut serves = trio.trusting(&["trust", "serve", "--listen", &desk], "node01");
        let mut serves = serves.stdout(Stdio::null()).spawn().expect("it serves");
        for node in &NODES[1..] {
            let words = ["token", "create", "--role", "controller", "--address", &desk];
            let token = trio.trusted(&words, "node01");
            let words = ["join", token.trim(), "--node", node];
            until("a node joins", || {
                trio.trusting(&words, node).output().expect("the tool runs").status.success()
            });
        }
        until("the second hears of the third", || {
            let words = ["trust", "refresh", "--from", &desk];
            trio.trusting(&words, "node02").output().expect("the tool runs").status.success()
        });
        serves.kill().and_then(|()| serves.wait()).expect("it ends");
        trio
    }

    fn trusting(&self, words: &[&str], node: &str) -> Command {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--trust-dir").arg(self.files.path(&format!("{node}/trust")));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn trusted(&self, words: &[&str], node: &str) -> String {
        let output = self.trusting(words, node).output().expect("the tool runs");
        assert!(output.status.success(), "{words:?} of {node}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// A folder as an operator keeps it: each node listens on its own address.
    fn folder(&self, server: SocketAddr, more: &str) -> String {
        let folder = self.files.path("wanted");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("outlast.toml"), CLUSTER).expect("a file");
        for (node, door) in NODES.iter().zip(DOORS) {
            let own = folder.join("nodes").join(node);
            fs::create_dir_all(&own).expect("a folder");
            let text = self.haproxy(door, server) + &more.replace("DOOR", door);
            fs::write(own.join("haproxy.cfg"), text).expect("a file");
        }
        folder.to_str().expect("a path of the test").to_owned()
    }

    fn haproxy(&self, door: &str, server: SocketAddr) -> String {
        format!(
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
             listen api\n  bind {door}:{}\n  server one {server}\n",
            self.port
        )
    }

    fn used(&self, node: &str) -> PathBuf {
        self.files.path(&format!("{node}/haproxy.cfg"))
    }

    fn run_dir(&self, node: &str) -> PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    fn start(&mut self, node: &'static str) {
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.files.path(&format!("{node}/outlast.toml")));
        command.args(["--node", node]).arg("--run-dir").arg(self.run_dir(node));
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        let log = self.files.path(&format!("log-{node}"));
        let log = File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes.push((node, command.spawn().expect("the node starts")));
    }

    /// As if its power went: no process says anything any more.
    fn power_off(&mut self, node: &str) {
        let at = self.nodes.iter().position(|(name, _)| *name == node).expect("it runs");
        let (_, mut child) = self.nodes.remove(at);
        kill(i32::try_from(child.id()).expect("a pid"), "STOP");
        let processes = self.status(node)["processes"].as_array().cloned().expect("a list");
        // The supervisor last: an agent that misses it says goodbye.
        let others = processes.iter().filter(|process| process["role"] != "supervisor");
        for process in others.filter(|process| process["running"] == true) {
            let pid = process["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
            kill(pid.expect("a pid"), "KILL");
        }
        child.kill().and_then(|()| child.wait()).expect("it ends");
    }

    fn status(&self, node: &str) -> Value {
        let mut found = Value::Null;
        until("the agent answers", || {
            let output = self.ask(node, &["status", "--json"]);
            found = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            !found.is_null()
        });
        found
    }

    fn ask(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node));
        command.stdin(Stdio::null()).output().expect("the tool runs")
    }

    /// What `config ... --json` says. It is repeated until the store answers: what is wanted again and was
    /// committed already is not committed twice, unless by force.
    fn config(&self, node: &str, words: &[&str]) -> (i32, Value) {
        let words: Vec<_> = ["config"].iter().chain(words).chain(&["--json"]).copied().collect();
        let mut found = None;
        until("the store answers", || {
            let output = self.ask(node, &words);
            let said = serde_json::from_slice(&output.stdout).ok();
            found = output.status.code().zip(said);
            found.is_some()
        });
        found.expect("it was waited for")
    }

    fn apply(&self, node: &str, folder: &str, more: &[&str]) -> (i32, Value) {
        let words = ["apply", folder, "--yes"].iter().chain(more).copied().collect::<Vec<_>>();
        self.config(node, &words)
    }

    /// What this node answers its clients; empty if it does not.
    fn answer(&self, node: &str) -> String {
        let at = NODES.iter().position(|name| *name == node).expect("a node");
        let door = format!("{}:{}", DOORS[at], self.port);
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&door)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_default();
        answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
    }

    fn all_answer(&self, nodes: &[&str], text: &str) {
        for node in nodes {
            until(&format!("{node} serves {text}"), || self.answer(node) == text);
        }
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let said = NODES.map(|node| {
            let log = fs::read_to_string(self.files.path(&format!("log-{node}")));
            let status = if failed { self.ask(node, &["config", "status"]).stdout } else { vec![] };
            (log.unwrap_or_default(), String::from_utf8_lossy(&status).into_owned())
        });
        for (_, node) in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
        if failed {
            for (node, (log, status)) in NODES.iter().zip(said) {
                eprintln!("{node} said:\n{log}{status}");
            }
        }
    }
}

/// A server that answers every connection with this text, until the test ends.
fn serve(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is up");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut head, mut bytes) = (vec![], [0; 1024]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut bytes) {
                        Ok(0) | Err(_) => return,
                        Ok(length) => head.extend_from_slice(&bytes[..length]),
                    }
                }
                let length = text.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all((head + text).as_bytes());
            });
        }
    });
    address
}

/// State, generation that runs, and why not, of one node.
fn line<'a>(said: &'a Value, node: &str) -> (&'a str, Option<u64>, &'a str) {
    let lines = said["nodes"].as_array().expect("a line per node");
    let line = lines.iter().find(|line| line["node"] == node).expect("its line");
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    (text("state"), line["runs"].as_u64(), text("refused"))
}

#[test]
fn a_generation_is_applied_on_every_node_or_it_says_what_it_still_runs() {
    alone("a_generation_is_applied_on_every_node_or_it_says_what_it_still_runs", || {
        let mut trio = Trio::founded();
        let (one, two) = (serve("one"), serve("two"));
        for (node, door) in NODES.iter().zip(DOORS) {
            fs::write(trio.files.path(&format!("{node}/outlast.toml")), CLUSTER).expect("a file");
            fs::write(trio.used(node), trio.haproxy(door, one)).expect("a file");
        }
        for node in NODES {
            trio.start(node);
        }
        trio.all_answer(&NODES, "one");
        everywhere(&trio, one, two);
        refused_where_it_is_wrong(&trio, one);
        away(&mut trio, one);
        taken(&trio, one);
        by_hand(&trio, two);
        mounted(&trio, one);
        planned(&mut trio);
    });
}

/// The files that all have are generation 1; a change comes to all.
fn everywhere(trio: &Trio, one: SocketAddr, two: SocketAddr) {
    let (code, said) = trio.apply("node01", &trio.folder(one, ""), &["--reason", "as installed"]);
    assert_eq!((code, &said["generation"]), (0, &1.into()), "{said}");
    assert_eq!(said["changes"], serde_json::json!([]), "there is nothing to compare with: {said}");
    let (code, said) = trio.apply("node02", &trio.folder(two, ""), &["--reason", "the other"]);
    assert_eq!((code, &said["generation"]), (0, &2.into()), "{said}");
    trio.all_answer(&NODES, "two");
    for (node, door) in NODES.iter().zip(DOORS) {
        assert_eq!(line(&said, node), ("applied", Some(2), ""), "{said}");
        until("its files are those of the generation", || {
            fs::read_to_string(trio.used(node)).is_ok_and(|text| text == trio.haproxy(door, two))
        });
    }
    // Nothing to do, and nothing done.
    let (code, said) = trio.apply("node03", &trio.folder(two, ""), &[]);
    assert_eq!((code, &said["committed"]), (0, &false.into()), "{said}");
}

/// A mistake is found before anything is committed.
fn refused_where_it_is_wrong(trio: &Trio, one: SocketAddr) {
    let folder = trio.folder(one, "listen broken\n  bimd DOOR:1\n");
    let output = trio.ask("node01", &["config", "apply", &folder, "--yes"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("bimd"), "{complaint}");
    assert!(complaint.trim_end().ends_with("nothing was committed"), "{complaint}");
    let (code, said) = trio.config("node01", &["status"]);
    assert_eq!((code, line(&said, "node02")), (0, ("applied", Some(2), "")), "{said}");
    trio.all_answer(&NODES, "two");
}

/// Who is away meanwhile is told, and takes it when it starts.
fn away(trio: &mut Trio, one: SocketAddr) {
    trio.power_off("node03");
    // It may have led the store; until another does, nothing can be committed.
    until("one of the others leads", || {
        let said = trio.ask("node01", &["store", "status", "--json"]).stdout;
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        said["leader"] == "node01" || said["leader"] == "node02"
    });
    let (code, said) = trio.apply("node01", &trio.folder(one, ""), &["--wait", "5"]);
    assert_eq!((code, line(&said, "node03")), (1, ("away", Some(2), "")), "{said}");
    trio.all_answer(&NODES[..2], "one");
    trio.start("node03");
    until("the third has it, too", || trio.config("node01", &["status"]).0 == 0);
    trio.all_answer(&NODES, "one");
}

/// What is wrong on one machine only: it says so, and goes on with what it ran. A rollback ends that.
fn taken(trio: &Trio, one: SocketAddr) {
    let holder = TcpListener::bind((DOORS[1], 0)).expect("an address of the second");
    let port = holder.local_addr().expect("it is bound").port();
    let more = format!("listen more\n  bind DOOR:{port}\n  server one {one}\n");
    let (code, said) = trio.apply("node01", &trio.folder(one, &more), &[]);
    let (state, runs, why) = line(&said, "node02");
    assert_eq!((code, state, runs), (1, "refused", Some(3)), "{said}");
    assert!(why.contains(&port.to_string()), "{why}");
    assert_eq!(line(&said, "node01"), ("applied", Some(4), ""), "{said}");
    trio.all_answer(&NODES, "one");
    // Wanted again, nothing is committed, and the answer is the same.
    let (code, said) = trio.apply("node03", &trio.folder(one, &more), &[]);
    assert_eq!((code, &said["generation"], &said["committed"]), (1, &4.into(), &false.into()));
    assert_eq!(line(&said, "node02").0, "refused", "{said}");
    let output = trio.ask("node03", &["config", "apply", &trio.folder(one, &more), "--yes"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("back to what these nodes run, on all nodes: `outlast config rollback 3`"),
        "{text}"
    );
    let (code, said) = trio.config("node03", &["rollback", "3", "--yes"]);
    assert_eq!((code, line(&said, "node01")), (0, ("applied", Some(5), "")), "{said}");
    let output = trio.ask("node02", &["config", "history", "--json"]);
    let text = String::from_utf8(output.stdout).expect("text");
    let last: Value = serde_json::from_str(text.lines().last().expect("five")).expect("JSON");
    assert_eq!((&last["number"], &last["from"]), (&5.into(), &3.into()), "{text}");
}

/// What somebody changed on one node is not replaced unasked, and kept when it is.
fn by_hand(trio: &Trio, two: SocketAddr) {
    let mine = fs::read_to_string(trio.used("node01")).expect("a file") + "# by hand\n";
    fs::write(trio.used("node01"), &mine).expect("a file");
    let folder = trio.folder(two, "");
    let (code, said) = trio.apply("node02", &folder, &[]);
    let (state, runs, why) = line(&said, "node01");
    assert_eq!((code, state, runs), (1, "refused", Some(5)), "{said}");
    assert!(why.contains("haproxy.cfg") && why.contains("--force"), "{why}");
    assert_eq!(fs::read_to_string(trio.used("node01")).expect("a file"), mine);
    let (code, said) = trio.apply("node02", &folder, &["--force"]);
    let forced = said["generation"].as_u64();
    assert_eq!((code, line(&said, "node01")), (0, ("applied", forced, "")), "{said}");
    trio.all_answer(&NODES, "two");
    let kept = trio.files.path("node01/.outlast/kept");
    until("what was there is kept", || {
        let sets = fs::read_dir(&kept).into_iter().flatten().flatten();
        sets.filter_map(|set| fs::read_to_string(set.path().join("haproxy.cfg")).ok())
            .any(|text| text == mine)
    });
}

/// A file that no rename can replace: the node says so before anything is asked, and takes it once it can.
fn mounted(trio: &Trio, one: SocketAddr) {
    let used = trio.used("node02");
    let bound = Command::new("mount").arg("--bind").args([&used, &used]).status();
    assert!(bound.expect("mount runs").success());
    let folder = trio.folder(one, "");
    let (code, said) = trio.apply("node01", &folder, &[]);
    let (state, _, why) = line(&said, "node02");
    assert_eq!((code, state), (1, "refused"), "{said}");
    assert!(why.contains("haproxy.cfg is a mount point"), "{why}");
    trio.all_answer(&["node02"], "two");
    assert!(Command::new("umount").arg(&used).status().expect("umount runs").success());
    let (code, said) = trio.apply("node01", &folder, &["--force"]);
    assert_eq!((code, line(&said, "node02").0), (0, "applied"), "{said}");
    trio.all_answer(&NODES, "one");
}

/// A node that is lost in its maintenance window is told as planned, on every node, and its verdict is true.
fn planned(trio: &mut Trio) {
    let start = |what: &str, length: &str| {
        let words = ["maintenance", "start", what, "--for", length, "--reason", "new memory"];
        trio.ask("node01", &words)
    };
    assert_eq!(start("node09", "2h").status.code(), Some(2), "there is no such node");
    assert_eq!(start("node03", "8d").status.code(), Some(2), "that is too long");
    until("the window is begun", || start("node03", "2h").status.success());
    let is_planned = |trio: &Trio, node: &str| {
        let status = trio.status(node);
        let planned = status["planned"].as_array().cloned().unwrap_or_default();
        planned.iter().any(|planned| planned["nodes"] == serde_json::json!(["node03"]))
    };
    for node in &NODES[..2] {
        until("all know of it", || is_planned(trio, node));
    }
    trio.power_off("node03");
    for node in &NODES[..2] {
        until("it is missed", || {
            let status = trio.status(node);
            let lines = status["nodes"].as_array().cloned().unwrap_or_default();
            lines.iter().any(|line| {
                line["state"]["node"] == "node03" && line["state"]["standing"] == "suspect"
            })
        });
        until("that is well", || trio.ask(node, &["status"]).status.success());
        let events = trio.ask(node, &["events", "--json"]).stdout;
        let events = String::from_utf8(events).expect("text");
        let tag = "planned: maintenance of node03";
        let is_it = |line: &str| line.contains("node/node03") && line.contains(tag);
        assert!(events.lines().any(is_it), "{events}");
        let why = String::from_utf8(trio.ask(node, &["why", "node03"]).stdout).expect("text");
        assert!(why.contains("as planned: maintenance"), "{why}");
    }
    until("the window is ended", || {
        trio.ask("node02", &["maintenance", "end", "node03"]).status.success()
    });
    for node in &NODES[..2] {
        until("that is not well any more", || {
            !is_planned(trio, node) && trio.ask(node, &["status"]).status.code() == Some(1)
        });
    }
}
