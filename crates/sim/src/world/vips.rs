//! Drives the vip processes: `engine::vip` of each controller, and what it orders.

use std::time::Duration;

use base::Time;
use config::vip::Protocol;
use engine::Buffer;
use engine::packet::{Kind, Opened};
use engine::vip::packet::Addresses;
use engine::vip::{Action, Advert, Cause, HandOver, Input, Peer, Undone};

use super::host::{ADDRESS, INTERVAL, ROUTER_ID, source};
use super::mark::Mark;
use super::net::{Frame, MAX_NETWORKS, Packet, Word};
use super::queue::Machine;
use super::{MANAGEMENT, World, mix};
use crate::node::Reported;

/// A hello that is older is no reason to name its sender.
const HELLO_LIFE: Duration = Duration::from_millis(1001);
/// A holder that did not run for longer must let go before it speaks.
const STALL: Duration = Duration::from_millis(3_100);
/// A hello counts for a second, and may be late by weather and a slow host.
const SAID: Duration = Duration::from_secs(3);
/// Words of a hand-over that are kept by who records them.
const RECORDS: usize = 16;

/// What a vip process has been told, as the world knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear {
    peers: Vec<Heard>,
    /// An advert that it must respect.
    pub(super) advert_at: Option<Time>,
    pub(super) goodbye_at: Option<Time>,
    pub(super) named_at: Option<Time>,
    pub(super) started_at: Time,
    /// By its own clock.
    pub(super) stepped_at: Time,
    pub(super) woke_at: Option<Time>,
    /// When it last became slower or faster.
    pub(super) hindered_at: Option<Time>,
    /// Hosts that are proven dead, as it was told: one bit each.
    pub(super) dead: u64,
    /// It had not run for long enough to notice.
    pub(super) slept: bool,
}

#[derive(Clone, Debug, Default)]
struct Heard {
    life: u64,
    serial: [[u64; 2]; MAX_NETWORKS],
    hello: Option<(Time, bool)>,
    /// The process that its newest hello was of.
    named: Option<u64>,
}

impl Ear {
    pub(super) fn new(hosts: u16, now: Time, local: Time) -> Self {
        Self {
            peers: vec![Heard::default(); usize::from(hosts)],
            started_at: now,
            stepped_at: local,
            ..Self::default()
        }
    }

    /// Whether a sealed word is news, by a second reading of the rule.
    fn is_news(&mut self, from: u16, network: u8, kind: usize, life: u64, serial: u64) -> bool {
        let heard = &mut self.peers[usize::from(from)];
        if life < heard.life {
            return false;
        }
        if life > heard.life {
            (heard.life, heard.serial) = (life, [[0; 2]; MAX_NETWORKS]);
        }
        let newest = &mut heard.serial[usize::from(network)][kind];
        let news = serial > *newest;
        *newest = serial.max(*newest);
        news
    }
}

impl World {
    pub(super) fn start_vip(&mut self, host: u16) {
        let peers = (0..self.controllers).filter(|other| *other != host);
        let peers = peers.map(|node| Peer { node, addresses: vec![source(node).into()] }).collect();
        let local = self.local(host);
        let node = &mut self.hosts[usize::from(host)];
        node.new_vip(peers, self.now);
        let (up, balancer, rests) = (node.carrier[0], node.balancer, node.rests);
        self.ears[usize::from(host)] = Ear::new(self.controllers, self.now, local);
        self.terms[usize::from(host)] = 0;
        self.vip(host, Input::Carrier { interface: 0, up });
        self.vip(host, Input::Balancer(balancer));
        if rests {
            self.vip(host, Input::Standby(true));
        }
        self.is_told_of_deaths(host);
        self.plan(host, Machine::Vip);
    }

    /// The agent of a host has read that somebody is proven dead, or is no more, and tells its supervisor.
    pub(super) fn learns_of_death(&mut self, host: u16, of: u16, is_dead: bool) {
        let node = &mut self.hosts[usize::from(host)];
        if of >= self.controllers || node.knows_dead(of) == is_dead {
            return;
        }
        node.dead ^= 1 << of;
        if host < self.controllers && node.vip_acts() {
            self.is_told_of_deaths(host);
            self.plan(host, Machine::Vip);
        }
    }

