//! An advert made by hand, written independently of the program's own code (RFC 3768 §5.1, RFC 9568 §5.1).

use std::net::IpAddr;

use crate::group::{GROUP, VIP, far};
use crate::member::LINK_VIP;

/// An advert; what is not said is as the router expects it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advert {
    /// Its version, and its type.
    pub(crate) first: u8,
    pub(crate) group: u8,
    /// 0: a goodbye.
    pub(crate) priority: u8,
    /// None: as many as there are.
    pub(crate) count: Option<u8>,
    /// In version 2 the kind of authentication and seconds; in version 3 four reserved bits and hundredths of seconds.
    pub(crate) says: [u8; 2],
    pub(crate) addresses: &'static [IpAddr],
    /// Behind the addresses; in version 2 eight bytes of a password.
    pub(crate) tail: &'static [u8],
    /// Whether the checksum covers a pseudo header.
    pub(crate) is_pseudo: bool,
    /// Bits that are wrong in the checksum.
    pub(crate) flip: u8,
    pub(crate) ttl: u8,
}

pub(crate) const SECOND: Advert = Advert {
    first: 0x21,
    group: GROUP,
    priority: 200,
    count: None,
    says: [1, 1],
    addresses: &[IpAddr::V4(VIP)],
    tail: b"secret12",
    is_pseudo: false,
    flip: 0,
    ttl: 255,
};

pub(crate) const THIRD: Advert =
    Advert { first: 0x31, says: [0, 100], tail: &[], is_pseudo: true, ..SECOND };

pub(crate) const SIXTH: Advert = Advert { addresses: &[IpAddr::V6(LINK_VIP), far(VIP)], ..THIRD };

impl Advert {
    /// The payload of its packet.
    pub(crate) fn bytes(&self, from: IpAddr, to: IpAddr) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).expect("few addresses");
        let count = self.count.unwrap_or(count);
        let [a, b] = self.says;
        let head = [self.first, self.group, self.priority, count, a, b, 0, 0];
        let addresses = self.addresses.iter().flat_map(|ip| octets(*ip));
        let mut bytes: Vec<u8> =
            head.into_iter().chain(addresses).chain(self.tail.iter().copied()).collect();
        let sum = if self.is_pseudo { with_pseudo(&bytes, from, to) } else { checksum(&bytes) };
        let [high, low] = sum.to_be_bytes();
        (bytes[6], bytes[7]) = (high, low ^ self.flip);
        bytes
    }
}

/// The checksum of an advert that has none yet and goes from there to there.
pub(crate) fn with_pseudo(bytes: &[u8], from: IpAddr, to: IpAddr) -> u16 {
    let length = u8::try_from(bytes.len()).expect("few bytes");
    let end: &[u8] =
        if to.is_ipv4() { &[0, 112, 0, length] } else { &[0, 0, 0, length, 0, 0, 0, 112] };
    checksum(&[&octets(from), &octets(to), end, bytes].concat())
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
