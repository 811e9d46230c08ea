//! What has to be true of all that arrived.

use std::collections::{BTreeMap, BTreeSet};

use config::cluster::Topic;

use super::node::{NAMES, Said};
use super::receive::{Arrival, NAMED, TO};
use super::world::{Absence, World, wall_at};
use super::{LOST, Mark, NAMES as SAME_NAME, TWICE, UNTOLD};

/// What happens to a node so long before and after a message arrived (ms) may make it be sent again: a delivery takes ten
/// seconds, and two writes.
const BEFORE: u64 = 12_000;
const AFTER: u64 = 20_000;
/// Without a common shelf others go on after ten seconds, and whoever died while he was sending 45 s after he is back.
const SIDES: u64 = 120_000;
/// So long an absence is no move.
const ABSENT: u64 = 40_000;

impl World {
    pub(super) fn judge(&mut self) {
        self.judge_once();
        self.judge_names();
        self.judge_lost();
        self.judge_losses();
    }

    fn judge_once(&mut self) {
        let mut by_letter: BTreeMap<(usize, &str, &str), Vec<&Arrival>> = BTreeMap::new();
        for arrival in &self.arrivals {
            for letter in &arrival.letters {
                let key = (arrival.receiver, arrival.to, letter.id.as_str());
                by_letter.entry(key).or_default().push(arrival);
            }
        }
        let mut found = None;
        let (mut again, mut unsure) = (false, false);
        for ((receiver, _, id), all) in by_letter {
            for two in all.windows(2) {
                unsure |= two[0].is_open;
                again |= !two[0].is_open;
                if !self.may_come_again(two[0], two[1]) && found.is_none() {
                    found = Some(format!(
                        "{} got {id} ({}) from {} at {} ms and from {} at {} ms",
                        NAMED[receiver],
                        two[0].batch,
                        NAMES[two[0].node],
                        two[0].ms,
                        NAMES[two[1].node],
                        two[1].ms
                    ));
                }
            }
        }
        for (mark, is) in [(Mark::Again, again), (Mark::Unsure, unsure)] {
            if is {
                self.outcome.marks.reach(mark);
            }
        }
        if let Some(what) = found {
            self.break_off(TWICE, what);
        }
    }

    fn may_come_again(&self, first: &Arrival, second: &Arrival) -> bool {
        let had = |node: usize, from: u64, to: u64| {
            self.nodes[node].troubles.iter().any(|at| (from..=to).contains(at))
        };
        let own = had(first.node, first.ms.saturating_sub(BEFORE), first.ms + AFTER);
        let others = !self.is_shared && first.node != second.node && {
            let from = first.ms.saturating_sub(SIDES);
            (0..self.nodes.len()).any(|node| had(node, from, second.ms))
        };
        first.is_open || first.was_cut || own || others
    }

    /// What is sent again has its name: on a shelf that all share, it is written before it is sent.
    fn judge_names(&mut self) {
        let mut names: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for ((receiver, batch), letters) in self.batches.iter().filter(|_| self.is_shared) {
            for id in letters {
                names.entry((receiver.as_str(), id.as_str())).or_default().insert(batch);
            }
        }
        let found = names.into_iter().find(|(_, batches)| batches.len() > 1);
        let found = found.map(|((receiver, id), names)| format!("{receiver}: {id} as {names:?}"));
        if let Some(what) = found {
            self.break_off(SAME_NAME, what);
        }
    }

    fn judge_lost(&mut self) {
        let took = self.nodes.iter().flat_map(|node| &node.log).filter_map(|said| match said {
            Said::Took { letter, .. } => Some(letter.id.clone()),
            Said::Settled { .. } => None,
        });
        let mut lost = None;
        for id in took {
            for (receiver, name) in NAMED.iter().enumerate() {
                let all = if receiver == 0 { &TO[..] } else { &[""][..] };
                let has = |to: &&&str| {
                    self.arrivals.iter().any(|arrival| {
                        arrival.receiver == receiver
                            && arrival.to == **to
                            && arrival.letters.iter().any(|letter| letter.id == id)
                    })
                };
                let all_have = all.iter().all(|to| has(&to));
                if !all_have && !self.is_given_up(name, &id) {
                    lost.get_or_insert_with(|| format!("{name} never got {id}"));
                }
            }
        }
        if let Some(what) = lost {
            self.break_off(LOST, what);
        }
    }

    fn is_given_up(&self, receiver: &str, id: &str) -> bool {
        self.given_up.iter().any(|(to, name)| {
            let key = (to.clone(), name.clone());
            let has = || self.batches.get(&key).is_some_and(|letters| letters.contains(id));
            to == receiver && (name == id || has())
        })
    }

    fn judge_losses(&mut self) {
        let untold = self.absences.iter().find(|absence| self.is_untold(absence));
        let what = untold.map(|absence| {
            let Absence { object, from_ms, to_ms, .. } = absence;
            format!("nobody held {object} from {from_ms} to {to_ms} ms")
        });
        if let Some(what) = what {
            self.break_off(UNTOLD, what);
        }
    }

    fn is_untold(&self, absence: &Absence) -> bool {
        let Absence { object, from_ms, to_ms, was_seen, tellers } = absence;
        let span = *from_ms..from_ms + 30_000;
        let is_steady = |(node, _): &(usize, u64)| {
            let calm = !self.nodes[*node].troubles.iter().any(|at| span.contains(at));
            calm && self.has_letter_of(*node, object)
        };
        let nothing_else = || {
            let all = self.nodes.iter().flat_map(|node| &node.troubles);
            self.is_shared || !all.into_iter().any(|at| (from_ms + 1..span.end).contains(at))
        };
        let is_long = to_ms - from_ms >= ABSENT;
        if !is_long || !was_seen || !tellers.iter().any(is_steady) || !nothing_else() {
            return false;
        }
        let from = wall_at(from_ms.saturating_sub(6_000));
        let told = |arrival: &Arrival| {
            let is_it = |letter: &engine::notify::Letter| {
                letter.topic == Topic::Loss
                    && letter.object == *object
                    && (from..=wall_at(*to_ms)).contains(&letter.at_ms)
            };
            arrival.letters.iter().any(is_it)
        };
        !self.arrivals.iter().any(told)
    }
}
