//! Maintenance windows: an operator says that what happens to a host is planned (S11).
//!
//! ```text
//!   operator --> store, with a time limit --> controllers read it --> they bring it to compute nodes
//!                                                |  covers(own wall clock)
//!                                                v
//!                                             Planned: to its member and its gossip
//! ```
//!
//! Within it, nobody is in quarantine for it, and no recovery would begin; verdicts are judged as ever. After its end
//! all counts again.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Time;
use engine::kv::{Keys, Op, Transaction};
use engine::maintenance::{self, SLACK, WINDOWS};
use engine::member::{FLAPS, Input, Standing};
use engine::verdict::Verdict;

use super::World;
use super::fault::{Fault, Verb};
use super::host::WALL;
use super::mail::Asker;
use super::mark::Mark;
use super::queue::Machine;
use super::script::{PEACE, Script};
use super::version::pick;
use crate::Chance;

/// An agent looks at its windows so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The judge's own reading of how long a window counts after its end, and before its begin, as clocks differ (ms).
const COUNTS: u64 = 60_000;
/// And of how often a host may come back, and within which time.
const RETURNS: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);

/// One in the store: of which host, and from when to when by the clock of the one who wrote it (ms).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Window {
    of: u16,
    begin_ms: u64,
    end_ms: u64,
}

impl Window {
    fn encode(self) -> Vec<u8> {
        let Self { of, begin_ms, end_ms } = self;
        [&of.to_be_bytes()[..], &begin_ms.to_be_bytes(), &end_ms.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (of, rest) = bytes.split_first_chunk()?;
        let (begin, rest) = rest.split_first_chunk()?;
        let end = rest.first_chunk()?;
        let [begin_ms, end_ms] = [begin, end].map(|number| u64::from_be_bytes(*number));
        Some(Self { of: u16::from_be_bytes(*of), begin_ms, end_ms })
    }

    /// By a second reading of the rule.
    const fn counts(self, of: u16, wall: u64) -> bool {
        self.of == of && self.begin_ms <= wall + COUNTS && wall < self.end_ms + COUNTS
    }
}

/// What one agent knows of them.
#[derive(Clone, Debug, Default)]
struct Knows {
    /// The revision of the store of which it knows.
    revision: u64,
    windows: Vec<Window>,
    looked_at: Time,
    /// Of which hosts it was told that what happens to them is planned, one bit each.
    planned: u64,
    /// When hosts came back that are in none.
    returns: BTreeMap<u16, Vec<Time>>,
    /// And those that are in one.
    forgiven: BTreeMap<u16, Vec<Time>>,
}

/// Of all hosts.
#[derive(Debug)]
pub(super) struct Windows {
    /// There was one: nobody looks before.
    used: bool,
    known: Vec<Knows>,
}

impl Windows {
    pub(super) fn new(hosts: usize) -> Self {
        Self { used: false, known: vec![Knows::default(); hosts] }
    }

    /// A new agent has been told nothing; what was brought to a compute node it kept.
    pub(super) fn starts(&mut self, host: u16, keeps: bool) {
        let known = &mut self.known[usize::from(host)];
        let before = std::mem::take(known);
        if keeps {
            (known.revision, known.windows) = (before.revision, before.windows);
        }
    }

    /// Whether somebody was told that what happens to this host is planned.
    pub(super) fn is_planned(&self, host: u16, of: u16) -> bool {
        self.known[usize::from(host)].planned & 1 << of != 0
    }
}

impl World {
    /// An operator begins a window for a host, for so many milliseconds, or ends it (0).
    pub(super) fn window(&mut self, of: u16, millis: i64) {
        let Some(by) = (0..self.controllers).find(|by| self.hosts[usize::from(*by)].agent_acts())
        else {
            return;
        };
        let key = maintenance::key(Some(&self.names.hosts[usize::from(of)]));
        let transaction = match u64::try_from(millis) {
            Ok(span) if span > 0 => {
                let begin_ms = self.wall_ms(by);
                let window = Window { of, begin_ms, end_ms: begin_ms + span };
                let limit = u32::try_from(u128::from(span) + SLACK.as_millis()).ok();
                Transaction::of(Op::Put { key, value: window.encode().into(), limit })
            }
            _ => Transaction::delete(&key),
        };
        self.windows.used = true;
        self.propose(by, Asker::Nobody, transaction);
    }

