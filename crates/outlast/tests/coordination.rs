//! Three nodes as processes: what becomes of intents when their store, a step's node or an operator's mind
//! changes.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use api::{Duty, Intent, IntentState, Standing};
use lonely::{OUTLAST, alone, kill, until};
use trio::{COMPUTE, NODES, Trio};

/// Types it, and expects that it is done.
fn does(trio: &Trio, on: &str, words: &[&str]) {
    let (code, said) = trio.types(on, words);
    assert_eq!(code, Some(0), "{words:?} on {on}: {said}");
}

/// Ends all of them, and starts them again after `between`.
fn again(trio: &mut Trio, between: impl FnOnce(&Trio)) {
    for (_, child) in &mut trio.nodes {
        kill(i32::try_from(child.id()).expect("a pid"), "TERM");
    }
    for (_, child) in &mut trio.nodes {
        child.wait().expect("a child can be waited for");
    }
    trio.nodes.clear();
    between(trio);
    for node in NODES {
        trio.start(node);
    }
    until("everybody hears everybody", || NODES.iter().all(|node| trio.hears_all(node)));
    // Whoever led before had a greater token, where the store counts anew.
    until("somebody coordinates", || trio.coordinator().is_some());
}

fn restore(trio: &Trio, file: &str) {
    let mut from = None;
    for node in NODES {
        let mut command = Command::new(OUTLAST);
        command.args(["store", "restore", file, "--config"]);
        command.arg(trio.config_file(node)).args(["--node", node]);
        command.arg("--run-dir").arg(trio.run_dir(node)).arg("--state-dir");
        command.arg(trio.files.path(&format!("state-{node}")));
        command.args(from.iter().flat_map(|from: &String| ["--from", from.as_str()]));
        let output = command.output().expect("the tool runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let line = said.lines().next().unwrap_or_default();
        let revision = line.rsplit(' ').next().unwrap_or_default().to_owned();
        from.get_or_insert(revision);
    }
}

#[test]
fn after_a_restore_and_a_founding_the_same_command_under_the_same_number_is_done() {
    alone("after_a_restore_and_a_founding_the_same_command_under_the_same_number_is_done", || {
        let mut trio = Trio::new("");
        let backup = trio.files.path("backup").display().to_string();
        does(&trio, "node01", &["store", "backup", &backup, "--force"]);
        let standby = ["node", "standby", "node02"];
        does(&trio, "node01", &standby);
        does(&trio, "node01", &["node", "resume", "node02"]);
        let first = trio.intent("node01", 1).expect("it was decided");
        // What the nodes did is kept, the store begins again from before that.
        again(&mut trio, |trio| restore(trio, &backup));
        assert!(trio.intents("node01").is_empty(), "the backup has none");
        does(&trio, "node01", &standby);
        assert_eq!(trio.duty("node02"), Some(Duty::Standby));
        let same = trio.intent("node01", 1).expect("it was decided");
        assert_eq!((same.what, same.object, same.steps), (first.what, first.object, first.steps));
        does(&trio, "node01", &["node", "resume", "node02"]);
        // Tokens begin again, too.
        again(&mut trio, |trio| {
            for node in NODES {
                let folder = trio.files.path(&format!("state-{node}")).join("store");
                std::fs::remove_dir_all(folder).expect("there was a store");
                // Else it knows that it had one.
                let _ = std::fs::remove_file(trio.run_dir(node).join("store.witness"));
            }
        });
        does(&trio, "node01", &standby);
        assert_eq!(trio.duty("node02"), Some(Duty::Standby));
        assert_eq!(trio.intents("node01").len(), 1);
        for node in NODES {
            assert!(trio.events(node, "stale-order-refused").is_empty(), "{node}");
        }
    });
}

/// A drain of node03 that waits for a session with a server there.
struct Drain {
    number: u64,
    tool: Child,
    _session: (TcpStream, TcpStream, TcpListener),
}

impl Drain {
    fn begin(trio: &Trio, on: &str, after: u64) -> Self {
        let server = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 4), 9000)).expect("a port");
        let client = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), 8080)).expect("it listens");
        let session = server.accept().expect("the balancer connects").0;
        let mut drain = trio.typed(on, &["node", "drain", "node03", "--limit", "500"]);
        let drain = drain.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tool = drain.spawn().expect("the tool runs");
        let mut said = String::new();
        let stdout = tool.stdout.as_mut().expect("it was piped");
        BufReader::new(stdout).read_line(&mut said).expect("it says something");
        assert_eq!(said.trim(), "node03 is being drained");
        let mut number = None;
        let waits = |intent: &&Intent| intent.number > after && intent.next == Some(1);
        until("the drain waits", || {
            number = trio.intents(on).iter().find(waits).map(|intent| intent.number);
            number.is_some()
        });
        let number = number.expect("it was waited for");
        Self { number, tool, _session: (client, session, server) }
    }

    /// Exit code, and what it complained of.
    fn ends(self) -> (Option<i32>, String) {
        let output = self.tool.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn a_drain_is_called_off_by_resume_and_ends_in_seconds_when_its_node_is_gone() {
    alone("a_drain_is_called_off_by_resume_and_ends_in_seconds_when_its_node_is_gone", || {
        let trio = Trio::new("");
        let drain = Drain::begin(&trio, "node01", 0);
        does(&trio, "node02", &["node", "resume", "node03"]);
        let ended = trio.intent("node01", drain.number).expect("it is kept");
        assert_eq!(ended.state, IntentState::Failed);
        let why = &ended.why;
        assert!(
            why.starts_with("called off by uid 0 (pid ") && why.ends_with(" on node02"),
            "{why}"
        );
        until("it is on duty", || trio.duty("node03") == Some(Duty::On));
        let (code, said) = drain.ends();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("node03 is on duty again: its drain was called off"), "{said}");

        let drain = Drain::begin(&trio, "node01", ended.number + 1);
        let (_, leads) = trio.leads();
        kill(trio.supervisor("node03"), "KILL");
        until("another coordinates", || trio.leads().1 != "node03");
        let mut ended = None;
        until("the drain ends", || {
            ended = trio.intent("node01", drain.number);
            ended.as_ref().is_some_and(|intent| intent.state != IntentState::Committed)
        });
        let Intent { state, why, .. } = ended.expect("it was waited for");
        assert_eq!(state, IntentState::Failed, "{leads} led");
        assert!(why.starts_with("step 1: node03 ") && why.ends_with("; it may be done"), "{why}");
        assert!(why.contains("is unreachable") || why.contains("has left"), "{why}");
        kill(i32::try_from(drain.tool.id()).expect("a pid"), "KILL");
        drain.ends();
    });
}

