//! The beat of a vip process as bytes: what one node says to another about all its virtual IPs.
//!
//! ```text
//!  0 version 1 | 1 flags: 1 silent, 2 closed, 4 numbered, 8 leaving, 16 alone, 32 coordinates | 2 length of this head | 3 length of an entry
//!  4 entries | 5 networks | 6 beat x2 | 8 epoch x4 | 12 vip lease x2 | 14 reached | 15 unreached | 16 serial x8
//! 24 acked life x8 | 32 acked serial x8 | 40 store x8                                     48 bytes
//! 48 for each network x8: whom it hears there x4, of whom the last beat there is young x4; a bit for each node
//! wished beat x2: only where that is another one than the beat, or something follows
//! joined x8: when the sender's machine joined the cluster, in milliseconds since 1970; only where machines are told apart
//! entry: router id | state: 0 unfit, 1 fit, 2 candidate, 3 holder, +16 grants you
//!        | successor x2 (ffff: nobody; +8000: it stays where an operator moved it, 7ffe is nobody then; 7fff: nobody, and unfit only
//!          beside one that the sender has and that is never on a node with it) | key x4 | term x8                                   16 bytes
//! ```
//!
//! Big endian; spans in tenths of a millisecond. Head and entries say how long they are, so a later
//! version can append to both and is read by this one. Another version is dropped: its sender gets no vote.

use std::time::Duration;

use super::MAX_SPAN;
use super::ears::{Heard, Hears};
use crate::packet::MAX_NETWORKS;
use crate::vip::Group;

/// First byte.
pub const VERSION: u8 = 1;
/// Entries of one beat: 1,146 bytes on eight networks, which fits a sealed packet.
pub const MAX_ENTRIES: usize = 64;

/// As many as a bit each tells apart.
pub(super) const MOST_NODES: usize = 32;
const HEAD: usize = 48;
const ENTRY: usize = 16;
/// Of each network, behind the head.
const HEARD: usize = 8;
/// Behind them.
const WISH: usize = 2;
/// Behind that.
const JOINED: usize = 8;
const SILENT: u8 = 1;
const CLOSED: u8 = 2;
const NUMBERED: u8 = 4;
const LEAVING: u8 = 8;
const ALONE: u8 = 16;
const COORDINATES: u8 = 32;
const GRANTS: u8 = 16;
const NOBODY: u16 = u16::MAX;
/// Of a successor: the address stays where an operator moved it.
const STAYS: u16 = 0x8000;
const STAYS_WITH_NOBODY: u16 = 0x7ffe;
/// Of a successor: nobody, and the sender could hold the address but for another one.
const BARRED: u16 = 0x7fff;
const TENTH: Duration = Duration::from_micros(100);

/// What a beat says about its sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Votes for nobody yet: it may have forgotten what it promised under its former life.
    pub silent: bool,
    /// What former lives of the sender opened is closed.
    pub closed: bool,
    /// Its process ends in order: that nothing comes any more means nothing.
    pub leaving: bool,
    /// Of what it says that it holds it holds something without a majority.
    pub alone: bool,
    pub epoch: Epoch,
    /// Between two beats, if it were alone.
    pub wish: Duration,
    /// Between two beats of the sender, at most.
    pub beat: Duration,
    /// For how long after it was sent an acknowledged beat lets its sender hold.
    pub span: Duration,
    /// Grows with each beat of one life; the same for all receivers, on all networks.
    pub serial: u64,
    /// Which life of the receiver was heard last, and the newest of its beats that was taken in.
    pub acked_life: u64,
    pub acked_serial: u64,
    /// Whom the sender hears, network by network.
    pub hears: Hears,
    pub reach: Reach,
    /// The sender coordinates the cluster.
    pub leads: bool,
    /// When the machine of the sender joined the cluster, in milliseconds since 1970; 0: it does not say.
    pub joined: u64,
}

/// What a node knows of the reference points on its networks: a bit for each network, the lowest is the first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reach {
    /// One of them answers.
    pub reached: u8,
    /// None of them does, though one did. In neither: nothing is known.
    pub unreached: u8,
}

impl Reach {
    /// What is known of a network from now on.
    pub fn set(&mut self, network: u8, answers: Option<bool>) {
        let bit = 1_u8.checked_shl(u32::from(network)).unwrap_or(0);
        self.reached = if answers == Some(true) { self.reached | bit } else { self.reached & !bit };
        self.unreached =
            if answers == Some(false) { self.unreached | bit } else { self.unreached & !bit };
    }

    #[must_use]
    pub fn on(self, network: u8) -> Option<bool> {
        let has = |bits: u8| bits.checked_shr(u32::from(network)).unwrap_or(0) & 1 == 1;
        match (has(self.reached), has(self.unreached)) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            (true, true) | (false, false) => None,
        }
    }
}

