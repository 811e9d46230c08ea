//! All nodes that are not real.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use base::Time;
use engine::gossip::{Action, Gossip, Input, Roster};
use engine::member::Standing;
use engine::packet::{Kind, MAX_BODY, MAX_NETWORKS, MAX_PACKET, Opened, PairSecret, Seal};
use sys::poll::{Interest, Poller, Ready};
use sys::socket::Listen;

use crate::real::{CLUSTER, PORT, Plan, SECRET, address};

/// On its way between two nodes of this process.
const DELAY: Duration = Duration::from_micros(300);
/// Heads of UDP and IPv4; on loopback the kernel counts one of Ethernet with them.
const HEADS: usize = 28;
const ETHERNET: usize = 14;
/// As exact as timers of a process are.
const TURN: Duration = Duration::from_micros(200);
/// Sockets that are looked at in one turn.
const BATCH: usize = 256;
/// Connections to one of them: one of each controller.
const BACKLOG: u32 = 32;
/// Beside the sockets of those that are played: a program's own.
const OTHER_FILES: u64 = 64;

/// A socket's name for the poller, and back.
const fn token(node: u16, network: u8) -> u64 {
    (node as u64) << 8 | network as u64
}

fn place(token: u64) -> (u16, u8) {
    let [.., high, low, network] = token.to_be_bytes();
    (u16::from_be_bytes([high, low]), network)
}

struct Host {
    machine: Gossip,
    /// What it says to real nodes, and hears of them.
    seal: Seal,
    /// By network, on its address: a real node hears nobody else.
    sockets: Vec<OwnedFd>,
    /// By network: where real controllers connect. The kernel does so by itself, and nobody says anything there.
    _doors: Vec<OwnedFd>,
    /// Without power: it says nothing, and its kernel refuses nothing.
    is_lost: bool,
    wake_at: Time,
    /// By receiver: the newest number.
    seqs: Vec<u32>,
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum What {
    Wake(u16),
    Packet { from: u16, to: u16, network: u8, seq: u32, body: Vec<u8> },
}

pub(crate) struct Crowd {
    /// By position in the cluster file; none: real, or lost.
    hosts: Vec<Option<Host>>,
    plan: Plan,
    life: u64,
    coming: BinaryHeap<Reverse<(Time, u64, What)>>,
    numbers: u64,
    /// All sockets, each with its host and network.
    poller: Poller,
    ready: Vec<Ready>,
    /// Bytes that came from real nodes, by their position among them.
    pub from_real: Vec<u64>,
    /// Bytes that went to them, as the kernel counts them on loopback.
    pub to_real: u64,
    pub worst_lag: Duration,
    out: Vec<Action>,
}

impl Crowd {
    pub(crate) fn new(plan: &Plan) -> io::Result<Self> {
        let (life, now) = (sys::clock::wall_ms(), sys::clock::now());
        sys::rights::raise_open_files(
            2 * u64::from(plan.members) * u64::from(plan.networks) + OTHER_FILES,
        )?;
        let poller = Poller::new()?;
        let host = |me: u16| match plan.real.contains(&me) {
            true => Ok(None),
            false => Host::new(plan, me, (life, now), &poller).map(Some),
        };
        let mut crowd = Self {
            hosts: (0..plan.members).map(host).collect::<io::Result<_>>()?,
            poller,
            ready: Vec::with_capacity(BATCH),
            plan: plan.clone(),
            life,
            coming: BinaryHeap::new(),
            numbers: 0,
            from_real: vec![0; plan.real.len()],
            to_real: 0,
            worst_lag: Duration::ZERO,
            out: vec![],
        };
        (0..plan.controllers).for_each(|node| crowd.step(node, Input::Quorum(true)));
        (0..plan.members).for_each(|node| crowd.plan(node));
        Ok(crowd)
    }

    pub(crate) fn run(&mut self, span: Duration) -> io::Result<()> {
        let end = sys::clock::now() + span;
        loop {
            let now = sys::clock::now();
            if now >= end {
                return Ok(());
            }
            self.hear()?;
            while self.coming.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
                let Some(Reverse((at, _, what))) = self.coming.pop() else { break };
                self.worst_lag = self.worst_lag.max(now.since(at));
                self.happens(now, what);
            }
        }
    }

    /// The last of them lose their power: their sockets stay, as nobody is there to refuse anything.
    pub(crate) fn lose(&mut self, count: u16) {
        let played = self.hosts.iter_mut().rev().flatten();
        played.take(count.into()).for_each(|host| host.is_lost = true);
    }

    /// Controllers that are played and do not hear the last real node.
    pub(crate) fn deaf_to_the_last(&self) -> u16 {
        let real = self.plan.real.end - 1;
        let controllers = self.hosts.iter().take(self.plan.controllers.into()).flatten();
        let deaf = controllers.filter(|host| host.machine.standing(real) != Standing::Alive);
        u16::try_from(deaf.count()).unwrap_or(u16::MAX)
    }

