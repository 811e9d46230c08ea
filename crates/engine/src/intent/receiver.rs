//! The one that does a step: once, whoever orders it how often, over its own death.
//!
//! ```text
//!   order --- of a former store, or older token ---> refused
//!     |------ of a later store: all that is remembered is of the former one, and is forgotten
//!     |------ ended ---------> the same answer again
//!     |------ begun ---------> it died in the middle: look whether it is done, before doing it
//!     +------ new -----------> kept (begun), done, kept (ended), answered
//! ```
//!
//! What is kept has a checksum and is kept twice. Where neither copy is whole, it may have done what it does not
//! know: it looks before it does anything. So it does with what a later version kept.

use std::collections::BTreeMap;

use super::{LEADER, Step};
use crate::Buffer;
use crate::keep::{Keep, kept};
use crate::kv::{Fence, Token};
use crate::whole;

/// Intents whose steps are remembered: many times [`super::MAX_OPEN`]. A leader orders steps of open
/// intents only, and their numbers are the newest.
pub const MAX_KEPT: usize = 1024;

/// Which step is meant: the numbers of intents begin again with each store.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct At {
    /// Of the store, in the order in which stores were founded or restored; 0: it does not tell (etcd).
    pub incarnation: u64,
    /// Of the intent.
    pub number: u64,
    /// From 0.
    pub step: u8,
}

/// A step of an intent, as it travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// Of the coordinator, in the store of this incarnation: another store counts tokens anew.
    pub token: Token,
    pub at: At,
    pub what: Step,
}

/// What a receiver is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Word {
    Ordered(Order),
    /// What [`Duty::Do`] came to.
    Ended {
        at: At,
        outcome: Result<(), String>,
    },
    /// What [`Duty::Look`] found: it is done already, or it is not.
    Looked {
        at: At,
        is_done: bool,
    },
}

/// What a receiver is to do, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Duty {
    /// Write the receiver to disk before anything that follows.
    Keep,
    Do {
        at: At,
        what: Step,
    },
    Look {
        at: At,
        what: Step,
    },
    Answer {
        at: At,
        outcome: Result<(), String>,
    },
    /// To whoever ordered it: a greater token is known, or a later store.
    Stale,
}

/// First byte of [`Receiver::encode`]. Version 2 has the incarnation, 4 what was lost and a checksum; its number
/// differs from those without one in two bits, so that one that turns does not take it for theirs.
const VERSION: u8 = 4;
/// Of [`Receiver::doubts_below`]: what was kept is lost, and nothing was ordered since.
const EVERYTHING: u64 = u64::MAX;

/// What was wrong with the two copies of what a receiver kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Damage {
    /// One of them is whole: nothing was lost.
    One,
    /// Nothing is known of what was done before.
    All,
    /// The same, as a later version wrote it in this form.
    Later(u8),
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Kept {
    step: u8,
    what: Step,
    /// None: begun.
    outcome: Option<Result<(), String>>,
}

/// What one node knows of the steps that it did.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    /// Of the store whose tokens and intents are remembered; none: no store has told it yet.
    incarnation: Option<u64>,
    fence: Fence,
    /// The last step of each intent.
    kept: BTreeMap<u64, Kept>,
    /// Begun by this process, so no need to look.
    doing: Vec<At>,
    /// Intents of smaller numbers may have been carried out by one whose memory was lost; 0: nothing was lost.
    doubts_below: u64,
}

/// The form of what a later version kept, if it is whole.
fn later(copy: &[u8]) -> Option<u8> {
    whole::read(copy)?.first().copied().filter(|version| *version > VERSION)
}

kept!(Step { node, verb, object });
kept!(Kept { step, what, outcome });

impl Keep for Result<(), String> {
    fn keep(&self, out: &mut Vec<u8>) {
        self.clone().err().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Some(Option::revive(bytes)?.map_or(Ok(()), Err))
    }
}

