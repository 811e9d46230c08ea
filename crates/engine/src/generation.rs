//! Generations of the configuration: where they lie in the store, and what a node does about the newest.
//!
//! ```text
//!   newest generation --> running it? --no--> files known? --yes--> Stage -> Ask --> supervisor: checked,
//!                            |                    |                                  warmed, activated
//!                           yes                   no: Refuse                            |          |
//!                            v                  (said, not overwritten)             it serves    Refused:
//!                   files as it wants? --no--> Stage -> Install  <-------------------- +         still runs M
//!                            |
//!                           yes --> Note, Done
//! ```
//!
//! A node runs a generation when what its processes were given is, byte for byte, what the generation has
//! for it; nothing else is remembered. Its files are replaced only once their content serves: a refusal has
//! nothing to undo, and a node that dies before starts with what it ran.

pub mod sealed;

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::kv::{Compare, Condition, Keys, MAX_VALUE, Op, Transaction};

/// The number of the newest generation, in digits.
pub const NEWEST: &str = "config/newest";
/// One key per generation that is kept: who, when, why, digest.
pub const GENERATIONS: &str = "config/generation/";
/// What each node says of its configuration.
pub const NODES: &str = "config/node/";
const CONTENTS: &str = "config/content/";

/// Bytes of a generation as it is stored: it is committed by one transaction, with room for its keys.
pub const MAX_CONTENT: usize = 960 << 10;
/// Generations that are kept: a year of one change a week.
pub const MAX_KEPT: usize = 50;
/// Bytes of all that are kept: a quarter of what the store holds, since every node has it in memory.
pub const MAX_KEPT_BYTES: usize = 8 << 20;
/// A generation that was refused is tried again after this, as what it lacked may be there then: a port, a
/// file that it names.
pub const TRY_AGAIN: Duration = Duration::from_secs(300);

#[must_use]
pub fn generation_key(number: u64) -> String {
    format!("{GENERATIONS}{number:010}")
}

/// The parts of a generation's content lie below it.
#[must_use]
pub fn content_prefix(number: u64) -> String {
    format!("{CONTENTS}{number:010}/")
}

#[must_use]
pub fn node_key(node: &str) -> String {
    format!("{NODES}{node}")
}

/// Of a text, hexadecimal.
#[must_use]
pub fn digest(text: &[u8]) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of all files of a node: two that differ in a name or a byte have different ones.
#[must_use]
pub fn digest_of(files: &BTreeMap<String, String>) -> String {
    let lines = files.iter().map(|(path, text)| format!("{} {path}\n", digest(text.as_bytes())));
    digest(lines.collect::<String>().as_bytes())
}

/// Whether a file may lie there: beside the cluster file or below, and not where the notes about them are.
#[must_use]
pub fn is_beside(path: &str) -> bool {
    let mut names = path.split('/');
    !path.is_empty() && names.all(|name| !name.is_empty() && !name.starts_with('.'))
}

/// A generation that is to be committed.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The newest one that was seen; nobody may have committed another since.
    pub after: Option<u64>,
    pub generation: &'a [u8],
    pub content: &'a [u8],
    /// Those that are there, the oldest first: number and bytes.
    pub kept: &'a [(u64, u64)],
}

impl Draft<'_> {
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self.after {
            Some(after) => after + 1,
            None => 1,
        }
    }

    /// All of it or nothing; it holds for nobody else.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        let is = match self.after {
            Some(after) => Condition::Value(after.to_string().into_bytes().into()),
            None => Condition::Missing,
        };
        let number = self.number();
        let mut then = vec![
            Op::put(NEWEST, number.to_string().as_bytes()),
            Op::put(&generation_key(number), self.generation),
        ];
        for (at, part) in self.content.chunks(MAX_VALUE).enumerate() {
            then.push(Op::put(&format!("{}{at:02}", content_prefix(number)), part));
        }
        for old in self.retired() {
            then.push(Op::Delete { keys: Keys::One(generation_key(old)) });
            then.push(Op::Delete { keys: Keys::Prefix(content_prefix(old)) });
        }
        let compares = vec![Compare { key: NEWEST.to_owned(), is }];
        Transaction { compares, then, otherwise: vec![Op::read(NEWEST)] }
    }

    /// Old ones that make room; the one before the new stays whatever it weighs.
    fn retired(&self) -> impl Iterator<Item = u64> + '_ {
        /// Two operations each, of the 128 that a transaction has.
        const AT_ONCE: usize = 32;
        let weight = |(_, bytes): &(u64, u64)| usize::try_from(*bytes).unwrap_or(usize::MAX);
        let (mut left, mut bytes) = (self.kept.len() + 1, self.content.len());
        bytes = self.kept.iter().map(weight).fold(bytes, usize::saturating_add);
        let old = self.kept.get(..self.kept.len().saturating_sub(1)).unwrap_or_default();
        let retired = old.iter().take_while(move |one| {
            let too_much = left > MAX_KEPT || bytes > MAX_KEPT_BYTES;
            left -= 1;
            bytes = bytes.saturating_sub(weight(one));
            too_much
        });
        retired.take(AT_ONCE).map(|(number, _)| *number)
    }
}

