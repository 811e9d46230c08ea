//! Deadlines of one thread.
//!
//! A session that moves its deadline back (every request does) costs nothing: its old entry fires,
//! finds the deadline later and is put back. Entries that no longer matter are dropped when they
//! fire.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use base::Time;

use crate::slab::Key;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, u64)>>,
}

/// A session's place in the timers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm {
    /// When it wants to be woken.
    deadline: Time,
    /// The earliest entry that exists for it.
    armed: Time,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { deadline: Time::NEVER, armed: Time::NEVER }
    }
}

impl Alarm {
    pub(crate) const fn deadline(&self) -> Time {
        self.deadline
    }
}

impl Timers {
    /// Wakes `key` at `deadline` and not before.
    pub(crate) fn set(&mut self, key: Key, alarm: &mut Alarm, deadline: Time) {
        alarm.deadline = deadline;
        if deadline < alarm.armed {
            alarm.armed = deadline;
            self.heap.push(Reverse((deadline, key.to_bits())));
        }
    }

    pub(crate) fn next(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |Reverse((time, _))| *time)
    }

    /// An entry that is due: ask [`Timers::is_due`] of the session it names.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Time, Key)> {
        let Reverse((time, _)) = self.heap.peek()?;
        if *time > now {
            return None;
        }
        self.heap.pop().map(|Reverse((time, key))| (time, Key::from_bits(key)))
    }

    /// Whether the entry `fired` at `now` really wakes the session.
    pub(crate) fn is_due(&mut self, key: Key, alarm: &mut Alarm, fired: Time, now: Time) -> bool {
        if fired != alarm.armed {
            return false;
        }
        alarm.armed = Time::NEVER;
        if alarm.deadline > now {
            let deadline = alarm.deadline;
            if deadline != Time::NEVER {
                self.set(key, alarm, deadline);
            }
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    /// Everything that wakes at `now`.
    fn woken(timers: &mut Timers, key: Key, alarm: &mut Alarm, now: Time) -> u32 {
        let mut count = 0;
        while let Some((fired, _)) = timers.pop(now) {
            count += u32::from(timers.is_due(key, alarm, fired, now));
        }
        count
    }

    #[test]
    fn a_deadline_that_moves_back_fires_once_at_its_last_time() {
        let (mut timers, mut alarm, key) = (Timers::default(), Alarm::default(), Key::from_bits(7));
        for ms in 10..20 {
            timers.set(key, &mut alarm, at(ms));
        }
        assert_eq!(timers.heap.len(), 1);
        assert_eq!(woken(&mut timers, key, &mut alarm, at(18)), 0);
        assert_eq!(woken(&mut timers, key, &mut alarm, at(19)), 1);
        assert_eq!(timers.next(), Time::NEVER);
    }

    #[test]
    fn a_deadline_that_moves_forward_fires_early_and_once() {
        let (mut timers, mut alarm, key) = (Timers::default(), Alarm::default(), Key::from_bits(7));
        timers.set(key, &mut alarm, at(50));
        timers.set(key, &mut alarm, at(5));
        assert_eq!(woken(&mut timers, key, &mut alarm, at(6)), 1);
        timers.set(key, &mut alarm, at(60));
        assert_eq!(woken(&mut timers, key, &mut alarm, at(55)), 0);
        assert_eq!(woken(&mut timers, key, &mut alarm, at(60)), 1);
    }
}
