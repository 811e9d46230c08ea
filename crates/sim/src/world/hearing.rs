//! What controllers conclude of compute nodes, and compute nodes of everybody, held against what the world
//! knows: who read what of whom, who stood still, who reaches nobody.
//!
//! A verdict is judged when it is reached, views once nothing was done for long enough: by then all controllers
//! of a majority think the same of each compute node, and it is true.

use std::time::Duration;

use base::Time;
use engine::gossip::CLAIM_FRESH;
use engine::verdict::{Rule, Verdict};

use super::mark::Mark;
use super::net::{MAX_NETWORKS, Part, Says, Truth};
use super::script::Script;
use super::{World, mix};

/// What a packet has beside its body: ours, UDP's and IPv4's heads (bytes).
const AROUND: u64 = 44 + 8 + 20;
/// What a compute node may say on one network in the worst minute, whatever happens (bytes in a second), at a detection time
/// of [`USUAL`] or more; who has to know sooner probes more often. Of 3,500 mixed seeds, with up to a quarter of all packets
/// lost and a fault each second: 33 above 3,000, 13 above 3,250, 5 above 3,500, one of 4,453. What is promised where
/// a tenth is lost (4,000) is judged among a thousand members.
const MOST_SAID: u64 = 5_000;
const USUAL: Duration = Duration::from_secs(1);
/// Of detection times: by then four of the last eight probes of a node that reaches nobody have failed,
/// though it takes more time for each.
const ALONE: u32 = 12;
/// A claim of a controller that is not told again counts for so long.
const FORGOTTEN: Duration = Duration::from_secs(8);
/// Packets and turns that are late, and what is told again.
const SETTLED: Duration = Duration::from_millis(1500);
/// Bodies of gossip have numbers from 1 on.
const PARTS: usize = 9;
/// Packets of the same sender that may come in any order.
const WINDOW: u64 = 64;

/// What came of one sender, by network: the newest number, and which of those before it.
#[derive(Clone, Debug, Default)]
struct Came {
    life: u64,
    windows: [(u64, u64); MAX_NETWORKS],
}

impl Came {
    /// Whether it is not there yet.
    fn is_news(&mut self, truth: &Truth) -> bool {
        if truth.life < self.life {
            return false;
        }
        if truth.life > self.life {
            *self = Self { life: truth.life, ..Self::default() };
        }
        let (newest, came) = &mut self.windows[usize::from(truth.network)];
        if truth.serial > *newest {
            let by = truth.serial - *newest;
            *came = if by < WINDOW { *came << by | 1 } else { 1 };
            *newest = truth.serial;
            return true;
        }
        let age = *newest - truth.serial;
        let is_news = age < WINDOW && *came & 1 << age == 0;
        *came |= if is_news { 1 << age } else { 0 };
        is_news
    }
}

/// What a controller heard of a compute node.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    last: Time,
    /// When it was heard again after it could have been called silent.
    again: Time,
}

/// The world's own memory of it, in true time.
#[derive(Debug)]
pub(super) struct Hearing {
    controllers: u16,
    detect: Duration,
    /// By observer, then sender.
    came: Vec<Vec<Came>>,
    /// By controller, then compute node.
    heard: Vec<Vec<Heard>>,
    /// When each agent went on, and how long it had stood still.
    woke: Vec<Option<(Time, Duration)>>,
    /// Since when it reaches nobody both ways.
    alone_since: Vec<Time>,
    /// Who ever said goodbye.
    parted: Vec<bool>,
    /// By network: how often each has refuted a suspicion in this life.
    refuted: Vec<[u16; MAX_NETWORKS]>,
    bytes: Vec<[u64; MAX_NETWORKS]>,
    /// Packets of each host in this minute, by the number of their part.
    parts: Vec<[u64; PARTS]>,
    /// The disturbance after which views were compared last.
    viewed: Option<Time>,
    pub(super) letters: u64,
}

impl Hearing {
    pub(super) fn new(script: &Script) -> Self {
        let all = usize::from(script.controllers + script.computes);
        let computes = usize::from(script.computes);
        Self {
            controllers: script.controllers,
            detect: script.detect,
            came: vec![vec![Came::default(); all]; if computes > 0 { all } else { 0 }],
            heard: vec![vec![Heard::default(); computes]; usize::from(script.controllers)],
            woke: vec![None; all],
            alone_since: vec![Time::NEVER; all],
            parted: vec![false; all],
            refuted: vec![[0; MAX_NETWORKS]; all],
            bytes: vec![[0; MAX_NETWORKS]; all],
            parts: vec![[0; PARTS]; all],
            viewed: None,
            letters: 0,
        }
    }

