//! Virtual IPs that VRRP holds together (`sync_group`), in storms: whatever dies, is cut off or lost, once all is well one node has all of
//! them, and until then no node has a part of them that could have all or none.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::Time;
use config::vip::{Address, Protocol};
use engine::Buffer;
use engine::vip::packet::Addresses;
use engine::vip::{
    Action, Advert, Config, HandOver, Hello, Input, Peer, Stance, Undone, Vip, together,
};
use outlast_sim::Chance;

const SEEDS: u64 = 150;
const NODES: usize = 3;
const MS: u64 = 1_000_000;
const STORM: u64 = 8000 * MS;
/// Three adverts and the skew twice, as two may find each other first.
const WELL: u64 = 12_000 * MS;
/// So long nothing moves then.
const STILL: u64 = 6000 * MS;
const WAY: u64 = 300_000;
/// More than any group needs to agree.
const TELLINGS: usize = 24;
const PRIORITIES: [u8; NODES] = [200, 150, 100];

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Its process dies, and its supervisor takes the addresses off. Another one comes after a while.
    Kill {
        node: usize,
        back: u64,
    },
    /// It ends in order.
    Stop {
        node: usize,
        back: u64,
    },
    Carrier {
        node: usize,
        member: usize,
        up: bool,
    },
    Cut {
        from: usize,
        to: usize,
    },
    Isolate {
        node: usize,
    },
    Heal,
    /// Of a thousand packets.
    Lose {
        lost: u64,
    },
    Pause {
        node: usize,
        until: u64,
    },
    Move {
        member: usize,
        to: usize,
    },
    /// The kernel takes no address.
    Refuse {
        node: usize,
        refuses: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Advert { from: usize, priority: u8 },
    Hello(Hello),
    HandOver(HandOver),
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Fault(Fault),
    Start(usize),
    Arrives { to: usize, member: usize, word: Word },
    Calm,
    Judge,
    Look { end: u64, holder: usize },
}

struct Node {
    /// Empty: no process runs.
    members: Vec<Vip>,
    life: u64,
    has: Vec<bool>,
    up: Vec<bool>,
    refuses: bool,
    paused: u64,
}

struct World {
    members: usize,
    preempt: bool,
    now: u64,
    number: u64,
    queue: BTreeMap<(u64, u64), Event>,
    nodes: Vec<Node>,
    cut: [[bool; NODES]; NODES],
    lost: u64,
    chance: Chance,
}

fn source(node: usize) -> IpAddr {
    Ipv4Addr::new(10, 79, 0, 41 + u8::try_from(node).unwrap()).into()
}

fn held(member: usize) -> [u8; 4] {
    [10, 79, 0, 101 + u8::try_from(member).unwrap()]
}

