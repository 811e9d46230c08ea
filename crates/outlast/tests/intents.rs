//! Three nodes as processes on one loopback: what is typed on any of them is decided by all, and carried out
//! once, whoever dies meanwhile.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use api::{Duty, Event, Intent, IntentState, Role, Standing, Status, Verdict};
use lonely::{Lonely, OUTLAST, alone, kill, until};

const NODES: [&str; 3] = ["node01", "node02", "node03"];

/// A busy machine makes nobody suspect.
const CLUSTER: &str = r#"[cluster]
name = "trio"
secret_file = "secret"
haproxy = "haproxy-NODE.cfg"
detect = "3s"
[node.node01]
networks = { management = "127.0.0.2", storage = "127.0.1.2" }
[node.node02]
networks = { management = "127.0.0.3", storage = "127.0.1.3" }
[node.node03]
networks = { management = "127.0.0.4", storage = "127.0.1.4" }
[dashboard]
listen = "none"
[store]
STORE
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

struct Trio {
    files: Lonely,
    nodes: Vec<(&'static str, Child)>,
}

impl Trio {
    /// All hold the store, unless a line of `[store]` says something else.
    fn new(store: &str) -> Self {
        let files = Lonely::new();
        for (at, node) in NODES.iter().enumerate() {
            let text = CLUSTER.replace("NODE", node).replace("STORE", store);
            files.write(&format!("{node}.toml"), &text);
            let address = format!("127.0.0.{}", at + 2);
            files.write(&format!("haproxy-{node}.cfg"), &HAPROXY.replace("ADDRESS", &address));
        }
        let mut trio = Self { files, nodes: vec![] };
        for node in NODES {
            trio.start(node);
        }
        until("everybody hears everybody", || NODES.iter().all(|node| trio.hears_all(node)));
        trio.leads();
        trio
    }

    fn start(&mut self, node: &'static str) {
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.files.path(&format!("{node}.toml")));
        command.args(["--node", node]).arg("--run-dir").arg(self.run_dir(node));
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        let log = self.files.path(&format!("log-{node}"));
        let log = File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes.push((node, command.spawn().expect("the node starts")));
    }

    fn run_dir(&self, node: &str) -> std::path::PathBuf {
        self.files.path(&format!("run-{node}"))
    }

