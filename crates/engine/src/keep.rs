//! The whole state of a machine as bytes, so that a recording can begin at any moment of its life.
//!
//! [`kept!`] lists the fields of a type once: one that is forgotten does not compile. Numbers are
//! little-endian base 128 (the high bit says that more follows), sequences have their count in front.
//! Bytes from outside never panic here and never make more than they have elements for.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

/// Something that is written whole and read again the same.
pub(crate) trait Keep: Sized {
    fn keep(&self, out: &mut Vec<u8>);

    /// None: the bytes end early, or mean nothing.
    fn revive(bytes: &mut &[u8]) -> Option<Self>;
}

/// Writes and reads the fields of a struct in the order in which they stand here.
macro_rules! kept {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::keep::Keep for $type {
            fn keep(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($crate::keep::Keep::keep($field, out);)*
            }

            fn revive(bytes: &mut &[u8]) -> Option<Self> {
                $(let $field = $crate::keep::Keep::revive(bytes)?;)*
                Some(Self { $($field),* })
            }
        }
    };
}

/// Writes a variant without fields as its place in the list; one that is forgotten does not compile.
macro_rules! kept_variants {
    ($type:ident { $($variant:ident = $byte:literal),* $(,)? }) => {
        impl $crate::keep::Keep for $type {
            fn keep(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $byte),* });
            }

            fn revive(bytes: &mut &[u8]) -> Option<Self> {
                match <u8 as $crate::keep::Keep>::revive(bytes)? {
                    $($byte => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use {kept, kept_variants};

impl Keep for u64 {
    fn keep(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
            rest >>= 7;
        }
        out.push(u8::try_from(rest).unwrap_or(0));
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = u8::revive(bytes)?;
            let part = Self::from(byte & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl Keep for u8 {
    fn keep(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(*first)
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Keep for $type {
            fn keep(&self, out: &mut Vec<u8>) {
                u64::try_from(*self).unwrap_or(u64::MAX).keep(out);
            }

            fn revive(bytes: &mut &[u8]) -> Option<Self> {
                Self::try_from(u64::revive(bytes)?).ok()
            }
        }
    )*};
}

numbers!(u16, u32, usize);

impl Keep for bool {
    fn keep(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Keep for i16 {
    fn keep(&self, out: &mut Vec<u8>) {
        u16::from_be_bytes(self.to_be_bytes()).keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u16::revive(bytes).map(|bits| Self::from_be_bytes(bits.to_be_bytes()))
    }
}

impl Keep for Ipv4Addr {
    fn keep(&self, out: &mut Vec<u8>) {
        self.octets().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        <[u8; 4]>::revive(bytes).map(Self::from)
    }
}

impl Keep for IpAddr {
    fn keep(&self, out: &mut Vec<u8>) {
        self.is_ipv6().keep(out);
        match self {
            Self::V4(v4) => v4.octets().keep(out),
            Self::V6(v6) => v6.octets().keep(out),
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        if bool::revive(bytes)? {
            <[u8; 16]>::revive(bytes).map(|octets| Self::V6(Ipv6Addr::from(octets)))
        } else {
            Ipv4Addr::revive(bytes).map(Self::V4)
        }
    }
}

impl Keep for NonZeroU64 {
    fn keep(&self, out: &mut Vec<u8>) {
        self.get().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Self::new(u64::revive(bytes)?)
    }
}

impl Keep for Time {
    fn keep(&self, out: &mut Vec<u8>) {
        self.as_nanos().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u64::revive(bytes).map(Self::from_nanos)
    }
}

impl Keep for Duration {
    fn keep(&self, out: &mut Vec<u8>) {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX).keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u64::revive(bytes).map(Self::from_nanos)
    }
}

impl Keep for String {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_bytes(self.as_bytes(), out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        std::str::from_utf8(revive_bytes(bytes)?).ok().map(str::to_owned)
    }
}

impl<T: Keep> Keep for Option<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        self.is_some().keep(out);
        if let Some(value) = self {
            value.keep(out);
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        if bool::revive(bytes)? { T::revive(bytes).map(Some) } else { Some(None) }
    }
}

impl<A: Keep, B: Keep> Keep for (A, B) {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
        self.1.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::revive(bytes)?, B::revive(bytes)?))
    }
}

impl<T: Keep, const N: usize> Keep for [T; N] {
    fn keep(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|item| item.keep(out));
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let mut items = ArrayVec::<T, N>::new();
        for _ in 0..N {
            items.push(T::revive(bytes)?);
        }
        items.into_inner().ok()
    }
}

impl<T: Keep, const N: usize> Keep for ArrayVec<T, N> {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_items(self.iter(), self.len(), out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let mut items = Self::new();
        for item in revive_items(bytes)? {
            items.try_push(item).ok()?;
        }
        Some(items)
    }
}

impl<T: Keep> Keep for Vec<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_items(self.iter(), self.len(), out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        revive_items(bytes)
    }
}

