//! Who is alive among a thousand and more, at a constant cost per node.
//!
//! ```text
//!   each network:  every node probes one other at a time, over others if need be    (circle, crate foca)
//!        | missed
//!        v
//!   controllers:   ask it on every network, tell each other what they found         (confirm)
//!        | a majority had no answer on any network
//!        v
//!   verdict:       Unreachable, by the table; declared to all nodes by gossip
//! ```
//!
//! Controllers come first in the cluster file and watch each other by beats ([`crate::member`]); this machine
//! concludes about compute nodes on a controller, and about everybody on a compute node. A compute node
//! concludes nothing but doubt. Whose own probes fail, or who is late, accuses nobody.
//!
//! Packets are [`Kind::Gossip`]; numbers come from a seed that is given.

use std::collections::BTreeMap;
use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use crate::member::{Refused, Standing};
use crate::packet::{Kind, MAX_BODY, MAX_NETWORKS, Opened, Replay, Seal};
use crate::verdict::{Case, Proof, RULES, Rule, Times, Verdict};
use circle::{Circle, Notice, Pace, Seat};
use confirm::Confirm;
use dice::Dice;
use wire::{LIFE, Part};

pub use said::Said;

pub use confirm::{ASKS, CLAIM_FRESH};
pub(crate) use confirm::{MOST_TETHERS, TETHER_FRESH};
pub use wire::print_again;

mod circle;
mod conclude;
mod confirm;
mod declare;
mod dice;
mod know;
mod notice;
mod said;
#[cfg(test)]
mod tests;
mod wire;

/// A goodbye is said so often: nobody hears the next one.
const GOODBYES: usize = 3;
/// Probes of gossip within one detection time: a crash is missed within two of them, mostly. Five would cost
/// 4.1 kB/s on each network when a tenth of all packets is lost (1,000 members), and find out no sooner.
const PROBES: u32 = 4;
/// Faster ones would cost more than 4 kB/s on each network.
const FASTEST_PROBE: Duration = Duration::from_millis(100);

/// Who takes part, by position in the cluster file.
#[derive(Clone, Debug)]
pub struct Roster {
    /// So many of the first nodes are controllers.
    pub controllers: u16,
    /// Names of the networks, for the texts.
    pub networks: Vec<String>,
    /// Of each node: the networks on which it has an address.
    pub on: Vec<[bool; MAX_NETWORKS]>,
    pub detect: Duration,
}

/// What the agent saw.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A datagram arrived on the socket of this network.
    Packet {
        network: u8,
        bytes: &'a [u8],
    },
    /// As [`Input::Packet`], of one whose seal was checked already.
    Opened {
        network: u8,
        packet: Opened<'a>,
    },
    /// The carrier of this node's own interface on that network.
    Carrier {
        network: u8,
        up: bool,
    },
    /// Whether this controller reaches a majority of the controllers.
    Quorum(bool),
    /// Whether a reference point answers this node; until told, one does.
    Reference(bool),
    /// Whether all servers of that node, two at least, fail checks or requests here.
    Failing {
        node: u16,
        failing: bool,
    },
    /// What the replicated store says about that node's death.
    Proven {
        node: u16,
        proof: Option<Proof>,
    },
    /// Whether that node is in a maintenance window, so that its coming and going does not count.
    Planned {
        node: u16,
        planned: bool,
    },
    /// The kernel of that node says that nothing listens there on this network.
    Refused {
        node: u16,
        network: u8,
    },
    /// The connection of [`Action::Tether`] stands, or is no more, or could not be had.
    Tether {
        node: u16,
        network: u8,
        holds: bool,
    },
    /// What this controller concluded of another one from its beats.
    Controller {
        node: u16,
        verdict: Verdict,
    },
    /// What this node says of itself.
    Say(Said),
    /// This node ends in order.
    Leave,
    Timeout,
}

/// What the agent is to do, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Seal it with [`Gossip::seal`] and send it to this node on this network.
    Send { to: u16, network: u8, body: Vec<u8> },
    /// A standing changed.
    Verdict { node: u16, standing: Standing, why: String },
    /// The verdict on a node is another one, by this case.
    Opinion { node: u16, verdict: Verdict, rule: &'static Rule, case: Box<Case> },
    /// [`Gossip::duty`] of this node changed.
    Duty { node: u16 },
    /// Connect to this node on this network and say nothing there, ever; one that is there is for an earlier
    /// process of it. What becomes of it is told as [`Input::Tether`].
    Tether { node: u16, network: u8 },
    /// For [`crate::errand`], of the process of that node with this life.
    Carried { node: u16, network: u8, life: u64, kind: Kind, body: Vec<u8> },
}

