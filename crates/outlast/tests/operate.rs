//! What an operator tells a cluster of real nodes, and what every node makes of it.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use api::{Duty, Role};
use lab::cluster::{Cluster, Plan};
use lonely::{OUTLAST, contained, until};

const FOLDER: &str = "/run/lab";

/// One that is there when it is asked for; each node has its own 127.0.0.1.
const DASHBOARD: &str = "127.0.0.1:7412";

/// Three nodes on two networks.
struct Stage {
    cluster: Cluster,
}

impl Stage {
    fn new() -> Self {
        let plan = Plan {
            names: (1..=3).map(|number| format!("node0{number}")).collect(),
            networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
            // A busy machine makes nobody suspect.
            lines: format!("detect = \"5s\"\n[dashboard]\nlisten = \"{DASHBOARD}\""),
            computes: 0,
        };
        let cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OUTLAST), plan);
        let mut stage = Self { cluster: cluster.expect("namespaces of the test's own") };
        stage.heals();
        stage
    }

    fn heals(&mut self) {
        self.cluster.mend().expect("everything can be mended");
        let mut illness = None;
        until("everybody hears everybody", || {
            illness = self.cluster.illness();
            illness.is_none()
        });
    }

    fn folder(&self, node: usize) -> PathBuf {
        Path::new(FOLDER).join(self.cluster.name(node))
    }

    /// Typed on a node: exit code, and what was printed on both.
    fn types(&self, node: usize, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(OUTLAST);
        command.args(words).arg("--run-dir").arg(self.folder(node).join("run"));
        let output = command.output().expect("the tool starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// What the dashboard of a node answers to its own machine.
    fn page(&self, node: usize, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let get = move || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(DASHBOARD)?;
            stream.write_all(head.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        self.cluster.within(node, get).and_then(Result::ok).unwrap_or_default()
    }

    /// Whether every node thinks that `of` has this duty.
    fn all_know(&self, of: usize, duty: Duty) -> bool {
        let knows = |node| self.cluster.view(node, of).is_some_and(|l| l.state.duty == duty);
        self.cluster.numbers().all(knows)
    }
}

#[test]
fn a_standby_is_known_on_every_node_over_restarts_of_their_agents() {
    contained("a_standby_is_known_on_every_node_over_restarts_of_their_agents", || {
        let stage = Stage::new();
        let (code, said) = stage.types(1, &["node", "standby", "node02"]);
        assert_eq!((code, said.trim()), (Some(0), "node02 is on standby"));
        until("every node knows", || stage.all_know(1, Duty::Standby));
        let (_, status) = stage.types(0, &["status"]);
        assert!(status.contains("alive, on standby"), "{status}");
        let (_, why) = stage.types(2, &["why", "node/node02"]);
        assert!(why.contains("node02 is alive, on standby"), "{why}");
        assert!(why.contains("`outlast node resume node02` gives it new work again"), "{why}");

        for node in [0, 1] {
            let agent = stage.cluster.pid(node, Role::Agent).expect("it has an agent");
            stage.cluster.kill_agent(node).expect("it can be killed");
            let is_new = || stage.cluster.pid(node, Role::Agent).is_ok_and(|pid| pid != agent);
            until("there is another agent", is_new);
        }
        until("every node knows again", || stage.all_know(1, Duty::Standby));

        let (code, said) = stage.types(1, &["node", "resume", "node02"]);
        assert_eq!(code, Some(0), "{said}");
        until("every node knows that it is over", || stage.all_know(1, Duty::On));
    });
}

#[test]
fn a_command_reaches_its_node_over_any_network_and_is_refused_where_nobody_hears_it() {
    contained(
        "a_command_reaches_its_node_over_any_network_and_is_refused_where_nobody_hears_it",
        || {
            let mut stage = Stage::new();
            let (code, said) = stage.types(0, &["node", "standby", "node03"]);
            assert_eq!((code, said.trim()), (Some(0), "node03 is on standby"));
            until("every node knows", || stage.all_know(2, Duty::Standby));
            // Its own word against it, told where it was typed.
            let (code, said) = stage.types(1, &["node", "standby", "node03"]);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("node03 is on standby already"), "{said}");

            stage.cluster.set_joined(2, 0, false).expect("a port can be taken out");
            let (code, said) = stage.types(0, &["node", "resume", "node03"]);
            assert_eq!(code, Some(0), "{said}");
            until("every node knows that it is over", || stage.all_know(2, Duty::On));
            let (code, said) = stage.types(0, &["node", "drain", "node03", "--limit", "20"]);
            assert_eq!(code, Some(0), "{said}");
            assert!(said.contains("node03 is being drained"), "{said}");
            assert!(said.contains("node03 is drained: nothing is under way"), "{said}");
            stage.heals();
            let told = |what: &str| {
                let heard = stage.cluster.heard();
                heard.iter().filter(|heard| heard.node == 2 && heard.event.what == what).count()
            };
            until("its log has been read", || told("drain-began") > 0);
            assert_eq!((told("standby-began"), told("standby-ended")), (1, 1), "at most once");

            stage.cluster.power_off(2).expect("a node can be switched off");
            let gone = || {
                let view = stage.cluster.view(0, 2);
                view.is_some_and(|line| line.state.standing != api::Standing::Alive)
            };
            until("its silence is noticed", gone);
            let (code, said) = stage.types(0, &["node", "resume", "node03"]);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("node03 is not alive as far as this node knows"), "{said}");
        },
    );
}

