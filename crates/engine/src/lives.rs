//! The first number that no process of a node has used, as a line of a file:
//! `00000001700000010000 1c291ca3`, with the checksum of its digits.
//!
//! It has one length, so it is overwritten in place, which a full disk allows. A bit that turns in it would
//! silence its node for years if it was believed and the file was lost later: peers refuse smaller numbers.

use crate::whole;

/// Digits of the largest number.
const DIGITS: usize = 20;
/// A blank, eight digits, and the end of the line.
const LENGTH: usize = DIGITS + 10;

/// The line that keeps a number.
#[must_use]
pub fn line(number: u64) -> String {
    let digits = format!("{number:0DIGITS$}");
    format!("{digits} {:08x}\n", whole::sum(digits.as_bytes()))
}

/// The number of a line; none: it is torn, or was changed. An earlier version wrote no checksum.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let is_old = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_old {
        return text.parse().ok();
    }
    let number = text.get(..DIGITS)?.parse().ok()?;
    (bytes.len() == LENGTH && line(number).as_bytes() == bytes).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_kept_and_no_turned_bit_makes_another() {
        for number in [0, 1_700_000_000_000, u64::MAX] {
            let line = line(number).into_bytes();
            assert_eq!((read(&line), line.len()), (Some(number), LENGTH));
            for bit in 0..line.len() * 8 {
                let mut turned = line.clone();
                turned[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&turned), None, "bit {bit} of {number}");
            }
            for end in 0..line.len() {
                assert_eq!(read(&line[..end]), None, "{end} bytes");
            }
        }
    }

    #[test]
    fn a_line_of_before_the_checksum_is_read() {
        assert_eq!(read(b"00000001700000010000\n"), Some(1_700_000_010_000));
        for torn in [&b"0000000170\n"[..], b"+0000001700000010000\n", &[b'9'; 64]] {
            assert_eq!(read(torn), None, "{torn:?}");
        }
    }
}