impl Action {
    fn part((to, network): (u16, u8), part: &Part<'_>) -> Self {
        let mut body = vec![];
        part.encode(&mut body);
        Self::Send { to, network, body }
    }
}

/// This node's view of all that it watches by gossip.
#[derive(Debug)]
pub struct Gossip {
    me: u16,
    roster: Roster,
    times: Times,
    seal: Seal,
    replay: Replay,
    /// By network; none where this node has no address.
    circles: Vec<Option<Circle>>,
    /// On controllers.
    confirm: Option<Confirm>,
    carrier: [bool; MAX_NETWORKS],
    quorum: bool,
    /// A reference point answers, or none ever did.
    reference: bool,
    judge_from: Time,
    /// When it was last seen to run.
    ran_at: Time,
    found: Vec<Notice>,
    thoughts: Vec<Thought>,
    /// What few nodes have.
    more: BTreeMap<u16, More>,
    /// Nodes that time alone may give another verdict.
    due: BTreeMap<u16, Time>,
    refused: Refused,
    said: Said,
    has_said: bool,
    /// Nodes that were accused by their kernel's word, and when.
    told_refused: BTreeMap<u16, Time>,
}

/// What is thought of one node.
#[derive(Clone, Copy, Debug)]
struct Thought {
    verdict: Verdict,
    rule: &'static Rule,
    standing: Standing,
}

/// What is known of few nodes.
#[derive(Clone, Debug, Default)]
struct More {
    proof: Option<Proof>,
    failing_since: Option<Time>,
    cut_since: Option<Time>,
    /// When it came back, newest last.
    returns: ArrayVec<Time, { crate::member::FLAPS }>,
    quarantined_until: Time,
    /// It is in a maintenance window.
    planned: bool,
}

impl Gossip {
    /// `me` is this node's position in the cluster file, and the sender of `seal`. The same `seed` makes the
    /// same choices.
    #[must_use]
    pub fn new(roster: Roster, me: u16, seal: Seal, seed: u64, now: Time) -> Self {
        let times = Times::new(roster.detect);
        let probe_every = (times.detect() / PROBES).max(FASTEST_PROBE);
        let pace = Pace {
            probe_every,
            answer_within: probe_every * 2 / 5,
            declare_after: times.detect() * 5,
        };
        let networks = roster.networks.len().min(MAX_NETWORKS);
        let life = seal.incarnation() & LIFE;
        let circle = |network: u8| {
            let on: Vec<bool> = roster.on.iter().map(|on| on[usize::from(network)]).collect();
            // Mixed first: seeds of neighbours, which differ in a bit, must not meet each other's numbers.
            let seed = Dice::new(seed).number() ^ (u64::from(me) << 8 | u64::from(network));
            let seat = Seat { me, life, network, on: &on, seed };
            let is_on = on.get(usize::from(me)).is_some_and(|on| *on);
            is_on.then(|| Circle::new(seat, pace, now))
        };
        let networks = u8::try_from(networks).unwrap_or(0);
        let circles = (0..networks).map(circle).collect();
        let confirm = (me < roster.controllers)
            .then(|| Confirm::new(me, roster.controllers, networks, roster.on.clone(), times, now));
        let stranger = &RULES[RULES.len() - 1];
        let thought =
            Thought { verdict: Verdict::Unknown, rule: stranger, standing: Standing::Unknown };
        Self {
            me,
            times,
            seal,
            replay: Replay::of(roster.on.len()),
            circles,
            confirm,
            carrier: [true; MAX_NETWORKS],
            quorum: me >= roster.controllers || roster.controllers == 1,
            reference: true,
            judge_from: now,
            ran_at: now,
            found: vec![],
            thoughts: vec![thought; roster.on.len()],
            more: BTreeMap::new(),
            due: BTreeMap::new(),
            refused: Refused::default(),
            said: Said::default(),
            has_said: false,
            told_refused: BTreeMap::new(),
            roster,
        }
    }

