//! What a node promised about one virtual IP: at most one promise at a time, and none is broken.

use std::time::Duration;

use base::Time;

/// For how long a voter is bound that heard a claim of this length.
///
/// Longer by a quarter: the clocks of Linux run at 0.8995 to 1.1005 of their rate while a time daemon slews
/// them (`adjtimex` takes a tick of 9,000 to 11,000 us and 500 ppm; chrony's `maxslewrate` is 83,333 ppm where
/// nobody says otherwise), so a slow holder's vip lease takes up to 1.2235 times as long as a fast voter thinks.
#[must_use]
pub const fn hold(span: Duration) -> Duration {
    let whole = span.saturating_add(Duration::from_nanos(3));
    Duration::from_nanos(whole.as_secs() * 1_250_000_000 + whole.subsec_nanos() as u64 / 4 * 5)
}

/// One beat of one life of a node.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Word {
    pub life: u64,
    pub serial: u64,
}

/// "Nobody else gets it from me before that moment."
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Promise {
    pub to: u16,
    /// The newest of its claims that was heard: older words of that node say nothing.
    pub word: Word,
    /// On the voter's clock.
    pub ends: Time,
}

/// A voter's memory about one virtual IP.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Voter {
    promise: Option<Promise>,
    /// When the last promise was ended by the word of whom it bound to.
    freed: Time,
}

impl Voter {
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self { promise: None, freed: now }
    }

    /// One that made this promise.
    #[must_use]
    pub const fn bound(promise: Promise) -> Self {
        Self { promise: Some(promise), freed: Time::ZERO }
    }

    /// The promise that binds now.
    #[must_use]
    pub fn promise(&self, now: Time) -> Option<Promise> {
        self.promise.filter(|promise| now < promise.ends)
    }

    /// Whether anybody but this life of that node may count on this voter. Another life of the same node is
    /// somebody else: the former one may have left the way for the address open.
    #[must_use]
    pub fn is_bound(&self, now: Time, node: u16, life: u64) -> bool {
        self.promise(now).is_some_and(|kept| kept.to != node || kept.word.life != life)
    }

    /// A claim of `node` for `span` that is newer than whatever was heard of it; says whether it is granted.
    /// `now` was read after the claim was received, so the promise outlasts what the claimant counts from
    /// the moment before it sent.
    pub fn ask(&mut self, now: Time, node: u16, word: Word, span: Duration) -> bool {
        if self.is_bound(now, node, word.life) {
            return false;
        }
        let before = self.promise(now).map_or(Time::ZERO, |kept| kept.ends);
        self.promise = Some(Promise { to: node, word, ends: before.max(now + hold(span)) });
        true
    }

    /// The node itself claims: nobody else gets its voice until it lets go.
    pub fn keep(&mut self, now: Time, node: u16, life: u64) -> bool {
        if self.is_bound(now, node, life) {
            return false;
        }
        self.promise =
            Some(Promise { to: node, word: Word { life, serial: 0 }, ends: Time::NEVER });
        true
    }

    /// `node` said, later than it claimed, that it claims nothing: it closed before it spoke. A later life
    /// may say so for a former one only if it is `closed`.
    pub fn release(&mut self, now: Time, node: u16, word: Word, closed: bool) {
        let Some(kept) = self.promise(now) else { return };
        if kept.to == node && word > kept.word && (word.life == kept.word.life || closed) {
            *self = Self { promise: None, freed: now };
        }
    }

    /// Another machine has the place of that node from now on: what it was promised binds until it ends, to nobody who
    /// could be heard again. The next one's word is no word of it.
    pub fn is_followed(&mut self, node: u16) {
        if let Some(kept) = self.promise.as_mut().filter(|kept| kept.to == node) {
            kept.to = u16::MAX;
        }
    }

    /// Whether exactly this claim has an unexpired promise.
    #[must_use]
    pub fn grants(&self, now: Time, node: u16, word: Word) -> bool {
        self.promise(now).is_some_and(|kept| kept.to == node && kept.word == word)
    }

    /// Since when, or from when on, nobody is promised anything.
    #[must_use]
    pub fn free_at(&self) -> Time {
        self.promise.map_or(self.freed, |kept| kept.ends)
    }
}
