//! What this node knows of another, for `status` and `why`.

use std::time::Duration;

use base::Time;

use super::beat::{Choice, Load};
use super::peer::Cell;
use super::tether::Tether;
use super::{Member, Refused, Standing};
use crate::duty::Duty;
use crate::errand::Ways;
use crate::evidence::{Kind, not_closed};
use crate::reach::Nodes;
use crate::verdict::{Judgement, Times};

/// One piece of evidence about a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sighting {
    pub kind: Kind,
    pub what: String,
    /// None for what is so now.
    pub age: Option<Duration>,
}

impl Member {
    /// How busy a peer said its machine is, and how long ago.
    #[must_use]
    pub fn load(&self, node: u16, now: Time) -> Option<(Load, Duration)> {
        let (load, at) = self.peers.get(usize::from(node))?.load?;
        Some((load, now.since(at)))
    }

    /// The newest choice of each proxy that a peer told.
    #[must_use]
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Which vip instances a peer said it holds, as long as it lives.
    #[must_use]
    pub fn holds(&self, node: u16) -> u64 {
        let peer = self.peers.get(usize::from(node));
        peer.filter(|peer| peer.standing == Standing::Alive).map_or(0, |peer| peer.holds)
    }

    /// Whether a node takes on work, as it last said; of this node, what it says.
    #[must_use]
    pub fn duty(&self, node: u16) -> Duty {
        if node == self.me {
            return self.said.duty;
        }
        self.peers.get(usize::from(node)).map_or(Duty::On, |peer| peer.duty)
    }

    /// The newest life of a node's process that was heard; 0 before the first beat.
    #[must_use]
    pub fn life(&self, node: u16) -> u64 {
        self.peers.get(usize::from(node)).map_or(0, super::peer::Peer::incarnation)
    }

    /// The networks that this node shares with another: those with a carrier here first, among them the
    /// one on which it was heard last.
    #[must_use]
    pub fn ways(&self, node: u16) -> Ways {
        let (own, peer) = (self.peers.get(usize::from(self.me)), self.peers.get(usize::from(node)));
        let (Some(own), Some(peer)) = (own, peer) else { return Ways::new() };
        let all = (0_u8..).take(self.networks.len());
        let mut ways: Ways = all.filter(|n| own.is_on(*n) && peer.is_on(*n)).collect();
        let rank = |network: &u8| {
            let at = usize::from(*network);
            (self.own_carrier.get(at).copied().unwrap_or(false), peer.proof(at))
        };
        ways.sort_by_key(|network| std::cmp::Reverse(rank(network)));
        ways
    }

    /// This node itself is alive.
    #[must_use]
    pub fn standing(&self, node: u16) -> Standing {
        if node == self.me {
            return Standing::Alive;
        }
        self.peers.get(usize::from(node)).map(|peer| peer.standing).unwrap_or_default()
    }

    /// Whether that one has just started, and is not called cut off yet by this one.
    #[must_use]
    pub fn is_young(&self, node: u16, now: Time) -> bool {
        node != self.me && self.watch.is_young(node, now)
    }