    /// Milliseconds of its wall clock.
    fn wall_ms(&self, host: u16) -> u64 {
        let now = i64::try_from(self.now.as_nanos() / 1_000_000).unwrap_or(0);
        u64::try_from(now + self.hosts[usize::from(host)].wall + WALL).unwrap_or(0)
    }

    /// An agent has its turn: it learns what is planned, and tells its machines what is new.
    pub(super) fn look_at_windows(&mut self, host: u16) {
        let at = usize::from(host);
        let is_early = self.now.since(self.windows.known[at].looked_at) < LOOK_EVERY;
        if !self.windows.used || is_early {
            return;
        }
        self.windows.known[at].looked_at = self.now;
        self.learn_windows(host);
        let (wall, all) = (self.wall_ms(host), self.names.hosts.len());
        for of in (0..all).filter_map(|of| u16::try_from(of).ok()) {
            let planned = !self.may_recover(host, of, wall);
            let known = &mut self.windows.known[at];
            if planned != known.windows.iter().any(|window| window.counts(of, wall)) {
                let what = format!("takes host {of} for planned: {planned}, and it is not so");
                self.fail("S11 window", host, &what);
                continue;
            }
            if planned == (known.planned & 1 << of != 0) {
                continue;
            }
            known.planned ^= 1 << of;
            known.returns.remove(&of);
            known.forgiven.remove(&of);
            if !planned {
                self.marks.note(Mark::WindowEnded);
            }
            self.say(host, || format!("takes what happens to host {of} for planned: {planned}"));
            self.agent(host, Input::Planned { node: of, planned });
            self.plan(host, Machine::Agent);
        }
    }

    /// From the store, or from a controller that knows more of it. Without either, what is known stays until its end.
    fn learn_windows(&mut self, host: u16) {
        let at = usize::from(host);
        if host < self.controllers {
            if self.store_is_read_by(host) {
                let found = self.store.kv.range(&Keys::Prefix(WINDOWS.to_owned()), usize::MAX).0;
                let windows = found.iter().filter_map(|(_, item)| Window::decode(&item.value));
                let windows = windows.collect();
                let known = &mut self.windows.known[at];
                (known.revision, known.windows) = (self.store.kv.revision(), windows);
            }
            return;
        }
        let brings =
            |by: &u16| self.hosts[usize::from(*by)].agent_acts() && self.is_reached(host, *by);
        let newest = (0..self.controllers).filter(brings);
        let newest = newest.max_by_key(|by| self.windows.known[usize::from(*by)].revision);
        let Some(newest) = newest.map(|by| self.windows.known[usize::from(by)].clone()) else {
            return;
        };
        let known = &mut self.windows.known[at];
        if newest.revision >= known.revision {
            (known.revision, known.windows) = (newest.revision, newest.windows);
        }
    }

    /// What the engine answers to who would restart elsewhere what runs there.
    fn may_recover(&self, host: u16, of: u16, wall: u64) -> bool {
        let name = self.names.hosts.get(usize::from(of)).map_or("", String::as_str);
        let known = self.windows.known[usize::from(host)].windows.iter();
        let windows = known.filter(|window| window.of == of).map(|window| {
            let Window { begin_ms, end_ms, .. } = *window;
            maintenance::Window { node: Some(name), begin_ms, end_ms }
        });
        maintenance::may_recover(windows, name, wall)
    }

