//! Three nodes that decide by an etcd of the site, as they do by a store of their own.

use std::net::TcpStream;
use std::process::Child;

use api::{Duty, IntentState, NodeLine, Verdict};
use serde_json::Value;

use super::lonely::{alone, free_port, kill, until};
use super::trio::{NODES, Trio, haproxy};
use super::{etcd, has_etcd};

/// Where each node's clients come.
fn answers(at: usize, port: u16) -> bool {
    TcpStream::connect(format!("127.0.0.{}:{port}", at + 2)).is_ok()
}

/// Exit code 0.
pub(super) fn does(trio: &Trio, node: &str, words: &[&str]) -> String {
    let (code, said) = trio.types(node, words);
    assert_eq!(code, Some(0), "{words:?} on {node}: {said}");
    said
}

fn seen(trio: &Trio, by: &str, node: &str) -> Option<NodeLine> {
    trio.status(by)?.nodes.into_iter().find(|line| line.state.node == node)
}

#[test]
fn three_nodes_decide_by_an_etcd_of_the_site() {
    let test = "three_nodes_decide_by_an_etcd_of_the_site";
    if !has_etcd(test) {
        return;
    }
    alone(&format!("decides::{test}"), || {
        let (port, peer) = (free_port(), free_port());
        let site = etcd(port, peer);
        let store = format!("engine = \"etcd\"\nendpoints = [\"http://127.0.0.1:{port}\"]");
        let mut trio = Trio::new(&store);
        let window = ["maintenance", "start", "node03", "--for", "2h", "--reason", "new memory"];
        does(&trio, "node02", &window);
        until("all know the window", || NODES.iter().all(|node| has_window(&trio, node)));
        on_any_node(&trio);
        killed(&mut trio);
        paused(&trio);
        generations(&trio);
        confirmed_off(&mut trio);
        ended(&trio);
        let mut site = away(&trio, site, || etcd(port, peer));
        site.kill().and_then(|()| site.wait()).expect("it ends");
    });
}

pub(super) fn has_window(trio: &Trio, node: &str) -> bool {
    trio.status(node).is_some_and(|status| !status.planned.is_empty())
}

/// A standby typed on any node is one intent, done once, and known to all.
pub(super) fn on_any_node(trio: &Trio) {
    for (node, other) in [("node01", "node02"), ("node03", "node01")] {
        does(trio, node, &["node", "standby", "node02"]);
        assert_eq!(trio.duty("node02"), Some(Duty::Standby));
        does(trio, other, &["node", "resume", "node02"]);
        assert_eq!(trio.duty("node02"), Some(Duty::On));
    }
    for node in NODES {
        let intents = trio.intents(node);
        let shown = intents.iter().map(|intent| (intent.number, intent.state)).collect::<Vec<_>>();
        let done = |number: u64| (number, IntentState::Done);
        assert_eq!(shown, [1, 2, 3, 4].map(done), "{node}: {intents:?}");
    }
    let log = trio.types("node02", &["audit"]).1;
    assert_eq!(log.matches("node standby node02: done").count(), 2, "{log}");
}

/// The coordinator's machine goes: another one takes the role under a greater token, and decides.
fn killed(trio: &mut Trio) {
    let (before, first) = trio.leads();
    trio.power_off(first);
    let left: Vec<_> = NODES.into_iter().filter(|node| *node != first).collect();
    let mut now = None;
    until("another one coordinates", || {
        now = trio.newest(&left);
        now.is_some_and(|(token, _)| token > before)
    });
    does(trio, left[0], &["node", "standby", left[1]]);
    does(trio, left[1], &["node", "resume", left[1]]);
    trio.start(first);
    until("it is back", || NODES.iter().all(|node| trio.hears_all(node)));
    let intents = trio.intents(first);
    assert!(intents.iter().all(|intent| intent.state == IntentState::Done), "{intents:?}");
}

/// One that stands still is followed, and decides nothing when it wakes.
fn paused(trio: &Trio) {
    let (before, sleeper) = trio.leads();
    let stopped = [trio.agent(sleeper), trio.supervisor(sleeper)];
    stopped.iter().rev().for_each(|pid| kill(*pid, "STOP"));
    let left: Vec<_> = NODES.into_iter().filter(|node| *node != sleeper).collect();
    until("another one coordinates", || {
        trio.newest(&left).is_some_and(|(token, _)| token > before)
    });
    does(trio, left[1], &["node", "standby", left[0]]);
    stopped.iter().for_each(|pid| kill(*pid, "CONT"));
    until("it knows that it coordinates no more", || {
        let ended = trio.events(sleeper, "coordinator-ended");
        ended.iter().any(|event| event.evidence.starts_with(&format!("token {before}: ")))
    });
    until("all hear all", || NODES.iter().all(|node| trio.hears_all(node)));
    does(trio, sleeper, &["node", "resume", left[0]]);
    assert!(trio.leads().0 > before);
}

