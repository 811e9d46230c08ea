//! Who takes an address next: who could, who is better off, and whose turn it is.

use std::time::Duration;

use base::Time;

use super::super::Cause;
use super::super::beat::Stand;
use super::super::node::Node;
use super::super::together::each;
use super::Seat;

impl Seat {
    /// Whether it is one of those that hold it, or votes and no more.
    pub(super) fn may_hold(&self, node: &Node) -> bool {
        self.order.contains(&node.me())
    }

    pub(super) fn is_fit(&self, node: &Node) -> bool {
        self.is_well(node) && !self.has_barring
    }

    /// It could hold it, but for one that it has.
    pub(super) fn is_barred(&self, node: &Node) -> bool {
        let is_idle = !self.claims() && !node.set().is_unread();
        self.has_barring && is_idle && self.is_well(node)
    }

    fn is_well(&self, node: &Node) -> bool {
        let possible = self.may_hold(node) && node.leaving().is_none();
        let is_well = self.facts.fault(node.now()).is_none() && !self.is_foreign(node.now());
        possible && !node.is_silent() && is_well
    }

    /// A router that does not vote holds it.
    pub(super) fn is_foreign(&self, now: Time) -> bool {
        now < self.foreign_until
    }

    pub(super) fn could_hold(&self, node: &Node, other: u16) -> bool {
        let fit = self.said.get(usize::from(other)).is_some_and(|said| said.stand == Stand::Fit);
        fit && other != node.me()
            && !node.is_dead(other)
            && self.order.contains(&other)
            && node.hears(other)
    }

    /// Whom this node would name: the preferred of those that could hold it, rather one that is heard where its clients
    /// are, and that a reference point answers there; and of those, with a rule, one where it costs the least.
    pub(in super::super) fn heir_among(&self, node: &Node) -> Option<u16> {
        let able = || self.order.iter().copied().filter(|other| self.could_hold(node, *other));
        let heard = || able().filter(|other| !self.is_off(node, *other));
        let cost = |other: &u16| self.cost(*other);
        let whole = heard().filter(|other| !self.lacks(node, *other));
        whole
            .min_by_key(cost)
            .or_else(|| heard().min_by_key(cost))
            .or_else(|| able().min_by_key(cost))
    }

    /// Who takes it because it is better off than this node, and why: where clients are, others hear it and not this one. The
    /// preferred of those of which that is known now; while nobody is, the address stays.
    pub(super) fn better(&self, node: &Node) -> Option<(u16, Cause)> {
        // Who is better off on one of its networks is gone from none of them.
        let first = |is_better: &dyn Fn(u16) -> bool| {
            let able = self.order.iter().copied();
            let able = able.filter(|other| self.could_hold(node, *other) && is_better(*other));
            able.filter(|other| !self.is_off(node, *other)).min_by_key(|other| self.cost(*other))
        };
        let mut gone = each(self.networks).filter(|network| node.is_off(node.me(), *network));
        let heard = gone.find_map(|network| first(&|other| node.is_outdone(other, network)));
        if let Some(heir) = heard {
            return Some((heir, Cause::Unheard));
        }
        // A gateway may keep a node from holding, and never make one hold: where it answers nobody, all is as if there were none.
        let is_known = |network: &u8| node.lacks_from(*network).is_some_and(|at| node.now() >= at);
        let heir = each(self.networks).filter(is_known).find_map(|network| {
            let has = |other| node.reaches(other, network) == Some(true);
            first(&|other| has(other) && !self.lacks(node, other))
        });
        heir.map(|heir| (heir, Cause::Unreached))
    }

    pub(super) fn lacks(&self, node: &Node, who: u16) -> bool {
        each(self.networks).any(|network| node.reaches(who, network) == Some(false))
    }

    /// Whether that node would keep what this one gives it: its clients reach it, and a reference point answers it unless none
    /// answers here either ([`Self::better`]).
    pub(super) fn is_no_worse(&self, node: &Node, who: u16) -> bool {
        !self.is_off(node, who) && (!self.lacks(node, who) || self.lacks(node, node.me()))
    }

    /// When it is known whether others have a reference point that this node has not.
    pub(super) fn compares_at(&self, node: &Node) -> Time {
        let at = each(self.networks).filter_map(|network| node.lacks_from(network));
        at.filter(|at| *at > node.now()).min().unwrap_or(Time::NEVER)
    }

    /// Gone from a network of its clients alone.
    fn is_off(&self, node: &Node, who: u16) -> bool {
        each(self.networks).any(|network| node.is_off(who, network))
    }

    /// Turns that others have before this node: none for who was named.
    pub(super) fn rank(&self, me: u16) -> u32 {
        if self.heir == Some(me) {
            return 0;
        }
        let place = self.order.iter().position(|node| *node == me).unwrap_or(self.order.len());
        let own = self.turn_of(me, place);
        let others = self.order.iter().enumerate();
        let first = others.filter(|(place, node)| self.turn_of(**node, *place) < own).count();
        u32::try_from(first + 1).unwrap_or(u32::MAX)
    }

    pub(super) fn stands_at(&self, node: &Node) -> Time {
        let is_named = self.heir == Some(node.me());
        let is_outranked = !is_named && self.is_outranked(node);
        let free = self.voter.free_at().max(self.not_before).max(node.silent_until());
        // Processes that start at once listen until different moments, and one could take all before the others may.
        let listens = if is_outranked { self.listens } else { Duration::ZERO };
        let cold = if self.term == 0 { self.cold_until + listens } else { self.cold_until };
        // With each address that somebody takes the turns of all that have a rule are others.
        let free = free.max(cold).max(self.foreign_until).max(self.costs_at);
        let free = free.max(self.search.ends_at());
        let turn = free + node.beat() / 2 * self.rank(node.me());
        // Who is better off has a vip lease for it; who has not taken it by then cannot.
        let waits = !is_named && (is_outranked || self.better(node).is_some());
        if waits { turn + node.span() } else { turn }
    }
}
