//! Drives the agents: `engine::member` of each host, and what it orders.

use base::Time;
use engine::Buffer;
use engine::gossip::Gossip;
use engine::member::{self, Action, Member, Standing};
use engine::packet::{Kind, MAX_BODY, MAX_PACKET, Opened, PairSecret, Seal};

use super::mark::Mark;
use super::mind::Mind;
use super::net::{EVERYBODY, Frame, Packet, Part, Says, Truth};
use super::oracle::News;
use super::queue::Machine;
use super::version::Version;
use super::{World, mix};

/// Of the simulated cluster; a forger has another one.
const SECRET: &[u8] = &[7; 32];
const FORGER: &[u8] = &[9; 32];
const CLUSTER: &str = "cloud";
/// Of so many letters one is recorded by who sends them again.
pub(super) const RECORDED_EVERY: u64 = 64;
/// What he keeps.
pub(super) const RECORDS: usize = 32;

impl World {
    pub(super) fn start_agent(&mut self, host: u16) {
        let local = self.local(host);
        let node = &mut self.hosts[usize::from(host)];
        let life = node.live(Machine::Agent, self.now);
        node.sealed.fill(0);
        let seal = Seal::shared(SECRET, CLUSTER, self.cluster.nodes.len(), host, life);
        let has_computes = usize::from(self.controllers) < self.cluster.nodes.len();
        let (member, seal) = if host < self.controllers {
            let member = Member::new(&self.cluster, host, seal, local);
            // Its beats have the keys.
            (Some(member), Seal::new(CLUSTER, host, life))
        } else {
            (None, seal)
        };
        let seed = self.script.seed ^ life.rotate_left(32);
        let crowd = || Gossip::new(self.roster.clone(), host, seal, seed, local);
        let crowd = has_computes.then(crowd);
        node.agent = super::host::Process {
            machine: Some(Mind { member, crowd, quorum: None }),
            turn_at: node.agent.turn_at,
            ..Default::default()
        };
        self.start_reference(host);
        let node = &self.hosts[usize::from(host)];
        let known = node.known.clone();
        let carrier = node.carrier;
        self.oracle.starts(host, local, &known);
        self.windows.starts(host, host >= self.controllers);
        self.hearing.starts(host, self.now);
        for (network, up) in (0..self.nets.count).zip(carrier) {
            self.agent(host, member::Input::Carrier { network, up });
        }
        for (node, standing) in (0..).zip(known).filter(|(node, _)| *node != host) {
            self.agent(host, member::Input::Known { node, standing });
        }
        if host >= self.controllers {
            self.crowd(host, engine::gossip::Input::Say(engine::gossip::Said::default()));
        }
        self.reads_store(host);
        self.count_majorities();
        self.open_office(host);
        self.plan(host, Machine::Agent);
    }

    /// The agent reads a letter from its socket.
    pub(super) fn read_letter(&mut self, host: u16, network: u8, letter: u32) {
        let local = self.local(host);
        let node = &mut self.hosts[usize::from(host)];
        let version = node.version;
        let Some(mind) = &mut node.agent.machine else {
            self.nets.drop_copy(letter);
            return;
        };
        let truth = self.nets.letter(letter).truth;
        let Some(agent) = mind.member.as_mut().filter(|_| !truth.says.is_gossip()) else {
            return self.read_gossip(host, network, letter);
        };
        let news = self.oracle.reads(host, &truth, network, local);
        let before = agent.refused();
        let mut out = Buffer::new();
        let mut bytes = self.nets.letter(letter).bytes();
        let mut body = [0; MAX_PACKET];
        if truth.to == EVERYBODY && version == Version::Former {
            let own = &mut body[..bytes.len()];
            own.copy_from_slice(bytes);
            own[0] = version.hears(own[0]);
            bytes = own;
        }
        let input = if truth.to == EVERYBODY {
            let Truth { sender, life: incarnation, serial: seq, .. } = truth;
            let (kind, body) = (Kind::Beat, bytes);
            let network_of = truth.network;
            let packet = Opened { sender, network: network_of, kind, incarnation, seq, body };
            member::Input::Opened { network, packet }
        } else {
            member::Input::Packet { network, bytes }
        };
        agent.step(local, input, &mut out);
        let after = agent.refused();
        let believed = before == after;
        if believed == (news == News::None) {
            let what = format!("believes {believed} of {truth:?} on network {network}");
            self.fail("S3 sealed", host, &what);
        }
        if !believed {
            self.note_refusal(host, &truth, network);
        }
        self.nets.drop_copy(letter);
        self.obey_agent(host, &mut out, (truth.sender, news));
        self.plan(host, Machine::Agent);
    }

