//! How long a claimant may hold: counted from when it sent what a majority acknowledged.

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use super::voters::{Elector, MAX_VOTERS, Set, Voters};

/// Beats whose sending is remembered: a vip lease of twenty beats, each doubled several times by changes.
const REMEMBERED: usize = 256;

/// One of them: for how long it asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Beat {
    at: Time,
    span: Duration,
}

/// When this node sent its last beats.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    newest: u64,
    /// By serial, modulo its length.
    beats: Box<[Beat]>,
}

impl Default for Sent {
    fn default() -> Self {
        let none = Beat { at: Time::ZERO, span: Duration::ZERO };
        Self { newest: 0, beats: vec![none; REMEMBERED].into_boxed_slice() }
    }
}

impl Sent {
    /// A beat is about to be sent that asks for this vip lease: `now` was read before.
    pub fn note(&mut self, now: Time, span: Duration) -> u64 {
        self.newest += 1;
        let place = self.place(self.newest);
        self.beats[place] = Beat { at: now, span };
        self.newest
    }

    /// Counts on from there: when those before were sent is not known, and nothing is counted from them.
    pub const fn go_on(&mut self, newest: u64) {
        self.newest = newest;
    }

    /// 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// None: never sent, or too long ago to count.
    #[must_use]
    pub fn at(&self, serial: u64) -> Option<Time> {
        let known = serial > 0
            && serial <= self.newest
            && self.newest - serial < u64::try_from(self.beats.len()).unwrap_or(0);
        known.then(|| self.beats[self.place(serial)].at)
    }

    /// For how long whoever granted that beat or any later one is bound at least: a later one may have asked for less.
    #[must_use]
    pub fn least_span(&self, serial: u64) -> Duration {
        let spans = (serial..=self.newest).map(|serial| self.beats[self.place(serial)].span);
        spans.min().unwrap_or(Duration::ZERO)
    }

    fn place(&self, serial: u64) -> usize {
        usize::try_from(serial % u64::try_from(self.beats.len()).unwrap_or(1)).unwrap_or(0)
    }
}

/// One claim to one virtual IP, from its first beat on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Claim {
    /// The first beat that carries it: what was granted to an earlier claim was given back since.
    from: u64,
    /// By voter: the newest beat of this claim that it granted. At each place one machine.
    granted: ArrayVec<(Elector, u64), { 2 * MAX_VOTERS }>,
}

impl Claim {
    /// `from`: the serial of the next beat.
    #[must_use]
    pub fn new(from: u64) -> Self {
        Self { from, granted: ArrayVec::new() }
    }

    #[must_use]
    pub const fn from(&self) -> u64 {
        self.from
    }

    /// By voter: the newest beat that it granted.
    #[must_use]
    pub fn grants(&self) -> &[(Elector, u64)] {
        &self.granted
    }

    /// `voter` says that it promised the beat of this number, which was really sent. A stranger does so too, as
    /// it may know a later list, or be the machine that follows a voter at its place: it takes no voter's place.
    pub fn granted(&mut self, voter: impl Into<Elector>, serial: u64, set: &Set) {
        let voter = voter.into();
        if serial < self.from || !set.has(voter) {
            return;
        }
        match self.granted.iter_mut().find(|(known, _)| known.node == voter.node) {
            Some((known, newest)) if *known == voter => *newest = serial.max(*newest),
            Some(known) => *known = (voter, serial),
            None => self.granted.push((voter, serial)),
        }
    }

    /// Lists changed: who is in neither has no place any more, so that all voters of two lists always have one.
    pub fn keep_voters(&mut self, set: &Set) {
        self.granted.retain(|(voter, _)| set.has(*voter));
    }

    /// Until when majorities of all lists that count are bound to this claim of node `me`; none: they never
    /// were.
    #[must_use]
    pub fn until(&self, now: Time, me: impl Into<Elector>, set: &Set, sent: &Sent) -> Option<Time> {
        let me = me.into();
        let serials = set.counted(now).map(|voters| self.majority(me, voters, sent.newest()));
        let serial = serials.min().filter(|serial| *serial >= self.from)?;
        sent.at(serial).map(|at| at + sent.least_span(serial))
    }

    /// The newest beat that a majority of the list granted, or a later one instead; 0: none.
    fn majority(&self, me: Elector, voters: &Voters, newest: u64) -> u64 {
        let granted = |elector: &Elector| {
            if elector.is(me) {
                return newest;
            }
            let known = self.granted.iter().find(|(voter, _)| elector.is(*voter));
            known.map_or(0, |(_, serial)| if *serial <= newest { *serial } else { 0 })
        };
        let mut serials: ArrayVec<u64, MAX_VOTERS> =
            voters.electors().iter().map(granted).collect();
        serials.sort_unstable();
        serials[serials.len() - voters.majority()]
    }
}
