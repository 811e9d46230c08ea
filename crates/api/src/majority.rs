//! Whether a node speaks for the cluster, as its own status shows it.

use crate::{Standing, Status};

impl Status {
    /// Controllers that this one reaches, itself included, and how many there are; `None`: it reaches a
    /// majority, or is no part of any. A compute node is none; without a secret there are no beats, and
    /// nobody is reached or missed.
    #[must_use]
    pub fn minority(&self) -> Option<(usize, usize)> {
        let has_beats = !self.limits.iter().any(|limit| limit.contains("no beats"));
        let is_compute = self.nodes.iter().any(|line| line.compute && line.state.node == self.node);
        let controllers = || self.nodes.iter().filter(|line| !line.compute);
        let alive = controllers().filter(|line| line.state.standing == Standing::Alive);
        let (reached, of) = (alive.count(), controllers().count());
        // As `engine::quorum`: half is no majority, and a tie of two neither.
        let lacks_one = reached < of / 2 + 1;
        (lacks_one && has_beats && !is_compute).then_some((reached, of))
    }
}
