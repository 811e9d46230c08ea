//! What neutron's agent is told of one router: how it stands now, once, one telling at a time.
//!
//! ```text
//!   a change ---> told at once, if nothing is on its way; else when that has arrived, and only the newest
//!   not heard --> again after 1 s, 2 s, ... 30 s
//! ```
//! So the agent hears states in the order in which they came, and never the same twice.

use std::time::Duration;

use base::Time;

/// The agent restarts in some seconds.
const FIRST: Duration = Duration::from_secs(1);
/// Of an agent that is away for long, each router costs a connection in so long.
const LONGEST: Duration = Duration::from_secs(30);

/// Of one router.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// Whether the router is the primary one.
    now: Option<bool>,
    told: Option<bool>,
    /// On its way.
    going: Option<bool>,
    again: Time,
    pause: Duration,
}

impl News {
    /// `told`: what the agent has heard of a process before this one.
    #[must_use]
    pub const fn new(told: Option<bool>) -> Self {
        Self { now: None, told, going: None, again: Time::ZERO, pause: FIRST }
    }

    /// It is primary, or (false) backup, from now on.
    pub fn is(&mut self, primary: bool) {
        if self.now != Some(primary) {
            (self.again, self.pause) = (Time::ZERO, FIRST);
        }
        self.now = Some(primary);
    }

    /// What is to be told now; it is on its way then.
    pub fn next(&mut self, now: Time) -> Option<bool> {
        if now < self.deadline() {
            return None;
        }
        self.going = self.now;
        self.going
    }

    /// What was on its way has arrived, or not.
    pub fn went(&mut self, now: Time, heard: bool) {
        let Some(going) = self.going.take() else { return };
        if heard {
            (self.told, self.again, self.pause) = (Some(going), Time::ZERO, FIRST);
        } else if self.now == Some(going) {
            self.again = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST);
        }
    }

    /// What the agent has heard.
    #[must_use]
    pub const fn told(&self) -> Option<bool> {
        self.told
    }

    /// When something is to be told.
    #[must_use]
    pub fn deadline(&self) -> Time {
        let is_news = self.now.is_some() && self.now != self.told && self.going.is_none();
        if is_news { self.again } else { Time::NEVER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(1000 + ms)
    }

    #[test]
    fn a_state_is_told_once() {
        let mut news = News::new(None);
        assert_eq!(news.next(at(0)), None, "nothing is known");
        news.is(false);
        assert_eq!(news.next(at(0)), Some(false));
        assert_eq!(news.next(at(1)), None, "it is on its way");
        news.went(at(2), true);
        assert_eq!((news.next(at(3)), news.deadline()), (None, Time::NEVER));
        news.is(false);
        assert_eq!(news.next(at(4)), None);
    }

    #[test]
    fn what_changes_while_something_is_on_its_way_is_told_after_it_and_only_the_newest() {
        let mut news = News::new(Some(false));
        news.is(true);
        assert_eq!(news.next(at(0)), Some(true));
        news.is(false);
        news.is(true);
        news.is(false);
        assert_eq!(news.next(at(1)), None, "the agent must not hear them in another order");
        news.went(at(2), true);
        assert_eq!(news.next(at(2)), Some(false));
    }

    #[test]
    fn what_was_not_heard_is_told_again_later_and_later_and_a_change_at_once() {
        let mut news = News::new(None);
        news.is(true);
        let mut now = at(0);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(news.next(now), Some(true));
            news.went(now, false);
            assert_eq!(news.deadline(), now + Duration::from_secs(pause));
            now = news.deadline();
        }
        assert_eq!(news.next(now), Some(true));
        news.went(now, false);
        news.is(false);
        assert_eq!(news.next(now), Some(false));
    }

    #[test]
    fn what_a_process_before_has_told_is_not_told_again() {
        let mut news = News::new(Some(true));
        news.is(true);
        assert_eq!(news.next(at(0)), None);
        news.is(false);
        assert_eq!(news.next(at(0)), Some(false));
    }
}