    /// The vip process hears what its supervisor knows.
    pub(super) fn is_told_of_deaths(&mut self, host: u16) {
        let (known, told) = (self.hosts[usize::from(host)].dead, self.ears[usize::from(host)].dead);
        for node in (0..self.controllers).filter(|node| (known ^ told) >> node & 1 == 1) {
            let dead = known >> node & 1 == 1;
            self.ears[usize::from(host)].dead ^= 1 << node;
            self.missed_at = self.now;
            self.vip(host, Input::Proven { node, dead });
        }
    }

    /// The vip process reads from one of its sockets.
    pub(super) fn read_word(&mut self, host: u16, from: u16, network: u8, word: Word) {
        match word {
            Word::Advert { priority } => self.read_advert(host, from, priority),
            Word::Hello { hello, life, serial } => {
                if self.is_news(host, network, Kind::Hello, (from, life, serial)) {
                    let local = self.local(host);
                    let heard = &mut self.ears[usize::from(host)].peers[usize::from(from)];
                    heard.hello = Some((local, hello.eligible));
                    heard.named = Some(hello.life);
                    self.vip(host, Input::Hello { network, hello });
                }
            }
            Word::HandOver { message, life, serial } => {
                if self.is_news(host, network, Kind::HandOver, (from, life, serial)) {
                    self.note_hand_over(host, message);
                    self.vip(host, Input::HandOver(message));
                }
            }
        }
        self.plan(host, Machine::Vip);
    }

    /// It counts for the process that it names, and for those who heard of that process last.
    fn note_hand_over(&mut self, host: u16, message: HandOver) {
        let HandOver { to, to_life, .. } = message;
        let is_named = to == host && to_life == self.hosts[usize::from(host)].lives[1];
        let ear = &mut self.ears[usize::from(host)];
        if is_named {
            ear.named_at = Some(self.now);
        }
        if is_named || (to != host && ear.peers[usize::from(to)].named == Some(to_life)) {
            ear.goodbye_at = Some(self.now);
        } else {
            self.marks.note(Mark::RefusedOutlived);
        }
    }

    fn read_advert(&mut self, host: u16, from: u16, priority: u8) {
        let node = &self.hosts[usize::from(host)];
        let ear = &mut self.ears[usize::from(host)];
        if priority == 0 {
            ear.goodbye_at = Some(self.now);
        } else if !node.preempt || priority >= node.priority {
            ear.advert_at = Some(self.now);
        }
        let addresses = Addresses::new(&ADDRESS);
        let advert = Advert {
            protocol: Protocol::V2,
            router_id: ROUTER_ID,
            priority,
            interval: INTERVAL,
            password: None,
            addresses,
        };
        self.vip(host, Input::Advert { source: source(from).into(), advert });
    }

    fn is_news(
        &mut self,
        host: u16,
        network: u8,
        kind: Kind,
        (from, life, serial): (u16, u64, u64),
    ) -> bool {
        let opened =
            Opened { sender: from, network, kind, incarnation: life, seq: serial, body: &[] };
        let believed = self.hosts[usize::from(host)].replay.is_news(&opened);
        let index = usize::from(kind == Kind::HandOver);
        let news = self.ears[usize::from(host)].is_news(from, network, index, life, serial);
        if believed != news {
            self.fail("S3 sealed", host, &format!("believes {believed} of {opened:?}"));
        }
        if !believed {
            self.marks.note(Mark::RefusedReplay);
        }
        believed
    }

    pub(super) fn vip(&mut self, host: u16, input: Input<'_>) {
        let local = self.local(host);
        let node = &mut self.hosts[usize::from(host)];
        let Some(vip) = &mut node.vip.machine else { return };
        let mut out = Buffer::new();
        vip.step(local, input, &mut out);
        let (cause, term) = (vip.cause(), vip.term());
        let spins = vip.deadline() <= local;
        if spins {
            self.fail("L3 livelock", host, "its vip process has a deadline that has passed");
        }
        if out.lost() > 0 {
            self.fail("S limits", host, "its vip process ordered more than fits");
        }
        let ear = &mut self.ears[usize::from(host)];
        let gap = local.since(ear.stepped_at);
        ear.stepped_at = local;
        let mut step = Step {
            must_let_go: gap > STALL && self.hosts[usize::from(host)].held,
            let_go: false,
            undone: Undone::default(),
        };
        for action in out.drain() {
            self.obey_vip(host, action, cause, &mut step);
        }
        if term < self.terms[usize::from(host)] {
            self.fail("S8 terms", host, "its term has gone back");
        }
        self.terms[usize::from(host)] = term;
    }

