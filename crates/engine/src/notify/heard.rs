//! What happened and is not written yet.

use std::time::Duration;

use base::Time;
use config::cluster::Topic;

use super::company::LEFT_TO_IT_AFTER;
use super::{
    ANSWER_WITHIN, Action, Due, Fate, Heard, Letter, MOST_HEARD, MOST_OPEN, MOST_OTHERS, Outbox,
    SAY_DROPPED_EVERY, Then, Word, Write,
};
use crate::Buffer;

/// What several see is one thing when they say so within this time (ms): longer than they are apart, shorter than it
/// takes to come and go.
const SAME_SIGHT_MS: u64 = 20_000;
/// Of addresses of which nothing is known.
const MOST_EARLY: usize = 256;

impl Outbox {
    pub(super) fn happened(&mut self, now: Time, letter: Letter, awaits: bool) {
        if self.office.is_none() || self.knows(&letter) {
            return;
        }
        // One that is told late was answered long ago, or is not going to be.
        let age = Duration::from_millis(self.wall_ms.saturating_sub(letter.at_ms));
        let rest = ANSWER_WITHIN.saturating_sub(age);
        let until = if awaits { now + rest } else { now };
        let (object, at_ms) = (letter.object.clone(), letter.at_ms);
        self.keep(now, Heard { letter, until, waits_for_another: false });
        // Nobody held it after that, as was seen before that was heard of.
        if let Some((lost_ms, cause)) = self.early.remove(&object).filter(|(lost, _)| *lost > at_ms)
        {
            self.unheld(now, object, lost_ms, cause);
        }
    }

    /// Whoever is lost within seconds of a take-over is not going to answer: that is written now, and the loss after it.
    pub(super) fn unheld(&mut self, now: Time, object: String, at_ms: u64, cause: String) {
        if self.office.is_none() {
            return;
        }
        let Some(last) = newest(self.known(), |letter| letter.object == object) else {
            if self.early.len() < MOST_EARLY {
                self.early.insert(object, (at_ms, cause));
            }
            return;
        };
        if last.topic == Topic::Loss {
            return;
        }
        let letter = Letter {
            id: format!("loss-after-{}", last.id),
            topic: Topic::Loss,
            from: last.to.clone(),
            node: last.node.clone(),
            term: last.term,
            // By this clock; what it follows was told by another one.
            at_ms: at_ms.max(last.at_ms + 1),
            object,
            cause,
            ..Letter::default()
        };
        for heard in self.heard.iter_mut().filter(|heard| heard.letter.object == letter.object) {
            heard.until = heard.until.min(now);
        }
        self.keep(now, Heard { letter, until: now, waits_for_another: false });
    }

    pub(super) fn settled_elsewhere(&mut self, receiver: String, batch: String) {
        if self.company.is_some() && !self.is_settled_elsewhere(&receiver, &batch) {
            remember(&mut self.elsewhere, (receiver, batch));
        }
    }

    fn is_settled_elsewhere(&self, receiver: &str, batch: &str) -> bool {
        !batch.is_empty()
            && self.elsewhere.iter().any(|(to, known)| to == receiver && known == batch)
    }

    /// All that is known to have happened.
    fn known(&self) -> impl Iterator<Item = &Letter> {
        self.letters().chain(self.heard.iter().map(|heard| &heard.letter)).chain(&self.past)
    }

    fn knows(&self, letter: &Letter) -> bool {
        let is_same = |other: &Letter| {
            let same_sight = letter.topic.is_seen_by_several()
                && (&other.object, other.topic, &other.to)
                    == (&letter.object, letter.topic, &letter.to)
                && other.at_ms.abs_diff(letter.at_ms) < SAME_SIGHT_MS;
            other.id == letter.id || same_sight
        };
        self.known().any(is_same)
    }

    fn is_ours(&self, now: Time, letter: &Letter) -> bool {
        self.company.as_ref().is_none_or(|company| company.tells(now, letter))
    }

    fn keep(&mut self, now: Time, heard: Heard) {
        self.heard.push(heard);
        if self.heard.len() <= MOST_HEARD {
            return;
        }
        // What another node tells goes first, then the oldest.
        let rank = |letter: &Letter| (self.is_ours(now, letter), letter.at_ms);
        let ranks = self.heard.iter().enumerate().map(|(at, heard)| (rank(&heard.letter), at));
        if let Some(((is_ours, _), at)) = ranks.min() {
            self.heard.remove(at);
            self.dropped.0 += usize::from(is_ours);
        }
    }

    pub(super) fn say_dropped(&mut self, now: Time, out: &mut Buffer<Action>) {
        let (letters, not_before) = self.dropped;
        if letters > 0 && now >= not_before {
            self.dropped = (0, now + SAY_DROPPED_EVERY);
            out.push(Action::Tell(Word::Dropped { letters }));
        }
    }

    /// The same letter with what went before it.
    fn followed(&self, letter: &Letter) -> Letter {
        let mut letter = letter.clone();
        if letter.topic != Topic::Move {
            return letter;
        }
        // Terms grow whatever clocks say.
        let is_before = |other: &Letter| {
            other.object == letter.object
                && other.id != letter.id
                && (other.at_ms <= letter.at_ms || other.term < letter.term)
        };
        let Some(last) = newest(self.known(), is_before) else { return letter };
        let is_lost = last.topic == Topic::Loss;
        let from = if is_lost { &last.from } else { &last.to };
        let away_ms = letter.at_ms.saturating_sub(last.at_ms);
        if letter.from.is_none() {
            letter.from.clone_from(from);
        }
        if is_lost {
            (letter.topic, letter.away_ms) = (Topic::Return, Some(away_ms));
        }
        letter
    }

