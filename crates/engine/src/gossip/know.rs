//! What is asked of this machine beside its decisions.

use std::time::Duration;

use base::Time;

use super::{Gossip, MAX_NETWORKS};
use crate::duty::Duty;
use crate::errand::Ways;
use crate::member::{Load, Refused, Standing};
use crate::own::{Reason, Reasons};
use crate::packet::{Body, Opened, Seal};
use crate::verdict::{Judgement, RULES, Times, Verdict};

impl Gossip {
    /// The keys of this node's pairs, to change them and to seal with them. On a controller that also beats
    /// they are those of [`crate::member::Member`], so that no number is used twice, and these are empty.
    pub const fn seal_mut(&mut self) -> &mut Seal {
        &mut self.seal
    }

    /// Opens a packet that was sealed for this node, for [`super::Input::Opened`]. None: it is not
    /// believed, and counted.
    pub fn open<'a>(&mut self, bytes: &[u8], body: &'a mut Body) -> Option<Opened<'a>> {
        self.seal.open(bytes, body).map_err(|error| self.refused.count(error)).ok()
    }

    #[must_use]
    pub const fn refused(&self) -> Refused {
        self.refused
    }

    /// Why this node accuses nobody at this moment; none: it trusts itself. On a compute node a majority is that
    /// its own probes succeed on one network at least.
    #[must_use]
    pub fn against_itself(&self, now: Time) -> Reasons {
        let mut reasons = Reasons::NONE;
        let own = || (0_usize..).zip(&self.circles).filter_map(|(at, on)| Some((at, on.as_ref()?)));
        reasons.put(Reason::Timers, now < self.judge_from);
        reasons.put(Reason::Links, !own().any(|(network, _)| self.carrier[network]));
        let reaches = self.reaches(now);
        reasons.put(Reason::Majority, !reaches);
        reasons.put(Reason::Reference, !reaches && !self.reference);
        reasons
    }

    /// A majority on a controller; on a compute node its own probes succeed on one network at least.
    fn reaches(&self, now: Time) -> bool {
        let is_sure = || self.circles.iter().flatten().any(|circle| circle.is_sure(now));
        if self.confirm.is_some() { self.quorum } else { is_sure() }
    }

    /// As with a link, for a node that was lost without it: its return says nothing about others at once. Who
    /// reaches others judges on, however often a reference point comes and goes.
    pub(super) fn reference_is(&mut self, now: Time, answers: bool) {
        if answers && !self.reference && !self.reaches(now) {
            self.be_patient(now);
        }
        self.reference = answers;
        self.look_at_silent(now);
    }

    /// Whether some of its own probes failed of late, so that it takes more time for each.
    #[must_use]
    pub fn is_damped(&self) -> bool {
        self.circles.iter().flatten().any(super::Circle::is_damped)
    }

    /// Whether this machine concludes about that node: on a controller about compute nodes, on a compute
    /// node about all others.
    #[must_use]
    pub fn watches(&self, node: u16) -> bool {
        let is_other = node != self.me && usize::from(node) < self.roster.on.len();
        is_other && (self.confirm.is_none() || node >= self.roster.controllers)
    }

    /// The verdict on a node and the rule that gave it.
    #[must_use]
    pub fn opinion(&self, node: u16) -> Judgement {
        let thought = self.thoughts.get(usize::from(node));
        let (verdict, rule) = thought
            .map_or((Verdict::Unknown, &RULES[RULES.len() - 1]), |found| {
                (found.verdict, found.rule)
            });
        Judgement { verdict, rule }
    }

    #[must_use]
    pub fn standing(&self, node: u16) -> Standing {
        self.thoughts.get(usize::from(node)).map(|thought| thought.standing).unwrap_or_default()
    }

    #[must_use]
    pub const fn times(&self) -> Times {
        self.times
    }

    /// How busy a compute node said its machine is, and how long ago; on controllers.
    #[must_use]
    pub fn load(&self, node: u16, now: Time) -> Option<(Load, Duration)> {
        let word = self.confirm.as_ref()?.watched(node)?.word?;
        Some((word.said.load?, now.since(word.at)))
    }

    /// Whether a compute node takes on work, as it last said; of this node, what it says.
    #[must_use]
    pub fn duty(&self, node: u16) -> Duty {
        if node == self.me {
            return self.said.duty;
        }
        let watched = self.confirm.as_ref().and_then(|confirm| confirm.watched(node));
        watched.and_then(|watched| watched.word).map_or(Duty::On, |word| word.said.duty)
    }

    /// The newest life of a compute node's process that was heard here; 0 before.
    #[must_use]
    pub fn life(&self, node: u16) -> u64 {
        let watched = self.confirm.as_ref().and_then(|confirm| confirm.watched(node));
        watched.map_or(0, |watched| watched.life)
    }

    /// The networks that this node shares with another, the one on which it was heard last first.
    #[must_use]
    pub fn ways(&self, node: u16) -> Ways {
        let mut ways: Ways = self.shared(node).take(MAX_NETWORKS).collect();
        let watched = self.confirm.as_ref().and_then(|confirm| confirm.watched(node));
        let proof =
            |network: &u8| watched.and_then(|watched| watched.proofs[usize::from(*network)]);
        ways.sort_by_key(|network| std::cmp::Reverse(proof(network)));
        ways
    }
}
