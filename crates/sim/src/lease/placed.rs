//! Addresses that have places beside each other: spread, apart, never on one host, with who coordinates. And who answers when somebody asks who has one.

use std::time::Duration;

use engine::vip::lease::{BEAT, Rule};

use super::fault::{Fault, Script, Storm, confirm, index, storm};
use super::host::Told;
use super::quiet::CLIENTS;
use super::run::{Event, World, nanos};
use super::{Mark, PLACE, STRICT};
use crate::Chance;

/// Seeds from here on have such addresses.
pub const PLACED: u64 = 1 << 40;
/// So long nothing changes before one is moved: some vip leases.
pub(super) const CALM: Duration = Duration::from_millis(40);
/// In which all are where they should be: a host that lost what it held again and again in the storms is trusted after 256 calms.
const SETTLED: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So long none moves then.
const STILL: Duration = Duration::from_millis(300);

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// When all have to be where they should be.
    ends: u64,
    /// Since when these have been where they should be.
    since: Option<(u64, Vec<Option<usize>>)>,
}

impl Placed {
    pub(super) fn begins(now: u64) -> Self {
        Self { ends: now + nanos(SETTLED), since: None }
    }
}

impl Script {
    /// The same of addresses that have a place.
    pub(super) fn roll_placed(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x00b1_ace5);
        let hosts = chance.choose(&[3, 3, 4, 5]);
        let (voter, proof) = (chance.one_in(4), chance.one_in(5));
        let rules = roll_rules(&mut chance, hosts - usize::from(voter));
        let vips = rules.len();
        let mut storms: Vec<Storm> = (0..2).map(|_| storm(&mut chance, hosts, vips)).collect();
        for storm in &mut storms {
            for _ in 0..chance.below(4) {
                let at = chance.span(storm.lasts);
                let host = index(chance.below(hosts as u64));
                storm.faults.push((at, Fault::Coordinates { host, on: chance.one_in(2) }));
            }
            if proof {
                confirm(storm);
            }
            storm.faults.sort_by_key(|(at, _)| *at);
        }
        let last_man = !proof && chance.one_in(5);
        let (numbered, beat) = (chance.one_in(2), BEAT);
        Self {
            seed,
            hosts,
            vips,
            numbered,
            beat,
            proof,
            voter,
            last_man,
            rules,
            restores: false,
            storms,
        }
    }
}

/// As many as can be where they should be: one that follows is in no group, and of those that are never on one host there are no more
/// than hosts, or all but one of them may share one.
fn roll_rules(chance: &mut Chance, holders: usize) -> Vec<Rule> {
    let spread = Rule { group: Some(0), ..Rule::default() };
    let mut rules = vec![spread; 1 + index(chance.below(5))];
    if chance.one_in(2) {
        let first = rules.len();
        let count = 2 + index(chance.below(holders as u64 - 1));
        let all = (first..first + count).fold(0, |all, seat| all | 1_u64 << seat);
        let strict = |seat: usize| Rule { never: all & !(1_u64 << seat), ..Rule::default() };
        rules.extend((first..first + count).map(strict));
    }
    if chance.one_in(2) {
        let first = rules.len();
        rules.push(Rule { follows: true, ..Rule::default() });
        rules.push(Rule { apart: 1 << first, ..Rule::default() });
    }
    if chance.one_in(3) {
        // They may share a host; on one each they leave none to the last.
        let (first, last) = (rules.len(), rules.len() + holders);
        rules.extend((0..holders).map(|_| Rule::default()));
        let never = (first..last).fold(0, |all, seat| all | 1_u64 << seat);
        rules.push(Rule { never, ..Rule::default() });
    }
    rules
}

impl World<'_> {
    pub(super) fn has_places(&self) -> bool {
        !self.script.rules.is_empty()
    }

    pub(super) fn coordinates(&mut self, host: usize, on: bool) {
        self.hosts[host].coordinates = on;
        self.order(host, Told::Coordinates(on));
    }

    /// One host coordinates from now on, and no operator wants anything.
    pub(super) fn settles_places(&mut self, host: usize) {
        if self.has_places() {
            self.coordinates(host, host == 1);
            (0..self.script.vips).for_each(|vip| self.order(host, Told::Anywhere { vip }));
        }
    }

    /// Whoever's kernel lets it through answers, if the question and the answer come over the network of the clients.
    pub(super) fn probe(&mut self, host: usize, vip: usize) {
        let cut = &self.cut[usize::from(CLIENTS)];
        let mut others = (0..self.hosts.len()).filter(|other| *other != host);
        let is_answered = others.any(|other| {
            self.hosts[other].answers(vip, self.now) && !cut[host][other] && !cut[other][host]
        });
        if is_answered {
            self.outcome.marks.reach(Mark::Answered);
            self.order(host, Told::InUse { vip });
        }
    }

    /// It has just opened one.
    pub(super) fn is_alone_there(&mut self, host: usize, vip: usize) {
        let Some(rule) = self.script.rules.get(vip) else { return };
        let barred = |other: &usize| rule.never >> other & 1 == 1;
        let mut others = (0..self.script.vips).filter(barred);
        if let Some(other) = others.find(|other| self.hosts[host].answers(*other, self.now)) {
            let what = format!("host {host} answers for {vip} and {other}, which are never on one");
            self.break_off(STRICT, what);
        }
    }

    pub(super) fn placed(&mut self, looked: Placed) {
        let Placed { ends, since } = looked;
        let held = self.holders();
        let wrong = self.misplaced(&held);
        let since = match (wrong, since) {
            (None, Some((since, before))) if before == held => Some((since, before)),
            (None, _) => Some((self.now, held)),
            (Some(_), _) if self.now < ends => None,
            (Some(what), _) => return self.break_off(PLACE, format!("{what}: {held:?}")),
        };
        if since.as_ref().is_some_and(|(since, _)| self.now >= since + nanos(STILL)) {
            return self.after(Duration::ZERO, Event::Storm(self.script.storms.len()));
        }
        self.after(LOOK_EVERY, Event::Placed(Placed { ends, since }));
    }

    /// What of them is not where it should be.
    fn misplaced(&self, held: &[Option<usize>]) -> Option<&'static str> {
        let rules = &self.script.rules;
        let holders = self.script.hosts - usize::from(self.script.voter);
        let count = |host: usize| {
            let spread = rules.iter().zip(held).filter(|(rule, _)| rule.group.is_some());
            spread.filter(|(_, by)| **by == Some(host)).count()
        };
        let counts: Vec<usize> = (0..holders).map(count).collect();
        let (most, least) = (counts.iter().max()?, counts.iter().min()?);
        let shares = |(seat, rule): (usize, &Rule)| {
            let mut others = (0..held.len()).filter(|other| rule.apart >> other & 1 == 1);
            others.any(|other| held[other] == held[seat])
        };
        let strays = |(seat, rule): (usize, &Rule)| rule.follows && held[seat] != Some(1);
        if held.iter().any(Option::is_none) {
            Some("an address has no holder")
        } else if most - least > 1 {
            Some("addresses are not spread")
        } else if rules.iter().enumerate().any(shares) {
            Some("two are not apart")
        } else if rules.iter().enumerate().any(strays) {
            Some("one does not follow host 1")
        } else {
            None
        }
    }
}
