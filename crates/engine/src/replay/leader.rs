//! What the coordinator of a cluster is told, time in office after time in office, and what it decides.

use std::fmt::Write;

use base::Time;
use sha2::{Digest, Sha256};

use super::{Decision, Names};
use crate::intent::{Action, Input, Leader, Record, Step};
use crate::keep::Keep;
use crate::kv::{Keys, Op, Token, Transaction};

/// An input that owns what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaderFact {
    /// The store gave this node the name: [`Leader::new`] with these, [`Leader::beside`] a former one.
    Begins {
        incarnation: u64,
        token: Token,
        last: u64,
        alone_from: Time,
        intents: Vec<(u64, Record)>,
    },
    Told(Input),
    /// This process does not coordinate any more.
    Ends,
}

impl LeaderFact {
    /// What the machine decides; whoever does not lead decides nothing.
    pub(super) fn feed(&self, now: Time, leads: &mut Option<Leader>) -> Vec<Decision> {
        match self {
            Self::Begins { incarnation, token, last, alone_from, intents } => {
                let leader = Leader::new(now, (*incarnation, *token), *last, intents.clone());
                *leads = Some(leader.beside(*alone_from));
            }
            Self::Ends => *leads = None,
            Self::Told(input) => {
                let Some(leader) = leads else { return vec![] };
                let mut out = crate::Buffer::new();
                leader.step(now, input.clone(), &mut out);
                return out.iter().map(Decision::of_leader).collect();
            }
        }
        vec![]
    }

    /// For people. Nodes have their names in it already.
    #[must_use]
    pub fn words(&self, _names: &Names) -> String {
        match self {
            Self::Begins { token, last, intents, .. } => {
                let open = intents.iter().filter(|(_, record)| record.state.is_open()).count();
                let token = token.0;
                format!(
                    "this node coordinates by token {token}; the last intent is {last}, {open} are open"
                )
            }
            Self::Ends => "this node coordinates no longer".to_owned(),
            Self::Told(input) => told(input),
        }
    }
}

fn told(input: &Input) -> String {
    match input {
        Input::Asked { asker, wish } => {
            let objection = wish.objection.as_ref();
            let but = objection.map(|why| format!(", against which speaks: {why}"));
            let (what, object, by) = (&wish.what, &wish.object, &wish.by);
            let but = but.unwrap_or_default();
            format!("question {asker}: {what} {object} for {by}{but}")
        }
        Input::Applied { commit, outcome } => {
            let how = if outcome.held { "applied" } else { "not applied: something else is there" };
            format!("commit {commit} was {how}, revision {}", outcome.revision)
        }
        Input::Answered { number, step, outcome: Ok(()) } => {
            format!("step {step} of intent {number} is done")
        }
        Input::Answered { number, step, outcome: Err(why) } => {
            format!("step {step} of intent {number} failed: {why}")
        }
        Input::Hindered { number, step, why } if why.is_empty() => {
            format!("step {step} of intent {number} is being done")
        }
        Input::Hindered { number, step, why } => {
            format!("step {step} of intent {number} is not done yet: {why}")
        }
        Input::Gone { number, step, why } => {
            format!("the node of step {step} of intent {number} is gone: {why}")
        }
        Input::Stale => "a receiver knows a later coordinator".to_owned(),
        Input::Timeout => "time went on".to_owned(),
    }
}

impl Decision {
    pub(super) fn of_leader(action: &Action) -> Self {
        Self::Said(match action {
            Action::Commit { commit, transaction } => {
                format!("commit {commit}: {}", written(transaction))
            }
            Action::Order { node, order } => {
                let Step { verb, object, .. } = &order.what;
                let (number, step) = (order.at.number, order.at.step);
                let token = order.token.0;
                format!(
                    "order {node}: {verb} {object} (step {step} of intent {number}, token {token})"
                )
            }
            Action::Tell { asker, outcome: Ok(number) } => {
                format!("answer question {asker}: it is intent {number}")
            }
            Action::Tell { asker, outcome: Err(why) } => {
                format!("answer question {asker}: refused, {why}")
            }
            Action::StepDown => "act no more: the store knows a later coordinator".to_owned(),
        })
    }
}

/// Which keys are changed; the first bytes of a SHA-256 stand for conditions and values, so that two which differ
/// in anything have other words.
fn written(transaction: &Transaction) -> String {
    let mut text = String::new();
    for op in &transaction.then {
        let (verb, key) = match op {
            Op::Put { key, .. } => ("put", key.clone()),
            Op::Delete { keys: Keys::One(key) | Keys::Prefix(key) } => ("delete", key.clone()),
            Op::Delete { keys: Keys::Span { from, to } } => ("delete", format!("{from} to {to}")),
            Op::Read { .. } => continue,
        };
        // A string takes everything.
        let _ = write!(text, "{verb} {key}, ");
    }
    let digest = Sha256::digest(transaction.encode());
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{text}digest {digest}")
}

impl Keep for LeaderFact {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Begins { incarnation, token, last, alone_from, intents } => {
                out.push(0);
                ((*incarnation, *token), *last).keep(out);
                alone_from.keep(out);
                intents.keep(out);
            }
            Self::Told(input) => {
                out.push(1);
                input.keep(out);
            }
            Self::Ends => out.push(2),
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => {
                let ((incarnation, token), last) = Keep::revive(bytes)?;
                let (alone_from, intents) = (Keep::revive(bytes)?, Keep::revive(bytes)?);
                Some(Self::Begins { incarnation, token, last, alone_from, intents })
            }
            1 => Input::revive(bytes).map(Self::Told),
            2 => Some(Self::Ends),
            _ => None,
        }
    }
}
