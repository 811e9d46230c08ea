//! The body of a beat.
//!
//! ```text
//!  0  1      2      10   11      12     13     14      22     23
//!  4  flags  holds  cpu  memory  fibre  ports  events  count  count x (proxy u32, server u32, term u64, by u16)
//!
//!  then:  0         1         3         4
//!         ailments  stall ms  networks  rows    rows x (node u16, life u64, version u32, known u64,
//!                                                       networks x lost u64)
//!
//!  then:  duty u8 (0 takes work, 1 on standby, 2 being drained)
//! ```
//!
//! Version 2 ends before the ailments, version 3 before the duty. What follows is for later versions and
//! ignored.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::duty::Duty;
use crate::evidence::Ailments;
use crate::keep::kept;
use crate::packet::MAX_NETWORKS;
use crate::reach::{MAX_PASSED_ON, Row};

const VERSION: u8 = 4;
/// The oldest one that is understood.
const OLDEST: u8 = 2;
/// The last one that says nothing of duties.
const WITHOUT_DUTY: u8 = 3;
const HEAD: usize = 23;
const CHOICE: usize = 18;
/// What stands between choices and rows.
const REACH: usize = 5;
/// What stands behind the rows.
const TAIL: usize = 1;
pub(super) const MAX_ROWS: usize = MAX_PASSED_ON + 1;
const LEAVING: u8 = 1;
/// The four bytes of the load were measured.
const LOAD: u8 = 2;

/// Database listeners of a cluster that are told to peers: one is usual, a handful is many.
pub const MAX_CHOICES: usize = 16;
pub(crate) const MAX_LENGTH: usize =
    HEAD + MAX_CHOICES * CHOICE + REACH + MAX_ROWS * Row::length(MAX_NETWORKS) + TAIL;

/// Which server a listener with one writer uses. Names travel as their [`Choice::hash`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    pub proxy: u32,
    pub server: u32,
    /// The higher term wins; equal terms: the higher node position.
    pub term: u64,
    pub by: u16,
}

kept!(Choice { proxy, server, term, by });
kept!(Load { cpu_percent, memory_percent, fibre_online, fibre_ports });

impl Choice {
    /// FNV-1a of a name: enough to tell the names of one file apart, whose lint refuses duplicates.
    #[must_use]
    pub fn hash(name: &str) -> u32 {
        name.bytes()
            .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    /// Keeps the newer one per proxy; true if this is it. Proxies beyond the limit are dropped.
    pub(super) fn merge_into(&self, known: &mut ArrayVec<Self, MAX_CHOICES>) -> bool {
        match known.iter_mut().find(|choice| choice.proxy == self.proxy) {
            Some(choice) if (self.term, self.by) > (choice.term, choice.by) => {
                *choice = *self;
                true
            }
            Some(_) => false,
            None => known.try_push(*self).is_ok(),
        }
    }
}

/// How busy a machine is, as its own agent measured it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    /// Of all cores together, 0-100.
    pub cpu_percent: u8,
    /// Of the memory, what is not available to a new program, 0-100.
    pub memory_percent: u8,
    /// Fibre channel ports that are online, and all ports.
    pub fibre_online: u8,
    pub fibre_ports: u8,
}

