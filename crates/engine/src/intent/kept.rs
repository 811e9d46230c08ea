//! A leader, and what it is told, as bytes: what a recording has of it. Records in the store have a form of
//! their own ([`Record::encode`]).

use super::leader::{Asked, Commit, Gone, Input, Leader, Open, Phase, Wish};
use super::{Record, State};
use crate::keep::{Keep, keep_bytes, kept, revive_bytes};
use crate::kv::{Outcome, Token};

kept!(Record { what, object, by, at_ms, steps, state, note, version });
kept!(Wish { what, object, by, at_ms, steps, objection, calls_off });
kept!(Gone { first, last });
kept!(Open { record, phase });
kept!(Asked { asker, record, calls_off });
kept!(Leader {
    token,
    incarnation,
    last,
    open,
    asked,
    proposing,
    commits,
    commit,
    deposed,
    alone_from
});

impl Keep for Token {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u64::revive(bytes).map(Self)
    }
}

impl Keep for State {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Committed { next } => out.extend_from_slice(&[0, *next]),
            Self::Done => out.push(1),
            Self::Failed(why) => tagged(2, why, out),
            Self::Refused(why) => tagged(3, why, out),
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => u8::revive(bytes).map(|next| Self::Committed { next }),
            1 => Some(Self::Done),
            2 => String::revive(bytes).map(Self::Failed),
            3 => String::revive(bytes).map(Self::Refused),
            _ => None,
        }
    }
}

impl Keep for Phase {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ordering { since, send_at, gone } => {
                tagged(0, &((*since, *send_at), *gone), out);
            }
            Self::Committing { next, since } => {
                tagged(1, next, out);
                since.keep(out);
            }
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => {
                let ((since, send_at), gone) = Keep::revive(bytes)?;
                Some(Self::Ordering { since, send_at, gone })
            }
            1 => {
                let (next, since) = Keep::revive(bytes)?;
                Some(Self::Committing { next, since })
            }
            _ => None,
        }
    }
}

impl Keep for Commit {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Proposal { asker, record } => {
                tagged(0, asker, out);
                record.keep(out);
            }
            Self::Progress { number } => tagged(1, number, out),
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => Keep::revive(bytes).map(|(asker, record)| Self::Proposal { asker, record }),
            1 => u64::revive(bytes).map(|number| Self::Progress { number }),
            _ => None,
        }
    }
}

/// In the form of the store's socket.
impl Keep for Outcome {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_bytes(&Self::encode(&Ok(self.clone())), out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Self::decode(revive_bytes(bytes)?).ok()?.ok()
    }
}

impl Keep for Input {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Timeout => out.push(0),
            Self::Asked { asker, wish } => {
                tagged(1, asker, out);
                wish.keep(out);
            }
            Self::Applied { commit, outcome } => {
                tagged(2, commit, out);
                outcome.keep(out);
            }
            Self::Answered { number, step, outcome } => {
                tagged(3, &(*number, *step), out);
                outcome.keep(out);
            }
            Self::Hindered { number, step, why } => {
                tagged(4, &(*number, *step), out);
                why.keep(out);
            }
            Self::Gone { number, step, why } => {
                tagged(5, &(*number, *step), out);
                why.keep(out);
            }
            Self::Stale => out.push(6),
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u8::revive(bytes)? {
            0 => Self::Timeout,
            1 => {
                let (asker, wish) = Keep::revive(bytes)?;
                Self::Asked { asker, wish }
            }
            2 => {
                let (commit, outcome) = Keep::revive(bytes)?;
                Self::Applied { commit, outcome }
            }
            3 => {
                let ((number, step), outcome) = Keep::revive(bytes)?;
                Self::Answered { number, step, outcome }
            }
            4 => {
                let ((number, step), why) = Keep::revive(bytes)?;
                Self::Hindered { number, step, why }
            }
            5 => {
                let ((number, step), why) = Keep::revive(bytes)?;
                Self::Gone { number, step, why }
            }
            6 => Self::Stale,
            _ => return None,
        })
    }
}

fn tagged(tag: u8, value: &impl Keep, out: &mut Vec<u8>) {
    out.push(tag);
    value.keep(out);
}
