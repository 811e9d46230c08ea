//! VRRP on the wire. Nothing here allocates, and no bytes panic: they come from the network.
//!
//! ```text
//! |version 2 type 1|router id|priority|count|auth type|interval s|checksum x2|
//! |count addresses of 4 bytes|8 bytes of password, zeros without one|
//!
//! |version 3 type 1|router id|priority|count|4 bits of zero, interval cs x12 bits|checksum x2|
//! |count addresses of 4 bytes, over IPv6 of 16|
//! ```
//!
//! Behind either there may be a [`Trailer`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use config::vip::{Mode, Protocol, Vip};

use super::refusals::Refusal;

mod addresses;
mod sum;
mod trailer;
mod v2;
mod v3;

/// IP protocol number.
pub const PROTOCOL: u8 = 112;
/// Where adverts go unless peers are listed.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The same over IPv6 (RFC 9568 §5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// A lower one proves that a router forwarded the advert, so it does not come from this link.
pub const TTL: u8 = 255;
/// Of IPv6 no more go into one packet of an Ethernet, which keepalived keeps to.
pub const MOST_V6: usize = 90;
/// The same where a trailer has to go into it, too.
const MOST_V6_SIGNED: usize = 89;
/// No advert is longer: of IPv4 its count, one byte, says at most 255, which are shorter.
pub const MAX_LENGTH: usize = HEAD + MOST_V6_SIGNED * 16 + TRAILER;

const HEAD: usize = 8;
const PASSWORD: usize = 8;
/// Type of the only packet there is.
const ADVERT: u8 = 1;

/// Between whom a packet goes, both of one kind: a pseudo header has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Path {
    pub source: IpAddr,
    pub destination: IpAddr,
}

impl Path {
    /// Why `vip` does not obey what came by this path with `ttl`: a group that lists no peers speaks to all of its link, and what
    /// was sent to one router may come from anywhere. keepalived 2.2.7 drops it, too, whatever its hops. None: it may be obeyed.
    ///
    /// From a peer over IPv4 nothing is obeyed that a router forwarded, as anybody can write its address, unless every advert is
    /// signed, or the file says how many routers there may be. keepalived 2.2 leaves the hops of IPv6 to the kernel (64) for its
    /// peers.
    #[must_use]
    pub fn refused_by(self, vip: &Vip, ttl: u8) -> Option<Refusal> {
        if self.destination.is_multicast() {
            None
        } else if let Some(takes) = vip.travel.takes(self.source, ttl) {
            (!takes).then_some(Refusal::Ttl)
        } else if !vip.unicast_peers.is_empty() {
            let is_signed = vip.hmac.as_ref().is_some_and(|hmac| hmac.mode == Mode::Enforce);
            (ttl != TTL && self.source.is_ipv4() && !is_signed).then_some(Refusal::Ttl)
        } else if ttl == TTL {
            Some(Refusal::Source)
        } else {
            Some(Refusal::Ttl)
        }
    }
}

/// Where adverts of that one go unless peers are listed.
#[must_use]
pub fn group_of(vip: &Vip) -> IpAddr {
    let usual = if vip.is_v6() { GROUP_V6.into() } else { GROUP.into() };
    vip.travel.group.unwrap_or(usual)
}

/// One advert. The addresses stay in the datagram they came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advert<'a> {
    /// Its version, and in version 3 which checksum it has.
    pub protocol: Protocol,
    pub router_id: u8,
    /// 0: the sender stops being master.
    pub priority: u8,
    /// Between two adverts of the sender; not 0.
    pub interval: Duration,
    /// None: the sender uses no authentication. Version 3 has none.
    pub password: Option<[u8; 8]>,
    pub addresses: Addresses<'a>,
}

pub use addresses::{Addresses, Listed};
pub use trailer::{Signature, TRAILER, Trailer};

/// Why bytes are no advert for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DecodeError {
    /// Not 255: the advert was forwarded by a router.
    Ttl(u8),
    Short(usize),
    /// Neither 2 nor 3: another protocol on the same number.
    Version(u8),
    Type(u8),
    /// Speaks for no address (RFC 9568, erratum 8299).
    NoAddress,
    /// Length and number of addresses disagree.
    Length {
        count: u8,
        length: usize,
    },
    Checksum,
    /// Neither none nor PASS.
    Authentication(u8),
    /// Would mean a sender that never pauses (RFC 9568, erratum 8301).
    NoInterval,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ttl(ttl) => write!(f, "time to live {ttl} where 255 is required"),
            Self::Short(length) => write!(f, "only {length} bytes"),
            Self::Version(version) => write!(f, "VRRP version {version}, expected 2 or 3"),
            Self::Type(kind) => write!(f, "type {kind}, expected 1 (advertisement)"),
            Self::NoAddress => f.write_str("no address"),
            Self::Length { count, length } => {
                write!(f, "{length} bytes do not fit {count} addresses")
            }
            Self::Checksum => f.write_str("wrong checksum"),
            Self::Authentication(kind) => write!(f, "authentication type {kind} is not known"),
            Self::NoInterval => f.write_str("interval 0"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads the payload of an IP packet that arrived with `ttl`, by `path`.
///
/// # Errors
/// When RFC 3768 §7.1 or RFC 9568 §7.1 says to discard it, except for what depends on the instance (version, router id,
/// interval, password, list of addresses): `Vip` judges that. A trailer is too much: see [`read`].
pub fn decode(bytes: &[u8], ttl: u8, path: Path) -> Result<Advert<'_>, DecodeError> {
    match read(bytes, ttl, path)? {
        (advert, None) => Ok(advert),
        (_, Some(_)) => Err(DecodeError::Length { count: bytes[3], length: bytes.len() }),
    }
}

