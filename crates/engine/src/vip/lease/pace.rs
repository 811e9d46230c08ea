//! How often vip processes beat, and how long their vip leases are: as short as the file says where all of them are in
//! time for that, and 10 ms where one of them is not.
//!
//! ```text
//!   late, once in a thousand times        wishes of all that are heard        beats of all that are heard
//!        x 5, at least what the file says ──> the longest ──> beat of this node ──> the longest x 3.5 = its vip lease
//! ```
//! Each beat says its sender's wish, its beat, and the vip lease that it asks for. A voter is bound for as long as the beat that
//! it granted says, so no two nodes need the same: what follows is for those who want an answer in time.
//! - Who slows down says so in quick beats for one vip lease before: the others have to know by when its next one comes.
//! - A vip lease is as long as the slowest beat of all that are heard needs, as its grants come no more often. It is shorter again
//!   when all of them beat faster, and not when they wish to.
//! - What a node wished counts for a while after its last beat: who stands still now and then changes nothing each time.

use std::time::Duration;

use base::Time;

use super::beat::whole_tenths;
use super::{BEAT, MAX_SPAN, SPAN};

/// A beat is no shorter than so many times the lateness that one in a thousand exceeds.
pub const MARGIN: u32 = 5;
/// Nobody who was not heard for so long slows the others down.
const REMEMBERED: Duration = Duration::from_secs(1);
/// A node wishes no shorter beats again before.
pub const CALM: Duration = Duration::from_secs(10);
const MILLI: Duration = Duration::from_millis(1);

/// What is in use, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// What the file says.
    pub wanted: Duration,
    /// So late this process is once in a thousand times; none: that is not known yet.
    pub usual: Option<Duration>,
    /// What this node can keep.
    pub wish: Duration,
    /// Between two beats of this node.
    pub beat: Duration,
    pub span: Duration,
    /// Whose wish is longer than that of this node, if somebody's is.
    pub slowest: Option<u16>,
}

/// What another node says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub node: u16,
    pub heard: Time,
    pub wish: Duration,
    pub beat: Duration,
}

/// Of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeper {
    pace: Pace,
    /// The vip lease of the file's beat.
    span: Duration,
    /// Between two beats until `slows_at`, when they come more often than is said.
    interval: Duration,
    slows_at: Time,
    /// When the wish changed; none: it was never measured.
    wished: Option<Time>,
}

impl Keeper {
    /// `beat` is at most half of `span`, which is at most [`MAX_SPAN`].
    pub(super) fn new(beat: Duration, span: Duration) -> Self {
        let wanted = beat.clamp(Duration::from_micros(100), MAX_SPAN / 2);
        let pace = Pace { wanted, usual: None, wish: wanted, beat: wanted, span, slowest: None };
        let mut new = Self { pace, span, interval: wanted, slows_at: Time::ZERO, wished: None };
        new.pace.wish = new.wish(None);
        new.settle(Time::ZERO, std::iter::empty());
        new.interval = new.pace.beat;
        new
    }

    pub(super) const fn pace(&self) -> Pace {
        self.pace
    }

    /// As short as the file says, and as this process can be in time; what is not shorter than usual is not refused.
    fn wish(&self, usual: Option<Duration>) -> Duration {
        let wanted = self.pace.wanted;
        let usual = usual.map(|late| late.saturating_mul(MARGIN).min(BEAT));
        let whole = |span: Duration| {
            MILLI * u32::try_from(span.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
        };
        wanted.max(usual.map_or(BEAT, whole)).min(wanted.max(BEAT))
    }

    /// How late it is once in a thousand times.
    pub(super) fn late(&mut self, now: Time, usual: Option<Duration>) {
        let wish = self.wish(usual);
        let may_ease = self.wished.is_none_or(|at| now.since(at) >= CALM);
        self.pace.usual = usual;
        if wish > self.pace.wish || wish < self.pace.wish && may_ease {
            self.pace.wish = wish;
            self.wished = Some(now);
        }
    }

    /// With all that was heard of the others; says whether they should know at once.
    pub(super) fn settle(&mut self, now: Time, others: impl Iterator<Item = Said>) -> bool {
        let longest = scaled(self.pace.wanted, MAX_SPAN, self.span);
        let (mut beat, mut slowest) = (self.pace.wish, None);
        let mut theirs = Duration::ZERO;
        for said in others.filter(|said| now.since(said.heard) <= REMEMBERED) {
            theirs = theirs.max(said.beat);
            if said.wish.min(longest) > beat {
                (beat, slowest) = (said.wish.min(longest), Some(said.node));
            }
        }
        let span = self.span_of(beat.max(theirs));
        if beat > self.pace.beat {
            self.slows_at = now + span;
        }
        self.interval = if now < self.slows_at { self.interval.min(beat) } else { beat };
        let changed = (beat, span) != (self.pace.beat, self.pace.span);
        (self.pace.beat, self.pace.span, self.pace.slowest) = (beat, span, slowest);
        changed
    }

    /// In the proportion of the file's.
    fn span_of(&self, beat: Duration) -> Duration {
        whole_tenths(scaled(self.span, beat, self.pace.wanted).min(MAX_SPAN))
    }

    /// To the next beat.
    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }
}

/// The vip lease of such a beat, in the proportion of the usual one.
#[must_use]
pub fn span(beat: Duration) -> Duration {
    whole_tenths(scaled(SPAN, beat, BEAT).min(MAX_SPAN))
}

/// `span` times `by`, of which one is `whole`.
fn scaled(span: Duration, by: Duration, whole: Duration) -> Duration {
    let nanos = span.as_nanos() * by.as_nanos() / whole.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
