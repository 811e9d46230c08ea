//! What this node has against itself.

use base::Time;

use super::Member;
use super::watch::Here;
use crate::keep::kept;
use crate::own::{Reason, Reasons};
use crate::packet::MAX_NETWORKS;

/// What this node stands on beside its links.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground {
    /// A reference point answers, or none ever did.
    reference: bool,
    /// None does, and there is no majority either: nobody is accused anew.
    pub(super) is_lost: bool,
}

kept!(Ground { reference, is_lost });

impl Default for Ground {
    fn default() -> Self {
        Self { reference: true, is_lost: false }
    }
}

impl Ground {
    /// What a look at the others needs to know of this node.
    pub(super) const fn here(
        self,
        now: Time,
        judge_from: Time,
        own_carrier: &[bool; MAX_NETWORKS],
    ) -> Here<'_> {
        Here { now, judge_from, own_carrier, reference: self.reference }
    }
}

impl Member {
    /// Why this node accuses nobody at this moment; none: it trusts itself.
    #[must_use]
    pub fn against_itself(&self, now: Time) -> Reasons {
        let mut reasons = Reasons::NONE;
        let Some(own) = self.peers.get(usize::from(self.me)) else { return reasons };
        reasons.put(Reason::Timers, now < self.judge_from);
        let is_alone = self.peers.len() < 2;
        reasons.put(Reason::Links, !own.shares(&self.own_carrier).any(|up| up) && !is_alone);
        reasons.put(Reason::Majority, !self.has_quorum(now));
        reasons.put(Reason::Reference, self.own.is_lost);
        reasons
    }

    /// Without reference points it is known earlier that there is no majority: before anybody is missed.
    pub(super) const fn is_lost(&self) -> bool {
        self.own.is_lost
    }

    pub(super) const fn reference_answers(&self) -> bool {
        self.own.reference
    }

    /// As with a link, for a node that was lost without it: its return says nothing about others at once. Who has a
    /// majority judges on, however often a reference point comes and goes.
    pub(super) fn reference_is(&mut self, now: Time, answers: bool) {
        if answers && self.own.is_lost {
            self.judge_from = self.judge_from.max(now + self.watch.times().patience());
        }
        self.own.reference = answers;
        self.watch.is_judged_anew();
    }

    /// Who is reached by whom now, before anything is concluded from it. What the others have to know for
    /// their verdicts is said at once, though not more often than ten times in a beat interval.
    pub(super) fn look(&mut self, now: Time) {
        let here = self.own.here(now, self.judge_from, &self.own_carrier);
        if self.watch.look(here, &self.peers) {
            let soonest = self.beaten_at + self.watch.times().beat_every() / 10;
            self.beat_at = self.beat_at.min(soonest.max(now));
        }
    }

    /// Whether there is anything by which this node may judge.
    pub(super) fn look_at_ground(&mut self, now: Time) {
        let here = self.own.here(now, self.judge_from, &self.own_carrier);
        let (watch, peers) = (&self.watch, &self.peers);
        self.own.is_lost = !self.own.reference && !watch.has_quorum(here, watch.settle(), peers);
    }

    /// A network that this node itself lost says nothing about others, nor does its return at once.
    pub(super) fn own_carrier_is(&mut self, now: Time, network: u8, up: bool) {
        let Some(carrier) = self.own_carrier.get_mut(usize::from(network)) else { return };
        if up && !*carrier {
            self.judge_from = self.judge_from.max(now + self.watch.times().patience());
        }
        *carrier = up;
    }
}
