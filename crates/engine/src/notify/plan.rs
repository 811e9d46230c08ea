//! What is to be written and delivered next: one thing at a time, so that each rests on what is written.

use base::Time;
use config::cluster::Topic;

use super::{
    Action, Batch, Due, Ended, Fate, KEPT, LOOKS_BACK_MS, Letter, MOST_TOGETHER, Outbox, Outcome,
    ROOM, TAKEN_AFTER, Then, Word, Write, Writing,
};
use crate::Buffer;

/// Letters that are given up or removed by one write; each of the first is told.
const AT_ONCE: usize = 8;

impl Outbox {
    pub(super) fn plan(&mut self, now: Time, out: &mut Buffer<Action>) {
        if self.writing.is_some() || !self.is_read || now < self.not_before {
            return;
        }
        // What was delivered is written whoever is in office by now: that keeps it from being sent again.
        if self.settle(out) {
            return;
        }
        let Some(office) = self.office else { return };
        let Some((since_ms, _)) = self.since else {
            let since = Some((self.wall_ms.saturating_sub(LOOKS_BACK_MS), None));
            return self.write(Write { since, ..Write::default() }, Then::Nothing, out);
        };
        if self.learn(out)
            || self.file(now, since_ms, out)
            || self.give_up(out)
            || self.send(now, office, out)
        {
            return;
        }
        self.prune(since_ms, out);
    }

    /// What follows has to wait for the next step: this one has ordered enough.
    fn is_full(&mut self, out: &Buffer<Action>) -> bool {
        self.has_more = out.len() > ROOM;
        self.has_more
    }

    pub(super) fn write(&mut self, write: Write, then: Then, out: &mut Buffer<Action>) {
        self.writes += 1;
        let number = self.writes;
        out.push(Action::Write { number, write: Box::new(write.clone()) });
        self.writing = Some(Writing { number, write, then });
    }

    /// Writes what came of a delivery.
    fn settle(&mut self, out: &mut Buffer<Action>) -> bool {
        for at in 0..self.runs.len() {
            if self.is_full(out) {
                return true;
            }
            let Some(ended) = self.runs[at].ended.clone() else { continue };
            let (write, word) = self.settled(&self.runs[at].to.name, &ended);
            if !write.letters.is_empty() {
                let words = word.into_iter().collect();
                self.write(write, Then::Settled { run: at, words }, out);
                return true;
            }
            // It is written already, or somebody else went on with it.
            let receiver = self.runs[at].to.name.clone();
            let batch = ended.batch;
            let is_told = |letter: &&Letter| {
                letter
                    .due(&receiver)
                    .is_some_and(|due| due.batch == batch && matches!(due.fate, Fate::Told { .. }))
            };
            let letters = self.letters().filter(is_told).count();
            if matches!(ended.outcome, Outcome::Taken { .. }) {
                out.push(Action::Tell(match letters {
                    0 => Word::Overtaken { receiver, batch },
                    letters => Word::Told { receiver, batch, letters, tries: 0 },
                }));
            }
            self.runs[at].ended = None;
        }
        false
    }

    /// What is to be written of a delivery, and what is told when it is.
    fn settled(&self, receiver: &str, ended: &Ended) -> (Write, Option<Word>) {
        let mut write = Write::default();
        let mut after = None;
        for (letter, revision) in self.letters.values() {
            if letter.is_sent_in(receiver, &ended.batch) != Some(ended.office) {
                continue;
            }
            let mut letter = letter.clone();
            if let Some(due) = letter.due_mut(receiver) {
                due.settle(&ended.outcome, self.wall_ms);
                after = Some(due.clone());
            }
            write.letters.push((letter, Some(*revision)));
        }
        let (receiver, batch) = (receiver.to_owned(), ended.batch.clone());
        let word = after.and_then(|due| match due.fate {
            Fate::Told { .. } => {
                let letters = write.letters.len();
                Some(Word::Told { receiver, batch, letters, tries: due.tries })
            }
            Fate::GivenUp => {
                let why = format!(
                    "sent {} times, and never a word whether it is kept: {}",
                    due.unsure, due.why
                );
                Some(Word::GivenUp { receiver, id: batch, why })
            }
            Fate::Waiting | Fate::Sending { .. } => None,
        });
        (write, word)
    }

