//! A node that hears nobody and holds without a majority, as its operator allowed.

use std::time::Duration;

use base::Time;

use super::super::beat::Stand;
use super::super::claim::Claim;
use super::super::node::Node;
use super::super::{Action, Cause, MAX_SPAN, hold};
use super::{By, Role, Seat};
use crate::Buffer;
use crate::vip::burst::Burst;

/// For so long after it hears somebody again it may wait for a majority to grant what it holds: a process that was just
/// started grants nothing for half of it.
const GRACE: Duration = hold(MAX_SPAN).saturating_mul(2);

impl Seat {
    /// Without a majority.
    pub(in super::super) const fn is_alone(&self) -> bool {
        matches!(self.role, Role::Holder { by: By::Nobody { .. }, .. })
    }

    /// Takes it if this node is the last one; says whether it did.
    pub(super) fn take_alone(&mut self, vip: usize, node: &Node, out: &mut Buffer<Action>) -> bool {
        let now = node.now();
        let may = self.last_man.is_some_and(|after| node.is_last(self.networks, after))
            && node.hears_nobody()
            && now >= self.stands_at(node)
            && self.is_fit(node)
            && self.suspects(node, node.me()).next().is_none();
        if !may || self.finds_it_taken(vip, now, out) {
            return false;
        }
        if !self.voter.keep(now, node.me(), node.life()) {
            return false;
        }
        let mut burst = Burst::silent(now);
        burst.restart(now);
        let (claim, by) = (Claim::new(node.next_serial()), By::Nobody { heard: None });
        // No majority granted it.
        self.role = Role::Holder { claim, until: now + node.span(), burst, gained: None, by };
        self.cause = Some(Cause::LastMan);
        self.asks_for_it(node);
        self.stayed = None;
        out.push(Action::Claim { vip });
        out.push(Action::Announce { vip });
        true
    }

    /// Whether it may go on without a majority.
    pub(super) fn stays_alone(&mut self, node: &Node) -> bool {
        // The process before may have been allowed what this one is not.
        let yields = self.last_man.is_none() || self.yields(node);
        let Role::Holder { by: By::Nobody { heard }, .. } = &mut self.role else { return false };
        *heard = if node.hears_nobody() { None } else { Some(heard.unwrap_or(node.now())) };
        let in_time = heard.is_none_or(|since| node.now() < since + GRACE);
        in_time && !yields && node.is_well(self.networks)
    }

    /// Another one holds it, by votes, or stands before this node in the order.
    fn yields(&self, node: &Node) -> bool {
        let stand = |other: &u16| self.said.get(usize::from(*other)).map(|said| said.stand);
        let holds = |other: &u16| stand(other) == Some(Stand::Holder) && node.hears(*other);
        let place = |node: u16| self.order.iter().position(|known| *known == node);
        let mut holders = self.order.iter().filter(|other| **other != node.me() && holds(other));
        holders.any(|other| !node.peer(*other).alone || place(*other) < place(node.me()))
    }

    /// When it gives back what no majority granted.
    pub(super) fn gives_back_at(&self, by: By) -> Time {
        match by {
            By::Votes | By::Nobody { heard: None } => Time::NEVER,
            By::Nobody { heard: Some(since) } => since + GRACE,
        }
    }
}
