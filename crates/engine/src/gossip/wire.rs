//! The bodies of gossip.
//!
//! ```text
//!  0  1     2
//!  1  part  ...
//!
//!  rumour   life u48, incarnation u16, message u8, [other: node u16, life u48], [number u8],
//!           [count u16, count x (node u16, life u48, incarnation u16, state u8)]
//!  missed   count x node u16
//!  probe    number u32
//!  answer   number u32, [said]
//!  claims   count x (node u16, life u48, silent u8, flags u8), [heard u32]
//!  goodbye
//!  said     flags u8, ailments u8, duty u8, load 4 x u8
//!  passed   count x (by u8, hops u8, age u8, claim as above)
//! ```
//!
//! A rumour is what the crate foca says, without what the sealed packet says already: sender, receiver.
//! Numbers are big-endian, ages in eighths of a second, rounded up. Parts of later versions are refused; bytes
//! after the last whole entry are ignored, as who does not know of `heard`, the controllers that the sender hears,
//! ignores that. Passed is told to those alone who told theirs.

use std::time::Duration;

use arrayvec::ArrayVec;
use bytes::{Buf, BufMut};
use foca::{Codec, Header, Identity, Member, Message, State};

use super::Said;
use crate::packet::MAX_BODY;
use crate::reach::{Networks, Nodes};

const VERSION: u8 = 1;
const HEAD: usize = 2;
/// A rumour has at most so many bytes: what is said to a compute node has a bound, however much happens.
/// Behind the head of a probe and its answer it is filled to the last byte.
pub(super) const MAX_RUMOUR: usize = 12 + 37 * MEMBER;
/// Receiver and node of the sender, which go before a rumour when foca reads it.
pub(super) const BEFORE: usize = 10;
/// Members in one rumour that says nothing else.
pub(super) const MAX_TOLD: usize = (MAX_RUMOUR - 11) / MEMBER;
/// Nodes in one packet about whom is missed.
pub(super) const MAX_MISSED: usize = 16;
const CLAIM: usize = 10;
/// Claims in one packet.
pub(super) const MAX_CLAIMS: usize = 100;
const PASSED: usize = 3 + CLAIM;
/// Claims of others in one packet.
pub(super) const MAX_PASSED: usize = 80;
/// Of this an age has so many.
pub(super) const AGE: Duration = Duration::from_millis(125);
const MEMBER: usize = 11;
/// A life has 48 bits: milliseconds of the wall clock until the year 10889.
pub(super) const LIFE: u64 = (1 << 48) - 1;
/// The message of a rumour that ends a life.
const OVER: u8 = 10;
const LEFT: u8 = 1;
const EVERYWHERE: u8 = 2;
const GONE: u8 = 4;
/// Of controllers there are at most 32.
const HEARD: u64 = u32::MAX as u64;

/// Who somebody is in the gossip of one network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Id {
    pub(super) node: u16,
    /// Grows with each start, and whenever the others gave it up; 0: in the cluster file, not heard of yet.
    pub(super) life: u64,
}

impl Identity for Id {
    type Addr = u16;

    fn renew(&self) -> Option<Self> {
        Some(Self { node: self.node, life: (self.life + 1) & LIFE })
    }

    fn addr(&self) -> u16 {
        self.node
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.life > other.life
    }
}

/// What a controller found of a node by asking it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Claim {
    pub(super) node: u16,
    /// The life of the node that it is about.
    pub(super) life: u64,
    /// Networks on which it did not answer.
    pub(super) silent: Networks,
    /// It said goodbye.
    pub(super) left: bool,
    /// It answered on none.
    pub(super) everywhere: bool,
    /// Its kernel refused, as [`crate::verdict::is_gone`] wants it. Earlier versions read past that.
    pub(super) gone: bool,
}

/// What another controller found, as a third one tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Passed {
    pub(super) by: u16,
    /// So many controllers passed it on, who tells it among them.
    pub(super) hops: u8,
    /// Since it was told by who found it.
    pub(super) age: Duration,
    pub(super) claim: Claim,
}

/// One body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part<'a> {
    Rumour(&'a [u8]),
    /// These answered neither the sender nor those whom it asked to try.
    Missed(ArrayVec<u16, MAX_MISSED>),
    Probe(u32),
    Answer(u32, Option<Said>),
    /// At most [`MAX_CLAIMS`], and which controllers the sender hears; none: it is of an earlier version.
    Claims {
        claims: Vec<Claim>,
        heard: Option<Nodes>,
    },
    Goodbye,
    Said(Said),
    /// At most [`MAX_PASSED`].
    Passed(Vec<Passed>),
}

