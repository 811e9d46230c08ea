//! The content of a generation as it lies in the store: sealed under a key of the cluster, or as it is.
//!
//! ```text
//!  0          8       16     28          len-16  len
//!  "OUTLGEN1" key id  nonce  cipher text  tag        AES-256-GCM-SIV (RFC 8452)
//! ```
//!
//! Authenticated besides: all before the cipher text, then the number of the generation (8 bytes, big-endian), so that
//! what was sealed for one is no other's. All files of a generation are one message, so that none of them can be
//! changed for another. What does not begin so was committed before there was a key, and is JSON.

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use zeroize::Zeroizing;

const MAGIC: [u8; 8] = *b"OUTLGEN1";
const ID: usize = 8;
const HEAD: usize = MAGIC.len() + ID + NONCE;
const TAG: usize = 16;

/// Random bytes that each sealing needs anew.
pub const NONCE: usize = 12;
/// So much longer is what is sealed (bytes).
pub const OVERHEAD: usize = HEAD + TAG;

/// Which key of the cluster.
pub type KeyId = [u8; ID];

/// A key of the cluster. Never shown.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", hex(self.id))
    }
}

impl Key {
    #[must_use]
    pub fn new(id: KeyId, secret: &[u8; 32]) -> Self {
        Self { id, secret: Zeroizing::new(*secret) }
    }
}

/// Why a content does not open.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealedError {
    #[error("it is cut short")]
    Length,
    #[error("it is sealed under the cluster's key {}, which this node has not", hex(*.0))]
    Key(KeyId),
    #[error("it does not open under the cluster's key {}: it is damaged, or was sealed for another generation", hex(*.0))]
    Forged(KeyId),
    #[error("it is too long to be sealed")]
    Long,
}

/// As people read it.
#[must_use]
pub fn hex(id: KeyId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Under which key it is sealed; none: it lies there as it is.
#[must_use]
pub fn key_of(stored: &[u8]) -> Option<KeyId> {
    stored.strip_prefix(&MAGIC)?.first_chunk().copied()
}

/// Seals the content of the generation with that number. No nonce is used twice with one key.
///
/// # Errors
/// [`SealedError::Long`] for more than the cipher takes (64 GiB).
pub fn seal(
    key: &Key,
    number: u64,
    nonce: [u8; NONCE],
    clear: &[u8],
) -> Result<Vec<u8>, SealedError> {
    let mut out = Vec::with_capacity(clear.len() + OVERHEAD);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&key.id);
    out.extend_from_slice(&nonce);
    let with = associated(&out, number);
    out.extend_from_slice(clear);
    let cipher = Aes256GcmSiv::new((&*key.secret).into());
    let text = out.get_mut(HEAD..).unwrap_or_default();
    let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce), &with, text.into());
    out.extend_from_slice(&tag.map_err(|_| SealedError::Long)?);
    Ok(out)
}

/// What was stored for the generation with that number, in clear.
///
/// # Errors
/// When it is sealed and does not open.
pub fn open(keys: &[Key], number: u64, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    let Some(id) = key_of(stored) else {
        // Nothing else begins like this; what is cut within the id is no JSON either.
        return match stored.starts_with(&MAGIC) {
            true => Err(SealedError::Length),
            false => Ok(Zeroizing::new(stored.to_vec())),
        };
    };
    let key = keys.iter().find(|key| key.id == id).ok_or(SealedError::Key(id))?;
    let (head, rest) = stored.split_at_checked(HEAD).ok_or(SealedError::Length)?;
    let nonce = head.last_chunk::<NONCE>().ok_or(SealedError::Length)?;
    let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(SealedError::Length)?;
    let mut clear = Zeroizing::new(text.to_vec());
    let cipher = Aes256GcmSiv::new((&*key.secret).into());
    let with = associated(head, number);
    cipher
        .decrypt_inout_detached(
            &Nonce::from(*nonce),
            &with,
            (&mut clear[..]).into(),
            &Tag::from(*tag),
        )
        .map_err(|_| SealedError::Forged(id))?;
    Ok(clear)
}

fn associated(head: &[u8], number: u64) -> Vec<u8> {
    [head, &number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: &[u8] = b"{\"v\":1,\"msg\":{\"texts\":[\"stats auth admin:hunter2\"]}}";

    fn key(number: u8) -> Key {
        Key::new([number; ID], &[number; 32])
    }

    fn sealed(by: u8, number: u64) -> Vec<u8> {
        seal(&key(by), number, [9; NONCE], CLEAR).unwrap()
    }

    #[test]
    fn a_content_in_the_store() {
        let bytes = sealed(1, 7);
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect_test::expect!["4f55544c47454e3101010101010101010909090909090909090909099eac24e438b40318bb3796bc925410b83676cf9101cdd602502e8ca9f717b7dde08f327dcfdf78075bc468e79fca1278cfdfb72559a453619e65a2db263a5a046c418202"].assert_eq(&text);
        assert_eq!(bytes.len(), CLEAR.len() + OVERHEAD);
        assert!(!bytes.windows(4).any(|seen| seen == b"hunt"), "nothing of it can be read");
        assert_eq!(key_of(&bytes), Some([1; ID]));
        assert_eq!(**open(&[key(1)], 7, &bytes).unwrap(), *CLEAR);
    }

    #[test]
    fn what_was_sealed_for_another_generation_or_under_another_key_does_not_open() {
        let bytes = sealed(1, 7);
        assert_eq!(open(&[key(1)], 8, &bytes), Err(SealedError::Forged([1; ID])), "swapped");
        assert_eq!(open(&[key(2)], 7, &bytes), Err(SealedError::Key([1; ID])));
        assert_eq!(open(&[], 7, &bytes), Err(SealedError::Key([1; ID])));
        let other = Key::new([1; ID], &[2; 32]);
        assert_eq!(open(&[other], 7, &bytes), Err(SealedError::Forged([1; ID])));
        let mut renamed = bytes;
        renamed[8..16].fill(2);
        let both = [key(1), key(2)];
        assert_eq!(open(&both, 7, &renamed), Err(SealedError::Forged([2; ID])));
        assert!(!format!("{:?}", key(7)).contains("7, 7"), "never shown");
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let bytes = sealed(1, 7);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            // Without its first bytes it is none that is sealed, and no JSON.
            let opened = open(&[key(1)], 7, &changed);
            assert!(opened.is_err() || at < 8 && **opened.unwrap() != *CLEAR, "byte {at}");
        }
        for length in 8..bytes.len() {
            assert!(open(&[key(1)], 7, &bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_was_sealed_under_a_former_key_or_lies_in_clear_is_read() {
        let both = [key(1), key(2)];
        assert_eq!(**open(&both, 7, &sealed(1, 7)).unwrap(), *CLEAR);
        assert_eq!(**open(&both, 8, &sealed(2, 8)).unwrap(), *CLEAR);
        assert_eq!(**open(&both, 6, CLEAR).unwrap(), *CLEAR);
        assert_eq!(key_of(CLEAR), None);
    }
}
