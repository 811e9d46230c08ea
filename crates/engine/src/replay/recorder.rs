//! Writes what goes in and what comes out; whoever drives the machine puts the bytes into a file.

use base::Time;

use super::member::{self, Bodies};
use super::vips::{self, Written};
use super::{
    CASES, CaseFact, Decision, FRAME, Head, LEADER, LeaderFact, MAGIC, VERSION, VIPS, apart, framed,
};
use crate::Buffer;
use crate::intent::{self, Leader};
use crate::keep::Keep;
use crate::member::{Action, Input, Member};
use crate::verdict::{Rule, Verdict};
use crate::vip::{self, Vip};

/// One recording, from its head on.
#[derive(Debug)]
pub struct Recorder {
    head: Head,
    bodies: Bodies,
    heard: Written,
    last: Time,
    /// Entries that are in no block yet.
    entries: Vec<u8>,
    /// Memory for words, and for the first block.
    words: String,
    first: Vec<u8>,
}

/// Of entries at first (bytes): a block is not much longer.
const ROOM: usize = 8192;
/// Of words.
const SENTENCE: usize = 256;

impl Recorder {
    /// Begins with the machine as it is before the next step; the first bytes of the file.
    #[must_use]
    pub fn begin(head: Head, member: &Member) -> (Self, Vec<u8>) {
        Self::new(head, &member.kept())
    }

    /// As [`Self::begin`], of all instances of a vip process, in their order.
    #[must_use]
    pub fn begin_vips<'a>(
        mut head: Head,
        vips: impl ExactSizeIterator<Item = &'a Vip>,
    ) -> (Self, Vec<u8>) {
        head.machine = VIPS;
        let mut state = vec![];
        keep_all(vips, &mut state);
        Self::new(head, &state)
    }

    /// The next file of the same machines, at that moment; `bytes`: memory for the first of it. None is asked for where as much was
    /// enough before.
    pub fn begin_vips_again<'a>(
        &mut self,
        (wall_ms, now): (u64, Time),
        vips: impl ExactSizeIterator<Item = &'a Vip>,
        bytes: &mut Vec<u8>,
    ) {
        (self.head.wall_ms, self.head.at, self.last) = (wall_ms, now, now);
        self.bodies = Bodies::new();
        self.heard.clear();
        self.entries.clear();
        self.first.clear();
        self.head.keep(&mut self.first);
        keep_all(vips, &mut self.first);
        bytes.clear();
        begun(&self.first, bytes);
    }

    /// As [`Self::begin`], of a coordinator; none: this node does not coordinate.
    #[must_use]
    pub fn begin_leader(mut head: Head, leads: Option<&Leader>) -> (Self, Vec<u8>) {
        head.machine = LEADER;
        let mut state = vec![];
        leads.is_some().keep(&mut state);
        if let Some(leader) = leads {
            leader.keep(&mut state);
        }
        Self::new(head, &state)
    }

    /// As [`Self::begin`], of verdicts of the gossip: the table has no state.
    #[must_use]
    pub fn begin_cases(mut head: Head) -> (Self, Vec<u8>) {
        head.machine = CASES;
        Self::new(head, &[])
    }

    fn new(head: Head, state: &[u8]) -> (Self, Vec<u8>) {
        let mut first = vec![];
        head.keep(&mut first);
        first.extend_from_slice(state);
        let mut bytes = vec![];
        begun(&first, &mut bytes);
        // A machine has more to say later.
        first.reserve(first.len());
        let last = head.at;
        let (bodies, heard) = (Bodies::new(), Written::new());
        let (entries, words) = (Vec::with_capacity(ROOM), String::with_capacity(SENTENCE));
        (Self { head, bodies, heard, last, entries, words, first }, bytes)
    }

    /// One step. A packet must have been opened by [`Member::open`]: sealed ones are not kept.
    pub fn note(&mut self, now: Time, input: &Input<'_>, out: &Buffer<Action>) {
        self.entry(now);
        member::keep(input, &mut self.bodies, &mut self.entries);
        out.len().keep(&mut self.entries);
        for action in out {
            Decision::of(action, &self.head.names).keep(&mut self.entries);
        }
    }

    /// One step of the instance at that position, which is as it is after it.
    pub fn note_vip(
        &mut self,
        now: Time,
        (instance, vip): (u16, &Vip),
        input: &vip::Input<'_>,
        out: &Buffer<vip::Action>,
    ) {
        self.entry(now);
        vips::keep((instance, vip), input, &mut self.heard, &mut self.entries);
        out.len().keep(&mut self.entries);
        for action in out {
            let of = (action, vip, &self.head.names);
            Decision::keep_vip(of, &mut self.words, &mut self.entries);
        }
    }

    /// One step of the coordinator.
    pub fn note_leader(&mut self, now: Time, fact: &LeaderFact, out: &Buffer<intent::Action>) {
        self.entry(now);
        fact.keep(&mut self.entries);
        out.len().keep(&mut self.entries);
        for action in out {
            Decision::of_leader(action).keep(&mut self.entries);
        }
    }

    /// A case, and the verdict that it had.
    pub fn note_case(&mut self, fact: &CaseFact, verdict: Verdict, rule: &Rule) {
        self.entry(fact.case.now);
        fact.keep(&mut self.entries);
        1_usize.keep(&mut self.entries);
        Decision::of_verdict(fact.node, verdict, rule, &self.head.names).keep(&mut self.entries);
    }

    fn entry(&mut self, now: Time) {
        apart(self.last, now).keep(&mut self.entries);
        self.last = now;
    }

    /// How many bytes the next block has.
    #[must_use]
    pub fn waiting(&self) -> usize {
        if self.entries.is_empty() { 0 } else { FRAME + self.entries.len() }
    }

    /// The entries since the last block as the next one; empty if there are none.
    pub fn block(&mut self) -> Vec<u8> {
        let mut bytes = vec![];
        self.block_into(&mut bytes);
        bytes
    }

    /// The same, in the place of what is there.
    pub fn block_into(&mut self, bytes: &mut Vec<u8>) {
        bytes.clear();
        if !self.entries.is_empty() {
            framed(&self.entries, bytes);
            self.entries.clear();
        }
    }
}

/// What a file begins with.
fn begun(first: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    framed(first, bytes);
}

fn keep_all<'a>(vips: impl ExactSizeIterator<Item = &'a Vip>, out: &mut Vec<u8>) {
    vips.len().keep(out);
    vips.for_each(|vip| vip.keep(out));
}
