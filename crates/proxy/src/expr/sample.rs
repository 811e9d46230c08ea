//! A value with its type, and how it becomes one of another type.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use config::haproxy::expr::Value;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Sample<'s> {
    Bool(bool),
    Int(i64),
    Ip(IpAddr),
    Str(Cow<'s, [u8]>),
    Bin(Cow<'s, [u8]>),
}

impl<'s> Sample<'s> {
    pub(crate) const fn str(text: &'s [u8]) -> Self {
        Self::Str(Cow::Borrowed(text))
    }

    pub(crate) fn of(value: &'s Value) -> Self {
        match value {
            Value::Bool(is) => Self::Bool(*is),
            Value::Int(number) => Self::Int(*number),
            Value::Ip(ip) => Self::Ip(*ip),
            Value::Str(text) => Self::Str(Cow::Borrowed(text)),
            Value::Bin(bytes) => Self::Bin(Cow::Borrowed(bytes)),
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Bool(is) => Value::Bool(is),
            Self::Int(number) => Value::Int(number),
            Self::Ip(ip) => Value::Ip(ip),
            Self::Str(text) => Value::Str(text.into_owned()),
            Self::Bin(bytes) => Value::Bin(bytes.into_owned()),
        }
    }

    /// As a text: bytes are written in hexadecimal.
    pub(crate) fn text(self) -> Cow<'s, [u8]> {
        match self {
            Self::Bool(is) => Cow::Borrowed(if is { b"1" } else { b"0" }),
            Self::Int(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Ip(ip) => Cow::Owned(ip.to_string().into_bytes()),
            Self::Str(text) => text,
            Self::Bin(bytes) => Cow::Owned(hexadecimal(&bytes)),
        }
    }

    /// Bytes as they are.
    pub(crate) fn bytes(self) -> Cow<'s, [u8]> {
        match self {
            Self::Bin(bytes) => bytes,
            Self::Ip(IpAddr::V4(four)) => Cow::Owned(four.octets().to_vec()),
            Self::Ip(IpAddr::V6(six)) => Cow::Owned(six.octets().to_vec()),
            Self::Bool(_) | Self::Int(_) | Self::Str(_) => self.text(),
        }
    }

    pub(crate) fn int(self) -> Option<i64> {
        match self {
            Self::Bool(is) => Some(i64::from(is)),
            Self::Int(number) => Some(number),
            Self::Ip(IpAddr::V4(four)) => Some(i64::from(four.to_bits())),
            Self::Ip(IpAddr::V6(_)) | Self::Bin(_) => None,
            Self::Str(text) => leading_number(&text),
        }
    }

    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Int(number) => {
                u32::try_from(number).ok().map(|bits| Ipv4Addr::from_bits(bits).into())
            }
            Self::Str(text) => std::str::from_utf8(&text).ok()?.trim().parse().ok(),
            Self::Bool(_) | Self::Bin(_) => None,
        }
    }
}

/// Digits at the head, with a sign; 0 where there are none, as in HAProxy. Nothing of no text.
fn leading_number(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [] => return None,
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_i64, |number, digit| {
        let digit = i64::from(digit - b'0');
        let digit = if is_negative { -digit } else { digit };
        number.saturating_mul(10).saturating_add(digit)
    });
    Some(number)
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(pair).collect()
}
