//! Where several virtual IPs are beside each other: spread over nodes, apart from each other, with who coordinates.
//!
//! All nodes reckon alike, from what beats say, what an address costs at each node ([`Map::costs`]), and which one move
//! would make that less ([`Map::wish`]). Only who holds an address moves it, so nobody has to be asked. Each move makes
//! the whole cheaper, so no row of them comes back to where it began: fewer addresses without a node ([`room`]), or fewer moves
//! until there are, then fewer away from who coordinates, then
//! fewer pairs that should be apart, then a smaller sum of squares of what each node holds. Which two are never on one node each node sees
//! by itself, and stands for neither while it has the other: that needs nobody's word.

use arrayvec::ArrayVec;

use super::MAX_SEATS;

mod room;
#[cfg(test)]
mod tests;

/// Where an address should be, beside who may hold it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rule {
    /// Those of one number are spread over nodes.
    pub group: Option<u16>,
    /// Seats that are not on a node with it where that can be helped, a bit for each; the lowest is the first.
    pub apart: u64,
    /// Those that are never on a node with it: rather one of them is held by nobody.
    pub never: u64,
    /// It is where the coordinator is.
    pub follows: bool,
}

impl Rule {
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.group.is_none() && self.apart == 0 && self.never == 0 && !self.follows
    }

    /// They should not be on one node.
    pub(super) fn part_from(&mut self, seat: usize) {
        self.apart |= bit_of(seat);
    }

    pub(super) fn is_apart(&self, seat: usize) -> bool {
        (self.apart | self.never) & bit_of(seat) != 0
    }

    /// They are never on one node.
    pub(super) fn bar(&mut self, seat: usize) {
        self.never |= bit_of(seat);
    }

    pub(super) fn is_never_with(&self, seat: usize) -> bool {
        self.never & bit_of(seat) != 0
    }
}

fn bit_of(seat: usize) -> u64 {
    u32::try_from(seat).ok().and_then(|seat| 1_u64.checked_shl(seat)).unwrap_or(0)
}

/// What an address costs at a node, the worst first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cost {
    /// Another node coordinates, which it follows.
    pub astray: bool,
    /// Addresses there that it should be apart from.
    pub conflicts: u32,
    /// Other addresses of its group there.
    pub load: u32,
}

/// An address at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Placed {
    /// Who holds it, or asks for it.
    pub by: Option<u16>,
    pub held: bool,
    /// An operator moved it there.
    pub stays: bool,
    /// Who says that it could hold it; a bit for each node, as in all of these.
    pub fit: u32,
    /// Of those: who hears all on its network, is heard by all there, and lacks nothing that others have.
    pub able: u32,
    /// Who is as able, and says that it could hold it but for one there that is never on a node with it.
    pub barred: u32,
}

/// All addresses of a node at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Map {
    pub placed: ArrayVec<Placed, MAX_SEATS>,
    /// Who says that it coordinates, a bit for each node.
    pub leads: u32,
}

/// Why an address would be better elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Another address has no node, and could be there.
    Room,
    Apart,
    Spread,
}

/// One move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    pub seat: usize,
    pub to: u16,
    pub why: Reason,
}

/// Of a node; none has it beyond 32.
pub(super) fn bit(node: u16) -> u32 {
    1_u32.checked_shl(u32::from(node)).unwrap_or(0)
}

impl Map {
    /// What a seat would cost at each node.
    pub fn costs(&self, rules: &[Rule], seat: usize, costs: &mut [Cost]) {
        let is_led = rules[seat].follows && self.leads != 0;
        for (node, cost) in (0..).zip(costs.iter_mut()) {
            *cost = Cost { astray: is_led && self.leads & bit(node) == 0, ..Cost::default() };
        }
        for (other, placed) in self.placed.iter().enumerate().filter(|(other, _)| *other != seat) {
            let by = placed.by.map(usize::from);
            if let Some(cost) = by.and_then(|by| costs.get_mut(by)) {
                cost.add(rules, seat, other);
            }
        }
    }