    /// A new process has read nothing, and has found out about nobody yet that he does not answer.
    pub(super) fn starts(&mut self, host: u16, now: Time) {
        let at = usize::from(host);
        if self.alone_since[at] != Time::NEVER {
            self.alone_since[at] = now;
        }
        if let Some(came) = self.came.get_mut(at) {
            came.fill(Came::default());
        }
        (self.woke[at], self.refuted[at]) = (None, [0; MAX_NETWORKS]);
    }

    /// It did not run for `gap`, or got a carrier back.
    pub(super) fn wakes(&mut self, host: u16, now: Time, gap: Duration) {
        if gap > self.detect * 3 / 5 + self.margin() {
            self.woke[usize::from(host)] = Some((now, gap));
        }
    }

    /// It says goodbye.
    pub(super) fn parts(&mut self, host: u16) {
        self.parted[usize::from(host)] = true;
    }

    pub(super) const fn count_letter(&mut self) -> u64 {
        self.letters += 1;
        self.letters
    }

    /// A letter is read by the gossip; true: it must be believed.
    /// `newest`: the largest life that its sender ever had; what an earlier one said is no sign of it.
    pub(super) fn reads(
        &mut self,
        host: u16,
        truth: &Truth,
        network: u8,
        (now, newest): (Time, u64),
    ) -> bool {
        let is_for_it = truth.to == host && truth.sender != host && truth.says.is_gossip();
        if truth.forged || truth.network != network || !is_for_it {
            return false;
        }
        let came = &mut self.came[usize::from(host)][usize::from(truth.sender)];
        if !came.is_news(truth) || truth.says == Says::Gossip(Part::Unknown) {
            return false;
        }
        let silent = self.silent();
        let row = self.heard.get_mut(usize::from(host));
        let place = usize::from(truth.sender.wrapping_sub(self.controllers));
        let row = row.filter(|_| truth.life == newest);
        if let Some(heard) = row.and_then(|row| row.get_mut(place)) {
            if now.since(heard.last) >= silent {
                heard.again = now;
            }
            heard.last = now;
        }
        true
    }

    /// Clocks drift, and a turn comes late by a little.
    fn margin(&self) -> Duration {
        self.detect / 1000 + Duration::from_millis(1)
    }

    /// The time of one round of questions: who was heard within it is not silent.
    fn silent(&self) -> Duration {
        self.detect / 2 - self.margin()
    }

    /// Whether it must accuse nobody now, as it was not running itself.
    fn must_be_patient(&self, host: u16, now: Time) -> bool {
        let woke = self.woke[usize::from(host)];
        woke.is_some_and(|(at, _)| now.since(at) + self.margin() < self.detect / 2)
    }

    /// Controllers that had no answer of it for the time of a round, now or as long ago as their claims count.
    fn missing(&self, by: u16, of: u16, now: Time) -> usize {
        let place = usize::from(of - self.controllers);
        let stall = self.woke[usize::from(by)].map_or(Duration::ZERO, |(_, gap)| gap);
        let counts = CLAIM_FRESH.saturating_mul(2).saturating_add(stall.min(CLAIM_FRESH * 10));
        let misses = |heard: &Heard| {
            let was_silent = heard.again > Time::ZERO && now.since(heard.again) <= counts;
            now.since(heard.last) >= self.silent() || was_silent
        };
        self.heard.iter().filter(|row| misses(&row[place])).count()
    }
}

impl World {
    /// A verdict of the gossip.
    pub(super) fn opine_of_crowd(
        &mut self,
        host: u16,
        of: u16,
        verdict: Verdict,
        rule: &'static Rule,
    ) {
        self.tell_opinion(host, of, verdict, rule);
        self.judge_planned(host, of, verdict, rule.name);
        let is_controller = host < self.controllers;
        if rule.name == "unanswered" && self.must_doubt_itself(host) {
            let what = format!("accuses host {of}, and reaches no reference point and no majority");
            self.fail("S5 itself", host, &what);
        }
        match verdict {
            Verdict::ProvenDead(proof) => {
                if self.sight.proofs[usize::from(of)] != Some(proof) {
                    self.fail("S4 proof", host, &format!("calls host {of} dead without a proof"));
                }
            }
            Verdict::Unreachable if is_controller => self.judge_unreachable(host, of),
            Verdict::Unreachable => {
                self.fail(
                    "S5 crowd",
                    host,
                    &format!("concludes of host {of} what only asking can"),
                );
            }
            Verdict::CutOff { .. } if is_controller => {
                self.marks.note(Mark::CutOffCompute);
                self.judge_majority(host, of, verdict);
            }
            Verdict::CutOff { .. } => {
                self.fail("S5 crowd", host, &format!("calls host {of} cut off, and asked nobody"));
            }
            Verdict::Leaving => {
                if !self.hearing.parted[usize::from(of)] {
                    self.fail("S4 goodbye", host, &format!("says that host {of} left"));
                }
            }
            Verdict::Suspect => {
                if rule.name == "own-quorum" && !is_controller {
                    self.marks.note(Mark::DoubtedItself);
                }
            }
            Verdict::Unknown | Verdict::Alive => {}
        }
    }

