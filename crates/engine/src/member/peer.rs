//! What this node knows about one other.

use std::net::IpAddr;
use std::time::Duration;

use base::Time;

use super::beat::Load;
use super::{OUTDATED_AFTER, OUTDATED_EVERY, Standing};
use crate::duty::Duty;
use crate::keep::kept;
use crate::packet::MAX_NETWORKS;

#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) standing: Standing,
    /// Vip instances it said it holds.
    pub(super) holds: u64,
    /// Whether it takes on work.
    pub(super) duty: Duty,
    /// What it last said about its machine, and when.
    pub(super) load: Option<(Load, Time)>,
    incarnation: u64,
    /// Since when nothing but beats of smaller incarnations comes.
    outdated_since: Option<Time>,
    outdated_told: Option<Time>,
    /// When the process before this one still saw it alive: as good as one beat then.
    known_at: Option<Time>,
    on: [bool; MAX_NETWORKS],
    proofs: [Option<Time>; MAX_NETWORKS],
    /// The newest of the proofs and of `known_at`.
    last: Option<Time>,
}

/// Liveness of a node on one network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cell {
    pub alive: bool,
    /// Age of the last proof; none before the first.
    pub age: Option<Duration>,
}

kept!(Peer {
    standing,
    holds,
    load,
    incarnation,
    outdated_since,
    outdated_told,
    known_at,
    on,
    proofs,
    last,
    duty,
});

impl Peer {
    /// Known from the process before this one, and not heard by this one: what was said then may have changed since, and
    /// others were told the former.
    pub(super) fn is_taken_over(&self) -> bool {
        self.known_at.is_some() && self.proofs.iter().all(Option::is_none)
    }

    pub(super) fn new(addresses: &[Option<IpAddr>]) -> Self {
        let mut on = [false; MAX_NETWORKS];
        for (on, address) in on.iter_mut().zip(addresses) {
            *on = address.is_some();
        }
        Self {
            standing: Standing::Unknown,
            holds: 0,
            duty: Duty::On,
            load: None,
            incarnation: 0,
            outdated_since: None,
            outdated_told: None,
            known_at: None,
            on,
            proofs: [None; MAX_NETWORKS],
            last: None,
        }
    }

    pub(super) fn is_on(&self, network: u8) -> bool {
        self.on.get(usize::from(network)).is_some_and(|on| *on)
    }

    /// Takes over a standing from the process before; what was heard since counts more.
    pub(super) fn known(&mut self, now: Time, standing: Standing) {
        if self.standing == Standing::Unknown {
            self.standing = standing;
            self.known_at = (standing == Standing::Alive).then_some(now);
            self.last = self.last.max(self.known_at);
        }
    }

    /// A beat came; says why if that changes the standing, or if the node has restarted unnoticed.
    pub(super) fn heard(
        &mut self,
        now: Time,
        network: u8,
        incarnation: u64,
        leaving: bool,
    ) -> Option<String> {
        if incarnation < self.incarnation {
            return None; // Late on another network: the process before has ended.
        }
        self.outdated_since = None;
        let former = std::mem::replace(&mut self.incarnation, incarnation);
        let is_restart = former != 0 && former != incarnation;
        if let Some(proof) = self.proofs.get_mut(usize::from(network)) {
            *proof = Some(now);
            self.last = Some(now);
        }
        let (standing, why) = match (self.standing, leaving) {
            (Standing::Left, _) if !is_restart && former != 0 => return None,
            (_, true) => (Standing::Left, "it said goodbye"),
            (Standing::Unknown, false) => (Standing::Alive, "its first beat came"),
            (Standing::Suspect | Standing::Left, false) if is_restart => {
                (Standing::Alive, "it is back after a restart")
            }
            (Standing::Suspect | Standing::Left, false) => (Standing::Alive, "its beats are back"),
            (Standing::Alive, false) if is_restart => (Standing::Alive, "its agent has restarted"),
            (Standing::Alive, false) => return None,
        };
        self.standing = standing;
        Some(why.to_owned())
    }

    /// A beat of this incarnation was refused; the known one if that has to be said now.
    pub(super) fn outdated(&mut self, now: Time, came: u64) -> Option<u64> {
        if came >= self.incarnation {
            return None; // The same beat again.
        }
        let since = *self.outdated_since.get_or_insert(now);
        let is_told = self.outdated_told.is_some_and(|told| now.since(told) < OUTDATED_EVERY);
        if is_told || now.since(since) < OUTDATED_AFTER {
            return None;
        }
        self.outdated_told = Some(now);
        Some(self.incarnation)
    }

    /// When its silence on all networks that this node can hear will be long enough to suspect it.
    pub(super) fn silent_at(
        &self,
        own_carrier: &[bool; MAX_NETWORKS],
        tolerance: Duration,
    ) -> Time {
        if self.standing != Standing::Alive || !self.shares(own_carrier).any(|shared| shared) {
            return Time::NEVER;
        }
        self.quiet_at(tolerance)
    }

    /// When its silence on all networks is longer than tolerated, whatever its standing.
    pub(super) fn quiet_at(&self, tolerance: Duration) -> Time {
        self.last.map_or(Time::NEVER, |last| last + tolerance)
    }

    /// When it was heard last, on any network.
    pub(super) const fn last(&self) -> Option<Time> {
        self.last
    }

    pub(super) fn is_heard_within(&self, now: Time, span: Duration) -> bool {
        self.last.is_some_and(|last| now < last + span)
    }

    /// It was heard, or the process before this one knew it.
    pub(super) fn is_known(&self) -> bool {
        self.standing != Standing::Unknown
    }

    /// It had left before this process began, which has heard nothing of it.
    pub(super) fn has_left_unheard(&self) -> bool {
        self.standing == Standing::Left && self.incarnation == 0
    }

    pub(super) const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub(super) fn proof(&self, network: usize) -> Option<Time> {
        self.proofs.get(network).copied().flatten()
    }

    pub(super) fn suspect(
        &mut self,
        now: Time,
        names: &[String],
        own_carrier: &[bool; MAX_NETWORKS],
        tolerance: Duration,
    ) -> String {
        self.standing = Standing::Suspect;
        let shares: Vec<bool> = self.shares(own_carrier).collect();
        let mut told = Vec::new();
        for (network, name) in names.iter().enumerate() {
            let age = self.proofs[network].map(|at| now.since(at).as_secs_f64());
            match age {
                _ if !self.on[network] => {}
                _ if !shares[network] => told.push(format!("{name}: own link down")),
                Some(age) => told.push(format!("{name}: {age:.1} s")),
                None => told.push(format!("{name}: never heard")),
            }
        }
        let seconds = tolerance.as_secs_f64();
        format!("no beat for {seconds} s on any network ({})", told.join(", "))
    }

    pub(super) fn cell(&self, network: usize, now: Time, detect: Duration) -> Option<Cell> {
        let on = self.on.get(network).is_some_and(|on| *on);
        on.then(|| {
            let age = self.proofs[network].map(|at| now.since(at));
            Cell { alive: age.is_some_and(|age| age < detect), age }
        })
    }

    /// Per network: both have an address there, and this node's link has a carrier.
    pub(super) fn shares(&self, own_carrier: &[bool; MAX_NETWORKS]) -> impl Iterator<Item = bool> {
        self.on.iter().zip(own_carrier).map(|(on, carrier)| *on && *carrier)
    }
}
