//! What a stand-in does whose desk is gone.
//!
//! ```text
//!   gone ---> looks for another, 20 times a second ---> one listens: waits for its answer ---> is accepted: nothing has happened
//!             |- none after a quarter of its time: starts one, once      |
//!             |- none at the end: takes the addresses off and ends;      `- none at the end: takes the addresses off,
//!             `                   neutron's agent starts it anew             and goes on waiting
//! ```
//! Addresses stay where they are meanwhile, and nobody speaks for them. Others take them when three adverts are missing and the
//! skew is over, and the last one may have been sent an interval before: two intervals are left.

use std::time::Duration;

use base::Time;

/// A desk is there some 50 ms after it was started.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Who holds no address may wait so long.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Without adverts for so many of their intervals the address is another's soon.
const INTERVALS: u32 = 2;

/// What to do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Connect to whoever listens, and say what it stands for: [`Orphan::found`].
    Look,
    /// Nobody else has started a desk.
    StartOne,
    /// Take the addresses off, and tell the desk anew that there is none.
    Release,
    /// Take off what is there, and end.
    GiveUp,
}

/// One stand-in that looks for a desk.
#[derive(Clone, Copy, Debug)]
pub struct Orphan {
    start_at: Time,
    end: Time,
    look_at: Time,
    /// There may be an address that nobody speaks for.
    holds: bool,
    /// A desk listens, and has not answered yet.
    waits: bool,
}

impl Orphan {
    /// `lost`: when the first of all that had this desk missed it: they look in turn. `shortest`: interval of the adverts that
    /// it stands for; none: it stands for no address.
    #[must_use]
    pub fn new(now: Time, lost: Time, shortest: Option<Duration>) -> Self {
        let patience = shortest.map_or(PATIENCE, |interval| interval * INTERVALS);
        let (start_at, end) = (lost + patience / 4, lost + patience);
        Self { start_at, end, look_at: now, holds: shortest.is_some(), waits: false }
    }

    /// Another one waited in vain a moment ago, while this one waited for its turn: it looks once.
    #[must_use]
    pub const fn after_another(now: Time, holds: bool) -> Self {
        Self { start_at: Time::NEVER, end: now, look_at: now, holds, waits: false }
    }

    /// Somebody listens, and was told what this stands for.
    pub fn found(&mut self, now: Time) {
        self.waits = true;
        if !self.holds {
            // Nobody misses it.
            self.end = self.end.max(now + PATIENCE);
        }
    }

    /// Who listened is gone without an answer.
    pub fn lost(&mut self, now: Time) {
        (self.waits, self.look_at) = (false, now + LOOK_EVERY);
    }

    pub fn step(&mut self, now: Time) -> Option<Order> {
        if !self.waits && now >= self.look_at && self.look_at != Time::NEVER {
            self.look_at = if now < self.end { now + LOOK_EVERY } else { Time::NEVER };
            return Some(Order::Look);
        }
        if now >= self.end {
            if !self.waits || !self.holds {
                return Some(Order::GiveUp);
            }
            (self.holds, self.waits) = (false, false);
            (self.start_at, self.look_at, self.end) = (Time::NEVER, now, now + PATIENCE);
            return Some(Order::Release);
        }
        if !self.waits && now >= self.start_at {
            self.start_at = Time::NEVER;
            return Some(Order::StartOne);
        }
        None
    }

