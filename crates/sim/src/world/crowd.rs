//! Drives the gossip: `engine::gossip` of each host, and what it orders.

use config::cluster::{Cluster, Node};
use engine::gossip::{Action, Input, Roster};
use engine::member;
use engine::packet::{Body, Kind, MAX_BODY, MAX_NETWORKS, MAX_PACKET, Opened};

use super::agents::{RECORDED_EVERY, RECORDS};
use super::net::{EVERYBODY, Frame, Packet, Part, Says, Truth};
use super::version::{UNKNOWN, Version};
use super::{World, mix};

/// Of what was recorded so many are sent again at once.
const REPLAYED: usize = 4;
/// Of what the next version says, so much is known to nobody else.
const UNKNOWN_EVERY: u64 = 16;

/// Who takes part, as each agent reads it in the cluster file.
pub(super) fn roster(cluster: &Cluster) -> Roster {
    let on = |node: &Node| {
        let is_on = |network: usize| node.addresses.get(network).is_some_and(Option::is_some);
        std::array::from_fn::<bool, MAX_NETWORKS, _>(is_on)
    };
    Roster {
        controllers: u16::try_from(cluster.controllers().len()).unwrap_or(u16::MAX),
        networks: cluster.networks.clone(),
        on: cluster.nodes.iter().map(on).collect(),
        detect: cluster.detect,
    }
}

impl World {
    /// What its agent is told beside packets is for its gossip, too.
    pub(super) fn tell_crowd(&mut self, host: u16, input: member::Input<'_>) {
        let input = match input {
            member::Input::Carrier { network, up } => Input::Carrier { network, up },
            member::Input::Proven { node, proof } => Input::Proven { node, proof },
            member::Input::Planned { node, planned } => Input::Planned { node, planned },
            member::Input::Reference { answers } => Input::Reference(answers),
            member::Input::Leave => Input::Leave,
            member::Input::Timeout => Input::Timeout,
            member::Input::Packet { .. }
            | member::Input::Opened { .. }
            | member::Input::Known { .. }
            | member::Input::Refused { .. }
            | member::Input::Tether { .. }
            | member::Input::Failing { .. } => return self.tell_quorum(host),
        };
        self.crowd(host, input);
        self.tell_quorum(host);
    }

    /// Whether this controller reaches a majority, if that is another answer than the last one.
    pub(super) fn tell_quorum(&mut self, host: u16) {
        let local = self.local(host);
        let Some(mind) = &mut self.hosts[usize::from(host)].agent.machine else { return };
        let Some(member) = mind.member.as_ref().filter(|_| mind.crowd.is_some()) else { return };
        let quorum = member.has_quorum(local);
        if mind.quorum.replace(quorum) != Some(quorum) {
            self.crowd(host, Input::Quorum(quorum));
        }
    }

    pub(super) fn crowd(&mut self, host: u16, input: Input<'_>) {
        let local = self.local(host);
        let node = &mut self.hosts[usize::from(host)];
        let mind = node.agent.machine.as_mut();
        let Some(crowd) = mind.and_then(|mind| mind.crowd.as_mut()) else { return };
        let mut out = std::mem::take(&mut self.rumours);
        crowd.step(local, input, &mut out);
        if node.agent.spins(self.now) {
            self.fail("L3 livelock", host, "its gossip's deadline has passed after each step");
        }
        self.obey_crowd(host, out);
    }

    /// The agent reads a letter that is not for its beats.
    pub(super) fn read_gossip(&mut self, host: u16, network: u8, letter: u32) {
        let local = self.local(host);
        let truth = self.nets.letter(letter).truth;
        let newest = self.hosts[usize::from(truth.sender)].largest[0];
        let node = &mut self.hosts[usize::from(host)];
        let mind = node.agent.machine.as_mut();
        let Some((crowd, member)) =
            mind.and_then(|mind| Some((mind.crowd.as_mut()?, mind.member.as_mut())))
        else {
            self.nets.drop_copy(letter);
            return;
        };
        let is_news = self.hearing.reads(host, &truth, network, (self.now, newest));
        let before = (crowd.refused(), member.as_ref().map(|member| member.refused()));
        let bytes = self.nets.letter(letter).bytes();
        let mut out = std::mem::take(&mut self.rumours);
        let mut body: Body = [0; MAX_BODY];
        let is_open = truth.is_open || truth.to == EVERYBODY;
        let mut is_meant = true;
        if is_open {
            let Truth { sender, life: incarnation, serial: seq, .. } = truth;
            let kind = if truth.says.is_gossip() { Kind::Gossip } else { Kind::Beat };
            let packet =
                Opened { sender, network: truth.network, kind, incarnation, seq, body: bytes };
            // The seal promises that it is for this host.
            is_meant = truth.to == host || truth.to == EVERYBODY;
            if is_meant {
                crowd.step(local, Input::Opened { network, packet }, &mut out);
            }
        } else if let Some(member) = member {
            if let Some(packet) = member.open(bytes, &mut body) {
                crowd.step(local, Input::Opened { network, packet }, &mut out);
            }
        } else {
            crowd.step(local, Input::Packet { network, bytes }, &mut out);
        }
        let mind = self.hosts[usize::from(host)].agent.machine.as_ref();
        let after = mind.and_then(|mind| {
            let member = mind.member.as_ref().map(|member| member.refused());
            Some((mind.crowd.as_ref()?.refused(), member))
        });
        let believed = is_meant && after == Some(before);
        if believed != is_news {
            let what = format!("believes {believed} of {truth:?} on network {network}");
            self.fail("S3 sealed", host, &what);
        }
        if believed {
            self.note_gossip(&truth);
        } else {
            self.note_refusal(host, &truth, network);
        }
        self.nets.drop_copy(letter);
        self.obey_crowd(host, out);
        self.plan(host, super::queue::Machine::Agent);
    }

