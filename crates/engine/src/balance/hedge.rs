//! How many second connects are allowed.

/// A hedge costs this many connects: one in ten, so that a slow network is not asked for twice the
/// connects at the worst moment.
const PRICE: u32 = 10;

/// Savings stop at this many hedges: a burst after a quiet hour stays small.
const MAX_SAVED: u32 = 20;

/// One data thread's allowance: never more than a tenth of its connects.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hedge {
    saved: u32,
}

impl Hedge {
    #[must_use]
    pub const fn new() -> Self {
        Self { saved: 0 }
    }

    /// A first connect was started.
    pub fn connected(&mut self) {
        self.saved = (self.saved + 1).min(PRICE * MAX_SAVED);
    }

    /// Pays for a second connect; false: there must be none.
    #[must_use]
    pub const fn take(&mut self) -> bool {
        match self.saved.checked_sub(PRICE) {
            Some(rest) => {
                self.saved = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_a_tenth_of_the_connects_is_hedged() {
        let (mut hedge, mut connects, mut hedges) = (Hedge::new(), 0, 0);
        for turn in 0..10_000 {
            if turn % 3 != 0 {
                hedge.connected();
                connects += 1;
            }
            if hedge.take() {
                hedges += 1;
            }
            assert!(hedges * 10 <= connects, "{hedges} hedges, {connects} connects");
        }
        assert_eq!(hedges, connects / 10);
    }

    #[test]
    fn a_quiet_hour_saves_twenty_hedges_and_no_more() {
        let mut hedge = Hedge::new();
        (0..100_000).for_each(|_| hedge.connected());
        assert_eq!((0..1000).filter(|_| hedge.take()).count(), 20);
    }
}