/// Which list of voters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Epoch {
    /// Without a store: a hash of the list. Lists that differ have nothing to do with each other.
    Hash(u32),
    /// The store's number of the list: a greater one is later.
    Number(Number),
}

/// What a store gives each of its lists. No two lists of a cluster have the same, though a store is put back.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Number {
    /// The store's incarnation, greater after each founding and each restore: counting begins again then.
    pub store: u64,
    /// Among the lists of that incarnation.
    pub list: u32,
}

impl Number {
    /// Whether it is the one directly after the other. Lists of two incarnations never are: which list was the
    /// last of the former one, the later one cannot know.
    #[must_use]
    pub fn follows(self, other: Self) -> bool {
        self.store == other.store && other.list.checked_add(1) == Some(self.list)
    }
}

/// What the sender does with one virtual IP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Stand {
    /// Could not hold it.
    #[default]
    Unfit = 0,
    Fit = 1,
    /// Asks for it.
    Candidate = 2,
    Holder = 3,
}

impl Stand {
    /// Whether it asks for a promise, or goes on counting on one.
    #[must_use]
    pub const fn claims(self) -> bool {
        matches!(self, Self::Candidate | Self::Holder)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    pub group: Group,
    pub stand: Stand,
    /// The acknowledged beat claimed this address, and the sender promised it.
    pub grants: bool,
    /// Who takes it if the sender cannot go on, or since it gave it up.
    pub successor: Option<u16>,
    /// An operator moved it to the sender, or to whom that names: no rule moves it from there.
    pub stays: bool,
    /// It could hold the address, but for one that it has and that is never on a node with it. Of one that is unfit, and names nobody.
    pub barred: bool,
    pub term: u64,
}

/// A beat that was read.
#[derive(Clone, Copy, Debug)]
pub struct Beat<'a> {
    pub head: Head,
    entries: &'a [u8],
    each: usize,
}

impl Beat<'_> {
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.chunks_exact(self.each).filter_map(entry)
    }
}

/// Writes a beat and returns its length; entries beyond [`MAX_ENTRIES`], or that do not fit `out`, are left out.
pub fn write(head: &Head, entries: impl Iterator<Item = Entry>, out: &mut [u8]) -> usize {
    let heard = head.hears.by_network();
    // A release that knows no wishes says nothing else either, where all is as it was.
    let joined = if head.joined == 0 { 0 } else { JOINED };
    let wish = if head.wish == head.beat && joined == 0 { 0 } else { WISH };
    let length = HEAD + heard.len() * HEARD + wish + joined;
    let Some((front, rest)) = out.split_at_mut_checked(length) else { return 0 };
    let flag = |on, bit| if on { bit } else { 0 };
    let (numbered, epoch, store) = match head.epoch {
        Epoch::Hash(hash) => (false, hash, 0),
        Epoch::Number(number) => (true, number.list, number.store),
    };
    front.fill(0);
    front[0] = VERSION;
    front[1] = flag(head.silent, SILENT)
        | flag(head.closed, CLOSED)
        | flag(numbered, NUMBERED)
        | flag(head.leaving, LEAVING)
        | flag(head.alone, ALONE)
        | flag(head.leads, COORDINATES);
    front[2] = u8::try_from(length).unwrap_or(u8::MAX);
    front[3] = 16;
    front[5] = head.hears.networks();
    front[6..8].copy_from_slice(&tenths(head.beat).to_be_bytes());
    front[8..12].copy_from_slice(&epoch.to_be_bytes());
    front[12..14].copy_from_slice(&tenths(head.span).to_be_bytes());
    (front[14], front[15]) = (head.reach.reached, head.reach.unreached);
    front[16..24].copy_from_slice(&head.serial.to_be_bytes());
    front[24..32].copy_from_slice(&head.acked_life.to_be_bytes());
    front[32..40].copy_from_slice(&head.acked_serial.to_be_bytes());
    front[40..48].copy_from_slice(&store.to_be_bytes());
    for (heard, bytes) in heard.iter().zip(front[HEAD..].chunks_exact_mut(HEARD)) {
        bytes[..4].copy_from_slice(&heard.on.to_be_bytes());
        bytes[4..].copy_from_slice(&heard.young.to_be_bytes());
    }
    let (wished, machine) = front[HEAD + heard.len() * HEARD..].split_at_mut(wish);
    wished.copy_from_slice(&tenths(head.wish).to_be_bytes()[..wish]);
    machine.copy_from_slice(&head.joined.to_be_bytes()[..joined]);
    let mut count = 0;
    for (entry, bytes) in entries.take(MAX_ENTRIES).zip(rest.chunks_exact_mut(ENTRY)) {
        bytes[0] = entry.group.router_id;
        bytes[1] = entry.stand as u8 | flag(entry.grants, GRANTS);
        bytes[2..4].copy_from_slice(&named(&entry).to_be_bytes());
        bytes[4..8].copy_from_slice(&entry.group.key.to_be_bytes());
        bytes[8..16].copy_from_slice(&entry.term.to_be_bytes());
        count += 1;
    }
    front[4] = u8::try_from(count).unwrap_or(0);
    length + count * ENTRY
}

