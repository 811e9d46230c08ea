//! Every order of events of a small cluster: three nodes that all may claim one virtual IP, a vip lease of four ticks.
//!
//! Promises, claims and what a majority grants are the real ones (`engine::vip::lease::{voter, claim}`). When a node
//! asks, gives back, pauses before it writes its gate, dies and starts again is anybody's choice, and so is which
//! packet arrives when, how often and in which order. The search ends because states are told apart only by what can
//! still matter:
//! - Nothing is counted from an origin: ages, and ticks that are left. A beat older than the vip lease is gone.
//! - Whatever a node could say it has said, and the network may deliver any of it at any time, again too, or never: so
//!   packets are no state, and neither are loss, copies, delay and disorder limited.
//! - What could only bind a voter for longer is left out (a claim that its node gave up, or of a dead process): a
//!   promise makes nothing possible. Which of the two others granted a beat does not matter: one of them is enough.
//! - The clock of node 0 differs from the two others', which may change places.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use outlast_engine::vip::lease::claim::{Claim, Sent};
use outlast_engine::vip::lease::voter::{Voter, Word};
use outlast_engine::vip::lease::{Set, Voters, hold};

use cluster::{Broken, CLOSE, Kept, NODES, NOW, Node, State, index, left, ticks, younger};

#[path = "vip_lease_model/cluster.rs"]
mod cluster;

/// Its clock misses a tick, or counts one twice, as often as once in a vip lease.
const SKEWED: usize = 0;
const LONGEST: usize = 4;
/// The search of the unbroken rules has an end before.
const MOST: usize = 2_000_000;

/// What is tried.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// The vip lease, in ticks.
    span: u8,
    /// Whether clocks differ.
    skew: bool,
}

/// A promise is five whole ticks: exactly what one wrong tick in a vip lease needs.
const WHOLE: Size = Size { span: 4, skew: true };
/// A promise of 2.5 ticks is taken for two: enough where clocks agree.
const SMALL: Size = Size { span: 2, skew: false };

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Of the skewed clock: so often.
    Tick(u8),
    Stand(usize),
    GiveUp(usize),
    /// The claim of this age arrives.
    Ask {
        from: usize,
        to: usize,
        age: u8,
    },
    /// A grant of the newest beat that anybody granted arrives.
    Grant {
        to: usize,
        before: bool,
    },
    /// The newest word without a claim of the present or the former process arrives.
    Word {
        from: usize,
        to: usize,
        former: bool,
    },
    Write(usize),
    /// The process dies and another begins; whether it makes sure that nothing is open, and says so.
    Restart {
        node: usize,
        closed: bool,
    },
}

impl Event {
    /// As in [`KINDS`].
    const fn kind(self) -> &'static str {
        match self {
            Self::Tick(0) => "missed tick",
            Self::Tick(1) => "tick",
            Self::Tick(_) => "doubled tick",
            Self::Stand(_) => "stand",
            Self::GiveUp(_) => "give up",
            Self::Ask { .. } => "ask",
            Self::Grant { before: false, .. } => "grant",
            Self::Grant { before: true, .. } => "grant of an earlier claim",
            Self::Word { former: false, .. } => "word",
            Self::Word { former: true, .. } => "word of a former life",
            Self::Write(_) => "write",
            Self::Restart { closed: false, .. } => "restart with an open gate",
            Self::Restart { closed: true, .. } => "restart",
        }
    }
}

/// What has to happen, or the search says little; the two first only where clocks differ. A grant of an earlier
/// claim does nothing while no rule is broken.
const KINDS: [&str; 12] = [
    "missed tick",
    "doubled tick",
    "tick",
    "stand",
    "give up",
    "ask",
    "grant",
    "word",
    "word of a former life",
    "write",
    "restart with an open gate",
    "restart",
];

/// The model with one rule broken, or none.
struct Model {
    broken: Broken,
    size: Size,
    events: Vec<Event>,
    /// Ticks that a claimant may hold: by age of its claim, age of the granted beat, whether of an earlier claim.
    until: [[[u8; 2]; LONGEST + 1]; LONGEST + 1],
}

impl Model {
    fn new(broken: Broken, size: Size) -> Self {
        let (events, until) = (events(size), Default::default());
        let mut model = Self { broken, size, events, until };
        for claim in 1..=size.span {
            for age in 1..=size.span {
                for before in [false, true] {
                    let until = model.count(claim, age, before);
                    model.until[usize::from(claim)][usize::from(age)][usize::from(before)] = until;
                }
            }
        }
        model
    }

