//! Three nodes as processes on one loopback: what is typed on any of them is decided by all, and carried out
//! once, whoever dies meanwhile.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use api::{Duty, Intent, IntentState, Standing, Verdict};
use lonely::{OUTLAST, alone, kill, until};
use trio::{NODES, Trio};

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
        is_recorded(&trio, (number, before), leads);
    });
}

/// What both coordinators were told and what they decided is on their disks, and decided the same again.
fn is_recorded(trio: &Trio, (number, token): (u64, u64), first: &str) {
    let order = "order node03: drain node/node03 (step 0 of intent ";
    let ordered = format!("{order}{number}, token {token})");
    let done = format!("step 1 of intent {number} is done");
    until("the recordings have the drain from its begin to its end", || {
        let (one, other) = (replayed(trio, first), replayed(trio, trio.leads().1));
        one.contains(&ordered) && other.contains(&done)
    });
}

/// What `outlast replay` says of the coordinator's recordings of a node.
fn replayed(trio: &Trio, node: &str) -> String {
    let folder = trio.files.path(&format!("state-{node}/record"));
    let mut said = String::new();
    for entry in std::fs::read_dir(folder).expect("recordings") {
        let path = entry.expect("a recording").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("coordinator-") {
            let output = Command::new(OUTLAST).arg("replay").arg(&path).output();
            let output = output.expect("the tool runs");
            said += &String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert_eq!(said.matches("recorded on ").count(), said.matches(": decided as recorded").count());
    said
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
