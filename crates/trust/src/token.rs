//! Join tokens: short-lived, used once, and of no use to who only has the list of them.
//!
//! ```text
//!  0  1            33    41       57        65        len-4   len
//!  v  fingerprint  id   secret   expires    address    check      in hexadecimal digits
//! ```

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hex;
use crate::roster::{Fingerprint, Role};
use crate::secret::{SecretError, random};

const VERSION: u8 = 1;
const FIXED: usize = 65;
const CHECK: usize = 4;
/// An address of IPv6 with a scope and a port is shorter.
const MAX_ADDRESS: usize = 80;

/// Why a text is no token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    #[error("this is no join token: `outlast token create` on a controller prints one")]
    Form,
    #[error("a character of the token is wrong, or its end is missing: copy all of it")]
    Check,
    #[error(
        "the token has version {0}, this program knows {VERSION}: use the same release on both nodes"
    )]
    Version(u8),
}

/// What a new node needs to find the cluster and to be let in.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct Token {
    /// Of the cluster's authority.
    #[zeroize(skip)]
    pub fingerprint: Fingerprint,
    pub id: [u8; 8],
    pub secret: [u8; 16],
    /// Milliseconds since 1970 by the issuer's clock.
    pub expires_ms: u64,
    /// Who answers joins.
    #[zeroize(skip)]
    pub address: SocketAddr,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("id", &hex::encode(&self.id)).finish_non_exhaustive()
    }
}

impl Token {
    pub(crate) fn make(
        fingerprint: Fingerprint,
        address: SocketAddr,
        expires_ms: u64,
    ) -> Result<Self, SecretError> {
        let (id, secret) = (*random()?, *random()?);
        Ok(Self { fingerprint, id, secret, expires_ms, address })
    }

    /// What is given to the new node.
    #[must_use]
    pub fn print(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.fingerprint.0);
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.secret);
        bytes.extend_from_slice(&self.expires_ms.to_be_bytes());
        bytes.extend_from_slice(self.address.to_string().as_bytes());
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check[..CHECK]);
        let text = hex::encode(&bytes);
        bytes.zeroize();
        text
    }

    /// # Errors
    /// When the text is no token of this version, or a damaged one.
    pub fn read(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > 2 * (FIXED + MAX_ADDRESS + CHECK) {
            return Err(TokenError::Form);
        }
        let bytes = hex::decode(text).ok_or(TokenError::Form)?;
        if bytes.len() < FIXED + CHECK {
            return Err(TokenError::Form);
        }
        let (body, check) = bytes.split_at(bytes.len() - CHECK);
        if Sha256::digest(body)[..CHECK] != *check {
            return Err(TokenError::Check);
        }
        if body[0] != VERSION {
            return Err(TokenError::Version(body[0]));
        }
        let address = std::str::from_utf8(&body[FIXED..]).ok().and_then(|text| text.parse().ok());
        Ok(Self {
            fingerprint: Fingerprint(part(&body[1..33])?),
            id: part(&body[33..41])?,
            secret: part(&body[41..57])?,
            expires_ms: u64::from_be_bytes(part(&body[57..FIXED])?),
            address: address.ok_or(TokenError::Form)?,
        })
    }

    /// What the issuer keeps.
    pub(crate) fn kept(&self, role: Role, node: Option<String>, at_ms: u64) -> Kept {
        Kept {
            id: hex::encode(&self.id),
            hash: hash(&self.secret),
            role,
            node,
            made_ms: at_ms,
            expires_ms: self.expires_ms,
            fate: Fate::Open,
        }
    }
}

fn part<const N: usize>(bytes: &[u8]) -> Result<[u8; N], TokenError> {
    bytes.try_into().map_err(|_| TokenError::Form)
}

/// The secret has 128 random bits: nobody finds it from its digest.
pub(crate) fn hash(secret: &[u8]) -> String {
    hex::encode(&Sha256::digest(secret))
}

/// What became of a token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Fate {
    Open,
    /// By the node of that name.
    Used(String),
    Revoked,
}

/// A token as its issuer remembers it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Kept {
    pub id: String,
    pub(crate) hash: String,
    /// What the node that uses it becomes.
    pub role: Role,
    /// Only for the node of this name.
    pub node: Option<String>,
    pub made_ms: u64,
    pub expires_ms: u64,
    pub fate: Fate,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            fingerprint: Fingerprint([7; 32]),
            id: [1; 8],
            secret: [2; 16],
            expires_ms: 1_700_000_000_000,
            address: "[fd00::1]:7413".parse().unwrap(),
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_printed() {
        let text = token().print();
        assert_eq!(Token::read(&format!(" {text}\n")), Ok(token()));
        assert_eq!(format!("{:?}", token()), "Token { id: \"0101010101010101\", .. }");
        assert!(
            !serde_json::to_string(&token().kept(Role::Compute, None, 1))
                .unwrap()
                .contains(&hex::encode(&[2; 16]))
        );
    }

    #[test]
    fn a_wrong_character_is_noticed_wherever_it_is() {
        let text = token().print();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Token::read(&changed), Err(TokenError::Check), "{at}");
            assert!(Token::read(&text[..at]).is_err(), "{at} characters");
        }
        assert_eq!(Token::read("hello"), Err(TokenError::Form));
        assert_eq!(Token::read(&"0".repeat(10_000)), Err(TokenError::Form));
    }
}
