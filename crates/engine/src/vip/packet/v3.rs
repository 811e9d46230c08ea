//! Version 3 (RFC 9568 §5).

use std::time::Duration;

use config::vip::{Checksum, Protocol};

use super::sum::sum;
use super::{Addresses, Advert, DecodeError, HEAD, Path};

pub(super) const FIRST: u8 = 0x31;
const CENTISECOND: Duration = Duration::from_millis(10);
/// The field has 12 bits (centiseconds). The four before it are reserved: zero here, whatever there.
const LONGEST: u16 = 0x0fff;

/// `bytes` begin with `head`, and it says that they are an advert of this version with addresses. `covered`: what the checksum
/// with a pseudo header is of.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    head: [u8; HEAD],
    path: Path,
    covered: &[u8],
) -> Result<Advert<'a>, DecodeError> {
    let [_, router_id, priority, count, high, low, _, _] = head;
    let rest = &bytes[HEAD..];
    let (addresses, odd) = if path.source.is_ipv6() {
        let (addresses, odd) = rest.as_chunks();
        (Addresses::V6(addresses), odd)
    } else {
        let (addresses, odd) = rest.as_chunks();
        (Addresses::V4(addresses), odd)
    };
    if addresses.len() != usize::from(count) || !odd.is_empty() {
        return Err(DecodeError::Length { count, length: bytes.len() });
    }
    // For IPv4 RFC 5798 was read in two ways, and RFC 9568 took the one that fewer routers speak.
    let sends = if sum(Some(path), covered) == 0xffff {
        Checksum::Pseudo
    } else if path.source.is_ipv4() && sum(None, bytes) == 0xffff {
        Checksum::Message
    } else {
        return Err(DecodeError::Checksum);
    };
    let centiseconds = u16::from_be_bytes([high, low]) & LONGEST;
    if centiseconds == 0 {
        return Err(DecodeError::NoInterval);
    }
    let (protocol, interval) = (Protocol::V3 { sends }, CENTISECOND * centiseconds.into());
    Ok(Advert { protocol, router_id, priority, interval, password: None, addresses })
}

pub(super) fn encode(
    vip: &config::vip::Vip,
    sends: Checksum,
    priority: u8,
    path: Path,
    out: &mut [u8],
) -> usize {
    let (count, end) = super::list(vip, out);
    let [high, low] = centiseconds(vip).to_be_bytes();
    let head = [FIRST, vip.router_id, priority, count, high, low, 0, 0];
    out[..HEAD].copy_from_slice(&head);
    let path = match sends {
        Checksum::Message if path.source.is_ipv4() => None,
        Checksum::Pseudo | Checksum::Message => Some(path),
    };
    add_checksum(&mut out[..end], path);
    end
}

/// Of all of `advert`, and of a pseudo header for that path.
pub(super) fn add_checksum(advert: &mut [u8], path: Option<Path>) {
    advert[6..HEAD].copy_from_slice(&[0; 2]);
    let checksum = !sum(path, advert);
    advert[6..HEAD].copy_from_slice(&checksum.to_be_bytes());
}

fn centiseconds(vip: &config::vip::Vip) -> u16 {
    let all = vip.advert_interval.as_millis() / CENTISECOND.as_millis();
    u16::try_from(all).unwrap_or(LONGEST).clamp(1, LONGEST)
}