    /// The only way in. Packets come from the network: what makes no sense is counted and dropped.
    pub fn step(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Action>) {
        self.wake(now);
        match input {
            Input::Packet { network, bytes } => self.receive(now, network, bytes, out),
            Input::Opened { network, packet } => self.opened(now, network, &packet, out),
            Input::Carrier { network, up } => self.carrier_is(now, network, up),
            Input::Quorum(quorum) => {
                self.quorum = quorum;
                self.look_at_silent(now);
            }
            Input::Reference(answers) => self.reference_is(now, answers),
            Input::Failing { node, failing } => {
                let more = self.more.entry(node).or_default();
                more.failing_since = failing.then(|| more.failing_since.unwrap_or(now));
                self.due.insert(node, now);
            }
            Input::Proven { node, proof } => {
                self.more.entry(node).or_default().proof = proof;
                self.due.insert(node, now);
            }
            Input::Planned { node, planned } => self.planned(now, node, planned),
            Input::Refused { node, network } => self.kernel_refused(now, (node, network), out),
            Input::Tether { node, network, holds } => {
                if let Some(confirm) = &mut self.confirm {
                    confirm.tethered(now, (node, network), holds);
                }
            }
            Input::Controller { node, verdict } => self.declare_controller(now, node, verdict, out),
            Input::Say(said) => self.say(said, out),
            Input::Leave => self.leave(out),
            Input::Timeout => self.timeout(now, out),
        }
        self.notice(now, out);
        self.conclude(now, out);
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        let circles = self.circles.iter().flatten().map(Circle::deadline);
        let circles = circles.min().unwrap_or(Time::NEVER);
        let confirm = self.confirm.as_ref().map_or(Time::NEVER, Confirm::deadline);
        let due = self.due.values().min().copied().unwrap_or(Time::NEVER);
        circles.min(confirm).min(due)
    }

    /// Writes the packet of [`Action::Send`] into `out` and returns its length; 0 if there is nothing to
    /// send, because no key is shared with that node.
    pub fn seal(&mut self, to: u16, network: u8, body: &[u8], out: &mut [u8]) -> usize {
        self.seal.seal(Kind::Gossip, (to, network), body, out)
    }

    fn receive(&mut self, now: Time, network: u8, bytes: &[u8], out: &mut Vec<Action>) {
        let mut body = [0; MAX_BODY];
        let packet = match self.seal.open(bytes, &mut body) {
            Ok(packet) => packet,
            Err(error) => return self.refused.count(error),
        };
        self.opened(now, network, &packet, out);
    }

    fn opened(&mut self, now: Time, network: u8, packet: &Opened<'_>, out: &mut Vec<Action>) {
        let from = packet.sender;
        let on = self.roster.on.get(usize::from(from));
        let on_network = on.is_some_and(|on| on.get(usize::from(network)).is_some_and(|on| *on));
        // Controllers give orders and compute nodes answer, never the other way.
        let is_ours = match packet.kind {
            Kind::Gossip => true,
            Kind::Errand => from < self.roster.controllers,
            Kind::Answer => from >= self.roster.controllers,
            Kind::Beat
            | Kind::Hello
            | Kind::HandOver
            | Kind::Question
            | Kind::Told
            | Kind::VipBeat => false,
        };
        if from == self.me || !on_network || !is_ours {
            self.refused.stranger += 1;
        } else if packet.network != network {
            self.refused.network += 1;
        } else if !self.replay.is_news(packet) {
            self.refused.replay += 1;
        } else if packet.kind != Kind::Gossip {
            let (life, kind, body) = (packet.incarnation, packet.kind, packet.body.to_vec());
            out.push(Action::Carried { node: from, network, life, kind, body });
        } else {
            match Part::decode(packet.body) {
                Some(part) => self.heard(now, network, packet, &part, out),
                None => self.refused.unreadable += 1,
            }
        }
    }

