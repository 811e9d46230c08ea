//! Two nodes as processes on one loopback: what one knows of the other.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use api::{Answer, Ask, Event, NodeLine, Role, Standing, Status};
use lonely::{Lonely, OUTLAST, alone, kill, until};

const CLUSTER: &str = r#"[cluster]
name = "pair"
secret_file = "secret"
haproxy = "haproxy.cfg"
[node.node01]
networks = { management = "127.0.0.2" }
[node.node02]
networks = { management = "127.0.0.3" }
"#;

/// Both nodes read the same files; each has folders of its own.
struct Pair {
    files: Lonely,
    nodes: Vec<Child>,
}

impl Pair {
    fn new() -> Self {
        let files = Lonely::new();
        files.write("outlast.toml", CLUSTER);
        Self { files, nodes: vec![] }
    }

    fn start(&mut self, node: &str) {
        // Each has its own port: they share one network.
        let port = lonely::free_port();
        let proxies = self.files.haproxy(&[port]);
        self.files.write("haproxy.cfg", &proxies);
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--config").arg(self.files.path("outlast.toml"));
        command.args(["--node", node]);
        command.arg("--run-dir").arg(self.files.path(&format!("run-{node}")));
        command.arg("--state-dir").arg(self.files.path(&format!("state-{node}")));
        let log =
            File::create(self.files.path(&format!("log-{node}"))).expect("a log for the node");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.nodes.push(command.spawn().expect("the node starts"));
        until("the agent answers", || self.status(node).is_some());
    }

    fn socket(&self, node: &str) -> PathBuf {
        self.files.path(&format!("run-{node}")).join("control.sock")
    }

    /// Answers until the agent closes, or for as long as a patient tool would wait.
    fn ask(&self, node: &str, ask: &Ask) -> std::io::Result<Vec<Answer>> {
        let mut stream = UnixStream::connect(self.socket(node))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut line = vec![];
        api::encode(ask, &mut line);
        line.push(b'\n');
        stream.write_all(&line)?;
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        Ok(lines.map(|line| api::decode(line.as_bytes()).expect("an answer")).collect())
    }

    fn status(&self, node: &str) -> Option<Status> {
        match self.ask(node, &Ask::Status).ok()?.pop()? {
            Answer::Status(status) => Some(*status),
            Answer::Event(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Access(_)
            | Answer::Refused(_) => None,
        }
    }

    fn line(&self, asked: &str, of: &str) -> NodeLine {
        let status = self.status(asked).expect("the agent answers");
        status.nodes.into_iter().find(|line| line.state.node == of).expect("a node of the file")
    }

    fn timeline(&self, node: &str) -> Vec<Event> {
        let answers =
            self.ask(node, &Ask::Timeline { last: 1000, follow: false }).unwrap_or_default();
        let event = |answer| match answer {
            Answer::Event(event) => event,
            other @ (Answer::Status(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Access(_)
            | Answer::Refused(_)) => {
                panic!("{other:?}")
            }
        };
        answers.into_iter().map(event).collect()
    }

    /// What the node tells from the beginning on, as it comes.
    fn follow(&self, node: &str) -> Receiver<Event> {
        let mut stream = UnixStream::connect(self.socket(node)).expect("the agent listens");
        let mut line = vec![];
        api::encode(&Ask::Timeline { last: 1000, follow: true }, &mut line);
        line.push(b'\n');
        stream.write_all(&line).expect("the agent reads");
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Ok(Answer::Event(event)) = api::decode(line.as_bytes())
                    && tell.send(event).is_err()
                {
                    return;
                }
            }
        });
        told
    }

    fn process(&self, node: &str, role: Role) -> i32 {
        let mut found = None;
        until("a process runs", || {
            let processes = self.status(node).map(|status| status.processes).unwrap_or_default();
            found = processes.iter().find(|p| p.role == role && p.running).map(|p| p.pid);
            found.is_some()
        });
        found.expect("it runs")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
        if std::thread::panicking() {
            for node in ["node01", "node02"] {
                let log = std::fs::read_to_string(self.files.path(&format!("log-{node}")));
                eprintln!("{node} said:\n{}", log.unwrap_or_default());
            }
        }
    }
}

