//! What controllers do before anything is concluded of a compute node: they ask it themselves, on every
//! network, and tell each other what they found.
//!
//! ```text
//!  missed by a member, declared by gossip, or its turn comes
//!      |
//!      v      an answer on every network                    claims of the others
//!    round ------------------------------> nothing              |
//!      |  its time is over                                      v
//!      +-----------------------> claim: silent on these --> a majority? --> verdict
//! ```
//!
//! Costs do not grow with the cluster: a controller asks one node after the other at a fixed pace, whether
//! gossip suspects it or not, and has at most [`MAX_ROUNDS`] rounds at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use super::Action;
use super::said::{Said, Word};
use super::wire::{Claim, MAX_CLAIMS, MAX_MISSED, Part};
use crate::packet::MAX_NETWORKS;
use crate::reach::Networks;
use crate::verdict::Times;

pub(super) use agree::Agreed;
use agree::Heard;
pub(super) use refuse::Refusal;
use refuse::Tethers;
pub(crate) use refuse::{MOST_TETHERS, TETHER_FRESH};

mod agree;
mod audit;
mod pass;
mod refuse;

/// What more are missed at a time waits: each round is over within half of the detection time.
const MAX_ROUNDS: usize = 256;
/// Probes of one round on each network: at 10 % loss all are lost once in 20,000 times, on one network.
pub const ASKS: u32 = 6;
/// Of those that were never heard, or that left: most of them are not there.
const STRANGER_ASKS: u32 = 2;
/// A node that did not answer is asked again no sooner.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A claim that is not repeated is forgotten, at the latest after this: a retraction may be lost, and who claimed
/// may be gone.
pub const CLAIM_FRESH: Duration = Duration::from_secs(30);
/// Claims that stand are told again so often, as many as fit into a packet.
const REPEAT_EVERY: Duration = Duration::from_secs(1);
/// News is told so often: each time on every network.
const TELLINGS: u8 = 2;

/// A compute node as this controller sees it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// Of its newest process that was heard, or that another controller heard.
    pub(super) life: u64,
    pub(super) proofs: [Option<Time>; MAX_NETWORKS],
    pub(super) left: bool,
    /// Networks on which it did not answer in its last round.
    pub(super) silent: Networks,
    /// Since when it is silent on all of them.
    pub(super) silent_since: Option<Time>,
    /// The newest node that missed it, and when.
    pub(super) missed: Option<(u16, Time)>,
    /// What it said of itself in this life.
    pub(super) word: Option<Word>,
    /// What its kernel said since it was heard.
    pub(super) refusal: Option<Refusal>,
    tethers: Tethers,
    round: Option<Round>,
    rounded_at: Time,
    /// By controller; nothing of itself.
    claims: Box<[Heard]>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    since: Time,
    /// Before it was begun once more.
    first: Time,
    ask_at: Time,
    asked: u32,
    /// The other controllers know of it.
    told: bool,
    /// It was begun once more, as something was heard that may have been late.
    renewed: bool,
    /// So many more questions follow each other fast: its process is just ending, perhaps.
    fast: u8,
}

impl Round {
    const fn new(now: Time) -> Self {
        Self { since: now, first: now, ask_at: now, asked: 0, told: false, renewed: false, fast: 0 }
    }
}

#[derive(Debug)]
pub(super) struct Confirm {
    me: u16,
    controllers: u16,
    networks: u8,
    times: Times,
    /// By position behind the controllers.
    watched: Vec<Watched>,
    /// Who is on which network, of all nodes.
    on: Vec<[bool; MAX_NETWORKS]>,
    carrier: [bool; MAX_NETWORKS],
    open: Vec<u16>,
    /// Claims to be told, and how often yet.
    news: BTreeMap<u16, u8>,
    /// So long a claim counts that is not told again.
    fresh: Duration,
    /// By controller: when a packet of it came.
    spoke_at: Vec<Option<Time>>,
    /// Where it goes on to pass on what does not fit.
    passed: usize,
    tell_at: Time,
    repeat_at: Time,
    repeat_from: u16,
    audit_at: Time,
    audit_next: u16,
    audited_all: bool,
    /// Nodes whose case is another one.
    pub(super) touched: Vec<u16>,
    /// Nodes that may want a tether.
    pub(super) loose: Vec<u16>,
    number: u32,
}