impl<'a> Part<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let part = match self {
            Self::Rumour(_) => 1,
            Self::Missed(_) => 2,
            Self::Probe(_) => 3,
            Self::Answer(..) => 4,
            Self::Claims { .. } => 5,
            Self::Goodbye => 6,
            Self::Said(_) => 7,
            Self::Passed(_) => 8,
        };
        out.extend_from_slice(&[VERSION, part]);
        match self {
            Self::Rumour(text) => out.extend_from_slice(text),
            Self::Missed(nodes) => nodes.iter().for_each(|node| out.put_u16(*node)),
            Self::Probe(number) => out.put_u32(*number),
            Self::Answer(number, said) => {
                out.put_u32(*number);
                said.iter().for_each(|said| said.encode(out));
            }
            Self::Claims { claims, heard } => {
                claims.iter().for_each(|claim| claim.encode(out));
                heard.iter().for_each(|heard| out.put_uint(heard.bits() & HEARD, 4));
            }
            Self::Goodbye => {}
            Self::Said(said) => said.encode(out),
            Self::Passed(passed) => passed.iter().for_each(|passed| passed.encode(out)),
        }
        debug_assert!(out.len() <= MAX_BODY, "it would not fit into a packet");
    }

    /// None: of another version, or cut.
    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let (&[version, part], rest) = body.split_first_chunk::<HEAD>()?;
        let number = || Some(u32::from_be_bytes(*rest.first_chunk()?));
        match (version, part) {
            (VERSION, 1) => (rest.len() <= MAX_RUMOUR).then_some(Self::Rumour(rest)),
            (VERSION, 2) => {
                let nodes = rest.as_chunks::<2>().0.iter().take(MAX_MISSED);
                Some(Self::Missed(nodes.map(|node| u16::from_be_bytes(*node)).collect()))
            }
            (VERSION, 3) => number().map(Self::Probe),
            (VERSION, 4) => Some(Self::Answer(number()?, Said::decode(rest.get(4..)?))),
            (VERSION, 5) => {
                let (claims, rest) = rest.as_chunks::<CLAIM>();
                let claims = claims.iter().take(MAX_CLAIMS).map(Claim::decode).collect();
                let heard = rest.first_chunk().map(|heard| u32::from_be_bytes(*heard));
                let heard = heard.map(|heard| Nodes::from_bits(heard.into()));
                Some(Self::Claims { claims, heard })
            }
            (VERSION, 6) => Some(Self::Goodbye),
            (VERSION, 7) => Said::decode(rest).map(Self::Said),
            (VERSION, 8) => {
                let passed = rest.as_chunks::<PASSED>().0.iter().take(MAX_PASSED);
                Some(Self::Passed(passed.map(Passed::decode).collect()))
            }
            (_, _) => None,
        }
    }
}

impl Claim {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.node);
        out.put_uint(self.life, 6);
        out.put_u8(self.silent.iter().fold(0, |bits, network| bits | 1 << network));
        let flags = [(self.left, LEFT), (self.everywhere, EVERYWHERE), (self.gone, GONE)];
        out.put_u8(flags.iter().fold(0, |bits, (is_set, flag)| bits | (u8::from(*is_set) * flag)));
    }

    fn decode(bytes: &[u8; CLAIM]) -> Self {
        let mut bytes: &[u8] = bytes;
        let (node, life) = (bytes.get_u16(), bytes.get_uint(6));
        let (silent, flags) = (bytes.get_u8(), bytes.get_u8());
        Self {
            node,
            life,
            silent: (0..8).filter(|network| silent >> network & 1 != 0).collect(),
            left: flags & LEFT != 0,
            everywhere: flags & EVERYWHERE != 0,
            gone: flags & GONE != 0,
        }
    }
}

impl Passed {
    fn encode(&self, out: &mut Vec<u8>) {
        let age = self.age.as_millis().div_ceil(AGE.as_millis());
        out.put_u8(u8::try_from(self.by).unwrap_or(u8::MAX));
        out.put_u8(self.hops);
        out.put_u8(u8::try_from(age).unwrap_or(u8::MAX));
        self.claim.encode(out);
    }

    fn decode(bytes: &[u8; PASSED]) -> Self {
        let [by, hops, age, claim @ ..] = bytes;
        Self {
            by: u16::from(*by),
            hops: *hops,
            age: AGE * u32::from(*age),
            claim: Claim::decode(claim),
        }
    }
}

/// Why foca's part of a body cannot be read or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it ends too early")]
    Short,
    #[error("it does not fit")]
    Long,
    #[error("there is no message {0}")]
    Message(u8),
    #[error("there is no state {0}")]
    State(u8),
    #[error("the cluster file has no node {0}")]
    Node(u16),
}

/// How foca's words become bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// Nodes of the cluster file: nobody else can be talked of, so that memory has a bound.
    pub(super) nodes: u16,
}

impl Words {
    fn id(self, bytes: &mut impl Buf) -> Result<Id, Unreadable> {
        let node = bytes.try_get_u16().map_err(|_| Unreadable::Short)?;
        let life = self.life(bytes)?;
        if node >= self.nodes { Err(Unreadable::Node(node)) } else { Ok(Id { node, life }) }
    }

    fn life(self, bytes: &mut impl Buf) -> Result<u64, Unreadable> {
        if bytes.remaining() < 6 { Err(Unreadable::Short) } else { Ok(bytes.get_uint(6)) }
    }
}

