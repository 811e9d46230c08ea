//! One member of the store, a controller that is none, and a compute node, as processes on one loopback: what the
//! store has for all of them reaches all of them.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[path = "carried/asked.rs"]
mod asked;
#[path = "carried/by_hand.rs"]
mod by_hand;

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use api::{Standing, Status, Verdict};
use lonely::{Lonely, OUTLAST, alone, until};
use serde_json::Value;

const NODES: [&str; 3] = ["node01", "node02", "cmp1"];
const DOORS: [&str; 2] = ["127.0.0.2", "127.0.0.3"];

/// A busy machine makes nobody suspect.
const CLUSTER: &str = r#"[cluster]
name = "mixed"
secret_file = "secret"
haproxy = "haproxy.cfg"
detect = "3s"
[node.node01]
networks = { management = "127.0.0.2", storage = "127.0.1.2" }
[node.node02]
networks = { management = "127.0.0.3", storage = "127.0.1.3" }
[node.cmp1]
role = "compute"
networks = { management = "127.0.0.4", storage = "127.0.1.4" }
[dashboard]
listen = "none"
[store]
members = ["node01"]
"#;

struct Mixed {
    files: Lonely,
    nodes: Vec<(&'static str, Child)>,
}

impl Mixed {
    fn new(cluster: &str) -> Self {
        let mixed = Self { files: Lonely::new(), nodes: vec![] };
        let secret = mixed.files.path("secret");
        for node in NODES {
            fs::create_dir_all(mixed.files.path(node)).expect("a folder");
            fs::copy(&secret, mixed.files.path(&format!("{node}/secret"))).expect("a secret");
            fs::write(mixed.files.path(&format!("{node}/outlast.toml")), cluster).expect("a file");
        }
        for (node, door) in NODES.iter().zip(DOORS) {
            let file = mixed.files.path(&format!("{node}/haproxy.cfg"));
            fs::write(file, haproxy(door, 8080)).expect("a file");
        }
        mixed
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

    fn start_all(&mut self) {
        for node in NODES {
            self.start(node);
        }
        until("everybody hears everybody", || {
            NODES.iter().all(|node| {
                let status = self.status(node);
                status.is_some_and(|status| {
                    status.nodes.iter().all(|line| line.state.standing == Standing::Alive)
                })
            })
        });
    }

    /// Ends a node in order.
    fn stop(&mut self, node: &str) {
        let at = self.nodes.iter().position(|(name, _)| *name == node).expect("it runs");
        let (_, mut child) = self.nodes.remove(at);
        lonely::kill(i32::try_from(child.id()).expect("a pid"), "TERM");
        let ended = child.wait().expect("it was started here");
        assert!(ended.success(), "{ended}");
    }

    fn run_dir(&self, node: &str) -> std::path::PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    fn types(&self, node: &str, words: &[&str]) -> Output {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node));
        command.stdin(Stdio::null()).output().expect("the tool runs")
    }

    /// Exit code, and what was printed on both.
    fn says(&self, node: &str, words: &[&str]) -> (Option<i32>, String) {
        let output = self.types(node, words);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    fn status(&self, node: &str) -> Option<Status> {
        serde_json::from_slice(&self.types(node, &["status", "--json"]).stdout).ok()
    }

    /// A folder as an operator keeps it.
    fn folder(&self, port: u16, more: &str) -> String {
        let folder = self.files.path("wanted");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("outlast.toml"), CLUSTER.to_owned() + more).expect("a file");
        for (node, door) in NODES.iter().zip(DOORS) {
            let own = folder.join("nodes").join(node);
            fs::create_dir_all(&own).expect("a folder");
            fs::write(own.join("haproxy.cfg"), haproxy(door, port)).expect("a file");
        }
        // It has to be there for whoever reads the folder; the compute node gets none.
        fs::write(folder.join("haproxy.cfg"), haproxy("127.0.0.4", port)).expect("a file");
        folder.to_str().expect("a path of the test").to_owned()
    }

    /// What `config ... --json` says, asked again until the store answers.
    fn config(&self, words: &[&str]) -> (i32, Value) {
        let words: Vec<_> = ["config"].iter().chain(words).chain(&["--json"]).copied().collect();
        let mut found = None;
        until("the store answers", || {
            let output = self.types("node01", &words);
            let said = serde_json::from_slice(&output.stdout).ok();
            found = output.status.code().zip(said);
            found.is_some()
        });
        found.expect("it was waited for")
    }