impl Receiver {
    /// What [`Duty::Keep`] writes, twice: of which store, the greatest token, what may have been lost, and the last
    /// step of each intent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.incarnation.keep(&mut out);
        self.fence.newest(LEADER).map(|token| token.0).keep(&mut out);
        self.doubts_below.keep(&mut out);
        let kept: Vec<_> = self.kept.iter().map(|(at, kept)| (*at, kept.clone())).collect();
        kept.keep(&mut out);
        whole::marked(out)
    }

    /// None: it is damaged, or of another version. Version 1 did not say of which store: it is taken to be
    /// the one that orders next.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let is_new = bytes.first() == Some(&VERSION);
        let (version, mut rest) = if is_new { whole::read(bytes)? } else { bytes }.split_first()?;
        let incarnation = match version {
            1 => None,
            2 | &VERSION => Option::<u64>::revive(&mut rest)?,
            _ => return None,
        };
        let token = Option::<u64>::revive(&mut rest)?;
        let doubts_below = if is_new { u64::revive(&mut rest)? } else { 0 };
        let kept = Vec::<(u64, Kept)>::revive(&mut rest)?;
        if !rest.is_empty() || kept.len() > MAX_KEPT {
            return None;
        }
        let mut fence = Fence::default();
        if let Some(token) = token {
            fence.pass(LEADER, Token(token)).ok()?;
        }
        let kept = kept.into_iter().collect();
        Some(Self { incarnation, fence, kept, doing: vec![], doubts_below })
    }

    /// From its two copies, in the order in which they are written; none: there is no such file.
    #[must_use]
    pub fn revive(copies: [Option<&[u8]>; 2]) -> (Self, Option<Damage>) {
        let read = copies.map(|copy| copy.map(Self::decode));
        let is_damaged = read.iter().any(|copy| matches!(copy, Some(None)));
        // The first one is the newer one where a death came between the two.
        match read.into_iter().flatten().flatten().next() {
            Some(whole) => (whole, is_damaged.then_some(Damage::One)),
            None if is_damaged => {
                let later = copies.into_iter().flatten().find_map(later);
                let damage = later.map_or(Damage::All, Damage::Later);
                (Self { doubts_below: EVERYTHING, ..Self::default() }, Some(damage))
            }
            None => (Self::default(), None),
        }
    }

    /// What a step that was ended came to.
    #[must_use]
    pub fn outcome(&self, at: At) -> Option<Result<(), String>> {
        let kept = self.kept(at)?;
        // A step before the last one was ended well, or the last one would not have been ordered.
        if kept.step > at.step { Some(Ok(())) } else { kept.outcome.clone() }
    }

    /// The greatest token that was seen.
    #[must_use]
    pub fn newest(&self) -> Option<Token> {
        self.fence.newest(LEADER)
    }

    /// Of the store whose intents are remembered.
    #[must_use]
    pub const fn incarnation(&self) -> Option<u64> {
        self.incarnation
    }

    /// As it was kept, in a new process.
    #[must_use]
    pub fn restarted(self) -> Self {
        Self { doing: vec![], ..self }
    }

    /// The only way in.
    pub fn step(&mut self, word: Word, out: &mut Buffer<Duty>) {
        match word {
            Word::Ordered(order) => self.ordered(order, out),
            Word::Ended { at, outcome } => self.ended(at, outcome, out),
            Word::Looked { at, is_done } => {
                let Some(kept) = self.kept(at).filter(|kept| kept.step == at.step) else { return };
                if kept.outcome.is_some() || !self.doing.contains(&at) {
                    return;
                }
                if is_done {
                    self.ended(at, Ok(()), out);
                } else {
                    out.push(Duty::Do { at, what: kept.what.clone() });
                }
            }
        }
    }

    /// What is remembered of an intent, if it is of the same store.
    fn kept(&self, at: At) -> Option<&Kept> {
        let is_known = self.incarnation.is_none_or(|known| known == at.incarnation);
        self.kept.get(&at.number).filter(|_| is_known || at.incarnation == 0)
    }

    /// False: the order is of a store that was there before the one that is known.
    fn meets(&mut self, incarnation: u64) -> bool {
        match self.incarnation {
            _ if incarnation == 0 => true,
            Some(known) if incarnation < known => false,
            Some(known) if incarnation == known => true,
            Some(_) => {
                *self = Self { incarnation: Some(incarnation), ..Self::default() };
                true
            }
            None => {
                self.incarnation = Some(incarnation);
                true
            }
        }
    }

    fn ordered(&mut self, order: Order, out: &mut Buffer<Duty>) {
        let Order { token, at, what } = order;
        let At { number, step, .. } = at;
        let before = (self.incarnation, self.fence.newest(LEADER));
        if !self.meets(at.incarnation) || self.fence.pass(LEADER, token).is_err() {
            out.push(Duty::Stale);
            return;
        }
        // The same step of the same number with other words is of another store: this one was restored.
        let is_it = |kept: &&Kept| kept.step > step || (kept.step == step && kept.what == what);
        let kept = self.kept.get(&number).filter(is_it);
        // Also without a new step: after a restart the older token must not pass.
        if kept.is_none() || before != (self.incarnation, Some(token)) {
            out.push(Duty::Keep);
        }
        match kept {
            // A step before the last one was ended, or the last one would not have been ordered.
            Some(kept) if kept.step > step => {
                out.push(Duty::Answer { at, outcome: Ok(()) });
            }
            Some(Kept { outcome: Some(outcome), .. }) => {
                out.push(Duty::Answer { at, outcome: outcome.clone() });
            }
            Some(Kept { outcome: None, .. }) => {
                if !self.doing.contains(&at) {
                    self.doing.push(at);
                    out.push(Duty::Look { at, what });
                }
            }
            None if self.is_over(at, &what) => {
                let why = "what was decided later about it has been carried out".to_owned();
                out.push(Duty::Answer { at, outcome: Err(why) });
            }
            None => {
                self.kept.insert(number, Kept { step, what: what.clone(), outcome: None });
                while self.kept.len() > MAX_KEPT {
                    self.kept.pop_first();
                }
                self.doing.push(at);
                let duty = if self.may_be_done(number) {
                    Duty::Look { at, what }
                } else {
                    Duty::Do { at, what }
                };
                out.push(duty);
            }
        }
    }

    /// Whether a step that nobody knows here may have been done before what was kept was lost: of intents that a
    /// whole memory would have had, beginning with the first that is ordered anew.
    fn may_be_done(&mut self, number: u64) -> bool {
        if self.doubts_below == EVERYTHING {
            self.doubts_below = number.saturating_add(MAX_KEPT as u64);
        }
        number < self.doubts_below
    }

    /// Whether a later intent about the same object was ordered: one is open at a time, so this one has ended, and
    /// was called off before its order came. Numbers of a store without incarnations may go back.
    fn is_over(&self, at: At, what: &Step) -> bool {
        let mut later = self.kept.range(at.number.saturating_add(1)..);
        at.incarnation != 0 && later.any(|(_, kept)| kept.what.subject() == what.subject())
    }

    fn ended(&mut self, at: At, outcome: Result<(), String>, out: &mut Buffer<Duty>) {
        self.doing.retain(|doing| *doing != at);
        if self.kept(at).is_none() {
            // It was begun for a store that is no more.
            return;
        }
        let kept = self.kept.get_mut(&at.number).filter(|kept| kept.step == at.step);
        let Some(kept) = kept.filter(|kept| kept.outcome.is_none()) else { return };
        kept.outcome = Some(outcome.clone());
        out.push(Duty::Keep);
        out.push(Duty::Answer { at, outcome });
    }
}