    fn heard(
        &mut self,
        now: Time,
        network: u8,
        packet: &Opened<'_>,
        part: &Part<'_>,
        out: &mut Vec<Action>,
    ) {
        let (from, life) = (packet.sender, packet.incarnation & LIFE);
        let is_controller = from < self.roster.controllers;
        if let Some(confirm) = &mut self.confirm {
            confirm.heard(now, from, network, life);
            confirm.spoke(now, from);
        }
        match part {
            Part::Rumour(rumour) => {
                let circle = self.circles.get_mut(usize::from(network)).and_then(Option::as_mut);
                let Some(circle) = circle else { return };
                if !circle.receive(now, from, rumour, out, &mut self.found) {
                    self.refused.unreadable += 1;
                }
            }
            Part::Missed(nodes) => {
                if let Some(confirm) = &mut self.confirm {
                    nodes.iter().for_each(|node| confirm.doubt(now, *node, from));
                }
            }
            Part::Probe(number) if is_controller => {
                out.push(Action::part((from, network), &Part::Answer(*number, Some(self.said))));
            }
            Part::Claims { claims, heard } if is_controller => {
                let Some(confirm) = &mut self.confirm else { return };
                let left = claims.iter().filter(|claim| confirm.claimed(now, from, claim));
                let left: Vec<u16> = left.map(|claim| claim.node).collect();
                if let Some(heard) = *heard {
                    confirm.pass_on(now, (from, network), (claims, heard), out);
                }
                left.into_iter().for_each(|node| self.leaves(now, node, out));
            }
            Part::Passed(passed) if is_controller => {
                let Some(confirm) = &mut self.confirm else { return };
                passed.iter().for_each(|passed| confirm.passed(now, from, passed));
            }
            // Nobody but controllers asks, claims or passes on.
            Part::Probe(_) | Part::Claims { .. } | Part::Passed(_) => self.refused.stranger += 1,
            Part::Answer(_, None) => {}
            Part::Answer(_, Some(said)) | Part::Said(said) => self.told(now, from, *said, out),
            Part::Goodbye => {
                let is_news =
                    self.confirm.as_mut().is_some_and(|confirm| confirm.goodbye(now, from, life));
                if is_news || is_controller {
                    self.leaves(now, from, out);
                }
            }
        }
    }

    /// A network that this node itself lost says nothing about others, nor does its return at once.
    fn carrier_is(&mut self, now: Time, network: u8, up: bool) {
        let Some(carrier) = self.carrier.get_mut(usize::from(network)) else { return };
        let is_back = up && !*carrier;
        *carrier = up;
        if let Some(confirm) = &mut self.confirm {
            confirm.carrier(network, up);
        }
        if is_back {
            self.be_patient(now);
        }
        self.look_at_silent(now);
    }

    /// Until others have had their chance to be heard, this node accuses nobody.
    fn be_patient(&mut self, now: Time) {
        self.judge_from = self.judge_from.max(now + self.times.patience());
        if let Some(confirm) = &mut self.confirm {
            confirm.late(now);
        }
    }

    fn look_at_silent(&mut self, now: Time) {
        for (node, thought) in (0_u16..).zip(&self.thoughts) {
            if !matches!(thought.verdict, Verdict::Alive | Verdict::Unknown) {
                self.due.insert(node, now);
            }
        }
    }

    /// Whatever comes first after this node stood still: what it has not seen meanwhile was confirmed by no time.
    fn wake(&mut self, now: Time) {
        let late = now.since(self.deadline().max(self.ran_at));
        self.ran_at = now;
        if late <= self.times.confirm() {
            return;
        }
        self.circles.iter_mut().flatten().for_each(Circle::slipped);
        self.more
            .values_mut()
            .filter_map(|more| more.cut_since.as_mut())
            .for_each(|at| *at += late);
        self.be_patient(now);
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Action>) {
        for circle in self.circles.iter_mut().flatten() {
            circle.timeout(now, out, &mut self.found);
        }
        if let Some(confirm) = &mut self.confirm {
            confirm.timeout(now, out);
        }
    }

    /// Says goodbye to all controllers; they tell the rest.
    fn leave(&self, out: &mut Vec<Action>) {
        for _ in 0..GOODBYES {
            for to in (0..self.roster.controllers).filter(|to| *to != self.me) {
                self.shared(to)
                    .for_each(|network| out.push(Action::part((to, network), &Part::Goodbye)));
            }
        }
    }

    /// Networks on which this node reaches another directly, as far as it can tell by itself.
    fn shared(&self, node: u16) -> impl Iterator<Item = u8> {
        let circles = (0_u8..).zip(&self.circles).filter(|(_, circle)| circle.is_some());
        let on = self.roster.on.get(usize::from(node)).copied().unwrap_or_default();
        circles
            .map(|(network, _)| network)
            .filter(move |network| on[usize::from(*network)] && self.carrier[usize::from(*network)])
    }
}
