//! Control packets as bytes (RFC 5880 4.1).

use std::time::Duration;

use super::{Diagnostic, State};

/// Bytes of a packet without authentication, which is all that is sent.
pub const LENGTH: usize = 24;
/// A packet with authentication has at least this many.
const LENGTH_SIGNED: usize = 26;
const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// One control packet. Intervals count microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Control {
    pub state: State,
    /// RFC 5880 4.1; numbers above 8 are nobody's.
    pub diagnostic: u8,
    pub poll: bool,
    pub finish: bool,
    pub demand: bool,
    /// Not 0.
    pub multiplier: u8,
    /// The sender's number of the session; not 0.
    pub mine: u32,
    /// What the sender takes for our number; 0: it has not heard us yet.
    pub yours: u32,
    pub min_tx: u32,
    pub min_rx: u32,
}

/// Why bytes are no packet that may be obeyed (RFC 5880 6.8.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    #[error("it is cut off, or shorter than it says")]
    Length,
    #[error("another version")]
    Version,
    #[error("a detection multiplier of 0")]
    Multiplier,
    #[error("it is for many")]
    Multipoint,
    #[error("a session without a number")]
    Discriminator,
    #[error("it is signed, which is not done here")]
    Authenticated,
}

impl Control {
    /// What a packet of UDP holds. No bytes panic: they come from the network.
    ///
    /// # Errors
    /// When it may not be obeyed, whoever sent it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let head = bytes.first_chunk::<LENGTH>().ok_or(DecodeError::Length)?;
        if head[0] >> 5 != VERSION {
            return Err(DecodeError::Version);
        }
        let (flags, length) = (head[1], usize::from(head[3]));
        let is_signed = flags & AUTHENTICATED != 0;
        if length < if is_signed { LENGTH_SIGNED } else { LENGTH } || length > bytes.len() {
            return Err(DecodeError::Length);
        }
        if head[2] == 0 {
            return Err(DecodeError::Multiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(DecodeError::Multipoint);
        }
        let number =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (mine, yours, state) = (number(4), number(8), State::of(flags >> 6));
        if mine == 0 || (yours == 0 && !matches!(state, State::Down | State::AdminDown)) {
            return Err(DecodeError::Discriminator);
        }
        if is_signed {
            return Err(DecodeError::Authenticated);
        }
        Ok(Self {
            state,
            diagnostic: head[0] & 0x1f,
            poll: flags & POLL != 0,
            finish: flags & FINAL != 0,
            demand: flags & DEMAND != 0,
            multiplier: head[2],
            mine,
            yours,
            min_tx: number(12),
            min_rx: number(16),
        })
    }

    /// Echo packets are neither sent nor wanted.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let flag = |is_on: bool, bit: u8| if is_on { bit } else { 0 };
        let mut bytes = [0; LENGTH];
        bytes[0] = VERSION << 5 | self.diagnostic & 0x1f;
        bytes[1] = self.state.number() << 6
            | flag(self.poll, POLL)
            | flag(self.finish, FINAL)
            | flag(self.demand, DEMAND);
        (bytes[2], bytes[3]) = (self.multiplier, 24);
        let numbers = [self.mine, self.yours, self.min_tx, self.min_rx];
        for (at, number) in (4..).step_by(4).zip(numbers) {
            bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }
}

impl State {
    const fn of(number: u8) -> Self {
        match number & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl Diagnostic {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Expired => 1,
            Self::PeerDown => 3,
            Self::AdminDown => 7,
        }
    }
}

pub(super) fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

pub(super) fn span(micros: u32) -> Duration {
    Duration::from_micros(micros.into())
}
