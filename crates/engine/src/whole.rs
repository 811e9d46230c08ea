//! Bytes that tell whether they are whole: a checksum behind them. Disks tear what they were writing when
//! the power went, and turn bits of what they keep.

/// Of CRC-32, reflected (IEEE 802.3, 3.2.9): it finds every change of up to three bits in files of ours.
const POLYNOMIAL: u32 = 0xedb8_8320;
/// Bytes of a checksum.
const SUM: usize = 4;

/// The CRC-32 of bytes, as zlib and Ethernet count it. A bit at a time: files of ours are small, and written when
/// an operator does something.
#[must_use]
pub fn sum(bytes: &[u8]) -> u32 {
    let turned = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 0 { 0 } else { POLYNOMIAL }
        })
    };
    !bytes.iter().fold(u32::MAX, turned)
}

/// With their checksum behind them, little-endian.
#[must_use]
pub(crate) fn marked(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = sum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// What [`marked`] was given; none: something of it has changed.
pub(crate) fn read(bytes: &[u8]) -> Option<&[u8]> {
    let (bytes, kept) = bytes.split_last_chunk::<SUM>()?;
    (u32::from_le_bytes(*kept) == sum(bytes)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_everybody_counts() {
        assert_eq!(sum(b"123456789"), 0xcbf4_3926, "the check value of CRC-32");
        assert_eq!(sum(b""), 0);
    }

    #[test]
    fn a_bit_that_turns_and_an_end_that_is_missing_are_seen() {
        let bytes = marked(b"whole".to_vec());
        assert_eq!(read(&bytes), Some(&b"whole"[..]));
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&turned), None, "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), None, "{end} bytes");
        }
    }
}
