//! What a node's machines were fed, and what they decided: recorded, and played again. One file has the
//! membership machine of an agent, all instances of a vip process, the coordinator, or verdicts of the gossip.
//!
//! ```text
//!  "OUTLREC" version | block | block | ...          block:  length  sum  entries
//!                      head                                 u32     8    at least one
//!
//!  head:   machine  program  node  names  wall clock  moment  [names of instances]  state of the machine
//!  entry:  nanoseconds since the one before  [instance]  input  decisions
//! ```
//!
//! A recording begins with the whole state ([`Machine::kept`]), so it may begin at any moment. From there
//! the machine is a pure function of its inputs: played again it decides the same, or one of the two is
//! wrong. Packets are recorded opened, so no key is needed and none is in the file, nor is a password; a body that says the
//! same as the one before it is not written again. `sum` is the start of a SHA-256: a file that was cut
//! off, or copied while it was written, is played up to its last whole block.

use std::time::Duration;

use base::Time;
use sha2::{Digest, Sha256};

use crate::keep::Keep;

pub use cases::CaseFact;
pub use leader::LeaderFact;
pub use machine::Machine;
pub use member::MemberFact;
pub use play::{End, Play, Step};
pub use recorder::Recorder;
pub use said::{Decision, Names};
pub use vips::VipFact;

mod cases;
mod leader;
mod machine;
mod member;
mod play;
mod recorder;
mod said;
mod vips;

const MAGIC: &[u8; 7] = b"OUTLREC";
/// Of everything after the first 8 bytes.
const VERSION: u8 = 1;
/// [`crate::member::Member`], with the verdicts in it.
const MEMBER: u8 = 1;
/// All [`crate::vip::Vip`] of a vip process.
const VIPS: u8 = 2;
/// [`crate::intent::Leader`], while this node coordinates.
const LEADER: u8 = 3;
/// The table of verdicts, which has no state.
const CASES: u8 = 4;
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

/// One input, as it was recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fact {
    Member(MemberFact),
    /// Of the instance at that position.
    Vip(u16, VipFact),
    Leader(LeaderFact),
    Case(CaseFact),
}

impl Fact {
    /// For people.
    #[must_use]
    pub fn words(&self, names: &Names) -> String {
        match self {
            Self::Member(fact) => fact.words(names),
            Self::Vip(instance, fact) => {
                format!("{}: {}", names.instance(*instance), fact.words(names))
            }
            Self::Leader(fact) => fact.words(names),
            Self::Case(fact) => fact.words(names),
        }
    }
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

impl Keep for Head {
    fn keep(&self, out: &mut Vec<u8>) {
        let Self { machine, program, node, names, wall_ms, at } = self;
        let Names { nodes, networks, instances } = names;
        machine.keep(out);
        program.keep(out);
        node.keep(out);
        nodes.keep(out);
        networks.keep(out);
        wall_ms.keep(out);
        at.keep(out);
        if *machine == VIPS {
            instances.keep(out);
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let machine = Keep::revive(bytes)?;
        let (program, node) = Keep::revive(bytes)?;
        let (nodes, networks) = Keep::revive(bytes)?;
        let (wall_ms, at) = Keep::revive(bytes)?;
        let instances = if machine == VIPS { Keep::revive(bytes)? } else { vec![] };
        let names = Names { nodes, networks, instances };
        Some(Self { machine, program, node, names, wall_ms, at })
    }
}

impl Head {
    /// Of a recording that begins now; whose machine it has is said by who begins it.
    #[must_use]
    pub fn new(program: &str, node: &str, names: Names, wall_ms: u64, at: Time) -> Self {
        let (program, node) = (program.to_owned(), node.to_owned());
        Self { machine: MEMBER, program, node, names, wall_ms, at }
    }

    /// Whether it has instances of a vip process.
    #[must_use]
    pub const fn is_of_vips(&self) -> bool {
        self.machine == VIPS
    }

    /// Whether something in it goes on all the time: beats, adverts.
    #[must_use]
    pub const fn has_a_pace(&self) -> bool {
        matches!(self.machine, MEMBER | VIPS)
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
        if !matches!(machine, MEMBER | VIPS | LEADER | CASES) {
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
        let machine = Machine::revived(self.head.machine, self.state).ok_or_else(state)?;
        Ok(Play::new(&self.head, machine, self.rest))
    }

    /// All that is recorded, without the machine: for who wants to read rather than judge.
    #[must_use]
    pub fn facts(&self) -> Vec<(Time, Fact, Vec<Decision>)> {
        play::facts(&self.head, self.rest)
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
