//! Keys of a node: one that signs, one from which the secrets of its pairs come.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_ASN1};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::hex;
use crate::roster::Fingerprint;

/// A point of P-256, not compressed (SEC 1).
const SIGNING: usize = 65;
const AGREEMENT: usize = 32;
/// Nothing else that a node signs begins like this: in TLS it is 64 spaces.
const HEAD: &str = "outlast keys 1\n";

/// Why keys cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    #[error("no key can be made")]
    Make,
    #[error("the kept key is damaged")]
    Kept,
    #[error("the public key of the other side makes no sense")]
    Public,
}

/// The private keys of a node.
pub(crate) struct Keys {
    pub(crate) signing: KeyPair,
    agreement: PrivateKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    pub(crate) fn make() -> Result<Self, KeyError> {
        let signing = signing()?;
        let agreement = PrivateKey::generate(&X25519).map_err(|_| KeyError::Make)?;
        Ok(Self { signing, agreement })
    }

    /// As it is kept: the agreement key, then the signing key (PKCS 8).
    pub(crate) fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let seed: Curve25519SeedBin<'_> =
            self.agreement.as_be_bytes().map_err(|_| KeyError::Make)?;
        let mut bytes = Zeroizing::new(seed.as_ref().to_vec());
        bytes.extend_from_slice(self.signing.serialized_der());
        Ok(bytes)
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        let (seed, der) = bytes.split_at_checked(AGREEMENT).ok_or(KeyError::Kept)?;
        let agreement = PrivateKey::from_private_key(&X25519, seed).map_err(|_| KeyError::Kept)?;
        Ok(Self { signing: read_signing(der)?, agreement })
    }

    pub(crate) fn public(&self) -> Result<PublicKeys, KeyError> {
        let agreement = self.agreement.compute_public_key().map_err(|_| KeyError::Make)?;
        Ok(PublicKeys {
            signing: hex::encode(self.signing.public_key_raw()),
            agreement: hex::encode(agreement.as_ref()),
        })
    }

    /// Its signature over both public keys, in hexadecimal digits: only who has them can make it.
    pub(crate) fn proof(&self) -> Result<String, KeyError> {
        let signature = self.signing.sign(&self.public()?.message()).map_err(|_| KeyError::Make)?;
        Ok(hex::encode(&signature))
    }

    /// What this node and the owner of the other key know, and nobody else.
    pub(crate) fn pair(&self, other: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let other = hex::decode(other).ok_or(KeyError::Public)?;
        let own = self.agreement.compute_public_key().map_err(|_| KeyError::Kept)?;
        let (low, high) = if own.as_ref() < &other[..] {
            (own.as_ref(), &other[..])
        } else {
            (&other[..], own.as_ref())
        };
        let peer = UnparsedPublicKey::new(&X25519, &other);
        agreement::agree(&self.agreement, peer, KeyError::Public, |shared| {
            let digest = Sha256::new()
                .chain_update(b"outlast pair 1")
                .chain_update(shared)
                .chain_update(low)
                .chain_update(high);
            Ok(Zeroizing::new(digest.finalize().into()))
        })
    }
}

pub(crate) fn signing() -> Result<KeyPair, KeyError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| KeyError::Make)
}

pub(crate) fn read_signing(der: &[u8]) -> Result<KeyPair, KeyError> {
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(der);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).map_err(|_| KeyError::Kept)
}

/// What a new node sends, in hexadecimal digits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PublicKeys {
    pub(crate) signing: String,
    pub(crate) agreement: String,
}

impl PublicKeys {
    fn message(&self) -> Vec<u8> {
        format!("{HEAD}{}\n{}", self.signing, self.agreement).into_bytes()
    }

    /// Whether who made that proof has the signing key.
    pub(crate) fn is_proven(&self, proof: &str) -> bool {
        let (Some(point), Some(proof)) = (hex::decode(&self.signing), hex::decode(proof)) else {
            return false;
        };
        let key = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
        key.verify(&self.message(), &proof).is_ok()
    }

    /// Of the signing key, as the roster has it.
    pub(crate) fn print(&self) -> Fingerprint {
        let key = hex::decode(&self.signing).unwrap_or_default();
        Fingerprint(Sha256::digest(&key).into())
    }
}

/// A public key that somebody sent, to be certified.
pub(crate) struct Certified(Vec<u8>);

impl Certified {
    pub(crate) fn read(keys: &PublicKeys) -> Result<Self, KeyError> {
        let signing = hex::decode(&keys.signing).filter(|key| key.len() == SIGNING && key[0] == 4);
        let agreement = hex::decode(&keys.agreement).filter(|key| key.len() == AGREEMENT);
        agreement.and(signing).map(Self).ok_or(KeyError::Public)
    }
}

impl PublicKeyData for Certified {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_find_the_same_secret_and_a_third_another() {
        let [a, b, c] = [0, 1, 2].map(|_| Keys::make().unwrap());
        let public = |keys: &Keys| keys.public().unwrap().agreement;
        let of_pair = a.pair(&public(&b)).unwrap();
        assert_eq!(of_pair, b.pair(&public(&a)).unwrap());
        assert_ne!(of_pair, c.pair(&public(&a)).unwrap());
        assert_ne!(of_pair, c.pair(&public(&b)).unwrap());
        let again = Keys::read(&a.bytes().unwrap()).unwrap();
        assert_eq!(of_pair, again.pair(&public(&b)).unwrap(), "kept and read again");
        assert_eq!(a.pair("00"), Err(KeyError::Public));
        assert_eq!(a.pair(&"00".repeat(32)), Err(KeyError::Public), "a point of small order");
        assert!(Keys::read(&[1; 20]).is_err() && Keys::read(&[1; 200]).is_err());
    }
}
