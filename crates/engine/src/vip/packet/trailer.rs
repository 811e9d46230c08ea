//! What keepalived 2.4 signs an advert with (`auth_hmac`; draft-cassen-vrrp-auth-hmac), of either version:
//!
//! ```text
//! |type 1|id of the key|0 x2|seconds x4|1/65536 s x2|counter x2|tag x16|
//! ```
//!
//! The tag is the first half of HMAC-SHA256 over `|4 or 6|version|router id|0|source x16|`, the advert with a checksum of zero,
//! the trailer as far as the tag, and 16 zeros. Where it goes is not in it: one signature serves for all peers.

use std::net::IpAddr;

use hkdf::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How long one is (bytes).
pub const TRAILER: usize = 28;

const TYPE: u8 = 1;
/// Before the tag.
const PREFIX: usize = 12;
const TAG: usize = TRAILER - PREFIX;
/// Where the checksum of an advert lies.
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// One that came behind an advert. Nothing of it was judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trailer<'a> {
    advert: &'a [u8],
    bytes: &'a [u8; TRAILER],
}

/// With what an advert of ours is signed.
#[derive(Clone, Copy)]
pub struct Signature<'a> {
    pub key: &'a [u8],
    pub id: u8,
    /// Larger than that of any advert before.
    pub sequence: u64,
}

/// It may go to logs: the key is not in it.
impl std::fmt::Debug for Signature<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, sequence) = (self.id, self.sequence);
        f.debug_struct("Signature").field("id", &id).field("sequence", &sequence).finish()
    }
}

impl<'a> Trailer<'a> {
    pub(super) const fn new(advert: &'a [u8], bytes: &'a [u8; TRAILER]) -> Self {
        Self { advert, bytes }
    }

    /// Its type is known, and what has to be zero is.
    #[must_use]
    pub const fn is_well_formed(self) -> bool {
        let [kind, _, a, b, ..] = *self.bytes;
        kind == TYPE && a == 0 && b == 0
    }

    /// The id of the key that it names.
    #[must_use]
    pub const fn key_id(self) -> u8 {
        self.bytes[1]
    }

    /// Seconds since 1970, their fraction and a counter, as one number.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        let [_, _, _, _, a, b, c, d, e, f, g, h, ..] = *self.bytes;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether who sent it from `source` has that key. Takes as long for a wrong one.
    #[must_use]
    pub fn is_of(self, key: &[u8], source: IpAddr) -> bool {
        let (prefix, tag) = self.bytes.split_at(PREFIX);
        tag_of(key, source, self.advert, prefix)
            .is_some_and(|made| made.verify_truncated_left(tag).is_ok())
    }
}

/// Writes the trailer of `advert`, which is sent from `source`, to `out`.
pub(super) fn sign(
    signature: &Signature<'_>,
    source: IpAddr,
    advert: &[u8],
    out: &mut [u8; TRAILER],
) {
    let (prefix, tag) = out.split_at_mut(PREFIX);
    prefix[..4].copy_from_slice(&[TYPE, signature.id, 0, 0]);
    prefix[4..].copy_from_slice(&signature.sequence.to_be_bytes());
    if let Some(made) = tag_of(signature.key, source, advert, prefix) {
        tag.copy_from_slice(&made.finalize().as_bytes()[..TAG]);
    }
}

/// None: `advert` is none.
fn tag_of(key: &[u8], source: IpAddr, advert: &[u8], prefix: &[u8]) -> Option<Hmac<Sha256>> {
    let [first, router_id, ..] = *advert else { return None };
    let mut pseudo = [0; 20];
    pseudo[..3].copy_from_slice(&[if source.is_ipv4() { 4 } else { 6 }, first >> 4, router_id]);
    match source {
        IpAddr::V4(ip) => pseudo[4..8].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => pseudo[4..].copy_from_slice(&ip.octets()),
    }
    let head = advert.get(..CHECKSUM.start)?;
    let rest = advert.get(CHECKSUM.end..)?;
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in [&pseudo[..], head, &[0; 2], rest, prefix, &[0; TAG]] {
        hmac.update(part);
    }
    Some(hmac)
}
