//! What a client sees that asks for hours: counts since each fault, and the last minute. Nothing
//! here grows with time.

use std::collections::VecDeque;
use std::time::Duration;

use base::Time;

use super::Port;

/// Faults that are remembered: more than a screen has lines for.
const MOST_MARKS: usize = 32;
/// What one letter of the last minute stands for.
const SLOT: Duration = Duration::from_millis(500);
/// Letters of the last half minute.
const MOST_SLOTS: usize = 60;
/// Answered later than this after it was due: as in the table of scenarios.
const SLOW: Duration = Duration::from_secs(1);

/// Answers take less: what was due so long before a fault and is not answered at it, met it.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Counts of one port since a moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
    /// The longest time between two good answers, less the schedule.
    gap: Duration,
}

/// What happened from one fault to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Time,
    pub(crate) tallies: [Tally; 2],
}

/// Half a second of one port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Slot {
    pub(crate) answered: u32,
    pub(crate) failed: u32,
    pub(crate) slow: u32,
}

/// The running counts.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    interval: Duration,
    /// Oldest first, never empty.
    marks: VecDeque<Mark>,
    last_good: [Time; 2],
    /// The first slot begins here.
    slots_from: Time,
    slots: VecDeque<[Slot; 2]>,
}

impl Live {
    #[must_use]
    pub(crate) fn new(interval: Duration, now: Time) -> Self {
        let first = Mark { at: now, tallies: [Tally::default(); 2] };
        Self {
            interval,
            marks: VecDeque::from([first]),
            last_good: [now; 2],
            slots_from: now,
            slots: VecDeque::new(),
        }
    }