    fn happens(&mut self, now: Time, what: What) {
        match what {
            What::Wake(node) => {
                let Some(host) = &mut self.hosts[usize::from(node)] else { return };
                if host.wake_at <= now {
                    host.wake_at = Time::NEVER;
                    self.step(node, Input::Timeout);
                }
            }
            What::Packet { from, to, network, seq, body } => {
                let (kind, incarnation, seq) = (Kind::Gossip, self.life, u64::from(seq));
                let body = &body;
                let packet = Opened { sender: from, network, kind, incarnation, seq, body };
                self.step(to, Input::Opened { network, packet });
            }
        }
    }

    /// What real nodes sent, for the length of a turn.
    fn hear(&mut self) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(&mut ready, Some(TURN))?;
        for event in &ready {
            let (node, network) = place(event.token);
            while self.hear_on(node, network)? {}
        }
        self.ready = ready;
        Ok(())
    }

    /// Whether there may be more.
    fn hear_on(&mut self, node: u16, network: u8) -> io::Result<bool> {
        let (mut packet, mut body) = ([0; MAX_PACKET], [0; MAX_BODY]);
        let Some(host) = &mut self.hosts[usize::from(node)] else { return Ok(false) };
        let socket = &host.sockets[usize::from(network)];
        let length = match sys::socket::receive_from(socket.as_fd(), &mut packet) {
            Ok((length, _)) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // A real node that had not begun yet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(true),
            Err(error) => return Err(error),
        };
        let opened = host.seal.open(&packet[..length], &mut body);
        let opened = opened.map_err(|error| io::Error::other(error.to_string()))?;
        let real = usize::from(opened.sender.wrapping_sub(self.plan.real.start));
        if let Some(sent) = self.from_real.get_mut(real) {
            *sent += u64::try_from(length + HEADS).unwrap_or(0);
        }
        self.step(node, Input::Opened { network, packet: opened });
        Ok(true)
    }

    fn step(&mut self, node: u16, input: Input<'_>) {
        let Some(host) = &mut self.hosts[usize::from(node)] else { return };
        if host.is_lost {
            return;
        }
        let now = sys::clock::now();
        let mut out = std::mem::take(&mut self.out);
        host.machine.step(now, input, &mut out);
        for action in out.drain(..) {
            if let Action::Send { to, network, body } = action {
                self.send(now, node, (to, network), body);
            }
        }
        self.out = out;
        self.plan(node);
    }

    fn send(&mut self, now: Time, from: u16, (to, network): (u16, u8), body: Vec<u8>) {
        let Some(host) = &mut self.hosts[usize::from(from)] else { return };
        if self.plan.real.contains(&to) {
            let mut packet = [0; MAX_PACKET];
            let length = host.seal.seal(Kind::Gossip, (to, network), &body, &mut packet);
            let address = SocketAddr::new(IpAddr::V4(address(to, network)), PORT);
            let socket = &host.sockets[usize::from(network)];
            // It may not have begun yet.
            let _ = sys::socket::send_to(socket.as_fd(), &packet[..length], address);
            self.to_real += u64::try_from(length + HEADS + ETHERNET).unwrap_or(0);
            return;
        }
        let seq = &mut host.seqs[usize::from(to)];
        *seq += 1;
        let seq = *seq;
        self.push(now + DELAY, What::Packet { from, to, network, seq, body });
    }

    fn plan(&mut self, node: u16) {
        let Some(host) = &mut self.hosts[usize::from(node)] else { return };
        let at = host.machine.deadline();
        if at < host.wake_at {
            host.wake_at = at;
            self.push(at, What::Wake(node));
        }
    }

    fn push(&mut self, at: Time, what: What) {
        self.numbers += 1;
        self.coming.push(Reverse((at, self.numbers, what)));
    }
}

impl Host {
    fn new(plan: &Plan, me: u16, (life, now): (u64, Time), poller: &Poller) -> io::Result<Self> {
        let mut on = [false; MAX_NETWORKS];
        on[..usize::from(plan.networks)].fill(true);
        let roster = Roster {
            controllers: plan.controllers,
            networks: vec!["one".to_owned(), "two".to_owned()],
            on: vec![on; usize::from(plan.members)],
            detect: Duration::from_secs(1),
        };
        let mut seal = Seal::new(CLUSTER, me, life);
        for real in plan.real.clone() {
            seal.accept(real, 0, &PairSecret::shared(SECRET.as_bytes(), CLUSTER, me, real));
        }
        let machine = Gossip::new(roster, me, Seal::new(CLUSTER, me, life), life, now);
        let socket = |network| {
            let socket =
                sys::socket::udp(SocketAddr::new(address(me, network).into(), PORT), None)?;
            poller.add(socket.as_fd(), token(me, network), Interest::READ)?;
            Ok::<_, io::Error>(socket)
        };
        let door = |network| {
            let options = Listen { backlog: BACKLOG, ..Listen::default() };
            sys::socket::listen_tcp(SocketAddr::new(address(me, network).into(), PORT), &options)
        };
        let sockets = (0..plan.networks).map(socket).collect::<io::Result<_>>()?;
        let doors = (0..plan.networks).map(door).collect::<io::Result<_>>()?;
        let (wake_at, seqs) = (Time::NEVER, vec![0; usize::from(plan.members)]);
        Ok(Self { machine, seal, sockets, _doors: doors, is_lost: false, wake_at, seqs })
    }
}
