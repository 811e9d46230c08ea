//! The one format of datagrams between nodes: encrypted for one receiver, counted, bound to their network.
//!
//! ```text
//!  0     4  5  6     8   10 11 12          20         28            len-16        len
//!  "OUTL" v  k  from  to  n  e  incarnation   seq       cipher text ...       tag
//! ```
//!
//! Numbers are big-endian. AES-256-GCM-SIV (RFC 8452): a number used twice, after a clock was set back,
//! shows that two packets are equal and nothing more. Each direction of each pair of nodes has a key
//! ([`PairSecret`]), so nobody can speak for a third node, and what comes back to its sender does not open.
//! The head is readable and authenticated; `e` says which of the pair's keys. Opening says who spoke;
//! [`Replay`] says that it is news. Nothing here allocates after the start.

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};

pub use keys::PairSecret;
pub use replay::{Newest, Replay};

mod keys;
mod replay;
#[cfg(test)]
mod tests;

use keys::Ring;

const MAGIC: [u8; 4] = *b"OUTL";
/// The version of the header; bodies have their own.
const VERSION: u8 = 2;
const HEADER: usize = 28;
const TAG: usize = 16;

/// No packet is longer, so that none is cut into fragments on a network with an MTU of 1280.
pub const MAX_PACKET: usize = 1200;
/// What a body can have at most.
pub const MAX_BODY: usize = MAX_PACKET - HEADER - TAG;
/// Nodes of a cluster whose packets are told apart.
pub const MAX_NODES: usize = 64;
/// Networks of a cluster on which packets are told apart.
pub const MAX_NETWORKS: usize = 8;
/// Packets of one sender under one start: 5 bytes of the nonce. At 1,000 a second that is 34 years.
const MAX_SEQ: u64 = (1 << 40) - 1;

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
    /// `errand`: do this.
    Errand = 6,
    /// `errand`: what came of it.
    Answer = 7,
    /// `gossip`: who lives, among very many.
    Gossip = 8,
    /// `vip::lease`: what I hold, ask for and grant.
    VipBeat = 9,
}

impl Kind {
    /// Kinds of one process that are counted apart.
    const COUNT: usize = 8;

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Beat),
            2 => Some(Self::Hello),
            3 => Some(Self::HandOver),
            4 => Some(Self::Question),
            5 => Some(Self::Told),
            6 => Some(Self::Errand),
            7 => Some(Self::Answer),
            8 => Some(Self::Gossip),
            9 => Some(Self::VipBeat),
            _ => None,
        }
    }

    /// Which process of a node says this. Agent and vip process start at different times, so the
    /// incarnation of one says nothing about the other: a beat sent to the vip port must not silence it.
    const fn process(self) -> usize {
        match self {
            Self::Beat
            | Self::Question
            | Self::Told
            | Self::Errand
            | Self::Answer
            | Self::Gossip => 0,
            Self::Hello | Self::HandOver | Self::VipBeat => 1,
        }
    }

    /// Where its packets are counted, below [`Self::COUNT`]. Beats of the two processes share a place, as each
    /// process has its own: recordings keep their form.
    const fn window(self) -> usize {
        match self {
            Self::VipBeat => Self::Beat as usize - 1,
            Self::Beat
            | Self::Hello
            | Self::HandOver
            | Self::Question
            | Self::Told
            | Self::Errand
            | Self::Answer
            | Self::Gossip => self as usize - 1,
        }
    }

    /// Whether it replaces what was said before: then an older one that comes late says nothing.
    const fn replaces(self) -> bool {
        match self {
            Self::Beat | Self::Hello | Self::HandOver | Self::VipBeat => true,
            Self::Question | Self::Told | Self::Errand | Self::Answer | Self::Gossip => false,
        }
    }
}

/// A packet that some node of this cluster sealed for this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opened<'a> {
    /// Position in the cluster file.
    pub sender: u16,
    /// The network it was sent on, position in the cluster file.
    pub network: u8,
    pub kind: Kind,
    /// Grows with each start of the sender.
    pub incarnation: u64,
    /// Grows with each packet of one incarnation to this receiver.
    pub seq: u64,
    pub body: &'a [u8],
}

