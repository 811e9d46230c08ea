//! Whether somebody who is no node of ours has the address, asked while this one knows of no holder: after a start of all. Who hears that somebody of
//! ours held it asks nobody any more, so no take-over waits for an answer.
//!
//! ```text
//!   can hold it: asks ── half of the time in which it listens ──> asks ──> nobody answered: stands
//!                                                                   └────> somebody did: asks once more, then stands back, and asks each 2 s
//! ```

use std::time::Duration;

use base::Time;

use super::super::Action;
use super::super::node::Node;
use super::{Role, Seat};
use crate::Buffer;
use crate::vip::search::{ASK_AGAIN, TAKEN_FOR};
use crate::vip::{Cause, Mac};

/// So long an answer may take: a machine that stands still answers late. It is over before a process that was just started may vote.
const ANSWERED_WITHIN: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Nobody of ours held it, as far as this process heard.
    is_open: bool,
    /// When to ask next.
    asks_at: Time,
    /// When it asked last.
    asked: Option<Time>,
    /// Until then an answer may come that says something new: of the first question, and of one after an answer.
    awaits: Time,
    /// Who answered since.
    answered: Option<Mac>,
    /// The question before was answered as well.
    is_sure: bool,
    /// Who has it.
    taken_by: Option<Mac>,
}

impl Search {
    pub(super) const fn new() -> Self {
        Self {
            is_open: true,
            asks_at: Time::ZERO,
            asked: None,
            awaits: Time::ZERO,
            answered: None,
            is_sure: false,
            taken_by: None,
        }
    }

    /// Before that moment nobody knows whether somebody has it.
    pub(super) fn ends_at(&self) -> Time {
        match (self.is_open, self.asked) {
            (false, _) => Time::ZERO,
            (true, Some(_)) => self.awaits,
            (true, None) => Time::NEVER,
        }
    }

    /// When it asks next, if nothing changes.
    pub(super) fn asks_at(&self) -> Time {
        if self.is_open && self.asked.is_some() { self.asks_at } else { Time::NEVER }
    }

    fn note_asked(&mut self, now: Time, again: Duration) {
        self.is_sure = self.answered.is_some();
        if self.is_sure || self.asked.is_none() {
            self.awaits = now + ANSWERED_WITHIN;
        }
        (self.asked, self.answered, self.asks_at) = (Some(now), None, now + again);
    }
}

impl Seat {
    /// Whether it matters who has the address.
    pub(in super::super) fn searches(&self, node: &Node) -> bool {
        let fault = self.facts.fault(node.now());
        let could = self.may_hold(node) && node.leaving().is_none();
        let could = could && matches!(self.role, Role::Idle) && self.search.is_open;
        could && (fault.is_none() || fault == Some(Cause::InUse))
    }

    /// Who has it, while that keeps this node from standing for it.
    pub(in super::super) fn in_use_by(&self) -> Option<Mac> {
        self.search.taken_by.filter(|_| self.facts.is_taken())
    }

    /// Somebody who is no node of ours says that it has the address.
    pub(in super::super) fn in_use(&mut self, now: Time, mac: Mac) {
        if self.search.is_open && self.search.asked.is_some() {
            self.search.answered = Some(mac);
            if self.facts.is_taken() {
                self.search.taken_by = Some(mac);
                self.facts.taken_until(now + TAKEN_FOR);
            }
        }
    }

    /// Somebody of ours held it, or this node asks for it.
    pub(super) fn ends_search(&mut self) {
        self.search.is_open = false;
        self.facts.taken_until(Time::ZERO);
    }

    /// Asks, if it is time to.
    pub(super) fn ask(&mut self, vip: usize, node: &Node, out: &mut Buffer<Action>) {
        let now = node.now();
        if !self.searches(node) {
            // What was answered is old when it could hold it again.
            (self.search.asked, self.search.answered) = (None, None);
        } else if self.search.asked.is_none() || now >= self.search.asks_at {
            // Once more in the time in which it listens anyway: the first question may go to a port that is just opening.
            let half = self.listens / 2;
            let fits = self.search.asked.is_none() && half >= ANSWERED_WITHIN;
            self.search.note_asked(now, if fits { half.min(ASK_AGAIN) } else { ASK_AGAIN });
            out.push(Action::Probe { vip });
        }
    }

    /// Of one that would stand now: asks once more if somebody answered, and stands back if that one did before, too.
    pub(super) fn finds_it_taken(
        &mut self,
        vip: usize,
        now: Time,
        out: &mut Buffer<Action>,
    ) -> bool {
        let Some(mac) = self.search.answered.filter(|_| self.search.is_open) else { return false };
        if self.search.is_sure {
            self.search.taken_by = Some(mac);
            self.facts.taken_until(now + TAKEN_FOR);
        } else {
            self.search.note_asked(now, ASK_AGAIN);
            out.push(Action::Probe { vip });
        }
        true
    }
}
