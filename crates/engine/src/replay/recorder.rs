//! Writes what goes in and what comes out; whoever drives the machine puts the bytes into a file.

use base::Time;

use super::input::{self, Bodies};
use super::{Decision, FRAME, Head, MAGIC, VERSION, apart, framed};
use crate::Buffer;
use crate::keep::Keep;
use crate::member::{Action, Input, Member};

/// One recording, from its head on.
#[derive(Debug)]
pub struct Recorder {
    head: Head,
    bodies: Bodies,
    last: Time,
    /// Entries that are in no block yet.
    entries: Vec<u8>,
}

impl Recorder {
    /// Begins with the machine as it is before the next step; the first bytes of the file.
    #[must_use]
    pub fn begin(head: Head, member: &Member) -> (Self, Vec<u8>) {
        let mut body = vec![];
        head.keep(&mut body);
        body.extend_from_slice(&member.kept());
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        framed(&body, &mut bytes);
        let last = head.at;
        (Self { head, bodies: Bodies::new(), last, entries: vec![] }, bytes)
    }

    /// One step. A packet must have been opened by [`Member::open`]: sealed ones are not kept.
    pub fn note(&mut self, now: Time, input: &Input<'_>, out: &Buffer<Action>) {
        apart(self.last, now).keep(&mut self.entries);
        self.last = now;
        input::keep(input, &mut self.bodies, &mut self.entries);
        out.len().keep(&mut self.entries);
        for action in out {
            Decision::of(action, &self.head.names).keep(&mut self.entries);
        }
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