/// Why bytes are no packet for this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    #[error("the packet is too short or too long")]
    Length,
    #[error("not a packet of this program")]
    Magic,
    #[error("the packet has version {0}, this program speaks {VERSION}")]
    Version(u8),
    #[error("the packet is meant for node {0}")]
    Receiver(u16),
    #[error("the packet says that it is of node {0}, with which this node shares no key")]
    Stranger(u16),
    #[error("the packet is sealed with key {0} of its pair, which is not known here")]
    Key(u8),
    #[error("the packet is forged, damaged, or sealed with another secret")]
    Forged,
    #[error("the packet is of unknown kind {0}")]
    Kind(u8),
}

/// Where an opened body is put.
pub type Body = [u8; MAX_BODY];

/// Seals what this node says, and opens what others said to it.
#[derive(Clone)]
pub struct Seal {
    cluster: String,
    me: u16,
    incarnation: u64,
    /// By position in the cluster file.
    rings: Vec<Ring>,
    /// What a process before this one may have sealed for anybody, also for whom this one meets later.
    before: u64,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The keys stay out of every log.
        f.debug_struct("Seal")
            .field("sender", &self.me)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

impl Seal {
    /// Knows nobody: [`Self::accept`] gives it one pair's secret after the other.
    ///
    /// `incarnation` must grow from start to start; the wall clock in milliseconds does.
    #[must_use]
    pub fn new(cluster: &str, me: u16, incarnation: u64) -> Self {
        Self { cluster: cluster.to_owned(), me, incarnation, rings: vec![], before: 0 }
    }

    /// For `nodes` nodes that have one secret between them all. The pairs' keys differ, but whoever has the
    /// secret can work out each of them.
    #[must_use]
    pub fn shared(secret: &[u8], cluster: &str, nodes: usize, me: u16, incarnation: u64) -> Self {
        let mut seal = Self::new(cluster, me, incarnation);
        let nodes = u16::try_from(nodes).unwrap_or(u16::MAX);
        for peer in (0..nodes).filter(|peer| *peer != me) {
            seal.accept(peer, 0, &PairSecret::shared(secret, cluster, me, peer));
        }
        seal
    }

    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// From now on opens what `peer` seals with its key number `epoch`. The first key of a pair is spoken at
    /// once; a later one as soon as [`Self::speak`] says so or the peer is heard under it. The oldest of
    /// more than four is forgotten.
    pub fn accept(&mut self, peer: u16, epoch: u8, secret: &PairSecret) {
        if peer == self.me {
            return;
        }
        self.make_ring(peer);
        let ring = &mut self.rings[usize::from(peer)];
        ring.accept(epoch, secret, &self.cluster, self.me, peer);
    }

    /// Seals what is said to `peer` with this key of the pair; says whether it is known.
    pub fn speak(&mut self, peer: u16, epoch: u8) -> bool {
        self.rings.get_mut(usize::from(peer)).is_some_and(|ring| ring.speak(epoch))
    }

    /// Opens only what is sealed with the key that is spoken to `peer`; all others are wiped.
    pub fn forget_others(&mut self, peer: u16) {
        if let Some(ring) = self.rings.get_mut(usize::from(peer)) {
            ring.forget_others();
        }
    }

    /// Changes all keys of a pair at once, the oldest first: what is not among them opens no longer. `speak` is
    /// what the peer surely has; a later one is spoken as soon as the peer was heard in it. None: as
    /// [`Self::revoke`].
    pub fn renew(&mut self, peer: u16, keys: &[(u8, PairSecret)], speak: u8) {
        if peer == self.me {
            return;
        }
        self.make_ring(peer);
        self.rings[usize::from(peer)].renew(keys, speak, (&self.cluster, self.me, peer));
    }

    fn make_ring(&mut self, peer: u16) {
        let (count, before) = (usize::from(peer) + 1, self.before);
        if self.rings.len() < count {
            self.rings.resize_with(count, || Ring::after(before));
        }
    }

    /// Neither speaks to `peer` nor hears it any more.
    pub fn revoke(&mut self, peer: u16) {
        if let Some(ring) = self.rings.get_mut(usize::from(peer)) {
            *ring = Ring::after(ring.newest());
        }
    }

    /// The greatest number of a packet that was sealed for anybody.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.rings.iter().map(Ring::newest).max().unwrap_or(0)
    }

