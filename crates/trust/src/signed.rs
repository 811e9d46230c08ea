//! A roster with the authority's signature: whoever passes it on cannot change it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{KeyPair, SigningKey};
use serde::{Deserialize, Serialize};

use crate::hex;
use crate::keys::KeyError;
use crate::roster::Roster;

/// Nothing else that the authority signs begins like this: certificates begin with a byte 0x30.
const HEAD: &str = "outlast roster 1\n";
/// SubjectPublicKeyInfo of a key on P-256 before the point (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// A point that is not compressed (SEC 1).
const POINT: usize = 65;

/// Why a roster is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignedError {
    #[error("the roster is not signed by the cluster's authority")]
    Signature,
    #[error("the signed roster cannot be understood: a newer release made it")]
    Form,
}

/// The text that is signed, and the signature in hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Signed {
    text: String,
    signature: String,
}

impl Signed {
    pub(crate) fn make(key: &KeyPair, roster: &Roster) -> Result<Self, KeyError> {
        let text = serde_json::to_string(roster).map_err(|_| KeyError::Make)?;
        let signature = key.sign(&message(&text)).map_err(|_| KeyError::Make)?;
        Ok(Self { text, signature: hex::encode(&signature) })
    }

    /// Whether it is this roster that was signed.
    pub(crate) fn is_of(&self, roster: &Roster) -> bool {
        serde_json::to_string(roster).is_ok_and(|text| text == self.text)
    }

    /// The roster, if the authority with this certificate signed it.
    pub(crate) fn open(&self, authority: &[u8]) -> Result<Roster, SignedError> {
        let signature = hex::decode(&self.signature).ok_or(SignedError::Signature)?;
        let point = public_key(authority).ok_or(SignedError::Signature)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(&message(&self.text), &signature)
            .map_err(|_| SignedError::Signature)?;
        serde_json::from_str(&self.text).map_err(|_| SignedError::Form)
    }
}

fn message(text: &str) -> Vec<u8> {
    [HEAD.as_bytes(), text.as_bytes()].concat()
}

/// Of a certificate that is known by its fingerprint: it has one key, its own.
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let at = certificate.windows(P256.len()).position(|window| window == P256)?;
    certificate.get(at + P256.len()..)?.get(..POINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authority, keys};

    #[test]
    fn a_roster_that_somebody_changed_or_another_authority_signed_is_not_believed() {
        let [ours, others] = [0, 1].map(|_| keys::signing().unwrap());
        let [own, other] =
            [&ours, &others].map(|key| authority::found("cloud", key, 1_790_000_000_000).unwrap());
        let roster = Roster { generation: 7, ..Roster::default() };
        let signed = Signed::make(&ours, &roster).unwrap();
        assert!(signed.is_of(&roster) && !signed.is_of(&Roster::default()));
        assert_eq!(signed.open(&own), Ok(roster));
        assert_eq!(signed.open(&other), Err(SignedError::Signature));
        assert_eq!(signed.open(b"no certificate"), Err(SignedError::Signature));
        let changed = Signed { text: signed.text.replace('7', "8"), ..signed.clone() };
        assert_eq!(changed.open(&own), Err(SignedError::Signature));
        let signature = signed.signature.replacen("30", "31", 1);
        assert_eq!(Signed { signature, ..signed }.open(&own), Err(SignedError::Signature));
    }
}
