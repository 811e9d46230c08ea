//! Nodes of a founded trust, as processes: what controllers of the roster command is decided, what one that
//! was put out commands is not.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "store/trio.rs"]
mod trio;

use std::process::{Command, Stdio};

use api::{Duty, Intent, IntentState, Standing, Status};
use lonely::{OUTLAST, alone, until};
use trio::{NODES, Trio};

fn types(trio: &Trio, node: &str, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(OUTLAST);
    command.args(words).arg("--run-dir").arg(trio.run_dir(node)).stdin(Stdio::null());
    let output = command.output().expect("the tool runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn status(trio: &Trio, node: &str) -> Option<Status> {
    serde_json::from_str(&types(trio, node, &["status", "--json"]).1).ok()
}

/// Of these, each hears all of these.
fn hear(trio: &Trio, among: &[&str]) -> bool {
    among.iter().all(|node| {
        let nodes = status(trio, node).map(|status| status.nodes).unwrap_or_default();
        let heard = nodes.iter().filter(|line| line.state.standing == Standing::Alive);
        heard.filter(|line| among.contains(&line.state.node.as_str())).count() == among.len()
    })
}

fn intents(trio: &Trio, node: &str) -> Vec<Intent> {
    let mut found = None;
    until("the intents are told", || {
        let (code, said) = types(trio, node, &["intents", "--json"]);
        let intent = |line| serde_json::from_str(line).expect("an intent");
        found = (code == Some(0)).then(|| said.lines().map(intent).collect());
        found.is_some()
    });
    found.expect("it was waited for")
}

#[test]
fn a_controller_of_the_roster_commands_and_one_that_was_put_out_does_not() {
    alone("a_controller_of_the_roster_commands_and_one_that_was_put_out_does_not", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        until("everybody hears everybody", || hear(&trio, &NODES));
        trio.leader(&NODES);
        let (code, said) = types(&trio, "node03", &["node", "standby", "node02"]);
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = types(&trio, "node02", &["node", "resume", "node02"]);
        assert_eq!(code, Some(0), "{said}");
        for node in NODES {
            let all = intents(&trio, node);
            let shown: Vec<_> =
                all.iter().map(|intent| (intent.what.as_str(), intent.state)).collect();
            let done = IntentState::Done;
            assert_eq!(shown, [("standby", done), ("resume", done)], "{node}: {all:?}");
            assert!(all[0].by.ends_with(" on node03"), "{}", all[0].by);
        }

        trio.said(&["trust", "revoke", "node03"], "node01");
        let left = ["node01", "node02"];
        until("it is out", || {
            left.iter().all(|node| {
                let nodes = status(&trio, node).map(|status| status.nodes).unwrap_or_default();
                let it = nodes.into_iter().find(|line| line.state.node == "node03");
                it.is_some_and(|line| line.state.standing != Standing::Alive)
            })
        });
        trio.leader(&left);
        let (code, said) = types(&trio, "node03", &["node", "standby", "node02"]);
        assert_eq!(code, Some(1), "{said}");
        let is_told = said.contains("nothing was done") || said.contains("is not alive as far as");
        assert!(is_told, "{said}");
        // The others decide without it.
        let (code, said) = types(&trio, "node02", &["node", "standby", "node01"]);
        assert_eq!(code, Some(0), "{said}");
        let all = intents(&trio, "node01");
        assert!(all[2..].iter().all(|intent| !intent.by.contains("on node03")), "{all:?}");
        let duty = status(&trio, "node02").map(|status| status.duty);
        assert_eq!(duty, Some(Duty::On), "as it was before node03 asked");
    });
}

/// Lets another node in.
fn joins(trio: &Trio, node: &str, role: &str) {
    let desk = format!("127.0.0.1:{}", lonely::free_port());
    let mut serves = trio.trusting(&["trust", "serve", "--listen", &desk], "node01");
    let mut serves = serves.stdout(Stdio::null()).spawn().expect("it serves");
    let token = trio.said(&["token", "create", "--role", role, "--address", &desk], "node01");
    until("a node joins", || {
        let words = ["join", token.trim(), "--node", node];
        trio.trusting(&words, node).output().expect("the tool runs").status.success()
    });
    serves.kill().and_then(|()| serves.wait()).expect("it ends");
}

/// Datagrams that this node did not believe, of whatever kind.
fn refused(trio: &Trio, node: &str) -> u64 {
    let refused = status(trio, node).map(|status| status.refused).unwrap_or_default();
    refused.forged + refused.replayed + refused.unreadable + refused.astray
}

