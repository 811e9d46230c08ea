//! Who votes, and what a change of that list waits for.
//!
//! A list follows another by one node added, or one taken away, or any number of proven dead ones taken
//! away (by the last rule less than half: the others are to be settled); so majorities of two lists that follow each other share a voter. Four rules keep more than two
//! of them from being in use at once (docs/decisions, "A vip lease that cannot have two holders"):
//! - a voter grants claims under its own list or a later one, and under the one before for as long as a
//!   voter is bound at most after it adopted its own;
//! - a claimant that adopted a list which lost somebody needs, for that long, a majority of the list before
//!   too: what the dead promised ends before. Who does not know the list before, as it missed that, cannot tell,
//!   and counts nobody for that long;
//! - lists of a store that was put back are later than all before and follow none: whoever adopts one missed lists;
//! - who proposes lists offers the next one only when a majority of the present one is [`Set::is_settled`].

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use super::beat::{Epoch, Number};
use super::{MAX_SPAN, hold};

/// Voters of one list. More would make nothing safer, and every beat is answered by each.
pub const MAX_VOTERS: usize = 9;

/// One list of voters.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Voters {
    /// The store's number of this list; none: there is no store.
    number: Option<Number>,
    /// Positions in the cluster file, ascending, each once.
    nodes: ArrayVec<u16, MAX_VOTERS>,
}

impl Voters {
    /// None: more than [`MAX_VOTERS`], or nobody.
    #[must_use]
    pub fn new(number: Option<Number>, nodes: &[u16]) -> Option<Self> {
        let mut nodes: ArrayVec<u16, MAX_VOTERS> = nodes.try_into().ok()?;
        nodes.sort_unstable();
        let twice = nodes.windows(2).any(|pair| pair[0] == pair[1]);
        (!nodes.is_empty() && !twice).then_some(Self { number, nodes })
    }

    #[must_use]
    pub const fn number(&self) -> Option<Number> {
        self.number
    }

    #[must_use]
    pub fn nodes(&self) -> &[u16] {
        &self.nodes
    }

    /// More than half.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    #[must_use]
    pub fn has(&self, node: u16) -> bool {
        self.nodes.contains(&node)
    }

    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self.number {
            Some(number) => Epoch::Number(number),
            None => Epoch::Hash(self.nodes.iter().fold(0x811c_9dc5, |hash, node| {
                let [high, low] = node.to_be_bytes();
                let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
                step(step(hash, high), low)
            })),
        }
    }
}

/// The list in use, and the one before it as long as that still means something.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Set {
    now: Voters,
    before: Before,
    adopted: Time,
}

/// The list that the one in use followed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Before {
    /// The one in use is the first of this process, which votes for nobody as long as another would count.
    First,
    Known(Voters),
    /// This node went from an older one, maybe one of a store that was put back since, to the one in use.
    Missed,
}

impl Set {
    #[must_use]
    pub const fn new(voters: Voters, now: Time) -> Self {
        Self { now: voters, before: Before::First, adopted: now }
    }

    /// As another process of the same life left it.
    #[must_use]
    pub const fn left(now: Voters, before: Before, adopted: Time) -> Self {
        Self { now, before, adopted }
    }

    /// The list before the one in use, and since when that is in use.
    #[must_use]
    pub const fn followed(&self) -> (&Before, Time) {
        (&self.before, self.adopted)
    }

    /// Takes a later list of the store; says whether it did.
    pub fn adopt(&mut self, now: Time, voters: Voters) -> bool {
        let (Some(new), Some(old)) = (voters.number, self.now.number) else { return false };
        if new <= old {
            return false;
        }
        let former = std::mem::replace(&mut self.now, voters);
        self.before = if new.follows(old) { Before::Known(former) } else { Before::Missed };
        self.adopted = now;
        true
    }

    #[must_use]
    pub const fn voters(&self) -> &Voters {
        &self.now
    }

    /// Whether it is in the list in use or in the one before: at most twice [`MAX_VOTERS`] are.
    #[must_use]
    pub fn has(&self, node: u16) -> bool {
        let before = if let Before::Known(before) = &self.before { Some(before) } else { None };
        self.now.has(node) || before.is_some_and(|before| before.has(node))
    }

    /// The lists of which a claimant needs a majority each; none: nobody counts now.
    pub fn counted(&self, now: Time) -> impl Iterator<Item = &Voters> {
        let young = now < self.adopted + longest();
        let lost = |before: &Voters| before.nodes.iter().any(|node| !self.now.has(*node));
        let (present, before) = match &self.before {
            Before::Missed if young => (None, None),
            Before::Known(before) if young && lost(before) => (Some(&self.now), Some(before)),
            Before::First | Before::Known(_) | Before::Missed => (Some(&self.now), None),
        };
        present.into_iter().chain(before)
    }

    /// Whether a claim under this epoch may have a promise of this node.
    #[must_use]
    pub fn fits(&self, now: Time, epoch: Epoch) -> bool {
        match (epoch, self.now.epoch()) {
            (Epoch::Number(theirs), Epoch::Number(ours)) => {
                let young = now < self.adopted + longest();
                theirs >= ours || young && ours.follows(theirs)
            }
            (Epoch::Hash(theirs), Epoch::Hash(ours)) => theirs == ours,
            (Epoch::Number(_), Epoch::Hash(_)) | (Epoch::Hash(_), Epoch::Number(_)) => false,
        }
    }

    /// Whether this node grants nothing under an older list any more, and what it granted has ended: only
    /// then does it count for who proposes the next list.
    #[must_use]
    pub fn is_settled(&self, now: Time) -> bool {
        now >= self.adopted + longest() + longest()
    }
}

/// How long a voter can be bound.
const fn longest() -> Duration {
    hold(MAX_SPAN)
}
