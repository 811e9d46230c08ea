//! What a controller and the claims of the others come to.

use std::time::Duration;

use base::Time;

use super::{CLAIM_FRESH, Confirm, REPEAT_EVERY};
use crate::evidence::REFUSAL_FRESH;
use crate::gossip::wire::MAX_CLAIMS;
use crate::reach::Networks;

/// Few claims are repeated so often within the time that they count: at 30 % loss on a single network all of them
/// are lost once in 15,000 times.
const REPEATS: u32 = 8;

/// A claim of another controller.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// When it was told, as far as this node can know: never later than it was, but for the way of each packet.
    pub(super) at: Option<Time>,
    pub(super) silent: Networks,
    pub(super) everywhere: bool,
    /// Its kernel refused that controller.
    pub(super) gone: bool,
    /// So many controllers passed it on; none: who claims told it here.
    pub(super) hops: u8,
}

/// What all controllers found together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::gossip) struct Agreed {
    /// A majority had no answer on any network, and nobody had one since.
    pub(in crate::gossip) unanswered: bool,
    /// Networks on which a majority had no answer.
    pub(in crate::gossip) cut: Networks,
    /// When time alone may change this.
    pub(in crate::gossip) due: Time,
}

impl Confirm {
    /// What the others found: who, in words, when told.
    pub(in crate::gossip) fn claims(
        &self,
        node: u16,
        now: Time,
    ) -> impl Iterator<Item = (String, Time)> {
        let claims = self.watched(node).map(|watched| watched.claims.iter());
        let all = (0_u16..).zip(claims.into_iter().flatten());
        all.filter(move |(_, claim)| claim.is_fresh(now, self.fresh)).filter_map(
            move |(by, claim)| {
                let what =
                    match (claim.gone && claim.is_fresh(now, REFUSAL_FRESH), claim.everywhere) {
                        (true, _) => "is refused by its kernel",
                        (false, true) => "has no answer of it",
                        (false, false) => "hears it",
                    };
                let way = if claim.hops > 0 { ", others say" } else { "" };
                Some((format!("controller {by} {what}{way}"), claim.at?))
            },
        )
    }

    /// The kernel of that node refused a majority of the controllers, this one among them: since when here.
    pub(in crate::gossip) fn gone(&self, now: Time, node: u16) -> Option<Time> {
        let (since, _) = self.refusal(node).filter(|_| self.refuses(now, node))?;
        let claims = self.watched(node)?.claims.iter();
        let others = claims.filter(|claim| claim.gone && claim.is_fresh(now, REFUSAL_FRESH));
        (others.count() + 1 > usize::from(self.controllers) / 2).then_some(since)
    }

    /// What this controller and the claims of the others come to.
    pub(in crate::gossip) fn agreed(&self, now: Time, node: u16) -> Agreed {
        let Some(watched) = self.watched(node) else { return Agreed::default() };
        let fresh = || watched.claims.iter().filter(|claim| claim.is_fresh(now, self.fresh));
        let half = usize::from(self.controllers) / 2;
        let on = |network: u8| {
            let others = fresh().filter(|claim| claim.silent.has(network)).count();
            others + usize::from(watched.silent.has(network)) > half
        };
        let cut = (0..self.networks).filter(|network| on(*network)).collect();
        let own = watched.silent_since;
        let missing = fresh().filter(|claim| claim.everywhere).count() + usize::from(own.is_some());
        let hears = |claim: &Heard| !claim.everywhere && claim.at >= own;
        let nobody = own.is_some() && !fresh().any(hears);
        let all = missing == usize::from(self.controllers);
        let spoken_at = own.map_or(Time::NEVER, |own| own + self.times.confirm());
        let oldest = fresh().filter_map(|claim| claim.at).min();
        let due = oldest.map_or(Time::NEVER, |oldest| oldest + self.fresh);
        let is_spoken = all || now >= spoken_at;
        let due = if is_spoken { due } else { due.min(spoken_at) };
        Agreed { unanswered: nobody && missing > half && is_spoken, cut, due }
    }
}

impl Heard {
    pub(super) fn is_fresh(&self, now: Time, fresh: Duration) -> bool {
        self.at.is_some_and(|at| now < at + fresh)
    }
}

/// So many compute nodes, of which all may be silent at once: then some are told of in this second, some in the
/// next.
pub(super) fn fresh(computes: usize) -> Duration {
    let seconds = u32::try_from(computes.div_ceil(MAX_CLAIMS)).unwrap_or(u32::MAX).max(1);
    REPEAT_EVERY.saturating_mul(seconds.saturating_mul(REPEATS)).min(CLAIM_FRESH)
}
