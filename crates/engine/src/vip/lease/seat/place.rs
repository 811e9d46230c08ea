//! Where an address should be beside others, as one seat knows it.

use arrayvec::ArrayVec;

use super::super::beat::MOST_NODES;
use super::super::node::Node;
use super::super::spread::{Cost, Placed, bit};
use super::super::{Action, Cause, Stand};
use super::{Role, Seat};
use crate::Buffer;

impl Seat {
    pub(in super::super) const fn networks(&self) -> u8 {
        self.networks
    }

    /// Whether this node has one now that is never on a node with it.
    pub(in super::super) const fn bar(&mut self, has_barring: bool) {
        self.has_barring = has_barring;
    }

    pub(in super::super) fn order(&self) -> &[u16] {
        &self.order
    }

    pub(in super::super) const fn holds(&self) -> bool {
        matches!(self.role, Role::Holder { .. })
    }

    pub(super) const fn has_rule(&self) -> bool {
        !self.costs.is_empty()
    }

    /// Who has it next, if it is this node's or was a moment ago.
    pub(in super::super) fn goes_to(&self, node: &Node) -> Option<u16> {
        let given = self.gave.filter(|(_, until)| node.now() < *until).map(|(heir, _)| heir);
        if self.holds() { self.heir_among(node) } else { given }
    }

    /// An operator moved it here.
    pub(in super::super) const fn stays(&self) -> bool {
        self.stays && self.holds()
    }

    /// The operator's word ends; says whether there was one.
    pub(in super::super) const fn goes_anywhere(&mut self) -> bool {
        let stayed = self.stays();
        self.stays = self.stays && !stayed;
        stayed
    }

    /// Whether beats say that it stays here, or, while this node names another one, there.
    pub(super) fn says_stays(&self, node: &Node) -> bool {
        let names = self.gave.is_some_and(|(_, until)| node.now() < until);
        self.stays && (self.holds() || matches!(self.role, Role::Idle) && names)
    }

    pub(super) fn stays_with(&self, holder: Option<u16>, node: &Node) -> bool {
        match holder {
            Some(holder) if holder == node.me() => self.stays(),
            Some(holder) => self.said.get(usize::from(holder)).is_some_and(|said| said.stays),
            None => false,
        }
    }

    /// How it stands, as far as this node knows. `whole`: who hears all where its clients are, and is heard there by all.
    pub(in super::super) fn placed(&self, node: &Node, whole: u32) -> Placed {
        let stand =
            |other: u16| self.said.get(usize::from(other)).map_or(Stand::Unfit, |said| said.stand);
        let says = |wanted: Stand| {
            let mut order = self.order.iter().copied();
            order.find(|other| stand(*other) == wanted && node.hears(*other))
        };
        let held = || says(Stand::Holder);
        let by =
            if self.claims() { Some(node.me()) } else { held().or_else(|| says(Stand::Candidate)) };
        let is_fit = |other: u16| {
            if other == node.me() {
                return self.claims() || self.is_fit(node);
            }
            stand(other) != Stand::Unfit && node.hears(other) && !node.is_dead(other)
        };
        let is_barred = |other: u16| {
            if other == node.me() {
                return self.is_barred(node);
            }
            let says = self.said.get(usize::from(other)).is_some_and(|said| said.barred);
            says && node.hears(other) && !node.is_dead(other)
        };
        let lacks = |other: u16| self.lacks(node, other);
        let those = |is_it: &dyn Fn(u16) -> bool| {
            let nodes = self.order.iter().copied().filter(|other| is_it(*other));
            nodes.fold(0, |all, other| all | bit(other))
        };
        let (fit, whole) = (those(&is_fit), whole & !those(&lacks));
        Placed {
            by,
            held: self.holds() || !self.claims() && held().is_some(),
            stays: self.stays_with(by, node),
            fit,
            able: fit & whole,
            barred: those(&is_barred) & whole,
        }
    }

    /// `reckon` writes what it costs at each node.
    pub(in super::super) fn learn_costs(
        &mut self,
        node: &Node,
        fit: u32,
        reckon: impl FnOnce(&mut [Cost]),
    ) {
        let was_first = self.rank(node.me()) <= 1;
        let before: ArrayVec<Cost, MOST_NODES> =
            self.costs.iter().copied().take(MOST_NODES).collect();
        reckon(&mut self.costs);
        let is_news = fit != self.fit || !self.costs.starts_with(&before);
        self.fit = fit;
        // Who is first, and was, has nobody to wait for: of many addresses of a node that is gone each would cost a turn else.
        if is_news && !(was_first && self.rank(node.me()) <= 1) {
            self.costs_at = node.now();
        }
    }

    pub(super) fn cost(&self, node: u16) -> Cost {
        self.costs.get(usize::from(node)).copied().unwrap_or_default()
    }

    /// By which nodes stand one after the other: those that could hold it, the cheapest, the preferred.
    pub(super) fn turn_of(&self, node: u16, place: usize) -> (bool, Cost, usize) {
        (self.has_rule() && self.fit & bit(node) == 0, self.cost(node), place)
    }

    /// Another node could hold it, and it costs less there.
    pub(super) fn is_outranked(&self, node: &Node) -> bool {
        let own = self.cost(node.me());
        let mut order = self.order.iter().copied();
        self.has_rule() && order.any(|other| self.cost(other) < own && self.could_hold(node, other))
    }

    /// The preferred of those that could hold it and are as asked.
    pub(in super::super) fn first_fit(
        &self,
        node: &Node,
        is_it: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let mut order = self.order.iter().copied();
        order.find(|other| {
            is_it(*other) && self.could_hold(node, *other) && self.is_no_worse(node, *other)
        })
    }

    /// Gives the address to that node if it could hold it; says whether it does.
    pub(in super::super) fn hand_over(
        &mut self,
        vip: usize,
        to: u16,
        cause: Cause,
        node: &Node,
        out: &mut Buffer<Action>,
    ) -> bool {
        if !self.holds() || !self.could_hold(node, to) {
            return false;
        }
        self.give(node.now(), Some(to), cause, node, vip, out);
        true
    }
}