    /// Liveness of a node on each network of the cluster file, for `status`; none where it has no
    /// address.
    pub fn cells(&self, node: u16, now: Time) -> impl Iterator<Item = Option<Cell>> + '_ {
        let peer = self.peers.get(usize::from(node));
        let detect = self.watch.times().detect();
        let cell = move |network| peer.and_then(|peer| peer.cell(network, now, detect));
        (0..self.networks.len()).map(cell)
    }

    /// Whether a majority of the controllers reach each other, this node among them: as its own verdicts count
    /// it, without those with whom it is merely patient.
    #[must_use]
    pub fn has_quorum(&self, now: Time) -> bool {
        let here = self.own.here(now, self.judge_from, &self.own_carrier);
        !self.is_lost() && self.watch.has_quorum(here, self.watch.settle(), &self.peers)
    }

    #[must_use]
    pub const fn refused(&self) -> Refused {
        self.refused
    }

    /// The verdict on a node and the rule that gave it; this node itself is alive.
    #[must_use]
    pub fn opinion(&self, node: u16) -> Judgement {
        self.watch.opinion(node)
    }

    #[must_use]
    pub const fn times(&self) -> Times {
        self.watch.times()
    }

    /// All that is seen of a node, in the order of [`crate::evidence::KINDS`].
    #[must_use]
    pub fn evidence(&self, node: u16, now: Time) -> Vec<Sighting> {
        let at = usize::from(node);
        let Some(peer) = self.peers.get(at).filter(|_| node != self.me) else { return vec![] };
        let mut seen = vec![];
        let mut see = |kind, what: String, age: Option<Time>| {
            seen.push(Sighting { kind, what, age: age.map(|at| now.since(at)) });
        };
        for (network, name) in self.networks.iter().enumerate() {
            if u8::try_from(network).is_ok_and(|network| peer.is_on(network)) {
                let last = peer.proof(network);
                let what = if last.is_some() {
                    "its last beat"
                } else {
                    "no beat since this agent started"
                };
                see(Kind::Beat, format!("{name}: {what}"), last);
            }
        }
        if peer.standing == Standing::Left {
            see(Kind::Goodbye, "it said goodbye".to_owned(), None);
        }
        if let Some((_, newest)) = self.watch.refusal(node) {
            see(Kind::Refusal, "its kernel refuses beats".to_owned(), Some(newest));
        }
        let tether = self.watch.tether_of(node);
        if let Some(closed) = tether.and_then(|tether| tether.lost(now)) {
            see(Kind::Tether, "closed without a goodbye".to_owned(), Some(closed));
        } else if let Some(count) = tether.map(Tether::count).filter(|count| *count > 0) {
            see(Kind::Tether, not_closed(count), None);
        }
        for (who, what) in self.views_of(node) {
            see(Kind::View, format!("node {who} {what}"), None);
        }
        if let Some((ailments, since)) = self.watch.ailments(node) {
            see(Kind::Ailment, format!("it says: {}", ailments.words()), Some(since));
        }
        if let Some(since) = self.watch.failing_since(node) {
            see(
                Kind::Requests,
                "all of its servers fail checks or requests".to_owned(),
                Some(since),
            );
        }
        self.own_evidence(peer, now, &mut seen);
        let (until, times) = self.watch.quarantine(node);
        if until > now {
            let left = until.since(now).as_secs_f64();
            let what = format!("it came back {times} times of late: in doubt for {left:.1} s more");
            seen.push(Sighting { kind: Kind::Beat, what, age: None });
        }
        if let Some(proof) = self.watch.proof(node) {
            let what = format!("entry {} of the store: {:?}", proof.entry(), proof.how());
            seen.push(Sighting { kind: Kind::Proof, what, age: None });
        }
        seen
    }

    /// What this node has against itself.
    fn own_evidence(&self, peer: &super::peer::Peer, now: Time, seen: &mut Vec<Sighting>) {
        let mut see = |kind, what| seen.push(Sighting { kind, what, age: None });
        let stall = self.watch.stall();
        if !stall.is_zero() || now < self.judge_from {
            let patient = if now < self.judge_from { "; it accuses nobody yet" } else { "" };
            let millis = stall.as_millis();
            see(Kind::OwnTimers, format!("this node was late by {millis} ms lately{patient}"));
        }
        if !peer.shares(&self.own_carrier).any(|shared| shared) {
            see(Kind::OwnLinks, "this node has no carrier on a link that both have".to_owned());
        }
        let (reached, all) = (self.watch.view().part.count(), self.peers.len());
        let quorum = if self.watch.view().has_quorum(all) { "a majority" } else { "no majority" };
        see(Kind::OwnReach, format!("this node reaches {reached} of {all} nodes: {quorum}"));
        if !self.reference_answers() {
            see(Kind::OwnReference, "no reference point answers this node".to_owned());
        }
    }

    /// Who of the others hears it, and who has lost it where.
    fn views_of(&self, node: u16) -> Vec<(u16, String)> {
        let others = self.watch.view().part.without(Nodes::one(self.me)).without(Nodes::one(node));
        let told = |other| {
            let row = self.watch.row(other)?;
            let peer = self.peers.get(usize::from(node))?;
            let lost: Vec<&str> = (0_u8..)
                .zip(&self.networks)
                .filter(|(network, _)| peer.is_on(*network))
                .filter(|(network, _)| row.lost[usize::from(*network)].has(node))
                .map(|(_, name)| name.as_str())
                .collect();
            let what = match (row.known.has(node), lost.is_empty()) {
                (false, true) => "has not heard it".to_owned(),
                (true, true) => "hears it".to_owned(),
                (_, false) => format!("does not hear it on {}", lost.join(", ")),
            };
            Some((other, what))
        };
        others.iter().filter_map(told).collect()
    }
}
