//! Three controllers with a store and a virtual IP, real processes: one that is confirmed off and runs all the same is
//! given nothing, and gives up what it has, until that is taken back.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::path::Path;
use std::process::Command;

use api::proof::Proof;
use api::{NodeLine, Standing, Status, Verdict, VipCause, VipLine, VipRole};
use lab::cluster::{Cluster, Plan};
use lonely::{OUTLAST, contained, has_vip, until};

const FOLDER: &str = "/run/lab";
const NODES: usize = 3;

/// Nobody preempts: who holds stays where it is.
const LINES: &str = r#"detect = "2s"
haproxy = "haproxy.cfg"
[store]
[vip.internal]
address = "10.79.0.40"
network = "mgmt"
router_id = 121
check = "none"
"#;

/// A server on each node, unchecked: only the verdict speaks against one.
const HAPROXY: &str = "defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen api
  bind 127.0.0.1:8080
  server one 10.79.0.41:9000
  server two 10.79.0.42:9000
  server three 10.79.0.43:9000
";
const SERVERS: [&str; NODES] = ["one", "two", "three"];

struct Stage {
    cluster: Cluster,
}

impl Stage {
    fn new() -> Self {
        let plan = Plan {
            names: (1..=NODES).map(|number| format!("ctl{number}")).collect(),
            networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
            lines: LINES.to_owned(),
            computes: 0,
        };
        let cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OUTLAST), plan);
        let mut cluster = cluster.expect("namespaces of the test's own");
        for node in 0..NODES {
            let file = Path::new(FOLDER).join(cluster.name(node)).join("haproxy.cfg");
            std::fs::write(file, HAPROXY).expect("a file");
        }
        cluster.mend().expect("they start");
        let stage = Self { cluster };
        until("everybody hears everybody", || stage.cluster.illness().is_none());
        until("the store is led, and the address held", || {
            let is_well = |node| {
                let status = stage.cluster.status(node);
                status.and_then(|status| status.store).is_some_and(|store| store.is_well())
            };
            (0..NODES).all(is_well) && stage.holders().len() == 1
        });
        stage
    }

    fn name(&self, node: usize) -> &str {
        self.cluster.name(node)
    }

    /// Typed on a node: exit code, and what was printed on both.
    fn types(&self, node: usize, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(OUTLAST);
        let folder = Path::new(FOLDER).join(self.name(node)).join("run");
        let output = command.args(words).arg("--run-dir").arg(folder).output();
        let output = output.expect("the tool starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn does(&self, node: usize, words: &[&str]) {
        let (code, said) = self.types(node, words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
    }

    fn has(&self, node: usize) -> bool {
        self.cluster.within(node, has_vip) == Some(true)
    }

    /// Whose kernel has the address, of the machines that are on.
    fn holders(&self) -> Vec<usize> {
        (0..NODES).filter(|node| self.has(*node)).collect()
    }

    /// The same, where no two may have it: who has it before and after another one was seen to.
    fn holder(&self) -> Option<usize> {
        let holders = self.holders();
        if let [first, second, ..] = holders[..] {
            assert!(!self.has(first), "{first} and {second} have it");
        }
        holders.last().copied()
    }

    fn vip(&self, node: usize) -> Option<VipLine> {
        self.status(node)?.vips.pop()
    }

    fn status(&self, node: usize) -> Option<Status> {
        self.cluster.status(node)
    }

    fn is_out(&self, node: usize) -> bool {
        let out = (VipRole::Fault, Some(VipCause::ProvenDead));
        self.vip(node).is_some_and(|vip| (vip.state.role, vip.state.cause) == out)
    }

    /// Whom this node would name, or sees as the next.
    fn next(&self, node: usize) -> Option<String> {
        self.vip(node)?.successor
    }

    /// Whether the balancer of a node prefers other servers to that of another node.
    fn is_suspect(&self, node: usize, of: usize) -> bool {
        let servers = self.status(node).map(|status| status.servers).unwrap_or_default();
        servers.iter().any(|server| server.server == SERVERS[of] && server.suspect)
    }

    /// What all nodes that run say of one, itself too.
    fn all_say(&self, of: usize, is_so: impl Fn(&NodeLine) -> bool) -> bool {
        (0..NODES).all(|node| self.cluster.view(node, of).is_some_and(|line| is_so(&line)))
    }
}

fn is_dead(line: &NodeLine) -> bool {
    line.state.opinion.verdict == Verdict::ProvenDead && line.state.standing == Standing::Alive
}

#[test]
fn who_is_confirmed_off_and_runs_holds_nothing_and_is_next_to_nobody_until_that_is_taken_back() {
    let name = "who_is_confirmed_off_and_runs_holds_nothing_and_is_next_to_nobody_until_that_is_taken_back";
    contained(name, || {
        let mut stage = Stage::new();
        let holder = stage.holders()[0];
        let [off, third] = [(holder + 1) % NODES, (holder + 2) % NODES];
        let dead = stage.name(off).to_owned();
        stage.cluster.power_off(off).expect("it can be switched off");
        until("it can be confirmed", || {
            let words = ["node", "confirm-off", &dead, "--i-know-it-is-off", "--reason", "seen"];
            stage.types(holder, &words).0 == Some(0)
        });
        stage.cluster.start(off).expect("it starts again");
        until("all call it dead though they hear it", || stage.all_say(off, is_dead));
        until("it is out of the race", || stage.is_out(off));
        let next = Some(stage.name(third).to_owned());
        until("another is next", || (0..NODES).all(|node| stage.next(node) == next));
        until("every balancer prefers the others", || {
            (0..NODES).all(|node| stage.is_suspect(node, off))
        });
        assert!(!stage.is_suspect(holder, third));
        for node in 0..NODES {
            let (code, said) = stage.types(node, &["move", "vip/internal", &dead]);
            let why = format!("somebody confirmed that {dead} is off: it is given nothing until");
            assert!(code == Some(1) && said.contains(&why), "{code:?}: {said}");
        }
        let (code, said) = stage.types(off, &["status"]);
        let is_told = said.contains("it holds no address") && said.contains("DEAD (proven)");
        assert!(code == Some(1) && is_told, "{code:?}: {said}");
        let why = stage.types(off, &["why", &format!("node/{dead}")]).1;
        assert!(why.contains("confirmed off though it runs") && why.contains("--undo"), "{why}");
        let events = stage.types(off, &["events"]).1;
        assert!(events.contains("this node is proven-dead, though it runs"), "{events}");

        stage.cluster.power_off(holder).expect("it can be switched off");
        until("the third one holds", || stage.holders() == [third]);
        assert!(stage.is_out(off));
        // Alone with it, it has nobody to name.
        until("it would name nobody", || stage.next(third).is_none());
        stage.does(third, &["node", "confirm-off", &dead, "--undo"]);
        until("it is next", || stage.next(third).as_deref() == Some(&*dead));
        until("it is trusted", || !stage.is_suspect(third, off));
        until("it can be moved there", || {
            stage.types(third, &["move", "vip/internal", &dead]).0 == Some(0)
                || stage.holders() == [off]
        });
        until("it holds", || stage.holders() == [off]);
    });
}

#[test]
fn a_holder_that_is_confirmed_off_by_mistake_hands_over_and_no_two_hold() {
    contained("a_holder_that_is_confirmed_off_by_mistake_hands_over_and_no_two_hold", || {
        let stage = Stage::new();
        let holder = stage.holders()[0];
        let dead = stage.name(holder).to_owned();
        let mut proof = vec![];
        let why = "a mistake".to_owned();
        let at_ms = sys::clock::wall_ms();
        api::encode(&Proof { node: dead.clone(), why, at_ms, ..Proof::default() }, &mut proof);
        let proof = String::from_utf8(proof).expect("JSON");
        // `confirm-off` is refused while it is heard; a network that comes back at that moment leaves the same.
        stage.does(0, &["store", "put", &format!("proof/{dead}"), &proof, "--force"]);
        until("another holds", || stage.holder().is_some_and(|now| now != holder));
        until("it is out of the race", || stage.is_out(holder));
        let events = stage.types(holder, &["events"]).1;
        let released = events.lines().find(|line| line.contains("vip-released"));
        let why = "an operator confirmed that this node is off";
        assert!(released.is_some_and(|line| line.contains(why)), "{events}");
        // A process that starts is told before it does anything.
        let vip = stage.cluster.pid(holder, api::Role::Vip).expect("it runs");
        lonely::kill(vip, "KILL");
        until("another process is out of the race", || {
            stage.cluster.pid(holder, api::Role::Vip).is_ok_and(|pid| pid != vip)
                && stage.is_out(holder)
        });
        stage.does(0, &["node", "confirm-off", &dead, "--undo"]);
        until("it stands by", || {
            stage.vip(holder).is_some_and(|vip| vip.state.role == VipRole::Backup)
        });
    });
}
