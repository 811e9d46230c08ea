//! What this node has against itself.

use base::Time;

use super::Member;
use crate::own::{Reason, Reasons};

impl Member {
    /// Why this node accuses nobody at this moment; none: it trusts itself.
    #[must_use]
    pub fn against_itself(&self, now: Time) -> Reasons {
        let mut reasons = Reasons::NONE;
        let Some(own) = self.peers.get(usize::from(self.me)) else { return reasons };
        reasons.put(Reason::Timers, now < self.judge_from);
        let is_alone = self.peers.len() < 2;
        reasons.put(Reason::Links, !own.shares(&self.own_carrier).any(|up| up) && !is_alone);
        reasons.put(Reason::Majority, !self.has_quorum());
        reasons
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