    pub(super) fn note_refusal(&mut self, host: u16, truth: &Truth, network: u8) {
        self.marks.note(if truth.forged {
            Mark::RefusedForgery
        } else if truth.says == Says::Gossip(Part::Unknown) {
            Mark::RefusedPart
        } else if truth.to != host && truth.to != EVERYBODY {
            Mark::RefusedAstray
        } else if truth.network != network {
            Mark::RefusedNetwork
        } else {
            Mark::RefusedReplay
        });
    }

    pub(super) fn agent(&mut self, host: u16, input: member::Input<'_>) {
        self.member(host, input);
        self.tell_crowd(host, input);
    }

    /// Its beats, where it has them.
    fn member(&mut self, host: u16, input: member::Input<'_>) {
        let local = self.local(host);
        let node = &mut self.hosts[usize::from(host)];
        let mind = node.agent.machine.as_mut();
        let Some(agent) = mind.and_then(|mind| mind.member.as_mut()) else { return };
        let mut out = Buffer::new();
        agent.step(local, input, &mut out);
        if node.agent.spins(self.now) {
            self.fail("L3 livelock", host, "its agent's deadline has passed after each step");
        }
        self.obey_agent(host, &mut out, (host, News::None));
    }

    /// The turn of an agent, and the comparison of all that it thinks.
    pub(super) fn agent_turn(&mut self, host: u16) {
        self.ask_reference(host);
        self.look_at_windows(host);
        let local = self.local(host);
        let mind = self.hosts[usize::from(host)].agent.machine.as_ref();
        let Some((member_due, crowd_due)) = mind.map(|mind| (mind.member_due(), mind.crowd_due()))
        else {
            return;
        };
        if member_due <= local {
            self.member_turn(host, local);
            self.tell_quorum(host);
        }
        if crowd_due <= local {
            self.crowd(host, engine::gossip::Input::Timeout);
            self.note_health(host);
        }
        self.judge_reasons(host);
    }

    fn member_turn(&mut self, host: u16, local: Time) {
        self.member(host, member::Input::Timeout);
        let lacks_reference = self.lacks_reference(host);
        let node = &self.hosts[usize::from(host)];
        let has_carrier = !lacks_reference
            && node.carrier.iter().take(usize::from(self.nets.count)).any(|up| *up);
        if let Some(agent) = node.agent.machine.as_ref().and_then(|mind| mind.member.as_ref())
            && let Err(what) = self.oracle.agrees(host, agent, local, (node.slow, has_carrier))
        {
            self.fail("S detection", host, &what);
        }
    }

