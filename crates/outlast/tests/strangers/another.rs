//! A machine of another cluster with the same name.

use std::fs;
use std::process::Stdio;

use api::Standing;

use super::founded::{self, NODES};
use super::lonely::{alone, until};
use super::trio;

/// Where the running node of the authority answers joins.
const DESK: &str = "127.0.0.2:7413";

fn limits(trio: &founded::Trio, node: &str) -> String {
    trio.status(node)["limits"].to_string()
}

fn standing(trio: &founded::Trio, by: &str, node: &str) -> String {
    let status = trio.status(by);
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let line = nodes.iter().find(|line| line["state"]["node"] == node);
    let standing = line.and_then(|line| line["state"]["standing"].as_str());
    standing.unwrap_or_default().to_owned()
}

fn said(trio: &founded::Trio, node: &str, words: &[&str]) -> String {
    String::from_utf8_lossy(&trio.ask(node, words).stdout).into_owned()
}

fn fingerprint(trio: &founded::Trio, node: &str) -> String {
    let status = trio.said(&["trust", "status"], node);
    let line = status.lines().find(|line| line.contains("fingerprint"));
    let word = line.and_then(|line| line.split_whitespace().last());
    word.expect("a fingerprint").to_owned()
}

fn is_named(trio: &founded::Trio, node: &str, place: &str, found: &str) {
    let named = |text: &str| {
        text.contains("another cluster answers at 127.0.")
            && text.contains(place)
            && text.contains(found)
    };
    until("the status names it", || named(&limits(trio, node)));
    until("and an event", || {
        let events = said(trio, node, &["events"]);
        events.contains("another-cluster") && named(&events)
    });
    let why = said(trio, node, &["why", place]);
    assert!(named(&why), "{why}");
}

fn accuses_nobody(events: &str) {
    assert!(!events.contains("node-suspect") && !events.contains("node-verdict"), "{events}");
}

#[test]
fn a_cluster_with_the_same_name_on_the_same_wire_is_named_and_nobody_is_accused() {
    alone(
        "another::a_cluster_with_the_same_name_on_the_same_wire_is_named_and_nobody_is_accused",
        || {
            let mut trio = founded::Trio::founded("controller");
            // Somebody founds where he should have joined.
            let folder = trio.files.path("trust-node03");
            fs::remove_dir_all(&folder).expect("it is there");
            trio.said(&["init", "trio", "--node", "node03"], "node03");
            for node in NODES {
                trio.write(node, "members = [\"node01\"]\n");
                trio.start(node);
            }
            until("the two hear each other", || {
                standing(&trio, "node01", "node02") == "alive"
                    && standing(&trio, "node02", "node01") == "alive"
            });
            is_named(&trio, "node01", "node03", &fingerprint(&trio, "node03"));
            is_named(&trio, "node02", "node03", &fingerprint(&trio, "node03"));
            for (node, other) in [("node01", "node03"), ("node02", "node03"), ("node03", "node01")]
            {
                assert_eq!(standing(&trio, node, other), "unknown", "nobody is believed");
                accuses_nobody(&said(&trio, node, &["events"]));
            }
            trio.put("node01", "goes-on", "yes");
            // What the event says is done.
            trio.stop_node("node03");
            fs::remove_dir_all(&folder).expect("it is there");
            trio.said(&["trust", "revoke", "node03"], "node01");
            let words = ["token", "create", "--role", "controller", "--address", DESK];
            let token = trio.said(&words, "node01");
            let words = ["join", token.trim(), "--node", "node03"];
            until("it joins", || {
                let mut join = trio.trusting(&words, "node03");
                join.stdout(Stdio::null()).status().expect("the tool runs").success()
            });
            trio.start("node03");
            until("it is heard", || {
                NODES[..2].iter().all(|node| standing(&trio, node, "node03") == "alive")
            });
            for node in &NODES[..2] {
                until("it is over", || !limits(&trio, node).contains("another cluster"));
            }
        },
    );
}

#[test]
fn who_speaks_for_the_cluster_with_another_secret_is_one_line_and_accuses_nobody() {
    const LINE: &str = "speaks for the cluster trio with other keys";
    alone(
        "another::who_speaks_for_the_cluster_with_another_secret_is_one_line_and_accuses_nobody",
        || {
            let mut trio = trio::Trio::laid("members = [\"node01\"]", "");
            fs::write(trio.files.path("node03/secret"), "a secret of quite another cluster")
                .expect("a file");
            NODES.into_iter().for_each(|node| trio.start(node));
            for (node, own) in [("node01", "127.0.0.4"), ("node02", "127.0.1.4")] {
                let lines = |trio: &trio::Trio| {
                    let limits = trio.status(node).map(|status| status.limits).unwrap_or_default();
                    limits.into_iter().filter(|limit| limit.contains(LINE)).collect::<Vec<_>>()
                };
                until("the status names the address", || {
                    lines(&trio).iter().any(|line| line.contains(own))
                });
                assert_eq!(lines(&trio).len(), 1, "{:?}", lines(&trio));
                let told = |trio: &trio::Trio| {
                    let events = trio.events(node, "other-keys");
                    events.iter().filter(|event| event.node == node).count()
                };
                until("and an event", || told(&trio) == 1);
                let (_, why) = trio.types(node, &["why", "node03"]);
                assert!(why.contains(LINE) && why.contains(own), "{why}");
                let status = trio.status(node).expect("it answers");
                let line = status.nodes.iter().find(|line| line.state.node == "node03");
                assert_eq!(line.map(|line| line.state.standing), Some(Standing::Unknown));
                assert!(status.refused.forged > 0);
                let (_, events) = trio.types(node, &["events"]);
                accuses_nobody(&events);
            }
            // It gets the secret of this cluster.
            trio.end("node03");
            fs::copy(trio.files.path("secret"), trio.files.path("node03/secret")).expect("a file");
            trio.start("node03");
            until("everybody hears everybody", || NODES.iter().all(|node| trio.hears_all(node)));
            until("it is over", || {
                NODES[..2].iter().all(|node| {
                    trio.status(node)
                        .is_some_and(|status| !status.limits.iter().any(|l| l.contains(LINE)))
                })
            });
        },
    );
}
