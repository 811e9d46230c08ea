//! Three controllers and five compute nodes, real processes on two networks: what gossip and the questions
//! of the controllers come to.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use api::{Duty, Event, NodeLine, Role, Verdict};
use base::Time;
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
    fn new(computes: usize, detect: Duration) -> Self {
        let controllers = (1..=CONTROLLERS).map(|number| format!("ctl{number}"));
        let names = (1..=computes).map(|number| format!("cmp{number}"));
        let plan = Plan {
            names: controllers.chain(names).collect(),
            networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
            lines: format!("detect = \"{}s\"", detect.as_secs()),
            computes,
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
        let mut stage = Stage::new(NODES - CONTROLLERS, DETECT);
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

        // Of a controller compute nodes hear by gossip what the others concluded from its beats.
        let of = CONTROLLERS - 1;
        stage.cluster.power_off(of).expect("it can be switched off");
        let others = || (0..CONTROLLERS).filter(move |node| *node != of);
        let is_gone = |line: &NodeLine| line.state.opinion.verdict == Verdict::Unreachable;
        until("controllers conclude", || stage.all_see(others(), of, is_gone));
        let begin = sys::clock::now();
        until("compute nodes are told", || stage.all_see(CONTROLLERS..NODES, of, is_doubt));
        let took = sys::clock::now().since(begin);
        assert!(took < AT_ONCE, "{took:?}");
        stage.heals();

        stage.cluster.stop(leaving).expect("it can be told");
        let has_left = |line: &NodeLine| line.state.opinion.verdict == Verdict::Leaving;
        until("all know", || stage.all_see(but(leaving), leaving, has_left));

        stage.controller_told_all();
    });
}

/// So slow that no silence concludes anything within [`AT_ONCE`]: the kernel's word alone does.
const SLOW: Duration = Duration::from_secs(5);
/// Promised is 0.2 s, which the bench holds; a machine that is busy with other tests may take more.
const AT_ONCE: Duration = Duration::from_secs(2);

fn says_agent_gone(event: &Event) -> bool {
    event.what == "node-verdict" && event.decision.contains("rule agent-gone")
}

/// The verdict, or the standing that comes with it: an agent that is started again takes longer than refusals of 50 ms
/// where the machine is busy.
fn is_of_refusals(event: &Event) -> bool {
    let is_standing = event.what == "node-suspect";
    says_agent_gone(event) || is_standing && event.evidence.contains("its kernel refused packets")
}

/// As compute nodes say of what controllers found.
fn says_declared(event: &Event) -> bool {
    event.what == "node-verdict" && event.decision.contains("rule declared")
}

fn has_left(event: &Event) -> bool {
    event.what == "node-left"
}

impl Stage {
    /// What a node says of another one when it is asked why.
    fn why(&self, node: usize, of: usize) -> String {
        self.types(node, &["why", &format!("node/{}", self.cluster.name(of))]).1
    }

    /// How long until the last of these told it of that node.
    fn all_tell(
        &self,
        begin: Time,
        (who, of): (&[usize], usize),
        is_it: impl Fn(&Event) -> bool,
    ) -> Duration {
        let mut known = None;
        until("all tell it", || {
            known = self.cluster.known_after(begin, who, of, &is_it);
            known.is_some()
        });
        let took = known.expect("it was waited for");
        eprintln!("{}: known on {who:?} after {took:?}", self.cluster.name(of));
        took
    }
}

#[test]
fn killed_processes_of_a_real_compute_node_and_its_goodbye_are_known_at_once_on_all_other_nodes() {
    let name = "killed_processes_of_a_real_compute_node_and_its_goodbye_are_known_at_once_on_all_other_nodes";
    contained(name, || {
        let mut stage = Stage::new(3, SLOW);
        let [killed, leaving] = [3, 4];
        let (controllers, fellows): (Vec<usize>, _) = ((0..CONTROLLERS).collect(), [4, 5]);
        until("it is tethered to all controllers", || {
            (0..CONTROLLERS).all(|node| {
                let why = stage.types(node, &["why", "node/cmp1"]).1;
                why.contains("tether: not closed, on 2 networks")
            })
        });
        until("none of its fellows was late of late", || {
            let why = |node: &usize| stage.types(*node, &["why", "node/cmp1"]).1;
            !fellows.iter().any(|node| why(node).contains("was late"))
        });
        let begin = sys::clock::now();
        stage.cluster.kill_all(killed).expect("its processes can be killed");
        let took = stage.all_tell(begin, (&controllers, killed), says_agent_gone);
        assert!(took < AT_ONCE, "{took:?}");
        let took = stage.all_tell(begin, (&fellows, killed), says_declared);
        assert!(took < AT_ONCE, "{took:?}");
        let why = stage.types(1, &["why", "node/cmp1"]).1;
        let evidence = ["rule agent-gone", "refusal: mgmt", "refusal: storage", "50ms apart"];
        assert!(evidence.iter().all(|words| why.contains(words)), "{why}");
        stage.heals();

        // One that its supervisor starts again is in doubt for a moment at most, and not gone.
        let begin = sys::clock::now();
        let pid = stage.cluster.pid(killed, Role::Agent).expect("it runs");
        stage.cluster.kill_agent(killed).expect("it can be killed");
        until("it is started again", || {
            stage.cluster.pid(killed, Role::Agent).is_ok_and(|now| now != pid)
        });
        until("nobody doubts it", || stage.controllers_say(killed, Verdict::Alive));
        let took = sys::clock::now().since(begin);
        assert!(took < SLOW, "{took:?}");
        stage.heals();
        let told = stage.cluster.heard();
        let told = told.iter().filter(|heard| heard.node < CONTROLLERS && heard.at >= begin);
        let wrong = |event: &Event| accuses(event) && !is_of_refusals(event);
        let wrong: Vec<_> = told.filter(|heard| wrong(&heard.event)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");

        let begin = sys::clock::now();
        stage.cluster.stop(leaving).expect("it can be told");
        let all = [0, 1, 2, 3, 5];
        let took = stage.all_tell(begin, (&all, leaving), has_left);
        assert!(took < AT_ONCE, "{took:?}");
    });
}

#[test]
fn killed_processes_of_a_real_controller_are_known_at_once_on_all_others() {
    let name = "killed_processes_of_a_real_controller_are_known_at_once_on_all_others";
    contained(name, || {
        let mut stage = Stage::new(1, SLOW);
        let (killed, others) = (2, [0, 1]);
        until("they are tethered to each other", || {
            let is_tied = |(node, of): (usize, usize)| {
                stage.why(node, of).contains("tether: not closed, on 2 networks")
            };
            let pairs =
                (0..CONTROLLERS).flat_map(|node| (0..CONTROLLERS).map(move |of| (node, of)));
            pairs.into_iter().filter(|(node, of)| node != of).all(is_tied)
        });
        let begin = sys::clock::now();
        stage.cluster.kill_all(killed).expect("its processes can be killed");
        let took = stage.all_tell(begin, (&others, killed), says_agent_gone);
        assert!(took < AT_ONCE, "{took:?}");
        let why = stage.why(1, killed);
        assert!(why.contains("rule agent-gone") && why.contains("refusal: "), "{why}");
        // With a new start it has them anew.
        stage.heals();
        until("it is tethered again", || {
            let why = |node: &usize| stage.why(*node, killed);
            others.iter().all(|node| why(node).contains("tether: not closed, on 2 networks"))
        });
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
