//! Room for an address that is never on a node with others, where each node that could hold it has one of them: what is in its
//! way goes elsewhere, in as few moves as can be.

use arrayvec::ArrayVec;

use super::{Cost, Map, Reason, Rule, Wish, bit};
use crate::vip::lease::beat::MOST_NODES;

/// So many addresses move at most for one that has no node.
const MOST_MOVES: usize = 3;
/// Ways that are looked at, of all of them: this is done between two beats.
const MOST_TRIED: usize = 4096;

/// A seat, and where it would be.
type Move = (usize, u16);

impl Map {
    /// The first of the moves that make room for the first seat that is waiting for it and can have it.
    pub(super) fn room<'a>(
        &self,
        rules: &[Rule],
        orders: &impl Fn(usize) -> &'a [u16],
    ) -> Option<Wish> {
        let waits =
            |seat: &usize| self.placed[*seat].by.is_none() && self.placed[*seat].barred != 0;
        let mut search = Search { map: self, rules, orders, most: 0, tried: 0 };
        for most in 1..=MOST_MOVES {
            search.most = most;
            for seat in (0..self.placed.len()).filter(waits) {
                if let Some((seat, to)) = search.begin(seat) {
                    return Some(Wish { seat, to, why: Reason::Room });
                }
            }
        }
        None
    }
}

struct Search<'s, O> {
    map: &'s Map,
    rules: &'s [Rule],
    orders: &'s O,
    /// Moves of a way.
    most: usize,
    tried: usize,
}

/// Where some seats would be: first the one that gets room, then those that go away for it, and for each other.
type Way = ArrayVec<Move, { MOST_MOVES + 1 }>;

impl<'a, O: Fn(usize) -> &'a [u16]> Search<'_, O> {
    fn begin(&mut self, seat: usize) -> Option<Move> {
        let nodes = self.nodes(seat, self.map.placed[seat].barred);
        nodes.into_iter().find_map(|node| self.go_on(&[(seat, node)].into_iter().collect()))
    }

    /// The first move of a way that begins like that.
    fn go_on(&mut self, way: &Way) -> Option<Move> {
        self.tried += 1;
        let Some(seat) = self.in_the_way(way) else { return self.first(&way[1..]) };
        let placed = &self.map.placed[seat];
        // What follows who coordinates would come back at once.
        let may_go = placed.held && !placed.stays && !self.rules[seat].follows;
        if !may_go || way.len() > self.most || self.tried > MOST_TRIED {
            return None;
        }
        for node in self.nodes(seat, placed.able | placed.barred) {
            let bars = |(other, to): &Move| *to == node && self.rules[seat].is_never_with(*other);
            if placed.by != Some(node) && !way.iter().any(bars) {
                let mut longer = way.clone();
                longer.push((seat, node));
                let first = self.go_on(&longer);
                if first.is_some() {
                    return first;
                }
            }
        }
        None
    }

    /// A seat that stays where it is, and is never on a node with one that would be there.
    fn in_the_way(&self, way: &Way) -> Option<usize> {
        way.iter().find_map(|(seat, node)| {
            let stays = |other: &usize| !way.iter().any(|(moved, _)| moved == other);
            let is_there = |other: &usize| self.map.placed[*other].by == Some(*node);
            let bars = |other: &usize| self.rules[*seat].is_never_with(*other);
            (0..self.map.placed.len()).find(|other| is_there(other) && bars(other) && stays(other))
        })
    }

    /// The one that can be done first, if all of them can be done one after the other.
    fn first(&self, moves: &[Move]) -> Option<Move> {
        let mut done: ArrayVec<Move, MOST_MOVES> = ArrayVec::new();
        while done.len() < moves.len() {
            let at = |seat: usize| {
                let moved = done.iter().find(|(other, _)| *other == seat);
                moved.map_or(self.map.placed[seat].by, |(_, to)| Some(*to))
            };
            let is_free = |(seat, to): &&Move| {
                let bars = |other: usize| self.rules[*seat].is_never_with(other);
                let is_able = !done.is_empty() || self.map.placed[*seat].able & bit(*to) != 0;
                is_able && !(0..self.map.placed.len()).any(|it| at(it) == Some(*to) && bars(it))
            };
            let next = moves.iter().filter(|it| !done.contains(it)).find(is_free).copied()?;
            done.push(next);
        }
        done.first().copied()
    }

    /// Those among them that may hold it, the cheapest first.
    fn nodes(&self, seat: usize, among: u32) -> ArrayVec<u16, MOST_NODES> {
        let mut costs = [Cost::default(); MOST_NODES];
        self.map.costs(self.rules, seat, &mut costs);
        let cost = |node: u16| costs.get(usize::from(node)).copied().unwrap_or_default();
        let order = (self.orders)(seat).iter().copied();
        let nodes = order.filter(|node| among & bit(*node) != 0).enumerate().take(MOST_NODES);
        let mut nodes: ArrayVec<_, MOST_NODES> =
            nodes.map(|(place, node)| (cost(node), place, node)).collect();
        nodes.sort_unstable();
        nodes.into_iter().map(|(_, _, node)| node).collect()
    }
}
