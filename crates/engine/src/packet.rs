//! The one format of datagrams between nodes: sealed, counted, bound to their network.
//!
//! ```text
//!  0     4  5  6     8  9  10         18         26              len-16      len
//!  "OUTL" v  k  node  n  0  incarnation   seq        body ...       HMAC-SHA256, first 16 bytes
//! ```
//!
//! Numbers are big-endian. The key is HMAC-SHA256(secret, "outlast packet 1" + cluster name), so that two
//! clusters with one secret do not hear each other. Sealing says who spoke; [`Replay`] says that it is
//! news. Nothing here allocates after the start.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

#[cfg(test)]
mod tests;

const MAGIC: [u8; 4] = *b"OUTL";
/// The version of the header; bodies have their own.
const VERSION: u8 = 1;
const HEADER: usize = 26;
const TAG: usize = 16;

/// No packet is longer, so that none is cut into fragments on a network with an MTU of 1280.
pub const MAX_PACKET: usize = 1200;
/// What a body can have at most.
pub const MAX_BODY: usize = MAX_PACKET - HEADER - TAG;
/// Nodes of a cluster whose packets are told apart.
pub const MAX_NODES: usize = 64;
/// Networks of a cluster on which packets are told apart.
pub const MAX_NETWORKS: usize = 8;

/// What a body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `member`: I live.
    Beat = 1,
    /// `vip`: what I could hold.
    Hello = 2,
    /// `vip`: you hold from now on.
    HandOver = 3,
    /// `member`: which events of yours do I not know?
    Question = 4,
    /// `member`: one event of mine.
    Told = 5,
}

impl Kind {
    const COUNT: usize = 5;

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Beat),
            2 => Some(Self::Hello),
            3 => Some(Self::HandOver),
            4 => Some(Self::Question),
            5 => Some(Self::Told),
            _ => None,
        }
    }

    /// Which process of a node says this. Agent and vip process start at different times, so the
    /// incarnation of one says nothing about the other: a beat sent to the vip port must not silence it.
    const fn process(self) -> usize {
        match self {
            Self::Beat | Self::Question | Self::Told => 0,
            Self::Hello | Self::HandOver => 1,
        }
    }
}

/// A packet that some node of this cluster sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opened<'a> {
    /// Position in the cluster file.
    pub sender: u16,
    /// The network it was sent on, position in the cluster file.
    pub network: u8,
    pub kind: Kind,
    /// Grows with each start of the sender.
    pub incarnation: u64,
    /// Grows with each packet of one incarnation.
    pub seq: u64,
    pub body: &'a [u8],
}

/// Why bytes are no packet of this cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    #[error("the packet is too short or too long")]
    Length,
    #[error("not a packet of this program")]
    Magic,
    #[error("the packet has version {0}, this program speaks {VERSION}")]
    Version(u8),
    #[error("the packet is sealed with another key")]
    Seal,
    #[error("the packet is of unknown kind {0}")]
    Kind(u8),
}

/// Seals what this node says, and opens what others said.
#[derive(Clone)]
pub struct Seal {
    mac: Hmac<Sha256>,
    sender: u16,
    incarnation: u64,
    seq: u64,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of every log.
        f.debug_struct("Seal")
            .field("sender", &self.sender)
            .field("incarnation", &self.incarnation)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl Seal {
    /// `incarnation` must grow from start to start; the wall clock in milliseconds does.
    #[must_use]
    pub fn new(secret: &[u8], cluster: &str, sender: u16, incarnation: u64) -> Self {
        let mut key = keyed(secret);
        key.update(b"outlast packet 1");
        key.update(cluster.as_bytes());
        let key = key.finalize().into_bytes();
        Self { mac: keyed(&key), sender, incarnation, seq: 0 }
    }

    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Writes a packet into `out` and returns its length; 0 if the body does not fit.
    pub fn seal(&mut self, kind: Kind, network: u8, body: &[u8], out: &mut [u8]) -> usize {
        let length = HEADER + body.len() + TAG;
        if length > MAX_PACKET || length > out.len() {
            return 0;
        }
        self.seq += 1;
        let (signed, tag) = out[..length].split_at_mut(HEADER + body.len());
        signed[..4].copy_from_slice(&MAGIC);
        signed[4] = VERSION;
        signed[5] = kind as u8;
        signed[6..8].copy_from_slice(&self.sender.to_be_bytes());
        signed[8] = network;
        signed[9] = 0;
        signed[10..18].copy_from_slice(&self.incarnation.to_be_bytes());
        signed[18..HEADER].copy_from_slice(&self.seq.to_be_bytes());
        signed[HEADER..].copy_from_slice(body);
        let mac = self.mac.clone().chain_update(&*signed).finalize().into_bytes();
        tag.copy_from_slice(&mac[..TAG]);
        length
    }

    /// Checks the seal before anything inside is believed.
    ///
    /// # Errors
    /// When the bytes are not a packet that this cluster sealed.
    pub fn open<'a>(&self, bytes: &'a [u8]) -> Result<Opened<'a>, OpenError> {
        if !(HEADER + TAG..=MAX_PACKET).contains(&bytes.len()) {
            return Err(OpenError::Length);
        }
        if bytes[..4] != MAGIC {
            return Err(OpenError::Magic);
        }
        if bytes[4] != VERSION {
            return Err(OpenError::Version(bytes[4]));
        }
        let (signed, tag) = bytes.split_at(bytes.len() - TAG);
        // Compares in constant time.
        let mac = self.mac.clone().chain_update(signed);
        mac.verify_truncated_left(tag).map_err(|_| OpenError::Seal)?;
        let kind = Kind::from_byte(bytes[5]).ok_or(OpenError::Kind(bytes[5]))?;
        Ok(Opened {
            sender: u16::from_be_bytes([bytes[6], bytes[7]]),
            network: bytes[8],
            kind,
            incarnation: number(&bytes[10..18]),
            seq: number(&bytes[18..HEADER]),
            body: &signed[HEADER..],
        })
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Processes of a node that seal packets, each with its own incarnation.
const PROCESSES: usize = 2;

/// The newest life of one process of a sender.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    incarnation: u64,
    /// The newest packet of this life per network and kind; 0 before the first.
    newest: [[u64; Kind::COUNT]; MAX_NETWORKS],
}

/// Remembers the newest life of each sender and, within it, the newest packet per network and kind.
///
/// Whatever a process said before its restart is old as soon as its successor was heard, on any network
/// and about anything: a recorded hand-over is none.
#[derive(Clone, Debug)]
pub struct Replay {
    lives: Box<[[Life; PROCESSES]; MAX_NODES]>,
}

impl Default for Replay {
    fn default() -> Self {
        Self { lives: Box::new([[Life::default(); PROCESSES]; MAX_NODES]) }
    }
}

impl Replay {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True once per packet, and only in order; senders and networks beyond the limits are never news.
    pub fn is_news(&mut self, packet: &Opened<'_>) -> bool {
        let network = usize::from(packet.network);
        let lives = self.lives.get_mut(usize::from(packet.sender));
        let Some(life) = lives.map(|lives| &mut lives[packet.kind.process()]) else {
            return false;
        };
        if network >= MAX_NETWORKS || packet.incarnation < life.incarnation {
            return false;
        }
        if packet.incarnation > life.incarnation {
            *life = Life { incarnation: packet.incarnation, ..Life::default() };
        }
        let newest = &mut life.newest[network][packet.kind as usize - 1];
        let news = packet.seq > *newest;
        *newest = packet.seq.max(*newest);
        news
    }
}
