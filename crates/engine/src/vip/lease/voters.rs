//! Who votes, and what a change of that list waits for.
//!
//! A list follows another by one node added, or one taken away, or any number of proven dead ones taken
//! away (by the last rule less than half: the others are to be settled); so majorities of two lists that follow each other share a voter. Four rules keep more than two
//! of them from being in use at once (docs/decisions, "A vip lease that cannot have two holders"):
//! - a voter grants claims under its own list or a later one, and, if it went by the one before, under that for as
//!   long as a voter is bound at most after it adopted its own;
//! - a claimant that adopted a list which lost somebody needs, for that long, a majority of the list before
//!   too: what the dead promised ends before. Who does not know the list before, as it missed that, cannot tell,
//!   and counts nobody for that long;
//! - lists of a store that was put back are later than all before and follow none, but that the first may go on with
//!   the newest of the former store, which it names: whoever adopts another one missed lists;
//! - who proposes lists offers the next one only when a majority of the present one is [`Set::is_settled`]
//!   ([`super::proposer`]).
//!
//! A list of the store names machines, and not places of the cluster file: who takes the place of another is not
//! taken for it.

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use super::beat::{Epoch, Number};
use super::{MAX_SPAN, hold};

/// Voters of one list. More would make nothing safer, and every beat is answered by each.
pub const MAX_VOTERS: usize = 9;

/// A machine at a place of the cluster file.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Elector {
    /// Position in the cluster file; of one that is in no file here: any that no node has.
    pub node: u16,
    /// When that machine joined the cluster, in milliseconds since 1970. 0 in a list: whichever has the place; of a
    /// node: it does not say.
    pub joined: u64,
}

impl Elector {
    /// In no list that anybody offers: a list of it alone has nobody.
    const NOBODY: Self = Self { node: u16::MAX, joined: u64::MAX };

    /// Whether `who` is this one of a list.
    pub(super) fn is(self, who: Self) -> bool {
        self.node == who.node && (self.joined == 0 || self.joined == who.joined)
    }
}

impl From<u16> for Elector {
    fn from(node: u16) -> Self {
        Self { node, joined: 0 }
    }
}

/// One list of voters.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Voters {
    /// The store's number of this list; none: there is no store.
    number: Option<Number>,
    /// Of the first list of a store: the list of a former one that it goes on with.
    former: Option<Number>,
    /// By position in the cluster file, each once.
    electors: ArrayVec<Elector, MAX_VOTERS>,
}

impl Voters {
    /// None: more than [`MAX_VOTERS`], or nobody, or two of one place.
    #[must_use]
    pub fn new(number: Option<Number>, nodes: &[u16]) -> Option<Self> {
        let nodes: ArrayVec<u16, MAX_VOTERS> = nodes.try_into().ok()?;
        let electors: ArrayVec<Elector, MAX_VOTERS> =
            nodes.into_iter().map(Elector::from).collect();
        Self::named(number, &electors)
    }

    /// The same of machines.
    #[must_use]
    pub fn named(number: Option<Number>, electors: &[Elector]) -> Option<Self> {
        let mut electors: ArrayVec<Elector, MAX_VOTERS> = electors.try_into().ok()?;
        electors.sort_unstable();
        let twice = electors.windows(2).any(|pair| pair[0].node == pair[1].node);
        (!electors.is_empty() && !twice).then_some(Self { number, former: None, electors })
    }

    /// The list of a store that nobody may hold by: whoever adopts it grants nothing under lists of former ones.
    #[must_use]
    pub fn nobody(store: u64) -> Self {
        let number = Some(Number { store, list: 0 });
        Self { number, former: None, electors: [Elector::NOBODY].into_iter().collect() }
    }

    /// It has the same members as that one of a former store, and goes on with it.
    #[must_use]
    pub fn going_on_with(self, former: Option<Number>) -> Self {
        Self { former, ..self }
    }

    #[must_use]
    pub const fn number(&self) -> Option<Number> {
        self.number
    }

    /// Of a former store: the list that it goes on with.
    #[must_use]
    pub const fn former(&self) -> Option<Number> {
        self.former
    }

    #[must_use]
    pub fn electors(&self) -> &[Elector] {
        &self.electors
    }