/// The same of an advert behind which there may be a trailer, of which nothing is judged: [`super::guard::Guard`] does.
///
/// # Errors
/// As [`decode`].
pub fn read(
    bytes: &[u8],
    ttl: u8,
    path: Path,
) -> Result<(Advert<'_>, Option<Trailer<'_>>), DecodeError> {
    if ttl != TTL && path.destination.is_multicast() {
        return Err(DecodeError::Ttl(ttl));
    }
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        return Err(DecodeError::Short(bytes.len()));
    };
    let [first, _, _, count, ..] = *head;
    let (version, kind) = (first >> 4, first & 0x0f);
    let is_v6 = path.source.is_ipv6();
    if version != v3::FIRST >> 4 && (is_v6 || version != v2::FIRST >> 4) {
        return Err(DecodeError::Version(version));
    }
    if kind != ADVERT {
        return Err(DecodeError::Type(kind));
    }
    if count == 0 {
        return Err(DecodeError::NoAddress);
    }
    let each = if is_v6 { 16 } else { 4 };
    let password = if first == v2::FIRST { PASSWORD } else { 0 };
    let length = HEAD + usize::from(count) * each + password;
    let signed = bytes.split_at_checked(length);
    let signed =
        signed.and_then(|(advert, rest)| Some((advert, <&[u8; TRAILER]>::try_from(rest).ok()?)));
    let (advert, trailer) = match signed {
        Some((advert, trailer)) => (advert, Some(Trailer::new(advert, trailer))),
        None => (bytes, None),
    };
    let read = if first == v2::FIRST {
        v2::decode(advert, *head)?
    } else {
        // Over IPv6 kernels make the sum, of everything that there is.
        v3::decode(advert, *head, path, if is_v6 { bytes } else { advert })?
    };
    Ok((read, trailer))
}

/// For whom bytes are that are no advert for us: every version has the router id there. None: it has none.
#[must_use]
pub fn router_id(bytes: &[u8]) -> Option<u8> {
    bytes.get(1).copied()
}

/// Writes the payload of an advert of `vip` and says how long it is (bytes). Addresses beyond the 255th are left out, as the
/// count is one byte, and over IPv6 those beyond [`MOST_V6`].
///
/// # Panics
/// When `out` is shorter than [`MAX_LENGTH`] and the addresses do not fit.
pub fn encode(vip: &Vip, priority: u8, path: Path, out: &mut [u8]) -> usize {
    match vip.protocol {
        Protocol::V2 => v2::encode(vip, priority, out),
        Protocol::V3 { sends } => v3::encode(vip, sends, priority, path, out),
    }
}

/// The same of one that is signed.
///
/// # Panics
/// As [`encode`].
pub fn encode_signed(
    vip: &Vip,
    priority: u8,
    path: Path,
    signature: &Signature<'_>,
    out: &mut [u8],
) -> usize {
    let length = encode(vip, priority, path, out);
    let mut trailer = [0; TRAILER];
    trailer::sign(signature, path.source, &out[..length], &mut trailer);
    out[length..length + TRAILER].copy_from_slice(&trailer);
    let all = &mut out[..length + TRAILER];
    if path.source.is_ipv6() {
        v3::add_checksum(all, Some(path));
    }
    all.len()
}

/// What adverts of version 2 that `vip` obeys say of their interval (seconds).
#[must_use]
pub fn seconds(vip: &Vip) -> u8 {
    v2::seconds(vip)
}

/// Writes the addresses of the group's own kind behind the head: how many, and where they end.
fn list(vip: &Vip, out: &mut [u8]) -> (u8, usize) {
    let (mut count, mut end) = (0, HEAD);
    let is_signed = vip.hmac.as_ref().is_some_and(config::vip::Hmac::signs);
    let most = match (vip.is_v6(), is_signed) {
        (true, true) => MOST_V6_SIGNED,
        (true, false) => MOST_V6,
        (false, _) => 255,
    };
    let own = vip.advertised().filter(|address| address.ip.is_ipv6() == vip.is_v6());
    for address in own.take(most) {
        let length = match address.ip {
            IpAddr::V4(ip) => put(&ip.octets(), &mut out[end..]),
            IpAddr::V6(ip) => put(&ip.octets(), &mut out[end..]),
        };
        count += 1;
        end += length;
    }
    (count, end)
}

fn put(octets: &[u8], out: &mut [u8]) -> usize {
    out[..octets.len()].copy_from_slice(octets);
    octets.len()
}

#[cfg(test)]
mod tests;
