//! The lead of the store goes to a voter on duty while this node takes on no work: who stops its machine then costs
//! nobody an election. On duty again it takes nothing back.
//!
//! ```text
//!         at rest, leads, a voter is on duty            given, or all of them refused, or no answer in WITHIN
//!   Idle ------------------------------------> Asked ------------------------------------------------> Waits --AGAIN--> Idle
//!    ^---------------- refused: the next one ----+
//! ```

use std::time::Duration;

use base::Time;

use super::View;
use super::role::takes_work;

/// A hand-over takes a second at most, in the store.
const WITHIN: Duration = Duration::from_secs(5);
/// What came of it is told by the store a moment later; a voter that did not catch up is not asked on and on.
const AGAIN: Duration = Duration::from_secs(2);

/// Gives the lead of the store away, for one node.
#[derive(Debug, Default)]
pub struct Lead {
    state: State,
    /// Counts voters that did not take it: then another is asked.
    refused: usize,
    /// Questions so far; the newest one has this number.
    asked: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// `heirs`: how many could take it.
    Asked {
        until: Time,
        heirs: usize,
    },
    Waits {
        until: Time,
    },
}

impl Lead {
    /// Whom the store is to give the lead to now, as a position in the cluster file, and the number of that question.
    pub fn step(&mut self, now: Time, view: &View<'_>) -> Option<(u64, usize)> {
        match self.state {
            State::Idle => {}
            State::Asked { until, .. } if now < until => return None,
            State::Asked { .. } => {
                self.refused = self.refused.wrapping_add(1);
                self.state = State::Waits { until: now + AGAIN };
                return None;
            }
            State::Waits { until } if now < until => return None,
            State::Waits { .. } => self.state = State::Idle,
        }
        let heirs = heirs(view);
        let heir = *heirs.get(self.refused.checked_rem(heirs.len())?)?;
        self.asked += 1;
        self.state = State::Asked { until: now + WITHIN, heirs: heirs.len() };
        Some((self.asked, heir))
    }

    /// What came of the question of that number; of one that is waited for no more it says nothing.
    pub fn told(&mut self, now: Time, asked: u64, is_given: bool) {
        let State::Asked { heirs, .. } = self.state else { return };
        if asked != self.asked {
            return;
        }
        self.refused = if is_given { 0 } else { self.refused.wrapping_add(1) };
        let has_next = self.refused.checked_rem(heirs).is_some_and(|next| next != 0);
        self.state = if has_next { State::Idle } else { State::Waits { until: now + AGAIN } };
    }
}

/// Voters that could lead the store in place of this node, which leads it and takes on no work: positions in the
/// cluster file, the one behind this node first. Nobody while it is on duty, does not lead, or all others rest, too.
#[must_use]
pub fn heirs(view: &View<'_>) -> Vec<usize> {
    let Some(office) = view.office.as_ref().filter(|office| !office.is_outside) else {
        return vec![];
    };
    if view.duty.takes_work() || office.leader != Some(view.me) {
        return vec![];
    }
    let count = view.nodes.len();
    let me = view.nodes.iter().position(|node| node.name == view.me).unwrap_or(0);
    let is_heir = |at: &usize| {
        let name = view.nodes[*at].name;
        name != view.me && office.voters.contains(&name) && takes_work(view, name).is_ok()
    };
    (1..count).map(|step| (me + step) % count).filter(is_heir).collect()
}
