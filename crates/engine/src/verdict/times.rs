//! The times that follow from the detection time.

use std::time::Duration;

pub use config::cluster::{DEFAULT_DETECT, LONGEST_DETECT, SHORTEST_DETECT};

/// Ten beats within the detection time: it is met within 10 %, and ten in a row are not lost by chance
/// (at 10 % loss once in 10^10 on one network).
const BEATS: u32 = 10;
/// More seldom would make `status` show old ages.
const SLOWEST_BEAT: Duration = Duration::from_millis(500);

/// All times of detection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times {
    detect: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { detect: DEFAULT_DETECT }
    }
}

impl crate::keep::Keep for Times {
    fn keep(&self, out: &mut Vec<u8>) {
        self.detect.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Duration::revive(bytes).map(Self::new)
    }
}

impl Times {
    /// A time outside of the limits becomes the nearest one inside; the file's parser refuses it.
    #[must_use]
    pub fn new(detect: Duration) -> Self {
        Self { detect: detect.clamp(SHORTEST_DETECT, LONGEST_DETECT) }
    }

    /// From a crash to its verdict: at least nine tenths of it, at most eleven.
    #[must_use]
    pub const fn detect(self) -> Duration {
        self.detect
    }

    /// How often each node speaks on each network.
    #[must_use]
    pub fn beat_every(self) -> Duration {
        (self.detect / BEATS).min(SLOWEST_BEAT)
    }

    /// How long others have to say what they hear before a silence here, or a cut, is spoken about:
    /// one beat interval and as much again for the way.
    #[must_use]
    pub fn confirm(self) -> Duration {
        self.beat_every() * 2
    }

    /// Woken this late, this node itself was not running.
    #[must_use]
    pub fn slip(self) -> Duration {
        self.detect / 2
    }

    /// So long after a slip the others have to be heard before they are judged.
    #[must_use]
    pub fn patience(self) -> Duration {
        self.detect / 2
    }

    /// How much longer than the detection time a silence may last because of measured stalls: no more
    /// than as long again, or a node that lies about its stalls would never be missed.
    #[must_use]
    pub fn tolerance(self, stall: Duration) -> Duration {
        self.detect
            + if stall > self.beat_every() { stall.min(self.detect) } else { Duration::ZERO }
    }

    /// A link that was lost is told to be back after being steady for this long.
    #[must_use]
    pub const fn hold(self) -> Duration {
        self.detect
    }
}
