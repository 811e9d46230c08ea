//! The bodies of questions for events and their answers.
//!
//! ```text
//!  question:  0  1   3               told:  0  1   3         11      19
//!             1  to  after                  1  to  previous  number  text ...
//! ```
//!
//! Numbers are big-endian; what follows a question is for later versions and ignored. The text of an
//! event is opaque here.

use crate::packet::MAX_BODY;

const VERSION: u8 = 1;
const QUESTION: usize = 11;
const HEAD: usize = 19;

/// The longest text of an event that fits into one packet (bytes).
pub const MAX_TEXT: usize = MAX_BODY - HEAD;

/// Tell me your events after this number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Question {
    pub(super) to: u16,
    pub(super) after: u64,
}

/// One event; between `previous` and `number` there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Told<'a> {
    pub(super) to: u16,
    pub(super) previous: u64,
    pub(super) number: u64,
    pub(super) text: &'a [u8],
}

impl Question {
    pub(super) fn encode(self) -> [u8; QUESTION] {
        let mut out = [0; QUESTION];
        out[0] = VERSION;
        out[1..3].copy_from_slice(&self.to.to_be_bytes());
        out[3..].copy_from_slice(&self.after.to_be_bytes());
        out
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let body: &[u8; QUESTION] = body.first_chunk()?;
        let to = u16::from_be_bytes(*body[1..].first_chunk()?);
        let after = u64::from_be_bytes(*body[3..].first_chunk()?);
        (body[0] >= VERSION).then_some(Self { to, after })
    }
}

impl<'a> Told<'a> {
    /// None if the text is too long.
    pub(super) fn encode(&self, out: &mut [u8; MAX_BODY]) -> Option<usize> {
        let length = HEAD + self.text.len();
        out.get_mut(HEAD..length)?.copy_from_slice(self.text);
        out[0] = VERSION;
        out[1..3].copy_from_slice(&self.to.to_be_bytes());
        out[3..11].copy_from_slice(&self.previous.to_be_bytes());
        out[11..HEAD].copy_from_slice(&self.number.to_be_bytes());
        Some(length)
    }

    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, text) = body.split_first_chunk::<HEAD>()?;
        let to = u16::from_be_bytes(*head[1..].first_chunk()?);
        let previous = u64::from_be_bytes(*head[3..].first_chunk()?);
        let number = u64::from_be_bytes(*head[11..].first_chunk()?);
        (head[0] == VERSION).then_some(Self { to, previous, number, text })
    }
}

/// A question or a told event read and written again; none: it cannot be read. For tests of the format.
#[must_use]
pub fn print_news_again(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0; MAX_BODY];
    match Told::decode(body) {
        Some(told) => told.encode(&mut out).map(|length| out[..length].to_vec()),
        None => Question::decode(body).map(|question| question.encode().to_vec()),
    }
}
