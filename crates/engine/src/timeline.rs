//! The newest events of all nodes, fetched from each other.
//!
//! ```text
//!   a beat: "my newest is 700"      question: "after 684?"       16 events at most
//!   peer -----------------------> here ------------------> peer ------------------> here
//! ```
//!
//! Whoever wants to know asks, so what is lost is asked again and nobody is told more than it can
//! take. Events come in the order of their numbers; what arrives out of turn is asked again. Of a log
//! that grew beyond [`KEPT`] events while nobody listened, the older part is skipped, and that is said.

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use crate::Buffer;
use crate::keep::kept;
use crate::packet::MAX_NODES;

#[cfg(test)]
mod tests;

/// Events of each peer that are worth having: what an operator reads of one fault, several times.
pub const KEPT: u64 = 256;
/// Events in one answer: with the longest texts 20 kB, a tenth of a socket's buffer.
pub const BURST: usize = 16;
/// Between two questions to one peer: four a second, so that [`KEPT`] events arrive within 4 s.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Questions of one peer that are answered within [`WINDOW`]; a peer that asks more is not well.
const ANSWERS: usize = 4;
const WINDOW: Duration = Duration::from_secs(1);
/// A peer whose beats are older is not asked.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// Questions of one step; the others are due at once, in the next one.
const MAX_QUESTIONS: usize = 4;

/// What was heard from a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// A beat: the number of its newest event, 0 if it does not say: there is none, or its log is not
    /// read yet.
    Heard {
        node: u16,
        network: u8,
        incarnation: u64,
        newest: u64,
    },
    /// It wants to know events of this node after this number.
    Asked {
        node: u16,
        network: u8,
        after: u64,
    },
    /// One event of its log; between `previous` and `number` there is none.
    Told {
        node: u16,
        previous: u64,
        number: u64,
    },
    Timeout,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Ask for the events after this number.
    Ask { node: u16, network: u8, after: u64 },
    /// Tell at most [`BURST`] events of this node after this number.
    Answer { node: u16, network: u8, after: u64 },
    /// The event of [`Input::Told`] is news; `skipped` events before it are not known here.
    Keep { node: u16, number: u64, skipped: u64 },
}

#[derive(Clone, Debug, Default)]
struct Peer {
    incarnation: u64,
    /// The last one that said what its newest event is.
    said: u64,
    newest: u64,
    /// Everything up to this number is here, or is skipped.
    have: u64,
    /// Events up to `have` that are not here, since the last one that came.
    skipped: u64,
    heard: Option<(Time, u8)>,
    asked: Option<Time>,
    /// Events that the last question may still bring.
    expected: usize,
    /// When its last questions were answered.
    answered: ArrayVec<Time, ANSWERS>,
}

/// What is known of each peer's log, by position in the cluster file.
#[derive(Debug)]
pub struct Timeline {
    peers: Vec<Peer>,
}

kept!(Timeline { peers });
kept!(Peer { incarnation, said, newest, have, skipped, heard, asked, expected, answered });

impl Timeline {
    /// Of how many nodes.
    pub(crate) const fn nodes(&self) -> usize {
        self.peers.len()
    }

    /// For that many nodes, at most [`MAX_NODES`].
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self { peers: vec![Peer::default(); nodes.min(MAX_NODES)] }
    }

    /// The only way in.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Buffer<Action>) {
        match input {
            Input::Heard { node, network, incarnation, newest } => {
                if let Some(peer) = self.peers.get_mut(usize::from(node)) {
                    peer.hear(now, network, incarnation, newest);
                }
            }
            Input::Asked { node, network, after } => {
                let peer = self.peers.get_mut(usize::from(node));
                if peer.is_some_and(|peer| peer.may_be_answered(now)) {
                    out.push(Action::Answer { node, network, after });
                }
            }
            Input::Told { node, previous, number } => {
                let peer = self.peers.get_mut(usize::from(node));
                if let Some(skipped) = peer.and_then(|peer| peer.keep(previous, number)) {
                    out.push(Action::Keep { node, number, skipped });
                }
            }
            Input::Timeout => {}
        }
        let due = (0_u16..).zip(&mut self.peers).filter(|(_, peer)| peer.ask_at() <= now);
        for (node, peer) in due.take(MAX_QUESTIONS) {
            let Some((_, network)) = peer.heard else { continue };
            peer.asked = Some(now);
            peer.expected = BURST;
            out.push(Action::Ask { node, network, after: peer.have });
        }
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.peers.iter().map(Peer::ask_at).min().unwrap_or(Time::NEVER)
    }
}

impl Peer {
    fn hear(&mut self, now: Time, network: u8, incarnation: u64, newest: u64) {
        if incarnation < self.incarnation {
            return;
        }
        self.incarnation = incarnation;
        self.heard = Some((now, network));
        if newest == 0 {
            return;
        }
        if incarnation > self.said {
            (self.said, self.newest) = (incarnation, newest);
            if newest < self.have {
                // Its log was lost; what it counts now is another one.
                (self.have, self.skipped) = (0, 0);
            }
        }
        // A beat that was late on another network says less than is known.
        self.newest = self.newest.max(newest);
        let oldest = self.newest.saturating_sub(KEPT);
        if self.have < oldest {
            self.skipped += oldest - self.have;
            self.have = oldest;
        }
    }

    /// None: not now, or nothing is missing.
    fn ask_at(&self) -> Time {
        let Some((heard, _)) = self.heard.filter(|_| self.have < self.newest) else {
            return Time::NEVER;
        };
        let at = self.asked.map_or(heard, |asked| asked + ASK_EVERY);
        if at < heard + HEARD_WITHIN { at } else { Time::NEVER }
    }

    /// The number of unknown events before it, if it is the next one.
    fn keep(&mut self, previous: u64, number: u64) -> Option<u64> {
        let is_next = previous <= self.have && self.have < number && number <= self.newest;
        if !is_next || self.expected == 0 {
            return None;
        }
        self.expected -= 1;
        let skipped = std::mem::take(&mut self.skipped) + (number - self.have - 1);
        self.have = number;
        Some(skipped)
    }

    fn may_be_answered(&mut self, now: Time) -> bool {
        if self.answered.is_full() {
            if now.since(self.answered[0]) < WINDOW {
                return false;
            }
            self.answered.remove(0);
        }
        self.answered.push(now);
        true
    }
}
