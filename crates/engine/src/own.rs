//! What a node has against itself: while there is something it accuses nobody, and says so.
//!
//! ```text
//!            a reason that was not told yet               nothing for TRUSTS_AFTER
//!   trusts -----------------------------------> suspects --------------------------> trusts
//! ```
//!
//! The reasons are those of the rules `own-…` of [`crate::verdict`]; here is decided only when they are worth an
//! event.

use std::time::Duration;

use base::Time;

use crate::verdict::Times;

/// So long without a reason a node trusts itself again: as long as a measured stall counts, so that a machine
/// whose timers slip now and then has a dozen of these events a minute and not hundreds.
pub const TRUSTS_AFTER: Duration = Duration::from_secs(5);

/// One reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    Timers,
    Links,
    Majority,
    /// Beside a majority.
    Reference,
}

impl Reason {
    pub const ALL: [Self; 4] = [Self::Timers, Self::Links, Self::Majority, Self::Reference];

    /// The rule of [`crate::verdict::RULES`] by which it accuses nobody.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Timers => "own-timers",
            Self::Links => "own-links",
            Self::Majority => "own-quorum",
            Self::Reference => "own-reference",
        }
    }

    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Timers => "its timers were late, or a link of it has just come back",
            Self::Links => "none of its own links has a carrier",
            Self::Majority => "it reaches no majority of the nodes",
            Self::Reference => "no reference point answers it, on any network",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// All that a node has against itself at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reasons(u8);

impl Reasons {
    pub const NONE: Self = Self(0);

    pub const fn put(&mut self, reason: Reason, is: bool) {
        if is {
            self.0 |= reason.bit();
        } else {
            self.0 &= !reason.bit();
        }
    }

    #[must_use]
    pub const fn has(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.has(*reason))
    }

    /// `its timers were late, or …; it reaches no majority of the nodes`.
    #[must_use]
    pub fn words(self) -> String {
        self.iter().map(Reason::words).collect::<Vec<_>>().join("; ")
    }
}

/// What is worth an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// All its reasons; one of them is new.
    Suspects(Reasons),
    Trusts,
}

/// Whether this node suspects itself.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Until then nobody can have been heard: a node that starts before the others is not cut off.
    from: Time,
    now: Reasons,
    told: Reasons,
    /// When it trusts itself again if nothing comes.
    trusts_at: Time,
}

impl Own {
    /// Of a process that starts now.
    #[must_use]
    pub fn new(now: Time, times: Times) -> Self {
        Self {
            from: now + times.detect() + times.patience(),
            now: Reasons::NONE,
            told: Reasons::NONE,
            trusts_at: Time::NEVER,
        }
    }

    /// Takes in what the node has against itself now.
    pub fn step(&mut self, now: Time, mut reasons: Reasons) -> Option<News> {
        if now < self.from {
            reasons.put(Reason::Majority, false);
            reasons.put(Reason::Reference, false);
        }
        self.now = reasons;
        if !reasons.is_empty() {
            self.trusts_at = Time::NEVER;
            let is_news = reasons.0 & !self.told.0 != 0;
            self.told.0 |= reasons.0;
            return is_news.then_some(News::Suspects(reasons));
        }
        if self.told.is_empty() {
            return None;
        }
        self.trusts_at = self.trusts_at.min(now + TRUSTS_AFTER);
        if now < self.trusts_at {
            return None;
        }
        (self.told, self.trusts_at) = (Reasons::NONE, Time::NEVER);
        Some(News::Trusts)
    }

    /// What it has against itself, as of the last step.
    #[must_use]
    pub const fn reasons(&self) -> Reasons {
        self.now
    }

    /// When time alone makes it trust itself.
    #[must_use]
    pub const fn deadline(&self) -> Time {
        self.trusts_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn of(reasons: &[Reason]) -> Reasons {
        let mut all = Reasons::NONE;
        reasons.iter().for_each(|reason| all.put(*reason, true));
        all
    }

    #[test]
    fn each_reason_is_told_once_and_trust_comes_back_when_nothing_was_for_a_while() {
        let mut own = Own::new(Time::ZERO, Times::default());
        let (timers, both) = (of(&[Reason::Timers]), of(&[Reason::Timers, Reason::Majority]));
        assert_eq!(own.step(at(2000), Reasons::NONE), None);
        assert_eq!(own.step(at(2100), timers), Some(News::Suspects(timers)));
        assert_eq!(own.step(at(2200), timers), None, "it was told");
        assert_eq!(own.step(at(2300), both), Some(News::Suspects(both)), "another reason");
        assert_eq!(own.step(at(2400), Reasons::NONE), None);
        assert_eq!((own.reasons(), own.deadline()), (Reasons::NONE, at(7400)));
        assert_eq!(own.step(at(5000), timers), None, "the same again, and trust begins anew");
        assert_eq!(own.step(at(5100), Reasons::NONE), None);
        assert_eq!(own.step(at(10_099), Reasons::NONE), None, "a moment earlier");
        assert_eq!(own.step(at(10_100), Reasons::NONE), Some(News::Trusts));
        assert_eq!(own.step(at(10_200), Reasons::NONE), None, "said once");
        assert_eq!(own.step(at(10_300), timers), Some(News::Suspects(timers)));
    }

    #[test]
    fn who_starts_first_is_given_the_time_in_which_the_others_are_heard() {
        let mut own = Own::new(at(1000), Times::default());
        let alone = of(&[Reason::Majority]);
        assert_eq!(own.step(at(2499), alone), None);
        assert!(own.reasons().is_empty());
        assert_eq!(own.step(at(2500), alone), Some(News::Suspects(alone)));
        assert_eq!(own.reasons().words(), "it reaches no majority of the nodes");
        let links = of(&[Reason::Links]);
        let mut own = Own::new(at(1000), Times::default());
        assert_eq!(own.step(at(1001), links), Some(News::Suspects(links)), "that is seen at once");
    }

    #[test]
    fn every_reason_is_a_rule_of_the_table() {
        for reason in Reason::ALL {
            assert!(crate::verdict::RULES.iter().any(|rule| rule.name == reason.rule()));
            assert_eq!(of(&[reason]).iter().collect::<Vec<_>>(), [reason]);
        }
    }
}