    /// Writes that nobody tries any more what is too old, or is for somebody who is in no file any more.
    fn give_up(&mut self, out: &mut Buffer<Action>) -> bool {
        let (mut write, mut words) = (Write::default(), vec![]);
        for (letter, revision) in self.letters.values() {
            let (mut letter, before) = (letter.clone(), words.len());
            let age = self.wall_ms.saturating_sub(letter.at_ms);
            for due in letter.dues.iter_mut().filter(|due| due.fate == Fate::Waiting) {
                if let Some(why) = self.hopeless(due, age) {
                    due.fate = Fate::GivenUp;
                    let (receiver, id) = (due.receiver.clone(), letter.id.clone());
                    words.push(Word::GivenUp { receiver, id, why });
                }
            }
            if words.len() > AT_ONCE && before > 0 {
                words.truncate(before);
                break;
            }
            if words.len() > before {
                write.letters.push((letter, Some(*revision)));
            }
            if words.len() >= AT_ONCE {
                break;
            }
        }
        if write.letters.is_empty() {
            return false;
        }
        self.write(write, Then::Say(words), out);
        true
    }

    /// Why it is not tried any more.
    fn hopeless(&self, due: &Due, age_ms: u64) -> Option<String> {
        let Some(run) = self.runs.iter().find(|run| run.to.name == due.receiver) else {
            return Some("nobody of that name is to be told any more".to_owned());
        };
        let limit = run.to.retry_for;
        if u128::from(age_ms) <= limit.as_millis() {
            return None;
        }
        let tried = format!("not told within {} s", limit.as_secs());
        Some(if due.why.is_empty() { tried } else { format!("{tried}: {}", due.why) })
    }

    /// Begins a delivery; whether something is written for it.
    fn send(&mut self, now: Time, office: u64, out: &mut Buffer<Action>) -> bool {
        for at in 0..self.runs.len() {
            if self.runs[at].under_way.is_some() || self.runs[at].ended.is_some() {
                continue;
            }
            if self.is_full(out) {
                return true;
            }
            let receiver = self.runs[at].to.name.clone();
            if let Some((batch, of)) = self.begun(&receiver) {
                if of == office {
                    // The write that began it was done, though nobody said so.
                    self.deliver(at, batch, (office, true), out);
                    continue;
                }
                let foreign = &mut self.runs[at].foreign;
                let since = match foreign {
                    Some((known, since)) if *known == batch => *since,
                    _ => foreign.insert((batch.clone(), now)).1,
                };
                if now >= since + TAKEN_AFTER {
                    let letters = self.letters.values();
                    let of_it = letters.filter(|(letter, _)| {
                        letter.is_sent_in(&receiver, &batch).is_some_and(|other| other == of)
                    });
                    let write = sending(of_it.cloned().collect(), &receiver, &batch, office);
                    let then = Then::Deliver { run: at, batch, office, is_again: true };
                    self.write(write, then, out);
                    return true;
                }
            } else {
                self.runs[at].foreign = None;
            }
            let left = self.runs[at].pace.left(now);
            let Some((batch, letters)) = self.next(now, at, left) else { continue };
            let is_rest = |(letter, _): &(Letter, u64)| {
                letter.due(&receiver).is_some_and(|due| !due.left.is_empty())
            };
            let is_again = letters.iter().any(is_rest);
            let write = sending(letters, &receiver, &batch, office);
            let then = Then::Deliver { run: at, batch, office, is_again };
            self.write(write, then, out);
            return true;
        }
        false
    }

    /// A delivery to that receiver of which nothing is known here, and whose it is.
    fn begun(&self, receiver: &str) -> Option<(String, u64)> {
        self.letters().find_map(|letter| {
            let due = letter.due(receiver)?;
            match due.fate {
                Fate::Sending { office } => Some((due.batch.clone(), office)),
                Fate::Waiting | Fate::Told { .. } | Fate::GivenUp => None,
            }
        })
    }

