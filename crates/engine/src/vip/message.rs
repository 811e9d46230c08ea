//! What our own nodes tell each other about a virtual IP, inside a sealed [`crate::packet`].
//!
//! ```text
//! Hello:    |version|router id|key x4|node x2|source x4|priority|flags|term x8|life x8|    30 bytes
//!           over IPv6 behind it the 12 last bytes of the source                             42 bytes
//! HandOver: |version|router id|key x4|from x2|to x2|term x8|to's life x8|                  26 bytes
//! ```
//!
//! Big endian, of fixed length. A change of the layout bumps [`VERSION`]; a receiver of another
//! version drops the message, and the group falls back to RFC timers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;

use super::Role;

/// First byte of both bodies.
pub const VERSION: u8 = 2;

const ELIGIBLE: u8 = 1;
const MASTER: u8 = 2;
const FAULT: u8 = 4;

/// Which virtual IP a message is about. Nodes may number their instances differently (they may run
/// different keepalived files), so the name is made of what must be equal anyway.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Group {
    pub router_id: u8,
    /// Hash of the set of addresses: one router id may serve on several links.
    pub key: u32,
}

impl Group {
    #[must_use]
    pub fn of(vip: &config::vip::Vip) -> Self {
        // The order of addresses in the file means nothing, so their hashes are added.
        let key = vip.advertised().map(|a| hash(a.ip)).fold(0, u32::wrapping_add);
        Self { router_id: vip.router_id, key }
    }
}

/// FNV-1a: stable for ever, and nobody gains by a collision within one sealed cluster.
fn hash(address: IpAddr) -> u32 {
    let fold = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    };
    match address {
        IpAddr::V4(v4) => fold(&v4.octets()),
        IpAddr::V6(v6) => fold(&v6.octets()),
    }
}

/// "I am here, and this is what I could do": sent every [`super::HELLO_INTERVAL`] and at each
/// change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello {
    pub group: Group,
    /// Position in the cluster file.
    pub node: u16,
    /// Source of the sender's adverts: decides between equal priorities.
    pub source: IpAddr,
    pub priority: u8,
    pub role: Role,
    /// Whether the sender could hold the address now.
    pub eligible: bool,
    pub term: u64,
    /// Number of the sender's vip process: grows with each start, as the incarnation of its seal.
    pub life: u64,
}

/// "I have released the address, take it."
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HandOver {
    pub group: Group,
    pub from: u16,
    pub to: u16,
    /// The term in which `to` holds.
    pub term: u64,
    /// The process of `to` that is meant, from its hello: a recorded message names none that runs.
    pub to_life: u64,
}

impl Hello {
    /// Of a group over IPv4; the last of its bytes are the same for both.
    const LENGTH: usize = 30;
    /// Over IPv6.
    pub const LONGEST: usize = Self::LENGTH + 12;

    #[must_use]
    pub fn encode(&self) -> ArrayVec<u8, { Self::LONGEST }> {
        let role = match self.role {
            Role::Backup => 0,
            Role::Master => MASTER,
            Role::Fault => FAULT,
        };
        let mut out = [0; Self::LONGEST];
        head(self.group, &mut out);
        out[6..8].copy_from_slice(&self.node.to_be_bytes());
        let length = match self.source {
            IpAddr::V4(v4) => {
                out[8..12].copy_from_slice(&v4.octets());
                Self::LENGTH
            }
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                out[8..12].copy_from_slice(&octets[..4]);
                out[Self::LENGTH..].copy_from_slice(&octets[4..]);
                Self::LONGEST
            }
        };
        out[12] = self.priority;
        out[13] = role | if self.eligible { ELIGIBLE } else { 0 };
        out[14..22].copy_from_slice(&self.term.to_be_bytes());
        out[22..30].copy_from_slice(&self.life.to_be_bytes());
        out.into_iter().take(length).collect()
    }

    /// None: not a hello of this version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (bytes, last) = bytes.split_first_chunk::<{ Self::LENGTH }>()?;
        let group = group(bytes)?;
        let first: [u8; 4] = part(bytes, 8);
        let source = match last {
            [] => Ipv4Addr::from(first).into(),
            last => {
                let last: [u8; 12] = last.try_into().ok()?;
                let mut octets = [0; 16];
                octets[..4].copy_from_slice(&first);
                octets[4..].copy_from_slice(&last);
                Ipv6Addr::from(octets).into()
            }
        };
        let role = match bytes[13] & !ELIGIBLE {
            0 => Role::Backup,
            MASTER => Role::Master,
            FAULT => Role::Fault,
            _ => return None,
        };
        Some(Self {
            group,
            node: u16::from_be_bytes(part(bytes, 6)),
            source,
            priority: bytes[12],
            role,
            eligible: bytes[13] & ELIGIBLE != 0,
            term: u64::from_be_bytes(part(bytes, 14)),
            life: u64::from_be_bytes(part(bytes, 22)),
        })
    }
}

