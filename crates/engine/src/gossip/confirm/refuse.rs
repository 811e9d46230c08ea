//! That nothing listens on a node any more, as its kernel says.
//!
//! ```text
//!   a tether is closed ---+
//!   a refusal ------------+--> round: it is asked on every network at once, again after 50 ms
//!   missed by a member ---+         | every network on which it answered refuses, nothing is heard
//!                                   v
//!                                 doubt, by the rule agent-gone
//! ```
//!
//! A tether is an idle connection from a controller to a compute node, on which nobody ever says anything: the kernel
//! closes it in the moment in which the process ends, however it ends. That is a hint, and so is a refusal that comes
//! while nobody asks: both make this controller ask, and decide nothing. Controllers tell each other of such doubt; that of
//! a majority is told to all members ([`crate::gossip`], `declare`).

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use super::{Confirm, MAX_ROUNDS, Round, Watched};
use crate::packet::MAX_NETWORKS;
use crate::reach::Networks;
use crate::verdict::{REFUSED_FOR, is_gone};

/// Tethers to one node, on the first networks that both have: one may be cut, and of 1,000 nodes that is 2,000
/// descriptors.
pub(crate) const MOST_TETHERS: usize = 2;
/// A process that ends closes one descriptor after the other, and a question that comes in between is swallowed: after
/// a tether was closed the next ones follow so fast ...
pub(super) const FAST: Duration = Duration::from_millis(10);
/// ... and are so many.
const FAST_ASKS: u8 = 4;
/// So long a tether that was closed is shown.
pub(crate) const TETHER_FRESH: Duration = Duration::from_secs(2);

/// What the kernel of a node said since it was last heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::gossip) struct Refusal {
    pub(in crate::gossip) first: Time,
    pub(in crate::gossip) last: Time,
    /// Where it refused.
    pub(in crate::gossip) on: Networks,
}

/// The connections to one node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tethers {
    /// Where there is one.
    hold: Networks,
    /// When the newest of this life was closed.
    closed_at: Option<Time>,
}

impl Confirm {
    /// The kernel of that node says that nothing listens there. It counts once the node is being asked on every network:
    /// one network may be refused by a firewall while it answers on the others.
    pub(in crate::gossip) fn refused(&mut self, now: Time, node: u16, network: u8) {
        let was_gone = self.refuses(now, node);
        let shared: ArrayVec<u8, MAX_NETWORKS> = self.shared(node).collect();
        let Some(watched) = self.at(node).and_then(|at| self.watched.get_mut(at)) else { return };
        if watched.life == 0 || watched.left || !shared.contains(&network) {
            return;
        }
        let Some(round) = &mut watched.round else {
            let me = self.me;
            return self.doubt(now, node, me);
        };
        let is_heard =
            shared.iter().any(|on| watched.proofs[usize::from(*on)] >= Some(round.since));
        if is_heard && !round.renewed {
            // What was heard may have been on its way when its process ended: all networks once more.
            let Round { first, told, .. } = *round;
            *round = Round { renewed: true, first, told, ..Round::new(now) };
            return;
        }
        if is_heard || round.asked == 0 {
            return;
        }
        let refusal = Refusal { first: now, last: now, on: Networks::NONE };
        let refusal = watched.refusal.get_or_insert(refusal);
        refusal.last = now;
        refusal.on = refusal.on.iter().chain([network]).collect();
        // The kernel of a node grants few refusals in a row.
        round.fast = 0;
        let again = refusal.first + REFUSED_FOR;
        if now < again {
            round.ask_at = round.ask_at.min(again);
        }
        self.touched.push(node);
        if !was_gone && self.refuses(now, node) {
            // What a majority of the controllers found by itself is told to all.
            self.tell(now, node);
        }
    }

    /// Whether its kernel refused this controller for long enough, on every network on which it answered.
    pub(super) fn refuses(&self, now: Time, node: u16) -> bool {
        is_gone(now, self.refusal(node))
    }

    /// Where that node was silent before its round was begun once more it is after the window of the first time: a
    /// refusal is easily forged, and says nothing about networks on which nothing was heard.
    pub(super) fn ends_first(&mut self, now: Time, node: u16, window: Duration) {
        let shared: ArrayVec<u8, MAX_NETWORKS> = self.shared(node).collect();
        let Some(watched) = self.at(node).and_then(|at| self.watched.get_mut(at)) else { return };
        let is_due = |round: &Round| round.renewed && now >= round.first + window;
        let Some(round) = watched.round.filter(is_due).filter(|_| !watched.left) else { return };
        let is_silent = |on: &u8| watched.proofs[usize::from(*on)] < Some(round.first);
        let known = watched.silent;
        let silent: Networks = known.iter().chain(shared.into_iter().filter(is_silent)).collect();
        if silent != known {
            watched.silent = silent;
            self.tell(now, node);
        }
    }

    /// A tether to that node holds, or holds no more.
    pub(in crate::gossip) fn tethered(
        &mut self,
        now: Time,
        (node, network): (u16, u8),
        holds: bool,
    ) {
        let is_full = self.open.len() >= MAX_ROUNDS;
        let Some(watched) = self.at(node).and_then(|at| self.watched.get_mut(at)) else { return };
        let held = watched.tethers.hold.has(network);
        let others = watched.tethers.hold.iter().filter(|on| *on != network);
        watched.tethers.hold = others.chain(holds.then_some(network)).collect();
        if !held || holds || watched.life == 0 || watched.left {
            return;
        }
        watched.tethers.closed_at = Some(now);
        // Whoever asks already begins anew: what was answered before says nothing about now.
        let told = watched.round.is_some_and(|round| round.told);
        if watched.round.is_none() && is_full {
            return;
        }
        if watched.round.is_none() {
            self.open.push(node);
        }
        watched.round = Some(Round { told, fast: FAST_ASKS, ..Round::new(now) });
    }

    /// Networks on which that node gets a tether: it lives, and has none there.
    pub(in crate::gossip) fn untethered(&self, node: u16) -> Networks {
        let Some(watched) = self.watched(node).filter(|it| it.life > 0 && !it.left) else {
            return Networks::NONE;
        };
        let first = self.shared(node).take(MOST_TETHERS);
        first.filter(|on| !watched.tethers.hold.has(*on) && !watched.silent.has(*on)).collect()
    }

    /// First and newest refusal, once every network on which that node answered has refused.
    pub(in crate::gossip) fn refusal(&self, node: u16) -> Option<(Time, Time)> {
        let watched = self.watched(node)?;
        let refusal = watched.refusal?;
        let mut answering = self.shared(node).filter(|on| !watched.silent.has(*on));
        answering.all(|on| refusal.on.has(on)).then_some((refusal.first, refusal.last))
    }
}

impl Watched {
    /// When a tether of its present life was closed, if that is worth a word.
    pub(in crate::gossip) fn lost_tether(&self, now: Time) -> Option<Time> {
        self.tethers.closed_at.filter(|at| now.since(*at) < TETHER_FRESH)
    }

    /// How many tethers it has.
    pub(in crate::gossip) fn tethers(&self) -> usize {
        self.tethers.hold.iter().count()
    }
}
