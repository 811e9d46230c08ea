//! What adverts are signed with, and by what those of others are judged: `auth_hmac` of keepalived 2.4.

use std::fmt;
use std::time::Duration;

/// Bytes of a key.
pub const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=64;
/// Seconds of a window.
pub const WINDOW: std::ops::RangeInclusive<u64> = 1..=300;
/// A window that nobody wrote is no shorter (seconds).
const LEAST_WINDOW: u64 = 5;

/// One group's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hmac {
    /// What is signed by any of them is taken.
    pub keys: Vec<Key>,
    /// The id of the one that signs.
    pub active: u8,
    pub replay: Replay,
    pub mode: Mode,
}

/// A key by its id, 1-255.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    pub id: u8,
    pub value: KeyValue,
}

/// What a file says of a key.
#[derive(Clone, Eq, PartialEq)]
pub enum KeyValue {
    /// [`KEY_BYTES`] of them.
    Bytes(Vec<u8>),
    /// The path of a file that holds what could stand in its place; nothing is signed or judged by it until it was read.
    File(String),
}

/// It goes to logs: a key is not in it.
impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(_) => f.write_str("Bytes(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What keeps an old advert from being taken again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replay {
    /// Its stamp is no further from the clock than this (seconds), and it is newer than what its sender sent before.
    Time { window: u16 },
    /// It is newer than what its sender sent before, whatever the clock says.
    Monotonic,
}

/// What is done with adverts that are not signed, and whether those of ours are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// They are not obeyed.
    #[default]
    Enforce,
    /// They are obeyed.
    Permissive,
    /// They are obeyed, and ours are not signed either.
    ReceiveOnly,
}

impl Hmac {
    /// Of one that is written in parts: by the first key, judged by the clock.
    pub(crate) const fn new() -> Self {
        let replay = Replay::Time { window: 0 };
        Self { keys: Vec::new(), active: 0, replay, mode: Mode::Enforce }
    }

    /// Everything, as text that nobody may read along.
    pub(crate) fn text(&self) -> String {
        use fmt::Write as _;
        let mut text = format!("{} {:?} {}", self.active, self.replay, self.mode.name());
        for Key { id, value } in &self.keys {
            // A string takes everything.
            let _ = match value {
                KeyValue::Bytes(bytes) => write!(text, " {id} {bytes:?}"),
                KeyValue::File(path) => write!(text, " {id} file:{path}"),
            };
        }
        text
    }

    /// Whether adverts of ours are signed.
    #[must_use]
    pub const fn signs(&self) -> bool {
        !matches!(self.mode, Mode::ReceiveOnly)
    }
}

impl Replay {
    /// By the clock; a window that is not written is of three adverts, 5 to 300 s. As keepalived it counts whole seconds of an
    /// advert.
    #[must_use]
    pub fn by_time(window: Option<u16>, advert_interval: Duration) -> Self {
        let three = (3 * advert_interval.as_secs()).clamp(LEAST_WINDOW, *WINDOW.end());
        let window = window.unwrap_or_else(|| u16::try_from(three).unwrap_or(u16::MAX));
        Self::Time { window }
    }
}

impl Mode {
    const ALL: [Self; 3] = [Self::Enforce, Self::Permissive, Self::ReceiveOnly];

    /// As files name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Permissive => "permissive",
            Self::ReceiveOnly => "receive-only",
        }
    }

    /// The other way round.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl KeyValue {
    /// What a file of configuration says: `file:PATH`, `hex:DIGITS`, or the key itself.
    ///
    /// # Errors
    /// In words what is wrong with it; the value is not in them.
    pub fn of(text: &str) -> Result<Self, String> {
        match text.strip_prefix("file:") {
            Some("") => Err("a path is missing behind file:".to_owned()),
            Some(path) => Ok(Self::File(path.to_owned())),
            None => Self::written(text),
        }
    }

    /// What such a file holds; it cannot name another one.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn written(text: &str) -> Result<Self, String> {
        let bytes = match text.strip_prefix("hex:") {
            Some(digits) => {
                hex(digits).ok_or("there is no whole hexadecimal number behind hex:")?
            }
            None => text.as_bytes().to_vec(),
        };
        if KEY_BYTES.contains(&bytes.len()) {
            return Ok(Self::Bytes(bytes));
        }
        let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
        Err(format!("a key has {least} to {most} bytes, this one has {}", bytes.len()))
    }
}

/// Blanks and colons may stand between bytes, as keepalived reads them.
fn hex(digits: &str) -> Option<Vec<u8>> {
    let bare: Vec<u8> = digits.bytes().filter(|byte| !matches!(byte, b' ' | b':')).collect();
    let (pairs, []) = bare.as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_in_three_ways_and_has_32_to_64_bytes() {
        let long = "x".repeat(64);
        let bytes = |text: &str| KeyValue::of(text);
        assert_eq!(bytes(&long), Ok(KeyValue::Bytes(vec![b'x'; 64])));
        assert_eq!(bytes(&format!("hex:{}", "0f".repeat(32))), Ok(KeyValue::Bytes(vec![15; 32])));
        assert_eq!(bytes("file:/etc/key"), Ok(KeyValue::File("/etc/key".to_owned())));
        for wrong in ["short", &format!("{long}x"), &format!("hex:{}f", "0f".repeat(32)), "file:"] {
            let why = bytes(wrong).expect_err("it is wrong");
            assert!(wrong.len() < 6 || !why.contains(wrong), "{why}");
        }
        assert!(KeyValue::written("file:/etc/another").is_err(), "no file leads to another one");
        assert!(!format!("{:?}", bytes(&long)).contains("xx"), "a key is in no log");
    }

    #[test]
    fn a_window_that_is_not_written_is_of_three_adverts() {
        let rows = [(10, 5), (1_000, 5), (2_900, 6), (40_000, 120), (255_000, 300)];
        for (interval, window) in rows {
            let replay = Replay::by_time(None, Duration::from_millis(interval));
            assert_eq!(replay, Replay::Time { window }, "{interval} ms");
        }
        let written = Replay::by_time(Some(1), Duration::from_secs(9));
        assert_eq!(written, Replay::Time { window: 1 });
    }
}
