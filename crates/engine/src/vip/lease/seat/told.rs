//! What is said of an address to other nodes, and to this one's operator.

use super::super::beat::{Entry, Stand};
use super::super::node::Node;
use super::super::{Cause, View};
use super::{Role, Seat};

impl Seat {
    /// What is said to `to` about this address.
    pub(in super::super) fn entry(&self, node: &Node, to: u16) -> Entry {
        let stand = match self.role {
            Role::Holder { .. } => Stand::Holder,
            Role::Candidate { .. } => Stand::Candidate,
            // Who does not know who votes is named by nobody.
            Role::Idle if self.is_fit(node) && !node.set().is_unread() => Stand::Fit,
            Role::Idle => Stand::Unfit,
        };
        Entry {
            group: self.group,
            stand,
            grants: self.voter.grants(node.now(), to, node.peer(to).word),
            successor: self.successor(node),
            stays: self.says_stays(node),
            barred: self.is_barred(node),
            term: self.term,
        }
    }

    fn successor(&self, node: &Node) -> Option<u16> {
        match self.role {
            Role::Holder { .. } => self.heir_among(node),
            Role::Candidate { .. } => None,
            Role::Idle => self.gave.filter(|(_, until)| node.now() < *until).map(|(heir, _)| heir),
        }
    }

    pub(in super::super) fn view(&self, node: &Node) -> View {
        let stand = self.entry(node, node.me()).stand;
        let is_holder = |other: &&u16| {
            let said = self.said.get(usize::from(**other)).map(|said| said.stand);
            said == Some(Stand::Holder) && node.hears(**other)
        };
        let other = self.order.iter().find(is_holder).copied();
        let gained = match &self.role {
            Role::Holder { gained, .. } => *gained,
            Role::Idle | Role::Candidate { .. } => None,
        };
        let holder = if stand == Stand::Holder { Some(node.me()) } else { other };
        let awaits = self.awaits(node).filter(|_| holder.is_none());
        View {
            stand,
            term: self.term,
            holder,
            successor: self.successor(node),
            cause: self.cause_of(node, stand, awaits.is_some()),
            gained,
            awaits,
            alone: self.is_alone(),
            stays: self.stays_with(holder, node),
        }
    }

    fn cause_of(&self, node: &Node, stand: Stand, awaits: bool) -> Option<Cause> {
        if !self.may_hold(node) {
            return None;
        }
        let fault = self.facts.fault(node.now()).map(Cause::Fact);
        let fault = fault.or_else(|| self.is_foreign(node.now()).then_some(Cause::Foreign));
        let fault = fault.or_else(|| self.has_barring.then_some(Cause::Barred));
        match stand {
            Stand::Unfit => fault.or(self.cause),
            _ if awaits => Some(Cause::Unproven),
            Stand::Fit | Stand::Candidate | Stand::Holder => self.cause.or(fault),
        }
    }

    /// Whose proof is missed: nobody holds it, as far as is known, and what was promised has ended.
    fn awaits(&self, node: &Node) -> Option<u16> {
        let waits = matches!(self.role, Role::Idle) && self.voter.promise(node.now()).is_none();
        let unheard = || self.suspects(node, node.me()).find(|other| !node.hears(*other));
        (waits && !node.is_silent()).then(unheard).flatten()
    }
}