impl<T: Keep> Keep for VecDeque<T> {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_items(self.iter(), self.len(), out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        revive_items(bytes).map(Self::from)
    }
}

impl<K: Keep + Ord, V: Keep> Keep for BTreeMap<K, V> {
    fn keep(&self, out: &mut Vec<u8>) {
        self.len().keep(out);
        for (key, value) in self {
            key.keep(out);
            value.keep(out);
        }
    }

    /// In their order, each once: the same map has the same bytes.
    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let items: Vec<(K, V)> = revive_items(bytes)?;
        items.is_sorted_by(|one, next| one.0 < next.0).then(|| Self::from_iter(items))
    }
}

impl<T: Keep> Keep for Box<[T]> {
    fn keep(&self, out: &mut Vec<u8>) {
        keep_items(self.iter(), self.len(), out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        revive_items(bytes).map(Vec::into_boxed_slice)
    }
}

pub(crate) fn keep_bytes(text: &[u8], out: &mut Vec<u8>) {
    text.len().keep(out);
    out.extend_from_slice(text);
}

pub(crate) fn revive_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::revive(bytes)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(text)
}

fn keep_items<'a, T: Keep + 'a>(
    items: impl Iterator<Item = &'a T>,
    count: usize,
    out: &mut Vec<u8>,
) {
    count.keep(out);
    items.for_each(|item| item.keep(out));
}

/// Grows with what is read, whatever the count says.
fn revive_items<T: Keep>(bytes: &mut &[u8]) -> Option<Vec<T>> {
    let count = usize::revive(bytes)?;
    if count > bytes.len() {
        return None;
    }
    (0..count).map(|_| T::revive(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again<T: Keep + PartialEq + std::fmt::Debug>(value: T) {
        let mut bytes = vec![];
        value.keep(&mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(T::revive(&mut rest), Some(value));
        assert_eq!(rest, [0_u8; 0], "all of it is read");
        for length in 0..bytes.len() {
            assert_eq!(T::revive(&mut &bytes[..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn what_is_kept_is_revived_the_same_and_what_is_cut_is_not() {
        [0, 1, 127, 128, 16_383, 16_384, u64::MAX].into_iter().for_each(again);
        again(u16::MAX);
        again(true);
        [0, -1, i16::MIN, i16::MAX].into_iter().for_each(again);
        again(IpAddr::from([10, 79, 0, 40]));
        again(IpAddr::from(Ipv6Addr::LOCALHOST));
        again(Time::NEVER);
        again(Duration::from_millis(1500));
        again("größe".to_owned());
        again((Some(Time::ZERO), None::<u8>));
        again([1_u32, 2, 3]);
        again(vec![Some(1_u64), None]);
        again(VecDeque::from([(7_u8, true)]));
        again(ArrayVec::<u8, 4>::from_iter([1, 2]));
        again(BTreeMap::from([(1_u64, true), (7, false)]));
    }

    #[test]
    fn bytes_that_mean_nothing_are_none() {
        assert_eq!(u64::revive(&mut &[0xff; 10][..]), None, "more than 64 bits");
        assert_eq!(bool::revive(&mut &[2][..]), None);
        assert_eq!(u16::revive(&mut &[0xff, 0xff, 0x7f][..]), None, "more than 16 bits");
        assert_eq!(NonZeroU64::revive(&mut &[0][..]), None);
        assert_eq!(Vec::<u8>::revive(&mut &[0xff, 0xff, 0xff, 0x7f][..]), None, "no such memory");
        assert_eq!(ArrayVec::<u8, 1>::revive(&mut &[2, 1, 1][..]), None, "more than fit");
        assert_eq!(String::revive(&mut &[1, 0xff][..]), None);
        assert_eq!(BTreeMap::<u8, u8>::revive(&mut &[2, 1, 0, 1, 0][..]), None, "a key twice");
    }
}
