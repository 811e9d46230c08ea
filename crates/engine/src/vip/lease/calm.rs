//! When nothing has changed for long enough that an address may be moved without need.

use std::time::Duration;

use base::Time;

use super::MAX_SEATS;
use super::spread::{Map, bit};

/// So long nothing changes before an address is moved for its place, on nodes that do more than this: a node that comes back
/// has proved itself, and of several moves each waits for the one before.
pub const CALM: Duration = Duration::from_secs(5);
/// A node that lost what it held so often waits no longer for each time more: twenty minutes.
const MOST_STRIKES: u32 = 9;
/// Who was well for as long as so many calms, and for four times what it had to wait, begins anew.
const FORGIVEN: u32 = 60;

/// Of one node.
#[derive(Clone, Copy, Debug)]
struct Trust {
    /// Since when it could hold what it can.
    since: Time,
    /// How often it could not hold any more what it held, or did not take what it was given.
    strikes: u32,
}

impl Trust {
    /// How long it has to be able before it is given anything.
    fn waits(self, calm: Duration) -> Duration {
        calm * (1 << self.strikes.saturating_sub(1))
    }

    fn strike(&mut self, now: Time, calm: Duration) {
        let well = now.since(self.since);
        if self.strikes > 0 && well < calm {
            // Of several addresses one is lost after the other.
            self.since = now;
            return;
        }
        let is_forgiven = well > calm * FORGIVEN && well > self.waits(calm) * 4;
        self.strikes = if is_forgiven { 1 } else { (self.strikes + 1).min(MOST_STRIKES) };
        self.since = now;
    }
}

/// How long all has been as it is.
#[derive(Clone, Debug)]
pub(super) struct Calm {
    /// How long that has to be.
    span: Duration,
    map: Map,
    since: Time,
    /// By node.
    trust: Vec<Trust>,
    /// By seat: who was known last to hold it, and since when.
    holders: [Option<(u16, Time)>; MAX_SEATS],
    /// The seat that was given last for its place, and to whom: until somebody holds it.
    given: Option<(usize, u16)>,
}

impl Calm {
    pub(super) fn new(span: Duration, nodes: usize, now: Time) -> Self {
        let trust = Trust { since: now, strikes: 0 };
        Self {
            span,
            map: Map::default(),
            since: now,
            trust: vec![trust; nodes],
            holders: [None; MAX_SEATS],
            given: None,
        }
    }

    /// What is known now, in place of what was; says whether it is another.
    pub(super) fn look(&mut self, now: Time, map: &Map) -> bool {
        if *map == self.map {
            return false;
        }
        let (mut lost, mut changed) = (0, 0);
        for (seat, placed) in map.placed.iter().enumerate() {
            let before = self.map.placed.get(seat).copied().unwrap_or_default();
            changed |= before.able ^ placed.able;
            if let (Some(by), Some(holder)) =
                (placed.by.filter(|_| placed.held), self.holders.get_mut(seat))
            {
                let former = holder.filter(|(former, _)| *former != by);
                if let Some((former, since)) = former {
                    // Who gave it away by somebody's word could hold it still, and had it for a while.
                    let is_well = placed.fit & bit(former) != 0 && now.since(since) >= self.span;
                    lost |= if is_well { 0 } else { bit(former) };
                }
                if holder.is_none_or(|(former, _)| former != by) {
                    *holder = Some((by, now));
                }
            }
            if before != *placed {
                self.since = now;
            }
        }
        for (node, trust) in (0..).zip(&mut self.trust) {
            if lost & bit(node) != 0 {
                trust.strike(now, self.span);
            } else if changed & bit(node) != 0 {
                trust.since = now;
            }
        }
        self.map.clone_from(map);
        let Some((seat, to)) = self.given else { return true };
        if let Some(by) =
            map.placed.get(seat).filter(|placed| placed.held).and_then(|placed| placed.by)
        {
            self.given = None;
            // It was named, and did not take it: to ask again and again would move the address each time.
            if by != to
                && let Some(trust) = self.trust.get_mut(usize::from(to))
            {
                trust.strike(now, self.span);
            }
        }
        true
    }

    /// This node stood still: what it knows may be old.
    pub(super) const fn disturb(&mut self, now: Time) {
        self.since = now;
    }

    /// From when on an address may be given to that node.
    pub(super) fn gives_at(&self, to: u16) -> Time {
        let trust = self.trust.get(usize::from(to));
        let trusted = trust.map_or(Time::NEVER, |trust| trust.since + trust.waits(self.span));
        trusted.max(self.since + self.span)
    }

    pub(super) const fn gave(&mut self, seat: usize, to: u16) {
        self.given = Some((seat, to));
    }
}
