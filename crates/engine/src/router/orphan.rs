//! What a stand-in does whose desk is gone.
//!
//! ```text
//!   gone ---> looks for another, 20 times a second ---> is accepted: nothing has happened
//!             |- none after a quarter of its time: starts one, once
//!             `- none at the end: takes the addresses off and ends; neutron's agent starts it anew
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
    Look,
    /// Nobody else has started a desk.
    StartOne,
    GiveUp,
}

/// One stand-in that looks for a desk.
#[derive(Clone, Copy, Debug)]
pub struct Orphan {
    start_at: Time,
    end: Time,
    look_at: Time,
}

impl Orphan {
    /// `shortest`: interval of the adverts that it stands for; none: it stands for no address.
    #[must_use]
    pub fn new(now: Time, shortest: Option<Duration>) -> Self {
        let patience = shortest.map_or(PATIENCE, |interval| interval * INTERVALS);
        Self { start_at: now + patience / 4, end: now + patience, look_at: now }
    }

    /// Another one waited in vain a moment ago: it looks once.
    #[must_use]
    pub const fn after_another(now: Time) -> Self {
        Self { start_at: Time::NEVER, end: now, look_at: now }
    }

    pub fn step(&mut self, now: Time) -> Option<Order> {
        if now >= self.look_at && self.look_at != Time::NEVER {
            self.look_at = if now < self.end { now + LOOK_EVERY } else { Time::NEVER };
            return Some(Order::Look);
        }
        if now >= self.end {
            return Some(Order::GiveUp);
        }
        if now >= self.start_at {
            self.start_at = Time::NEVER;
            return Some(Order::StartOne);
        }
        None
    }

    #[must_use]
    pub fn deadline(&self) -> Time {
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
        let all = orders(Orphan::new(at(0), Some(Duration::from_secs(2))));
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
        let all = orders(Orphan::after_another(at(0)));
        assert_eq!(all, [(0, Order::Look), (0, Order::GiveUp)]);
    }

    #[test]
    fn who_stands_for_no_address_waits_longer() {
        let all = orders(Orphan::new(at(0), None));
        assert_eq!(all.last(), Some(&(20_000, Order::GiveUp)));
    }
}