    /// What the real claim makes of one voter's grant.
    fn count(&self, claim: u8, age: u8, before: bool) -> u8 {
        if !before && age > claim {
            return 0;
        }
        let mut sent = Sent::default();
        // The beat of an earlier claim, the word between the two, and a beat in each tick.
        let mut send = |age| sent.note(NOW - ticks(age), self.span());
        let earlier = send(age - 1);
        send(claim - 1);
        let own: Vec<u64> = (0..claim).rev().map(send).collect();
        let set = Set::new(Voters::new(None, &[0, 1, 2]).expect("three nodes"), NOW);
        let counts_earlier = self.is(Broken::CountsAnEarlierClaim);
        let mut claim = Claim::new(if counts_earlier { earlier } else { own[0] });
        let granted = if before { earlier } else { own[own.len() - usize::from(age)] };
        claim.granted(1, granted, &set);
        let until = claim.until(NOW, 0, &set, &sent).map_or(0, left);
        if self.is(Broken::CountsFromArrival) && until > 0 { self.size.span } else { until }
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == broken
    }

    fn span(&self) -> Duration {
        ticks(self.size.span)
    }

    /// None: it cannot happen, or changes nothing.
    fn after(&self, mut state: State, event: Event) -> Option<State> {
        match event {
            Event::Tick(count) => self.tick(&mut state, count),
            Event::Stand(me) => state.nodes[me].stand(me),
            Event::GiveUp(me) => self.give_up(&mut state, me),
            Event::Ask { from, to, age } => self.ask(&mut state, from, to, age),
            Event::Grant { to, before } => self.grant(&mut state.nodes[to], before),
            Event::Word { from, to, former } => self.word(&mut state, from, to, former),
            Event::Write(me) => state.nodes[me].write(),
            Event::Restart { node, closed } => self.restart(&mut state, node, closed),
        }?;
        for me in 0..NODES {
            // Only who is bound to a former process asks whether that closed.
            if !state.nodes[me].closed && !state.binds_former(me) {
                state.nodes[me].closed = true;
            }
        }
        Some(state)
    }

    fn tick(&self, state: &mut State, count: u8) -> Option<()> {
        let more = u8::from(self.is(Broken::DriftsOneTickMore));
        if count != 1 && state.steady + more < self.size.span {
            return None;
        }
        state.steady = if count == 1 { (state.steady + 1).min(self.size.span) } else { 0 };
        for (n, node) in state.nodes.iter_mut().enumerate() {
            node.pass(if n == SKEWED { count } else { 1 }, self.size.span, self.broken);
        }
        Some(())
    }

    /// Whatever takes the claim away: no majority, a fact, a stop, a move.
    fn give_up(&self, state: &mut State, me: usize) -> Option<()> {
        let node = &mut state.nodes[me];
        if node.claim == 0 || node.writes > 0 {
            return None;
        }
        node.claim = 0;
        node.granted_before = younger(node.granted, node.granted_before);
        node.granted = 0;
        if self.is(Broken::SpeaksBeforeItCloses) {
            node.writes = CLOSE;
        } else {
            node.gate = 0;
        }
        state.rename(me, |kept| if kept == Kept::Present { Kept::GivenUp } else { kept });
        Some(())
    }

    fn ask(&self, state: &mut State, from: usize, to: usize, age: u8) -> Option<()> {
        let claim = state.nodes[from].claim;
        let node = &mut state.nodes[to];
        if age > claim || node.is_away() {
            return None;
        }
        let forgets = self.is(Broken::ForgetsItsPromise) && node.claim == 0;
        let mut voter = if forgets { Voter::new(NOW) } else { node.voter(to) };
        // A promise of four fifths and a quarter of that is as long as the vip lease.
        let span = if self.is(Broken::IgnoresDrift) { self.span() * 4 / 5 } else { self.span() };
        let (asker, word) = (index(from), Kept::Present.word());
        if !voter.ask(NOW, asker, word, span) || !voter.grants(NOW, asker, word) {
            return None;
        }
        node.keep(&voter);
        let granted = &mut state.nodes[from].granted;
        *granted = younger(*granted, age);
        Some(())
    }

    fn grant(&self, node: &mut Node, before: bool) -> Option<()> {
        let age = if before { node.granted_before } else { node.granted };
        if node.claim == 0 || node.writes > 0 || age == 0 {
            return None;
        }
        let until = self.until[usize::from(node.claim)][usize::from(age)][usize::from(before)];
        node.writes = until;
        (until > node.gate).then_some(())
    }

    fn word(&self, state: &mut State, from: usize, to: usize, former: bool) -> Option<()> {
        let closed = state.nodes[from].closed;
        let node = &mut state.nodes[to];
        let bound = node.promise.filter(|bound| usize::from(bound.to) == from)?;
        if node.writes > 0 || (former && !bound.kept.is_former()) {
            return None;
        }
        let serial = if self.is(Broken::ObeysAnOlderSerial) { u64::MAX } else { 2 };
        let word = Word { life: if former { 1 } else { 2 }, serial };
        let mut voter = node.voter(to);
        voter.release(NOW, index(from), word, closed && !former);
        node.keep(&voter);
        node.promise.is_none().then_some(())
    }