    fn used(&self, node: &str, file: &str) -> String {
        fs::read_to_string(self.files.path(&format!("{node}/{file}"))).unwrap_or_default()
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        for node in NODES.iter().filter(|_| failed) {
            eprintln!("{node} said:\n{}", self.used(".", &format!("log-{node}")));
            eprintln!("{}", String::from_utf8_lossy(&self.types(node, &["status"]).stdout));
        }
        for (_, node) in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

fn haproxy(door: &str, port: u16) -> String {
    format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 10m\n  timeout server 10m\n\
         listen api\n  bind {door}:{port}\n  server three 127.0.0.4:9000\n"
    )
}

/// State, generation that runs, and why not, of one node.
fn line<'a>(said: &'a Value, node: &str) -> (&'a str, Option<u64>, &'a str) {
    let lines = said["nodes"].as_array().expect("a line per node");
    let line = lines.iter().find(|line| line["node"] == node).expect("its line");
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    (text("state"), line["runs"].as_u64(), text("refused"))
}

#[test]
fn a_generation_reaches_nodes_that_are_no_members_of_the_store() {
    alone("a_generation_reaches_nodes_that_are_no_members_of_the_store", || {
        let mut mixed = Mixed::new(CLUSTER);
        mixed.start_all();
        // Long enough for many pieces.
        let long = format!("# {}\n", "as installed, \"quoted\" ".repeat(400));
        let first = mixed.folder(8080, "");
        let (code, said) = mixed.config(&["apply", &first, "--yes", "--reason", "as installed"]);
        assert_eq!(code, 0, "{said}");
        for node in NODES {
            assert_eq!(line(&said, node), ("applied", Some(1), ""), "{said}");
        }
        let second = mixed.folder(8081, &long);
        let (code, said) = mixed.config(&["apply", &second, "--yes"]);
        assert_eq!(code, 0, "{said}");
        for node in NODES {
            assert_eq!(line(&said, node), ("applied", Some(2), ""), "{said}");
            until("its files are those of the generation", || {
                mixed.used(node, "outlast.toml") == CLUSTER.to_owned() + &long
            });
        }
        until("the other controller has its own, too", || {
            mixed.used("node02", "haproxy.cfg") == haproxy(DOORS[1], 8081)
        });
        assert_eq!(mixed.used("cmp1", "haproxy.cfg"), "", "a compute node gets none");
        // The other controller shows the same; a member has to commit.
        let (code, text) = mixed.says("node02", &["config", "status"]);
        assert!(code == Some(0) && text.contains("cmp1: runs generation 2"), "{text}");
        let (code, text) = mixed.says("node02", &["config", "history"]);
        assert!(code == Some(0) && text.contains("as installed"), "{text}");
        let (code, text) = mixed.says("node02", &["config", "apply", &first, "--yes"]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("no member of the store: type it on one of node01"), "{text}");
        refused_there(&mixed);
        away(&mut mixed);
    });
}

/// What is wrong on the node without a store only, it says by the member, and goes on with what it ran.
fn refused_there(mixed: &Mixed) {
    let holder = TcpListener::bind((DOORS[1], 8082)).expect("an address of the second");
    let folder = mixed.folder(8082, "");
    let (code, said) = mixed.config(&["apply", &folder, "--yes"]);
    let (state, runs, why) = line(&said, "node02");
    assert_eq!((code, state, runs), (1, "refused", Some(2)), "{said}");
    assert!(why.contains("8082"), "{why}");
    assert_eq!(line(&said, "cmp1").0, "applied", "{said}");
    drop(holder);
    let (code, said) = mixed.config(&["rollback", "2", "--yes"]);
    assert_eq!(code, 0, "{said}");
}

/// Who is away meanwhile is told, and takes it when it is back.
fn away(mixed: &mut Mixed) {
    for at in 1..3 {
        let (_, mut node) = mixed.nodes.pop().expect("it runs");
        node.kill().and_then(|()| node.wait()).expect("it ends");
        let name = NODES[3 - at];
        until("it is missed", || {
            let nodes = mixed.status("node01").map(|status| status.nodes).unwrap_or_default();
            let line = nodes.iter().find(|line| line.state.node == name);
            line.is_some_and(|line| line.state.standing != Standing::Alive)
        });
    }
    let folder = mixed.folder(8083, "");
    let (code, said) = mixed.config(&["apply", &folder, "--yes", "--wait", "1"]);
    assert_eq!((code, line(&said, "cmp1").0), (1, "away"), "{said}");
    mixed.start("node02");
    mixed.start("cmp1");
    until("both have it", || mixed.config(&["status"]).0 == 0);
    until("it serves there", || {
        std::net::TcpStream::connect((DOORS[1], 8083)).is_ok()
            && mixed.used("node02", "haproxy.cfg") == haproxy(DOORS[1], 8083)
    });
}