/// None: not a beat of this version. What follows the last entry is ignored.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Beat<'_>> {
    let front: &[u8; HEAD] = bytes.first_chunk()?;
    let [length, each, count] = [front[2], front[3], front[4]].map(usize::from);
    if front[0] != VERSION || length < HEAD || each < ENTRY || count > MAX_ENTRIES {
        return None;
    }
    let entries = bytes.get(length..length + each * count)?;
    if !entries.chunks_exact(each).all(|bytes| entry(bytes).is_some()) {
        return None;
    }
    // An older release says nothing about networks.
    let heard = bytes.get(HEAD..HEAD + usize::from(front[5]) * HEARD)?;
    if length < HEAD + heard.len() || usize::from(front[5]) > MAX_NETWORKS {
        return None;
    }
    let mut hears = Hears::nobody(front[5]);
    for (network, heard) in (0..).zip(heard.chunks_exact(HEARD)) {
        let [on, young] = [0, 4].map(|at| u32::from_be_bytes(part(heard, at)));
        hears.set(network, Heard { on, young });
    }
    let list = u32::from_be_bytes(part(front, 8));
    let store = u64::from_be_bytes(part(front, 40));
    let numbered = front[1] & NUMBERED != 0;
    let span = |bytes| TENTH * u32::from(u16::from_be_bytes(bytes));
    let behind = bytes.get(HEAD + heard.len()..length).unwrap_or_default();
    let wish = behind.first_chunk().copied();
    let joined = behind.get(WISH..).and_then(<[u8]>::first_chunk).copied();
    let beat = span(part(front, 6));
    let head = Head {
        silent: front[1] & SILENT != 0,
        closed: front[1] & CLOSED != 0,
        leaving: front[1] & LEAVING != 0,
        alone: front[1] & ALONE != 0,
        epoch: if numbered { Epoch::Number(Number { store, list }) } else { Epoch::Hash(list) },
        wish: wish.map_or(beat, span),
        beat,
        span: span(part(front, 12)),
        serial: u64::from_be_bytes(part(front, 16)),
        acked_life: u64::from_be_bytes(part(front, 24)),
        acked_serial: u64::from_be_bytes(part(front, 32)),
        hears,
        reach: Reach { reached: front[14], unreached: front[15] },
        leads: front[1] & COORDINATES != 0,
        joined: joined.map_or(0, u64::from_be_bytes),
    };
    let sane = head.serial > 0 && !head.span.is_zero() && head.span <= MAX_SPAN;
    sane.then_some(Beat { head, entries, each })
}

/// What was read, written again: what a later version appended is gone. For the fuzzer.
#[must_use]
pub fn print_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let beat = read(bytes)?;
    let mut out = vec![0; HEAD + MAX_NETWORKS * HEARD + WISH + JOINED + MAX_ENTRIES * ENTRY];
    let length = write(&beat.head, beat.entries(), &mut out);
    out.truncate(length);
    Some(out)
}

/// Cut to what the wire says: a claimant that counted on more than it announced would outlast a promise.
#[must_use]
pub fn whole_tenths(span: Duration) -> Duration {
    TENTH * u32::from(tenths(span))
}

/// A release that knows of no rules takes one that stays for a node that is none, and goes by turns.
fn named(entry: &Entry) -> u16 {
    let successor = entry.successor.map(|node| node & !STAYS);
    let is_barred = entry.barred && entry.stand == Stand::Unfit;
    match (entry.stays, successor) {
        (true, successor) => STAYS | successor.unwrap_or(STAYS_WITH_NOBODY),
        (false, Some(successor)) => successor,
        (false, None) => {
            if is_barred {
                BARRED
            } else {
                NOBODY
            }
        }
    }
}

fn tenths(span: Duration) -> u16 {
    u16::try_from(span.as_micros() / TENTH.as_micros()).unwrap_or(u16::MAX)
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let bytes: &[u8; ENTRY] = bytes.first_chunk()?;
    let stand = match bytes[1] & !GRANTS {
        0 => Stand::Unfit,
        1 => Stand::Fit,
        2 => Stand::Candidate,
        3 => Stand::Holder,
        _ => return None,
    };
    let named = u16::from_be_bytes(part(bytes, 2));
    let successor = named & !STAYS;
    Some(Entry {
        group: Group { router_id: bytes[0], key: u32::from_be_bytes(part(bytes, 4)) },
        stand,
        grants: bytes[1] & GRANTS != 0,
        successor: (successor < STAYS_WITH_NOBODY).then_some(successor),
        stays: named != NOBODY && named & STAYS != 0,
        barred: named == BARRED && stand == Stand::Unfit,
        term: u64::from_be_bytes(part(bytes, 8)),
    })
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("both layouts are longer than their last field's end")
}
