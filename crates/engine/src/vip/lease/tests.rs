use std::collections::VecDeque;

use expect_test::{Expect, expect};

use super::*;
use crate::packet::MAX_BODY;

mod alone;
mod bequest;
mod counting;
mod foreign;
mod in_use;
mod machine;
mod machines;
mod networks;
mod pace;
mod promise;
mod proof;
mod reference;
mod spread;
mod strict;
mod together;
mod wire;

const fn us(micros: u64) -> Time {
    Time::from_nanos(micros * 1000)
}

const fn ms(millis: u64) -> Time {
    us(millis * 1000)
}

const NETWORKS: u8 = 2;
/// Where the address is.
const CLIENTS: u8 = 0;
const SPAN: Duration = Duration::from_millis(40);
/// In which all notice that a gateway is gone.
const SETTLE: Duration = Duration::from_millis(100);
/// Before an address is moved for its place.
const CALM: Duration = Duration::from_millis(500);
/// From one node to another.
const WAY: Duration = Duration::from_micros(300);
/// After this all voters speak.
const AWAKE: u64 = 251;

/// Of the store's first incarnation.
const fn number(list: u32) -> Number {
    Number { store: 1, list }
}

fn voters(list: Option<u32>, nodes: &[u16]) -> Voters {
    Voters::new(list.map(number), nodes).unwrap()
}

fn seat(router_id: u8) -> SeatConfig {
    SeatConfig {
        vip: super::super::tests::vip(router_id),
        beside: vec![],
        order: vec![0, 1, 2],
        networks: 1 << CLIENTS,
        listens: Duration::ZERO,
        needs_proof: false,
        last_man: None,
        rule: Rule::default(),
    }
}

fn config(node: u16) -> Config {
    Config {
        node,
        life: 5,
        closed: true,
        nodes: 3,
        networks: NETWORKS,
        joined: 0,
        voters: voters(None, &[0, 1, 2]),
        unread: false,
        beat: BEAT,
        span: SPAN,
        settle: SETTLE,
        referred: 0,
        calm: CALM,
        seats: vec![seat(121)],
    }
}

#[derive(Clone, Debug)]
struct Letter {
    at: Time,
    network: u8,
    from: u16,
    life: u64,
    to: u16,
    body: Vec<u8>,
}

/// Three nodes with one clock, and what they ordered.
struct Trio {
    now: Time,
    machines: Vec<VipLease>,
    lives: [u64; 3],
    post: VecDeque<Letter>,
    /// From, to.
    cut: [[bool; 3]; 3],
    /// The same where clients are alone.
    quiet: [[bool; 3]; 3],
    /// Does nothing until then.
    paused: [Time; 3],
    story: String,
    told: bool,
    /// Two may hold.
    two_may: bool,
    /// How often the clients were told, by node.
    announced: [u32; 3],
    /// How often it was asked who has an address, by node.
    asked: [u32; 3],
}

impl Trio {
    fn new() -> Self {
        Self::of(|_| {})
    }

    fn of(change: impl Fn(&mut Config)) -> Self {
        let made = |node| {
            let mut config = config(node);
            change(&mut config);
            VipLease::new(&config, Time::ZERO)
        };
        let mut trio = Self {
            now: Time::ZERO,
            machines: (0..3).map(made).collect(),
            lives: [5; 3],
            post: VecDeque::new(),
            cut: [[false; 3]; 3],
            quiet: [[false; 3]; 3],
            paused: [Time::ZERO; 3],
            story: String::new(),
            told: false,
            two_may: false,
            announced: [0; 3],
            asked: [0; 3],
        };
        for node in 0..3 {
            trio.carrier(node, true);
        }
        trio
    }

    /// Awake, and node 0 holds.
    fn held() -> Self {
        let mut trio = Self::new();
        trio.run(AWAKE + 30);
        assert_eq!(trio.holders(), [0]);
        trio.told = true;
        trio
    }

    fn carrier(&mut self, node: usize, up: bool) {
        for vip in 0..self.machines[node].seats.len() {
            let fact = Fact::Carrier { interface: 0, up };
            self.step(node, Input::Fact { vip, fact });
        }
    }

