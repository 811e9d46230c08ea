//! Deliveries to one receiver, and what comes of each.

use std::collections::{BTreeMap, BTreeSet};

use base::Time;

use super::letter::listed;
use super::pace::{self, Pace};
use super::{Action, Addressee, Fate, Letter, Outbox, Outcome, Word};
use crate::Buffer;

#[derive(Debug)]
pub(super) struct Run {
    pub(super) to: Addressee,
    pub(super) pace: Pace,
    /// What is being delivered, under whose office.
    pub(super) under_way: Option<(String, u64)>,
    /// What came of it, until that is written.
    pub(super) ended: Option<Ended>,
    /// Batches of others that are seen as being delivered, since when.
    pub(super) foreign: Option<(String, Time)>,
    /// Batches that some have, or that may have arrived: how often each failed, and when it may be sent again. Others do
    /// not wait for them.
    again: BTreeMap<String, (u32, Time)>,
    pub(super) failing: Option<String>,
    /// For whom it never takes anything.
    refused: BTreeSet<String>,
}

/// What came of a delivery.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) batch: String,
    pub(super) office: u64,
    pub(super) outcome: Outcome,
}

impl Run {
    pub(super) fn new(to: Addressee) -> Self {
        Self {
            to,
            pace: Pace::default(),
            under_way: None,
            ended: None,
            foreign: None,
            again: BTreeMap::new(),
            failing: None,
            refused: BTreeSet::new(),
        }
    }

    /// When that letter may be sent, as far as it is up to the letter.
    pub(super) fn again_at(&self, letter: &Letter) -> Time {
        let batch = letter.due(&self.to.name).map_or("", |due| due.batch.as_str());
        self.again.get(batch).map_or(Time::ZERO, |(_, at)| *at)
    }

    /// `is_rest`: of a mail that some have already; `unsure`: how often it may have arrived before.
    fn note(&mut self, now: Time, batch: &str, outcome: &Outcome, (is_rest, unsure): (bool, u32)) {
        let is_unsure = matches!(outcome, Outcome::Unsure(_));
        match outcome {
            Outcome::Taken { .. } => self.pace.worked(),
            // That one is refused says nothing about the others.
            Outcome::Failed { .. } if is_rest => {}
            Outcome::Failed { .. } | Outcome::Unsure(_) => self.pace.failed(now),
        }
        let is_whole = matches!(outcome, Outcome::Taken { later, .. } if later.is_empty());
        if is_whole || (!is_rest && matches!(outcome, Outcome::Failed { .. })) {
            self.again.remove(batch);
            return;
        }
        let (failures, at) = self.again.entry(batch.to_owned()).or_default();
        let pause = if is_unsure { pace::unsure_pause(unsure + 1) } else { pace::pause(*failures) };
        (*failures, *at) = (failures.saturating_add(1), now + pause);
    }

    /// Those that it never takes, where that is news; in words.
    fn news_of_refused(&mut self, outcome: &Outcome, is_rest: bool) -> Option<String> {
        let never = outcome.never();
        let is_news = never.iter().any(|refusal| !self.refused.contains(&refusal.to));
        // All of them were asked for.
        if matches!(outcome, Outcome::Taken { .. }) && !is_rest {
            self.refused.clear();
        }
        self.refused.extend(never.iter().map(|refusal| refusal.to.clone()));
        is_news.then(|| listed(never))
    }
}

impl Outbox {
    pub(super) fn delivered(
        &mut self,
        now: Time,
        batch: &str,
        receiver: &str,
        outcome: Outcome,
        out: &mut Buffer<Action>,
    ) {
        let of_it = |letter: &&Letter| letter.due(receiver).is_some_and(|due| due.batch == batch);
        let due = self.letters().find(of_it).and_then(|letter| letter.due(receiver));
        let before = due.map_or((false, 0), |due| (!due.left.is_empty(), due.unsure));
        let Some(run) = self.runs.iter_mut().find(|run| run.to.name == receiver) else { return };
        let Some((batch, office)) = run.under_way.take_if(|(under_way, _)| under_way == batch)
        else {
            return;
        };
        run.note(now, &batch, &outcome, before);
        let why = match &outcome {
            Outcome::Taken { later, .. } if later.is_empty() => None,
            Outcome::Taken { later, .. } => Some(listed(later)),
            Outcome::Failed { why, .. } | Outcome::Unsure(why) => Some(why.clone()),
        };
        if let Some(why) = why.clone().filter(|why| run.failing.as_ref() != Some(why)) {
            let receiver = receiver.to_owned();
            out.push(Action::Tell(Word::Failing { receiver, why }));
        }
        run.failing = why;
        if let Some(whom) = run.news_of_refused(&outcome, before.0) {
            let (receiver, batch) = (receiver.to_owned(), batch.clone());
            out.push(Action::Tell(Word::Refused { receiver, batch, whom }));
        }
        run.ended = Some(Ended { batch, office, outcome });
    }

    /// What is told or given up needs no time of its own any more.
    pub(super) fn forget_settled(&mut self, at: usize) {
        let name = self.runs[at].to.name.clone();
        let open = |letter: &Letter| {
            let due = letter.due(&name)?;
            matches!(due.fate, Fate::Waiting | Fate::Sending { .. }).then(|| due.batch.clone())
        };
        let open: BTreeSet<String> = self.letters().filter_map(open).collect();
        self.runs[at].again.retain(|batch, _| open.contains(batch));
    }
}
