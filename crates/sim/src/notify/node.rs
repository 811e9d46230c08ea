//! A node: what outlives its power, and its agent.

use std::collections::BTreeMap;

use base::Time;
use engine::Buffer;
use engine::notify::{
    Action, Addressee, Batch, Company, Input, Letter, Outbox, Outcome, Vigil, Word, Write,
};

/// Of all nodes, by number.
pub(super) const NAMES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];

/// What a node wrote into its log, which others read.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// It took an address; its first answer may follow.
    Took {
        letter: Box<Letter>,
        awaits: bool,
    },
    Settled {
        receiver: String,
        batch: String,
    },
}

/// Letters as a store, or a file, holds them.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    pub(super) letters: BTreeMap<String, (Letter, u64)>,
    pub(super) since: Option<(u64, u64)>,
    pub(super) revision: u64,
    /// All that was done, for those who watch.
    changes: Vec<Input>,
}

impl Shelf {
    pub(super) fn write(&mut self, write: &Write) -> Result<u64, bool> {
        let is = |id: &str| self.letters.get(id).map(|(_, revision)| *revision);
        let fits = write.letters.iter().all(|(letter, expected)| is(&letter.id) == *expected)
            && write.removed.iter().all(|(id, revision)| is(id) == Some(*revision))
            && write.since.is_none_or(|(_, expected)| self.since.map(|(_, is)| is) == expected);
        if !fits {
            return Err(true);
        }
        self.revision += 1;
        let revision = self.revision;
        for (letter, _) in &write.letters {
            let (id, letter) = (letter.id.clone(), letter.clone());
            self.letters.insert(id.clone(), (letter.clone(), revision));
            self.changes.push(Input::Changed { id, letter: Some(Box::new(letter)), revision });
        }
        for (id, _) in &write.removed {
            self.letters.remove(id);
            self.changes.push(Input::Changed { id: id.clone(), letter: None, revision });
        }
        if let Some((since_ms, _)) = write.since {
            self.since = Some((since_ms, revision));
            self.changes.push(Input::Since { since_ms, revision });
        }
        Ok(revision)
    }

    pub(super) fn all(&self) -> Input {
        let letters = self.letters.values().cloned().collect();
        Input::Shelf { letters, since: self.since, revision: self.revision }
    }

    /// What was done after that many changes, and how many there are.
    pub(super) fn after(&self, seen: usize) -> (Vec<Input>, usize) {
        (self.changes[seen.min(self.changes.len())..].to_vec(), self.changes.len())
    }
}

/// One delivery on its way.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) batch: Batch,
    pub(super) began_ms: u64,
    /// What is answered then.
    pub(super) answers: Option<(u64, Outcome)>,
}

/// One write on its way.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) write: Write,
    pub(super) at_ms: u64,
}

/// The agent, as far as it tells.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) outbox: Outbox,
    pub(super) vigil: Vigil,
    pub(super) office: Option<u64>,
    /// Of each node's log so much was read.
    pub(super) read: Vec<usize>,
    /// Of what the shared shelf did; none: it was not read yet.
    pub(super) watched: Option<usize>,
    pub(super) looked_ms: u64,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) asked: Vec<Asked>,
}

impl Agent {
    pub(super) fn new(me: usize, nodes: usize, receivers: Vec<Addressee>, shared: bool) -> Self {
        let order = NAMES[..nodes].iter().map(|&name| name.to_owned()).collect();
        let company = (!shared).then(|| Company::new(NAMES[me].to_owned(), order));
        Self {
            outbox: Outbox::new(receivers, company),
            vigil: Vigil::default(),
            office: None,
            read: vec![0; nodes],
            watched: None,
            looked_ms: 0,
            deliveries: vec![],
            asked: vec![],
        }
    }

    /// What it is told, and the words that come of that; whether more was ordered than fits.
    pub(super) fn step(&mut self, now_ms: u64, input: Input) -> (Vec<Word>, bool) {
        let (mut out, mut words) = (Buffer::new(), vec![]);
        self.outbox.step(time(now_ms), input, &mut out);
        let is_lost = out.lost() > 0;
        for action in out.drain() {
            match action {
                Action::Write { number, write } => {
                    self.asked.push(Asked { number, write: *write, at_ms: now_ms });
                }
                Action::Deliver(batch) => self.deliveries.push(Delivery {
                    batch: *batch,
                    began_ms: now_ms,
                    answers: None,
                }),
                Action::Tell(word) => words.push(word),
            }
        }
        (words, is_lost)
    }
}

/// What it is made of.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) powered: bool,
    pub(super) agent: Option<Agent>,
    /// An agent that died is started then.
    pub(super) starts_ms: u64,
    /// Nothing of it runs until then.
    pub(super) paused_until: u64,
    /// Of a network that is cut, this is its part.
    pub(super) side: u8,
    pub(super) log: Vec<Said>,
    /// Where nothing is shared.
    pub(super) shelf: Shelf,
    /// Its clock is so much late (ms).
    pub(super) late_ms: u64,
    /// When it last heard of each other node, and of a majority.
    pub(super) heard_ms: Vec<u64>,
    pub(super) reached_ms: u64,
    /// When something happened to it that makes whatever it does be done once more.
    pub(super) troubles: Vec<u64>,
}

impl Node {
    pub(super) fn new(nodes: usize, late_ms: u64) -> Self {
        Self {
            powered: true,
            agent: None,
            starts_ms: 0,
            paused_until: 0,
            side: 0,
            log: vec![],
            shelf: Shelf::default(),
            late_ms,
            heard_ms: vec![0; nodes],
            reached_ms: 0,
            troubles: vec![],
        }
    }

    pub(super) const fn runs(&self, now_ms: u64) -> bool {
        self.powered && self.paused_until <= now_ms
    }

    /// Its agent does something.
    pub(super) const fn acts(&self, now_ms: u64) -> bool {
        self.runs(now_ms) && self.agent.is_some()
    }
}

pub(super) const fn time(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}