    fn typed(&self, node: &str, words: &[&str]) -> Command {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.run_dir(node)).stdin(Stdio::null());
        command
    }

    /// Exit code, and what was printed on both.
    fn types(&self, node: &str, words: &[&str]) -> (Option<i32>, String) {
        let output = self.typed(node, words).output().expect("the tool runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn status(&self, node: &str) -> Option<Status> {
        let output = self.typed(node, &["status", "--json"]).output().expect("the tool runs");
        serde_json::from_slice(&output.stdout).ok()
    }

    fn hears_all(&self, node: &str) -> bool {
        let nodes = self.status(node).map(|status| status.nodes).unwrap_or_default();
        nodes.len() == 3 && nodes.iter().all(|line| line.state.standing == Standing::Alive)
    }

    /// What a question prints, line by line; none: it was not answered.
    fn lines(&self, node: &str, words: &[&str]) -> Option<Vec<Vec<u8>>> {
        let output = self.typed(node, words).output().expect("the tool runs");
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        output.status.success().then(|| lines.map(<[u8]>::to_vec).collect())
    }

    /// Asked again until the store answers.
    fn intents(&self, node: &str) -> Vec<Intent> {
        let mut found = None;
        until("the intents are told", || {
            found = self.lines(node, &["intents", "--json"]);
            found.is_some()
        });
        let lines = found.expect("it was waited for");
        lines.iter().map(|line| serde_json::from_slice(line).expect("an intent")).collect()
    }

    /// As this node tells it.
    fn intent(&self, node: &str, number: u64) -> Option<Intent> {
        self.intents(node).into_iter().find(|intent| intent.number == number)
    }

    /// The name of the node that holds the name of the leader, as the store says.
    fn coordinator(&self) -> Option<&'static str> {
        let output = self.typed("node01", &["store", "get", "lock/leader"]).output();
        let output = output.expect("the tool runs");
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        NODES.into_iter().find(|node| output.status.success() && *node == name)
    }

    /// The newest time in office that one of these nodes began: its token, and who.
    fn newest(&self, among: &[&'static str]) -> Option<(u64, &'static str)> {
        let began = among.iter().flat_map(|node| {
            let events = self.events(node, "coordinator-began");
            events.into_iter().map(|event| (token(&event), *node))
        });
        began.max()
    }

    /// Who coordinates, by its own word and by the store's, and under which token.
    fn leads(&self) -> (u64, &'static str) {
        let mut found = None;
        until("somebody coordinates", || {
            found = self.newest(&NODES);
            found.map(|(_, node)| node) == self.coordinator() && found.is_some()
        });
        found.expect("it was waited for")
    }

    fn events(&self, node: &str, what: &str) -> Vec<Event> {
        let lines = self.lines(node, &["events", "--json"]).unwrap_or_default();
        let events = lines.iter().map(|line| serde_json::from_slice(line).expect("an event"));
        events.filter(|event: &Event| event.what == what).collect()
    }

    fn pid(&self, node: &str, role: Role) -> Option<i32> {
        let processes = self.status(node)?.processes;
        processes.iter().find(|p| p.role == role && p.running).map(|p| p.pid)
    }

    fn agent(&self, node: &str) -> i32 {
        let mut found = None;
        until("there is an agent", || {
            found = self.pid(node, Role::Agent);
            found.is_some()
        });
        found.expect("it was waited for")
    }

    fn supervisor(&self, node: &str) -> i32 {
        let child = self.nodes.iter().find(|(name, _)| *name == node).map(|(_, child)| child.id());
        i32::try_from(child.expect("it was started")).expect("a pid")
    }

    fn duty(&self, node: &str) -> Option<Duty> {
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

#[test]
fn what_is_typed_on_any_node_is_decided_by_all_and_done_once_whoever_is_killed() {
    alone("what_is_typed_on_any_node_is_decided_by_all_and_done_once_whoever_is_killed", || {
        let trio = Trio::new("");
        let (code, said) = trio.types("node03", &["node", "standby", "node02"]);
        assert_eq!((code, said.trim()), (Some(0), "node02 is on standby"), "{said}");
        for node in NODES {
            let intents = trio.intents(node);
            assert_eq!(intents.len(), 1, "{node}: {intents:?}");
            let Intent { number, what, object, by, state, .. } = &intents[0];
            assert_eq!((*number, what.as_str(), object.as_str()), (1, "standby", "node/node02"));
            assert_eq!(*state, IntentState::Done);
            assert!(by.starts_with("uid 0 (pid ") && by.ends_with(" on node03"), "{by}");
        }
        // Where it was done it is written down, with who typed it, and where.
        let (_, log) = trio.types("node02", &["audit"]);
        assert!(log.contains(" on node03  node standby node02: done"), "{log}");
        // What the node itself says no to.
        let (code, said) = trio.types("node01", &["node", "standby", "node02"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("node02 is on standby already"), "{said}");
        let failed = trio.intent("node02", 2).expect("it is written down");
        assert_eq!(failed.state, IntentState::Failed);
        let (code, said) = trio.types("node02", &["node", "resume", "node02"]);
        assert_eq!(code, Some(0), "{said}");

        // Something is under way with a server on node03, so its drain waits.
        let server = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 4), 9000)).expect("a port");
        let client = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), 8080)).expect("it listens");
        let session = server.accept().expect("the balancer connects");
        // On a node that nobody kills.
        let (before, leads) = trio.leads();
        let lives = |node: &&str| *node != leads && *node != "node03";
        let here = NODES.into_iter().find(lives).expect("one of three");
        let mut drain = trio.typed(here, &["node", "drain", "node03", "--limit", "500"]);
        let mut drain = drain.stdout(Stdio::null()).spawn().expect("the tool runs");
        let waits = |intent: &Intent| intent.what == "drain" && intent.next == Some(1);
        let mut number = None;
        until("the drain waits", || {
            number = trio.intents(here).iter().find(|intent| waits(intent)).map(|i| i.number);
            number.is_some()
        });
        let number = number.expect("it was waited for");

        // One about an object at a time; that it was refused is an entry, too.
        let (code, said) = trio.types(here, &["node", "standby", "node03"]);
        assert_eq!(code, Some(1), "{said}");
        let why = format!("intent {number} about node/node03 is under way");
        assert!(said.contains(&why), "{said}");
        let refused = trio.intent(here, number + 1).expect("it is written down");
        assert_eq!((refused.state, refused.why), (IntentState::Refused, why));

        // The coordinator dies, and the node that does the step.
        kill(trio.agent(leads), "KILL");
        if leads != "node03" {
            kill(trio.agent("node03"), "KILL");
        }
        until("another goes on", || trio.newest(&NODES).is_some_and(|(token, _)| token > before));
        let kept = trio.intent(here, number).expect("it is kept");
        assert!(waits(&kept), "nobody closed the session: {kept:?}");
        drop((session, client));
        until("the intent ends", || {
            trio.intent(here, number).is_some_and(|intent| intent.state == IntentState::Done)
        });
        assert_eq!(drain.wait().expect("it ends").code(), Some(0));
        let intents = trio.intents(here);
        let drains = intents.iter().filter(|intent| intent.what == "drain").count();
        assert_eq!(drains, 1, "{intents:?}");
        until("it says so", || trio.duty("node03") == Some(Duty::Draining));
        let (_, log) = trio.types("node03", &["audit"]);
        assert_eq!(log.matches("node drain node03: done").count(), 1, "{log}");
        let mut began = vec![];
        until("an event says so", || {
            began = trio.events("node03", "drain-began");
            !began.is_empty()
        });
        assert_eq!(began.len(), 1, "{began:?}");
    });
}

