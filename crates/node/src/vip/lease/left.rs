//! How much of each vip lease is left.

use std::time::Duration;

use api::LeaseLeft;
use base::Time;
use engine::vip::lease::MAX_SEATS;

use super::VipLeases;

impl VipLeases {
    /// Of each own cell that is held, what is left of its vip lease.
    fn left(&self, now: Time) -> impl Iterator<Item = (usize, Duration)> {
        let until = self
            .places
            .iter()
            .take(self.own.min(MAX_SEATS))
            .map(|at| (at.cell, self.machine.until(at.seat)));
        // Who holds without a majority has no end.
        let held = until.filter(|(_, until)| *until > Time::ZERO && *until < Time::NEVER);
        held.map(move |(cell, until)| (cell, until.since(now)))
    }

    pub(in super::super) fn holds(&self) -> bool {
        self.left(Time::ZERO).next().is_some()
    }

    /// Before it is renewed: that is when it is least.
    pub(super) fn note_left(&mut self, now: Time) {
        for at in self.places.iter().take(self.own.min(MAX_SEATS)) {
            let until = self.machine.until(at.seat);
            if until > Time::ZERO && until < Time::NEVER {
                let (left, least) = (until.since(now), &mut self.least[at.cell]);
                *least = Some(least.map_or(left, |least| least.min(left)));
            }
        }
    }

    /// By own cell: for how long what is held is not let through any more; none: it is, or nothing is held.
    pub(super) fn ran_out(&self, now: Time) -> [Option<Duration>; MAX_SEATS] {
        let mut ran_out = [None; MAX_SEATS];
        for at in self.places.iter().take(self.own.min(MAX_SEATS)) {
            let until = self.machine.until(at.seat);
            ran_out[at.cell] = (until > Time::ZERO && until < now).then(|| now.since(until));
        }
        ran_out
    }

    /// After a step: what had run out and is held on was renewed too late. Nobody else had it meanwhile; whoever asked was not heard.
    pub(super) fn note_lapses(&mut self, now: Time, ran_out: &[Option<Duration>; MAX_SEATS]) {
        for at in self.places.iter().take(self.own.min(MAX_SEATS)) {
            if let Some(span) = ran_out[at.cell].filter(|_| self.machine.until(at.seat) > now) {
                let (count, longest) = &mut self.lapses[at.cell];
                *count += 1;
                *longest = span.max(*longest);
            }
        }
    }

    /// Into memory that has room for all seats.
    pub(in super::super) fn tell_left(&mut self, now: Time, told: &mut Vec<LeaseLeft>) {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        told.extend(self.left(now).map(|(cell, left)| LeaseLeft {
            instance: u16::try_from(self.instances[cell]).unwrap_or(u16::MAX),
            left_us: micros(left),
            least_us: micros(self.least[cell].map_or(left, |least| least.min(left))),
            lapses: self.lapses[cell].0,
            lapsed_us: micros(self.lapses[cell].1),
        }));
        self.least = [None; MAX_SEATS];
    }
}