    /// A controller calls a compute node unreachable.
    fn judge_unreachable(&mut self, host: u16, of: u16) {
        if !self.hosts[usize::from(of)].agent_acts() {
            self.marks.note(Mark::ConfirmedByControllers);
        }
        let hearing = &self.hearing;
        let heard = hearing.heard[usize::from(host)][usize::from(of - self.controllers)];
        let age = self.now.since(heard.last);
        let (is_heard, missing) = (age < hearing.silent(), hearing.missing(host, of, self.now));
        if is_heard {
            let seen = self.evidence_of(host, of);
            let what = format!("calls host {of} unreachable, and heard it {age:?} ago ({seen})");
            self.fail("S5 crowd", host, &what);
        }
        if missing * 2 <= usize::from(self.controllers) {
            let seen = self.evidence_of(host, of);
            let what = format!("calls host {of} unreachable, and {missing} miss it ({seen})");
            self.fail("S5 crowd", host, &what);
        }
        if self.hearing.must_be_patient(host, self.now) {
            self.fail("S5 itself", host, &format!("accuses host {of}, and was not running itself"));
        }
        self.judge_majority(host, of, Verdict::Unreachable);
    }

    /// Before it is sent.
    pub(super) fn judge_said(&mut self, host: u16, network: u8, part: Part, body: &[u8]) {
        let at = usize::from(host);
        let length = AROUND + u64::try_from(body.len()).unwrap_or(0);
        self.hearing.bytes[at][usize::from(network)] += length;
        let number = usize::from(body.get(1).copied().unwrap_or(0)) % PARTS;
        self.hearing.parts[at][number] += 1;
        if let (Part::Rumour | Part::Forwarded, Some(&[high, low])) = (part, body.get(8..10)) {
            let told = u16::from_be_bytes([high, low]);
            let refuted = &mut self.hearing.refuted[at][usize::from(network)];
            if std::mem::replace(refuted, told) < told {
                self.marks.note(Mark::RefutedSuspicion);
            }
        }
        if host < self.controllers || part != Part::Missed {
            return;
        }
        let alone = self.now.since(self.hearing.alone_since[at]);
        if self.hearing.alone_since[at] != Time::NEVER && alone > self.script.detect * ALONE {
            self.fail("S5 itself", host, "accuses, and reaches nobody");
        }
        if self.hearing.must_be_patient(host, self.now) {
            self.fail("S5 itself", host, "accuses, and was not running itself");
        }
    }

    /// After a turn of the gossip.
    pub(super) fn note_health(&mut self, host: u16) {
        let mind = self.hosts[usize::from(host)].agent.machine.as_ref();
        let crowd = mind.and_then(|mind| mind.crowd.as_ref());
        if crowd.is_some_and(engine::gossip::Gossip::is_damped) {
            self.marks.note(Mark::Damped);
        }
    }

    /// A letter of gossip was believed.
    pub(super) fn note_gossip(&mut self, truth: &Truth) {
        if truth.says == Says::Gossip(Part::Forwarded) {
            self.marks.note(Mark::ProbedOverOthers);
        }
        if truth.says == Says::Gossip(Part::Passed) {
            self.marks.note(Mark::PassedOnClaim);
        }
        self.hash = mix(self.hash, truth.serial);
    }

    /// After something was done: which compute nodes reach nobody.
    pub(super) fn count_alone(&mut self) {
        let all = u16::try_from(self.hosts.len()).unwrap_or(0);
        for host in self.controllers..all {
            let mut others = (0..all).filter(|other| *other != host);
            let is_alone = !others.any(|other| self.is_linked(host, other));
            let since = &mut self.hearing.alone_since[usize::from(host)];
            match (is_alone, *since == Time::NEVER) {
                (true, true) => *since = self.now,
                (false, _) => *since = Time::NEVER,
                (true, false) => {}
            }
        }
    }

    /// Whether two hear each other on some network.
    fn is_linked(&self, a: u16, b: u16) -> bool {
        (0..self.nets.count).any(|network| self.is_linked_on(network, a, b))
    }

    fn is_linked_on(&self, network: u8, a: u16, b: u16) -> bool {
        let up = |host: u16| self.hosts[usize::from(host)].carrier[usize::from(network)];
        up(a) && up(b) && self.nets.joins(network, a, b)
    }