    /// Forgets what is history, written, or told by others.
    fn sift(&mut self, now: Time, since_ms: u64) {
        let look = |heard: &Heard| self.look(now, since_ms, &heard.letter);
        let looks: Vec<Look> = self.heard.iter().map(look).collect();
        for (mut heard, look) in std::mem::take(&mut self.heard).into_iter().zip(looks) {
            match look {
                Look::Gone => {}
                Look::Past => remember(&mut self.past, heard.letter),
                Look::Waits { for_another } => {
                    heard.waits_for_another = for_another;
                    self.heard.push(heard);
                }
            }
        }
    }

    fn look(&self, now: Time, since_ms: u64, letter: &Letter) -> Look {
        if letter.at_ms < since_ms || self.letters.contains_key(&letter.id) {
            return Look::Gone;
        }
        let for_another = !self.is_ours(now, letter);
        let age = Duration::from_millis(self.wall_ms.saturating_sub(letter.at_ms));
        if (for_another && age > LEFT_TO_IT_AFTER) || self.is_told_by_others(letter) {
            return Look::Past;
        }
        Look::Waits { for_another }
    }

    fn is_told_by_others(&self, letter: &Letter) -> bool {
        let is_told = |name: &str| self.is_settled_elsewhere(name, &letter.id);
        if self.elsewhere.is_empty() || !self.runs.iter().any(|run| is_told(&run.to.name)) {
            return false;
        }
        let topic = self.followed(letter).topic;
        let mut wants = self.runs.iter().filter(|run| run.to.topics.contains(&topic));
        wants.all(|run| is_told(&run.to.name))
    }

    /// Writes that others told what waits on this shelf.
    pub(super) fn learn(&mut self, out: &mut Buffer<Action>) -> bool {
        // What a process before this one was sending is as good as not sent.
        let is_open = |fate: &Fate| match fate {
            Fate::Waiting => true,
            Fate::Sending { office } => Some(*office) != self.office,
            Fate::Told { .. } | Fate::GivenUp => false,
        };
        let is_told = |id: &str, due: &Due| {
            is_open(&due.fate)
                && (self.is_settled_elsewhere(&due.receiver, id)
                    || self.is_settled_elsewhere(&due.receiver, &due.batch))
        };
        let has_news = |letter: &Letter| letter.dues.iter().any(|due| is_told(&letter.id, due));
        let mut write = Write::default();
        if self.elsewhere.is_empty() {
            return false;
        }
        for (letter, revision) in self.letters.values().filter(|(letter, _)| has_news(letter)) {
            let mut letter = letter.clone();
            for due in &mut letter.dues {
                if is_told(&letter.id, due) {
                    due.fate = Fate::Told { at_ms: self.wall_ms };
                }
            }
            write.letters.push((letter, Some(*revision)));
        }
        if write.letters.is_empty() {
            return false;
        }
        self.write(write, Then::Nothing, out);
        true
    }

    /// Writes the oldest thing that happened and is not written yet.
    pub(super) fn file(&mut self, now: Time, since_ms: u64, out: &mut Buffer<Action>) -> bool {
        self.sift(now, since_ms);
        let ready = |heard: &&Heard| heard.until <= now && !heard.waits_for_another;
        let ready = self.heard.iter().filter(ready);
        let Some(first) = ready.min_by_key(|heard| (heard.letter.at_ms, &heard.letter.id)) else {
            return false;
        };
        let mut letter = self.followed(&first.letter);
        let is_full = self.letters().filter(|letter| !letter.is_settled()).count() >= MOST_OPEN;
        let mut words = vec![];
        let wants = self.runs.iter().filter(|run| run.to.topics.contains(&letter.topic));
        for receiver in wants.map(|run| run.to.name.clone()) {
            let mut due = Due::new(receiver.clone(), Fate::Waiting);
            if self.is_settled_elsewhere(&receiver, &letter.id) {
                due.fate = Fate::Told { at_ms: self.wall_ms };
            } else if is_full {
                due.fate = Fate::GivenUp;
                due.why = format!("{MOST_OPEN} others wait already");
                let (id, why) = (letter.id.clone(), due.why.clone());
                words.push(Word::GivenUp { receiver, id, why });
            }
            letter.dues.push(due);
        }
        let write = Write { letters: vec![(letter, None)], ..Write::default() };
        self.write(write, Then::Say(words), out);
        true
    }
}

/// What is to become of something that happened.
enum Look {
    /// It is written, or history.
    Gone,
    /// Others tell it, or told it.
    Past,
    Waits {
        for_another: bool,
    },
}

/// The last that happened of those.
fn newest<'a>(
    letters: impl Iterator<Item = &'a Letter>,
    is_meant: impl Fn(&Letter) -> bool,
) -> Option<&'a Letter> {
    let of = letters.filter(|letter| is_meant(letter));
    of.max_by_key(|letter| (letter.at_ms, letter.topic == Topic::Loss))
}

fn remember<T>(among: &mut std::collections::VecDeque<T>, one: T) {
    if among.len() >= MOST_OTHERS {
        among.pop_front();
    }
    among.push_back(one);
}
