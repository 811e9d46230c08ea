//! A thousand nodes that gossip, in one thread on virtual time: the real machine, a network of ours.
//!
//! Packets are handed over opened: sealing a thousand nodes' packets would be most of the time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use base::Time;
use engine::gossip::{Action, Gossip, Input, Roster};
use engine::packet::{Kind, MAX_NETWORKS, Opened, PairSecret, Seal};
use engine::verdict::Verdict;

use crate::Chance;

/// What a packet has beside its body: ours, UDP's and IPv4's heads (bytes).
const AROUND: u64 = 44 + 8 + 20;
/// On its way: at least this, and less than [`JITTER`] more.
const DELAY: Duration = Duration::from_micros(100);
const JITTER: Duration = Duration::from_micros(400);

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub controllers: u16,
    pub computes: u16,
    pub networks: u8,
    pub detect: Duration,
    /// Packets of a thousand that are lost.
    pub loss: u64,
    pub seed: u64,
}

/// Somebody's verdict on a node became another one.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    pub at: Time,
    pub by: u16,
    pub node: u16,
    pub verdict: Verdict,
}

#[derive(Debug)]
struct Host {
    machine: Option<Gossip>,
    life: u64,
    wake_at: Time,
    paused_until: Time,
    /// By receiver: the newest number.
    seqs: Vec<u32>,
    /// Networks from which it is cut off.
    cut: [bool; MAX_NETWORKS],
    /// Nobody listens, and its kernel says so.
    refuses: bool,
    /// Whose packets it refuses though it lives.
    shuns: Vec<u16>,
    /// Controllers that are tethered to it, and on which network.
    tethers: Vec<(u16, u8)>,
}

impl Host {
    /// Whether its kernel refuses what that one sends.
    fn refuses_of(&self, from: u16) -> bool {
        self.refuses || self.shuns.contains(&from)
    }
}

#[derive(Debug)]
enum What {
    Wake(u16),
    Packet {
        from: u16,
        to: u16,
        network: u8,
        life: u64,
        seq: u64,
        body: Vec<u8>,
    },
    /// What the kernel of `of` tells this node.
    Word {
        to: u16,
        of: u16,
        network: u8,
        word: Word,
    },
}

/// A kernel's word about the processes of its host.
#[derive(Clone, Copy, Debug)]
enum Word {
    /// Nobody listens where that packet went.
    Refused,
    /// The connection stands.
    Tethered,
    /// It is closed.
    Closed,
}

#[derive(Debug)]
struct Coming {
    at: Time,
    number: u64,
    what: What,
}

impl PartialEq for Coming {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Coming {}

impl PartialOrd for Coming {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Coming {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// All of them.
#[derive(Debug)]
pub struct Crowd {
    pub now: Time,
    pub judged: Vec<Judged>,
    pub events: u64,
    setup: Setup,
    hosts: Vec<Host>,
    coming: BinaryHeap<Reverse<Coming>>,
    numbers: u64,
    chance: Chance,
    /// Bytes sent, by node and network.
    sent: Vec<[u64; MAX_NETWORKS]>,
    out: Vec<Action>,
    parted: Vec<(u16, u16)>,
}

impl Crowd {
    /// All of them start within a second.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let nodes = usize::from(setup.controllers + setup.computes);
        let host = || Host {
            machine: None,
            life: 1_700_000_000_000,
            wake_at: Time::NEVER,
            paused_until: Time::ZERO,
            seqs: vec![0; nodes],
            cut: [false; MAX_NETWORKS],
            refuses: false,
            shuns: vec![],
            tethers: vec![],
        };
        let mut crowd = Self {
            now: Time::from_nanos(1_000_000_000),
            judged: vec![],
            events: 0,
            setup,
            hosts: (0..nodes).map(|_| host()).collect(),
            coming: BinaryHeap::new(),
            numbers: 0,
            chance: Chance::new(setup.seed),
            sent: vec![[0; MAX_NETWORKS]; nodes],
            out: vec![],
            parted: vec![],
        };
        for node in 0..setup.controllers + setup.computes {
            crowd.start(node);
        }
        crowd
    }

