//! Five nodes on three networks, and what they may say of each other.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use api::{Event, NodeLine, NodeState, Opinion, Standing};
use base::Time;
use lab::cluster::{Cluster, Plan, accuses};

use crate::lonely::{OUTLAST, until};

pub const NETWORKS: [&str; 3] = ["mgmt", "storage", "tenant"];

/// A cluster in which everybody hears everybody, with a list of who may be accused.
pub struct Stage {
    pub cluster: Cluster,
    begin: Time,
    /// Names of nodes that something was done to.
    hurt: BTreeSet<String>,
}

impl Stage {
    /// Five nodes; returns when each hears each on every network.
    pub fn of_five() -> Self {
        let plan = Plan {
            names: (1..=5).map(|number| format!("node0{number}")).collect(),
            networks: NETWORKS.map(str::to_owned).to_vec(),
            lines: String::new(),
        };
        let cluster = Cluster::lay_out(Path::new("/run/lab"), Path::new(OUTLAST), plan);
        let cluster = cluster.expect("namespaces of the test's own");
        let mut stage = Self { cluster, begin: Time::ZERO, hurt: BTreeSet::new() };
        for node in stage.cluster.numbers() {
            stage.cluster.start(node).expect("a node starts");
        }
        stage.heals();
        stage.begin = sys::clock::now();
        stage
    }

    /// Something was or is done to this node: others may say so.
    pub fn hurts(&mut self, node: usize) -> usize {
        self.hurt.insert(self.cluster.name(node).to_owned());
        node
    }

    /// Waits until everybody hears everybody everywhere, and thinks well of everybody.
    pub fn heals(&mut self) {
        let cluster = &mut self.cluster;
        cluster.mend().expect("everything can be mended");
        let mut illness = None;
        until("everybody hears everybody", || {
            illness = cluster.illness();
            illness.is_none()
        });
    }

    pub fn others(&self, than: usize) -> impl Iterator<Item = usize> + use<> {
        self.cluster.numbers().filter(move |node| *node != than)
    }

    /// What a node thinks of another, when it answers.
    pub fn thinks(&self, node: usize, of: usize) -> NodeState {
        let mut found = None;
        until("an agent answers", || {
            found = self.cluster.view(node, of);
            found.is_some()
        });
        found.expect("it answered").state
    }

    /// What all nodes but `without` think of each node, if all think the same and all answer.
    pub fn one_view(&self, without: &[usize]) -> Option<Vec<Opinion>> {
        let judges = || self.cluster.numbers().filter(|node| !without.contains(node));
        let thinks: Vec<(usize, Vec<NodeLine>)> = judges()
            .map(|node| Some((node, self.cluster.status(node)?.nodes)))
            .collect::<Option<_>>()?;
        let of = |node: usize| {
            let others = thinks.iter().filter(|(judge, _)| *judge != node);
            let mut opinions = others.map(|(_, nodes)| &nodes[node].state.opinion);
            let first = opinions.next()?;
            let same = |other: &Opinion| {
                (other.verdict, &other.networks) == (first.verdict, &first.networks)
            };
            opinions.all(same).then(|| first.clone())
        };
        self.cluster.numbers().map(of).collect()
    }

    /// Waits for one view of all nodes that is as wanted, and looks that it stays for `span`.
    pub fn comes_to_one_view(
        &self,
        without: &[usize],
        span: Duration,
        is_wanted: impl Fn(&[Opinion]) -> bool,
    ) -> Vec<Opinion> {
        let mut view = None;
        until("all nodes have one view, the wanted one", || {
            view = self.one_view(without).filter(|view| is_wanted(view));
            view.is_some()
        });
        let end = sys::clock::now() + span;
        while sys::clock::now() < end {
            // A busy agent may not answer in time: `one_view` waits for none, so ask who differs.
            let answers = |node: &usize| self.cluster.status(*node).is_some();
            let asked = self.cluster.numbers().filter(|node| !without.contains(node));
            let all_answer = asked.collect::<Vec<_>>().iter().all(answers);
            let now = self.one_view(without);
            assert!(now == view || !all_answer, "{now:?} after {view:?}");
        }
        assert_eq!(self.one_view(without), view, "the view did not stay");
        view.expect("it was waited for")
    }

    /// Whether a node hears another on a network.
    pub fn hears(&self, node: usize, other: usize, network: usize) -> bool {
        self.thinks(node, other).cells[network].alive
    }

    /// How long after `begin` the last of these nodes told such an event about `of`.
    pub fn known_after(
        &self,
        begin: Time,
        who: &[usize],
        of: usize,
        is_it: impl Fn(&Event) -> bool,
    ) -> Duration {
        let mut known = None;
        until("everybody knows", || {
            known = self.cluster.known_after(begin, who, of, &is_it);
            known.is_some()
        });
        known.expect("everybody knows")
    }

    /// Since everybody heard everybody, nobody was accused to whom nothing was done.
    pub fn nobody_was_accused_wrongly(&self) {
        let accusations = self.accusations(|_, whom| !self.hurt.contains(whom));
        assert!(accusations.is_empty(), "accused wrongly: {accusations:#?}");
    }

    /// Who said what of whom since the begin, as far as it is of interest.
    pub fn accusations(&self, of_interest: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let heard = self.cluster.heard();
        let since = heard.iter().filter(|heard| heard.at >= self.begin && accuses(&heard.event));
        let told = since.filter_map(|heard| {
            let who = self.cluster.name(heard.node);
            let whom = heard.event.object.strip_prefix("node/")?;
            let event = &heard.event;
            of_interest(who, whom).then(|| {
                format!("{who} of {whom}: {} {} ({})", event.what, event.decision, event.evidence)
            })
        });
        told.collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for heard in self.cluster.heard() {
                let (at, event) = (heard.at.since(self.begin), &heard.event);
                eprintln!(
                    "{:.3} {}: {} {} | {} | {}",
                    at.as_secs_f64(),
                    self.cluster.name(heard.node),
                    event.what,
                    event.object,
                    event.evidence,
                    event.decision
                );
            }
            for node in self.cluster.numbers() {
                eprintln!("{}", self.cluster.last_words(node));
            }
        }
    }
}

pub fn is_alive(state: &NodeState) -> bool {
    state.standing == Standing::Alive
}
