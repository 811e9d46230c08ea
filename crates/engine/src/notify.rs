//! Who is told that an address moved, once for each move, though whoever tells it may die at any moment.
//!
//! ```text
//!   an event --> Happened --> waits for the first answer --> written: a letter, a due for each receiver
//!                                                               |
//!        +---- tried again, in growing pauses <--- failed ---+  | in office: one node at a time
//!        v                                                   |  v
//!     Waiting --- written: Sending(office, batch) ------> delivered --- written: Told
//!        |                     ^
//!        | too old             | the next office, once the former one's delivery is over: the same batch
//!        v                     |
//!     GivenUp                Sending of a former office
//! ```
//!
//! Of a mail that some were refused for a while only those are owed (`Due::left`); what may have arrived (`Outcome::Unsure`)
//! is sent a few times more, hours apart, and no more.
//!
//! What is written is a *shelf* that all who could be in office share: the replicated store, or a file of the node
//! alone where there is none. A letter has the name of its event, so whoever hears of that again writes nothing. A
//! delivery begins when it is written that it does. So it is told once, unless the office dies between the delivery
//! and the word of it: then the next one sends the same batch under the same name, by which receivers know it. Where each
//! node has a shelf of its own, [`Company`] says which of them tells what.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::Time;
use config::cluster::Topic;

use crate::Buffer;

pub use company::{Company, LEFT_TO_IT_AFTER, SPOKEN_FOR_AFTER};
pub use letter::{Batch, Due, Fate, Letter, MOST_UNSURE, Outcome, Refusal, Write};
pub use signature::signature;
pub use vigil::Vigil;

use run::{Ended, Run};

mod company;
mod heard;
mod letter;
mod pace;
mod plan;
mod run;
mod signature;
#[cfg(test)]
mod tests;
mod vigil;

/// Who asks for an address later than this after it moved does not show how long it was away; the event of the first
/// answer is told no later (`node::vip::taking`), and travels for a second.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(11);
/// Moves of the minute before notifications were first switched on are told as well: at a cold start the first
/// address comes before anybody is in office.
pub const LOOKS_BACK_MS: u64 = 60_000;
/// A delivery is over by then ([`config::cluster::Receiver`]): what a former office was sending may be sent again.
pub const TAKEN_AFTER: Duration = Duration::from_secs(45);
/// Letters that are not settled; of more the newest are given up at once, and told so.
pub const MOST_OPEN: usize = 256;
/// Settled letters that are kept, so that whoever hears of them again knows them, and for the eye.
pub const KEPT: usize = 128;
/// Orders of one step behind which nothing more is planned: what follows at most (a write, and the words of one write, one
/// for each receiver) has to fit into a buffer as well.
const ROOM: usize = 4;
/// Letters in one message: one that is read to its end.
pub const MOST_TOGETHER: usize = 50;
/// After a write that was refused or lost the shelf tells what it holds before this is over.
const AGAIN: Duration = Duration::from_millis(500);
/// What happened and is not written yet, bounded as what feeds it is; of more the oldest goes, and that is told.
pub const MOST_HEARD: usize = 512;
/// Names of what other nodes told, and of what they tell; of more the oldest go.
const MOST_OTHERS: usize = 1024;
/// So often at most it is told that something went.
const SAY_DROPPED_EVERY: Duration = Duration::from_secs(60);

/// Whom to tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addressee {
    pub name: String,
    pub topics: Vec<Topic>,
    pub retry_for: Duration,
}

/// A fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// Milliseconds since 1970 (UTC): ages of letters are of more than one process.
    Wall(u64),
    /// This process is the one that tells, under this number, or (none) is not any more.
    Office(Option<u64>),
    /// All that the shelf held at this revision.
    Shelf {
        letters: Vec<(Letter, u64)>,
        since: Option<(u64, u64)>,
        revision: u64,
    },
    /// A letter was written by anybody under this revision, or (none) is gone since then.
    Changed {
        id: String,
        letter: Option<Box<Letter>>,
        revision: u64,
    },
    /// The mark was written: nothing that happened before that moment is told.
    Since {
        since_ms: u64,
        revision: u64,
    },
    /// An address came to a node; with `awaits` how long it took until the first answer is told later, if at all.
    Happened {
        letter: Box<Letter>,
        awaits: bool,
    },
    /// That is told: the whole of it.
    Answered {
        object: String,
        node: String,
        term: u64,
        took: [Option<u64>; 5],
    },
    /// Without a shared shelf: controllers that this node hears, itself among them.
    Seen(Vec<String>),
    /// Without a shared shelf: another node says that this was told to that receiver, or is not tried any more.
    Settled {
        receiver: String,
        batch: String,
    },
    /// Nobody has held it for longer than a move takes.
    Unheld {
        object: String,
        at_ms: u64,
        cause: String,
    },
    /// What became of a write; the revision under which it was done. An error: refused, as the shelf holds something else
    /// (true), or nobody knows (false).
    Written {
        number: u64,
        outcome: Result<u64, bool>,
    },
    Delivered {
        batch: String,
        receiver: String,
        outcome: Outcome,
    },
    Timeout,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// All of it or nothing; answered by [`Input::Written`].
    Write {
        number: u64,
        write: Box<Write>,
    },
    /// Answered by [`Input::Delivered`].
    Deliver(Box<Batch>),
    Tell(Word),
}