    /// From now on it counts for another fault.
    pub(crate) fn mark(&mut self, at: Time) {
        if self.marks.len() >= MOST_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { at, tallies: [Tally::default(); 2] });
    }

    /// The client was away: the time until now is nobody's gap.
    pub(crate) fn begin_again(&mut self, now: Time) {
        self.last_good = [now; 2];
    }

    pub(crate) fn note(&mut self, port: Port, scheduled: Time, ended: Time, good: bool) {
        let slow = ended.since(scheduled) > SLOW;
        if let Some(slot) = self.slot(ended) {
            let slot = &mut slot[port as usize];
            slot.answered += u32::from(good);
            slot.failed += u32::from(!good);
            slot.slow += u32::from(good && slow);
        }
        // A request belongs to the fault before it was due, however late it ends; or to the one that
        // met it under way.
        let met = |mark: &Mark| mark.at <= scheduled + UNDER_WAY && mark.at < ended;
        let owner = self.marks.iter().rposition(met).unwrap_or(0);
        let tally = &mut self.marks[owner].tallies[port as usize];
        tally.answered += u64::from(good);
        tally.failed += u64::from(!good);
        tally.slow += u64::from(good && slow);
        if good {
            self.close_gap(port, ended);
        }
    }

    /// A silence belongs to every fault during it, up to the next one.
    fn close_gap(&mut self, port: Port, ended: Time) {
        let from = self.last_good[port as usize];
        for number in (0..self.marks.len()).rev() {
            let end = self.marks.get(number + 1).map_or(Time::NEVER, |next| next.at);
            if end <= from {
                break;
            }
            if self.marks[number].at < ended {
                let gap = ended.min(end).since(from).saturating_sub(self.interval);
                let tally = &mut self.marks[number].tallies[port as usize];
                tally.gap = tally.gap.max(gap);
            }
        }
        self.last_good[port as usize] = from.max(ended);
    }

    fn slot(&mut self, at: Time) -> Option<&mut [Slot; 2]> {
        let number = |from: Time| {
            usize::try_from(at.since(from).as_nanos() / SLOT.as_nanos()).unwrap_or(usize::MAX)
        };
        let mut wanted = number(self.slots_from);
        if wanted > 2 * MOST_SLOTS {
            // After a long silence nothing of before is in sight.
            self.slots.clear();
            self.slots_from = at;
            wanted = 0;
        }
        while self.slots.len() <= wanted {
            self.slots.push_back([Slot::default(); 2]);
        }
        while self.slots.len() > MOST_SLOTS {
            self.slots.pop_front();
            self.slots_from += SLOT;
            wanted -= 1;
        }
        self.slots.get_mut(wanted)
    }

    /// The last half minute of a port, newest last, with slots in which no request ended.
    pub(crate) fn slots(&self, port: Port, now: Time) -> Vec<Slot> {
        let mut copy = self.clone();
        let _now = copy.slot(now);
        // What has only begun says nothing yet.
        if copy.slots.back() == Some(&[Slot::default(); 2]) {
            copy.slots.pop_back();
        }
        copy.slots.iter().map(|slot| slot[port as usize]).collect()
    }

    /// Oldest first; the last one goes on.
    pub(crate) fn marks(&self) -> impl DoubleEndedIterator<Item = &Mark> {
        self.marks.iter()
    }

    /// The longest silence of a port during a fault, with the one that still goes on.
    #[must_use]
    pub(crate) fn gap(&self, mark: &Mark, port: Port, now: Time) -> Duration {
        let end = self.marks.iter().map(|other| other.at).find(|at| *at > mark.at);
        let from = self.last_good[port as usize];
        let end = end.unwrap_or(Time::NEVER);
        let open = now.min(end).since(from).saturating_sub(self.interval);
        mark.tallies[port as usize].gap.max(open)
    }

    /// How long ago the port last answered well.
    #[must_use]
    pub(crate) fn silent(&self, port: Port, now: Time) -> Duration {
        now.since(self.last_good[port as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn steady(until: u64) -> Live {
        let mut live = Live::new(Duration::from_millis(5), at(0));
        for ms in (5..until).step_by(5) {
            live.note(Port::Api, at(ms), at(ms + 1), true);
        }
        live
    }

    fn gap(live: &Live, mark: usize, now: u64) -> u128 {
        let mark = *live.marks().nth(mark).unwrap();
        live.gap(&mark, Port::Api, at(now)).as_millis()
    }

    #[test]
    fn a_silence_belongs_to_the_fault_during_which_it_was() {
        let mut live = steady(1000);
        live.mark(at(1000));
        live.note(Port::Api, at(1400), at(1401), true);
        assert_eq!((gap(&live, 0, 1401), gap(&live, 1, 1401)), (1, 400));
        // Before, answers came in time; the silence began a moment before the fault.
        live.mark(at(2000));
        for ms in (1405..3000).step_by(5) {
            live.note(Port::Api, at(ms), at(ms + 1), true);
        }
        assert_eq!(gap(&live, 2, 3000), 0);
        assert_eq!(gap(&live, 1, 3000), 400);
    }

    #[test]
    fn a_silence_that_goes_on_grows() {
        let mut live = steady(1000);
        live.mark(at(1000));
        assert_eq!(gap(&live, 1, 1100), 99);
        assert_eq!(gap(&live, 1, 3100), 2099);
        assert_eq!(live.silent(Port::Api, at(3100)).as_millis(), 2104);
    }

    #[test]
    fn a_request_counts_for_the_fault_before_it_was_due() {
        let mut live = steady(1000);
        live.mark(at(1000));
        live.note(Port::Api, at(1001), at(9001), false);
        live.mark(at(2000));
        live.note(Port::Api, at(1002), at(9002), false);
        live.note(Port::Api, at(2001), at(3500), true);
        // Due a moment before the fault that met it.
        live.note(Port::Api, at(1999), at(9999), false);
        let counts: Vec<(u64, u64)> =
            live.marks().map(|m| (m.tallies[0].failed, m.tallies[0].slow)).collect();
        assert_eq!(counts, [(0, 0), (2, 0), (1, 1)]);
    }

    #[test]
    fn nothing_grows_with_time() {
        let mut live = Live::new(Duration::from_millis(5), at(0));
        for ms in (0..200_000).step_by(100) {
            live.mark(at(ms));
            live.note(Port::Database, at(ms), at(ms), ms % 300 == 0);
        }
        assert_eq!(live.marks().count(), MOST_MARKS);
        assert_eq!(live.slots(Port::Database, at(200_000)).len(), MOST_SLOTS - 1);
        let quiet = live.slots(Port::Database, at(202_000));
        assert_eq!(quiet.last(), Some(&Slot::default()));
    }
}