#[test]
fn a_window_is_known_on_nodes_that_are_no_members_of_the_store() {
    alone("a_window_is_known_on_nodes_that_are_no_members_of_the_store", || {
        let mut mixed = Mixed::new(CLUSTER);
        mixed.start_all();
        // Typed on one that has no store; a compute node orders nothing.
        let words = ["maintenance", "start", "cmp1", "--for", "2h", "--reason", "new memory"];
        until("the window is begun", || mixed.types("node02", &words).status.success());
        let (code, text) = mixed.says("cmp1", &words);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("cmp1 is a compute node: ask a controller"), "{text}");
        let is_planned = |node: &str| {
            let planned = mixed.status(node).map(|status| status.planned).unwrap_or_default();
            planned.iter().any(|planned| planned.nodes == ["cmp1"])
        };
        for node in NODES {
            until("all know of it", || is_planned(node));
        }
        for node in &NODES[..2] {
            let (code, text) = mixed.says(node, &["maintenance", "list"]);
            assert!(code == Some(0) && text.contains("maintenance of cmp1 until"), "{text}");
            // Not by the word of the tool alone.
            assert!(text.contains(", uid 0 (pid ") && text.contains(") on node02: "), "{text}");
        }
        // Where it was done, and where it was typed.
        for (node, by) in [("node01", ") on node02"), ("node02", ")")] {
            let (_, log) = mixed.says(node, &["audit"]);
            let line = log.lines().find(|line| line.contains("maintenance start"));
            let line = line.unwrap_or_default();
            assert!(line.contains("uid 0 (pid ") && line.contains(by), "{log}");
            assert!(line.contains("cmp1") && line.ends_with("done"), "{log}");
        }
        until("it is ended", || {
            mixed.types("node02", &["maintenance", "end", "cmp1"]).status.success()
        });
        for node in NODES {
            until("all know that it is over", || !is_planned(node));
        }
    });
}

/// The verdict of `node` on `of`.
fn verdict(mixed: &Mixed, node: &str, of: &str) -> Option<Verdict> {
    let status = mixed.status(node)?;
    let line = status.nodes.into_iter().find(|line| line.state.node == of)?;
    Some(line.state.opinion.verdict)
}

#[test]
fn a_confirmed_death_is_a_fact_on_every_node_until_it_is_taken_back() {
    alone("a_confirmed_death_is_a_fact_on_every_node_until_it_is_taken_back", || {
        let mut mixed = Mixed::new(CLUSTER);
        mixed.start_all();
        let words = ["node", "confirm-off", "node02"];
        let sure = ["--i-know-it-is-off", "--reason", "pulled the plug"];
        let all = [&words[..], &sure].concat();
        let (code, text) = mixed.says("node01", &words);
        assert_eq!(code, Some(2), "somebody has to know it: {text}");
        let mut said = (None, String::new());
        until("the store answers, and it is refused", || {
            said = mixed.says("node01", &all);
            said.1.contains("node01 hears node02: it is not off")
        });
        assert_eq!(said.0, Some(1), "{}", said.1);
        let (code, text) = mixed.says("node01", &[&words[..], &["--undo"]].concat());
        assert!(code == Some(1) && text.contains("nobody confirmed that node02 is off"), "{text}");

        mixed.stop("node02");
        until("it is not heard", || verdict(&mixed, "node01", "node02") == Some(Verdict::Leaving));
        let (code, text) = mixed.says("node01", &all);
        assert_eq!((code, text.trim()), (Some(0), "node02 is proven dead, by your word"));
        for node in ["node01", "cmp1"] {
            until("it is a fact", || verdict(&mixed, node, "node02") == Some(Verdict::ProvenDead));
        }
        let (_, text) = mixed.says("node01", &["why", "node/node02"]);
        assert!(text.contains("confirmed that it is off: pulled the plug"), "{text}");
        assert!(text.contains("proven-dead") && text.contains(") on node01 confirmed"), "{text}");
        let (_, log) = mixed.says("node01", &["audit"]);
        let count = |end: &str| log.lines().filter(|line| line.ends_with(end)).count();
        assert_eq!(count("node confirm-off node02: done"), 1, "{log}");
        assert_eq!(count("confirm-off --undo node02: there was nothing to do"), 1, "{log}");

        // What was brought outlives the agent, also where no member is there to bring it again.
        mixed.stop("node01");
        mixed.stop("cmp1");
        mixed.start("cmp1");
        until("it is known", || verdict(&mixed, "cmp1", "node02") == Some(Verdict::ProvenDead));
        mixed.start("node01");
        until("it is back", || verdict(&mixed, "cmp1", "node01") == Some(Verdict::Alive));

        // It was not true, or somebody started it: a fact does not go by what is heard.
        mixed.start("node02");
        until("it is told, and says so", || {
            let limits = mixed.status("node02").map(|status| status.limits).unwrap_or_default();
            limits.iter().any(|line| line.contains("confirmed that this node is off"))
        });
        let (code, text) = mixed.says("node01", &["status"]);
        assert!(code == Some(1) && text.contains("DEAD (proven)"), "it is not well: {text}");
        until("it is taken back there", || {
            mixed.types("node02", &[&words[..], &["--undo"]].concat()).status.success()
        });
        for node in ["node01", "cmp1"] {
            until("it lives", || verdict(&mixed, node, "node02") == Some(Verdict::Alive));
        }
    });
}

