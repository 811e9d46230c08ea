//! An intent as an entry of the store.
//!
//! ```text
//! |version|state|next|steps n|at x8|what|object|by|why|n x (node|verb|object)|      words: |length x2|bytes|
//! ```
//!
//! Numbers are big-endian. A change of the layout bumps [`VERSION`]. Version 1 had no `at` and no `by`; no
//! release wrote it. In version 2 nothing open had a `why`; it is still read. What a later version wrote is not
//! read: a leader ends it and says so, as nobody else would, and its object would stay taken.

use super::{LAST, OPEN, State, history, key};
use crate::kv::{Compare, Condition, Keys, LOCKS, Op, Token, Transaction};

/// First byte of a record.
pub const VERSION: u8 = 3;
/// Steps of one intent: an evacuation is one intent per guest, not one for all.
pub const MAX_STEPS: usize = 32;
/// Bytes of one text.
pub const MAX_WORDS: usize = 512;
/// The name whose token a leader acts under.
pub const LEADER: &str = "leader";

/// One thing that one node is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Who does it.
    pub node: String,
    /// `hand-over`, `standby`.
    pub verb: String,
    /// To what: `vip/internal node02`.
    pub object: String,
}

impl Step {
    /// What it is about: `vip/internal` of `vip/internal node02`.
    pub(super) fn subject(&self) -> &str {
        self.object.split(' ').next().unwrap_or_default()
    }
}

/// What was decided, and what it has come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// As the operator said it: `move`, `drain`.
    pub what: String,
    pub object: String,
    /// Who asked, and on which node: `uid 0 (pid 812) on node02`.
    pub by: String,
    /// When, by the clock of the node that led: milliseconds since 1970 (UTC).
    pub at_ms: u64,
    pub steps: Vec<Step>,
    pub state: State,
    /// Of an open one: why the step that is next is not done yet, as far as its node was heard; else empty.
    pub note: String,
    /// Of the form in which the store has it; what is written next has [`VERSION`].
    pub version: u8,
}

impl Record {
    /// The step that is to be done next.
    #[must_use]
    pub fn next(&self) -> Option<(u8, &Step)> {
        match self.state {
            State::Committed { next } => Some((next, self.steps.get(usize::from(next))?)),
            State::Done | State::Failed(_) | State::Refused(_) => None,
        }
    }

    /// An open one about this, of which nothing else is known; none: this version could read one of that form.
    pub(super) fn unread(object: &str, version: u8) -> Option<Self> {
        let (object, what, by) = (object.to_owned(), "unknown".to_owned(), String::new());
        let (steps, state, note) = (vec![], State::Committed { next: 0 }, String::new());
        let record = Self { what, object, by, at_ms: 0, steps, state, note, version };
        record.is_unread().then_some(record)
    }