fn router_id(member: usize) -> u8 {
    121 + u8::try_from(member).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x0b0_0123);
        let (members, preempt) = (chance.choose(&[2, 2, 3]), chance.one_in(2));
        let node = |_| Node {
            members: vec![],
            life: 0,
            has: vec![false; members],
            up: vec![true; members],
            refuses: false,
            paused: 0,
        };
        let mut world = Self {
            members,
            preempt,
            now: 0,
            number: 0,
            queue: BTreeMap::new(),
            nodes: (0..NODES).map(node).collect(),
            cut: [[false; NODES]; NODES],
            lost: 0,
            chance,
        };
        for node in 0..NODES {
            let delay = world.chance.below(500 * MS);
            world.after(delay, Event::Start(node));
        }
        for _ in 0..5 + world.chance.below(10) {
            let at = 5000 * MS + world.chance.below(STORM);
            let fault = world.roll();
            world.after(at, Event::Fault(fault));
        }
        world.after(5000 * MS + STORM, Event::Calm);
        world
    }

    fn roll(&mut self) -> Fault {
        let chance = &mut self.chance;
        let mut one = |of: usize| usize::try_from(chance.below(of as u64)).unwrap();
        let (node, other, member) = (one(NODES), one(NODES - 1), one(self.members));
        let other = (node + 1 + other) % NODES;
        match chance.below(16) {
            0..3 => Fault::Kill { node, back: chance.below(3000 * MS) },
            3..5 => Fault::Stop { node, back: chance.below(3000 * MS) },
            5..7 => Fault::Carrier { node, member, up: chance.one_in(3) },
            7..9 => Fault::Cut { from: node, to: other },
            9 => Fault::Isolate { node },
            10 => Fault::Heal,
            11..13 => Fault::Lose { lost: chance.choose(&[0, 200, 700]) },
            13 => Fault::Pause { node, until: chance.below(5000 * MS) },
            14 => Fault::Move { member, to: other },
            _ => Fault::Refuse { node, refuses: chance.one_in(2) },
        }
    }

    fn after(&mut self, span: u64, event: Event) {
        self.number += 1;
        self.queue.insert((self.now + span, self.number), event);
    }

    /// What was not as it has to be.
    fn run(mut self) -> Result<(), String> {
        loop {
            let due = |node: &usize| {
                let node = &self.nodes[*node];
                let first = node.members.iter().map(|vip| vip.deadline().as_nanos()).min();
                first.map_or(u64::MAX, |first| first.max(node.paused))
            };
            let next = (0..NODES).min_by_key(due).unwrap();
            let (at, event) = (due(&next), self.queue.keys().next().copied());
            if let Some(key) = event.filter(|(queued, _)| *queued <= at) {
                let event = self.queue.remove(&key).unwrap();
                self.now = self.now.max(key.0);
                if self.event(event)? {
                    return Ok(());
                }
                continue;
            }
            self.now = self.now.max(at);
            let now = Time::from_nanos(self.now);
            let members = &self.nodes[next].members;
            let member = members.iter().position(|vip| vip.deadline() <= now).unwrap();
            self.tell(next, member, Input::Timeout)?;
        }
    }

    /// True: it is over.
    fn event(&mut self, event: Event) -> Result<bool, String> {
        match event {
            Event::Fault(fault) => self.fault(fault)?,
            Event::Start(node) => self.start(node)?,
            Event::Arrives { to, member, word } => {
                if self.nodes[to].paused > self.now {
                    let later = self.nodes[to].paused - self.now;
                    self.after(later, event);
                } else {
                    self.hear(to, member, word)?;
                }
            }
            Event::Calm => self.calm()?,
            Event::Judge => {
                let holder = self.holder()?;
                let end = self.now + STILL;
                self.after(50 * MS, Event::Look { end, holder });
            }
            Event::Look { end, holder } => {
                let now = self.holder()?;
                if now != holder {
                    return Err(format!("it moves from {holder} to {now} though all is well"));
                }
                if self.now >= end {
                    return Ok(true);
                }
                self.after(50 * MS, Event::Look { end, holder });
            }
        }
        Ok(false)
    }

    /// The one node that has all of them, and nobody else has any.
    fn holder(&self) -> Result<usize, String> {
        let has: Vec<_> = self.nodes.iter().map(|node| node.has.clone()).collect();
        let full: Vec<usize> =
            (0..NODES).filter(|node| has[*node].iter().all(|has| *has)).collect();
        let any = has.iter().filter(|has| has.iter().any(|has| *has)).count();
        match full[..] {
            [one] if any == 1 => Ok(one),
            _ => Err(format!("nobody, or more than one, has the group: {has:?}")),
        }
    }

    fn start(&mut self, node: usize) -> Result<(), String> {
        if !self.nodes[node].members.is_empty() {
            return Ok(());
        }
        self.nodes[node].life += 1;
        let made = |member| self.vip(node, member);
        self.nodes[node].members = (0..self.members).map(made).collect();
        for member in 0..self.members {
            let up = self.nodes[node].up[member];
            self.tell(node, member, Input::Carrier { interface: 0, up })?;
        }
        Ok(())
    }

    fn vip(&self, node: usize, member: usize) -> Vip {
        let number = |node: usize| u16::try_from(node).unwrap();
        let others = (0..NODES).filter(|other| *other != node);
        let peer = |other| Peer { node: number(other), addresses: vec![source(other)] };
        let address = Address::plain(Ipv4Addr::from(held(member)).into());
        let vip = config::vip::Vip {
            priority: PRIORITIES[node],
            preempt: self.preempt,
            sync_group: Some("router".to_owned()),
            ..config::vip::Vip::plain("one", "eth0", router_id(member), vec![address])
        };
        let config = Config {
            vip,
            node: number(node),
            life: self.nodes[node].life,
            source: source(node),
            network: Some(0),
            peers: others.map(peer).collect(),
            starts_at: Time::ZERO,
            adopted: false,
        };
        Vip::new(config, Time::from_nanos(self.now))
    }

    fn fault(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Kill { node, back } => {
                self.nodes[node].members.clear();
                self.nodes[node].has.fill(false);
                self.after(back, Event::Start(node));
            }
            Fault::Stop { node, back } => {
                for member in 0..self.nodes[node].members.len() {
                    self.tell(node, member, Input::Stop)?;
                }
                self.nodes[node].members.clear();
                self.after(back, Event::Start(node));
            }
            Fault::Carrier { node, member, up } => self.carrier(node, member, up)?,
            Fault::Cut { from, to } => self.cut[from][to] = true,
            Fault::Isolate { node } => {
                self.cut[node].fill(true);
                self.cut.iter_mut().for_each(|row| row[node] = true);
            }
            Fault::Heal => self.cut = [[false; NODES]; NODES],
            Fault::Lose { lost } => self.lost = lost,
            Fault::Pause { node, until } => self.nodes[node].paused = self.now + until,
            Fault::Move { member, to } => {
                let to = u16::try_from(to).unwrap();
                for node in 0..NODES {
                    self.tell(node, member, Input::MoveTo { node: to })?;
                }
            }
            Fault::Refuse { node, refuses } => self.nodes[node].refuses = refuses,
        }
        Ok(())
    }

    fn carrier(&mut self, node: usize, member: usize, up: bool) -> Result<(), String> {
        self.nodes[node].up[member] = up;
        self.tell(node, member, Input::Carrier { interface: 0, up })
    }

    fn calm(&mut self) -> Result<(), String> {
        (self.cut, self.lost) = ([[false; NODES]; NODES], 0);
        for node in 0..NODES {
            (self.nodes[node].paused, self.nodes[node].refuses) = (self.now, false);
            self.start(node)?;
            for member in 0..self.members {
                self.carrier(node, member, true)?;
            }
        }
        self.after(WELL, Event::Judge);
        Ok(())
    }

    fn hear(&mut self, to: usize, member: usize, word: Word) -> Result<(), String> {
        let addresses = [held(member)];
        let told = match word {
            Word::Advert { from, priority } => {
                let advert = Advert {
                    protocol: Protocol::V2,
                    router_id: router_id(member),
                    priority,
                    interval: Duration::from_secs(1),
                    password: None,
                    addresses: Addresses::new(&addresses),
                };
                Input::Advert { source: source(from), advert }
            }
            Word::Hello(hello) => Input::Hello { network: 0, hello },
            Word::HandOver(message) => Input::HandOver(message),
        };
        self.tell(to, member, told)
    }

    /// One member is told something, then its group agrees, then what all of them order is done: releases first, as the driver does.
    fn tell(&mut self, node: usize, member: usize, told: Input<'_>) -> Result<(), String> {
        let now = Time::from_nanos(self.now);
        let members = &mut self.nodes[node].members;
        if members.is_empty() {
            return Ok(());
        }
        let mut orders = vec![];
        let mut step = |members: &mut Vec<Vip>, at: usize, told: Input<'_>| {
            let mut out = Buffer::new();
            members[at].step(now, told, &mut out);
            orders.extend(out.drain().map(|action| (at, action)));
        };
        step(members, member, told);
        for _ in 0..TELLINGS {
            let Some((at, told)) = together::next(&stances(members, now)) else { break };
            step(members, at, Input::Together(told));
        }
        let all = stances(members, now);
        if together::next(&all).is_some() {
            return Err(format!("node {node} does not come to an end: {all:?}"));
        }
        let living = all.iter().filter(|stance| !stance.ended);
        let holds: Vec<bool> = living.map(|stance| stance.holds).collect();
        let waits = all.iter().any(|stance| stance.waits);
        if holds.windows(2).any(|two| two[0] != two[1]) && !waits {
            return Err(format!("node {node} holds a part: {all:?}"));
        }
        orders.sort_by_key(|(_, action)| *action != Action::Release);
        let mut refused = vec![false; self.members];
        for (at, action) in orders {
            if !(Undone { claim: refused[at], release: false }).forbids(&action) {
                self.act(node, at, action, &mut refused[at]);
            }
        }
        for at in (0..self.members).filter(|at| refused[*at]) {
            self.tell(node, at, Input::Refused)?;
        }
        Ok(())
    }

    fn act(&mut self, node: usize, member: usize, action: Action, refused: &mut bool) {
        let word = match action {
            Action::Claim => {
                *refused = self.nodes[node].refuses;
                self.nodes[node].has[member] = !*refused;
                return;
            }
            Action::Release => {
                self.nodes[node].has[member] = false;
                return;
            }
            Action::Advertise { priority } => Word::Advert { from: node, priority },
            Action::Hello(hello) => Word::Hello(hello),
            Action::HandOver(message) => Word::HandOver(message),
            // Nobody but these nodes has any of them.
            Action::Announce | Action::Probe | Action::Report => return,
        };
        for to in (0..NODES).filter(|to| *to != node) {
            if !self.cut[node][to] && !self.chance.permille(self.lost) {
                let way = WAY + self.chance.below(WAY);
                self.after(way, Event::Arrives { to, member, word });
            }
        }
    }
}

fn stances(members: &[Vip], now: Time) -> Vec<Stance> {
    members.iter().map(|vip| vip.stance(now)).collect()
}

#[test]
fn after_any_storm_one_node_has_all_of_a_sync_group_and_none_has_a_part() {
    let broken = |seed| {
        let world = World::new(seed);
        let (members, preempt) = (world.members, world.preempt);
        let what = world.run().err()?;
        Some(format!("seed {seed} ({members} members, preempt {preempt}): {what}"))
    };
    let broken: Vec<String> = (0..SEEDS).filter_map(broken).collect();
    assert!(broken.is_empty(), "{} of {SEEDS}: {broken:#?}", broken.len());
}
