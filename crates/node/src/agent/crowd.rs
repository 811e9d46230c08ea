//! Compute nodes: what [`engine::gossip`] decides, carried out.
//!
//! On a controller this machine runs beside the beats and concludes about compute nodes alone; on a compute
//! node there are no beats and it concludes about everybody.

use std::sync::Arc;

use api::{Event, NodeState, Report};
use base::Time;
use config::cluster::Cluster;
use engine::evidence::Ailments;
use engine::gossip::{Action, Gossip, Input, Roster, Said};
use engine::member::{self, Member};
use engine::packet::{Body, Kind, MAX_NETWORKS, MAX_PACKET, Opened, Seal};
use engine::replay::CaseFact;
use engine::tally::{Rest, WINDOW};
use engine::verdict::Verdict;
use engine::{errand, verdict};

use super::core::Core;
use super::{Agent, command, lock};

/// The machine of node `me`; `seal`: none where the beats have the keys.
pub(super) fn machine(cluster: &Cluster, me: u16, seal: Option<Seal>, life: u64) -> Gossip {
    let on = |node: &config::cluster::Node| {
        let is_on = |network: usize| node.addresses.get(network).is_some_and(Option::is_some);
        std::array::from_fn::<bool, MAX_NETWORKS, _>(is_on)
    };
    let roster = Roster {
        controllers: u16::try_from(cluster.controllers().len()).unwrap_or(u16::MAX),
        networks: cluster.networks.iter().take(MAX_NETWORKS).cloned().collect(),
        on: cluster.nodes.iter().map(on).collect(),
        detect: cluster.detect,
    };
    let seal = seal.unwrap_or_else(|| Seal::new(&cluster.name, me, life));
    // The time of the start is as good as any number: positions are mixed in by the machine.
    Gossip::new(roster, me, seal, life, sys::clock::now())
}

impl Core {
    /// The keys of this node's pairs: there is one set of them, so that no number is used twice.
    pub(super) fn seal_mut(&mut self) -> Option<&mut Seal> {
        match (&mut self.member, &mut self.gossip) {
            (Some(member), _) => Some(member.seal_mut()),
            (None, Some(gossip)) => Some(gossip.seal_mut()),
            (None, None) => None,
        }
    }

    /// A packet that was sealed for this node, and whether it is for the machine of the gossip.
    pub(super) fn open<'a>(
        &mut self,
        bytes: &[u8],
        body: &'a mut Body,
    ) -> Option<(Opened<'a>, bool)> {
        let packet = match (&mut self.member, &mut self.gossip) {
            (Some(member), _) => member.open(bytes, body),
            (None, Some(gossip)) => gossip.open(bytes, body),
            (None, None) => None,
        }?;
        let is_gossip = packet.kind == Kind::Gossip || self.crowd(packet.sender).is_some();
        Some((packet, is_gossip && self.gossip.is_some()))
    }

    /// The machine that concludes about this node, if that is not the one of the beats.
    pub(super) fn crowd(&self, node: u16) -> Option<&Gossip> {
        self.gossip.as_ref().filter(|gossip| gossip.watches(node))
    }

    pub(super) fn times(&self) -> verdict::Times {
        let member = self.member.as_ref().map(Member::times);
        member.or_else(|| self.gossip.as_ref().map(Gossip::times)).unwrap_or_default()
    }

    /// Whether this controller reaches a majority, if that is another answer than the last one.
    fn quorum_news(&mut self, now: Time) -> Option<bool> {
        let quorum = self.member.as_ref()?.has_quorum(now);
        self.gossip.as_ref()?;
        (self.quorum.replace(quorum) != Some(quorum)).then_some(quorum)
    }

    /// What this compute node says of itself, if that is something else than last time.
    fn said_news(&mut self) -> Option<Said> {
        if self.member.is_some() || self.gossip.is_none() {
            return None;
        }
        let (ailments, duty) = (self.own_ailments(), command::meant(self.picture.duty()));
        let said = Said { ailments, duty, load: self.load.map(|(load, _)| load) };
        (self.said.replace(said) != Some(said)).then_some(said)
    }

    /// What this node has to say against itself.
    pub(super) fn own_ailments(&self) -> Ailments {
        let mut ailments = self.picture.ailments();
        self.stalled.iter().for_each(|stalled| ailments.set(stalled, true));
        ailments
    }

    /// As [`Self::verdict`]; none where a node is heard of for the first time, which a thousand are after
    /// each start.
    fn crowd_verdict(
        &mut self,
        now: Time,
        node: u16,
        standing: member::Standing,
        why: String,
    ) -> Option<(NodeState, Event)> {
        let was_ill = match standing {
            member::Standing::Alive | member::Standing::Unknown => self.ill.remove(&node),
            member::Standing::Suspect | member::Standing::Left => !self.ill.insert(node),
        };
        let told = self.verdict(now, node, standing, why);
        (standing != member::Standing::Alive || was_ill).then_some(told)
    }

    /// Of many at once the first have a line each, the rest one together; none: it is counted for that one.
    fn counted(&mut self, now: Time, kind: &'static str, node: u16, event: Event) -> Option<Event> {
        self.tally.is_told(now, kind, node).then_some(event)
    }

    /// One line of each kind for those that had none of their own.
    fn rest(&mut self, now: Time) -> Vec<Event> {
        let line = |rest: Rest| {
            let names = rest
                .nodes
                .iter()
                .filter_map(|node| self.picture.names.get(usize::from(*node)).map(String::as_str));
            let names = names.collect::<Vec<_>>().join(", ");
            Event {
                what: "nodes-many".to_owned(),
                object: "node/compute".to_owned(),
                evidence: format!("{} more within {:?}, among them {names}", rest.count, WINDOW),
                decision: format!("{} compute nodes more: {}", rest.count, rest.kind),
                not_done:
                    "no line for each of them; `outlast status` lists those that are not well"
                        .to_owned(),
                ..Event::default()
            }
        };
        self.tally.rest(now).into_iter().map(line).collect()
    }

    /// As [`Self::concluded`], with the same exception.
    fn crowd_concluded(
        &mut self,
        now: Time,
        node: u16,
        verdict: Verdict,
        rule: &verdict::Rule,
    ) -> Option<Event> {
        if verdict == Verdict::Alive && !self.judged.contains_key(&node) {
            self.judged.insert(node, verdict);
            return None;
        }
        self.concluded(now, node, verdict, rule)
    }
}