    fn obey_agent(&mut self, host: u16, out: &mut Buffer<Action>, news: (u16, News)) {
        if out.lost() > 0 {
            self.fail("S limits", host, "its agent ordered more than fits");
        }
        for action in out.drain() {
            match action {
                Action::Beat { network } => self.beat(host, network, None),
                Action::Ask { node, network } => {
                    self.marks.note(Mark::AskedAlone);
                    self.beat(host, network, Some(node));
                }
                Action::Tether { node, network } => self.tie(host, node, network),
                Action::Verdict { node, standing, .. } => self.verdict(host, node, standing, news),
                Action::Outdated { .. } => self.marks.note(Mark::RefusedOutdated),
                Action::Opinion { node, verdict, rule } => {
                    self.opine(host, node, verdict, rule);
                    self.crowd(host, engine::gossip::Input::Controller { node, verdict });
                }
                // Shown only, or about events, of which hosts in this world have none.
                Action::Choices
                | Action::Holds { .. }
                | Action::Duty { .. }
                | Action::Carried { .. }
                | Action::Question { .. }
                | Action::Answer { .. }
                | Action::Event { .. } => {}
            }
        }
    }

    fn verdict(&mut self, host: u16, peer: u16, standing: Standing, news: (u16, News)) {
        let local = self.local(host);
        if let Err(what) = self.oracle.judges((host, peer), standing, local, news) {
            let what = format!("{what} (host {peer})");
            self.fail("S detection", host, &what);
        }
        self.hash = mix(self.hash, u64::from(peer) << 8 | standing as u64);
        self.say(host, || format!("thinks of host {peer}: {standing:?}"));
        let known = &mut self.hosts[usize::from(host)].known[usize::from(peer)];
        let before = std::mem::replace(known, standing);
        self.judge_return(host, peer, standing, before);
        if standing == Standing::Suspect {
            self.judge_silence(host, peer, None);
        }
        match standing {
            Standing::Suspect => self.marks.note(Mark::Suspected),
            Standing::Left => self.marks.note(Mark::SaidGoodbye),
            Standing::Alive if before == Standing::Suspect => self.marks.note(Mark::CameBack),
            Standing::Alive | Standing::Unknown => {}
        }
        self.orders[usize::from(host)] += 1;
        if matches!(standing, Standing::Suspect | Standing::Left)
            && self.hosts[usize::from(host)].vip_acts()
        {
            self.missed_at = self.now;
            self.vip(host, engine::vip::Input::PeerLost { node: peer });
        }
    }

    /// To all controllers, as nobody else beats, or to one.
    fn beat(&mut self, host: u16, network: u8, only: Option<u16>) {
        let mut bytes = [0; MAX_PACKET];
        let node = &mut self.hosts[usize::from(host)];
        let says = if node.is_stopped { Says::Goodbye } else { Says::Alive };
        node.serial += 1;
        let (life, serial, carrier) = (node.lives[0], node.serial, node.carrier);
        if !carrier[usize::from(network)] {
            return;
        }
        if !self.script.sealed {
            let truth = Truth {
                sender: host,
                to: EVERYBODY,
                life,
                serial,
                network,
                says,
                ..Truth::default()
            };
            return self.beat_opened(host, only, truth);
        }
        let recorded = (serial / RECORDED_EVERY) % u64::from(self.controllers.max(1));
        for to in (0..self.controllers).filter(|to| *to != host && is_meant(only, *to)) {
            let node = &mut self.hosts[usize::from(host)];
            let mind = node.agent.machine.as_mut();
            let Some(agent) = mind.and_then(|mind| mind.member.as_mut()) else { return };
            let length = agent.beat(to, network, &mut bytes);
            node.sealed[usize::from(to)] += 1;
            let truth = Truth { sender: host, to, life, serial, network, says, ..Truth::default() };
            if serial.is_multiple_of(RECORDED_EVERY) && recorded == u64::from(to) {
                self.record(&bytes[..length], truth);
            }
            let letter = self.nets.write(&bytes[..length], truth);
            self.send(Packet { from: host, to, network, frame: Frame::Letter(letter) });
            self.nets.settle(letter);
        }
    }