    /// Again only when nobody is bound to the process before: there are two lives at a time.
    fn restart(&self, state: &mut State, me: usize, closed: bool) -> Option<()> {
        if state.binds_former(me) {
            return None;
        }
        let votes = self.is(Broken::VotesAfterRestart);
        let silent = if votes { 0 } else { left(NOW + hold(self.span())) };
        let gate = if closed { 0 } else { state.nodes[me].gate };
        let closed = closed || self.is(Broken::BelievesALaterLife);
        state.nodes[me] = Node { gate, silent, closed, ..Node::NEW };
        state.rename(me, |kept| match kept {
            Kept::Present | Kept::Former => Kept::Former,
            Kept::GivenUp | Kept::FormerGivenUp => Kept::FormerGivenUp,
        });
        Some(())
    }
}

fn events(size: Size) -> Vec<Event> {
    let wrong: &[Event] = if size.skew { &[Event::Tick(0), Event::Tick(2)] } else { &[] };
    let mut events = [&[Event::Tick(1)], wrong].concat();
    for me in 0..NODES {
        events.extend([Event::Stand(me), Event::GiveUp(me), Event::Write(me)]);
        events.extend([false, true].map(|before| Event::Grant { to: me, before }));
        events.extend([false, true].map(|closed| Event::Restart { node: me, closed }));
        for to in (0..NODES).filter(|to| *to != me) {
            events.extend((1..=size.span).map(|age| Event::Ask { from: me, to, age }));
            events.extend([false, true].map(|former| Event::Word { from: me, to, former }));
        }
    }
    events
}

/// What a search found.
#[derive(Debug, Default)]
struct Found {
    states: usize,
    depth: usize,
    /// A shortest way to two holders.
    two: Option<Vec<Event>>,
    held: [bool; NODES],
    /// The gate of a dead process was open.
    outlived: bool,
    /// What happened at all.
    kinds: BTreeSet<&'static str>,
}

/// Breadth first.
fn search(broken: Broken, size: Size) -> Found {
    let model = Model::new(broken, size);
    let start = State { nodes: [Node::NEW; NODES], steady: size.span };
    let mut found = Found::default();
    let mut seen = HashSet::from([start.key()]);
    let mut states = vec![(start, 0)];
    // Where each came from, and by what.
    let mut steps = vec![(0, Event::Tick(1))];
    let mut at = 0;
    while let Some((state, depth)) = states.get(at).copied() {
        found.depth = depth;
        if state.holders() > 1 {
            let mut way = vec![];
            while at > 0 {
                way.push(steps[at].1);
                at = steps[at].0;
            }
            way.reverse();
            found.two = Some(way);
            break;
        }
        for (n, node) in state.nodes.iter().enumerate() {
            found.held[n] |= node.gate > 0;
            found.outlived |= node.gate > 0 && node.silent > 0;
        }
        assert!(states.len() < MOST, "no end in sight, {depth} events deep");
        for event in &model.events {
            let Some(next) = model.after(state, *event) else { continue };
            found.kinds.insert(event.kind());
            if seen.insert(next.key()) {
                states.push((next, depth + 1));
                steps.push((at, *event));
            }
        }
        at += 1;
    }
    found.states = states.len();
    found
}

#[test]
fn no_order_of_events_of_three_nodes_makes_two_holders() {
    for size in [SMALL, WHOLE] {
        let found = search(Broken::Nothing, size);
        eprintln!("{} states, up to {} events deep: {size:?}", found.states, found.depth);
        assert!(found.two.is_none(), "{found:#?}");
        assert!(found.held[0] && (found.held[1] || found.held[2]), "not all held: {found:?}");
        assert!(found.outlived, "no gate outlived its process");
        let wanted = if size.skew { &KINDS[..] } else { &KINDS[2..] };
        assert_eq!(found.kinds, BTreeSet::from_iter(wanted.iter().copied()), "{size:?}");
        assert!(!size.skew || found.states > 1_000_000, "{} states", found.states);
    }
}

#[test]
fn each_rule_of_the_vip_lease_that_is_broken_on_purpose_makes_two_holders() {
    for (broken, size) in [
        (Broken::IgnoresDrift, WHOLE),
        // The bound of `WHOLE` is the last one that holds.
        (Broken::DriftsOneTickMore, WHOLE),
        (Broken::ForgetsItsPromise, SMALL),
        (Broken::CountsFromArrival, SMALL),
        (Broken::VotesAfterRestart, SMALL),
        (Broken::ObeysAnOlderSerial, SMALL),
        (Broken::BelievesALaterLife, SMALL),
        (Broken::CountsAnEarlierClaim, SMALL),
        (Broken::WritesASpanIntoTheGate, SMALL),
        (Broken::SpeaksBeforeItCloses, SMALL),
    ] {
        let found = search(broken, size);
        let Some(way) = found.two else { panic!("{broken:?}: nothing, {} states", found.states) };
        eprintln!("{broken:?}: {} events, {} states: {way:?}", way.len(), found.states);
    }
}
