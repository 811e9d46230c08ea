//! Writes what goes in and what comes out; whoever drives the machine puts the bytes into a file.

use base::Time;

use super::member::{self, Bodies};
use super::vips::{self, Last};
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
    heard: Last,
    last: Time,
    /// Entries that are in no block yet.
    entries: Vec<u8>,
}

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
        vips.len().keep(&mut state);
        vips.for_each(|vip| vip.keep(&mut state));
        Self::new(head, &state)
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
        let mut body = vec![];
        head.keep(&mut body);
        body.extend_from_slice(state);
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        framed(&body, &mut bytes);
        let last = head.at;
        let (bodies, heard) = (Bodies::new(), Last::default());
        (Self { head, bodies, heard, last, entries: vec![] }, bytes)
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
            Decision::of_vip(action, vip, &self.head.names).keep(&mut self.entries);
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
        if !self.entries.is_empty() {
            framed(&self.entries, &mut bytes);
            self.entries.clear();
        }
        bytes
    }
}
