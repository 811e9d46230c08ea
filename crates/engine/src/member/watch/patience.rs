//! How long a silence is tolerated, by the lateness of timers here and there, and what that means for who is
//! reached: nodes that are patient with another one go on saying that they hear it.

use std::time::Duration;

use base::Time;

use super::super::peer::Peer;
use super::{Here, Watch};
use crate::keep::kept;
use crate::verdict::Times;

/// How long a measured stall counts: at most twice this.
const STALL_WINDOW: Duration = Duration::from_secs(5);

/// The longest lateness of this node's own timers of late.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    now: Duration,
    before: Duration,
    turn_at: Time,
}

kept!(Stalls { now, before, turn_at });

impl Watch {
    /// A timer of this node came so much late.
    pub(in crate::member) fn late(&mut self, now: Time, late: Duration) {
        if now >= self.stalls.turn_at {
            self.stalls.before = std::mem::take(&mut self.stalls.now);
            self.stalls.turn_at = now + STALL_WINDOW;
        }
        self.stalls.now = self.stalls.now.max(late);
    }

    /// The longest lateness of this node of late, which it tells its peers.
    pub(in crate::member) fn stall(&self) -> Duration {
        self.stalls.now.max(self.stalls.before)
    }

    /// How long a silence of this node is tolerated.
    pub(in crate::member) fn tolerance(&self, node: usize) -> Duration {
        let told = self.nodes.get(node).map_or(Duration::ZERO, |seen| seen.stall);
        self.times.tolerance(self.stall().max(told))
    }

    /// How long after the detection time everybody, however late of late, has said whom it lost too.
    pub(super) fn settle(&self) -> Duration {
        let told = self.nodes.iter().map(|seen| seen.stall).max().unwrap_or_default();
        let times = self.times;
        times.tolerance(self.stall().max(told)).saturating_sub(times.detect()) + times.confirm()
    }

    /// Whether a majority can reach each other and this node. A node that has been silent for the
    /// detection time is neither counted nor passed through as long as somebody may merely be patient
    /// with it, or this node be late: of halves of a cluster, no node takes the other half for reachable
    /// meanwhile.
    pub(super) fn has_quorum(&self, me: Here<'_>, settle: Duration, peers: &[Peer]) -> bool {
        let is_open = |peer: &Peer| {
            let [from, to] = open(peer, self.times, settle);
            from <= me.now && me.now < to.max(me.judge_from)
        };
        let others = (0_u16..).zip(peers).filter(|(node, _)| *node != self.me);
        let open = others.filter(|(_, peer)| is_open(peer)).map(|(node, _)| node).collect();
        self.view.has_quorum_without(&self.reach, open, peers.len())
    }
}

/// Between which moments it is open whether a node, if it stays silent, is reached over others.
pub(super) fn open(peer: &Peer, times: Times, settle: Duration) -> [Time; 2] {
    let from = peer.quiet_at(times.detect());
    [from, from + settle]
}
