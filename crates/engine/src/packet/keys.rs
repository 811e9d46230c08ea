//! The keys of pairs of nodes, and how one follows another without a pause.
//!
//! ```text
//!   accept(new)      both open old and new, both speak old
//!   speak(new)       who was told to speaks new; who hears new answers in new
//!   forget_others()  old opens no longer
//! ```

use arrayvec::ArrayVec;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Both nodes of a pair may change their part of it at the same time: old and new of each.
const MAX_KEYS: usize = 4;

/// What the two nodes of a pair know and nobody else does; 32 bytes, wiped when it goes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PairSecret([u8; 32]);

impl std::fmt::Debug for PairSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairSecret(..)")
    }
}

impl PairSecret {
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From a secret that all nodes of a cluster share; the same for (a, b) and (b, a).
    #[must_use]
    pub fn shared(secret: &[u8], cluster: &str, a: u16, b: u16) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        derive(b"outlast pair 2", secret, cluster, (a.min(b), a.max(b)), &mut bytes);
        Self(*bytes)
    }

    /// What `from` says to `to` is sealed with this.
    fn direction(&self, cluster: &str, from: u16, to: u16) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        derive(b"outlast packet 2", &self.0, cluster, (from, to), &mut key);
        key
    }
}

/// HKDF-SHA256 (RFC 5869): the label as salt; cluster and nodes as info, so that two clusters with one
/// secret do not hear each other.
fn derive(label: &[u8], secret: &[u8], cluster: &str, (a, b): (u16, u16), out: &mut [u8; 32]) {
    let length = u64::try_from(cluster.len()).unwrap_or(u64::MAX).to_be_bytes();
    let info: [&[u8]; 4] = [&length, cluster.as_bytes(), &a.to_be_bytes(), &b.to_be_bytes()];
    Hkdf::<Sha256>::new(Some(label), secret)
        .expand_multi_info(&info, out)
        .expect("32 bytes are fewer than HKDF can make");
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) epoch: u8,
    /// Seals what this node says to the other.
    pub(super) out: Zeroizing<[u8; 32]>,
    /// Opens what the other says to this node.
    pub(super) inward: Zeroizing<[u8; 32]>,
}

/// The keys shared with one peer, oldest first.
#[derive(Clone, Default)]
pub(super) struct Ring {
    keys: ArrayVec<Key, MAX_KEYS>,
    /// Position of the key that is spoken.
    spoken: usize,
    /// Of the newest packet to this peer; goes on through a change of keys, as [`super::Replay`] expects.
    seq: u64,
}

impl Ring {
    /// Without a key, and with so many packets before the first.
    pub(super) fn after(seq: u64) -> Self {
        Self { seq, ..Self::default() }
    }

    pub(super) const fn newest(&self) -> u64 {
        self.seq
    }

    pub(super) fn go_on(&mut self, newest: u64) {
        self.seq = self.seq.max(newest);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A number that is known already gets the new secret.
    pub(super) fn accept(
        &mut self,
        epoch: u8,
        secret: &PairSecret,
        cluster: &str,
        me: u16,
        peer: u16,
    ) {
        let key = Key {
            epoch,
            out: secret.direction(cluster, me, peer),
            inward: secret.direction(cluster, peer, me),
        };
        if let Some(known) = self.keys.iter_mut().find(|known| known.epoch == epoch) {
            *known = key;
            return;
        }
        if self.keys.is_full() {
            let oldest = usize::from(self.spoken == 0);
            self.keys.remove(oldest);
            self.spoken -= usize::from(oldest < self.spoken);
        }
        self.keys.push(key);
    }

    /// Opens these and no others, the oldest first. Speaks `speak`, or a later one in which the peer was heard.
    pub(super) fn renew(
        &mut self,
        keys: &[(u8, PairSecret)],
        speak: u8,
        (cluster, me, peer): (&str, u16, u16),
    ) {
        let heard = self.keys.get(self.spoken).map(|key| key.epoch);
        self.keys.clear();
        let skipped = keys.len().saturating_sub(MAX_KEYS);
        for (epoch, secret) in &keys[skipped..] {
            self.accept(*epoch, secret, cluster, me, peer);
        }
        let position = |epoch| self.keys.iter().position(|key| Some(key.epoch) == epoch);
        self.spoken = position(heard).max(position(Some(speak))).unwrap_or(0);
    }

    pub(super) fn speak(&mut self, epoch: u8) -> bool {
        let position = self.keys.iter().position(|key| key.epoch == epoch);
        self.spoken = position.unwrap_or(self.spoken);
        position.is_some()
    }

    /// The other side has this key: an answer in it will be understood.
    pub(super) fn heard(&mut self, epoch: u8) {
        let position = self.keys.iter().position(|key| key.epoch == epoch);
        self.spoken = self.spoken.max(position.unwrap_or(0));
    }

    pub(super) fn forget_others(&mut self) {
        let spoken = self.keys.get(self.spoken).map(|key| key.epoch);
        self.keys.retain(|key| Some(key.epoch) == spoken);
        self.spoken = 0;
    }

    pub(super) fn key(&self, epoch: u8) -> Option<&Key> {
        self.keys.iter().find(|key| key.epoch == epoch)
    }

    pub(super) fn spoken(&mut self) -> Option<(&Key, &mut u64)> {
        self.keys.get(self.spoken).map(|key| (key, &mut self.seq))
    }
}
