//! Who is in the cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::hex;
use crate::keys::PublicKeys;
use crate::ring::Made;

/// As many nodes as a cluster is planned for, and some.
pub const MAX_NODES: usize = 2048;
/// A host name has at most 63 characters (RFC 1123).
pub const MAX_NAME: usize = 63;

/// SHA-256 over a certificate: what people compare.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    /// Sixteen groups of four digits: no pair of keys is found that agrees in what a person compares.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.chunks(2).enumerate() {
            f.write_str(if at == 0 { "" } else { "-" })?;
            f.write_str(&hex::encode(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let bytes = hex::decode(&digits).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a fingerprint has 64 hexadecimal digits")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a node is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Decides, and answers for the cluster.
    Controller,
    /// Runs guests.
    Compute,
}

impl Role {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Compute => "compute",
        }
    }
}

/// One node that was let in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Member {
    pub name: String,
    pub role: Role,
    /// Where it is reached, if it said so.
    pub address: Option<std::net::IpAddr>,
    /// Of its certificate.
    pub fingerprint: Fingerprint,
    /// Public half of the key from which the secrets of its pairs come (X25519), in hexadecimal digits.
    pub agreement: String,
    /// SHA-256 over the public half of the key with which it signs; none where an older release let it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Fingerprint>,
    pub joined_ms: u64,
    pub revoked: bool,
    /// Counts the keys of this node, modulo 256.
    #[serde(default)]
    pub epoch: u8,
    /// When the present keys were certified; 0: when it joined.
    #[serde(default)]
    pub renewed_ms: u64,
    /// The keys before these, while they are still accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Former>,
}

/// Keys that were followed by others.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Former {
    pub epoch: u8,
    pub agreement: String,
    pub fingerprint: Fingerprint,
    /// Milliseconds since 1970; then nobody accepts them any more.
    pub until_ms: u64,
}

impl Member {
    /// When its present keys were certified.
    #[must_use]
    pub fn keys_ms(&self) -> u64 {
        self.renewed_ms.max(self.joined_ms)
    }

    /// Whether these are its present keys, both of them.
    pub(crate) fn has(&self, keys: &PublicKeys) -> bool {
        self.agreement == keys.agreement && self.signing == Some(keys.print())
    }
}

/// Former keys are accepted for an hour: longer than a restart or a short outage of a network takes.
pub(crate) const DEFAULT_FORGET_MS: u64 = 3600 * 1000;

/// All nodes that were ever let in; the generation grows with every change.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Roster {
    pub generation: u64,
    pub members: Vec<Member>,
    /// Keys that were certified before this are to be replaced.
    #[serde(default)]
    pub renew_ms: u64,
    /// How long former keys are accepted; 0: an hour.
    #[serde(default)]
    pub forget_ms: u64,
    /// The node that has the authority's key and signed this.
    #[serde(default)]
    pub issuer: String,
    /// Keys of the cluster, the oldest first; the last one seals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealing: Vec<Made>,
}

/// Why a node is not let in, or not put out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RosterError {
    #[error("`{0}` is no name of a node: letters, digits, dots and hyphens, at most {MAX_NAME}")]
    Name(String),
    #[error(
        "a node `{0}` is in the cluster already; `outlast trust revoke {0}` first if it is gone for good"
    )]
    NameTaken(String),
    #[error("the address {0} is that of the node `{1}`")]
    AddressTaken(std::net::IpAddr, String),
    #[error("the cluster has {MAX_NODES} nodes, more are not possible")]
    Full,
    #[error("the cluster has no node `{0}`")]
    Unknown(String),
    #[error("the keys of `{0}` are being changed already: its former ones are still accepted")]
    Changing(String),
    #[error("who asks does not prove that it has the keys of `{0}`")]
    Unproven(String),
    #[error("`{0}` is revoked already")]
    AlreadyRevoked(String),
}

/// Public keys of a node, with the certificate that was made for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Of the certificate.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) public: &'a PublicKeys,
    /// Whether who asks has shown that it has the private halves.
    pub(crate) is_proven: bool,
}

impl Roster {
    /// Nodes that are in.
    pub fn valid(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.revoked)
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Member> {
        self.valid().find(|member| member.name == name)
    }

    /// The member with that certificate, or with that former one while it is accepted.
    #[must_use]
    pub fn of(&self, fingerprint: &Fingerprint, now_ms: u64) -> Option<&Member> {
        let was = |former: &Former| former.fingerprint == *fingerprint && now_ms < former.until_ms;
        let is = |member: &&Member| {
            member.fingerprint == *fingerprint || member.former.as_ref().is_some_and(was)
        };
        self.members.iter().find(is)
    }