/// It is the one that stands unattended and is stolen with its disk.
#[test]
fn a_compute_node_that_was_put_out_is_heard_by_nobody_and_is_told_so() {
    alone("a_compute_node_that_was_put_out_is_heard_by_nobody_and_is_told_so", || {
        const ALL: [&str; 4] = ["node01", "node02", "node03", "node04"];
        const OTHERS: [&str; 3] = ["node01", "node02", "node04"];
        let mut trio = Trio::founded("compute");
        joins(&trio, "node04", "compute");
        trio.write("node04", "");
        for node in ALL {
            let file = format!("{node}.toml");
            let text = std::fs::read_to_string(trio.files.path(&file)).expect("it was written");
            let fourth = "[node.node04]\nrole = \"compute\"\n\
                          networks = { management = \"127.0.0.5\", storage = \"127.0.1.5\" }\n";
            // A busy machine makes nobody suspect.
            let text = text
                .replace("[node.node01]", "detect = \"3s\"\n[node.node01]")
                .replace("[node.node03]", "[node.node03]\nrole = \"compute\"")
                .replace("[dashboard]", &format!("{fourth}[dashboard]"))
                .replace("[store]", "[store]\nmembers = [\"node01\"]");
            trio.files.write(&file, &text);
            trio.start(node);
        }
        until("everybody hears everybody", || hear(&trio, &ALL));
        trio.leader(&NODES[..1]);

        let all_refused = || OTHERS.iter().map(|node| refused(&trio, node)).sum::<u64>();
        let before = all_refused();
        trio.said(&["trust", "revoke", "node03"], "node01");
        // As it spreads by itself, and sooner.
        ["node02", "node04"].iter().for_each(|node| trio.refresh(node));
        let standing = |asked: &str| {
            let nodes = status(&trio, asked)?.nodes;
            let it = nodes.into_iter().find(|line| line.state.node == "node03")?;
            Some(it.state.standing)
        };
        until("nobody hears it", || {
            OTHERS
                .iter()
                .all(|node| standing(node).is_some_and(|standing| standing != Standing::Alive))
        });
        // It goes on speaking to one or the other, until it takes them for gone.
        until("what it says is refused and counted", || all_refused() > before);
        let mut refresh =
            trio.trusting(&["trust", "refresh", "--from", "127.0.0.2:7413"], "node03");
        let told = refresh.stderr(Stdio::piped()).output().expect("the tool runs");
        let why = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_eq!(told.status.code(), Some(1), "{why}");
        assert!(why.contains("this node was revoked"), "{why}");

        // The others go on: they hear each other, decide, and it takes nothing of that.
        assert!(hear(&trio, &OTHERS));
        let (code, said) = types(&trio, "node02", &["node", "drain", "node04", "--limit", "30"]);
        assert_eq!(code, Some(0), "{said}");
        let begin = ["maintenance", "start", "cluster", "--for", "2h", "--reason", "new disks"];
        let (code, said) = types(&trio, "node01", &begin);
        assert_eq!(code, Some(0), "{said}");
        let planned = |node: &str| status(&trio, node).is_some_and(|it| !it.planned.is_empty());
        until("the others know the window", || OTHERS.iter().all(|node| planned(node)));
        assert!(!planned("node03"), "nothing is brought to it");
        assert!(OTHERS.iter().all(|node| standing(node) != Some(Standing::Alive)));
    });
}

/// A row of the table of `docs/reference/without-quorum.md`: trust is signed, not voted.
#[test]
fn without_a_majority_the_node_with_the_authority_lets_in_and_shuts_out() {
    alone("without_a_majority_the_node_with_the_authority_lets_in_and_shuts_out", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        until("everybody hears everybody", || hear(&trio, &NODES));
        trio.leader(&NODES);
        let mut stopped = vec![];
        for (node, child) in &trio.nodes {
            if node != "node01" {
                let supervisor = i32::try_from(child.id()).expect("a pid");
                let processes = status(&trio, node).expect("its agent runs").processes;
                let running = processes.iter().filter(|p| p.running && p.pid != supervisor);
                stopped.push(supervisor);
                stopped.extend(running.map(|process| process.pid));
            }
        }
        stopped.iter().for_each(|pid| lonely::kill(*pid, "STOP"));
        let frozen = || {
            let store = status(&trio, "node01").and_then(|status| status.store);
            store.is_some_and(|store| store.leader.is_none())
        };
        until("the store has no majority", frozen);
        let (code, said) = types(&trio, "node01", &["node", "standby", "node01"]);
        assert_eq!(code, Some(1), "{said}");

        // The desk of the running node, and no other.
        let create = ["token", "create", "--role", "controller", "--address", "127.0.0.2:7413"];
        let token = trio.said(&create, "node01");
        until("a node joins", || {
            let words = ["join", token.trim(), "--node", "node05"];
            trio.trusting(&words, "node05").output().expect("the tool runs").status.success()
        });
        trio.said(&["trust", "revoke", "node03"], "node01");
        let roster = trio.said(&["trust", "status"], "node05");
        assert!(roster.contains("node05"), "{roster}");
        until("the new one hears that another was put out", || {
            let words = ["trust", "refresh", "--from", "127.0.0.2:7413"];
            let output = trio.trusting(&words, "node05").output().expect("the tool runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            output.status.success()
                && said.lines().any(|line| line.contains("node03") && line.contains("revoked"))
        });
        assert!(frozen(), "nobody has voted meanwhile");
        stopped.iter().for_each(|pid| lonely::kill(*pid, "CONT"));
    });
}
