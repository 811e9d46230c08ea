//! Three real nodes on two networks, one of which has something against itself: it says so, and accuses nobody.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use api::{Event, OwnDoubt, ReferenceLine, Standing, Verdict};
use lab::cluster::{Cluster, Plan, accuses};
use lonely::{OUTLAST, contained, until};
use sys::netlink::{AddressOptions, Netlink};

const FOLDER: &str = "/run/lab";
/// The one that is harmed.
const LAST: usize = 2;
const NETWORKS: usize = 2;
/// One on each network.
const GATEWAYS: [&str; NETWORKS] = ["10.79.0.1", "10.80.0.1"];

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

    /// The reference points, which are the switches themselves: they answer from now on, or no more.
    fn gateways_are(&self, up: bool) {
        for (switch, ip) in ["sw1", "sw2"].into_iter().zip(GATEWAYS) {
            let ip: IpAddr = ip.parse().expect("it is an address");
            let netlink = Netlink::open().expect("the kernel answers");
            let link = netlink.link(switch).expect("the kernel answers").expect("the lab made it");
            let done = match up {
                true => {
                    netlink.add_address(link.index, ip, 24, AddressOptions::default()).map(|_| ())
                }
                false => netlink.delete_address(link.index, ip, 24).map(|_| ()),
            };
            done.expect("a switch can have an address");
        }
        until("all nodes see that", || {
            (0..=LAST).all(|node| {
                let points = self.points(node);
                points.len() == GATEWAYS.len() && points.iter().all(|point| point.answers == up)
            })
        });
    }

    fn points(&self, node: usize) -> Vec<ReferenceLine> {
        self.cluster.status(node).map(|status| status.reference).unwrap_or_default()
    }

    /// What the last node hears of another, and concludes by which rule.
    fn thinks(&self, of: usize) -> Option<(Standing, Verdict, String)> {
        let state = self.cluster.view(LAST, of)?.state;
        Some((state.standing, state.opinion.verdict, state.opinion.rule))
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

#[test]
fn reference_points_tell_a_node_whether_its_own_networks_are_gone_and_silence_no_majority() {
    let name =
        "reference_points_tell_a_node_whether_its_own_networks_are_gone_and_silence_no_majority";
    contained(name, || {
        let mut stage = Stage::new(&format!("reference = {GATEWAYS:?}\n"));
        assert!(
            stage.points(LAST).iter().all(|point| !point.answers && point.age_ms.is_none()),
            "they are not there yet"
        );
        stage.gateways_are(true);

        // A gateway that restarts is nobody's fault: who hears a majority goes on accusing.
        stage.gateways_are(false);
        assert_eq!(stage.doubts(LAST), Some(vec![]));
        assert!(!stage.tells("suspects-itself", ""), "{:?}", stage.told());
        let status = stage.types(&["status"]);
        assert!(
            status.contains("reference point 10.80.0.1 on storage has not answered"),
            "{status}"
        );
        stage.cluster.pause(0).expect("it can be stopped");
        until("a majority without a gateway concludes", || {
            stage.thinks(0).is_some_and(|(_, verdict, _)| verdict == Verdict::Unreachable)
        });
        stage.cluster.resume(0).expect("it can go on");
        stage.heals();
        stage.gateways_are(true);

        // Cut off from everything: it doubts nobody, and knows that it is its own networks.
        stage.forgets();
        stage.is_cut_off();
        until("it says that its networks are gone", || {
            stage.tells("suspects-itself", "its own networks are gone, rather than the others")
        });
        until("the others conclude", || stage.is_called_unreachable());
        until("it says that it has no majority", || {
            stage.doubts(LAST) == Some(vec![OwnDoubt::OwnQuorum, OwnDoubt::OwnReference])
        });
        for other in 0..LAST {
            let stays = (Standing::Alive, Verdict::Alive, "own-reference".to_owned());
            until("the other is silent, and stays what it was", || {
                stage.thinks(other).as_ref() == Some(&stays)
            });
        }
        let why = stage.types(&["why", "ctl1"]);
        assert!(why.contains("own reference: 10.79.0.1 on mgmt has not answered"), "{why}");
        assert!(!stage.told().iter().any(accuses), "{:?}", stage.told());
        stage.heals();
        assert!(!stage.told().iter().any(accuses), "{:?}", stage.told());

        // The others are gone: it doubts them, accuses nobody, and says that its network works.
        until("it trusts itself", || stage.tells("trusts-itself", ""));
        stage.gateways_are(true);
        stage.forgets();
        for other in 0..LAST {
            stage.cluster.pause(other).expect("it can be stopped");
        }
        until("it says that rather the others are gone", || {
            stage.tells("suspects-itself", "its network works, rather the others are gone")
        });
        until("it doubts them", || {
            let doubted = (Standing::Suspect, Verdict::Suspect, "own-quorum".to_owned());
            (0..LAST).all(|other| stage.thinks(other).as_ref() == Some(&doubted))
        });
        assert_eq!(stage.doubts(LAST), Some(vec![OwnDoubt::OwnQuorum]));
        (0..LAST).for_each(|other| stage.cluster.resume(other).expect("it can go on"));
        stage.heals();
    });
}