    fn step(&mut self, node: usize, input: Input<'_>) {
        use std::fmt::Write as _;
        let mut out = Buffer::new();
        self.machines[node].step(self.now, input, &mut out);
        assert_eq!(out.lost(), 0);
        let from = u16::try_from(node).unwrap();
        let mut words = vec![];
        for action in out.drain() {
            match action {
                Action::Beat => self.send(from),
                Action::Report { .. } => continue,
                Action::Probe { .. } => {
                    self.asked[node] += 1;
                    continue;
                }
                Action::Announce { .. } => self.announced[node] += 1,
                Action::Close { .. } | Action::Release { .. } | Action::Claim { .. } => {}
            }
            words.push(format!("{action:?}").replace(" { vip: 0 }", ""));
        }
        let silent = words.is_empty() || words == ["Beat"] || words == ["Announce"];
        if self.told && !silent {
            writeln!(self.story, "{} node {node}: {}", self.now, words.join(", ")).unwrap();
        }
        assert!(self.two_may || self.holders().len() < 2, "two hold at {}", self.now);
    }

    fn send(&mut self, from: u16) {
        for to in (0..3).filter(|to| *to != from) {
            let mut body = [0; MAX_BODY];
            let length = self.machines[usize::from(from)].beat(to, &mut body);
            let life = self.lives[usize::from(from)];
            let (at, body) = (self.now + WAY, body[..length].to_vec());
            for network in 0..NETWORKS {
                let body = body.clone();
                self.post.push_back(Letter { at, network, from, life, to, body });
            }
        }
    }

    /// Until this moment (ms).
    fn run(&mut self, until: u64) {
        self.run_to(ms(until));
    }

    fn run_to(&mut self, until: Time) {
        loop {
            let deadline = |node: usize| self.machines[node].deadline().max(self.paused[node]);
            let node = (0..3).min_by_key(|node| deadline(*node)).unwrap();
            let letter = self.post.front().map_or(Time::NEVER, |letter| letter.at);
            let next = letter.min(deadline(node));
            if next >= until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            if letter > next {
                self.step(node, Input::Timeout);
                continue;
            }
            let mut letter = self.post.pop_front().unwrap();
            let to = usize::from(letter.to);
            if self.paused[to] > self.now {
                letter.at = self.paused[to];
                self.post.push_back(letter);
                self.post.make_contiguous().sort_by_key(|letter| letter.at);
            } else if !self.is_lost(&letter) {
                let Letter { network, from, life, body, .. } = &letter;
                let (network, from, life) = (*network, *from, *life);
                self.step(to, Input::Beat { network, from, life, body });
            }
        }
    }

    fn is_lost(&self, letter: &Letter) -> bool {
        let (from, to) = (usize::from(letter.from), usize::from(letter.to));
        self.cut[from][to] || letter.network == CLIENTS && self.quiet[from][to]
    }

    fn run_for(&mut self, millis: u64) {
        self.run_to(self.now + Duration::from_millis(millis));
    }

    /// To the millisecond in which some kernel lets the first address through.
    fn run_until_held(&mut self) {
        while self.holders().is_empty() {
            self.run_for(1);
        }
    }

    /// Goes on until this moment (ms), in which this node alone holds, or none does.
    #[track_caller]
    fn comes_to(&mut self, until: u64, holder: Option<usize>) {
        self.run(until);
        assert_eq!(self.holders(), Vec::from_iter(holder), "at {}", self.now);
    }

    /// Whose kernel lets the first address through.
    fn holders(&self) -> Vec<usize> {
        (0..3).filter(|node| self.machines[*node].until(0) > self.now).collect()
    }

    fn isolate(&mut self, node: usize) {
        for other in 0..3 {
            self.cut[node][other] = true;
            self.cut[other][node] = true;
        }
    }

    /// The process ends and another one begins. What it let through is open still.
    fn restart(&mut self, node: usize, closed: bool) {
        self.restart_with(node, closed, |_| {});
    }

    fn restart_with(&mut self, node: usize, closed: bool, change: impl Fn(&mut Config)) {
        self.lives[node] += 1;
        let mut config = config(u16::try_from(node).unwrap());
        change(&mut config);
        (config.life, config.closed) = (self.lives[node], closed);
        self.machines[node] = VipLease::new(&config, self.now);
        self.carrier(node, true);
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&std::mem::take(&mut self.story));
    }
}