    /// Whether that name and address could be let in.
    pub(crate) fn admits(
        &self,
        name: &str,
        address: Option<std::net::IpAddr>,
    ) -> Result<(), RosterError> {
        if !is_name(name) {
            return Err(RosterError::Name(name.chars().take(MAX_NAME).collect()));
        }
        if self.find(name).is_some() {
            return Err(RosterError::NameTaken(name.to_owned()));
        }
        let has = |member: &&Member| address.is_some() && member.address == address;
        if let (Some(member), Some(address)) = (self.valid().find(has), address) {
            return Err(RosterError::AddressTaken(address, member.name.clone()));
        }
        if self.members.len() >= MAX_NODES {
            return Err(RosterError::Full);
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, member: Member) -> Result<(), RosterError> {
        self.admits(&member.name, member.address)?;
        // Who was put out and comes back under its old name is a new node.
        self.members.push(member);
        self.generation += 1;
        Ok(())
    }

    /// New keys of a node that is in; the same once more get another certificate: the first answer was lost.
    /// While former keys are accepted nothing else is: who has one of them may be a thief.
    pub(crate) fn renew(
        &mut self,
        name: &str,
        wanted: &Wanted<'_>,
        now_ms: u64,
    ) -> Result<(), RosterError> {
        let forget_ms = crate::renewal::forget_ms(self.forget_ms);
        let member = self.members.iter_mut().find(|m| m.name == name && !m.revoked);
        let member = member.ok_or_else(|| RosterError::Unknown(name.to_owned()))?;
        if member.has(wanted.public) {
            if !wanted.is_proven {
                return Err(RosterError::Unproven(name.to_owned()));
            }
        } else {
            if member.former.as_ref().is_some_and(|former| now_ms < former.until_ms) {
                return Err(RosterError::Changing(name.to_owned()));
            }
            member.former = Some(Former {
                epoch: member.epoch,
                agreement: std::mem::replace(
                    &mut member.agreement,
                    wanted.public.agreement.clone(),
                ),
                fingerprint: member.fingerprint,
                until_ms: now_ms + forget_ms,
            });
            member.signing = Some(wanted.public.print());
            member.epoch = member.epoch.wrapping_add(1);
            member.renewed_ms = now_ms;
        }
        member.fingerprint = wanted.fingerprint;
        self.generation += 1;
        Ok(())
    }

    pub(crate) fn revoke(&mut self, name: &str) -> Result<Fingerprint, RosterError> {
        let known = self.members.iter().any(|member| member.name == name);
        let member = self.members.iter_mut().find(|m| m.name == name && !m.revoked);
        let Some(member) = member else {
            let name = name.to_owned();
            return Err(match known {
                true => RosterError::AlreadyRevoked(name),
                false => RosterError::Unknown(name),
            });
        };
        member.revoked = true;
        self.generation += 1;
        Ok(member.fingerprint)
    }
}

/// A host name of RFC 1123, which is what a certificate can hold.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty()
            && label.chars().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, address: Option<&str>, number: u8) -> Member {
        Member {
            name: name.to_owned(),
            role: Role::Compute,
            address: address.map(|address| address.parse().unwrap()),
            fingerprint: Fingerprint([number; 32]),
            agreement: String::new(),
            signing: None,
            joined_ms: 1,
            revoked: false,
            epoch: 0,
            renewed_ms: 0,
            former: None,
        }
    }

    #[test]
    fn a_name_and_an_address_belong_to_one_node_until_it_is_revoked() {
        let mut roster = Roster::default();
        roster.add(member("node01", Some("10.0.0.1"), 1)).unwrap();
        let taken = RosterError::NameTaken("node01".to_owned());
        assert_eq!(roster.add(member("node01", None, 2)), Err(taken));
        let address = "10.0.0.1".parse().unwrap();
        let taken = RosterError::AddressTaken(address, "node01".to_owned());
        assert_eq!(roster.add(member("node02", Some("10.0.0.1"), 2)), Err(taken));
        roster.add(member("node02", None, 2)).unwrap();
        roster.add(member("node03", None, 3)).unwrap();
        assert_eq!(roster.revoke("node01"), Ok(Fingerprint([1; 32])));
        assert_eq!(roster.revoke("node01"), Err(RosterError::AlreadyRevoked("node01".to_owned())));
        assert_eq!(roster.revoke("node09"), Err(RosterError::Unknown("node09".to_owned())));
        roster.add(member("node01", Some("10.0.0.1"), 4)).unwrap();
        assert_eq!(roster.generation, 5);
        assert!(roster.of(&Fingerprint([1; 32]), 1).unwrap().revoked, "the old one stays out");
        assert_eq!(roster.revoke("node01"), Ok(Fingerprint([4; 32])));
    }

    #[test]
    fn names_are_those_of_hosts() {
        for good in ["node01", "compute-07.rack_2", "a"] {
            assert!(is_name(good), "{good}");
        }
        let long = "x".repeat(64);
        for bad in ["", ".", "a..b", "-a", "a-", "a b", "a/b", "ä", "*", "a\n", &long] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown() {
        let shown = Fingerprint([0xab; 32]).to_string();
        assert_eq!(shown.len(), 64 + 15);
        assert_eq!(shown.parse(), Ok(Fingerprint([0xab; 32])));
        assert!("ab".parse::<Fingerprint>().is_err());
    }
}
