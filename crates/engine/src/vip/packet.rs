//! VRRP version 2 on the wire (RFC 3768 §5.1; PASS as in RFC 2338 §5.3.6, which keepalived kept).
//!
//! ```text
//! |version 2 type 1|router id|priority|count|auth type|interval s|checksum x2|
//! |count addresses of 4 bytes|8 bytes of password, zeros without one|
//! ```
//!
//! Nothing here allocates, and no bytes panic: they come from the network.

use std::net::Ipv4Addr;

/// IP protocol number.
pub const PROTOCOL: u8 = 112;
/// Where adverts go unless peers are listed.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// A lower one proves that a router forwarded the advert, so it does not come from this link.
pub const TTL: u8 = 255;
/// The count is one byte, so no advert is longer.
pub const MAX_LENGTH: usize = HEAD + 255 * 4 + PASSWORD;

const HEAD: usize = 8;
const PASSWORD: usize = 8;
const VERSION_2_ADVERT: u8 = 0x21;
const AUTH_NONE: u8 = 0;
const AUTH_PASS: u8 = 1;

/// One advert. The addresses stay in the datagram they came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advert<'a> {
    pub router_id: u8,
    /// 0: the sender stops being master.
    pub priority: u8,
    /// Seconds between adverts.
    pub interval: u8,
    /// None: the sender uses no authentication.
    pub password: Option<[u8; 8]>,
    pub addresses: Addresses<'a>,
}

/// The addresses an advert speaks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Addresses<'a>(&'a [[u8; 4]]);

impl<'a> Addresses<'a> {
    #[must_use]
    pub const fn new(addresses: &'a [[u8; 4]]) -> Self {
        Self(addresses)
    }

    pub fn iter(self) -> impl Iterator<Item = Ipv4Addr> + 'a {
        self.0.iter().map(|bytes| Ipv4Addr::from(*bytes))
    }

    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.0.contains(&address.octets())
    }
}

/// Why bytes are no advert for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DecodeError {
    /// Not 255: the advert was forwarded by a router.
    Ttl(u8),
    Short(usize),
    /// Version 3 and others are another protocol on the same number.
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
            Self::Version(version) => write!(f, "VRRP version {version}, expected 2"),
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

/// Reads the payload of an IP packet that arrived with `ttl`.
///
/// # Errors
/// When RFC 3768 §7.1 says to discard it, except for what depends on the instance (router id,
/// interval, password, list of addresses): `Vip` judges that.
pub fn decode(bytes: &[u8], ttl: u8) -> Result<Advert<'_>, DecodeError> {
    if ttl != TTL {
        return Err(DecodeError::Ttl(ttl));
    }
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Err(DecodeError::Short(bytes.len()));
    };
    let [first, router_id, priority, count, auth, interval, _, _] = *head;
    if first >> 4 != VERSION_2_ADVERT >> 4 {
        return Err(DecodeError::Version(first >> 4));
    }
    if first != VERSION_2_ADVERT {
        return Err(DecodeError::Type(first & 0x0f));
    }
    if count == 0 {
        return Err(DecodeError::NoAddress);
    }
    let (addresses, password) = rest
        .as_chunks::<4>()
        .0
        .split_at_checked(usize::from(count))
        .ok_or(DecodeError::Length { count, length: bytes.len() })?;
    let &[start, end] = password else {
        return Err(DecodeError::Length { count, length: bytes.len() });
    };
    if rest.len() % 4 != 0 {
        return Err(DecodeError::Length { count, length: bytes.len() });
    }
    if sum(bytes) != 0xffff {
        return Err(DecodeError::Checksum);
    }
    let password = match auth {
        AUTH_NONE => None,
        AUTH_PASS => Some(join(start, end)),
        other => return Err(DecodeError::Authentication(other)),
    };
    if interval == 0 {
        return Err(DecodeError::NoInterval);
    }
    Ok(Advert { router_id, priority, interval, password, addresses: Addresses(addresses) })
}

/// For whom bytes are that are no advert for us: every version has the router id there. None: it has none.
#[must_use]
pub fn router_id(bytes: &[u8]) -> Option<u8> {
    bytes.get(1).copied()
}

/// Writes the payload and says how long it is. Addresses beyond the 255th are left out: the count
/// is one byte.
///
/// # Panics
/// When `out` is shorter than [`MAX_LENGTH`] and the addresses do not fit.
pub fn encode(
    router_id: u8,
    priority: u8,
    interval: u8,
    password: Option<[u8; 8]>,
    addresses: impl Iterator<Item = Ipv4Addr>,
    out: &mut [u8],
) -> usize {
    let mut count = 0_u8;
    let mut end = HEAD;
    for address in addresses.take(255) {
        out[end..end + 4].copy_from_slice(&address.octets());
        count += 1;
        end += 4;
    }
    out[end..end + PASSWORD].copy_from_slice(&password.unwrap_or_default());
    end += PASSWORD;
    let auth = if password.is_some() { AUTH_PASS } else { AUTH_NONE };
    out[..HEAD].copy_from_slice(&[
        VERSION_2_ADVERT,
        router_id,
        priority,
        count,
        auth,
        interval,
        0,
        0,
    ]);
    let checksum = !sum(&out[..end]);
    out[6..HEAD].copy_from_slice(&checksum.to_be_bytes());
    end
}

/// The ones' complement sum of RFC 1071; 0xffff over bytes that contain their own checksum.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
        // Folding at each step keeps the sum below 2^17, whatever the length.
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folding keeps the carry out: the sum is at most 0xffff")
}

const fn join(start: [u8; 4], end: [u8; 4]) -> [u8; 8] {
    let [a, b, c, d] = start;
    let [e, f, g, h] = end;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests;