#[test]
fn a_compute_node_is_drained_though_it_has_no_balancer() {
    alone("a_compute_node_is_drained_though_it_has_no_balancer", || {
        let more = "[node.cmp1]\nrole = \"compute\"\nnetworks = { management = \"127.0.0.5\", \
                    storage = \"127.0.1.5\" }\n";
        let mut trio = Trio::with("", more);
        trio.start(COMPUTE);
        let sees = |trio: &Trio, duty: Duty| {
            NODES.iter().all(|node| {
                let nodes = trio.status(node).map(|status| status.nodes).unwrap_or_default();
                let line = nodes.into_iter().find(|line| line.state.node == COMPUTE);
                line.is_some_and(|line| {
                    line.state.standing == Standing::Alive && line.state.duty == duty
                })
            })
        };
        until("everybody hears it", || sees(&trio, Duty::On));
        does(&trio, "node02", &["node", "drain", COMPUTE]);
        until("everybody knows", || sees(&trio, Duty::Draining));
        let mut drained = None;
        until("it has ended", || {
            drained = trio.intent("node01", 1);
            drained.as_ref().is_some_and(|intent| intent.state != IntentState::Committed)
        });
        let Intent { state, why, .. } = drained.expect("it was waited for");
        assert_eq!((state, why.as_str()), (IntentState::Done, ""));
        does(&trio, "node03", &["node", "resume", COMPUTE]);
        until("everybody knows", || sees(&trio, Duty::On));
        let (code, said) = trio.types("node01", &["node", "resume", COMPUTE]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("cmp1 is not on standby"), "the reason of the node: {said}");
    });
}