/// Two thousand a second from the other node's own address, each with a head that costs a try with its key.
#[test]
fn a_flood_of_forged_packets_makes_nobody_suspect() {
    alone("a_flood_of_forged_packets_makes_nobody_suspect", || {
        let mut pair = Pair::new();
        // Twice as long as a loaded machine stands still, and half as long as the flood.
        let patient = CLUSTER.replace("name = \"pair\"", "name = \"pair\"\ndetect = \"3s\"");
        pair.files.write("outlast.toml", &patient);
        for node in ["node01", "node02"] {
            pair.start(node);
        }
        let is_alive = |asked, of| pair.line(asked, of).state.standing == Standing::Alive;
        until("both are well", || is_alive("node01", "node02") && is_alive("node02", "node01"));
        let socket = std::net::UdpSocket::bind("127.0.0.3:0").expect("it is on loopback");
        let mut forged = b"OUTL\x02\x01".to_vec();
        forged.extend([0, 1, 0, 0, 0, 0]);
        forged.resize(140, 0xff);
        // 12,000 of them; the sender rests after each ten, as only a loaded machine makes it rest longer.
        for _ in 0..1200 {
            for _ in 0..10 {
                socket.send_to(&forged, "127.0.0.2:7411").expect("the agent listens");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        until("they are counted", || {
            pair.status("node01").is_some_and(|status| status.refused.forged > 1000)
        });
        assert!(is_alive("node01", "node02") && is_alive("node02", "node01"));
        let events = pair.timeline("node01");
        let suspect = events.iter().find(|event| event.what == "node-suspect");
        assert!(suspect.is_none(), "{suspect:?}");
    });
}

#[test]
fn what_happens_on_one_node_is_known_on_the_other() {
    alone("what_happens_on_one_node_is_known_on_the_other", || {
        let mut pair = Pair::new();
        pair.start("node01");
        pair.start("node02");
        until("node02 is seen with its load", || {
            let line = pair.line("node01", "node02");
            line.state.standing == Standing::Alive && line.load.is_some()
        });
        assert!(pair.line("node01", "node01").load.is_some(), "its own load");
        kill(pair.process("node02", Role::Proxy), "KILL");
        let is_told = |events: &[Event]| {
            events.iter().any(|event| event.node == "node02" && event.what == "proxy-lost")
        };
        until("node01 tells what node02 saw", || is_told(&pair.timeline("node01")));
        let events = pair.timeline("node01");
        let ordered = events.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms);
        assert!(ordered, "{events:?}");
        // The agent that was told is gone, and asks again.
        kill(pair.process("node01", Role::Agent), "KILL");
        until("the next agent knows it, too", || is_told(&pair.timeline("node01")));
    });
}

#[test]
fn an_agent_that_starts_again_tells_nothing_twice() {
    alone("an_agent_that_starts_again_tells_nothing_twice", || {
        let mut pair = Pair::new();
        pair.start("node01");
        pair.start("node02");
        let of_node02 = |what: &str| {
            let events = pair.timeline("node01");
            events.iter().filter(|event| event.node == "node02" && event.what == what).count()
        };
        until("node01 knows that node02 started", || of_node02("started") == 1);
        let follower = pair.follow("node01");
        for times in 1..=2 {
            kill(pair.process("node02", Role::Agent), "KILL");
            until("node01 knows that an agent was lost", || of_node02("agent-lost") == times);
        }
        // One more way there and back, in which old events would come again.
        kill(pair.process("node02", Role::Proxy), "KILL");
        until("node01 knows that a proxy was lost", || of_node02("proxy-lost") == 1);
        assert_eq!(of_node02("started"), 1);
        let mut told = vec![];
        until("the follower was told, too", || {
            told.extend(follower.try_iter());
            told.iter().any(|event: &Event| event.node == "node02" && event.what == "proxy-lost")
        });
        let mut numbers: Vec<_> = told.iter().map(|event| (&event.node, event.seq)).collect();
        let count = numbers.len();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "told twice: {told:?}");
        let started = |event: &&Event| event.node == "node02" && event.what == "started";
        assert_eq!(told.iter().filter(started).count(), 1, "{told:?}");
    });
}

#[test]
fn of_two_nodes_on_one_machine_the_first_has_the_dashboard() {
    alone("of_two_nodes_on_one_machine_the_first_has_the_dashboard", || {
        let mut pair = Pair::new();
        pair.start("node01");
        until("the first shows it", || {
            pair.status("node01").is_some_and(|s| s.dashboard == ["http://127.0.0.1:7412/"])
        });
        pair.start("node02");
        until("the second says why it has none", || {
            pair.status("node02").is_some_and(|status| {
                status.dashboard.is_empty()
                    && status.limits.iter().any(|limit| limit.contains("127.0.0.1:7412"))
            })
        });
        assert!(pair.status("node02").unwrap().processes.iter().all(|p| p.role != Role::Services));
        let told = |event: &Event| event.what == "dashboard-missing" && event.node == "node02";
        until("the event is told", || pair.timeline("node02").iter().any(told));
    });
}