impl HandOver {
    pub const LENGTH: usize = 26;

    #[must_use]
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        head(self.group, &mut out);
        out[6..8].copy_from_slice(&self.from.to_be_bytes());
        out[8..10].copy_from_slice(&self.to.to_be_bytes());
        out[10..18].copy_from_slice(&self.term.to_be_bytes());
        out[18..26].copy_from_slice(&self.to_life.to_be_bytes());
        out
    }

    /// None: not a hand-over of this version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        Some(Self {
            group: group(bytes)?,
            from: u16::from_be_bytes(part(bytes, 6)),
            to: u16::from_be_bytes(part(bytes, 8)),
            term: u64::from_be_bytes(part(bytes, 10)),
            to_life: u64::from_be_bytes(part(bytes, 18)),
        })
    }
}

fn head(group: Group, out: &mut [u8]) {
    out[0] = VERSION;
    out[1] = group.router_id;
    out[2..6].copy_from_slice(&group.key.to_be_bytes());
}

fn group(bytes: &[u8]) -> Option<Group> {
    (bytes[0] == VERSION)
        .then(|| Group { router_id: bytes[1], key: u32::from_be_bytes(part(bytes, 2)) })
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("both layouts are longer than their last field's end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const GROUP: Group = Group { router_id: 121, key: 0xdead_beef };

    fn hello() -> Hello {
        Hello {
            group: GROUP,
            node: 2,
            source: Ipv4Addr::new(10, 79, 0, 43).into(),
            priority: 100,
            role: Role::Master,
            eligible: true,
            term: 7,
            life: 0x0102_0304,
        }
    }

    #[test]
    fn hello_keeps_its_bytes() {
        let bytes = hello().encode();
        assert_eq!(hex(&bytes), "0279deadbeef00020a4f002b640300000000000000070000000001020304");
        assert_eq!(Hello::decode(&bytes), Some(hello()));
    }

    #[test]
    fn hand_over_keeps_its_bytes() {
        let message = HandOver { group: GROUP, from: 0, to: 1, term: 258, to_life: 9 };
        let bytes = message.encode();
        assert_eq!(hex(&bytes), "0279deadbeef0000000100000000000001020000000000000009");
        assert_eq!(HandOver::decode(&bytes), Some(message));
    }

    #[test]
    fn a_hello_over_ipv6_has_the_rest_of_its_source_behind_it() {
        let sent = Hello { source: "fe80::ff:fe00:43".parse().unwrap(), ..hello() };
        let bytes = sent.encode();
        assert_eq!(bytes[..8], hello().encode()[..8]);
        assert_eq!(hex(&bytes[8..12]), "fe800000");
        assert_eq!(bytes[12..30], hello().encode()[12..]);
        assert_eq!(hex(&bytes[30..]), "00000000000000fffe000043");
        assert_eq!(Hello::decode(&bytes), Some(sent));
        assert_eq!(Hello::decode(&bytes[..41]), None);
    }

    #[test]
    fn every_role_survives_the_wire() {
        for role in [Role::Backup, Role::Master, Role::Fault] {
            for eligible in [false, true] {
                let sent = Hello { role, eligible, ..hello() };
                assert_eq!(Hello::decode(&sent.encode()), Some(sent));
            }
        }
    }

    #[test]
    fn other_versions_lengths_and_roles_are_dropped() {
        let good = hello().encode();
        let mut newer = good.clone();
        newer[0] = 3;
        let mut both_roles = good.clone();
        both_roles[13] = MASTER | FAULT;
        let mut unknown_flag = good.clone();
        unknown_flag[13] |= 0x80;
        for bytes in [&newer[..], &both_roles, &unknown_flag, &good[..29], &[]] {
            assert_eq!(Hello::decode(bytes), None, "{}", hex(bytes));
        }
        let mut newer = HandOver { group: GROUP, from: 0, to: 1, term: 1, to_life: 9 }.encode();
        newer[0] = 0;
        assert_eq!(HandOver::decode(&newer), None);
        assert_eq!(HandOver::decode(&[2; 27]), None);
    }
}