/// A node's files, against those of a generation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lying {
    /// All are as it wants them.
    Same,
    /// Each is as it wants it, as the generation before wrote it, or not there.
    Known,
    /// These are of no generation: somebody changed them by hand.
    Foreign(Vec<String>),
}

/// What became of the newest generation so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tried {
    No,
    /// The supervisor checks it and warms its processes.
    Asked,
    /// Still refused, or its files could not be put in place, until [`TRY_AGAIN`] is over.
    Refused,
}

/// What a node knows when it decides about a generation.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What its processes were given is what the generation has for it.
    pub runs: bool,
    pub lying: Lying,
    /// The generation's files lie whole beside those that are used, for a rename.
    pub staged: bool,
    /// The note beside the files says that they are of this generation.
    pub noted: bool,
    /// The operator said that files changed by hand are to be replaced.
    pub force: bool,
    pub tried: Tried,
}

/// What it does next; then it looks again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// Write the files beside those that are used.
    Stage,
    /// Ask the supervisor to check the staged files and to let them take over.
    Ask,
    /// Put the staged files in the place of those that are used.
    Install,
    /// Note that the files are of this generation.
    Note,
    /// It is refused: these files were changed by hand.
    Refuse(Vec<String>),
    /// It runs; these files were changed by hand since, and a restart would read them.
    Changed(Vec<String>),
    Wait,
    Done,
}

/// What a node does about the newest generation.
#[must_use]
pub fn next(facts: &Facts) -> Next {
    // The word of an operator counts for the files that were there when it was said, once.
    let force = facts.force && !facts.noted;
    let step = |last| if facts.staged { last } else { Next::Stage };
    match (&facts.lying, facts.runs) {
        (Lying::Same, true) if facts.noted => Next::Done,
        (Lying::Same, true) => Next::Note,
        (Lying::Foreign(files), true) if !force => Next::Changed(files.clone()),
        (Lying::Foreign(files), false) if !force => Next::Refuse(files.clone()),
        (Lying::Known | Lying::Foreign(_), true) => match facts.tried {
            Tried::No | Tried::Asked => step(Next::Install),
            Tried::Refused => Next::Wait,
        },
        (Lying::Same | Lying::Known | Lying::Foreign(_), false) => match facts.tried {
            Tried::No => step(Next::Ask),
            Tried::Asked | Tried::Refused => Next::Wait,
        },
    }
}

/// A member of the store, as another one sees it.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    pub name: &'a str,
    pub is_alive: bool,
    /// The newest generation that it has made up its mind about.
    pub seen: u64,
}

/// For which member `me` waits before it starts its store process anew: those before it in the file are first, and
/// all others that live must have answered the leader (`is_heard`), so that there is a majority without `me`. A member
/// that is away is not waited for: it takes the generation when it starts.
#[must_use]
pub fn waits_for<'a>(
    members: &[Peer<'a>],
    me: &str,
    number: u64,
    is_heard: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let living = || members.iter().filter(|member| member.is_alive && member.name != me);
    let place = members.iter().position(|member| member.name == me).unwrap_or(members.len());
    let before = members.get(..place).unwrap_or_default().iter();
    let first = before.filter(|member| member.is_alive).find(|member| member.seen < number);
    let waits = first.or_else(|| living().find(|member| !is_heard(member.name)));
    waits.map(|member| member.name)
}

#[cfg(test)]
mod tests;
