//! When a process that ended is started again, and when one that does not answer is ended.

use std::time::Duration;

use base::Time;

/// One that ended sooner would end again.
const SHORT: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_millis(50);
const PING_EVERY: Duration = Duration::from_millis(500);
/// It answers within a millisecond, and within half a second while all routers come at once.
const SILENT: Duration = Duration::from_secs(2);

/// So many deaths in a row, each soon after the start, take a second: one more would be none better, and addresses that nobody
/// speaks for are another's soon.
const IN_A_ROW: u32 = 5;

/// What to do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    Start,
    /// It does not come up. Who has left its work to it has to look after itself.
    GiveUp,
    Ping(u64),
    /// It hangs.
    Kill,
}

/// Of one process.
#[derive(Clone, Copy, Debug)]
pub struct Restart {
    /// Since when it runs; none: it does not.
    runs: Option<Time>,
    start_at: Time,
    pause: Duration,
    deaths: u32,
    ping_at: Time,
    number: u64,
    /// When it answered last.
    heard: Time,
}

impl Restart {
    #[must_use]
    pub const fn new(now: Time) -> Self {
        let (deaths, number) = (0, 0);
        Self { runs: None, start_at: now, pause: FIRST, deaths, ping_at: now, number, heard: now }
    }

    pub fn step(&mut self, now: Time) -> Option<Order> {
        if self.runs.is_none() {
            if self.deaths >= IN_A_ROW {
                return Some(Order::GiveUp);
            }
            if now < self.start_at {
                return None;
            }
            (self.runs, self.heard, self.ping_at) = (Some(now), now, now);
            return Some(Order::Start);
        }
        if now.since(self.heard) >= SILENT {
            self.heard = Time::NEVER;
            return Some(Order::Kill);
        }
        if now >= self.ping_at {
            (self.ping_at, self.number) = (now + PING_EVERY, self.number + 1);
            return Some(Order::Ping(self.number));
        }
        None
    }

    pub fn answered(&mut self, now: Time, number: u64) {
        // One that is told to die is not asked any more.
        if number == self.number && self.heard != Time::NEVER {
            self.heard = now;
        }
    }

    /// It has taken one more in: many that come at once are no silence, however long all of them take.
    pub fn advanced(&mut self, now: Time) {
        if self.heard != Time::NEVER {
            self.heard = now;
        }
    }

    /// It ended, or could not be started.
    pub fn ended(&mut self, now: Time) {
        let lived = self.runs.take().map_or(Duration::ZERO, |since| now.since(since));
        if lived >= SHORT {
            (self.start_at, self.pause, self.deaths) = (now, FIRST, 1);
        } else {
            self.deaths += 1;
            self.start_at = now + self.pause;
            self.pause *= 2;
        }
    }

    #[must_use]
    pub fn deadline(&self) -> Time {
        match self.runs {
            None => self.start_at,
            Some(_) if self.heard == Time::NEVER => self.ping_at,
            Some(_) => self.ping_at.min(self.heard + SILENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(1000 + ms)
    }

    #[test]
    fn one_that_ran_for_long_is_started_at_once_and_one_that_dies_again_and_again_is_given_up() {
        let mut restart = Restart::new(at(0));
        assert_eq!(restart.step(at(0)), Some(Order::Start));
        restart.ended(at(5000));
        assert_eq!(restart.step(at(5000)), Some(Order::Start));
        let mut now = at(5000);
        for pause in [50, 100, 200] {
            restart.ended(now);
            assert_eq!(restart.deadline(), now + Duration::from_millis(pause));
            assert_eq!(restart.step(now), None);
            now = restart.deadline();
            assert_eq!(restart.step(now), Some(Order::Start));
        }
        restart.ended(now);
        assert_eq!(restart.step(now), Some(Order::GiveUp));
    }

    #[test]
    fn one_that_takes_many_in_is_not_ended_for_its_silence_and_one_that_stops_is() {
        let mut restart = Restart::new(at(0));
        assert_eq!(restart.step(at(0)), Some(Order::Start));
        for ms in (0..6000).step_by(10) {
            restart.advanced(at(ms));
            assert_ne!(restart.step(at(ms)), Some(Order::Kill), "after {ms} ms");
        }
        let kills = (6000..9000).filter(|ms| restart.step(at(*ms)) == Some(Order::Kill)).count();
        assert_eq!(kills, 1);
        restart.advanced(at(9000));
        assert_eq!(restart.step(at(12_000)).filter(|order| *order == Order::Kill), None);
    }

    #[test]
    fn one_that_answers_lives_and_one_that_is_silent_for_two_seconds_is_ended_once() {
        let mut restart = Restart::new(at(0));
        assert_eq!(restart.step(at(0)), Some(Order::Start));
        for (ms, number) in [(0, 1), (500, 2), (1000, 3)] {
            assert_eq!(restart.step(at(ms)), Some(Order::Ping(number)));
            restart.answered(at(ms), number);
        }
        for (ms, number) in [(1500, 4), (2000, 5), (2500, 6)] {
            assert_eq!(restart.step(at(ms)), Some(Order::Ping(number)));
        }
        restart.answered(at(2600), 3);
        assert_eq!(restart.step(at(3000)), Some(Order::Kill), "an old answer is none");
        let kills = (3000..9000).filter(|ms| restart.step(at(*ms)) == Some(Order::Kill)).count();
        assert_eq!(kills, 0);
    }
}
