//! What this node's beats say.

use arrayvec::ArrayVec;

use super::Member;
use super::beat::{Choice, Load, MAX_CHOICES, MAX_LENGTH};
use crate::duty::Duty;
use crate::evidence::Ailments;
use crate::packet::Kind;

impl Member {
    /// Seals a body of [`crate::errand`] for a node on a network into `out` and returns its length; 0 if it
    /// does not fit or no key is shared with that node.
    pub fn carry(
        &mut self,
        kind: Kind,
        (to, network): (u16, u8),
        body: &[u8],
        out: &mut [u8],
    ) -> usize {
        self.seal.seal(kind, (to, network), body, out)
    }

    /// The body of a beat, for those who seal it themselves or do not seal at all.
    #[must_use]
    pub fn body(&self) -> ArrayVec<u8, { MAX_LENGTH }> {
        let mut bytes = [0; MAX_LENGTH];
        let length = self.said.encode(&mut bytes);
        let mut body = ArrayVec::from(bytes);
        body.truncate(length);
        body
    }

    /// The number of this node's newest event.
    pub const fn say_events(&mut self, newest: u64) {
        self.said.events = newest;
    }

    /// What this node's beats say about writers; the first [`MAX_CHOICES`].
    pub fn say_choices(&mut self, choices: impl IntoIterator<Item = Choice>) {
        self.said.choices = choices.into_iter().take(MAX_CHOICES).collect();
    }

    /// Which vip instances this node holds, one bit each.
    pub const fn say_holds(&mut self, holds: u64) {
        self.said.holds = holds;
    }

    /// Whether this node takes on work.
    pub const fn say_duty(&mut self, duty: Duty) {
        self.said.duty = duty;
    }

    /// How busy this node's machine is.
    pub const fn say_load(&mut self, load: Option<Load>) {
        self.said.load = load;
    }

    /// What this node has to say against itself.
    pub const fn say_ailments(&mut self, ailments: Ailments) {
        self.said.ailments = ailments;
    }
}