impl Agent<'_> {
    /// Once in each turn of the loop.
    pub(super) fn crowd(&mut self) {
        let (quorum, said) = {
            let mut core = lock(&self.core);
            (core.quorum_news(sys::clock::now()), core.said_news())
        };
        quorum.into_iter().for_each(|quorum| self.gossip(Input::Quorum(quorum)));
        said.into_iter().for_each(|said| self.gossip(Input::Say(said)));
        self.gossip(Input::Timeout);
        self.record.wind(sys::clock::now());
        let rest = lock(&self.core).rest(sys::clock::now());
        rest.into_iter().for_each(|event| self.journal.add(event));
    }

    /// Feeds the machine and performs what it orders.
    pub(super) fn gossip(&mut self, input: Input<'_>) {
        let now = sys::clock::now();
        let shared = Arc::clone(&self.core);
        let mut core = lock(&shared);
        let Some(machine) = &mut core.gossip else { return };
        let mut out = vec![];
        machine.step(now, input, &mut out);
        let mut carried = vec![];
        for action in out {
            match action {
                Action::Send { to, network, body } => {
                    let mut packet = [0; MAX_PACKET];
                    let seal = core.seal_mut();
                    let length = seal.map_or(0, |seal| {
                        seal.seal(Kind::Gossip, (to, network), &body, &mut packet)
                    });
                    if let Some(beats) = self.beats.as_mut().filter(|_| length > 0) {
                        beats.send_to(to, network, &packet[..length]);
                    }
                }
                Action::Verdict { node, standing, why } => {
                    if let Some((state, event)) = core.crowd_verdict(now, node, standing, why) {
                        let kind = match standing {
                            member::Standing::Unknown => "unknown",
                            member::Standing::Alive => "back",
                            member::Standing::Suspect => "in doubt",
                            member::Standing::Left => "left",
                        };
                        let line = core.counted(now, kind, node, event);
                        line.into_iter().for_each(|event| self.journal.add(event));
                        self.tell(&Report::Node(state));
                    }
                }
                Action::Opinion { node, verdict, rule, case } => {
                    self.record.judged(CaseFact { node, case: *case }, verdict, rule);
                    let event = core.crowd_concluded(now, node, verdict, rule);
                    let line =
                        event.and_then(|event| core.counted(now, verdict.word(), node, event));
                    line.into_iter().for_each(|event| self.journal.add(event));
                }
                Action::Duty { node } => self.tell(&Report::Node(core.node(now, node))),
                Action::Tether { node, network } => self.tie(node, network),
                Action::Carried { .. } => carried.push(action),
            }
        }
        drop(core);
        for action in carried {
            if let Action::Carried { node: from, network, life, kind, body } = action {
                let body = &body;
                self.errand(errand::Input::Packet { from, life, network, kind, body });
            }
        }
    }
}
