//! Plays a recording: the machine is fed again, and what it decides is laid beside what was decided.

use std::time::Duration;

use base::Time;

use super::member::{self, Bodies};
use super::vips::{self, Last};
use super::{
    CASES, CaseFact, Decision, Fact, Head, LEADER, LeaderFact, Machine, VIPS, block, into, later,
};
use crate::CAPACITY;
use crate::keep::Keep;

/// One input with both decisions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The first has number 1.
    pub number: u64,
    pub at: Time,
    /// Since the recording began.
    pub since: Duration,
    pub fact: Fact,
    pub recorded: Vec<Decision>,
    pub replayed: Vec<Decision>,
}

impl Step {
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.recorded == self.replayed
    }

    /// Nothing but beats and time.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_same() && self.recorded.iter().all(Decision::is_quiet)
    }
}

/// Where a play ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// All that there is.
    Whole,
    /// What follows is cut off or damaged: so many bytes.
    Torn { bytes: usize },
}

/// The steps, one after the other.
#[derive(Debug)]
pub struct Play<'a> {
    head: &'a Head,
    machine: Machine,
    entries: Entries<'a>,
    number: u64,
}

impl<'a> Play<'a> {
    pub(super) fn new(head: &'a Head, machine: Machine, rest: &'a [u8]) -> Self {
        Self { head, machine, entries: Entries::new(head, rest), number: 0 }
    }

    /// Where it stopped; of interest when there are no more steps.
    #[must_use]
    pub fn end(&self) -> End {
        match self.entries.left() {
            0 => End::Whole,
            bytes => End::Torn { bytes },
        }
    }

    /// The machine as it is now.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }
}

impl Iterator for Play<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (at, fact, recorded) = self.entries.next()?;
        let replayed = self.machine.step(at, &fact, &self.head.names);
        self.number += 1;
        let since = into(self.head, at);
        Some(Step { number: self.number, at, since, fact, recorded, replayed })
    }
}

/// Everything that can be read.
pub(super) fn facts(head: &Head, rest: &[u8]) -> Vec<(Time, Fact, Vec<Decision>)> {
    Entries::new(head, rest).collect()
}

/// What is read of the blocks.
#[derive(Debug)]
struct Entries<'a> {
    at: Time,
    last: Before,
    /// Of the present block.
    block: &'a [u8],
    /// Blocks behind it.
    rest: &'a [u8],
    /// Something in a whole block means nothing.
    is_torn: bool,
}

/// What an input may refer to.
#[derive(Debug)]
enum Before {
    Member(Bodies),
    Vips(Last),
    /// Nothing that it is told repeats itself.
    Leader,
    Cases,
}

impl Before {
    fn fact(&mut self, bytes: &mut &[u8]) -> Option<Fact> {
        match self {
            Self::Member(bodies) => member::revive(bodies, bytes).map(Fact::Member),
            Self::Vips(last) => {
                vips::revive(last, bytes).map(|(instance, fact)| Fact::Vip(instance, fact))
            }
            Self::Leader => LeaderFact::revive(bytes).map(Fact::Leader),
            Self::Cases => CaseFact::revive(bytes).map(Fact::Case),
        }
    }
}

impl<'a> Entries<'a> {
    fn new(head: &Head, rest: &'a [u8]) -> Self {
        let last = match head.machine {
            VIPS => Before::Vips(Last::default()),
            LEADER => Before::Leader,
            CASES => Before::Cases,
            _ => Before::Member(Bodies::new()),
        };
        Self { at: head.at, last, block: &[], rest, is_torn: false }
    }

    const fn left(&self) -> usize {
        self.block.len() + self.rest.len()
    }

    fn entry(&mut self) -> Option<(Time, Fact, Vec<Decision>)> {
        let bytes = &mut self.block;
        let at = later(self.at, u64::revive(bytes)?);
        let fact = self.last.fact(bytes)?;
        let decisions: Vec<Decision> = Keep::revive(bytes)?;
        (decisions.len() <= CAPACITY).then_some((at, fact, decisions))
    }
}

impl Iterator for Entries<'_> {
    type Item = (Time, Fact, Vec<Decision>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.block.is_empty() && !self.is_torn {
            self.block = block(&mut self.rest)?;
        }
        if self.is_torn {
            return None;
        }
        let before = self.block;
        let entry = self.entry();
        match &entry {
            Some((at, ..)) => self.at = *at,
            // What was begun counts as not read.
            None => (self.block, self.is_torn) = (before, true),
        }
        entry
    }
}