    /// Another process of the same life sealed that many: counting goes on behind them.
    pub fn go_on(&mut self, newest: u64) {
        self.before = self.before.max(newest);
        self.rings.iter_mut().for_each(|ring| ring.go_on(newest));
    }

    /// Writes a packet for `to` into `out` and returns its length; 0 if the body does not fit or no key is
    /// shared with that node.
    pub fn seal(
        &mut self,
        kind: Kind,
        (to, network): (u16, u8),
        body: &[u8],
        out: &mut [u8],
    ) -> usize {
        let length = HEADER + body.len() + TAG;
        let ring = self.rings.get_mut(usize::from(to));
        let Some((key, seq)) = ring.and_then(Ring::spoken) else { return 0 };
        if length > MAX_PACKET || length > out.len() || *seq >= MAX_SEQ {
            return 0;
        }
        *seq += 1;
        let (head, rest) = out[..length].split_at_mut(HEADER);
        head[..4].copy_from_slice(&MAGIC);
        head[4] = VERSION;
        head[5] = kind as u8;
        head[6..8].copy_from_slice(&self.me.to_be_bytes());
        head[8..10].copy_from_slice(&to.to_be_bytes());
        head[10] = network;
        head[11] = key.epoch;
        head[12..20].copy_from_slice(&self.incarnation.to_be_bytes());
        head[20..HEADER].copy_from_slice(&seq.to_be_bytes());
        let (text, tag) = rest.split_at_mut(body.len());
        text.copy_from_slice(body);
        let cipher = Aes256GcmSiv::new((&*key.out).into());
        let Ok(made) = cipher.encrypt_inout_detached(&nonce(head), head, text.into()) else {
            return 0;
        };
        tag.copy_from_slice(&made);
        length
    }

    /// Checks who sealed it before anything inside is believed; the body is put into `body`.
    ///
    /// What is no packet for this node costs a look at its head; what is forged costs one try with one key.
    ///
    /// # Errors
    /// When the bytes are not a packet that a peer sealed for this node.
    pub fn open<'a>(&mut self, bytes: &[u8], body: &'a mut Body) -> Result<Opened<'a>, OpenError> {
        if !(HEADER + TAG..=MAX_PACKET).contains(&bytes.len()) {
            return Err(OpenError::Length);
        }
        if bytes[..4] != MAGIC {
            return Err(OpenError::Magic);
        }
        if bytes[4] != VERSION {
            return Err(OpenError::Version(bytes[4]));
        }
        let (head, rest) = bytes.split_at(HEADER);
        let (text, tag) = rest.split_at(rest.len() - TAG);
        let sender = u16::from_be_bytes([head[6], head[7]]);
        let receiver = u16::from_be_bytes([head[8], head[9]]);
        if receiver != self.me {
            return Err(OpenError::Receiver(receiver));
        }
        let ring = self.rings.get_mut(usize::from(sender)).filter(|ring| !ring.is_empty());
        let ring = ring.ok_or(OpenError::Stranger(sender))?;
        let epoch = head[11];
        let key = ring.key(epoch).ok_or(OpenError::Key(epoch))?;
        let body = &mut body[..text.len()];
        body.copy_from_slice(text);
        let tag = Tag::try_from(tag).map_err(|_| OpenError::Length)?;
        let cipher = Aes256GcmSiv::new((&*key.inward).into());
        // Wipes the body when the tag is wrong, and compares in constant time.
        cipher
            .decrypt_inout_detached(&nonce(head), head, (&mut *body).into(), &tag)
            .map_err(|_| OpenError::Forged)?;
        ring.heard(epoch);
        let kind = Kind::from_byte(head[5]).ok_or(OpenError::Kind(head[5]))?;
        Ok(Opened {
            sender,
            network: head[10],
            kind,
            incarnation: number(&head[12..20]),
            seq: number(&head[20..HEADER]),
            body,
        })
    }
}

/// Once per key: agent and vip process of a node may start in the same millisecond, and their kinds differ.
fn nonce(head: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[0] = head[5];
    nonce[1..7].copy_from_slice(&head[14..20]);
    nonce[7..].copy_from_slice(&head[23..HEADER]);
    nonce
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
