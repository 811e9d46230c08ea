//! One address, from one process to the next of the same life.

use super::super::Cause;
use super::super::bequest::{Held, Left};
use super::super::claim::Claim;
use super::super::node::Node;
use super::super::voter::Voter;
use super::{By, Role, Seat};
use crate::vip::burst::Burst;

impl Seat {
    /// A candidate gives its voters back: the next process claims nothing at first.
    pub(in super::super) fn leaves(&self, node: &Node) -> Left {
        let holds = match &self.role {
            Role::Holder { until, gained, by, .. } => {
                let (alone, heard) = match *by {
                    By::Votes => (false, None),
                    By::Nobody { heard } => (true, heard),
                };
                Some(Held { until: *until, gained: *gained, alone, heard })
            }
            Role::Idle | Role::Candidate { .. } => None,
        };
        let now = node.now();
        let (granted, before) = self.whereabouts.known();
        Left {
            group: self.group,
            promise: self.voter.promise(now).filter(|_| !self.claims()),
            freed: if self.claims() { now } else { self.voter.free_at() },
            granted,
            before,
            term: self.term,
            term_of: self.term_of,
            heir: self.heir,
            heir_stays: self.heir_stays,
            stays: self.stays,
            gave: self.gave,
            not_before: self.not_before,
            cold_until: self.cold_until,
            foreign_until: self.foreign_until,
            holds,
        }
    }

    /// Who holds has to be one of those that may.
    pub(in super::super) fn could_go_on(&self, node: &Node, left: &Left) -> bool {
        left.holds.is_none() || self.may_hold(node)
    }

    /// What the process before left, whose promises are as good as this one's. Nothing that was granted to its claim counts for this
    /// one's; until when it holds stays as it was.
    pub(in super::super) fn goes_on(&mut self, node: &Node, left: &Left) {
        let now = node.now();
        (self.term, self.term_of) = (left.term, left.term_of);
        (self.heir, self.heir_stays) = (left.heir, left.heir_stays);
        (self.stays, self.gave) = (left.stays, left.gave);
        (self.not_before, self.cold_until) = (left.not_before, left.cold_until);
        self.foreign_until = left.foreign_until;
        if left.term > 0 {
            // Somebody of ours held it.
            self.ends_search();
        }
        self.whereabouts.go_on(left.granted, left.before);
        self.voter = left.promise.map_or_else(|| Voter::new(left.freed), Voter::bound);
        let Some(Held { until, gained, alone, heard }) = left.holds else { return };
        self.voter = Voter::new(now);
        self.voter.keep(now, node.me(), node.life());
        let by = if alone { By::Nobody { heard } } else { By::Votes };
        let (claim, burst) = (Claim::new(node.next_serial()), Burst::silent(now));
        self.role = Role::Holder { claim, until, burst, gained, by };
        self.cause = Some(Cause::Fact(crate::vip::Cause::Adopted));
    }
}