    /// More than half.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.electors.len() / 2 + 1
    }

    #[must_use]
    pub fn has(&self, who: impl Into<Elector>) -> bool {
        let who = who.into();
        self.electors.iter().any(|elector| elector.is(who))
    }

    /// Whether whoever a list before it has there has it here, too: lists without a store name no machines.
    fn has_place(&self, elector: Elector) -> bool {
        self.electors.iter().any(|own| own.is(elector) || elector.is(*own))
    }

    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self.number {
            Some(number) => Epoch::Number(number),
            None => Epoch::Hash(self.electors.iter().fold(0x811c_9dc5, |hash, elector| {
                let [high, low] = elector.node.to_be_bytes();
                let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
                step(step(hash, high), low)
            })),
        }
    }

    /// Whether it is the list directly after that one.
    fn follows(&self, before: &Self) -> bool {
        let is_next = match (self.number, before.number) {
            (Some(new), Some(old)) => new.follows(old) || new.list == 1 && self.former == Some(old),
            // The first list of a store has the members by whose hash a cluster went before.
            (Some(new), None) => {
                let same = |(new, old): (&Elector, &Elector)| new.node == old.node;
                new.list == 1
                    && self.former.is_none()
                    && self.electors.len() == before.electors.len()
                    && self.electors.iter().zip(&before.electors).all(same)
            }
            (None, _) => false,
        };
        let two =
            |(new, old): (&Elector, &Elector)| new.node == old.node && new.joined != old.joined;
        let pairs = |new| before.electors.iter().map(move |old| (new, old));
        // One that is gone and its successor are never in use at once: votes are of machines.
        let is_another = self.electors.iter().flat_map(pairs).any(two);
        is_next && (before.number.is_none() || !is_another)
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
    /// Nobody has read yet which list the store has, since this machine started: it may have been taken for dead
    /// meanwhile.
    Unread,
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

    /// Nobody counts and nothing is granted until a list is adopted, or it is known that there is none: then these vote.
    #[must_use]
    pub const fn unread(voters: Voters, now: Time) -> Self {
        Self { now: voters, before: Before::Unread, adopted: now }
    }

    /// Takes a later list of the store, or learns that the store has none; says whether that changed anything.
    pub fn adopt(&mut self, now: Time, voters: Voters) -> bool {
        let Some(new) = voters.number else { return self.finds_none(now) };
        if self.now.number.is_some_and(|old| new <= old) {
            return false;
        }
        let follows = voters.follows(&self.now) && !self.is_unread();
        let former = std::mem::replace(&mut self.now, voters);
        self.before = if follows { Before::Known(former) } else { Before::Missed };
        self.adopted = now;
        true
    }

    /// The store never had a list.
    fn finds_none(&mut self, now: Time) -> bool {
        let waited = self.is_unread() && self.now.number.is_none();
        if waited {
            (self.before, self.adopted) = (Before::Missed, now);
        }
        waited
    }

    #[must_use]
    pub const fn voters(&self) -> &Voters {
        &self.now
    }

    /// Whether it is not known yet who votes.
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        matches!(self.before, Before::Unread)
    }

    const fn before(&self) -> Option<&Voters> {
        if let Before::Known(before) = &self.before { Some(before) } else { None }
    }

    /// Whether it is in the list in use or in the one before: at most twice [`MAX_VOTERS`] are.
    #[must_use]
    pub fn has(&self, who: impl Into<Elector>) -> bool {
        let who = who.into();
        self.now.has(who) || self.before().is_some_and(|before| before.has(who))
    }

    /// The lists of which a claimant needs a majority each; none: nobody counts now.
    pub fn counted(&self, now: Time) -> impl Iterator<Item = &Voters> {
        let young = now < self.adopted + longest();
        let lost = |before: &Voters| before.electors.iter().any(|node| !self.now.has_place(*node));
        let (present, before) = match &self.before {
            Before::Unread => (None, None),
            Before::Missed if young => (None, None),
            Before::Known(before) if young && lost(before) => (Some(&self.now), Some(before)),
            Before::First | Before::Known(_) | Before::Missed => (Some(&self.now), None),
        };
        present.into_iter().chain(before)
    }

    /// Whether a claim under this epoch may have a promise of this node.
    #[must_use]
    pub fn fits(&self, now: Time, epoch: Epoch) -> bool {
        if self.is_unread() {
            return false;
        }
        let young = now < self.adopted + longest();
        let is_before = young && self.before().is_some_and(|before| before.epoch() == epoch);
        match (epoch, self.now.epoch()) {
            // Who did not go by the one before may have been taken for dead since: its followers need not wait for it.
            (Epoch::Number(theirs), Epoch::Number(ours)) => theirs >= ours || is_before,
            (Epoch::Hash(theirs), Epoch::Hash(ours)) => theirs == ours,
            // Every list of a store is later than those of a cluster that had none.
            (Epoch::Number(_), Epoch::Hash(_)) => true,
            (Epoch::Hash(_), Epoch::Number(_)) => is_before,
        }
    }

    /// Whether this node grants nothing under an older list any more, and what it granted has ended: only
    /// then does it count for who proposes the next list.
    #[must_use]
    pub fn is_settled(&self, now: Time) -> bool {
        !self.is_unread() && now >= self.adopted + longest() + longest()
    }
}

/// How long a voter can be bound.
const fn longest() -> Duration {
    hold(MAX_SPAN)
}
