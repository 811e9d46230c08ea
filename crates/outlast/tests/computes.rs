//! Three controllers and five compute nodes, real processes on two networks: what gossip and the questions
//! of the controllers come to.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use api::{Duty, NodeLine, Verdict};
use lab::cluster::{Cluster, Plan, accuses};
use lonely::{OUTLAST, contained, until};

const FOLDER: &str = "/run/lab";
const CONTROLLERS: usize = 3;
const NODES: usize = 8;
/// Twice what a controller needs, so that a busy machine is not called silent.
const DETECT: Duration = Duration::from_secs(2);

struct Stage {
    cluster: Cluster,
}

impl Stage {
    fn new() -> Self {
        let controllers = (1..=CONTROLLERS).map(|number| format!("ctl{number}"));
        let computes = (1..=NODES - CONTROLLERS).map(|number| format!("cmp{number}"));
        let plan = Plan {
            names: controllers.chain(computes).collect(),
            networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
            lines: format!("detect = \"{}s\"", DETECT.as_secs()),
            computes: NODES - CONTROLLERS,
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

    /// Typed on a node: exit code, and what was printed on both.
    fn types(&self, node: usize, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(OUTLAST);
        let folder = Path::new(FOLDER).join(self.cluster.name(node)).join("run");
        let output = command.args(words).arg("--run-dir").arg(folder).output();
        let output = output.expect("the tool starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Whether it is so in the view of all these nodes.
    fn all_see(
        &self,
        mut who: impl Iterator<Item = usize>,
        of: usize,
        is_so: impl Fn(&NodeLine) -> bool,
    ) -> bool {
        who.all(|node| self.cluster.view(node, of).is_some_and(|line| is_so(&line)))
    }

    fn controllers_say(&self, of: usize, verdict: Verdict) -> bool {
        self.all_see(0..CONTROLLERS, of, |line| line.state.opinion.verdict == verdict)
    }
}

fn is_up(line: &NodeLine) -> bool {
    line.state.cells.len() == 2 && line.state.cells.iter().all(|cell| cell.alive)
}

/// What the gossip of a node has concluded is on its disk, and judged again as it was.
fn is_recorded(stage: &Stage, node: usize, conclusion: &str) {
    let folder = stage.cluster.state_dir(node).join("record");
    until("the recording has it", || {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let is_it =
            |file: &std::fs::DirEntry| file.file_name().to_string_lossy().starts_with("gossip-");
        files.filter(is_it).any(|file| {
            let played = Command::new(OUTLAST).arg("replay").arg(file.path()).output();
            let played = played.expect("the tool starts");
            let said = String::from_utf8_lossy(&played.stdout).into_owned();
            assert!(played.status.success(), "{said}");
            said.contains(conclusion) && said.contains(": decided as recorded")
        })
    });
}

#[test]
fn real_compute_nodes_that_crash_leave_stand_still_or_lose_a_network_are_judged_rightly() {
    let name =
        "real_compute_nodes_that_crash_leave_stand_still_or_lose_a_network_are_judged_rightly";
    contained(name, || {
        let mut stage = Stage::new();
        let [crashed, cut, still, leaving] = [3, 4, 5, 6];
        let but = |of: usize| (0..NODES).filter(move |node| *node != of);

        stage.cluster.power_off(crashed).expect("it can be switched off");
        until("controllers conclude", || stage.controllers_say(crashed, Verdict::Unreachable));
        let is_doubt = |line: &NodeLine| line.state.opinion.verdict == Verdict::Suspect;
        let computes = || but(crashed).filter(|node| *node >= CONTROLLERS);
        until("compute nodes are told", || stage.all_see(computes(), crashed, is_doubt));
        let mut why = String::new();
        until("a controller explains it", || {
            why = stage.types(0, &["why", "node/cmp1"]).1;
            why.contains("unanswered") && why.contains("does not answer")
        });
        is_recorded(&stage, 0, "cmp1 is unreachable; rule unanswered");
        is_recorded(&stage, leaving, "cmp1 is suspect; rule ");
        stage.heals();

        stage.cluster.set_joined(cut, 1, false).expect("a port can be taken out");
        until("one cell, and no other", || {
            stage.controllers_say(cut, Verdict::CutOff)
                && stage.all_see(0..CONTROLLERS, cut, |line| {
                    let alive = line.state.cells.iter().map(|cell| cell.alive);
                    alive.eq([true, false])
                })
                && but(cut).all(|of| {
                    let who = (0..CONTROLLERS).filter(move |node| *node != of);
                    stage.all_see(who, of, is_up)
                })
        });
        let (code, said) = stage.types(0, &["node", "standby", "cmp2"]);
        assert_eq!(code, Some(0), "over the other network: {said}");
        let has = |duty: Duty| {
            stage.all_see(0..CONTROLLERS, cut, |line| line.state.duty == duty && line.compute)
        };
        until("controllers know", || has(Duty::Standby));
        let (code, said) = stage.types(cut, &["node", "standby", "cmp1"]);
        assert_ne!(code, Some(0));
        assert!(said.contains("commands no other: ask a controller"), "{said}");
        stage.heals();

        let begin = sys::clock::now();
        stage.cluster.pause(still).expect("it can be stopped");
        until("controllers conclude", || stage.controllers_say(still, Verdict::Unreachable));
        stage.cluster.resume(still).expect("it can go on");
        let woke = sys::clock::now();
        stage.heals();
        let heard = stage.cluster.heard();
        // What it says later is not about the time in which it stood still.
        let told = heard
            .iter()
            .filter(|heard| heard.node == still && heard.at >= begin && heard.at <= woke + DETECT);
        let wrong: Vec<_> = told.filter(|heard| accuses(&heard.event)).collect();
        assert!(wrong.is_empty(), "it stood still and accuses others: {wrong:#?}");

        stage.cluster.stop(leaving).expect("it can be told");
        let has_left = |line: &NodeLine| line.state.opinion.verdict == Verdict::Leaving;
        until("all know", || stage.all_see(but(leaving), leaving, has_left));

        stage.controller_told_all();
    });
}

impl Stage {
    /// What a controller tells of them, as `outlast events` shows it.
    fn controller_told_all(&self) {
        for (what, node, decision) in [
            ("node-verdict", "node/cmp1", "unreachable"),
            ("node-alive", "node/cmp1", ""),
            ("node-verdict", "node/cmp2", "cut-off on storage"),
            ("node-left", "node/cmp4", ""),
        ] {
            until("a controller tells it", || {
                self.cluster.heard().iter().any(|heard| {
                    let event = &heard.event;
                    (heard.node, event.what.as_str(), event.object.as_str()) == (0, what, node)
                        && event.decision.starts_with(decision)
                })
            });
        }
    }
}
