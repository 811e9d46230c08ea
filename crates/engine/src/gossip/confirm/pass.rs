//! What one controller found, told to one that does not hear it by those who hear both.
//!
//! ```text
//!   A ---- B ---- C     A and C do not hear each other
//!   A -> B  no answer of node 7; I hear B                  (claims)
//!   B -> A  C had no answer of node 7, a second ago        (passed)
//! ```
//!
//! Nothing is passed on to who hears all others, so in most clusters nothing is at all. What is passed on grows
//! older on its way as it does where it is kept, and by at least [`AGE`] with each controller that it passes:
//! it dies when the claim itself does. Controllers believe each other here as they do in beats, whose rows are
//! passed on too.

use std::time::Duration;

use base::Time;

use super::{Confirm, Heard, REPEAT_EVERY};
use crate::gossip::Action;
use crate::gossip::wire::{AGE, Claim, MAX_PASSED, Part, Passed};
use crate::reach::Nodes;

/// Claims that stand are told every second: whose packets did not come for so long is not heard.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// Over so many controllers a claim is passed on: a majority of eleven may stand in a row, and what each packet's
/// way takes, which no age counts, has a bound.
const MAX_HOPS: u8 = 4;
/// Packets that answer one packet of claims: all of a full one is passed on where three of five are not heard.
const MAX_ANSWERS: usize = 4;

impl Confirm {
    /// A packet of another controller came.
    pub(in crate::gossip) fn spoke(&mut self, now: Time, controller: u16) {
        if let Some(at) = self.spoke_at.get_mut(usize::from(controller)) {
            *at = Some(now);
        }
    }

    /// The controllers that this one hears.
    pub(super) fn hears(&self, now: Time) -> Nodes {
        let spoke = (0_u16..).zip(&self.spoke_at);
        let heard = spoke.filter(|(_, at)| at.is_some_and(|at| now.since(at) <= HEARD_WITHIN));
        heard.map(|(controller, _)| controller).collect()
    }

    /// Who claims this hears these controllers alone: it is told what the others found.
    pub(in crate::gossip) fn pass_on(
        &mut self,
        now: Time,
        (to, network): (u16, u8),
        (claims, heard): (&[Claim], Nodes),
        out: &mut Vec<Action>,
    ) {
        let mut passed: Vec<Passed> = vec![];
        for Claim { node, .. } in claims {
            let Some(watched) = self.watched(*node).filter(|watched| !watched.left) else {
                continue;
            };
            for (by, claim) in (0_u16..).zip(&watched.claims) {
                let is_told = by == to || heard.has(by) || claim.hops >= MAX_HOPS;
                let Some(at) = claim.at.filter(|_| !is_told && claim.is_fresh(now, self.fresh))
                else {
                    continue;
                };
                let Heard { silent, everywhere, gone, .. } = *claim;
                let (node, life) = (*node, watched.life);
                let claim_of_it = Claim { node, life, silent, left: false, everywhere, gone };
                let (hops, age) = (claim.hops + 1, now.since(at) + AGE);
                passed.push(Passed { by, hops, age, claim: claim_of_it });
            }
        }
        if passed.is_empty() {
            return;
        }
        // Of more than fit others are told of the next time.
        let most = (MAX_PASSED * MAX_ANSWERS).min(passed.len());
        let first = self.passed % passed.len();
        self.passed = first + most;
        passed.rotate_left(first);
        for some in passed[..most].chunks(MAX_PASSED) {
            out.push(Action::part((to, network), &Part::Passed(some.to_vec())));
        }
    }

    /// Another controller passes on what a third one found.
    pub(in crate::gossip) fn passed(&mut self, now: Time, from: u16, passed: &Passed) {
        let Passed { by, hops, age, ref claim } = *passed;
        let is_of_another = by < self.controllers && by != self.me && by != from;
        if !is_of_another || hops == 0 || hops > MAX_HOPS || claim.left || age >= self.fresh {
            return;
        }
        let Claim { silent, everywhere, gone, .. } = *claim;
        let heard = Heard { at: Some(now - age), silent, everywhere, gone, hops };
        self.take(now, by, claim, heard);
    }

    /// Keeps a claim if it is the newest of that controller; false: it says nothing new.
    pub(super) fn take(&mut self, now: Time, by: u16, claim: &Claim, heard: Heard) -> bool {
        let node = claim.node;
        let Some(watched) = self.at(node).and_then(|at| self.watched.get_mut(at)) else {
            return false;
        };
        if claim.life == 0 || claim.life < watched.life {
            return false;
        }
        if claim.life > watched.life {
            watched.begin(claim.life);
        }
        let Some(kept) = watched.claims.get_mut(usize::from(by)) else { return false };
        if heard.at < kept.at {
            return false;
        }
        *kept = heard;
        let differs = claim.everywhere != watched.silent_since.is_some();
        self.touched.push(node);
        if differs && !claim.left {
            self.doubt(now, node, by);
        }
        true
    }
}

const _: () = assert!(HEARD_WITHIN.as_secs() == 3 * REPEAT_EVERY.as_secs());