fn put_id(id: Id, out: &mut impl BufMut) {
    out.put_u16(id.node);
    out.put_uint(id.life, 6);
}

impl Codec<Id> for Words {
    type Error = Unreadable;

    fn encode_header(
        &mut self,
        header: &Header<Id>,
        mut out: impl BufMut,
    ) -> Result<(), Self::Error> {
        if out.remaining_mut() < BEFORE + 18 {
            return Err(Unreadable::Long);
        }
        put_id(header.dst, &mut out);
        put_id(header.src, &mut out);
        out.put_u16(header.src_incarnation);
        let (tag, other, number) = match &header.message {
            Message::Ping(number) => (1, None, Some(*number)),
            Message::Ack(number) => (2, None, Some(*number)),
            Message::PingReq { target, probe_number } => (3, Some(*target), Some(*probe_number)),
            Message::IndirectPing { origin, probe_number } => {
                (4, Some(*origin), Some(*probe_number))
            }
            Message::IndirectAck { target, probe_number } => {
                (5, Some(*target), Some(*probe_number))
            }
            Message::ForwardedAck { origin, probe_number } => {
                (6, Some(*origin), Some(*probe_number))
            }
            Message::Announce => (7, None, None),
            Message::Feed => (8, None, None),
            Message::Gossip => (9, None, None),
            // It says that this life is over, and must not end the next one.
            Message::TurnUndead => (OVER, Some(header.dst), None),
            Message::Broadcast => return Err(Unreadable::Message(11)),
        };
        out.put_u8(tag);
        other.into_iter().for_each(|other| put_id(other, &mut out));
        number.into_iter().for_each(|number| out.put_u8(number));
        Ok(())
    }

    fn decode_header(&mut self, mut bytes: impl Buf) -> Result<Header<Id>, Self::Error> {
        let dst = self.id(&mut bytes)?;
        let src = self.id(&mut bytes)?;
        let src_incarnation = bytes.try_get_u16().map_err(|_| Unreadable::Short)?;
        let tag = bytes.try_get_u8().map_err(|_| Unreadable::Short)?;
        let other = if matches!(tag, 3..=6 | OVER) { self.id(&mut bytes)? } else { src };
        let probe_number = match tag {
            1..=6 => bytes.try_get_u8().map_err(|_| Unreadable::Short)?,
            _ => 0,
        };
        let message = match tag {
            1 => Message::Ping(probe_number),
            2 => Message::Ack(probe_number),
            3 => Message::PingReq { target: other, probe_number },
            4 => Message::IndirectPing { origin: other, probe_number },
            5 => Message::IndirectAck { target: other, probe_number },
            6 => Message::ForwardedAck { origin: other, probe_number },
            7 => Message::Announce,
            8 => Message::Feed,
            9 => Message::Gossip,
            OVER => Message::TurnUndead,
            unknown => return Err(Unreadable::Message(unknown)),
        };
        let dst = if tag == OVER { other } else { dst };
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(
        &mut self,
        member: &Member<Id>,
        mut out: impl BufMut,
    ) -> Result<(), Self::Error> {
        if out.remaining_mut() < MEMBER {
            return Err(Unreadable::Long);
        }
        put_id(*member.id(), &mut out);
        out.put_u16(member.incarnation());
        out.put_u8(match member.state() {
            State::Alive => 1,
            State::Suspect => 2,
            State::Down => 3,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut bytes: impl Buf) -> Result<Member<Id>, Self::Error> {
        let id = self.id(&mut bytes)?;
        let incarnation = bytes.try_get_u16().map_err(|_| Unreadable::Short)?;
        let state = match bytes.try_get_u8().map_err(|_| Unreadable::Short)? {
            1 => State::Alive,
            2 => State::Suspect,
            3 => State::Down,
            unknown => return Err(Unreadable::State(unknown)),
        };
        Ok(Member::new(id, incarnation, state))
    }
}

/// Whether a rumour says that its receiver's life is over.
pub(super) fn ends_a_life(rumour: &[u8]) -> bool {
    rumour.get(8) == Some(&OVER)
}

/// The sender of a rumour as foca reads it, and whom else it lists if it answers a newcomer.
pub(super) fn lives(text: &[u8], nodes: usize) -> Vec<Member<Id>> {
    let mut words = Words { nodes: u16::try_from(nodes).unwrap_or(u16::MAX) };
    let mut rest = text;
    let Ok(header) = words.decode_header(&mut rest) else { return vec![] };
    let mut found = vec![Member::new(header.src, header.src_incarnation, State::Alive)];
    if header.message == Message::Feed && rest.len() >= 2 {
        rest = &rest[2..];
        while let Ok(member) = words.decode_member(&mut rest) {
            found.push(member);
        }
    }
    found
}

/// The body of gossip read and written again; none: it cannot be read. For tests of the format.
#[must_use]
pub fn print_again(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![];
    Part::decode(body)?.encode(&mut out);
    Some(out)
}