    /// Whether a later version wrote it, so that nothing is known of it but what it is about.
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        self.version > VERSION
    }

    /// After the step that was next.
    #[must_use]
    pub(super) fn after(&self, outcome: Result<(), String>) -> Self {
        let state = match (&self.state, outcome) {
            (State::Committed { next }, Ok(())) if usize::from(*next) + 1 < self.steps.len() => {
                State::Committed { next: next + 1 }
            }
            (State::Committed { .. }, Ok(())) => State::Done,
            (State::Committed { .. }, Err(why)) => State::Failed(why),
            (ended, _) => ended.clone(),
        };
        self.in_state(state)
    }

    /// In another state, of which nothing is known yet.
    #[must_use]
    pub(super) fn in_state(&self, state: State) -> Self {
        Self { state, note: String::new(), version: VERSION, ..self.clone() }
    }

    /// Writes it as the one after `last`, if that is the newest, nothing is open about the object, and
    /// the token still leads. Otherwise reads what speaks against it. Makes room for it as well.
    pub(super) fn propose(&self, last: u64, token: Token, oldest: Option<u64>) -> Transaction {
        let number = last + 1;
        let open = format!("{OPEN}{}", self.object);
        let newest = match last {
            0 => Condition::Missing,
            last => Condition::Value(last.to_be_bytes().as_slice().into()),
        };
        let mut compares = vec![leads(token), Compare { key: LAST.to_owned(), is: newest }];
        let mut then =
            vec![Op::put(&key(number), &self.encode()), Op::put(LAST, &number.to_be_bytes())];
        if self.state.is_open() {
            compares.push(Compare { key: open.clone(), is: Condition::Missing });
            then.push(Op::put(&open, &number.to_be_bytes()));
        }
        then.extend(history::prune(number, oldest));
        let otherwise = vec![Op::read(LAST), Op::read(&open), Op::read(&lock())];
        Transaction { compares, then, otherwise }
    }

    /// Writes what it has come to, if it is still as `before` and the token still leads.
    pub(super) fn replace(&self, number: u64, before: &Self, token: Token) -> Transaction {
        let compare = if before.is_unread() {
            let is = Condition::Value(number.to_be_bytes().as_slice().into());
            Compare { key: format!("{OPEN}{}", before.object), is }
        } else {
            let is = Condition::Value(before.encode_as(before.version).into());
            Compare { key: key(number), is }
        };
        let compares = vec![leads(token), compare];
        let mut then = vec![Op::put(&key(number), &self.encode())];
        if !self.state.is_open() {
            then.push(Op::Delete { keys: Keys::One(format!("{OPEN}{}", self.object)) });
        }
        Transaction { compares, then, otherwise: vec![Op::read(&key(number)), Op::read(&lock())] }
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(VERSION)
    }

    /// An older form differs by its number alone: it has no note of an open one.
    fn encode_as(&self, version: u8) -> Vec<u8> {
        let (state, next, why) = match &self.state {
            State::Committed { next } => (0, *next, self.note.as_str()),
            State::Done => (1, 0, ""),
            State::Failed(why) => (2, 0, why.as_str()),
            State::Refused(why) => (3, 0, why.as_str()),
        };
        let steps = self.steps.get(..MAX_STEPS).unwrap_or(&self.steps);
        let count = u8::try_from(steps.len()).unwrap_or(u8::MAX);
        let mut out = vec![version, state, next, count];
        out.extend(self.at_ms.to_be_bytes());
        for text in [&self.what, &self.object, &self.by, why] {
            words(text, &mut out);
        }
        for Step { node, verb, object } in steps {
            for text in [node, verb, object] {
                words(text, &mut out);
            }
        }
        out
    }

    /// None: no record of this version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        let (at_ms, mut rest) = rest.split_first_chunk::<8>()?;
        let (at_ms, [version, state, next, count]) = (u64::from_be_bytes(*at_ms), *head);
        if !(2..=VERSION).contains(&version) || usize::from(count) > MAX_STEPS {
            return None;
        }
        let mut text = || read(&mut rest);
        let (what, object, by, why) = (text()?, text()?, text()?, text()?);
        let mut steps = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            steps.push(Step { node: text()?, verb: text()?, object: text()? });
        }
        let mut note = String::new();
        let state = match (state, next, why.is_empty()) {
            (0, next, is_empty) if next < count && (is_empty || version > 2) => {
                note = why;
                State::Committed { next }
            }
            (1, 0, true) => State::Done,
            (2, 0, _) => State::Failed(why),
            (3, 0, _) => State::Refused(why),
            _ => return None,
        };
        rest.is_empty().then_some(Self { what, object, by, at_ms, steps, state, note, version })
    }
}

fn lock() -> String {
    format!("{LOCKS}{LEADER}")
}

fn leads(token: Token) -> Compare {
    Compare { key: lock(), is: Condition::Created(token.0) }
}

/// Longer texts are cut at a character.
fn words(text: &str, out: &mut Vec<u8>) {
    let mut end = text.len().min(MAX_WORDS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.extend(u16::try_from(end).unwrap_or_default().to_be_bytes());
    out.extend(&text.as_bytes()[..end]);
}

fn read(bytes: &mut &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MAX_WORDS {
        return None;
    }
    let (text, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}
