//! What nodes say to each other over TLS: bounded messages with a version.
//!
//! ```text
//!  0       4          4 + length
//!  length   JSON ...
//! ```

use std::io::{self, Read, Write};
use std::net::IpAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::configuration::Configuration;
use crate::ring::Handed;
use crate::roster::Role;
use crate::signed::Signed;

/// Of the messages; each side refuses others by number.
pub const VERSION: u16 = 2;
/// A question has two keys, a token and a name.
pub const MAX_ASK: usize = 4096;
/// An answer has the roster: [`crate::roster::MAX_NODES`] of at most 500 bytes.
pub const MAX_ANSWER: usize = 2 << 20;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the message has {0} bytes, more than are read")]
    Long(usize),
    #[error("the message cannot be understood")]
    Form(#[source] serde_json::Error),
    #[error("the other side speaks version {0}, this program {VERSION}: use the same release")]
    Version(u16),
}

/// A question with the time at which it was asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ask {
    pub version: u16,
    pub now_ms: u64,
    pub question: Question,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Question {
    Join(Join),
    /// Who is in, if that is newer than this generation? Only nodes that are in may ask, and any node may
    /// be asked.
    Roster {
        newer_than: u64,
    },
    /// Certify these keys of mine.
    Renew(Renew),
    /// The keys of the cluster. Only controllers may ask, and any of them may be asked.
    ClusterKeys,
    /// The files of the asker in the newest generation; a node that holds the store has them.
    Configuration,
}

/// New public keys of a node that is in, in hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Renew {
    pub signing: String,
    pub agreement: String,
    /// That the asker has these keys; without it the same ones are not certified once more.
    #[serde(default)]
    pub proof: String,
}

/// A new node's question. The secret makes it one that is never shown.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Join {
    pub token: String,
    pub secret: String,
    pub node: String,
    pub address: Option<IpAddr>,
    /// Public keys in hexadecimal digits.
    pub signing: String,
    pub agreement: String,
    /// As in [`Renew`].
    #[serde(default)]
    pub proof: String,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("node", &self.node).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reply {
    pub version: u16,
    pub answer: Answer,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Answer {
    Welcome(Box<Welcome>),
    Roster(Signed),
    /// What is known there is not newer.
    Current,
    Renewed(Box<Renewed>),
    ClusterKeys(Handed),
    Configuration(Configuration),
    /// In words for the operator of the other side.
    Refused(String),
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Renewed {
    /// Of the new keys, DER in hexadecimal digits.
    pub certificate: String,
    pub roster: Signed,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Welcome {
    pub cluster: String,
    pub role: Role,
    /// Of the new node, DER in hexadecimal digits.
    pub certificate: String,
    pub roster: Signed,
}

impl Ask {
    /// # Errors
    /// When the bytes are no question of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode(bytes)
    }
}

impl Reply {
    /// # Errors
    /// When the bytes are no answer of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        decode(bytes)
    }
}

/// The version comes first: what a later one changed is not a mistake.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u16,
    }
    let Versioned { version } = serde_json::from_slice(bytes).map_err(WireError::Form)?;
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    serde_json::from_slice(bytes).map_err(WireError::Form)
}

/// Reads one message of at most `limit` bytes.
pub(crate) fn receive(from: &mut impl Read, limit: usize) -> Result<Zeroizing<Vec<u8>>, WireError> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(WireError::Broken)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(WireError::Long(length));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut bytes).map_err(WireError::Broken)?;
    Ok(bytes)
}

pub(crate) fn send(to: &mut impl Write, message: &impl Serialize) -> Result<(), WireError> {
    let text = Zeroizing::new(serde_json::to_vec(message).map_err(WireError::Form)?);
    let length = u32::try_from(text.len()).map_err(|_| WireError::Long(text.len()))?;
    let whole = Zeroizing::new([&length.to_be_bytes(), &text[..]].concat());
    to.write_all(&whole).and_then(|()| to.flush()).map_err(WireError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join() -> Ask {
        let join = Join {
            token: "01".to_owned(),
            secret: "5ec2e7".to_owned(),
            node: "node02".to_owned(),
            address: Some("10.0.0.2".parse().unwrap()),
            signing: "04".to_owned(),
            agreement: "05".to_owned(),
            proof: "06".to_owned(),
        };
        Ask { version: VERSION, now_ms: 1_700_000_000_000, question: Question::Join(join) }
    }

    #[test]
    fn messages_on_the_wire() {
        let mut bytes = vec![];
        send(&mut bytes, &join()).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&bytes[4..]),
            "{\"version\":2,\"now_ms\":1700000000000,\"question\":{\"Join\":{\"token\":\"01\",\
             \"secret\":\"5ec2e7\",\"node\":\"node02\",\"address\":\"10.0.0.2\",\"signing\":\"04\",\
             \"agreement\":\"05\",\"proof\":\"06\"}}}"
        );
        let read = receive(&mut &bytes[..], MAX_ASK).unwrap();
        assert_eq!(Ask::decode(&read).unwrap(), join());
        assert!(!format!("{:?}", join()).contains("5ec2e7"), "the secret stays out of logs");
        let refused = Reply { version: VERSION, answer: Answer::Refused("no".to_owned()) };
        let text = serde_json::to_string(&refused).unwrap();
        assert_eq!(text, "{\"version\":2,\"answer\":{\"Refused\":\"no\"}}");
        let keys = Ask { version: VERSION, now_ms: 7, question: Question::ClusterKeys };
        let text = serde_json::to_string(&keys).unwrap();
        assert_eq!(text, "{\"version\":2,\"now_ms\":7,\"question\":\"ClusterKeys\"}");
        let text = "{\"version\":2,\"answer\":{\"ClusterKeys\":{\"keys\":[\"5ec2e7\"]}}}";
        let handed = Reply::decode(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&handed).unwrap(), text);
        assert!(!format!("{handed:?}").contains("5ec2e7"), "keys stay out of logs");
        let asked = Ask { version: VERSION, now_ms: 7, question: Question::Configuration };
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(text, "{\"version\":2,\"now_ms\":7,\"question\":\"Configuration\"}");
        let text = "{\"version\":2,\"answer\":{\"Configuration\":{\"generation\":4,\
                    \"files\":{\"haproxy.cfg\":\"5ec2e7\"}}}}";
        let given = Reply::decode(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&given).unwrap(), text);
        assert!(!format!("{given:?}").contains("5ec2e7"), "passwords stay out of logs");
    }

    #[test]
    fn what_is_too_long_or_of_another_version_is_refused_by_name() {
        let long = [&[0, 0, 16, 1][..], &[0; 4097]].concat();
        assert!(matches!(receive(&mut &long[..], MAX_ASK), Err(WireError::Long(4097))));
        let huge = [0xff; 4];
        assert!(matches!(receive(&mut &huge[..], MAX_ANSWER), Err(WireError::Long(_))));
        let later = br#"{"version":3,"question":{"Dance":1}}"#;
        assert!(matches!(Ask::decode(later), Err(WireError::Version(3))));
        assert!(matches!(Ask::decode(b"{}"), Err(WireError::Form(_))));
        assert!(matches!(receive(&mut &b"\0\0"[..], MAX_ASK), Err(WireError::Broken(_))));
    }
}
