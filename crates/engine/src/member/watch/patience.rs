//! How long a silence is tolerated, by the lateness of timers here and there, and what that means for who is
//! reached: nodes that are patient with another one go on saying that they hear it.

use std::time::Duration;

use base::Time;

use super::super::peer::Peer;
use super::{Here, Seen, Watch};
use crate::keep::kept;
use crate::reach::Nodes;
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
    /// A timer of this node came so much late. What it has not seen meanwhile was confirmed by no time.
    pub(in crate::member) fn late(&mut self, late: Duration) {
        self.stalls.now = self.stalls.now.max(late);
        for seen in &mut self.nodes {
            seen.cut_since += late;
        }
    }

    /// Forgets what was long ago.
    pub(in crate::member) fn age(&mut self, now: Time) {
        if now >= self.stalls.turn_at {
            let former = self.stall();
            self.stalls.before = std::mem::take(&mut self.stalls.now);
            self.stalls.turn_at = now + STALL_WINDOW;
            // Who was tolerated until later is lost from here on.
            self.changed |= self.stall() < former;
        }
    }

    /// What this node tells its peers: who is patient with others has lost none of them yet.
    pub(in crate::member) fn stall_to_tell(&self, is_patient: bool) -> Duration {
        self.stall().max(if is_patient { self.times.patience() } else { Duration::ZERO })
    }

    /// The longest lateness of this node of late.
    #[inline]
    pub(in crate::member) fn stall(&self) -> Duration {
        self.stalls.now.max(self.stalls.before)
    }

    /// How long a silence of this node is tolerated.
    #[inline]
    pub(in crate::member) fn tolerance(&self, node: usize) -> Duration {
        let told = self.nodes.get(node).map_or(Duration::ZERO, |seen| seen.stall);
        self.times.tolerance(self.stall().max(told))
    }

    /// How long after the detection time everybody, however late of late, has said whom it lost too: who stood
    /// still reads so much later what came before, and is patient for as long again.
    pub(in crate::member) fn settle(&self) -> Duration {
        let told = self.nodes.iter().map(|seen| seen.stall).max().unwrap_or_default();
        let stall = self.stall().max(told);
        let late = if stall > self.times.beat_every() { stall } else { Duration::ZERO };
        late + self.patience_after(stall)
    }

    fn patience_after(&self, stall: Duration) -> Duration {
        let times = self.times;
        times.tolerance(stall).saturating_sub(times.detect()) + times.confirm()
    }

    /// Finds who has begun another life, and who is no longer young in it: has had the time to hear all others, and
    /// to be heard by them.
    pub(super) fn grow(&mut self, now: Time) {
        let is_another = |(node, seen): (u16, &Seen)| {
            self.reach.row(node).is_some_and(|row| row.life != seen.life)
                || seen.young_until != Time::ZERO && seen.young_until <= now
        };
        let others = || (0_u16..).zip(&self.nodes).filter(|(node, _)| *node != self.me);
        if !others().any(is_another) {
            return;
        }
        self.changed = true;
        let told = self.nodes.iter().map(|seen| seen.stall).max().unwrap_or_default();
        let youth = self.times.detect() + self.patience_after(self.stall().max(told));
        for (node, seen) in (0_u16..).zip(&mut self.nodes) {
            let life = self.reach.row(node).map_or(0, |row| row.life);
            if life != seen.life && node != self.me {
                (seen.life, seen.young_until) = (life, now + youth);
            } else if seen.young_until <= now {
                seen.young_until = Time::ZERO;
            }
        }
    }

    /// Whether it has just started, and is left out where cuts are judged.
    pub(in crate::member) fn is_young(&self, node: u16, now: Time) -> bool {
        self.nodes.get(usize::from(node)).is_some_and(|seen| now < seen.young_until)
    }

    /// Who has just started.
    pub(super) fn young(&self, now: Time) -> Nodes {
        let young = (0_u16..).zip(&self.nodes).filter(|(_, seen)| now < seen.young_until);
        young.map(|(node, _)| node).collect()
    }

    /// Whether a majority can reach each other and this node. Of halves of a cluster, no node takes the other
    /// half for reachable because somebody is merely patient with it, or says nothing any more. Where
    /// no reference point answers, who says nothing is not counted itself: that is known before anybody is missed.
    pub(in crate::member) fn has_quorum(
        &self,
        me: Here<'_>,
        settle: Duration,
        peers: &[Peer],
    ) -> bool {
        let (mut silent, mut mute) = (Nodes::NONE, Nodes::NONE);
        for ((node, peer), seen) in (0_u16..).zip(peers).zip(&self.nodes) {
            let silence = Silence::of(peer, seen.known_since, self.times, settle);
            if node == self.me || me.now < silence.mute {
                continue;
            } else if me.now < silence.silent && me.reference {
                mute.insert(node);
            } else if me.now < silence.settled.max(me.judge_from) {
                silent.insert(node);
            }
        }
        self.view.has_quorum_without(&self.reach, (silent, mute), peers.len())
    }
}

/// What becomes of a node that says nothing from now on. Never heard, it is silent since ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// From then on nobody is reached over it: what it said of others is old.
    pub(super) mute: Time,
    /// From then on it is not counted itself ...
    pub(super) silent: Time,
    /// ... until everybody who hears no more of it has said so: who still hears it reaches it.
    pub(super) settled: Time,
}

impl Silence {
    pub(super) fn of(
        peer: &Peer,
        known_since: Option<Time>,
        times: Times,
        settle: Duration,
    ) -> Self {
        let Some(last) = peer.last() else {
            // Nor were the stalls heard that it told others.
            let settle = settle.max(times.detect() + times.confirm());
            let settled = known_since.map_or(Time::ZERO, |since| since + times.detect() + settle);
            return Self { mute: Time::ZERO, silent: Time::ZERO, settled };
        };
        let silent = last + times.detect();
        Self { mute: last + times.speaks(), silent, settled: silent + settle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_said_of_others_is_old_four_beats_after_its_last_one() {
        for (detect_ms, beat_ms) in [(300, 30), (1_000, 100), (10_000, 1_000), (30_000, 1_000)] {
            let mut peer = Peer::new(&["10.0.0.2".parse().ok()]);
            let heard = Time::ZERO + Duration::from_secs(60);
            peer.heard(heard, 0, 1, false);
            let times = Times::new(Duration::from_millis(detect_ms));
            let silence = Silence::of(&peer, Some(Time::ZERO), times, Duration::ZERO);
            assert_eq!(silence.mute, heard + Duration::from_millis(4 * beat_ms), "{detect_ms} ms");
            assert_eq!(silence.silent, heard + Duration::from_millis(detect_ms), "{detect_ms} ms");
        }
    }
}
