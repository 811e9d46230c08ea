//! Where a message ends.

/// What is left of a body. Bytes pass through untouched; only their end is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Body {
    Done,
    Length(u64),
    Chunked(Chunk),
    /// Until the sender closes: responses without length, tunnels, TCP.
    UntilClose,
}

/// Position in a chunked body (RFC 9112 7.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Chunk {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
        length: u16,
    },
    SizeLf {
        value: u64,
    },
    Bytes(u64),
    BytesCr,
    BytesLf,
    /// At the start of a line of the trailers.
    Trailer {
        total: u16,
    },
    TrailerLine {
        total: u16,
    },
    TrailerLf {
        total: u16,
    },
    LastLf,
}

/// What of a piece of text belongs to a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Taken {
    pub(crate) bytes: usize,
    /// Of these, what HAProxy counts: without the lines between chunks, and one for the end mark.
    pub(crate) payload: u64,
}

impl Taken {
    const fn plain(bytes: usize) -> Self {
        Self { bytes, payload: bytes as u64 }
    }
}

/// The sender broke the chunk format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BadChunk;

/// 15 digits of hexadecimal are 10^18 bytes: no honest chunk is longer, no sum overflows.
const MAX_DIGITS: u8 = 15;
/// Nobody uses extensions of chunks; what is longer wants to hide something.
const MAX_EXTENSION: u16 = 512;
/// As a head may be large (`MAX_HEAD`), so may be trailers, but not larger.
const MAX_TRAILERS: u16 = 8 * 1024;

impl Body {
    /// A chunked body's beginning.
    pub(crate) const CHUNKED: Self = Self::Chunked(Chunk::Size { value: 0, digits: 0 });

    pub(crate) const fn of_length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    pub(crate) fn is_done(self) -> bool {
        self == Self::Done
    }

    /// How many of `bytes` still belong to this body.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Taken, BadChunk> {
        match *self {
            Self::Done => Ok(Taken::plain(0)),
            Self::UntilClose => Ok(Taken::plain(bytes.len())),
            Self::Length(left) => {
                let taken = take(left, bytes);
                *self = Self::of_length(left - taken as u64);
                Ok(Taken::plain(taken))
            }
            Self::Chunked(chunk) => self.advance_chunks(chunk, bytes),
        }
    }

    fn advance_chunks(&mut self, mut chunk: Chunk, bytes: &[u8]) -> Result<Taken, BadChunk> {
        let mut taken = Taken { bytes: 0, payload: 0 };
        while taken.bytes < bytes.len() {
            let Some((next, count)) = chunk.step(&bytes[taken.bytes..])? else {
                *self = Self::Done;
                return Ok(Taken { bytes: taken.bytes + 1, payload: taken.payload + 1 });
            };
            if matches!(chunk, Chunk::Bytes(_)) {
                taken.payload += count as u64;
            }
            chunk = next;
            taken.bytes += count;
        }
        *self = Self::Chunked(chunk);
        Ok(taken)
    }
}

fn take(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}

impl Chunk {
    /// Looks at the first of `bytes` (never empty), or skips several. None: this byte was the last.
    fn step(self, bytes: &[u8]) -> Result<Option<(Self, usize)>, BadChunk> {
        let byte = bytes[0];
        let next = match self {
            Self::Size { value, digits } => Self::size(value, digits, byte)?,
            Self::Extension { value, length } => match byte {
                b'\r' => Self::SizeLf { value },
                b'\n' | 0 => return Err(BadChunk),
                _ if length >= MAX_EXTENSION => return Err(BadChunk),
                _ => Self::Extension { value, length: length + 1 },
            },
            Self::SizeLf { value } => match (byte, value) {
                (b'\n', 0) => Self::Trailer { total: 0 },
                (b'\n', _) => Self::Bytes(value),
                _ => return Err(BadChunk),
            },
            Self::Bytes(left) => {
                let taken = take(left, bytes);
                let left = left - taken as u64;
                let next = if left == 0 { Self::BytesCr } else { Self::Bytes(left) };
                return Ok(Some((next, taken)));
            }
            Self::BytesCr => expect(byte, b'\r', Self::BytesLf)?,
            Self::BytesLf => expect(byte, b'\n', Self::Size { value: 0, digits: 0 })?,
            Self::Trailer { total } => match byte {
                b'\r' => Self::LastLf,
                b'\n' | b' ' | b'\t' | b':' | 0 => return Err(BadChunk),
                _ => Self::TrailerLine { total: longer(total)? },
            },
            Self::TrailerLine { total } => match byte {
                b'\r' => Self::TrailerLf { total },
                b'\n' | 0 => return Err(BadChunk),
                _ => Self::TrailerLine { total: longer(total)? },
            },
            Self::TrailerLf { total } => expect(byte, b'\n', Self::Trailer { total })?,
            Self::LastLf if byte == b'\n' => return Ok(None),
            Self::LastLf => return Err(BadChunk),
        };
        Ok(Some((next, 1)))
    }

    fn size(value: u64, digits: u8, byte: u8) -> Result<Self, BadChunk> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if digits > 0 => return Ok(Self::SizeLf { value }),
            b';' | b' ' | b'\t' if digits > 0 => return Ok(Self::Extension { value, length: 0 }),
            _ => return Err(BadChunk),
        };
        if digits >= MAX_DIGITS {
            return Err(BadChunk);
        }
        Ok(Self::Size { value: value << 4 | u64::from(digit), digits: digits + 1 })
    }
}

fn expect(byte: u8, wanted: u8, next: Chunk) -> Result<Chunk, BadChunk> {
    if byte == wanted { Ok(next) } else { Err(BadChunk) }
}

const fn longer(total: u16) -> Result<u16, BadChunk> {
    if total < MAX_TRAILERS { Ok(total + 1) } else { Err(BadChunk) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of every size; all must agree.
    fn ends_at(bytes: &[u8]) -> Result<Option<usize>, BadChunk> {
        let mut answers = (1..=bytes.len()).map(|piece| {
            let (mut body, mut total) = (Body::CHUNKED, 0);
            for part in bytes.chunks(piece) {
                let taken = body.advance(part)?.bytes;
                total += taken;
                if body.is_done() {
                    return Ok(Some(total));
                }
                assert_eq!(taken, part.len());
            }
            Ok(None)
        });
        let first = answers.next().unwrap();
        assert!(answers.all(|answer| answer == first));
        first
    }

    #[test]
    fn chunks_end_after_the_empty_line() {
        assert_eq!(ends_at(b"3\r\nabc\r\n0\r\n\r\nGET"), Ok(Some(13)));
        assert_eq!(ends_at(b"A;x=1\r\n0123456789\r\n00\r\nTrail: x\r\n\r\n"), Ok(Some(35)));
        assert_eq!(ends_at(b"3\r\nabc\r\n0\r\n"), Ok(None));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for bad in [
            "\r\n",
            "x\r\n",
            "3\nabc",
            "-1\r\n",
            "0x3\r\nabc",
            "3\r\nabcd\r\n",
            "3;a\nb\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\n a\r\n\r\n",
            "1111111111111111\r\n",
        ] {
            assert_eq!(ends_at(bad.as_bytes()), Err(BadChunk), "{bad:?}");
        }
    }

    #[test]
    fn a_length_ends_a_body() {
        let mut body = Body::of_length(5);
        assert_eq!(body.advance(b"abc").unwrap().bytes, 3);
        assert_eq!(body.advance(b"defgh").unwrap().bytes, 2);
        assert!(body.is_done() && Body::of_length(0).is_done());
    }
}