    /// The best move that makes the whole cheaper; of several as good ones that of the first seat, and to the first in its
    /// order. An address without a node comes first. None while one with a rule has no holder and somebody could hold it.
    /// `orders`: who may hold a seat, the preferred first.
    #[must_use]
    pub fn wish<'a>(&self, rules: &[Rule], orders: impl Fn(usize) -> &'a [u16]) -> Option<Wish> {
        if self.ruled(rules).any(|(_, placed)| placed.is_on_its_way()) {
            return None;
        }
        self.room(rules, &orders).or_else(|| self.better(rules, &orders))
    }

    fn better<'a>(&self, rules: &[Rule], orders: &impl Fn(usize) -> &'a [u16]) -> Option<Wish> {
        let mut best: Option<((u32, u32), Wish)> = None;
        for (seat, placed) in self.ruled(rules) {
            let Some(by) = placed.by.filter(|_| !placed.stays) else { continue };
            let mut costs = [Cost::default(); 32];
            self.costs(rules, seat, &mut costs);
            let cost = |node: u16| costs.get(usize::from(node)).copied().unwrap_or_default();
            let here = cost(by);
            let able = orders(seat).iter().copied().filter(|node| placed.able & bit(*node) != 0);
            let costs = able.map(|node| (cost(node), node));
            // Where the coordinator is another rule says, which waits for nothing.
            let costs = costs.filter(|(cost, to)| *to != by && cost.astray == here.astray);
            let Some((cost, to)) = costs.min_by_key(|(cost, _)| *cost) else { continue };
            let gain = (
                here.conflicts.saturating_sub(cost.conflicts),
                here.load.saturating_sub(cost.load),
            );
            if cost < here && best.is_none_or(|(most, _)| gain > most) {
                let why = if gain.0 > 0 { Reason::Apart } else { Reason::Spread };
                best = Some((gain, Wish { seat, to, why }));
            }
        }
        best.map(|(_, wish)| wish)
    }

    /// By seat: who should take those that nobody has. Each counts for those behind it, so that all of them have their node at
    /// once, and none waits for what becomes of another one.
    pub fn expect<'a>(
        &self,
        rules: &[Rule],
        orders: impl Fn(usize) -> &'a [u16],
        expected: &mut ArrayVec<Option<u16>, MAX_SEATS>,
    ) {
        expected.clear();
        for (seat, placed) in self.placed.iter().enumerate() {
            let mut costs = [Cost::default(); 32];
            let is_awaited = placed.by.is_none() && !rules[seat].is_none();
            if is_awaited {
                self.costs(rules, seat, &mut costs);
                for (other, node) in expected.iter().enumerate() {
                    let cost = node.and_then(|node| costs.get_mut(usize::from(node)));
                    cost.into_iter().for_each(|cost| cost.add(rules, seat, other));
                }
            }
            let fit = orders(seat).iter().copied();
            let fit = fit.filter(|node| is_awaited && placed.fit & bit(*node) != 0);
            let cheapest = fit.min_by_key(|node| costs.get(usize::from(*node)).copied());
            expected.push(cheapest);
        }
    }

    /// Of those that have a rule.
    pub(super) fn ruled<'a>(
        &'a self,
        rules: &'a [Rule],
    ) -> impl Iterator<Item = (usize, &'a Placed)> {
        self.placed.iter().enumerate().filter(|(seat, _)| !rules[*seat].is_none())
    }
}

impl Placed {
    /// Somebody asks for it, or will.
    const fn is_on_its_way(&self) -> bool {
        !self.held && (self.by.is_some() || self.fit != 0)
    }
}

impl Cost {
    /// One more address at the node.
    pub(super) fn add(&mut self, rules: &[Rule], seat: usize, other: usize) {
        let (rule, beside) = (&rules[seat], &rules[other]);
        let is_apart = rule.is_apart(other) || beside.is_apart(seat);
        self.conflicts += u32::from(is_apart);
        self.load += u32::from(rule.group.is_some() && rule.group == beside.group);
    }
}