impl Load {
    pub(crate) fn read([cpu, memory, online, ports]: [u8; 4]) -> Self {
        Self {
            cpu_percent: cpu.min(100),
            memory_percent: memory.min(100),
            fibre_online: online.min(ports),
            fibre_ports: ports,
        }
    }
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Beat {
    pub(super) leaving: bool,
    pub(super) holds: u64,
    pub(super) load: Option<Load>,
    /// The number of its newest event.
    pub(super) events: u64,
    pub(super) choices: ArrayVec<Choice, MAX_CHOICES>,
    /// What it says against itself.
    pub(super) ailments: Ailments,
    /// How late its timers were of late, in whole milliseconds.
    pub(super) stall: Duration,
    /// Networks of the cluster file: how many sets each row has.
    pub(super) networks: u8,
    /// Its own row first, then others that it passes on.
    pub(super) rows: ArrayVec<Row, MAX_ROWS>,
    /// Whether it takes on work.
    pub(super) duty: Duty,
}

impl Beat {
    pub(super) fn encode(&self, out: &mut [u8; MAX_LENGTH]) -> usize {
        out[0] = VERSION;
        out[1] = if self.leaving { LEAVING } else { 0 };
        out[2..10].copy_from_slice(&self.holds.to_be_bytes());
        out[10..14].fill(0);
        if let Some(load) = self.load {
            out[1] |= LOAD;
            out[10..14].copy_from_slice(&[
                load.cpu_percent,
                load.memory_percent,
                load.fibre_online,
                load.fibre_ports,
            ]);
        }
        out[14..22].copy_from_slice(&self.events.to_be_bytes());
        out[22] = u8::try_from(self.choices.len()).unwrap_or(0);
        let (fields, _) = out[HEAD..].as_chunks_mut::<CHOICE>();
        for (field, choice) in fields.iter_mut().zip(&self.choices) {
            field[..4].copy_from_slice(&choice.proxy.to_be_bytes());
            field[4..8].copy_from_slice(&choice.server.to_be_bytes());
            field[8..16].copy_from_slice(&choice.term.to_be_bytes());
            field[16..].copy_from_slice(&choice.by.to_be_bytes());
        }
        let mut length = HEAD + self.choices.len() * CHOICE;
        let stall = u16::try_from(self.stall.as_millis()).unwrap_or(u16::MAX);
        let [high, low] = stall.to_be_bytes();
        let rows = u8::try_from(self.rows.len()).unwrap_or(0);
        let reach = [self.ailments.byte(), high, low, self.networks, rows];
        out[length..length + REACH].copy_from_slice(&reach);
        length += REACH;
        for row in &self.rows {
            length += row.encode(usize::from(self.networks), &mut out[length..]);
        }
        out[length] = self.duty.byte();
        length + TAIL
    }

    /// A sealed body that cannot be read comes from another version of the program: its node lives,
    /// and says nothing that we understand.
    pub(super) fn decode(body: &[u8]) -> Self {
        Self::read(body).unwrap_or_default()
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<HEAD>()?;
        let count = usize::from(head[22]);
        if head[0] < OLDEST || count > MAX_CHOICES {
            return None;
        }
        let (fields, rest) = rest.split_at_checked(count * CHOICE)?;
        let (fields, _) = fields.as_chunks::<CHOICE>();
        let holds = u64::from_be_bytes(*head[2..].first_chunk()?);
        let load = (head[1] & LOAD != 0).then(|| head[10..].first_chunk().copied()).flatten();
        let events = u64::from_be_bytes(*head[14..].first_chunk()?);
        let choices = fields.iter().filter_map(choice).collect();
        let leaving = head[1] & LEAVING != 0;
        let load = load.map(Load::read);
        let beat = Self { leaving, holds, load, events, choices, ..Self::default() };
        if head[0] == OLDEST { Some(beat) } else { beat.read_reach(head[0], rest) }
    }

    fn read_reach(self, version: u8, bytes: &[u8]) -> Option<Self> {
        let (&[ailments, high, low, networks, count], mut bytes) =
            bytes.split_first_chunk::<REACH>()?;
        let length = Row::length(usize::from(networks));
        if usize::from(networks) > MAX_NETWORKS || usize::from(count) > MAX_ROWS {
            return None;
        }
        let mut rows = ArrayVec::new();
        for _ in 0..count {
            rows.push(Row::decode(usize::from(networks), bytes)?);
            bytes = bytes.get(length..)?;
        }
        let duty = match version {
            ..=WITHOUT_DUTY => Duty::On,
            _ => Duty::from_byte(*bytes.first()?),
        };
        let stall = Duration::from_millis(u16::from_be_bytes([high, low]).into());
        Some(Self { ailments: Ailments::from_byte(ailments), stall, networks, rows, duty, ..self })
    }
}

/// The body of a beat read and written again; none: it cannot be read. For tests of the format.
#[must_use]
pub fn print_again(body: &[u8]) -> Option<ArrayVec<u8, MAX_LENGTH>> {
    let mut out = [0; MAX_LENGTH];
    let beat = Beat::read(body)?;
    let mut length = beat.encode(&mut out);
    match body[0] {
        OLDEST => (out[0], length) = (OLDEST, HEAD + beat.choices.len() * CHOICE),
        WITHOUT_DUTY => (out[0], length) = (WITHOUT_DUTY, length - TAIL),
        _ => {}
    }
    let mut again = ArrayVec::from(out);
    again.truncate(length);
    Some(again)
}

fn choice(field: &[u8; CHOICE]) -> Option<Choice> {
    Some(Choice {
        proxy: u32::from_be_bytes(*field.first_chunk()?),
        server: u32::from_be_bytes(*field[4..].first_chunk()?),
        term: u64::from_be_bytes(*field[8..].first_chunk()?),
        by: u16::from_be_bytes(*field[16..].first_chunk()?),
    })
}