#[test]
fn of_two_commands_for_one_object_at_once_one_is_done_and_the_other_is_told_why_not() {
    alone(
        "of_two_commands_for_one_object_at_once_one_is_done_and_the_other_is_told_why_not",
        || {
            let trio = Trio::new("");
            for round in 0..4_u64 {
                let word =
                    ["standby", "resume"][usize::try_from(round % 2).expect("a small number")];
                let tools = ["node01", "node03"].map(|on| {
                    let mut tool = trio.typed(on, &["node", word, "node02"]);
                    let tool = tool.stdout(Stdio::null()).stderr(Stdio::piped());
                    tool.spawn().expect("the tool runs")
                });
                let ends = tools.map(|tool| {
                    let output = tool.wait_with_output().expect("it ends");
                    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
                });
                let codes = [&ends[0], &ends[1]].map(|(code, _)| *code);
                assert!(codes.contains(&Some(0)) && codes.contains(&Some(1)), "{word}: {ends:?}");
                let (_, said) =
                    ends.iter().find(|(code, _)| *code == Some(1)).expect("it is there");
                let first = 2 * round + 1;
                let under_way = format!("intent {first} about node/node02 is under way");
                let is_so = ["node02 is on standby already", "node02 is not on standby"];
                assert!(
                    said.contains(&under_way) || is_so.iter().any(|why| said.contains(why)),
                    "{word}: {said}"
                );
                let intents = trio.intents("node01");
                let states = [first, first + 1].map(|number| {
                    let found = intents.iter().find(|intent| intent.number == number);
                    found.expect("both are written down").state
                });
                assert_eq!(states[0], IntentState::Done, "the second one was decided after it");
                assert!(
                    matches!(states[1], IntentState::Refused | IntentState::Failed),
                    "{states:?}"
                );
            }
        },
    );
}

/// Stops two of three as they are, or lets them go on.
fn all_signal(trio: &Trio, stopped: &[i32], signal: &str) {
    stopped.iter().for_each(|pid| kill(*pid, signal));
    assert!(trio.nodes.len() == NODES.len(), "nobody has ended");
}

/// Two rows of the table of `docs/reference/without-quorum.md`.
#[test]
fn without_a_majority_the_step_under_way_ends_at_its_node_and_a_window_by_its_own_time() {
    let name =
        "without_a_majority_the_step_under_way_ends_at_its_node_and_a_window_by_its_own_time";
    alone(name, || {
        let trio = Trio::new("");
        let server = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 4), 9000)).expect("a port");
        let client = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 4), 8080)).expect("it listens");
        let session = server.accept().expect("the balancer connects");
        // As one that was begun an hour ago and is over in seconds: nodes count a minute after its end as within.
        let begin = sys::clock::wall_ms() - 3_600_000;
        let end = sys::clock::wall_ms() - 60_000 + 15_000;
        let window = format!(
            r#"{{"v":2,"msg":{{"node":"node02","begin_ms":{begin},"end_ms":{end},"who":"a@b","why":"disks"}}}}"#
        );
        does(&trio, "node03", &["store", "put", "maintenance/node02", &window, "--force"]);
        let planned = || trio.status("node03").is_some_and(|status| !status.planned.is_empty());
        until("the window is known", planned);

        let mut drain = trio.typed("node03", &["node", "drain", "node03", "--limit", "8"]);
        let mut drain = drain.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        let mut number = None;
        until("the drain waits", || {
            let intents = trio.intents("node03");
            let waits = |intent: &&Intent| intent.what == "drain" && intent.next == Some(1);
            number = intents.iter().find(waits).map(|intent| intent.number);
            number.is_some()
        });
        let number = number.expect("it was waited for");
        let steps = trio.files.path("state-node03/steps");
        let steps = || std::fs::read(&steps).unwrap_or_default();
        let mut before = vec![];
        until("its node has begun to wait", || {
            let is_same = before == steps();
            before = steps();
            is_same && planned()
        });
        let mut stopped = vec![];
        for node in &NODES[..2] {
            let supervisor = trio.supervisor(node);
            let processes = trio.status(node).expect("its agent runs").processes;
            let running = processes.iter().filter(|p| p.running && p.pid != supervisor);
            stopped.push(supervisor);
            stopped.extend(running.map(|process| process.pid));
        }
        all_signal(&trio, &stopped, "STOP");
        assert!(planned(), "nobody ended it");
        assert_eq!(before, steps(), "it was under way when the majority was lost");
        until("the store of the last one has no leader", || {
            let store = trio.status("node03").and_then(|status| status.store);
            store.is_some_and(|store| store.leader.is_none())
        });
        until("the step ends at its node", || steps() != before);
        until("the window ends by its own time", || !planned());
        let store = trio.status("node03").and_then(|status| status.store).expect("a member");
        assert_eq!(store.leader, None, "nobody has decided meanwhile");

        // Nothing is under way any more: done anew, the step would be well.
        drop((session, client));
        all_signal(&trio, &stopped, "CONT");
        let mut ended = None;
        until("what came of it is written down", || {
            ended = trio.intent("node03", number);
            ended.as_ref().is_some_and(|intent| intent.state != IntentState::Committed)
        });
        let ended = ended.expect("it was waited for");
        assert_eq!(ended.state, IntentState::Failed, "{ended:?}");
        assert!(ended.why.contains("after 8 s: "), "as it was then: {ended:?}");
        drop(drain.kill());
        drop(drain.wait());
    });
}
