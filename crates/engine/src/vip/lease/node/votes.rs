//! Who votes, and who of them is there.

use base::Time;

use super::super::claim::Claim;
use super::super::voters::{Elector, Set, Voters};
use super::Node;

impl Node {
    pub(in super::super) fn adopt(&mut self, voters: Voters) -> bool {
        self.set.adopt(self.now, voters)
    }

    pub(in super::super) fn until(&self, claim: &Claim) -> Option<Time> {
        claim.until(self.now, self.elector(self.me), &self.set, &self.sent)
    }

    /// That node as a voter: the machine that speaks for it.
    pub(in super::super) fn elector(&self, node: u16) -> Elector {
        let joined = if node == self.me { self.joined } else { self.peer(node).joined };
        Elector { node, joined }
    }

    /// Whether a majority of the voters, this node among them if it is one, hears and is heard, and counts now.
    pub(in super::super) fn has_majority(&self) -> bool {
        let Some(voters) = self.set.counted(self.now).next() else { return false };
        let is_there = |voter: &&Elector| {
            let node = voter.node;
            let hears = node == self.me || self.answers(node);
            hears && voter.is(self.elector(node))
        };
        voters.electors().iter().filter(is_there).count() >= voters.majority()
    }

    /// Among the voters, from 1 on: no two have the same.
    pub(in super::super) fn place(&self) -> u32 {
        let all = self.set.voters().electors();
        let place = all.iter().position(|voter| voter.node == self.me).unwrap_or(all.len());
        u32::try_from(place + 1).unwrap_or(u32::MAX)
    }

    pub(in super::super) const fn set(&self) -> &Set {
        &self.set
    }
}