    #[must_use]
    pub fn deadline(&self) -> Time {
        if self.waits {
            return self.end;
        }
        self.look_at.min(self.start_at).min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All orders, with the milliseconds at which they came.
    fn orders(mut orphan: Orphan) -> Vec<(u128, Order)> {
        let (begin, mut now, mut all) = (at(0), at(0), vec![]);
        loop {
            match orphan.step(now) {
                Some(order) => {
                    all.push((now.since(begin).as_millis(), order));
                    if order == Order::GiveUp {
                        return all;
                    }
                }
                None => now = orphan.deadline(),
            }
        }
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(1000 + ms)
    }

    #[test]
    fn it_looks_all_the_time_starts_one_desk_and_gives_up_before_another_takes_the_address() {
        let all = orders(Orphan::new(at(0), at(0), Some(Duration::from_secs(2))));
        let of = |order| {
            let at = all.iter().filter(move |(_, other)| *other == order);
            at.map(|(ms, _)| *ms).collect::<Vec<_>>()
        };
        assert_eq!(of(Order::StartOne), [1000]);
        assert_eq!(of(Order::GiveUp), [4000]);
        let looks = of(Order::Look);
        assert_eq!((looks[0], looks.len()), (0, 81));
        assert!(looks.contains(&4000), "once more before it gives up");
    }

    #[test]
    fn where_another_gave_up_it_looks_once() {
        let all = orders(Orphan::after_another(at(0), true));
        assert_eq!(all, [(0, Order::Look), (0, Order::GiveUp)]);
    }

    #[test]
    fn who_stands_for_no_address_waits_longer() {
        let all = orders(Orphan::new(at(0), at(0), None));
        assert_eq!(all.last(), Some(&(20_000, Order::GiveUp)));
    }

    #[test]
    fn a_desk_that_listens_is_waited_for_and_asked_only_once() {
        let mut orphan = Orphan::new(at(0), at(0), Some(Duration::from_secs(2)));
        assert_eq!(orphan.step(at(0)), Some(Order::Look));
        orphan.found(at(1));
        let asked = (1..4000).filter(|ms| orphan.step(at(*ms)).is_some()).count();
        assert_eq!((asked, orphan.deadline()), (0, at(4000)));
    }

    #[test]
    fn a_desk_that_answers_too_late_is_waited_for_without_the_addresses() {
        let mut orphan = Orphan::new(at(0), at(0), Some(Duration::from_secs(2)));
        assert_eq!(orphan.step(at(0)), Some(Order::Look));
        orphan.found(at(0));
        assert_eq!(orphan.step(at(4000)), Some(Order::Release));
        assert_eq!(orphan.step(at(4000)), Some(Order::Look), "it is told that there is none");
        orphan.found(at(4000));
        assert_eq!(orphan.step(at(23_999)), None);
        assert_eq!(orphan.step(at(24_000)), Some(Order::GiveUp));
    }

    #[test]
    fn one_that_waited_for_its_turn_until_another_gave_up_releases_before_it_is_accepted() {
        let mut orphan = Orphan::after_another(at(0), true);
        assert_eq!(orphan.step(at(0)), Some(Order::Look));
        orphan.found(at(0));
        assert_eq!(orphan.step(at(0)), Some(Order::Release));
        assert_eq!(orphan.step(at(0)), Some(Order::Look));
    }

    #[test]
    fn one_whose_turn_comes_when_another_host_may_have_the_address_releases_before_it_is_accepted()
    {
        let two = Some(Duration::from_secs(2));
        let mut orphan = Orphan::new(at(3900), at(0), two);
        assert_eq!(orphan.step(at(3900)), Some(Order::Look));
        orphan.found(at(3900));
        assert_eq!((orphan.step(at(3900)), orphan.deadline()), (None, at(4000)), "not yet");
        let mut orphan = Orphan::new(at(4000), at(0), two);
        assert_eq!(orphan.step(at(4000)), Some(Order::Look));
        orphan.found(at(4000));
        assert_eq!(orphan.step(at(4000)), Some(Order::Release));
    }

    #[test]
    fn a_desk_that_dies_before_it_answers_is_looked_for_again() {
        let mut orphan = Orphan::new(at(0), at(0), Some(Duration::from_secs(2)));
        assert_eq!(orphan.step(at(0)), Some(Order::Look));
        orphan.found(at(0));
        orphan.lost(at(1500));
        assert_eq!(orphan.step(at(1500)), Some(Order::StartOne));
        assert_eq!(orphan.step(at(1549)), None);
        assert_eq!(orphan.step(at(1550)), Some(Order::Look));
        assert_eq!(orders(orphan).last(), Some(&(4000, Order::GiveUp)));
    }
}
