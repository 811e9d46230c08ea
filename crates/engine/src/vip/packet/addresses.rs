//! The addresses that an advert speaks for, where they lie.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::keep::Keep;

/// All of one kind, as they came in a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Addresses<'a> {
    V4(&'a [[u8; 4]]),
    V6(&'a [[u8; 16]]),
}

impl<'a> Addresses<'a> {
    #[must_use]
    pub const fn new(addresses: &'a [[u8; 4]]) -> Self {
        Self::V4(addresses)
    }

    pub fn iter(self) -> impl Iterator<Item = IpAddr> + 'a {
        let (v4, v6): (&[[u8; 4]], &[[u8; 16]]) = match self {
            Self::V4(v4) => (v4, &[]),
            Self::V6(v6) => (&[], v6),
        };
        let v4 = v4.iter().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes)));
        v4.chain(v6.iter().map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes))))
    }

    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::V4(v4) => v4.len(),
            Self::V6(v6) => v6.len(),
        }
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub const fn is_v6(self) -> bool {
        matches!(self, Self::V6(_))
    }

    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4(v4), IpAddr::V4(ip)) => v4.contains(&ip.octets()),
            (Self::V6(v6), IpAddr::V6(ip)) => v6.contains(&ip.octets()),
            (Self::V4(_), IpAddr::V6(_)) | (Self::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The same, apart from any datagram.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listed {
    V4(Vec<[u8; 4]>),
    V6(Vec<[u8; 16]>),
}

impl Listed {
    #[must_use]
    pub fn addresses(&self) -> Addresses<'_> {
        match self {
            Self::V4(v4) => Addresses::V4(v4),
            Self::V6(v6) => Addresses::V6(v6),
        }
    }
}

impl From<Addresses<'_>> for Listed {
    fn from(addresses: Addresses<'_>) -> Self {
        match addresses {
            Addresses::V4(v4) => Self::V4(v4.to_vec()),
            Addresses::V6(v6) => Self::V6(v6.to_vec()),
        }
    }
}

impl Addresses<'_> {
    /// As [`Listed`] are kept.
    pub(crate) fn keep(self, out: &mut Vec<u8>) {
        fn all<T: Keep>(addresses: &[T], out: &mut Vec<u8>) {
            addresses.len().keep(out);
            addresses.iter().for_each(|address| address.keep(out));
        }
        self.is_v6().keep(out);
        match self {
            Self::V4(v4) => all(v4, out),
            Self::V6(v6) => all(v6, out),
        }
    }
}

impl Keep for Listed {
    fn keep(&self, out: &mut Vec<u8>) {
        self.addresses().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let is_v6 = bool::revive(bytes)?;
        if is_v6 { Keep::revive(bytes).map(Self::V6) } else { Keep::revive(bytes).map(Self::V4) }
    }
}