    fn obey_vip(&mut self, host: u16, action: Action, cause: Option<Cause>, step: &mut Step) {
        self.orders[usize::from(host)] += 1;
        let held = self.hosts[usize::from(host)].held;
        if step.undone.forbids(&action) {
            self.marks.note(Mark::NamedNobodyBesideIt);
            // It waits for the named one all the same.
            self.ears[usize::from(host)].goodbye_at = Some(self.now);
            return;
        }
        match action {
            Action::Claim => {
                if !held {
                    self.judge_claim(host, cause);
                }
                self.hosts[usize::from(host)].held = true;
                self.hosts[usize::from(host)].kernel.is_off();
                self.hash = mix(self.hash, u64::from(host) << 8 | 1);
                self.say(host, || format!("claims: {cause:?}"));
            }
            Action::Release => {
                if step.must_let_go {
                    self.marks.note(Mark::LetGoAfterStall);
                }
                if cause == Some(Cause::Stronger) {
                    self.marks.note(Mark::GaveWayToStronger);
                    self.settled_at = Some(self.now);
                    // Priorities fall with the number of the host. What one that is gone said
                    // last may still be under way, and is believed for as long as a hello.
                    let lately = |node: &super::Host| node.ran_within(SAID, self.now);
                    if !self.hosts[..usize::from(host)].iter().any(lately) {
                        self.fail("S9 vip", host, "gives way, and nobody is stronger");
                    }
                }
                (step.let_go, step.must_let_go) = (true, false);
                self.hosts[usize::from(host)].held = false;
                step.undone.release = !self.hosts[usize::from(host)].kernel.removes();
                self.hash = mix(self.hash, u64::from(host) << 8 | 2);
                self.say(host, || format!("releases: {cause:?}"));
            }
            Action::Announce => {
                if !held || step.must_let_go {
                    self.fail("S9 vip", host, "sends gratuitous ARP for what it may not hold");
                }
                self.announce(host);
            }
            Action::Advertise { priority } => {
                if priority > 0 && (step.must_let_go || !(held || step.let_go)) {
                    self.fail("S9 vip", host, "advertises what it may not hold");
                }
                self.advertise(host, priority);
            }
            Action::HandOver(message) => self.hands_over(host, message, cause),
            Action::Hello(hello) => {
                self.tell_peers(host, |life, serial| Word::Hello { hello, life, serial });
            }
            // Nobody else is there.
            Action::Probe => {}
            Action::Report => {
                let node = &mut self.hosts[usize::from(host)];
                if let Some(vip) = &node.vip.machine {
                    node.reported = Reported::of(vip);
                }
            }
        }
    }

    fn hands_over(&mut self, host: u16, message: HandOver, cause: Option<Cause>) {
        if self.hosts[usize::from(host)].held {
            self.fail("S1 exclusive", host, "names a successor before it lets go");
        }
        if self.ears[usize::from(host)].dead >> message.to & 1 == 1 {
            let what = format!("names host {}, and knows that it is proven dead", message.to);
            self.fail("S9 proven dead", host, &what);
        }
        if !self.has_heard_able(host, message.to) {
            let what = format!("names host {}, which could not hold", message.to);
            self.fail("L1 successor", host, &what);
        }
        // It waits for the named one as everybody does.
        self.ears[usize::from(host)].goodbye_at = Some(self.now);
        self.marks.note(match cause {
            Some(Cause::Moved) => Mark::MovedByPlan,
            Some(Cause::Standby) => Mark::RestedAndHandedOver,
            Some(Cause::ProvenDead) => Mark::DeadHandedOver,
            _ => Mark::HandedOver,
        });
        self.hand_over(host, message);
    }

    /// Whether the process on `host` heard lately that `other` could hold.
    pub(super) fn has_heard_able(&self, host: u16, other: u16) -> bool {
        let heard = self.ears[usize::from(host)].peers.get(usize::from(other));
        let hello = heard.and_then(|heard| heard.hello);
        let local = self.local(host);
        hello.is_some_and(|(at, able)| able && local.since(at) <= HELLO_LIFE)
    }

    pub(super) fn hand_over(&mut self, host: u16, message: HandOver) {
        if self.hosts[usize::from(host)].kernel.stuck {
            self.fail(
                "S10 stop",
                host,
                "names a successor beside an address that its kernel keeps",
            );
        }
        self.say(host, || format!("names host {} in term {}", message.to, message.term));
        if self.is_heard_by(host, message) {
            self.handed = Some((self.now, message.to, message.to_life));
        }
        let mut kept = None;
        self.tell_peers(host, |life, serial| {
            kept = Some((host, Word::HandOver { message, life, serial }));
            Word::HandOver { message, life, serial }
        });
        if let Some(word) = kept {
            if self.recorded_words.len() == RECORDS {
                self.recorded_words.remove(0);
            }
            self.recorded_words.push(word);
        }
    }

