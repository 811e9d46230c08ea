//! Names of devices, held without memory of their own.

use std::fmt;
use std::ops::Deref;

/// The kernel's have 15 bytes at most; what of them is no text takes three times as many.
const LONGEST: usize = 48;

/// The name of a device.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name {
    text: [u8; LONGEST],
    length: u8,
}

impl Name {
    const EMPTY: Self = Self { text: [0; LONGEST], length: 0 };

    /// What the kernel says; bytes that are no text become U+FFFD.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut name = Self::EMPTY;
        for chunk in bytes.utf8_chunks() {
            name.push(chunk.valid());
            if !chunk.invalid().is_empty() {
                name.push("\u{fffd}");
            }
        }
        name
    }

    /// As much of it as is room for.
    fn push(&mut self, text: &str) {
        let from = usize::from(self.length);
        let mut end = text.len().min(LONGEST - from);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text[from..from + end].copy_from_slice(&text.as_bytes()[..end]);
        self.length += u8::try_from(end).unwrap_or(0);
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::of(name.as_bytes())
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_kernel_says_as_far_as_that_is_text() {
        for (bytes, text) in [
            (&b"eth0"[..], "eth0"),
            (b"", ""),
            (b"br-\xffex", "br-\u{fffd}ex"),
            ("qg-\u{e9}".as_bytes(), "qg-\u{e9}"),
        ] {
            assert_eq!(Name::of(bytes), text);
        }
        assert_eq!(Name::of(&[0xff; 15]).chars().count(), 15);
        assert_eq!(Name::from("\u{fffd}".repeat(17).as_str()).chars().count(), 16);
        assert_eq!(format!("{:>6}", Name::from("eth0")), "  eth0");
    }
}
