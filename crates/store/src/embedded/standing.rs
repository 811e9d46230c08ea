//! What others remember of a node, so that a disk that went back in time is noticed.
//!
//! A vote and an acknowledged entry are promises, and a disk that was restored from a copy has forgotten
//! some. So every node remembers of every other the greatest vote and log position it heard of:
//!
//! ```text
//!   leader  --append(entries, standings)-->  follower      each notes what the message proves of the
//!           <--success------------------               other, and the leader tells the rest
//!
//!   start:  "what do you know of me?"  -> a majority without the own voice, all who answer within a
//!                                         grace time; until then: no vote, no entry taken, no election
//!           none of them has more than the own disk:   go on
//!           somebody has more:   the floor. Below it no vote for a candidate whose log is shorter, no
//!                                election of its own, until the leader has filled the log up
//! ```
//!
//! Why that is enough: whatever this node helped to commit or to elect, a majority has, f others besides
//! it; f + 1 others answer, so one of those is among them, with a log or a vote that is no smaller. A node
//! that merely lags has a floor too, and loses nothing by it: whoever set it can be elected. Why the own
//! voice does not count: what {1, 3} committed while 2 was down, only 1 can tell of 3. It counts, and there
//! is no floor, when a witness proves the disk ([`super::witness`]: the same boot) or the operator gives
//! his word. What others *remember* of this node says besides that its disk went back: operators are told.

use std::collections::BTreeMap;
use std::io;

use super::disk::owner::Incarnation;
use super::types::{LogId, MAX_MEMBERS, NodeId, Vote};
use crate::bytes::{Reader, Writer};

/// The greatest promises that are known of a node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Standing {
    pub(crate) vote: Vote,
    pub(crate) log: Option<LogId>,
}

impl Standing {
    pub(crate) fn raise(&mut self, other: &Self) -> bool {
        let before = *self;
        if other.vote > self.vote {
            self.vote = other.vote;
        }
        self.log = self.log.max(other.log);
        *self != before
    }

    /// Whether it promised something that this one does not know of.
    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        // Whether a vote was committed is knowledge, not a promise.
        self.log > other.log || self.vote.leader_id > other.vote.leader_id
    }
}

/// By node.
pub(crate) type Standings = BTreeMap<NodeId, Standing>;

/// What a node answers to "what do you know of me?".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    /// Of the one that asks.
    pub(crate) of_you: Standing,
    /// Of the one that answers; the default if it never was part of a store.
    pub(crate) own: Standing,
    /// The greatest incarnation of a store that it knows of, while it is part of none; 0: of none.
    pub(crate) known: Incarnation,
}

/// What follows from the answers so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Confirmed {
    /// Ask on.
    NotYet,
    /// The disk is whole as far as anybody knows; `fresh`: nobody of all has ever stored anything.
    Whole { fresh: bool },
    /// Somebody has more than this node. `went_back`: somebody remembers more of it than its disk does.
    Below { floor: Standing, went_back: bool },
}

/// Who starts, and what it knows itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starting {
    pub(crate) me: NodeId,
    /// What its disk says.
    pub(crate) own: Standing,
    /// Something besides the disk says that this is all: its voice counts.
    pub(crate) proven: bool,
    /// There is still time to wait for more than a majority.
    pub(crate) patient: bool,
}

/// Decides at a start, after each round of answers.
pub(crate) fn confirm(
    &Starting { me, own, proven, patient }: &Starting,
    voters: &[NodeId],
    answers: &BTreeMap<NodeId, Told>,
) -> Confirmed {
    let others = voters.iter().filter(|voter| **voter != me).count();
    let answered = answers.keys().filter(|node| **node != me && voters.contains(node)).count();
    let all = answered == others;
    let itself = usize::from(proven && voters.contains(&me));
    // Alone there is nobody to ask.
    let majority = answered + itself > voters.len() / 2 || voters.len() <= 1;
    if !majority || (patient && !all) {
        return Confirmed::NotYet;
    }
    let (mut floor, mut went_back) = (Standing::default(), false);
    for told in answers.values() {
        floor.raise(&told.of_you);
        went_back |= told.of_you.exceeds(&own);
        if !proven {
            floor.raise(&told.own);
        }
    }
    if floor.exceeds(&own) {
        floor.raise(&own);
        return Confirmed::Below { floor, went_back };
    }
    let nothing = Standing::default();
    let fresh = all && own == nothing && answers.values().all(|told| told.own == nothing);
    Confirmed::Whole { fresh }
}

impl Writer {
    pub(crate) fn standing(&mut self, standing: &Standing) {
        self.vote(standing.vote);
        self.option(standing.log, Self::log_id);
    }

    pub(crate) fn standings(&mut self, standings: &Standings) {
        self.list(standings.iter(), |out, (node, standing)| {
            out.u64(*node);
            out.standing(standing);
        });
    }
}

