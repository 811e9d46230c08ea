//! Time passes: who holds what, who is in office, and what each agent does about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use engine::notify::Letter;

use super::node::{NAMES, Node, Said, Shelf, time};
use super::receive::{Arrival, RECEIVERS};
use super::{Mark, Marks};
use crate::Chance;

/// Milliseconds since 1970 when a world begins.
const START: u64 = 1_700_000_000_000;
/// Storms last so long (ms), and then all is well: what may have arrived is sent again after an hour.
const STORMS: u64 = 240_000;
const CALM: u64 = 75 * 60_000;
/// Between two looks of an agent, and when nothing happens any more.
const GLANCE: u64 = 200;
const REST: u64 = 5_000;
/// A node is heard no more after this (ms).
pub(super) const UNHEARD: u64 = 2_000;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Property, moment (ms), what was seen.
    pub violation: Option<(&'static str, u64, String)>,
    pub marks: Marks,
    pub moves: u64,
    pub arrivals: usize,
    pub hash: u64,
    pub story: String,
}

#[derive(Debug)]
pub(super) struct Address {
    pub(super) object: String,
    pub(super) holder: Option<usize>,
    pub(super) term: u64,
    /// Since when, by whom before, and whether all saw him.
    pub(super) absence: Option<Absence>,
    took_ms: u64,
    takes_ms: u64,
}

/// Nobody holds it.
#[derive(Clone, Debug)]
pub(super) struct Absence {
    pub(super) object: String,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    /// Whoever held it was seen by all.
    pub(super) was_seen: bool,
    /// Those who could tell, from the begin on and at the last look.
    pub(super) tellers: BTreeSet<(usize, u64)>,
}

#[derive(Debug)]
pub struct World {
    pub(super) now_ms: u64,
    pub(super) chance: Chance,
    pub(super) nodes: Vec<Node>,
    pub(super) is_shared: bool,
    pub(super) shared: Shelf,
    /// Who coordinates, under which token, and since when he could not.
    pub(super) seat: (Option<usize>, u64, u64),
    pub(super) lives: u64,
    pub(super) addresses: Vec<Address>,
    pub(super) absences: Vec<Absence>,
    pub(super) down: [u64; RECEIVERS],
    pub(super) mute: [u64; RECEIVERS],
    pub(super) greylists: u64,
    pub(super) nobody_until: u64,
    pub(super) strikes_ms: u64,
    /// When a network that was cut was mended last.
    pub(super) healed_ms: u64,
    pub(super) is_calm: bool,
    pub(super) arrivals: Vec<Arrival>,
    /// What is not tried any more: receiver, name.
    pub(super) given_up: BTreeSet<(String, String)>,
    /// Of each batch that was ever sent, its letters.
    pub(super) batches: BTreeMap<(String, String), BTreeSet<String>>,
    pub(super) outcome: Outcome,
    tells: bool,
}