#[test]
fn an_explanation_names_evidence_rule_and_what_would_change_it() {
    alone("an_explanation_names_evidence_rule_and_what_would_change_it", || {
        let mut pair = Pair::new();
        pair.start("node01");
        let why = |object: &str| {
            pair.ask("node01", &Ask::Why { object: object.to_owned() }).unwrap().pop()
        };
        let Some(Answer::Why(node)) = why("node02") else { panic!("{:?}", why("node02")) };
        assert_eq!(node.state, "node02 is unknown");
        let Some(Answer::Why(balancer)) = why("balancer") else { panic!("no balancer") };
        assert!(balancer.rule.contains("100 ms"), "{}", balancer.rule);
        let Some(Answer::Refused(nearest)) = why("nod2") else { panic!("{:?}", why("nod2")) };
        assert!(nearest.contains("node/node02"), "{nearest}");
    });
}

/// A folder of the first node, a token, and the second joins.
fn founded_and_joined(pair: &Pair) {
    let outlast = |words: &[&str], node: &str| {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--trust-dir").arg(pair.files.path(&format!("trust-{node}")));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    };
    let said = |mut command: Command| {
        let output = command.output().expect("the tool runs");
        let text = String::from_utf8(output.stdout).expect("text");
        output.status.success().then_some(text)
    };
    let desk = format!("127.0.0.1:{}", lonely::free_port());
    said(outlast(&["init", "pair", "--node", "node01"], "node01")).expect("a cluster");
    let token = said(outlast(&["token", "create", "--address", &desk], "node01")).expect("a token");
    let mut serves = outlast(&["trust", "serve", "--listen", &desk], "node01");
    let mut serves = serves.stdout(Stdio::null()).spawn().expect("it serves");
    let words = ["join", token.trim(), "--node", "node02"];
    until("node02 joins", || said(outlast(&words, "node02")).is_some());
    serves.kill().and_then(|()| serves.wait()).expect("it ends");
}

/// Both nodes run with trust folders.
fn trusting() -> Pair {
    let mut pair = Pair::new();
    founded_and_joined(&pair);
    for node in ["node01", "node02"] {
        // A machine that is busy with other tests is no reason to doubt a node.
        let keys = format!("trust_dir = \"trust-{node}\"\ndetect = \"5s\"");
        pair.files.write("outlast.toml", &CLUSTER.replace("secret_file = \"secret\"", &keys));
        pair.start(node);
    }
    pair
}

/// The processes that have keys, as far as they run; without a virtual IP there is no vip process.
fn keyed(pair: &Pair, node: &str) -> [Option<i32>; 2] {
    let processes = pair.status(node).map(|status| status.processes).unwrap_or_default();
    [Role::Vip, Role::Agent].map(|role| {
        let mut running = processes.iter().filter(|process| process.running);
        running.find(|process| process.role == role).map(|process| process.pid)
    })
}

/// What nodes ask each other for every five seconds, on a machine that is busy with other tests.
fn patiently(what: &str, mut condition: impl FnMut() -> bool) {
    let end = sys::clock::now() + Duration::from_secs(60);
    while !condition() {
        assert!(sys::clock::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a command about a node's trust folder says.
fn about(pair: &Pair, node: &str, words: &[&str]) -> String {
    let mut command = Command::new(OUTLAST);
    command.args(words).arg("--trust-dir").arg(pair.files.path(&format!("trust-{node}")));
    let output = command.stdin(Stdio::null()).output().expect("the tool runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

/// Arguments and environment of a node's processes, and every file that they wrote.
fn written(pair: &Pair, node: &str) -> String {
    let status = pair.status(node).expect("it answers");
    let mut text = String::new();
    for process in status.processes.iter().filter(|process| process.running) {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{}/{file}", process.pid)).unwrap_or_default();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    let folders = [format!("state-{node}"), format!("run-{node}")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(pair.files.path(folder)));
    let files = files.flatten().flatten().map(|entry| entry.path());
    for file in files.chain([pair.files.path(&format!("log-{node}"))]) {
        text.push_str(&String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()));
    }
    text
}

#[test]
fn keys_are_changed_and_the_roster_spreads_while_nodes_run_and_no_beat_is_lost() {
    let title = "keys_are_changed_and_the_roster_spreads_while_nodes_run_and_no_beat_is_lost";
    alone(title, || {
        let pair = trusting();
        let heard = |by: &str, of: &str| {
            let line = pair.status(by)?.nodes.into_iter().find(|line| line.state.node == of)?;
            Some(line.state.standing == Standing::Alive)
        };
        let both =
            || heard("node01", "node02") == Some(true) && heard("node02", "node01") == Some(true);
        until("each hears the other", both);
        let pids = |node: &str| keyed(&pair, node);
        let is_whole = |node: &str| {
            let processes = pair.status(node).map(|status| status.processes).unwrap_or_default();
            let runs = |role| processes.iter().any(|line| line.role == role && line.running);
            runs(Role::Agent) && runs(Role::Spare)
        };
        until("all run", || is_whole("node01") && is_whole("node02"));
        let refused = |node: &str| pair.status(node).expect("it answers").refused;
        let before = ["node01", "node02"].map(|node| (pids(node), refused(node)));
        let prints = || ["node01", "node02"].map(|node| about(&pair, node, &["trust", "status"]));
        let own = |status: &str| status.lines().nth(1).map(str::to_owned);
        let first = prints();

        // The running node answers joins, and the other one hears of it without being asked.
        let desk = ["token", "create", "--address", "127.0.0.2:7413"];
        let token = about(&pair, "node01", &desk).trim().to_owned();
        about(&pair, "node03", &["join", &token, "--node", "node03"]);
        patiently("node02 knows node03", || prints()[1].contains("node03"));
        about(&pair, "node01", &["trust", "revoke", "node03"]);
        patiently("node02 knows that it is out", || prints()[1].contains("revoked"));

        let ordered = about(&pair, "node01", &["trust", "rotate", "--forget-after", "120"]);
        assert!(ordered.contains("2 nodes take new keys"), "{ordered}");
        patiently("both have new keys", || {
            let now = prints();
            let differ = |at: usize| own(&now[at]) != own(&first[at]);
            differ(0) && differ(1) && !now.iter().any(|status| status.contains("former"))
        });
        let changed = sys::clock::now();
        let fresh = |by: &str, of: &str| {
            let status = pair.status(by)?;
            let line = status.nodes.into_iter().find(|line| line.state.node == of)?;
            let age = Duration::from_millis(line.load?.age_ms);
            Some(age < sys::clock::now().since(changed))
        };
        until("each hears the other with them", || {
            both()
                && fresh("node01", "node02") == Some(true)
                && fresh("node02", "node01") == Some(true)
        });
        for (node, (pids_before, was)) in ["node01", "node02"].into_iter().zip(before) {
            let events = pair.timeline(node);
            let came = |what: &str| events.iter().any(|event| event.what == what);
            // A machine that stood still loses processes, and says so.
            if came("agent-lost") || came("vip-lost") {
                continue;
            }
            assert_eq!(pids(node), pids_before, "no process was replaced");
            let now = refused(node);
            assert_eq!((now.forged, now.unreadable), (was.forged, was.unreadable));
            assert!(!came("node-suspect"), "{events:#?}");
        }
        // What must not be read anywhere: the key of the folder, the secret of the token.
        let key = std::fs::read_to_string(pair.files.path("trust-node01").join("key"));
        let key = key.expect("a key").trim().to_owned();
        for node in ["node01", "node02"] {
            let written = written(&pair, node);
            assert!(written.contains("keys-changed"), "the events are among it");
            assert!(!written.contains(&key) && !written.contains(&token[82..114]));
        }
    });
}

#[test]
fn nodes_with_a_key_per_pair_hear_each_other_until_one_is_revoked() {
    let title = "nodes_with_a_key_per_pair_hear_each_other_until_one_is_revoked";
    alone(title, || {
        let pair = trusting();
        // None: its agent is just being replaced, as at a reload.
        let alive = |asked: &str, of: &str| {
            let nodes = pair.status(asked)?.nodes;
            let line = nodes.into_iter().find(|line| line.state.node == of)?;
            Some(line.state.standing == Standing::Alive)
        };
        let both = |is: bool| {
            alive("node01", "node02") == Some(is) && alive("node02", "node01") == Some(is)
        };
        until("each hears the other", || both(true));
        let mut revoke = Command::new(OUTLAST);
        revoke.args(["trust", "revoke", "node02", "--trust-dir"]);
        let status = revoke.arg(pair.files.path("trust-node01")).stdout(Stdio::null()).status();
        assert!(status.expect("the tool runs").success());
        until("node01 hears node02 no longer, nor is heard", || both(false));
        until("what it says is counted", || {
            pair.status("node01").is_some_and(|status| status.refused.astray > 0)
        });
    });
}
