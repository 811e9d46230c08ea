//! Three real nodes on two networks, one of which has something against itself: it says so, and accuses nobody.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::path::Path;
use std::process::Command;

use api::{Event, OwnDoubt, Verdict};
use lab::cluster::{Cluster, Plan, accuses};
use lonely::{OUTLAST, contained, until};

const FOLDER: &str = "/run/lab";
/// The one that is harmed.
const LAST: usize = 2;
const NETWORKS: usize = 2;

struct Stage {
    cluster: Cluster,
    /// Events before this one were seen.
    heard: usize,
}

impl Stage {
    fn new(lines: &str) -> Self {
        let plan = Plan {
            names: ["ctl1", "ctl2", "ctl3"].map(str::to_owned).to_vec(),
            networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
            // Twice what a node needs: a busy machine is not called silent.
            lines: format!("detect = \"2s\"\n{lines}"),
            computes: 0,
        };
        let cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OUTLAST), plan);
        let mut stage = Self { cluster: cluster.expect("namespaces of the test's own"), heard: 0 };
        stage.heals();
        stage.forgets();
        stage
    }

    /// Mends all, and waits until nobody doubts anybody.
    fn heals(&mut self) {
        self.cluster.mend().expect("everything can be mended");
        let mut illness = None;
        until("everybody hears everybody and trusts itself", || {
            illness = self.cluster.illness();
            illness.is_none()
                && (0..=LAST).all(|node| self.doubts(node).is_some_and(|d| d.is_empty()))
        });
    }

    /// What was told until now is of no interest.
    fn forgets(&mut self) {
        self.heard = self.cluster.heard().len();
    }

    fn doubts(&self, node: usize) -> Option<Vec<OwnDoubt>> {
        self.cluster.status(node).map(|status| status.own_doubts)
    }

    /// What the last node told since the last healing.
    fn told(&self) -> Vec<Event> {
        let heard = self.cluster.heard().into_iter().skip(self.heard);
        heard.filter(|heard| heard.node == LAST).map(|heard| heard.event).collect()
    }

    fn tells(&self, what: &str, evidence: &str) -> bool {
        self.told().iter().any(|event| event.what == what && event.evidence.contains(evidence))
    }

    /// Typed on the last node.
    fn types(&self, words: &[&str]) -> String {
        let mut command = Command::new(OUTLAST);
        let folder = Path::new(FOLDER).join(self.cluster.name(LAST)).join("run");
        let output = command.args(words).arg("--run-dir").arg(folder).output();
        String::from_utf8_lossy(&output.expect("the tool starts").stdout).into_owned()
    }

    /// From all networks, by the switches: it notices nothing.
    fn is_cut_off(&self) {
        for network in 0..NETWORKS {
            self.cluster.set_joined(LAST, network, false).expect("a port can be taken out");
        }
    }

    fn is_called_unreachable(&self) -> bool {
        let says = |node| {
            let line = self.cluster.view(node, LAST);
            line.is_some_and(|line| line.state.opinion.verdict == Verdict::Unreachable)
        };
        (0..LAST).all(says)
    }
}

#[test]
fn a_node_that_is_late_or_cut_off_or_without_links_says_that_it_suspects_itself() {
    let name = "a_node_that_is_late_or_cut_off_or_without_links_says_that_it_suspects_itself";
    contained(name, || {
        let mut stage = Stage::new("");

        stage.is_cut_off();
        until("it says that it has no majority", || stage.tells("suspects-itself", "no majority"));
        assert_eq!(stage.doubts(LAST), Some(vec![OwnDoubt::OwnQuorum]));
        until("the others conclude", || stage.is_called_unreachable());
        let status = stage.types(&["status"]);
        let line = "suspects itself and accuses nobody: it reaches no majority of the nodes";
        assert!(status.contains(line), "{status}");
        let why = stage.types(&["why", "ctl3"]);
        assert!(why.contains("own-quorum: it reaches no majority"), "{why}");
        assert!(
            (0..LAST).all(|node| stage.doubts(node) == Some(vec![])),
            "the others trust themselves"
        );
        let called = |word: &str| stage.told().iter().any(|event| event.decision.starts_with(word));
        assert!(!called("unreachable") && !called("cut-off"), "{:?}", stage.told());
        stage.heals();
        until("it trusts itself", || stage.tells("trusts-itself", ""));

        stage.forgets();
        for network in 0..NETWORKS {
            stage.cluster.set_carrier(LAST, network, false).expect("a link can be taken down");
        }
        until("it says that it has no link", || stage.tells("suspects-itself", "own links"));
        until("the others conclude", || stage.is_called_unreachable());
        stage.heals();
        assert!(!stage.told().iter().any(accuses), "without a link: {:?}", stage.told());
        until("it trusts itself", || stage.tells("trusts-itself", ""));

        stage.forgets();
        stage.cluster.pause(LAST).expect("it can be stopped");
        until("the others conclude", || stage.is_called_unreachable());
        stage.cluster.resume(LAST).expect("it can go on");
        until("it says that it was late", || stage.tells("suspects-itself", "timers were late"));
        stage.heals();
        assert!(!stage.told().iter().any(accuses), "{:?}", stage.told());
    });
}