impl World {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let count = chance.choose(&[1, 2, 3, 3, 3, 5]);
        let is_shared = count > 2 && seed.is_multiple_of(2);
        let nodes = (0..count).map(|_| Node::new(count, chance.below(800))).collect();
        let address = |name: &str| Address {
            object: format!("vip/{name}"),
            holder: None,
            term: 0,
            absence: None,
            took_ms: 0,
            takes_ms: 2_000,
        };
        Self {
            now_ms: 1_000,
            chance,
            nodes,
            is_shared,
            shared: Shelf::default(),
            seat: (None, 0, 0),
            lives: 0,
            addresses: ["a", "b"].map(address).into_iter().collect(),
            absences: vec![],
            down: [0; RECEIVERS],
            mute: [0; RECEIVERS],
            greylists: 0,
            nobody_until: 0,
            strikes_ms: 15_000,
            healed_ms: 0,
            is_calm: false,
            arrivals: vec![],
            given_up: BTreeSet::new(),
            batches: BTreeMap::new(),
            outcome: Outcome { hash: 0xcbf2_9ce4_8422_2325, ..Outcome::default() },
            tells: false,
        }
    }

    /// Keeps what happens, for people.
    #[must_use]
    pub const fn telling(mut self) -> Self {
        self.tells = true;
        self
    }

    #[must_use]
    pub fn run(mut self) -> Outcome {
        while self.now_ms < STORMS + CALM && self.outcome.violation.is_none() {
            let is_late = self.now_ms > STORMS + 120_000;
            self.now_ms += if is_late { REST } else { GLANCE };
            if self.now_ms < STORMS {
                self.storm();
            } else if !self.is_calm {
                self.calm();
            }
            self.hold();
            self.sit();
            for node in 0..self.nodes.len() {
                self.act(node);
            }
            self.note_absences();
        }
        if self.outcome.violation.is_none() {
            self.judge();
        }
        self.outcome.arrivals = self.arrivals.len();
        self.outcome
    }

    /// Milliseconds since 1970, by the clock of that node.
    pub(super) fn wall(&self, node: usize) -> u64 {
        wall_at(self.now_ms) - self.nodes[node].late_ms
    }

    pub(super) fn break_off(&mut self, property: &'static str, what: String) {
        if self.outcome.violation.is_none() {
            self.outcome.violation = Some((property, self.now_ms, what));
        }
    }

    pub(super) fn tell(&mut self, node: usize, what: &str) {
        for byte in self.now_ms.to_be_bytes().into_iter().chain(what.bytes()) {
            let hash = self.outcome.hash ^ u64::from(byte);
            self.outcome.hash = hash.wrapping_mul(0x0100_0000_01b3);
        }
        if self.tells {
            let (at, name) = (time(self.now_ms), NAMES[node]);
            // A String takes every text.
            let _ = writeln!(self.outcome.story, "{at} {name} {what}");
        }
    }

    /// The event of a node that takes an address.
    pub(super) fn next_letter(&mut self, address: usize, to: usize) -> Letter {
        let at_ms = self.wall(to);
        let number = self.nodes[to].log.len();
        let of = &mut self.addresses[address];
        of.term += 1;
        of.took_ms = self.now_ms;
        Letter {
            id: format!("{}-{}-{at_ms}-{number}", of.object.replace('/', "-"), NAMES[to]),
            object: of.object.clone(),
            at_ms,
            node: NAMES[to].to_owned(),
            from: of.holder.map(|from| NAMES[from].to_owned()),
            to: Some(NAMES[to].to_owned()),
            cause: "a storm".to_owned(),
            term: of.term,
            ..Letter::default()
        }
    }

    pub(super) fn end_of_absence(&mut self, address: usize) {
        if let Some(mut absence) = self.addresses[address].absence.take() {
            absence.to_ms = self.now_ms;
            self.absences.push(absence);
        }
    }

    /// Whose holder is gone is taken by another node, if one can.
    fn hold(&mut self) {
        for address in 0..self.addresses.len() {
            let of = &self.addresses[address];
            let node = of.holder.map(|holder| &self.nodes[holder]);
            let is_gone =
                node.is_some_and(|node| !node.powered || node.paused_until > self.now_ms + 1_000);
            if is_gone {
                self.loses(address);
            }
            let of = &self.addresses[address];
            let may = of.holder.is_none() && self.now_ms >= of.takes_ms.max(self.nobody_until);
            if may {
                let to = self.some_node();
                self.takes(address, to);
            }
        }
    }

    fn loses(&mut self, address: usize) {
        let delay = 300 + self.chance.below(3_000);
        let (now_ms, of) = (self.now_ms, &self.addresses[address]);
        let Some(holder) = of.holder else { return };
        let lately = |from: u64| {
            let before = now_ms.saturating_sub(1_000);
            self.nodes[holder].troubles.iter().any(|at| (from..before).contains(at))
        };
        // Its claim has reached all who read it, and they have seen it since the network was mended.
        let is_whole = self.nodes.iter().all(|node| node.side == self.nodes[holder].side);
        let was_seen = now_ms - of.took_ms >= 3_000
            && now_ms >= self.healed_ms + 5_000
            && is_whole
            && !lately(of.took_ms.saturating_sub(10_000));
        let tellers = self.tellers();
        let of = &mut self.addresses[address];
        let object = of.object.clone();
        (of.holder, of.takes_ms) = (None, now_ms + delay);
        of.absence = Some(Absence { object, from_ms: now_ms, to_ms: now_ms, was_seen, tellers });
        self.tell(holder, "loses an address");
    }

    /// Those who tell now, with what tells their processes apart.
    fn tellers(&self) -> BTreeSet<(usize, u64)> {
        let tells = |(at, node): (usize, &Node)| {
            let office = node.agent.as_ref()?.office?;
            (node.acts(self.now_ms) && self.reaches_shelf(at)).then_some((at, office))
        };
        self.nodes.iter().enumerate().filter_map(tells).collect()
    }

    /// Whoever ceased to tell in the first half minute of an absence did not see it.
    fn note_absences(&mut self) {
        let tellers = self.tellers();
        let now_ms = self.now_ms;
        for absence in self.addresses.iter_mut().filter_map(|of| of.absence.as_mut()) {
            if now_ms < absence.from_ms + 30_000 {
                absence.tellers.retain(|teller| tellers.contains(teller));
            }
        }
    }

    pub(super) fn reaches_shelf(&self, node: usize) -> bool {
        if !self.is_shared {
            return true;
        }
        let side = self.nodes[node].side;
        let there = |other: &&Node| other.runs(self.now_ms) && other.side == side;
        self.nodes.iter().filter(there).count() * 2 > self.nodes.len()
    }

    pub(super) fn shelf(&mut self, node: usize) -> &mut Shelf {
        if self.is_shared { &mut self.shared } else { &mut self.nodes[node].shelf }
    }

    pub(super) fn has_letter_of(&self, node: usize, object: &str) -> bool {
        let is_of =
            |said: &Said| matches!(said, Said::Took { letter, .. } if letter.object == object);
        let kept = self.shared.letters.values().any(|(letter, _)| letter.object == object);
        kept || self.nodes[node].log.iter().any(is_of)
    }

    /// Who coordinates; another one does when he has been gone for a while.
    fn sit(&mut self) {
        if !self.is_shared {
            return;
        }
        let fits = |node: usize| self.nodes[node].acts(self.now_ms) && self.reaches_shelf(node);
        let (holder, token, since) = self.seat;
        if holder.is_some_and(fits) {
            self.seat.2 = self.now_ms;
            return;
        }
        let heirs: Vec<usize> = (0..self.nodes.len()).filter(|node| fits(*node)).collect();
        if self.now_ms < since + UNHEARD || heirs.is_empty() {
            return;
        }
        let heir = self.chance.choose(&heirs);
        self.seat = (Some(heir), token + 1, self.now_ms);
        if token > 1 {
            self.outcome.marks.reach(Mark::Office);
        }
        self.tell(heir, "coordinates");
    }
}

/// By a clock that is not late.
pub(super) const fn wall_at(ms: u64) -> u64 {
    START + ms
}
