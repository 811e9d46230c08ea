//! The checksum of both versions.

use std::net::IpAddr;

use super::{PROTOCOL, Path};

/// The ones' complement sum of RFC 1071 over a pseudo header for `path`, if there is one, and over `bytes`; 0xffff where
/// they contain their own checksum.
pub(super) fn sum(path: Option<Path>, bytes: &[u8]) -> u16 {
    let sum = path.map_or(0, |path| pseudo(path, bytes.len()));
    let sum = bytes.chunks(2).fold(sum, |sum, pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        folded(sum + u32::from(u16::from_be_bytes([pair[0], low])))
    });
    u16::try_from(sum).expect("folding keeps the carry out: the sum is at most 0xffff")
}

/// Of the header of IPv6 (RFC 8200 §8.1), which RFC 5798 §5.2.8 was read to want for IPv4, too: addresses, protocol, length.
fn pseudo(Path { source, destination }: Path, length: usize) -> u32 {
    let halves = |ip| match ip {
        IpAddr::V4(ip) => words(&ip.octets()),
        IpAddr::V6(ip) => words(&ip.octets()),
    };
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    let sum = halves(source) + halves(destination) + u32::from(PROTOCOL) + u32::from(length);
    folded(folded(sum))
}

/// At most eight of them.
fn words(octets: &[u8]) -> u32 {
    let (pairs, _) = octets.as_chunks();
    pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum()
}

/// Folding at each step keeps the sum below 2^17, whatever the length.
const fn folded(sum: u32) -> u32 {
    (sum & 0xffff) + (sum >> 16)
}
