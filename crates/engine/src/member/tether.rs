//! Connections to the other controllers, whose end makes this node ask.
//!
//! ```text
//!   a tether is closed ---+
//!   a refusal ------------+--> it alone is asked, on one network after the other
//!                                   | its kernel refuses, twice, and nothing is heard in between
//!                                   v
//!                                 doubt, by the rule agent-gone
//! ```
//!
//! A tether is an idle connection on which nobody ever says anything: the kernel closes it in the moment in which the
//! process ends, however it ends. Whoever cuts one makes this node ask, and nothing more. A question is a beat: who
//! lives need not answer it, who does not is refused by its kernel.

use std::time::Duration;

use base::Time;

use super::{Action, Member};
use crate::gossip::{MOST_TETHERS, TETHER_FRESH};
use crate::keep::kept;
use crate::reach::Networks;
use crate::verdict::REFUSED_FOR;
use crate::{Buffer, CAPACITY};

/// A question without an answer is put again so soon, on the next network: a process that ends closes one descriptor
/// after the other, and a kernel grants few refusals in a row to all who ask (50, then one in a millisecond) ...
const AGAIN: Duration = Duration::from_millis(20);
/// ... and so often at most. With 31 that ask on one network at once those that are answered stay below that.
const ASKS: u8 = 4;
/// A packet that was on its way when the process ended has come by then.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
/// One that is missing is tried again so seldom: a node of an earlier version lets nobody in ...
const TIE_EVERY: Duration = Duration::from_secs(5);
/// ... and one that was closed while the node lives, as it is when its agent is replaced in place, so soon.
const TIE_AGAIN: Duration = Duration::from_secs(1);

/// The connections to one node, and what it is asked when one ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tether {
    /// Where there is one.
    hold: Networks,
    /// When the newest of this life was closed.
    closed_at: Option<Time>,
    /// No sooner is one that is missing tried again.
    tie_at: Time,
    /// When it is asked next, on which of the shared networks, and how often at most.
    ask_at: Option<Time>,
    turn: u8,
    asks: u8,
}

kept!(Tether { hold, closed_at, tie_at, ask_at, turn, asks });

impl Tether {
    /// It holds on that network, or holds no more: then the node is asked.
    pub(super) fn told(&mut self, now: Time, network: u8, holds: bool) {
        let held = self.hold.has(network);
        let others = self.hold.iter().filter(|on| *on != network);
        self.hold = others.chain(holds.then_some(network)).collect();
        if !held || holds {
            return;
        }
        self.closed_at = Some(now);
        self.tie_at = self.tie_at.min(now + TIE_AGAIN);
        if self.ask_at.is_none() {
            // Where its end came from the node is reached.
            self.turn = network;
            self.ask_at = Some(now);
        }
        self.asks = ASKS;
    }

    /// Its kernel refuses, for the first time at `first`.
    pub(super) fn refused(&mut self, now: Time, first: Time) {
        let again = first + REFUSED_FOR;
        self.ask_at = (now < again).then_some(again);
        self.asks = ASKS;
    }

    /// A packet of it came.
    pub(super) fn heard(&mut self, now: Time) {
        if self.closed_at.is_none_or(|at| now >= at + ON_ITS_WAY) {
            self.ask_at = None;
        }
    }

    /// It said goodbye: nothing is asked any more, and that one was closed is no sign of anything.
    pub(super) fn ends(&mut self) {
        (self.ask_at, self.closed_at) = (None, None);
    }

    pub(super) fn due(&self) -> Time {
        self.ask_at.unwrap_or(Time::NEVER)
    }

    /// When one of its present life was closed, if that is worth a word.
    pub(super) fn lost(&self, now: Time) -> Option<Time> {
        self.closed_at.filter(|at| now.since(*at) < TETHER_FRESH)
    }

    /// On how many networks there is one.
    pub(super) fn count(&self) -> usize {
        self.hold.iter().count()
    }

    /// The network of the next question, of those that both have; none: it is not asked now.
    fn ask(&mut self, now: Time, shared: Networks) -> Option<u8> {
        self.ask_at.filter(|at| *at <= now)?;
        self.asks = self.asks.saturating_sub(1);
        self.ask_at = (self.asks > 0).then_some(now + AGAIN);
        let network = shared.iter().find(|on| *on >= self.turn).or_else(|| shared.iter().next())?;
        self.turn = network + 1;
        Some(network)
    }

    /// Where one is missing that is to be had now.
    fn missing(&mut self, now: Time, shared: Networks) -> Networks {
        let first = shared.iter().take(MOST_TETHERS);
        let missing: Networks = first.filter(|on| !self.hold.has(*on)).collect();
        if now < self.tie_at || missing.is_empty() {
            return Networks::NONE;
        }
        self.tie_at = now + TIE_EVERY;
        missing
    }
}

impl Member {
    /// Networks on which both have an address and this node a carrier.
    fn shared(&self, node: u16) -> Networks {
        let (own, peer) = (self.peers.get(usize::from(self.me)), self.peers.get(usize::from(node)));
        let (Some(own), Some(peer)) = (own, peer) else { return Networks::NONE };
        let shares = (0_u8..).zip(peer.shares(&self.own_carrier));
        shares
            .filter(|(network, shared)| *shared && own.is_on(*network))
            .map(|(on, _)| on)
            .collect()
    }

    /// Who is to be asked alone is asked, as far as there is room for orders.
    pub(super) fn ask_alone(&mut self, now: Time, out: &mut Buffer<Action>) {
        while out.len() < CAPACITY
            && let Some(node) = self.watch.first_to_ask(now)
        {
            let shared = self.shared(node);
            let network = self.watch.tether(node).and_then(|tether| tether.ask(now, shared));
            network.into_iter().for_each(|network| out.push(Action::Ask { node, network }));
        }
    }

    /// Nodes that are heard and have no tether get one, as far as there is room for orders: with each beat.
    pub(super) fn tie(&mut self, now: Time, out: &mut Buffer<Action>) {
        let detect = self.watch.times().detect();
        let nodes = u16::try_from(self.peers.len()).unwrap_or(u16::MAX);
        for node in 0..nodes {
            let peer = &self.peers[usize::from(node)];
            let is_heard = peer.incarnation() > 0 && peer.is_heard_within(now, detect);
            let shared = self.shared(node);
            if node == self.me || !is_heard || out.len() + MOST_TETHERS > CAPACITY {
                continue;
            }
            let Some(tether) = self.watch.tether(node) else { continue };
            for network in tether.missing(now, shared).iter() {
                out.push(Action::Tether { node, network });
            }
        }
    }
}