    /// With a new life, as a machine that was switched on.
    pub fn start(&mut self, node: u16) {
        let Setup { controllers, computes, networks, detect, seed, .. } = self.setup;
        let mut on = [false; MAX_NETWORKS];
        on[..usize::from(networks)].fill(true);
        let roster = Roster {
            controllers,
            networks: (0..networks).map(|network| format!("net{network}")).collect(),
            on: vec![on; usize::from(controllers + computes)],
            detect,
        };
        let host = &mut self.hosts[usize::from(node)];
        host.life += 1 + self.now.as_nanos() / 1_000_000;
        host.seqs.fill(0);
        host.refuses = false;
        // Its former process may have left an alarm behind, which is over.
        host.wake_at = Time::NEVER;
        let mut seal = Seal::new("crowd", node, host.life);
        seal.accept(u16::from(node == 0), 0, &PairSecret::new([7; 32]));
        let seed = seed.wrapping_mul(1_000_003) + host.life;
        host.machine = Some(Gossip::new(roster, node, seal, seed, self.now));
        if controllers > 1 && node < controllers {
            self.step(node, Input::Quorum(true));
        }
        self.plan(node);
    }

    /// From now on it says and hears nothing, and nobody is told.
    pub fn crash(&mut self, node: u16) {
        let host = &mut self.hosts[usize::from(node)];
        (host.machine, host.refuses) = (None, false);
        host.tethers.clear();
    }

    /// All of its processes end at once; its kernel lives on, closes what they had open and refuses what comes.
    pub fn kill(&mut self, node: u16) {
        let host = &mut self.hosts[usize::from(node)];
        (host.machine, host.refuses) = (None, true);
        for (to, network) in std::mem::take(&mut host.tethers) {
            self.word((to, node), network, Word::Closed);
        }
    }

    /// The kernel of `of` refuses from now on what that controller sends, and ends its connections: as a firewall there.
    pub fn refuse(&mut self, controller: u16, of: u16) {
        let host = &mut self.hosts[usize::from(of)];
        host.shuns.push(controller);
        let tethers = std::mem::take(&mut host.tethers);
        let (gone, kept): (Vec<_>, Vec<_>) =
            tethers.into_iter().partition(|(to, _)| *to == controller);
        host.tethers = kept;
        gone.into_iter().for_each(|(to, network)| self.word((to, of), network, Word::Closed));
    }

    /// The connections of controllers to it are gone, and it is not told; they come back when they look.
    pub fn forget_tethers(&mut self, node: u16) {
        self.hosts[usize::from(node)].tethers.clear();
    }

    /// It ends in order.
    pub fn leave(&mut self, node: u16) {
        self.step(node, Input::Leave);
        self.kill(node);
    }

    /// Nothing of it passes on that network, or passes again.
    pub fn cut(&mut self, node: u16, network: u8, is_cut: bool) {
        self.hosts[usize::from(node)].cut[usize::from(network)] = is_cut;
    }

    /// It stands still, and goes on as if nothing had been.
    pub fn pause(&mut self, node: u16, span: Duration) {
        self.hosts[usize::from(node)].paused_until = self.now + span;
    }

    /// Nothing passes between these two, on any network, or passes again.
    pub fn part(&mut self, a: u16, b: u16, is_parted: bool) {
        let pair = (a.min(b), a.max(b));
        self.parted.retain(|parted| *parted != pair);
        if is_parted {
            self.parted.push(pair);
        }
    }

    /// What its agent tells it beside packets.
    pub fn tell(&mut self, node: u16, input: Input<'_>) {
        self.step(node, input);
    }

    #[must_use]
    pub fn machine(&self, node: u16) -> Option<&Gossip> {
        self.hosts[usize::from(node)].machine.as_ref()
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.run_until(end, |_| false);
    }

    /// Runs until `is_over` says so after an event, at most until `end`; true if it did.
    pub fn run_until(&mut self, end: Time, is_over: impl Fn(&Self) -> bool) -> bool {
        if is_over(self) {
            return true;
        }
        while self.coming.peek().is_some_and(|Reverse(coming)| coming.at <= end) {
            let Some(Reverse(Coming { at, what, .. })) = self.coming.pop() else { break };
            self.now = at;
            self.events += 1;
            let (What::Wake(node) | What::Packet { to: node, .. } | What::Word { to: node, .. }) =
                what;
            let paused_until = self.hosts[usize::from(node)].paused_until;
            if paused_until > at {
                // Packets wait in the socket's buffer, timers in the kernel.
                self.push(paused_until, what);
                continue;
            }
            let judged = self.judged.len();
            match what {
                What::Wake(node) => self.wake(node),
                What::Word { to, of: node, network, word } => {
                    let input = match word {
                        Word::Refused => Input::Refused { node, network },
                        Word::Tethered => Input::Tether { node, network, holds: true },
                        Word::Closed => Input::Tether { node, network, holds: false },
                    };
                    self.step(to, input);
                }
                What::Packet { from, to, network, .. }
                    if self.hosts[usize::from(to)].refuses_of(from) =>
                {
                    self.word((from, to), network, Word::Refused);
                }
                What::Packet { from, to, network, life, seq, body } => {
                    let packet = Opened {
                        sender: from,
                        network,
                        kind: Kind::Gossip,
                        incarnation: life,
                        seq,
                        body: &body,
                    };
                    self.step(to, Input::Opened { network, packet });
                }
            }
            if self.judged.len() > judged && is_over(self) {
                return true;
            }
        }
        self.now = end;
        false
    }

