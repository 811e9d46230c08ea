//! The one that does a step: once, whoever orders it how often, over its own death.
//!
//! ```text
//!   order --- older token ---> refused
//!     |------ ended ---------> the same answer again
//!     |------ begun ---------> it died in the middle: look whether it is done, before doing it
//!     +------ new -----------> kept (begun), done, kept (ended), answered
//! ```

use std::collections::BTreeMap;

use super::{LEADER, Step};
use crate::Buffer;
use crate::keep::{Keep, kept};
use crate::kv::{Fence, Token};

/// Intents whose steps are remembered: many times [`super::MAX_OPEN`]. A leader orders steps of open
/// intents only, and their numbers are the newest.
pub const MAX_KEPT: usize = 1024;

/// A step of an intent, as it travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    pub token: Token,
    pub number: u64,
    pub step: u8,
    pub what: Step,
}

/// What a receiver is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Word {
    Ordered(Order),
    /// What [`Duty::Do`] came to.
    Ended {
        number: u64,
        step: u8,
        outcome: Result<(), String>,
    },
    /// What [`Duty::Look`] found: it is done already, or it is not.
    Looked {
        number: u64,
        step: u8,
        is_done: bool,
    },
}

/// What a receiver is to do, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Duty {
    /// Write the receiver to disk before anything that follows.
    Keep,
    Do {
        number: u64,
        step: u8,
        what: Step,
    },
    Look {
        number: u64,
        step: u8,
        what: Step,
    },
    Answer {
        number: u64,
        step: u8,
        outcome: Result<(), String>,
    },
    /// To whoever ordered it: a greater token is known.
    Stale,
}

/// First byte of [`Receiver::encode`].
const VERSION: u8 = 1;

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
    fence: Fence,
    /// The last step of each intent.
    kept: BTreeMap<u64, Kept>,
    /// Begun by this process, so no need to look.
    doing: Vec<(u64, u8)>,
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
    /// What [`Duty::Keep`] writes: the greatest token, and the last step of each intent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.fence.newest(LEADER).map(|token| token.0).keep(&mut out);
        let kept: Vec<_> = self.kept.iter().map(|(at, kept)| (*at, kept.clone())).collect();
        kept.keep(&mut out);
        out
    }

    /// None: it is damaged, or of another version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        let token = Option::<u64>::revive(&mut rest)?;
        let kept = Vec::<(u64, Kept)>::revive(&mut rest)?;
        if *version != VERSION || !rest.is_empty() || kept.len() > MAX_KEPT {
            return None;
        }
        let mut fence = Fence::default();
        if let Some(token) = token {
            fence.pass(LEADER, Token(token)).ok()?;
        }
        Some(Self { fence, kept: kept.into_iter().collect(), doing: vec![] })
    }

    /// What a step that was ended came to.
    #[must_use]
    pub fn outcome(&self, number: u64, step: u8) -> Option<Result<(), String>> {
        let kept = self.kept.get(&number)?;
        // A step before the last one was ended well, or the last one would not have been ordered.
        if kept.step > step { Some(Ok(())) } else { kept.outcome.clone() }
    }

    /// The greatest token that was seen.
    #[must_use]
    pub fn newest(&self) -> Option<Token> {
        self.fence.newest(LEADER)
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
            Word::Ended { number, step, outcome } => self.ended(number, step, outcome, out),
            Word::Looked { number, step, is_done } => {
                let Some(kept) = self.kept.get(&number).filter(|kept| kept.step == step) else {
                    return;
                };
                if kept.outcome.is_some() || !self.doing.contains(&(number, step)) {
                    return;
                }
                if is_done {
                    self.ended(number, step, Ok(()), out);
                } else {
                    out.push(Duty::Do { number, step, what: kept.what.clone() });
                }
            }
        }
    }

    fn ordered(&mut self, order: Order, out: &mut Buffer<Duty>) {
        let Order { token, number, step, what } = order;
        let before = self.fence.newest(LEADER);
        if self.fence.pass(LEADER, token).is_err() {
            out.push(Duty::Stale);
            return;
        }
        // The same step of the same number with other words is of another store: this one was restored.
        let is_it = |kept: &&Kept| kept.step > step || (kept.step == step && kept.what == what);
        let kept = self.kept.get(&number).filter(is_it);
        // Also without a new step: after a restart the older token must not pass.
        if kept.is_none() || before != Some(token) {
            out.push(Duty::Keep);
        }
        match kept {
            // A step before the last one was ended, or the last one would not have been ordered.
            Some(kept) if kept.step > step => {
                out.push(Duty::Answer { number, step, outcome: Ok(()) });
            }
            Some(Kept { outcome: Some(outcome), .. }) => {
                out.push(Duty::Answer { number, step, outcome: outcome.clone() });
            }
            Some(Kept { outcome: None, .. }) => {
                if !self.doing.contains(&(number, step)) {
                    self.doing.push((number, step));
                    out.push(Duty::Look { number, step, what });
                }
            }
            None => {
                self.kept.insert(number, Kept { step, what: what.clone(), outcome: None });
                while self.kept.len() > MAX_KEPT {
                    self.kept.pop_first();
                }
                self.doing.push((number, step));
                out.push(Duty::Do { number, step, what });
            }
        }
    }

    fn ended(
        &mut self,
        number: u64,
        step: u8,
        outcome: Result<(), String>,
        out: &mut Buffer<Duty>,
    ) {
        self.doing.retain(|doing| *doing != (number, step));
        let kept = self.kept.get_mut(&number).filter(|kept| kept.step == step);
        let Some(kept) = kept.filter(|kept| kept.outcome.is_none()) else { return };
        kept.outcome = Some(outcome.clone());
        out.push(Duty::Keep);
        out.push(Duty::Answer { number, step, outcome });
    }
}