    fn obey_crowd(&mut self, host: u16, mut out: Vec<Action>) {
        for action in out.drain(..) {
            match action {
                Action::Send { to, network, body } => self.send_gossip(host, to, network, &body),
                Action::Verdict { node, standing, .. } => {
                    self.orders[usize::from(host)] += 1;
                    self.hash = mix(self.hash, u64::from(node) << 8 | standing as u64);
                    self.hosts[usize::from(host)].known[usize::from(node)] = standing;
                }
                Action::Opinion { node, verdict, rule, .. } => {
                    self.opine_of_crowd(host, node, verdict, rule);
                }
                // Nobody drains here, nothing is carried, and connections are not simulated.
                Action::Duty { .. } | Action::Carried { .. } | Action::Tether { .. } => {}
            }
        }
        self.rumours = out;
    }

    fn send_gossip(&mut self, host: u16, to: u16, network: u8, body: &[u8]) {
        let part = Part::of(body);
        let is_next = self.hosts[usize::from(host)].version == Version::Next;
        if is_next && part != Part::Unknown && self.hearing.letters.is_multiple_of(UNKNOWN_EVERY) {
            self.send_gossip(host, to, network, &UNKNOWN);
        }
        self.judge_said(host, network, part, body);
        let sealed = self.script.sealed;
        let node = &mut self.hosts[usize::from(host)];
        if !node.carrier[usize::from(network)] {
            return;
        }
        let serial = &mut node.sealed[usize::from(to)];
        *serial += 1;
        let (life, serial) = (node.lives[0], *serial);
        let truth = Truth {
            sender: host,
            to,
            life,
            serial,
            network,
            says: Says::Gossip(part),
            forged: false,
            is_open: !sealed,
        };
        let mut packet = [0; MAX_PACKET];
        let bytes = if sealed {
            let Some(mind) = &mut node.agent.machine else { return };
            let seal = match (&mut mind.member, &mut mind.crowd) {
                (Some(member), _) => member.seal_mut(),
                (None, Some(crowd)) => crowd.seal_mut(),
                (None, None) => return,
            };
            let length = seal.seal(Kind::Gossip, (to, network), body, &mut packet);
            &packet[..length]
        } else {
            body
        };
        if self.hearing.count_letter().is_multiple_of(RECORDED_EVERY) {
            self.record_gossip(bytes, truth);
        }
        let letter = self.nets.write(bytes, truth);
        self.send(Packet { from: host, to, network, frame: Frame::Letter(letter) });
        self.nets.settle(letter);
    }

    fn record_gossip(&mut self, bytes: &[u8], truth: Truth) {
        let number = self.hearing.letters / RECORDED_EVERY;
        let place = usize::try_from(number).unwrap_or(0) % RECORDS;
        match self.recorded_gossip.get_mut(place) {
            Some(kept) => *kept = (bytes.to_vec(), truth),
            None => self.recorded_gossip.push((bytes.to_vec(), truth)),
        }
    }

    /// As [`World::replay`], of gossip; half of it goes to whom it was for.
    pub(super) fn replay_gossip(&mut self, host: u16, network: u8) {
        let first = usize::try_from(self.hearing.letters).unwrap_or(0);
        let records = self.recorded_gossip.len();
        for place in (first..first + REPLAYED.min(records)).map(|place| place % records) {
            let (bytes, truth) = self.recorded_gossip[place].clone();
            let (to, on) = if place % 2 == 0 { (truth.to, truth.network) } else { (host, network) };
            self.inject(to, on, &bytes, truth);
        }
    }
}
