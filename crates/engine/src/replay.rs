//! What a node's membership machine was fed, and what it decided: recorded, and played again.
//!
//! ```text
//!  "OUTLREC" version | block | block | ...          block:  length  sum  entries
//!                      head                                 u32     8    at least one
//!
//!  head:   machine  program  node  names  wall clock  moment  state of the machine
//!  entry:  nanoseconds since the one before  input  decisions
//! ```
//!
//! A recording begins with the whole state ([`Member::kept`]), so it may begin at any moment. From there
//! the machine is a pure function of its inputs: played again it decides the same, or one of the two is
//! wrong. Packets are recorded opened, so no key is needed and none is in the file; a body that says the
//! same as the one before it is not written again. `sum` is the start of a SHA-256: a file that was cut
//! off, or copied while it was written, is played up to its last whole block.

use std::time::Duration;

use base::Time;
use sha2::{Digest, Sha256};

use crate::keep::{Keep, kept};
use crate::member::Member;

pub use input::Fact;
pub use play::{End, Play, Step};
pub use recorder::Recorder;
pub use said::{Decision, Names};

mod input;
mod play;
mod recorder;
mod said;

const MAGIC: &[u8; 7] = b"OUTLREC";
/// Of everything after the first 8 bytes.
const VERSION: u8 = 1;
/// The machine that this version records: [`Member`], with the verdicts in it.
const MEMBER: u8 = 1;
const SUM: usize = 8;
/// Length and sum of a block.
const FRAME: usize = 4 + SUM;
/// No block of ours is longer (bytes): a head with 64 nodes is a hundredth of it.
const MAX_BLOCK: usize = 1 << 20;

/// Why bytes are no recording that can be played.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    #[error("this is no recording of outlast")]
    Magic,
    #[error(
        "the recording has format {0}, this program reads {VERSION}: play it with the outlast that wrote it"
    )]
    Version(u8),
    #[error("the first block is cut off or damaged, and nothing can be played without it")]
    Head,
    #[error("it records machine {0}, of which this version knows nothing")]
    Machine(u8),
    #[error(
        "it was written by outlast {0}, whose machine has another state: play it with that version"
    )]
    State(String),
}

/// What a recording says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    machine: u8,
    /// The version of the program that wrote it.
    pub program: String,
    /// The node whose machine it was.
    pub node: String,
    pub names: Names,
    /// Wall clock at `at`, in milliseconds since 1970.
    pub wall_ms: u64,
    /// When it begins, by the clock of that machine.
    pub at: Time,
}

kept!(Head { machine, program, node, names, wall_ms, at });

impl Head {
    /// Of a recording that begins now.
    #[must_use]
    pub fn new(program: &str, node: &str, names: Names, wall_ms: u64, at: Time) -> Self {
        let (program, node) = (program.to_owned(), node.to_owned());
        Self { machine: MEMBER, program, node, names, wall_ms, at }
    }

    /// The wall clock at a moment of this recording, in milliseconds since 1970.
    #[must_use]
    pub fn wall_ms(&self, at: Time) -> u64 {
        self.wall_ms + u64::try_from(at.since(self.at).as_millis()).unwrap_or(0)
    }
}

/// A file of recorded inputs, ready to be played.
#[derive(Debug)]
pub struct Recording<'a> {
    pub head: Head,
    state: &'a [u8],
    /// Blocks of entries.
    rest: &'a [u8],
}

impl<'a> Recording<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// When it is none, of another version, or its first block is not whole. What is wrong further
    /// behind ends the play: [`Play::end`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let Some((magic, rest)) = bytes.split_first_chunk::<7>() else {
            return Err(if bytes.is_empty() { RecordError::Head } else { RecordError::Magic });
        };
        if magic != MAGIC {
            return Err(RecordError::Magic);
        }
        let (version, mut rest) = rest.split_first().ok_or(RecordError::Head)?;
        if *version != VERSION {
            return Err(RecordError::Version(*version));
        }
        let mut block = block(&mut rest).ok_or(RecordError::Head)?;
        let machine = *block.first().ok_or(RecordError::Head)?;
        if machine != MEMBER {
            return Err(RecordError::Machine(machine));
        }
        let head = Head::revive(&mut block).ok_or(RecordError::Head)?;
        Ok(Self { head, state: block, rest })
    }

    /// Feeds the machine again, input by input.
    ///
    /// # Errors
    /// When the state it begins with is one of another version.
    pub fn play(&self) -> Result<Play<'_>, RecordError> {
        let state = || RecordError::State(self.head.program.clone());
        let member = Member::revived(self.state).ok_or_else(state)?;
        Ok(Play::new(&self.head, member, self.rest))
    }

    /// All that is recorded, without the machine: for who wants to read rather than judge.
    #[must_use]
    pub fn facts(&self) -> Vec<(Time, Fact, Vec<Decision>)> {
        play::facts(self.head.at, self.rest)
    }
}

/// The next whole block. None: there is none, or it is damaged; then nothing is taken.
fn block<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<SUM>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > MAX_BLOCK {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    if *sum != check(body) {
        return None;
    }
    *bytes = rest;
    Some(body)
}

/// Length and sum in front of a body.
fn framed(body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&check(body));
    out.extend_from_slice(body);
}

fn check(body: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(&Sha256::digest(body)[..SUM]);
    sum
}

/// How far apart two moments are, whatever their order: clocks of machines only go on, and what a file
/// says need not.
const fn apart(from: Time, to: Time) -> u64 {
    to.as_nanos().wrapping_sub(from.as_nanos())
}

const fn later(from: Time, nanos: u64) -> Time {
    Time::from_nanos(from.as_nanos().wrapping_add(nanos))
}

/// Since the beginning of the recording.
const fn into(head: &Head, at: Time) -> Duration {
    at.since(head.at)
}
