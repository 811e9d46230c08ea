//! What this node's beats and words to single nodes say.

use arrayvec::ArrayVec;

use super::beat::{Choice, Load, MAX_CHOICES, MAX_LENGTH};
use super::news::{Question, Told};
use super::{Action, GOODBYES, Member};
use crate::duty::Duty;
use crate::evidence::Ailments;
use crate::packet::{Kind, MAX_BODY};
use crate::{Buffer, CAPACITY};

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

    /// Writes the question of [`Action::Question`] and returns its length.
    pub fn question(&mut self, node: u16, network: u8, after: u64, out: &mut [u8]) -> usize {
        let body = Question { to: node, after }.encode();
        self.seal.seal(Kind::Question, (node, network), &body, out)
    }

    /// Writes one event of this node for another and returns its length; 0 if the text is longer than
    /// [`MAX_TEXT`]. Between `previous` and `number` there is none.
    pub fn tell(
        &mut self,
        (node, network): (u16, u8),
        (previous, number): (u64, u64),
        text: &[u8],
        out: &mut [u8],
    ) -> usize {
        let mut body = [0; MAX_BODY];
        let told = Told { to: node, previous, number, text };
        let Some(length) = told.encode(&mut body) else { return 0 };
        self.seal.seal(Kind::Told, (node, network), &body[..length], out)
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

    pub(super) fn order_beats(&mut self, out: &mut Buffer<Action>) {
        self.said.rows = self.watch.rows();
        self.said.stall = self.watch.stall_to_tell(self.beaten_at < self.judge_from);
        let Some(own) = self.peers.get(usize::from(self.me)) else { return };
        for _ in 0..if self.said.leaving { GOODBYES } else { 1 } {
            for network in (0..self.said.networks).filter(|network| own.is_on(*network)) {
                if out.len() < CAPACITY {
                    out.push(Action::Beat { network });
                }
            }
        }
    }
}