#[test]
fn a_controller_without_its_management_network_is_commanded_and_seen_over_another() {
    contained(
        "a_controller_without_its_management_network_is_commanded_and_seen_over_another",
        without_management,
    );
}

/// The third node of three is cut off from the network that comes first.
fn without_management() {
    let stage = Stage::new();
    stage.cluster.set_joined(2, 0, false).expect("a port can be taken out");
    let cells = |of| stage.cluster.view(0, of).map(|line| line.state.cells);
    let alive = |of| cells(of).map(|cells| cells.iter().map(|cell| cell.alive).collect::<Vec<_>>());
    until("one cell is dead", || alive(2).is_some_and(|cells| cells == [false, true]));
    assert_eq!(alive(1), Some(vec![true, true]));

    // From elsewhere to it, and from it to elsewhere.
    for (on, of) in [(0, "node03"), (1, "node03"), (2, "node01")] {
        for (word, said) in [("standby", "is on standby"), ("resume", "is on duty again")] {
            let (code, answer) = stage.types(on, &["node", word, of]);
            assert_eq!(code, Some(0), "{word} {of}, typed on {on}: {answer}");
            assert!(answer.contains(&format!("{of} {said}")), "{answer}");
        }
    }

    // What it says of itself is known on another, and is of now.
    let row = || {
        let (_, status) = stage.types(0, &["status"]);
        status.lines().find(|line| line.starts_with("node03 ")).unwrap_or_default().to_owned()
    };
    until("the table has it with its load", || {
        let row = row();
        row.contains("cut-off") && row.matches(" %").count() == 2
    });
    let events = || stage.types(0, &["events", "node03", "--cluster"]).1;
    until("its events are known", || events().matches("standby-ended").count() == 2);
    let metrics = || stage.page(0, "/metrics");
    let has = |text: &str, line: &str| text.lines().any(|one| one.starts_with(line));
    until("its metrics are those of now", || {
        let text = metrics();
        has(&text, "outlast_network_alive{node=\"node03\",network=\"mgmt\"} 0")
            && has(&text, "outlast_network_alive{node=\"node03\",network=\"storage\"} 1")
            && has(&text, "outlast_node_cpu_ratio{node=\"node03\"}")
            && has(&text, "outlast_node_memory_ratio{node=\"node03\"}")
    });
    let page = stage.page(0, "/node/node03.json");
    assert!(page.contains("200 OK"), "{page}");
    // The load is told with each beat: it is not that of before the cut.
    let load = |node| stage.cluster.view(node, 2).and_then(|line| line.load);
    assert!(load(0).is_some() && load(1).is_some());
    // And it sees the others.
    let seen = |of| stage.cluster.view(2, of).and_then(|line| line.load);
    assert!(seen(0).is_some() && seen(1).is_some());
}
