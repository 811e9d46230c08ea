//! Version 2 (RFC 3768 §5.1; PASS as in RFC 2338 §5.3.6, which keepalived kept).

use std::time::Duration;

use config::vip::Protocol;

use super::sum::sum;
use super::{Addresses, Advert, DecodeError, HEAD, PASSWORD};

const AUTH_NONE: u8 = 0;
const AUTH_PASS: u8 = 1;
pub(super) const FIRST: u8 = 0x21;

/// `bytes` begin with `head`, and it says that they are an advert of this version with addresses.
pub(super) fn decode<'a>(bytes: &'a [u8], head: [u8; HEAD]) -> Result<Advert<'a>, DecodeError> {
    let [_, router_id, priority, count, auth, seconds, _, _] = head;
    let wrong_length = DecodeError::Length { count, length: bytes.len() };
    let (words, odd) = bytes[HEAD..].as_chunks::<4>();
    let (addresses, password) = words.split_at_checked(usize::from(count)).ok_or(wrong_length)?;
    let (&[start, end], []) = (password, odd) else { return Err(wrong_length) };
    if sum(None, bytes) != 0xffff {
        return Err(DecodeError::Checksum);
    }
    let password = match auth {
        AUTH_NONE => None,
        AUTH_PASS => Some(join(start, end)),
        other => return Err(DecodeError::Authentication(other)),
    };
    if seconds == 0 {
        return Err(DecodeError::NoInterval);
    }
    let (protocol, interval) = (Protocol::V2, Duration::from_secs(seconds.into()));
    let addresses = Addresses::V4(addresses);
    Ok(Advert { protocol, router_id, priority, interval, password, addresses })
}

pub(super) fn encode(vip: &config::vip::Vip, priority: u8, out: &mut [u8]) -> usize {
    let (count, mut end) = super::list(vip, out);
    out[end..end + PASSWORD].copy_from_slice(&vip.password.unwrap_or_default());
    end += PASSWORD;
    let auth = if vip.password.is_some() { AUTH_PASS } else { AUTH_NONE };
    let head = [FIRST, vip.router_id, priority, count, auth, seconds(vip), 0, 0];
    out[..HEAD].copy_from_slice(&head);
    let checksum = !sum(None, &out[..end]);
    out[6..HEAD].copy_from_slice(&checksum.to_be_bytes());
    end
}

/// What its adverts say of their interval.
pub(super) fn seconds(vip: &config::vip::Vip) -> u8 {
    u8::try_from(vip.advert_interval.as_secs()).unwrap_or(u8::MAX)
}

const fn join(start: [u8; 4], end: [u8; 4]) -> [u8; 8] {
    let [a, b, c, d] = start;
    let [e, f, g, h] = end;
    [a, b, c, d, e, f, g, h]
}