impl Confirm {
    pub(super) fn new(
        me: u16,
        controllers: u16,
        networks: u8,
        on: Vec<[bool; MAX_NETWORKS]>,
        times: Times,
        now: Time,
    ) -> Self {
        let watched = Watched {
            life: 0,
            proofs: [None; MAX_NETWORKS],
            left: false,
            silent: Networks::NONE,
            silent_since: None,
            missed: None,
            word: None,
            refusal: None,
            tethers: Tethers::default(),
            round: None,
            rounded_at: Time::ZERO,
            claims: vec![Heard::default(); usize::from(controllers)].into_boxed_slice(),
        };
        let computes = on.len().saturating_sub(usize::from(controllers));
        Self {
            me,
            controllers,
            networks,
            times,
            watched: vec![watched; computes],
            on,
            carrier: [true; MAX_NETWORKS],
            open: vec![],
            news: BTreeMap::new(),
            fresh: agree::fresh(computes),
            spoke_at: vec![None; usize::from(controllers)],
            passed: 0,
            tell_at: Time::NEVER,
            repeat_at: now + REPEAT_EVERY,
            repeat_from: controllers,
            audit_at: now,
            audit_next: controllers,
            audited_all: false,
            touched: vec![],
            loose: vec![],
            number: 0,
        }
    }

    pub(super) fn watched(&self, node: u16) -> Option<&Watched> {
        self.watched.get(self.at(node)?)
    }

    fn at(&self, node: u16) -> Option<usize> {
        node.checked_sub(self.controllers).map(usize::from)
    }

