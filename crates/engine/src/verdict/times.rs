//! The times that follow from the detection time.

use std::time::Duration;

pub use config::cluster::{DEFAULT_DETECT, LONGEST_DETECT, SHORTEST_DETECT};

/// Ten beats within the detection time: it is met within 10 %, and ten in a row are not lost by chance
/// (at 10 % loss once in 10^10 on one network).
const BEATS: u32 = 10;
/// More seldom would make `status` show old ages, and save little: at a detection time of 10 s.
const SLOWEST_BEAT: Duration = Duration::from_secs(1);

/// All times of detection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times {
    detect: Duration,
    beat_every: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self::new(DEFAULT_DETECT)
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
        let detect = detect.clamp(SHORTEST_DETECT, LONGEST_DETECT);
        Self { detect, beat_every: (detect / BEATS).min(SLOWEST_BEAT) }
    }

    /// From a crash to its verdict: at least nine tenths of it, at most eleven.
    #[must_use]
    pub const fn detect(self) -> Duration {
        self.detect
    }

    /// How often each node speaks on each network.
    #[must_use]
    pub const fn beat_every(self) -> Duration {
        self.beat_every
    }

    /// How long others have to say what they hear before a silence here, or a cut, is spoken about:
    /// one beat interval and as much again for the way.
    #[must_use]
    pub fn confirm(self) -> Duration {
        self.beat_every() * 2
    }

    /// What a node said of others counts for so long after its last beat: one or two in a row are lost by
    /// chance on one network, four hardly ever.
    #[must_use]
    pub fn speaks(self) -> Duration {
        self.beat_every * 4
    }

    /// So long after a question that no reference point answers they are gone: two beats before a peer can be missed,
    /// as questions are two beats apart.
    #[must_use]
    pub fn unanswered(self) -> Duration {
        self.detect.saturating_sub(self.beat_every * 4)
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
    #[inline]
    #[must_use]
    pub fn tolerance(self, stall: Duration) -> Duration {
        self.detect + if stall > self.beat_every { stall.min(self.detect) } else { Duration::ZERO }
    }

    /// A link that was lost is told to be back after being steady for this long.
    #[must_use]
    pub const fn hold(self) -> Duration {
        self.detect
    }
}