/// A generation and the way back are those of all nodes.
fn generations(trio: &Trio) {
    let config = |node: &str, words: &[&str]| -> Value {
        let said = does(trio, node, &[&["config"], words, &["--yes", "--json"]].concat());
        serde_json::from_str(&said).expect("JSON")
    };
    assert_eq!(config("node01", &["apply", &trio.folder(8080)])["generation"], 1);
    let said = config("node02", &["apply", &trio.folder(8081)]);
    assert_eq!(said["generation"], 2, "{said}");
    let serve =
        |port: u16, not: u16| (0..NODES.len()).all(|at| answers(at, port) && !answers(at, not));
    until("all serve at the new port", || serve(8081, 8080));
    let said = config("node03", &["rollback", "1"]);
    assert_eq!(said["generation"], 3, "{said}");
    until("all serve at the old port", || serve(8080, 8081));
    for (at, node) in NODES.into_iter().enumerate() {
        let file = trio.files.path(&format!("{node}/haproxy.cfg"));
        assert_eq!(std::fs::read_to_string(file).expect("a file"), haproxy(at, 8080));
    }
}

/// An operator's word is a fact on all nodes until it is taken back.
fn confirmed_off(trio: &mut Trio) {
    let confirm = ["node", "confirm-off", "node03", "--i-know-it-is-off", "--reason", "seen"];
    let (code, said) = trio.types("node01", &confirm);
    assert_eq!(code, Some(1), "it is heard: {said}");
    trio.power_off("node03");
    let verdict =
        |trio: &Trio, by: &str| seen(trio, by, "node03").map(|line| line.state.opinion.verdict);
    until("it is missed", || verdict(trio, "node01") == Some(Verdict::Unreachable));
    does(trio, "node01", &confirm);
    until("all know it", || {
        NODES[..2].iter().all(|by| verdict(trio, by) == Some(Verdict::ProvenDead))
    });
    does(trio, "node02", &["node", "confirm-off", "node03", "--undo"]);
    trio.start("node03");
    until("it is back", || NODES.iter().all(|node| trio.hears_all(node)));
    // It may be the one that coordinated.
    let decided = || trio.types("node01", &["node", "standby", "node02"]).0 == Some(0);
    until("somebody decides", decided);
    does(trio, "node02", &["node", "resume", "node02"]);
}

/// No etcd is no majority: what needs one is refused with that reason, and the rest goes on.
fn away(trio: &Trio, mut site: Child, again: impl Fn() -> Child) -> Child {
    let intents = trio.intents("node01").len();
    let (token, last) = trio.leads();
    site.kill().and_then(|()| site.wait()).expect("it ends");
    until("the status says it", || {
        trio.status("node01").and_then(|status| status.store).is_some_and(|s| s.leader.is_none())
    });
    let folder = trio.folder(8082);
    let refused = [
        &["node", "standby", "node02"][..],
        &["intents"],
        &["store", "put", "a", "1"],
        &["config", "apply", &folder, "--yes"],
        &["config", "rollback", "2", "--yes"],
        &["maintenance", "start", "node02", "--for", "2h", "--reason", "none"],
    ];
    for words in refused {
        let (code, said) = trio.types("node01", words);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains("the store has no leader"), "{words:?}: {said}");
    }
    let (code, said) = trio.types("node01", &["status"]);
    assert_eq!(code, Some(1), "{said}");
    for words in ["store (etcd) NO LEADER", "roles held by a token are released"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    until("nobody coordinates", || {
        let ended = trio.events(last, "coordinator-ended");
        ended.iter().any(|event| event.evidence.starts_with(&format!("token {token}: ")))
    });
    // What needs no decision goes on.
    assert!(NODES.iter().all(|node| trio.hears_all(node)), "nobody is in doubt");
    does(trio, "node01", &["node", "standby", "--local", "node01"]);
    does(trio, "node01", &["node", "resume", "--local", "node01"]);
    trio.files.write("node02/haproxy.cfg", &haproxy(1, 8083));
    kill(trio.supervisor("node02"), "HUP");
    until("SIGHUP takes the new file", || answers(1, 8083));
    trio.files.write("node02/haproxy.cfg", &haproxy(1, 8080));
    kill(trio.supervisor("node02"), "HUP");
    until("and the old one", || answers(1, 8080) && !answers(1, 8083));
    assert!(!answers(0, 8082), "nothing of what was refused is done");

    let site = again();
    until("somebody coordinates", || trio.types("node02", &["intents"]).0 == Some(0));
    trio.leads();
    assert_eq!(trio.intents("node03").len(), intents, "nothing of what was refused is left");
    does(trio, "node03", &["node", "standby", "node02"]);
    does(trio, "node01", &["node", "resume", "node02"]);
    assert_eq!(trio.duty("node02"), Some(Duty::On));
    until("all is well", || trio.types("node01", &["status"]).0 == Some(0));
    site
}

/// The window of the beginning: it ends by command, and all know.
fn ended(trio: &Trio) {
    assert!(NODES.iter().all(|node| has_window(trio, node)), "it lasts through all of that");
    let (_, why) = trio.types("node01", &["why", "node03"]);
    assert!(why.contains("it is in a maintenance window of"), "{why}");
    does(trio, "node01", &["maintenance", "end", "node03"]);
    until("all know its end", || NODES.iter().all(|node| !has_window(trio, node)));
}
