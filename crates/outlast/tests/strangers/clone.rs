//! A copy of a node's folders that runs beside it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use api::Standing;

use super::lonely::{self, OUTLAST, alone, until};
use super::trio::{self, NODES, Trio};

/// The nodes' file with the addresses of node02 as its machine has them.
fn with_only(text: &str, network: &str) -> String {
    let both = "{ management = \"127.0.0.3\", storage = \"127.0.1.3\" }";
    assert!(text.contains(both), "{text}");
    text.replace(both, &format!("{{ {network} }}"))
}

fn copied(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.is_ok_and(|status| status.success()), "cp {from:?} {to:?}");
}

/// Ends with the test.
struct Copy(Child);

impl Drop for Copy {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(trio: &Trio) -> Copy {
    let mut command = Command::new(OUTLAST);
    command.arg("run").arg("--config").arg(trio.files.path("copy/outlast.toml"));
    command.args(["--node", "node02"]).arg("--run-dir").arg(trio.files.path("run-copy"));
    command.arg("--state-dir").arg(trio.files.path("state-copy"));
    let log = File::create(trio.files.path("log-copy")).expect("a log");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Copy(command.spawn().expect("the copy starts"))
}

fn says_two(trio: &Trio, node: &str) -> bool {
    let limits = trio.status(node).map(|status| status.limits).unwrap_or_default();
    limits.iter().any(|limit| limit.starts_with("two machines speak as node02"))
}

fn is_alive(trio: &Trio, by: &str) -> bool {
    let nodes = trio.status(by).map(|status| status.nodes).unwrap_or_default();
    let line = nodes.into_iter().find(|line| line.state.node == "node02");
    line.is_some_and(|line| line.state.standing == Standing::Alive)
}

#[test]
fn a_copy_of_a_node_beside_it_is_told_as_two_machines_with_one_name() {
    alone("clone::a_copy_of_a_node_beside_it_is_told_as_two_machines_with_one_name", || {
        // Each of them is reached on one network, or they could not both have its address.
        let mut trio = Trio::laid("members = [\"node01\"]", "");
        let file = trio.config_file("node02");
        let text = fs::read_to_string(&file).expect("a file");
        fs::write(&file, with_only(&text, "management = \"127.0.0.3\"")).expect("a file");
        trio.start_all();
        let path = |name: &str| trio.files.path(name);
        copied(&path("node02"), &path("copy"));
        copied(&path("state-node02"), &path("state-copy"));
        // As it was before this start, which took a run of numbers: those of the next one are later than the copy's.
        fs::remove_file(path("state-copy/lives")).expect("it is there");
        let file = path("copy/outlast.toml");
        fs::write(&file, with_only(&text, "storage = \"127.0.1.3\"")).expect("a file");
        // Its balancer has another door.
        let haproxy = path("copy/haproxy.cfg");
        fs::write(&haproxy, trio::haproxy(20, lonely::free_port())).expect("a file");
        let copy = start(&trio);
        for node in ["node01", "node03"] {
            until("the cause is told", || says_two(&trio, node));
            let events = trio.events(node, "two-machines");
            let event = events.iter().find(|event| event.node == node).expect("an event");
            assert_eq!(event.object, "node/node02");
            assert!(event.not_done.contains("end one of them"), "{}", event.not_done);
            assert!(is_alive(&trio, node), "the later one is believed");
        }
        let (_, said) = trio.types("node01", &["status"]);
        assert!(said.contains("two machines speak as node02"), "{said}");
        let (_, why) = trio.types("node01", &["why", "node02"]);
        assert!(why.contains("two machines speak as node02, with its keys"), "{why}");
        let accused = NODES.iter().filter(|node| **node != "node02").any(|node| {
            trio.events(node, "node-suspect").iter().any(|event| event.object != "node/node02")
        });
        assert!(!accused, "nobody else is in doubt");
        // What the event says is done.
        drop(copy);
        trio.end("node02");
        trio.start("node02");
        for node in ["node01", "node03"] {
            until("it is over", || !says_two(&trio, node) && is_alive(&trio, node));
        }
    });
}
