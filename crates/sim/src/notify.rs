//! A world of nodes that tell people of moves: the real machine (`engine::notify`) on nodes that die, stand still and are
//! cut from each other, in front of receivers that are down, refuse some of those who are to get a mail, or say nothing.
//!
//! ```text
//!   who holds what --> events in the log of a node --> all that it reaches --> Outbox --> shelf, receivers
//!        ^                                                                       |
//!   Storm: power, processes, pauses, cuts, receivers, answers of the store ------+--> Judge
//! ```
//!
//! In one half of the worlds the nodes share a shelf, and whoever coordinates tells; in the other each has one of its own.
//! An agent can die between any two of its deeds. Three things are asked of what arrived: whether it came twice though
//! nothing happened to whoever told it ([`TWICE`]), or under two names ([`NAMES`]); whether everything came when all was
//! mended ([`LOST`]); and whether it was told that nobody holds an address ([`UNTOLD`]). Everything comes from a seed.

mod agents;
mod judge;
mod node;
mod receive;
mod storm;
mod world;

pub use world::{Outcome, World};

/// Something arrived twice, and nothing had happened to whoever told it first.
pub const TWICE: &str = "S1 notify once";
/// One thing arrived under two names, so that its receiver cannot know that it is one.
pub const NAMES: &str = "S2 notify names";
/// Everything works again for long, and something was not told.
pub const LOST: &str = "L1 notify lost";
/// Nobody held an address for long, which the one who tells saw, and it was not told.
pub const UNTOLD: &str = "L2 notify loss";
/// A machine ordered more than fits, or wants to be woken without end.
pub const BOUNDS: &str = "S3 notify limits";

/// What a run should come by, or it says little.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mark {
    /// Nodes without a common shelf.
    Alone,
    /// Something was told, after failures too.
    Told,
    Retried,
    /// It came twice, as whoever told it died before that was written.
    Again,
    /// Several in one.
    Summary,
    /// Some of those who were to get a mail got it later.
    Part,
    /// A receiver said nothing, and got the same again.
    Unsure,
    /// A loss, and the return after it.
    Loss,
    Return,
    /// One node told what another one had done.
    SpokenFor,
    /// Another node took the office.
    Office,
    /// The store did what it did not answer.
    Unanswered,
}

impl Mark {
    pub const ALL: [Self; 12] = [
        Self::Alone,
        Self::Told,
        Self::Retried,
        Self::Again,
        Self::Summary,
        Self::Part,
        Self::Unsure,
        Self::Loss,
        Self::Return,
        Self::SpokenFor,
        Self::Office,
        Self::Unanswered,
    ];
}

/// Marks that were reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Marks(u32);

impl Marks {
    pub(crate) const fn reach(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u32;
    }

    pub const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub fn missing(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.into_iter().filter(move |mark| self.0 & (1 << *mark as u32) == 0)
    }
}

/// The whole of what a seed means, judged.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    World::new(seed).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some seconds without optimisation; `cargo xtask sweep --notify` runs more.
    const SEEDS: u64 = 24;

    #[test]
    fn each_move_is_told_once_and_none_is_lost_for_ever() {
        let broken: Vec<_> =
            (0..SEEDS).filter_map(|seed| Some((seed, run(seed).violation?))).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    #[test]
    fn the_same_seed_tells_the_same() {
        let told = World::new(7).telling().run();
        assert_eq!((told.hash, told.marks), (run(7).hash, run(7).marks));
        assert_ne!(told.hash, run(8).hash);
        assert!(told.story.lines().count() > 10, "{}", told.story);
    }
}
