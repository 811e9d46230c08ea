//! A store whose revision went back: somebody put an older copy of it in its place.
//!
//! Revisions of one store grow, and a read by a majority never tells an older one than the read before. So a smaller
//! one says that the store is another one than it was: an etcd that was put back by `etcdctl snapshot restore` counts
//! on from its backup. What was written since is gone, and what it numbers from then on was given before.

use base::Time;

use crate::strangers::Told;

/// How far it had been, and where it was found then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gone {
    pub was: u64,
    pub is: u64,
}

/// The greatest revision that was read since this began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Back {
    greatest: u64,
    gone: Option<Gone>,
    told: Told,
}

impl Back {
    /// A revision that a majority confirmed. Some: it went back, and that is to be told.
    pub fn seen(&mut self, now: Time, revision: u64) -> Option<Gone> {
        if revision >= self.greatest {
            (self.greatest, self.gone) = (revision, None);
            return None;
        }
        if self.gone.is_some() {
            return None;
        }
        self.gone = Some(Gone { was: self.greatest, is: revision });
        self.gone.filter(|_| self.told.is_due(now))
    }

    /// As long as it has not reached again what it had been.
    #[must_use]
    pub const fn lasting(&self) -> Option<Gone> {
        self.gone
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::strangers::TELL_EVERY;

    #[test]
    fn a_revision_that_went_back_is_told_once_and_lasts_until_it_is_reached_again() {
        let mut back = Back::default();
        let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
        let seen = [5, 5, 9, 20].map(|revision| back.seen(at(revision), revision));
        assert_eq!((seen, back.lasting()), ([None; 4], None));
        let gone = Gone { was: 20, is: 9 };
        assert_eq!(back.seen(at(21), 9), Some(gone));
        for revision in 9..20 {
            assert_eq!((back.seen(at(22), revision), back.lasting()), (None, Some(gone)));
        }
        assert_eq!((back.seen(at(30), 20), back.lasting()), (None, None));
        // One that is put back again and again fills no log.
        let again = (0..100).filter(|round| {
            let told = back.seen(at(40 + 2 * round), 10).is_some();
            assert!(back.lasting().is_some());
            back.seen(at(41 + 2 * round), 20).is_none() && told
        });
        assert_eq!(again.count(), 0);
        assert!(back.seen(at(21) + TELL_EVERY, 10).is_some());
    }
}