    /// An agent takes a host for lost: within its window that is true as ever, and recovery waits.
    pub(super) fn judge_planned(&mut self, host: u16, of: u16, verdict: Verdict, rule: &str) {
        if !self.windows.used || !self.windows.is_planned(host, of) {
            return;
        }
        if rule == "quarantine" {
            let what = format!("doubts host {of} for coming and going within its window");
            self.fail("S11 window", host, &what);
        }
        let is_lost = matches!(verdict, Verdict::Unreachable | Verdict::ProvenDead(_));
        if is_lost && !self.may_recover(host, of, self.wall_ms(host)) {
            self.marks.note(Mark::RecoveryWaited);
        }
    }

    /// A controller hears another one again. Out of windows that counts, and as often as it happens.
    pub(super) fn judge_return(
        &mut self,
        host: u16,
        of: u16,
        standing: Standing,
        before: Standing,
    ) {
        let is_back = (before, standing) == (Standing::Suspect, Standing::Alive);
        if !self.windows.used || !is_back || of >= self.controllers {
            return;
        }
        let local = self.local(host);
        let is_planned = self.windows.is_planned(host, of);
        let known = &mut self.windows.known[usize::from(host)];
        let counted = if is_planned { &mut known.forgiven } else { &mut known.returns };
        let returns = counted.entry(of).or_default();
        returns.push(local);
        let last = returns.len().checked_sub(RETURNS).and_then(|first| returns.get(first));
        if last.is_none_or(|first| local.since(*first) >= WITHIN) {
            return;
        }
        if is_planned {
            return self.marks.note(Mark::ForgaveReturns);
        }
        let seen = self.evidence_of(host, of);
        if !seen.contains("came back") {
            let what = format!("does not count that host {of} came back {FLAPS} times ({seen})");
            self.fail("S11 window", host, &what);
        }
    }
}

impl Script {
    /// What people do to a cloud that goes on.
    pub(super) fn works(&mut self, begin: Duration, dice: &mut Chance) {
        self.upgrades(begin, dice);
        self.maintain(begin, dice);
        self.stops(begin, dice);
    }

    /// Kernels of controllers keep the address for a while.
    fn stops(&mut self, begin: Duration, dice: &mut Chance) {
        if !dice.one_in(6) {
            return;
        }
        let end = self.length.saturating_sub(PEACE);
        for host in (0..self.controllers).filter(|_| !dice.one_in(3)) {
            for (at, amount) in [(begin, 1), (end.max(begin), 0)] {
                let amounts = [amount, 0, 0];
                self.steps.push((at, Fault { amounts, ..Fault::at(Verb::KernelKeeps, host) }));
            }
        }
    }

    /// Somebody works on a host: it comes and goes, within its window or just after it.
    pub(super) fn maintain(&mut self, begin: Duration, dice: &mut Chance) {
        if !dice.one_in(4) {
            return;
        }
        let host = pick(dice, self.controllers + self.computes);
        let end = self.length.saturating_sub(PEACE);
        let storm = u64::try_from(end.saturating_sub(begin).as_millis()).unwrap_or(0);
        let mut at = begin + Duration::from_millis(dice.below(storm + 1));
        let mut does = |at: Duration, verb: Verb, amount: i64| {
            self.steps.push((at, Fault { amounts: [amount, 0, 0], ..Fault::at(verb, host) }));
        };
        does(at, Verb::Window, dice.choose(&[1, 1_000, 5_000, 20_000]));
        if dice.one_in(3) {
            at += Duration::from_millis(dice.below(5_000));
            does(at, Verb::Window, 0);
        }
        at += Duration::from_secs(3);
        // Where silence is found out within seconds.
        let silence = self.detect + Duration::from_millis(700);
        for _ in 0..if silence < Duration::from_secs(2) { dice.below(6) } else { 0 } {
            let (down, up) =
                dice.choose(&[(Verb::FreezeAgent, Verb::ThawAgent), (Verb::Pause, Verb::Resume)]);
            self.steps.push((at, Fault::at(down, host)));
            self.steps.push((at + silence, Fault::at(up, host)));
            at += silence + Duration::from_millis(500 + dice.below(1_000));
        }
        self.length = self.length.max(at + PEACE);
    }
}