#[test]
fn without_a_store_these_commands_are_refused_with_what_to_write() {
    alone("without_a_store_these_commands_are_refused_with_what_to_write", || {
        let (without, _) = CLUSTER.split_once("[store]").expect("it has one");
        let mut mixed = Mixed::new(without);
        mixed.start_all();
        let folder = mixed.folder(8080, "");
        for words in [
            &["config", "apply", &folder, "--yes"][..],
            &["config", "history"],
            &["config", "status"],
            &["config", "rollback", "1", "--yes"],
            &["maintenance", "start", "node02", "--for", "2h", "--reason", "new memory"],
            &["maintenance", "end", "node02"],
            &["maintenance", "list"],
            &["store", "members", "add", "node02"],
            &["store", "members", "remove", "node02"],
        ] {
            let (code, text) = mixed.says("node01", words);
            assert_eq!(code, Some(1), "{words:?}: {text}");
            assert!(text.contains("write `[store]` into the outlast.toml of all nodes"), "{text}");
        }
    });
}

#[test]
fn what_is_kept_in_the_store_needs_its_role_and_is_in_the_audit_log() {
    alone("what_is_kept_in_the_store_needs_its_role_and_is_in_the_audit_log", || {
        let mut mixed = Mixed::new(CLUSTER);
        mixed.start_all();
        let token = |name: &str, scopes: &[&str]| {
            let (code, said) = mixed.says("node01", &[&["access", "add", name], scopes].concat());
            assert_eq!(code, Some(0), "{said}");
            mixed.files.write(name, &said);
            mixed.files.path(name).display().to_string()
        };
        let reader = token("reader", &["--scope", "read"]);
        let planner = token("planner", &["--scope", "read", "--scope", "maintenance"]);
        let folder = mixed.folder(8080, "");
        let begin = ["maintenance", "start", "node02", "--for", "2h", "--reason", "new memory"];
        for (deed, words, role, scope) in [
            ("config show", &["config", "show", "1"][..], "admin", "config"),
            ("config apply", &["config", "apply", &folder, "--yes"], "admin", "config"),
            ("maintenance start", &begin, "operator", "maintenance"),
            ("maintenance end", &["maintenance", "end", "node02"], "operator", "maintenance"),
            ("store members add", &["store", "members", "add", "node02"], "admin", "members"),
            ("store members remove", &["store", "members", "remove", "node02"], "admin", "members"),
        ] {
            let words = [words, &["--token-file", &reader]].concat();
            let (code, text) = mixed.says("node01", &words);
            assert_eq!(code, Some(1), "{deed}: {text}");
            let needs = format!("needs the role {role}");
            let may = format!("a token with the scope {scope}");
            assert!(text.contains(&needs) && text.contains(&may), "{text}");
            let (_, log) = mixed.says("node01", &["audit"]);
            let refused = |line: &str| {
                line.contains("token reader") && line.contains(deed) && line.contains(&needs)
            };
            assert!(log.lines().any(refused), "{deed}: {log}");
        }
        let mut begins = vec![];
        begins.extend(begin);
        begins.extend(["--token-file", &planner]);
        until("the window is begun", || mixed.types("node01", &begins).status.success());
        let (code, said) = mixed.config(&["apply", &folder, "--yes", "--force"]);
        assert_eq!(code, 0, "{said}");
        let (code, said) = mixed.config(&["apply", &mixed.folder(8081, ""), "--yes"]);
        assert_eq!(code, 0, "{said}");
        let (code, said) = mixed.config(&["rollback", "1", "--yes"]);
        assert_eq!(code, 0, "{said}");
        let (code, said) = mixed.config(&["show", "1"]);
        assert_eq!(code, 0, "{said}");
        let (_, log) = mixed.says("node01", &["audit"]);
        for (by, deed) in [
            ("token planner", "maintenance start"),
            ("uid 0", "config show 1"),
            ("uid 0", "config apply --force"),
            ("uid 0", "config apply"),
            ("uid 0", "config rollback"),
        ] {
            let done =
                |line: &str| line.contains(by) && line.contains(deed) && line.ends_with("done");
            assert!(log.lines().any(done), "{deed}: {log}");
        }
    });
}