    /// Whether nothing keeps a successor from hearing its name, and from claiming at once.
    fn is_heard_by(&self, from: u16, message: HandOver) -> bool {
        let (own, node) = (&self.hosts[usize::from(from)], &self.hosts[usize::from(message.to)]);
        let mut ways = (0..self.nets.count).filter(|network| {
            let at = usize::from(*network);
            own.carrier[at] && node.carrier[at] && self.nets.carries(*network, from, message.to)
        });
        let woke = self.ears[usize::from(message.to)].woke_at;
        // Another holder may still be there: whoever is named by one that cannot know waits.
        let mut others = (0..self.controllers).filter(|host| *host != from && *host != message.to);
        let has_rival = others.any(|host| {
            let spoke_at = self.hosts[usize::from(host)].spoke_at;
            spoke_at.is_some_and(|at| self.now.since(at) <= INTERVAL * 2)
        });
        let is_settled = |at: Time| self.now.since(at) > super::check::SETTLED;
        self.is_calm
            && self.nets.is_whole(MANAGEMENT)
            && is_settled(self.shaken_at)
            && woke.is_none_or(is_settled)
            && node.eligible()
            && node.lives[1] == message.to_life
            && ways.next().is_some()
            && !has_rival
    }

    /// Clients hear every host that is not cut off, whatever the hosts hear of each other.
    fn announce(&mut self, host: u16) {
        let up = self.hosts[usize::from(host)].carrier[0];
        if up && !self.nets.is_cut(MANAGEMENT, host) {
            self.believed = Some(host);
        }
    }

    pub(super) fn advertise(&mut self, host: u16, priority: u8) {
        if priority > 0 {
            self.hosts[usize::from(host)].spoke_at = Some(self.now);
        }
        let frame = Frame::Word(Word::Advert { priority });
        for to in (0..self.controllers).filter(|to| *to != host) {
            self.send(Packet { from: host, to, network: MANAGEMENT, frame });
        }
    }

    fn tell_peers(&mut self, host: u16, mut word: impl FnMut(u64, u64) -> Word) {
        for network in 0..self.nets.count {
            let node = &mut self.hosts[usize::from(host)];
            node.serial += 1;
            let frame = Frame::Word(word(node.lives[1], node.serial));
            for to in (0..self.controllers).filter(|to| *to != host) {
                self.send(Packet { from: host, to, network, frame });
            }
        }
    }

    /// Hand-overs that somebody recorded come again. He cannot say that they are from another.
    pub(super) fn replay_words(&mut self, host: u16, network: u8) {
        if host >= self.controllers {
            return;
        }
        for place in 0..self.recorded_words.len() {
            let (from, word) = self.recorded_words[place];
            if from != host {
                self.send(Packet { from, to: host, network, frame: Frame::Word(word) });
            }
        }
    }

    /// The vip process of a host is dead, or is killed: what its supervisor does.
    pub(super) fn bury(&mut self, host: u16) {
        self.marks.note(Mark::BuriedBySupervisor);
        self.disturbed_at = self.now;
        let node = &mut self.hosts[usize::from(host)];
        let vip = std::mem::take(&mut node.vip);
        node.vip.turn_at = vip.turn_at;
        node.vip.spawn_at = self.now + super::host::SPAWN;
        // The supervisor speaks under a number of its own.
        node.live(Machine::Vip, self.now);
        // Beside an address that stays its supervisor names nobody (`node/src/vip/rescue.rs`).
        if std::mem::take(&mut node.held) && node.kernel.removes() {
            let reported = node.reported;
            self.say(host, || "releases: its supervisor buries its vip process".to_owned());
            let group = vip.machine.map(|vip| vip.group());
            if let Some(word) = group.and_then(|group| reported.last_word(group, host)) {
                self.hand_over(host, word);
            }
            self.advertise(host, 0);
        }
        self.plan(host, Machine::Vip);
    }
}

/// What one step of the machine has ordered so far.
#[derive(Clone, Copy, Debug)]
struct Step {
    must_let_go: bool,
    let_go: bool,
    undone: Undone,
}