    /// Whether all controllers have that verdict on `node`.
    #[must_use]
    pub fn all_say(&self, node: u16, verdict: Verdict) -> bool {
        (0..self.setup.controllers).all(|by| self.says(by, node, verdict))
    }

    #[must_use]
    pub fn says(&self, by: u16, node: u16, verdict: Verdict) -> bool {
        self.machine(by).is_none_or(|machine| machine.opinion(node).verdict == verdict)
    }

    /// Bytes sent by each node on each network since the last call.
    pub fn take_sent(&mut self) -> Vec<[u64; MAX_NETWORKS]> {
        let nodes = self.sent.len();
        std::mem::replace(&mut self.sent, vec![[0; MAX_NETWORKS]; nodes])
    }

    fn wake(&mut self, node: u16) {
        let host = &self.hosts[usize::from(node)];
        if host.wake_at > self.now || host.machine.is_none() {
            return;
        }
        self.hosts[usize::from(node)].wake_at = Time::NEVER;
        self.step(node, Input::Timeout);
    }

    fn step(&mut self, node: u16, input: Input<'_>) {
        let mut out = std::mem::take(&mut self.out);
        if let Some(machine) = &mut self.hosts[usize::from(node)].machine {
            machine.step(self.now, input, &mut out);
        }
        for action in out.drain(..) {
            match action {
                Action::Send { to, network, body } => self.send(node, to, network, body),
                Action::Tether { node: to, network } => self.tether(node, to, network),
                Action::Opinion { node: about, verdict, .. } => {
                    self.judged.push(Judged { at: self.now, by: node, node: about, verdict });
                }
                Action::Verdict { .. } | Action::Duty { .. } | Action::Carried { .. } => {}
            }
        }
        self.out = out;
        self.plan(node);
    }

    /// When it is to be woken next.
    fn plan(&mut self, node: u16) {
        let host = &mut self.hosts[usize::from(node)];
        let Some(machine) = &host.machine else { return };
        let at = machine.deadline().max(self.now);
        if at < host.wake_at {
            host.wake_at = at;
            self.push(at, What::Wake(node));
        }
    }

    fn send(&mut self, from: u16, to: u16, network: u8, body: Vec<u8>) {
        let at = usize::from(network);
        self.sent[usize::from(from)][at] += AROUND + u64::try_from(body.len()).unwrap_or(0);
        let host = &mut self.hosts[usize::from(from)];
        let seq = &mut host.seqs[usize::from(to)];
        *seq += 1;
        let (seq, life) = (u64::from(*seq), host.life);
        if self.is_cut(from, to, network) || self.chance.permille(self.setup.loss) {
            return;
        }
        let when = self.now + DELAY + self.chance.span(JITTER);
        self.push(when, What::Packet { from, to, network, life, seq, body });
    }

    fn is_cut(&self, from: u16, to: u16, network: u8) -> bool {
        let is_out = |host: u16| self.hosts[usize::from(host)].cut[usize::from(network)];
        is_out(from) || is_out(to) || self.parted.contains(&(from.min(to), from.max(to)))
    }

    /// A kernel's word about `of` comes to `to`, as other packets do.
    fn word(&mut self, (to, of): (u16, u16), network: u8, word: Word) {
        if !self.is_cut(to, of, network) && !self.chance.permille(self.setup.loss) {
            let when = self.now + DELAY + self.chance.span(JITTER);
            self.push(when, What::Word { to, of, network, word });
        }
    }

    /// A controller connects to a node; where that is not possible it is tried again when it looks for it next.
    fn tether(&mut self, from: u16, to: u16, network: u8) {
        let is_cut = self.is_cut(from, to, network);
        let host = &mut self.hosts[usize::from(to)];
        let tether = (from, network);
        host.tethers.retain(|known| *known != tether);
        if host.machine.is_some() && !is_cut && !host.refuses_of(from) {
            host.tethers.push(tether);
            self.word((from, to), network, Word::Tethered);
        }
    }

    fn push(&mut self, at: Time, what: What) {
        self.numbers += 1;
        self.coming.push(Reverse(Coming { at, number: self.numbers, what }));
    }
}