impl Reader<'_> {
    pub(crate) fn standing(&mut self) -> io::Result<Standing> {
        Ok(Standing { vote: self.vote()?, log: self.option(Self::log_id)? })
    }

    pub(crate) fn standings(&mut self) -> io::Result<Standings> {
        let list = self.list(MAX_MEMBERS, |from| Ok((from.u64()?, from.standing()?)))?;
        Ok(list.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;

    fn standing(term: u64, index: u64) -> Standing {
        let log = Some(LogId::new(CommittedLeaderId::new(term, 1), index));
        Standing { vote: Vote::new_committed(term, 1), log }
    }

    fn told(of_you: Standing) -> Told {
        Told { of_you, own: standing(1, 1), known: 0 }
    }

    const NOBODY: openraft::LeaderId<NodeId> = openraft::LeaderId { term: 0, node_id: 0 };
    const NOTHING: Standing =
        Standing { vote: Vote { leader_id: NOBODY, committed: false }, log: None };

    fn check(own: Standing, answers: &[(NodeId, Told)], patient: bool, expected: Confirmed) {
        let starting = Starting { me: 1, own, proven: false, patient };
        assert_eq!(confirm(&starting, &[1, 2, 3], &answers.iter().copied().collect()), expected);
    }

    #[test]
    fn a_majority_of_others_must_have_confirmed_the_own_last_index() {
        let own = standing(2, 10);
        let known = told(standing(2, 10));
        check(own, &[], true, Confirmed::NotYet);
        check(own, &[], false, Confirmed::NotYet);
        check(own, &[(2, known)], false, Confirmed::NotYet);
        check(own, &[(2, known), (3, known)], true, Confirmed::Whole { fresh: false });
        // A node that is no voter confirms nothing.
        check(own, &[(2, known), (7, known)], false, Confirmed::NotYet);
    }

    #[test]
    fn a_witness_gives_the_own_voice_back_and_all_others_are_waited_for_a_while() {
        let known: BTreeMap<_, _> = [(2, told(standing(2, 10)))].into();
        let starting = Starting { me: 1, own: standing(2, 10), proven: true, patient: true };
        assert_eq!(confirm(&starting, &[1, 2, 3], &known), Confirmed::NotYet);
        let late = Starting { patient: false, ..starting };
        assert_eq!(confirm(&late, &[1, 2, 3], &known), Confirmed::Whole { fresh: false });
        assert_eq!(confirm(&late, &[1, 2, 3], &BTreeMap::new()), Confirmed::NotYet);
        // Of five, itself and two others.
        assert_eq!(confirm(&late, &[1, 2, 3, 4, 5], &known), Confirmed::NotYet);
        let alone = Starting { proven: false, ..starting };
        assert_eq!(confirm(&alone, &[1], &BTreeMap::new()), Confirmed::Whole { fresh: false });
    }

    #[test]
    fn one_that_knows_more_is_enough_for_a_floor() {
        let floor = standing(2, 11);
        let answers = [(2, told(standing(2, 10))), (3, told(floor))];
        let below = |floor| Confirmed::Below { floor, went_back: true };
        check(standing(2, 10), &answers, true, below(floor));
        check(NOTHING, &answers, true, below(floor));
        // A forgotten vote is a broken promise too; the floor keeps what the disk does know.
        let floor = Standing { vote: Vote::new(3, 2), log: standing(2, 12).log };
        let voted = told(Standing { vote: Vote::new(3, 2), log: None });
        let answers = [(2, voted), (3, told(NOTHING))];
        check(standing(2, 12), &answers, true, below(floor));
        // The one who knew that it acknowledged more has forgotten it, but has it itself.
        let floor = standing(2, 13);
        let answers = [(2, told(NOTHING)), (3, Told { of_you: NOTHING, own: floor, known: 0 })];
        check(standing(2, 12), &answers, true, Confirmed::Below { floor, went_back: false });
    }

    #[test]
    fn an_honest_disk_that_knows_more_than_the_others_is_whole() {
        let answers = [(2, told(standing(1, 5))), (3, told(NOTHING))];
        check(standing(2, 3), &answers, false, Confirmed::Whole { fresh: false });
    }

    #[test]
    fn a_store_is_founded_only_when_all_voters_are_empty() {
        let empty = Told { of_you: NOTHING, own: NOTHING, known: 0 };
        check(NOTHING, &[(2, empty), (3, empty)], true, Confirmed::Whole { fresh: true });
        check(NOTHING, &[(2, empty)], false, Confirmed::NotYet);
        let (floor, went_back) = (standing(1, 1), false);
        let answers = [(2, empty), (3, told(NOTHING))];
        check(NOTHING, &answers, true, Confirmed::Below { floor, went_back });
    }
}