    /// One letter for all.
    fn beat_opened(&mut self, host: u16, only: Option<u16>, truth: Truth) {
        let mut body = [0; MAX_BODY];
        let node = &self.hosts[usize::from(host)];
        let mind = node.agent.machine.as_ref();
        let Some(agent) = mind.and_then(|mind| mind.member.as_ref()) else { return };
        let length = agent.beat_body(&mut body);
        let length = node.version.says(&mut body, length);
        if truth.serial.is_multiple_of(RECORDED_EVERY) {
            self.record(&body[..length], truth);
        }
        let letter = self.nets.write(&body[..length], truth);
        for to in (0..self.controllers).filter(|to| *to != host && is_meant(only, *to)) {
            let frame = Frame::Letter(letter);
            self.send(Packet { from: host, to, network: truth.network, frame });
        }
        self.nets.settle(letter);
    }

    fn record(&mut self, bytes: &[u8], truth: Truth) {
        let place =
            usize::try_from(truth.serial / RECORDED_EVERY).unwrap_or(0) + self.recorded.len();
        if self.recorded.len() < RECORDS {
            self.recorded.push((bytes.to_vec(), truth));
        } else {
            let (kept, known) = &mut self.recorded[place % RECORDS];
            kept.clear();
            kept.extend_from_slice(bytes);
            *known = truth;
        }
    }

    /// Letters that somebody recorded come again, on the network of his choice.
    pub(super) fn replay(&mut self, host: u16, network: u8) {
        let first = usize::try_from(self.chance.below(RECORDS as u64)).unwrap_or(0);
        let records = self.recorded.len();
        self.reads_old_letters();
        for place in (first..first + 8).map(|place| place % RECORDS).filter(|at| *at < records) {
            let (bytes, truth) = self.recorded[place].clone();
            self.inject(host, network, &bytes, truth);
        }
        self.replay_gossip(host, network);
        self.replay_words(host, network);
    }

    /// Letters that somebody made up: a bit changed, another key, no letter at all.
    pub(super) fn forge(&mut self, host: u16, network: u8) {
        let sender = u16::try_from(self.chance.below(self.hosts.len() as u64)).unwrap_or(0);
        let life = self.hosts[usize::from(sender)].lives[0] + 1;
        let says = Says::Alive;
        let truth = Truth {
            sender,
            to: host,
            life,
            serial: 1,
            network,
            says,
            forged: true,
            is_open: false,
        };
        let mut bytes = [0; MAX_PACKET];
        let kind = Kind::Beat;
        let mut seal = Seal::new(CLUSTER, sender, life);
        seal.accept(host, 0, &PairSecret::shared(FORGER, CLUSTER, sender, host));
        let length = seal.seal(kind, (host, network), &[2; 23], &mut bytes);
        self.inject(host, network, &bytes[..length], truth);
        if let Some((recorded, known)) = self.recorded.first().cloned() {
            let mut changed = recorded;
            let at = usize::try_from(self.chance.below(changed.len() as u64)).unwrap_or(0);
            changed[at] ^= 1 << self.chance.below(8);
            // What was never sealed is no letter at all.
            self.inject(host, network, &changed, Truth { forged: true, to: host, ..known });
        }
        let length = usize::try_from(self.chance.below(80)).unwrap_or(0);
        for byte in &mut bytes[..length] {
            *byte = u8::try_from(self.chance.below(256)).unwrap_or(0);
        }
        self.inject(host, network, &bytes[..length], truth);
        self.cut_tether(host);
    }

    /// From the switch itself: no cut helps.
    pub(super) fn inject(&mut self, host: u16, network: u8, bytes: &[u8], truth: Truth) {
        let letter = self.nets.write(bytes, truth);
        self.send(Packet { from: host, to: host, network, frame: Frame::Letter(letter) });
        self.nets.settle(letter);
    }

    pub(super) fn local(&self, host: u16) -> Time {
        self.hosts[usize::from(host)].clock.local(self.now)
    }
}

/// Whether what is for one, or for all, is for this one.
fn is_meant(only: Option<u16>, to: u16) -> bool {
    only.is_none_or(|only| only == to)
}
