//! A store of three machines, two of which are lost with all that was on them.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "store/trio.rs"]
mod trio;

use std::fs;

use lonely::{alone, until};
use serde_json::Value;
use trio::{NODES, Trio};

/// Where the running node of the authority answers joins.
const DESK: &str = "127.0.0.2:7413";
/// Those that are lost with all that they had.
const LOST: [&str; 2] = ["node02", "node03"];

/// New machines of their names: they join by tokens of the authority, and have their cluster file.
fn come_new(trio: &Trio) {
    for node in LOST {
        trio.said(&["trust", "revoke", node], "node01");
        let token =
            trio.said(&["token", "create", "--role", "controller", "--address", DESK], "node01");
        let words = ["join", token.trim(), "--node", node];
        until("the new machine joins", || {
            trio.trusting(&words, node).output().expect("the test sets itself up").status.success()
        });
    }
    until("the second hears of the third", || {
        let words = ["trust", "refresh", "--from", DESK];
        trio.trusting(&words, LOST[0]).output().expect("the test sets itself up").status.success()
    });
}

#[test]
fn a_majority_of_the_store_that_is_lost_comes_back_from_a_backup_on_new_machines() {
    alone("a_majority_of_the_store_that_is_lost_comes_back_from_a_backup_on_new_machines", || {
        let mut trio = Trio::founded("controller");
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        trio.put("node01", "a", "kept");
        let backup = trio.files.path("backup").display().to_string();
        assert!(trio.store("node02", &["backup", &backup]).status.success());
        trio.put("node01", "b", "after the backup");
        let revision = trio.report("node01")["revision"].as_u64().expect("the test sets itself up");

        // Two machines burn down with all that is on them.
        for node in LOST {
            trio.stop_one(node);
            for folder in ["state", "run", "trust"] {
                fs::remove_dir_all(trio.files.path(&format!("{folder}-{node}")))
                    .expect("the test sets itself up");
            }
        }
        until("the last one has no leader", || {
            let report = trio.report("node01");
            report["node"] == "node01" && report["leader"] == Value::Null
        });
        let written = trio.store("node01", &["put", "b", "nobody"]);
        assert_eq!(written.status.code(), Some(1), "nothing is written without a majority");
        come_new(&trio);

        trio.stop_one("node01");
        let mut from = None::<String>;
        for node in NODES {
            let more: Vec<_> = from.iter().flat_map(|from| ["--from", from.as_str()]).collect();
            let output = trio.restore(node, &backup, &more);
            assert!(output.status.success(), "{node}: {}", trio::said(&output));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let printed =
                text.split_once("--from ").and_then(|(_, rest)| rest.split_whitespace().next());
            from = from.or_else(|| printed.map(str::to_owned));
        }
        for node in NODES {
            trio.start(node);
        }
        trio.leader(&NODES);
        for node in NODES {
            assert_eq!(trio.get(node, "a").as_deref(), Some("kept"), "{node}");
            assert_eq!(trio.get(node, "b"), None, "{node}: it is not in the backup");
        }
        trio.put("node03", "b", "new");
        let members =
            trio.report("node01")["voters"].as_array().expect("the test sets itself up").len();
        assert_eq!(members, NODES.len());
        assert!(trio.revision_after("node02", revision) > revision, "no revision comes twice");
    });
}