#[test]
fn a_coordinator_that_stood_still_is_followed_and_orders_nothing_when_it_wakes() {
    alone("a_coordinator_that_stood_still_is_followed_and_orders_nothing_when_it_wakes", || {
        let trio = Trio::new("");
        let (before, sleeper) = trio.leads();
        let (agent, supervisor) = (trio.agent(sleeper), trio.supervisor(sleeper));
        // With its supervisor, which would replace it.
        kill(supervisor, "STOP");
        kill(agent, "STOP");
        let others: Vec<_> = NODES.into_iter().filter(|node| *node != sleeper).collect();
        let follower = || trio.newest(&others).filter(|(token, _)| *token > before);
        until("another coordinates", || follower().is_some());
        kill(agent, "CONT");
        kill(supervisor, "CONT");
        until("it knows that it coordinates no more", || {
            let ended = trio.events(sleeper, "coordinator-ended");
            ended.iter().any(|event| event.evidence.starts_with(&format!("token {before}: ")))
        });
        let mut now = None;
        until("the one that follows has the name", || {
            now = follower().map(|(_, node)| node);
            now.is_some() && now == trio.coordinator()
        });
        let now = now.expect("it was waited for");
        // The one that follows goes on, also for what is typed on the one that woke.
        until("everybody hears everybody", || NODES.iter().all(|node| trio.hears_all(node)));
        let (code, said) = trio.types(sleeper, &["node", "standby", sleeper]);
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = trio.types(now, &["node", "resume", sleeper]);
        assert_eq!(code, Some(0), "{said}");
    });
}

#[test]
fn a_node_that_is_no_member_of_the_store_commands_and_shows_as_the_others_do() {
    alone("a_node_that_is_no_member_of_the_store_commands_and_shows_as_the_others_do", || {
        let trio = Trio::new("members = [\"node01\"]");
        for at in 0..4 {
            let (word, node) = (["standby", "resume"][at % 2], ["node02", "node03"][at / 2]);
            // Typed on the other one of those two.
            let on = ["node03", "node02"][at / 2];
            let (code, said) = trio.types(on, &["node", word, node]);
            assert_eq!(code, Some(0), "{said}");
        }
        let (code, said) = trio.types("node03", &["node", "resume", "node02"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("node02 is not on standby"), "{said}");
        let known = trio.intents("node01");
        let all: Vec<_> = known.iter().map(|intent| (intent.number, intent.state)).collect();
        let (done, failed) = (IntentState::Done, IntentState::Failed);
        assert_eq!(all, [(1, done), (2, done), (3, done), (4, done), (5, failed)]);
        assert!(known[0].by.ends_with(" on node03"), "{}", known[0].by);
        for node in &NODES[1..] {
            // More than one errand has room for.
            assert_eq!(trio.intents(node), known, "{node}");
        }
        kill(trio.supervisor("node01"), "KILL");
        until("node01 is missed", || {
            let nodes = trio.status("node03").map(|status| status.nodes).unwrap_or_default();
            let line = nodes.iter().find(|line| line.state.node == "node01");
            line.is_some_and(|line| line.state.standing != Standing::Alive)
        });
        let (code, said) = trio.types("node03", &["node", "standby", "node02"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("no majority: "), "{said}");
    });
}

#[test]
fn without_a_majority_nothing_is_decided_and_a_node_can_still_stand_by_itself() {
    alone("without_a_majority_nothing_is_decided_and_a_node_can_still_stand_by_itself", || {
        let trio = Trio::new("");
        let (before, last) = trio.leads();
        let others = NODES.into_iter().filter(|node| *node != last);
        for node in others.clone() {
            kill(trio.supervisor(node), "KILL");
        }
        // Roles held by a token are let go.
        until("the last one coordinates no more", || {
            let ended = trio.events(last, "coordinator-ended");
            ended.iter().any(|event| event.evidence.starts_with(&format!("token {before}: ")))
        });
        // Verdicts: in doubt, never unreachable.
        until("the others are in doubt", || {
            let nodes = trio.status(last).map(|status| status.nodes).unwrap_or_default();
            let doubted = nodes.iter().filter(|line| {
                matches!(line.state.opinion.verdict, Verdict::Suspect | Verdict::Leaving)
            });
            doubted.count() == 2
        });
        // Intents and store: nothing is begun, nothing is told.
        let (code, said) = trio.types(last, &["node", "standby", last]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("no majority: "), "{said}");
        assert!(said.contains("nothing was done") && said.contains("--local"), "{said}");
        until("it is on duty", || trio.duty(last) == Some(Duty::On));
        let (code, said) = trio.types(last, &["intents"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("no majority: "), "{said}");
        // The emergency way, for the node itself.
        let (code, said) = trio.types(last, &["node", "standby", last, "--local"]);
        assert_eq!(code, Some(0), "{said}");
        until("it stands by", || trio.duty(last) == Some(Duty::Standby));
        let (code, said) = trio.types(last, &["node", "resume", last, "--local"]);
        assert_eq!(code, Some(0), "{said}");
    });
}