    /// What the receiver of that run is told next, where so many messages may leave.
    fn next(&self, now: Time, at: usize, left: u32) -> Option<(String, Vec<(Letter, u64)>)> {
        let run = &self.runs[at];
        let receiver = run.to.name.as_str();
        let waiting = self.waiting(receiver).filter(|letter| run.again_at(letter) <= now);
        let waiting: Vec<&Letter> = waiting.collect();
        let first = waiting.first().filter(|_| left > 0)?;
        let batch_of = |letter: &Letter| letter.due(receiver).map(|due| due.batch.clone());
        let same: Vec<&Letter> = waiting
            .iter()
            .filter(|letter| batch_of(letter) == batch_of(first))
            .take(MOST_TOGETHER)
            .copied()
            .collect();
        let settled = batch_of(first).filter(|batch| !batch.is_empty());
        let is_one = settled.is_none() && same.len() <= usize::try_from(left).unwrap_or(usize::MAX);
        let chosen = if is_one { vec![*first] } else { same };
        let batch = settled.unwrap_or_else(|| match chosen.len() {
            1 => first.id.clone(),
            more => format!("summary-of-{more}-from-{}", first.id),
        });
        let kept = |letter: &Letter| self.letters.get(&letter.id).cloned();
        Some((batch, chosen.into_iter().filter_map(kept).collect()))
    }

    pub(super) fn deliver(
        &mut self,
        at: usize,
        batch: String,
        (office, is_again): (u64, bool),
        out: &mut Buffer<Action>,
    ) {
        let receiver = self.runs[at].to.name.clone();
        let of_it =
            self.letters().filter(|letter| letter.is_sent_in(&receiver, &batch) == Some(office));
        let mut letters: Vec<Letter> = of_it.cloned().collect();
        letters.sort_by(|one, other| (one.at_ms, &one.id).cmp(&(other.at_ms, &other.id)));
        let due = letters.first().and_then(|letter| letter.due(&receiver));
        let left = due.map(|due| due.left.clone()).unwrap_or_default();
        let run = &mut self.runs[at];
        run.pace.spend(is_again);
        run.foreign = None;
        run.under_way = Some((batch.clone(), office));
        out.push(Action::Deliver(Box::new(Batch { id: batch, receiver, letters, left })));
    }

    /// Removes what is settled for long, and forgets nothing by it: what is older than the mark is not told.
    fn prune(&mut self, since_ms: u64, out: &mut Buffer<Action>) {
        // Of an address the last one says who held it.
        let is_last = |letter: &Letter| {
            let of = self.letters().filter(|other| other.object == letter.object);
            let last = of.max_by_key(|other| (other.at_ms, other.topic == Topic::Loss));
            Topic::ALL.contains(&letter.topic) && last.is_some_and(|last| last.id == letter.id)
        };
        let settled = self.letters.values().filter(|(letter, _)| letter.is_settled());
        let mut settled: Vec<_> = settled.filter(|(letter, _)| !is_last(letter)).collect();
        if settled.len() < KEPT + AT_ONCE {
            return;
        }
        settled.sort_by_key(|(letter, _)| letter.at_ms);
        settled.truncate(AT_ONCE);
        let newest = settled.iter().map(|(letter, _)| letter.at_ms).max().unwrap_or(0);
        let removed = settled.iter().map(|(letter, revision)| (letter.id.clone(), *revision));
        let removed = removed.collect();
        let known = self.since.map(|(_, revision)| revision);
        let since = Some((since_ms.max(newest + 1), known));
        self.write(Write { removed, since, ..Write::default() }, Then::Nothing, out);
    }
}

/// That these are being delivered together by whoever is in that office.
fn sending(letters: Vec<(Letter, u64)>, receiver: &str, batch: &str, office: u64) -> Write {
    let mut write = Write::default();
    for (mut letter, revision) in letters {
        if let Some(due) = letter.due_mut(receiver) {
            due.fate = Fate::Sending { office };
            batch.clone_into(&mut due.batch);
        }
        write.letters.push((letter, Some(revision)));
    }
    write
}
