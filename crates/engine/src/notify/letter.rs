//! What is told, to whom, and what has become of that.

use config::cluster::Topic;

/// One thing that happened, and who is to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Letter {
    /// The same on every node, for ever: made of the event.
    pub id: String,
    pub topic: Topic,
    /// `KIND/NAME`, e.g. `vip/internal`.
    pub object: String,
    /// Milliseconds since 1970 (UTC), by the clock of [`Letter::node`].
    pub at_ms: u64,
    /// Whose event it is.
    pub node: String,
    /// Who held it before; none: nobody, as far as is known.
    pub from: Option<String>,
    /// Who holds it; none: nobody. Of another event than one of an address: what was concluded, in a word.
    pub to: Option<String>,
    /// In words.
    pub cause: String,
    pub term: u64,
    /// Detection, decision, address, ARP, first answer, in microseconds, as far as they are known.
    pub took: [Option<u64>; 5],
    /// Of a return: for how long nobody held it, in milliseconds.
    pub away_ms: Option<u64>,
    /// One for each receiver that wants to know; never one twice.
    pub dues: Vec<Due>,
}

impl Default for Letter {
    fn default() -> Self {
        Self {
            id: String::new(),
            topic: Topic::Move,
            object: String::new(),
            at_ms: 0,
            node: String::new(),
            from: None,
            to: None,
            cause: String::new(),
            term: 0,
            took: [None; 5],
            away_ms: None,
            dues: vec![],
        }
    }
}

/// What is owed to one receiver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Due {
    pub receiver: String,
    pub fate: Fate,
    /// With which others it is, was, or is to be told; empty: that is not settled yet. What is sent again is the same to
    /// the letter, so that its name stands for it.
    pub batch: String,
    /// Deliveries that failed.
    pub tries: u32,
    /// Why the last of them did; empty: none did.
    pub why: String,
    /// Of a mail that some have already: those who are to get it still. Empty: all, or nobody any more.
    pub left: Vec<String>,
    /// Deliveries after which the receiver had all of it, and did not say whether it keeps it.
    pub unsure: u32,
}

/// So often something is sent that may have arrived each time; who has read it three times has been told. An answer that
/// is lost once, or a server that is started anew in that moment, costs nobody a notification.
pub const MOST_UNSURE: u32 = 4;

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    Waiting,
    /// By whoever is in that office.
    Sending {
        office: u64,
    },
    Told {
        at_ms: u64,
    },
    GivenUp,
}

/// Whom a receiver refuses, and in words why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    pub to: String,
    pub why: String,
}

/// What became of a delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It has the message, but for those for whom it may take it later, and those for whom it never takes it.
    Taken { later: Vec<Refusal>, never: Vec<Refusal> },
    /// Nobody has it, in words why; for some of them it never takes it.
    Failed { why: String, never: Vec<Refusal> },
    /// It got all of it and did not say whether it keeps it; in words, what came instead. No protocol can know more.
    Unsure(String),
}

impl Outcome {
    pub const TAKEN: Self = Self::Taken { later: Vec::new(), never: Vec::new() };

    #[must_use]
    pub const fn failed(why: String) -> Self {
        Self::Failed { why, never: Vec::new() }
    }

    pub(super) fn never(&self) -> &[Refusal] {
        match self {
            Self::Taken { never, .. } | Self::Failed { never, .. } => never,
            Self::Unsure(_) => &[],
        }
    }
}

/// For an operator.
pub(super) fn listed(refusals: &[Refusal]) -> String {
    let each = refusals.iter().map(|Refusal { to, why }| format!("{to}: {why}"));
    each.collect::<Vec<_>>().join("; ")
}

impl Due {
    pub(super) fn new(receiver: String, fate: Fate) -> Self {
        Self {
            receiver,
            fate,
            batch: String::new(),
            tries: 0,
            why: String::new(),
            left: vec![],
            unsure: 0,
        }
    }

    /// What a delivery means for it.
    pub(super) fn settle(&mut self, outcome: &Outcome, at_ms: u64) {
        let has_some = !self.left.is_empty();
        self.fate = Fate::Waiting;
        match outcome {
            Outcome::Taken { later, never } => {
                self.left = later.iter().map(|refusal| refusal.to.clone()).collect();
                if !(later.is_empty() && never.is_empty()) {
                    self.why = listed(&[later.as_slice(), never.as_slice()].concat());
                }
                if later.is_empty() {
                    self.fate = Fate::Told { at_ms };
                    return;
                }
            }
            Outcome::Failed { why, never } => {
                // Others have it: those for whom it never takes it are not asked for again.
                self.left.retain(|to| !never.iter().any(|refusal| refusal.to == *to));
                self.why.clone_from(why);
                if has_some && self.left.is_empty() {
                    self.fate = Fate::Told { at_ms };
                    return;
                }
            }
            Outcome::Unsure(why) => {
                self.why.clone_from(why);
                self.unsure = self.unsure.saturating_add(1);
                if self.unsure >= MOST_UNSURE {
                    self.fate = Fate::GivenUp;
                }
            }
        }
        self.tries = self.tries.saturating_add(1);
    }
}

impl Letter {
    #[must_use]
    pub fn due(&self, receiver: &str) -> Option<&Due> {
        self.dues.iter().find(|due| due.receiver == receiver)
    }

    pub(super) fn due_mut(&mut self, receiver: &str) -> Option<&mut Due> {
        self.dues.iter_mut().find(|due| due.receiver == receiver)
    }

    /// Nothing is to be done for it any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.dues.iter().all(|due| matches!(due.fate, Fate::Told { .. } | Fate::GivenUp))
    }

    /// Under which office it is being delivered to that receiver in this batch.
    pub(super) fn is_sent_in(&self, receiver: &str, batch: &str) -> Option<u64> {
        match self.due(receiver).filter(|due| due.batch == batch)?.fate {
            Fate::Sending { office } => Some(office),
            Fate::Waiting | Fate::Told { .. } | Fate::GivenUp => None,
        }
    }
}

/// What one delivery brings: one letter, or a summary of several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// The same whenever it is sent again: of one letter its id.
    pub id: String,
    pub receiver: String,
    /// The oldest first.
    pub letters: Vec<Letter>,
    /// Only for these; empty: for all.
    pub left: Vec<String>,
}

/// A change of the shelf: all of it, if everything is there as it was known, or nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Write {
    /// Each with the revision that wrote what it takes the place of; none: there must be none of that name.
    pub letters: Vec<(Letter, Option<u64>)>,
    /// Each with the revision that wrote it.
    pub removed: Vec<(String, u64)>,
    /// Nothing that happened before that moment is told; with the revision that wrote the mark before.
    pub since: Option<(u64, Option<u64>)>,
}