/// What is worth an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Word {
    Told {
        receiver: String,
        batch: String,
        letters: usize,
        tries: u32,
    },
    /// For the first time since it worked, or for another reason.
    Failing {
        receiver: String,
        why: String,
    },
    GivenUp {
        receiver: String,
        id: String,
        why: String,
    },
    /// It was delivered, and another one may have delivered it as well, under the same name.
    Overtaken {
        receiver: String,
        batch: String,
    },
    /// It never takes it for these; for the first time since it did.
    Refused {
        receiver: String,
        batch: String,
        whom: String,
    },
    /// So many that happened were not written, as too much did: the oldest.
    Dropped {
        letters: usize,
    },
}

/// The machine.
#[derive(Debug)]
pub struct Outbox {
    /// None: all who could be in office share the shelf.
    company: Option<Company>,
    runs: Vec<Run>,
    office: Option<u64>,
    wall_ms: u64,
    /// As the shelf holds them, with the revision that wrote each last.
    letters: BTreeMap<String, (Letter, u64)>,
    since: Option<(u64, u64)>,
    is_read: bool,
    heard: Vec<Heard>,
    /// Of addresses that nobody holds, before anything is known of who did.
    early: BTreeMap<String, (u64, String)>,
    /// What others told, or tell; what happened before the rest is known by it.
    past: VecDeque<Letter>,
    /// Receivers and names that others settled.
    elsewhere: VecDeque<(String, String)>,
    /// Of what happened, and when that may be told.
    dropped: (usize, Time),
    writing: Option<Writing>,
    writes: u64,
    not_before: Time,
    /// The last step had no room for all that was due.
    has_more: bool,
}

#[derive(Debug)]
struct Heard {
    letter: Letter,
    /// Until then the first answer may come.
    until: Time,
    /// It is of no use to look at it again before anything else happens.
    waits_for_another: bool,
}

#[derive(Debug)]
struct Writing {
    number: u64,
    write: Write,
    then: Then,
}

/// What a write that was done is good for.
#[derive(Debug)]
enum Then {
    Nothing,
    Deliver { run: usize, batch: String, office: u64, is_again: bool },
    Settled { run: usize, words: Vec<Word> },
    Say(Vec<Word>),
}

impl Outbox {
    /// Without `company` the shelf is shared.
    #[must_use]
    pub fn new(receivers: Vec<Addressee>, company: Option<Company>) -> Self {
        Self {
            company,
            runs: receivers.into_iter().map(Run::new).collect(),
            office: None,
            wall_ms: 0,
            letters: BTreeMap::new(),
            since: None,
            is_read: false,
            heard: vec![],
            early: BTreeMap::new(),
            past: VecDeque::new(),
            elsewhere: VecDeque::new(),
            dropped: (0, Time::ZERO),
            writing: None,
            writes: 0,
            not_before: Time::ZERO,
            has_more: false,
        }
    }

