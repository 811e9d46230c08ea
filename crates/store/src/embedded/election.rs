//! When this node stands for election.
//!
//! openraft 0.9 has no pre-vote: a node that was cut off would come back with a higher term and unseat a
//! leader that is well. So its own election timer is off, and this one asks first:
//!
//! ```text
//!   no word from a leader for `silence` + a random part of `spread`
//!     -> canvass: "would you vote for a log that ends here?"   nothing is promised, no term grows
//!     -> a majority says yes -> openraft's election
//! ```
//!
//! A node says yes when it has not heard a leader for `silence` either, and the log is long enough. For
//! the same time openraft gives no vote away from a leader that beats.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::ServerState;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Core;
use super::link::Lane;
use super::message::{decode_yes, encode_canvass, kind};
use super::types::{LogId, NodeId};

/// How exactly the moment is met.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// A moment that several tasks note.
#[derive(Debug)]
pub(crate) struct Moment {
    start: Instant,
    millis: AtomicU64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { start: Instant::now(), millis: AtomicU64::new(0) }
    }

    pub(crate) fn touch(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(now, Ordering::Relaxed);
    }

    pub(crate) fn age(&self) -> Duration {
        let at = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(at)
    }
}

/// What decides whether a node would vote for a candidate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// A leader was heard not long ago, or this node is one and has its majority.
    pub(crate) leader: bool,
    pub(crate) own: Option<LogId>,
    /// What others remember of this node (`standing`).
    pub(crate) floor: Option<LogId>,
}

/// Whether a candidate with a log that ends at `last` may be chosen.
pub(crate) fn would_vote(view: &View, last: Option<LogId>) -> bool {
    !view.leader && last >= view.own && last >= view.floor
}

/// Stands for election whenever it is time, as long as the node runs.
pub(crate) async fn run(core: Arc<Core>) {
    let Some(raft) = core.raft() else { return };
    let metrics = raft.metrics();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let timing = core.options.timing;
    let mut wait = random(timing.spread);
    let mut tried = Moment::now();
    let mut pause = Duration::ZERO;
    loop {
        ticks.tick().await;
        let (state, voters) = {
            let metrics = metrics.borrow();
            if metrics.running_state.is_err() {
                return;
            }
            (metrics.state, core.voters(&metrics.membership_config))
        };
        let leads = state == ServerState::Leader;
        if leads || !voters.iter().any(|(id, _)| *id == core.me()) || !core.may_stand() {
            continue;
        }
        let alone = voters.len() == 1;
        let silent =
            core.heard.age() >= timing.silence + wait && core.voted.age() >= timing.silence / 2;
        if tried.age() < pause || core.is_yielding() || !(alone || silent) {
            continue;
        }
        if (alone || canvass(&core, &voters).await) && raft.trigger().elect().await.is_err() {
            return;
        }
        tried = Moment::now();
        (wait, pause) = (random(timing.spread), timing.spread / 2 + random(timing.spread));
    }
}

/// Whether a majority would vote for this node.
pub(super) async fn canvass(core: &Arc<Core>, voters: &[(NodeId, String)]) -> bool {
    let mut asked = JoinSet::new();
    for (id, address) in voters.iter().filter(|(id, _)| *id != core.me()) {
        let (core, id, address) = (Arc::clone(core), *id, address.clone());
        asked.spawn(async move {
            let question = (kind::CANVASS, encode_canvass(core.disk.position().last));
            let patience = core.options.timing.silence;
            let answer = core.links.call((id, &address), Lane::Raft, question, patience).await;
            answer.is_ok_and(|answer| decode_yes(&answer).unwrap_or(false))
        });
    }
    let mut yes = 1;
    while yes <= voters.len() / 2 {
        let Some(answer) = asked.join_next().await else { return false };
        yes += usize::from(answer.unwrap_or(false));
    }
    true
}

/// Somewhere between nothing and `most`.
fn random(most: Duration) -> Duration {
    let dice = RandomState::new().hash_one(0_u8);
    let part = u32::try_from(dice % 1_000).unwrap_or(0);
    most * part / 1_000
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;

    #[test]
    fn nobody_votes_while_a_leader_beats_or_for_a_shorter_log() {
        let log = |index| Some(LogId::new(CommittedLeaderId::new(1, 1), index));
        let rows = [
            // leader, own, floor, candidate, would vote
            (false, 5, 0, 5, true),
            (false, 5, 0, 6, true),
            (false, 5, 0, 4, false),
            (true, 5, 0, 9, false),
            // The own disk went back to 5 and had promised 8.
            (false, 5, 8, 7, false),
            (false, 5, 8, 8, true),
        ];
        for (leader, own, floor, candidate, expected) in rows {
            let view = View { leader, own: log(own), floor: log(floor) };
            assert_eq!(would_vote(&view, log(candidate)), expected, "{view:?} {candidate}");
        }
    }
}