    /// Costs of a compute node have a bound, whatever happens: what each said since the last minute.
    pub(super) fn inspect_traffic(&mut self) {
        let seconds = self.now.since(self.minute_at).as_secs().max(1);
        let mut worst = (0, 0);
        for (host, bytes) in (0_u16..).zip(&mut self.hearing.bytes) {
            let most = std::mem::take(bytes).into_iter().max().unwrap_or(0);
            if host >= self.controllers {
                worst = worst.max((most, host));
            }
        }
        let (bytes, host) = worst;
        let often = USUAL.as_millis().div_ceil(self.script.detect.as_millis().max(1));
        if bytes > MOST_SAID * seconds * u64::try_from(often).unwrap_or(1) {
            let parts = self.hearing.parts[usize::from(host)];
            let what = format!("says {} bytes a second on a network: {parts:?}", bytes / seconds);
            self.fail("L3 traffic", host, &what);
        }
        self.hearing.parts.fill([0; PARTS]);
    }

    /// After so long without anything new, what controllers of a majority think of compute nodes is the same,
    /// and true. A retraction may be lost: then a claim is forgotten.
    pub(super) fn inspect_crowd(&mut self, quiet: Duration) {
        let is_early = quiet <= self.script.detect * 3 + SETTLED
            || quiet <= self.script.detect + FORGOTTEN + SETTLED;
        let is_new = self.hearing.viewed != Some(self.disturbed_at);
        if is_early || !is_new || quiet <= self.script.detect * 3 + SETTLED + self.longest_stall() {
            return;
        }
        self.hearing.viewed = Some(self.disturbed_at);
        let all = u16::try_from(self.hosts.len()).unwrap_or(0);
        let mut judged = 0;
        for host in 0..self.controllers {
            if judged & 1 << host != 0 || !self.hosts[usize::from(host)].agent_acts() {
                continue;
            }
            let part = self.part_of(host, Duration::ZERO, |world, a, b, network| {
                world.nets.joins(network, a, b)
            });
            judged |= part;
            if !self.is_majority(part) || self.controllers == all {
                continue;
            }
            self.marks.note(Mark::AgreedOnCrowd);
            let told = (self.controllers..all).try_for_each(|of| self.judge_compute(part, of));
            if let Err((who, what)) = told {
                self.fail("L crowd", who, &what);
            }
        }
    }

    fn judge_compute(&self, part: u64, of: u16) -> Result<(), (u16, String)> {
        // Nobody who heard its former life believes what it says: it is gone for some, and new for others.
        if self.hosts[usize::from(of)].is_outdated() {
            return Ok(());
        }
        let acts = self.hosts[usize::from(of)].agent_acts();
        let all = || (0..self.controllers).filter(|host| part & 1 << host != 0);
        let answers = acts && all().any(|host| self.is_linked(host, of));
        let carrier = self.hosts[usize::from(of)].carrier;
        let is_linked = carrier.iter().take(usize::from(self.nets.count)).all(|up| *up);
        let is_whole = acts && is_linked && self.is_whole(part, of);
        let speaks = acts && all().any(|host| self.speaks_to(of, host));
        let mut first = None;
        let proof = self.sight.proofs[usize::from(of)];
        for (host, verdict, rule) in
            self.opinions_of(part, of).filter(|found| found.2 != "quarantine")
        {
            let is_true = match verdict {
                Verdict::ProvenDead(told) => proof == Some(told),
                _ if proof.is_some() => false,
                Verdict::Alive => speaks,
                Verdict::CutOff { networks } => {
                    answers && networks.iter().all(|network| self.is_torn_from(part, of, network))
                }
                Verdict::Suspect => answers && !is_whole,
                Verdict::Unreachable => !answers,
                // A controller that never heard it itself does not believe what members tell.
                Verdict::Unknown => !acts || !self.is_linked(host, of),
                Verdict::Leaving => !acts,
            };
            if !is_true {
                let seen = self.evidence_of(host, of);
                return Err((host, format!("calls host {of} {verdict:?} ({rule}; {seen})")));
            }
            if !matches!(verdict, Verdict::Leaving | Verdict::Unknown) {
                let (who, known) = *first.get_or_insert((host, verdict));
                if known != verdict && (is_whole || !speaks) {
                    let what = format!("calls host {of} {verdict:?}, and host {who} {known:?}");
                    return Err((host, what));
                }
            }
        }
        Ok(())
    }

    /// Whether what `from` says reaches that controller on some network.
    fn speaks_to(&self, from: u16, to: u16) -> bool {
        let up =
            |host: u16, network: u8| self.hosts[usize::from(host)].carrier[usize::from(network)];
        (0..self.nets.count).any(|network| {
            up(from, network) && up(to, network) && self.nets.carries(network, from, to)
        })
    }

    /// Whether some controller of a part and that node do not hear each other there.
    fn is_torn_from(&self, part: u64, of: u16, network: u8) -> bool {
        let mut all = (0..self.controllers).filter(|host| part & 1 << host != 0);
        all.any(|host| !self.is_linked_on(network, host, of))
    }
}