    /// The only way in.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Buffer<Action>) {
        match input {
            Input::Wall(wall_ms) => self.wall_ms = wall_ms,
            Input::Office(office) => {
                if office.is_none() {
                    self.heard.clear();
                    self.early.clear();
                }
                self.office = office;
            }
            Input::Shelf { letters, since, revision } => self.read(letters, since, revision),
            Input::Changed { id, letter, revision } => self.changed(id, letter, revision),
            Input::Since { since_ms, revision } => {
                if self.since.is_none_or(|(_, known)| known < revision) {
                    self.since = Some((since_ms, revision));
                }
            }
            Input::Happened { letter, awaits } => self.happened(now, *letter, awaits),
            Input::Answered { object, node, term, took } => {
                for heard in &mut self.heard {
                    let of = &heard.letter;
                    if of.object == object && of.node == node && of.term == term {
                        (heard.letter.took, heard.until) = (took, now);
                    }
                }
            }
            Input::Seen(nodes) => {
                if let Some(company) = &mut self.company {
                    company.hears(now, nodes);
                }
            }
            Input::Settled { receiver, batch } => self.settled_elsewhere(receiver, batch),
            Input::Unheld { object, at_ms, cause } => self.unheld(now, object, at_ms, cause),
            Input::Written { number, outcome } => {
                self.written(now, number, outcome, out);
            }
            Input::Delivered { batch, receiver, outcome } => {
                self.delivered(now, &batch, &receiver, outcome, out);
            }
            Input::Timeout => {}
        }
        // What is told now may leave no room for more in this step; the next one plans.
        self.has_more = out.len() > ROOM;
        if !self.has_more {
            self.say_dropped(now, out);
            self.plan(now, out);
        }
    }

    /// When the machine next wants [`Input::Timeout`]; what depends on the wall clock is looked at whenever it is told.
    #[must_use]
    pub fn deadline(&self) -> Time {
        if self.writing.is_some() || !self.is_read {
            return Time::NEVER;
        }
        let outcome = self.runs.iter().any(|run| run.ended.is_some());
        if outcome || self.has_more {
            return self.not_before;
        }
        // What waits is another node's to tell.
        if self.office.is_none() {
            return Time::NEVER;
        }
        let ours = self.heard.iter().filter(|heard| !heard.waits_for_another);
        let heard = ours.map(|heard| heard.until);
        let is_free = |run: &&Run| run.under_way.is_none();
        let runs = self.runs.iter().filter(is_free).filter_map(|run| {
            let first = self.waiting(&run.to.name).map(|letter| run.again_at(letter)).min()?;
            Some(first.max(run.pace.next()))
        });
        let foreign = self.runs.iter().filter_map(|run| run.foreign.as_ref());
        let foreign = foreign.map(|(_, since)| *since + TAKEN_AFTER);
        let first = heard.chain(runs).chain(foreign).min().unwrap_or(Time::NEVER);
        first.max(self.not_before)
    }

    /// What the shelf holds, as far as it was told.
    pub fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.letters.values().map(|(letter, _)| letter)
    }

    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.is_read
    }

    /// Why the last delivery to that receiver failed; none: it did not.
    #[must_use]
    pub fn failing(&self, receiver: &str) -> Option<&str> {
        self.runs.iter().find(|run| run.to.name == receiver)?.failing.as_deref()
    }

    fn read(&mut self, letters: Vec<(Letter, u64)>, since: Option<(u64, u64)>, revision: u64) {
        // What this process wrote after that is not undone by an older picture.
        self.letters.retain(|_, (_, known)| *known > revision);
        for (letter, revision) in letters {
            self.changed(letter.id.clone(), Some(Box::new(letter)), revision);
        }
        if self.since.is_none_or(|(_, known)| known <= revision) {
            self.since = since;
        }
        self.is_read = true;
    }

    fn changed(&mut self, id: String, letter: Option<Box<Letter>>, revision: u64) {
        if self.letters.get(&id).is_some_and(|(_, known)| *known > revision) {
            return;
        }
        match letter {
            Some(letter) => self.letters.insert(id, (*letter, revision)),
            None => self.letters.remove(&id),
        };
    }

    /// Those that are to be told to that receiver, the oldest first.
    fn waiting(&self, receiver: &str) -> impl Iterator<Item = &Letter> {
        let waits = |letter: &&Letter| {
            letter.due(receiver).is_some_and(|due| matches!(due.fate, Fate::Waiting))
        };
        let mut all: Vec<&Letter> = self.letters().filter(waits).collect();
        all.sort_by_key(|letter| (letter.at_ms, &letter.id));
        all.into_iter()
    }

    fn written(
        &mut self,
        now: Time,
        number: u64,
        outcome: Result<u64, bool>,
        out: &mut Buffer<Action>,
    ) {
        let Some(writing) = self.writing.take_if(|writing| writing.number == number) else {
            return;
        };
        let Ok(revision) = outcome else {
            // What is there now was told, or is about to be; a write that may have been done is found there.
            self.not_before = now + AGAIN;
            return;
        };
        let Write { letters, removed, since } = writing.write;
        for (letter, _) in letters {
            self.heard.retain(|heard| heard.letter.id != letter.id);
            self.changed(letter.id.clone(), Some(Box::new(letter)), revision);
        }
        for (id, _) in removed {
            self.changed(id, None, revision);
        }
        if let Some((since_ms, _)) = since {
            self.since = Some((since_ms, revision));
        }
        match writing.then {
            Then::Nothing => {}
            Then::Deliver { run, batch, office, is_again } => {
                self.deliver(run, batch, (office, is_again), out);
            }
            Then::Settled { run, words } => {
                self.runs[run].ended = None;
                self.forget_settled(run);
                words.into_iter().for_each(|word| out.push(Action::Tell(word)));
            }
            Then::Say(words) => words.into_iter().for_each(|word| out.push(Action::Tell(word))),
        }
    }
}