    /// The networks that this node and that one share, on which this node's link has a carrier.
    pub(super) fn shared(&self, node: u16) -> impl Iterator<Item = u8> + '_ {
        let (mine, other) = (self.on.get(usize::from(self.me)), self.on.get(usize::from(node)));
        (0..self.networks).filter(move |network| {
            let at = usize::from(*network);
            let is_on = |on: Option<&[bool; MAX_NETWORKS]>| on.is_some_and(|on| on[at]);
            is_on(mine) && is_on(other) && self.carrier[at]
        })
    }

    pub(super) const fn carrier(&mut self, network: u8, up: bool) {
        if (network as usize) < MAX_NETWORKS {
            self.carrier[network as usize] = up;
        }
    }

    /// Somebody misses it: it is asked, unless that is done already or it was never heard.
    pub(super) fn doubt(&mut self, now: Time, node: u16, by: u16) {
        let is_full = self.open.len() >= MAX_ROUNDS;
        let Some(at) = self.at(node) else { return };
        let Some(watched) = self.watched.get_mut(at) else { return };
        if watched.life == 0 || watched.left {
            return;
        }
        if by != self.me {
            watched.missed = Some((by, now));
        }
        let is_claimed = !watched.silent.is_empty();
        let is_soon = is_claimed && now < watched.rounded_at + AGAIN_AFTER;
        if watched.round.is_none() && !is_full && !is_soon {
            watched.round = Some(Round::new(now));
            self.open.push(node);
        }
    }

    /// A sealed packet of it came.
    pub(super) fn heard(&mut self, now: Time, node: u16, network: u8, life: u64) {
        let was_gone = self.refuses(now, node);
        let Some(at) = self.at(node) else { return };
        let Some(watched) = self.watched.get_mut(at) else { return };
        if life < watched.life {
            return;
        }
        if life > watched.life {
            watched.begin(life);
            self.touched.push(node);
            self.loose.push(node);
        }
        if watched.refusal.take().is_some() {
            self.touched.push(node);
        }
        if let Some(proof) = watched.proofs.get_mut(usize::from(network)) {
            *proof = Some(now);
        }
        if watched.silent.has(network) || watched.silent_since.is_some() {
            watched.silent = watched.silent.iter().filter(|silent| *silent != network).collect();
            watched.silent_since = None;
            self.tell(now, node);
        } else if was_gone {
            self.tell(now, node);
        }
    }

    /// Where the node's own word is kept; none: it is not watched.
    pub(super) fn word(&mut self, now: Time, node: u16) -> Option<&mut Word> {
        let watched = self.at(node).and_then(|at| self.watched.get_mut(at))?;
        let first = Word { said: Said::default(), at: now, ailing_since: Time::NEVER };
        Some(watched.word.get_or_insert(first))
    }

    /// It said goodbye; false if that is known, or if it has started anew since.
    pub(super) fn goodbye(&mut self, now: Time, node: u16, life: u64) -> bool {
        let watched = self.at(node).and_then(|at| self.watched.get_mut(at));
        let Some(watched) = watched.filter(|watched| life >= watched.life && !watched.left) else {
            return false;
        };
        watched.begin(life);
        watched.left = true;
        self.tell(now, node);
        true
    }

    /// Another controller says what it found; true if it says that the node left, and that is news.
    pub(super) fn claimed(&mut self, now: Time, by: u16, claim: &Claim) -> bool {
        let Claim { silent, everywhere, gone, .. } = *claim;
        let heard = Heard { at: Some(now), silent, everywhere, gone, hops: 0 };
        let is_taken = self.take(now, by, claim, heard);
        is_taken && claim.left && self.goodbye(now, claim.node, claim.life)
    }

    /// This node was late: who was being asked has time from now on.
    pub(super) fn late(&mut self, now: Time) {
        for node in &self.open {
            let at = usize::from(node.saturating_sub(self.controllers));
            if let Some(round) = self.watched.get_mut(at).and_then(|watched| watched.round.as_mut())
            {
                *round = Round::new(now);
            }
        }
    }

    pub(super) fn deadline(&self) -> Time {
        let asks = self.open.iter().filter_map(|node| {
            let round = self.watched(*node)?.round?;
            Some(round.ask_at)
        });
        let asks = asks.min().unwrap_or(Time::NEVER);
        let audit = if self.watched.is_empty() { Time::NEVER } else { self.audit_at };
        asks.min(audit).min(self.tell_at).min(self.repeat_at)
    }

    pub(super) fn timeout(&mut self, now: Time, out: &mut Vec<Action>) {
        if now >= self.audit_at && !self.watched.is_empty() {
            self.audit(now);
        }
        for node in std::mem::take(&mut self.open) {
            if self.go_on(now, node, out) {
                self.open.push(node);
            }
        }
        if now >= self.repeat_at {
            self.repeat(now);
        }
        if now >= self.tell_at {
            self.tell_news(now, out);
        }
    }

    /// Asks once more, or ends the round; true if it goes on.
    fn go_on(&mut self, now: Time, node: u16, out: &mut Vec<Action>) -> bool {
        let window = self.times.detect() / 2;
        self.ends_first(now, node, window);
        let shared: ArrayVec<u8, MAX_NETWORKS> = self.shared(node).collect();
        let Some(watched) = self.at(node).and_then(|at| self.watched.get_mut(at)) else {
            return false;
        };
        let Some(mut round) = watched.round else { return false };
        let since = |network: u8| watched.proofs[usize::from(network)] >= Some(round.since);
        let missing: ArrayVec<u8, MAX_NETWORKS> =
            shared.iter().copied().filter(|network| !since(*network)).collect();
        // Who left is asked as well: it may be back, and say nothing to this controller for long.
        let is_strange = (watched.life == 0 || watched.left) && round.asked >= STRANGER_ASKS;
        let is_over = now >= round.since + window || is_strange && now >= round.ask_at;
        if missing.is_empty() || is_over {
            let was_all = missing.len() == shared.len() && !shared.is_empty();
            watched.round = None;
            watched.rounded_at = now;
            self.end(now, node, missing.into_iter().collect(), was_all);
            return false;
        }
        if now < round.ask_at {
            return true;
        }
        let next = if round.fast > 0 { refuse::FAST } else { window / ASKS };
        round.ask_at = (now + next).min(round.since + window);
        (round.asked, round.fast) = (round.asked + 1, round.fast.saturating_sub(1));
        let is_told = round.asked == 3 || watched.refusal.is_some();
        watched.round = Some(Round { told: round.told || is_told, ..round });
        let is_known = watched.life > 0 && !watched.left;
        for network in missing {
            self.number = self.number.wrapping_add(1);
            out.push(Action::part((node, network), &Part::Probe(self.number)));
        }
        if is_known && !round.told && is_told {
            // The others begin theirs now, so that all end at about the same time.
            let nodes: ArrayVec<u16, MAX_MISSED> = [node].into_iter().collect();
            self.to_controllers(&Part::Missed(nodes), out);
        }
        true
    }

    fn end(&mut self, now: Time, node: u16, silent: Networks, everywhere: bool) {
        let fresh = self.fresh;
        let Some(watched) = self.at(node).and_then(|at| self.watched.get_mut(at)) else { return };
        if watched.life == 0 || watched.left {
            return;
        }
        let is_news = watched.silent != silent || watched.silent_since.is_some() != everywhere;
        watched.silent = silent;
        watched.silent_since = everywhere.then(|| watched.silent_since.unwrap_or(now));
        // Who is missed by others and answers here has to be told of.
        let is_missed =
            watched.claims.iter().any(|claim| claim.everywhere && claim.is_fresh(now, fresh));
        if is_news || (is_missed && !everywhere) {
            self.tell(now, node);
        }
    }

    fn tell(&mut self, now: Time, node: u16) {
        self.touched.push(node);
        self.news.insert(node, TELLINGS);
        self.tell_at = self.tell_at.min(now);
    }

    /// Claims that stand are told again: another controller may have started since.
    fn repeat(&mut self, now: Time) {
        self.repeat_at = now + REPEAT_EVERY;
        let computes = u16::try_from(self.watched.len()).unwrap_or(u16::MAX);
        for _ in 0..computes {
            if self.news.len() >= MAX_CLAIMS {
                break;
            }
            let node = self.repeat_from;
            let next = node - self.controllers + 1;
            self.repeat_from = self.controllers + if next >= computes { 0 } else { next };
            let stands = |watched: &Watched| watched.left || !watched.silent.is_empty();
            if self.watched(node).is_some_and(stands) {
                self.news.entry(node).or_insert(1);
                self.doubt(now, node, self.me);
            }
        }
        if !self.news.is_empty() {
            self.tell_at = self.tell_at.min(now);
        }
    }

    fn tell_news(&mut self, now: Time, out: &mut Vec<Action>) {
        let mut claims = vec![];
        let nodes: Vec<u16> = self.news.keys().copied().take(MAX_CLAIMS).collect();
        for node in nodes {
            if let Some(watched) = self.watched(node) {
                let (silent, left) = (watched.silent, watched.left);
                let (life, everywhere) = (watched.life, watched.silent_since.is_some());
                let gone = self.refuses(now, node);
                claims.push(Claim { node, life, silent, left, everywhere, gone });
            }
            let left = self.news.get_mut(&node).map_or(0, |left| {
                *left -= 1;
                *left
            });
            if left == 0 {
                self.news.remove(&node);
            }
        }
        self.to_controllers(&Part::Claims { claims, heard: Some(self.hears(now)) }, out);
        let again = now + self.times.beat_every() / 2;
        self.tell_at = if self.news.is_empty() { Time::NEVER } else { again };
    }

    fn to_controllers(&self, part: &Part<'_>, out: &mut Vec<Action>) {
        for other in (0..self.controllers).filter(|other| *other != self.me) {
            for network in self.shared(other) {
                out.push(Action::part((other, network), part));
            }
        }
    }
}

impl Watched {
    fn begin(&mut self, life: u64) {
        self.life = life;
        self.left = false;
        self.silent = Networks::NONE;
        self.silent_since = None;
        self.missed = None;
        self.word = None;
        self.refusal = None;
        // Its former process had them.
        self.tethers = Tethers::default();
        self.claims.fill(Heard::default());
    }
}
