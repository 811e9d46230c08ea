//! What agents conclude of each other ([`engine::verdict`]), held against what the world knows.
//!
//! An accusation is judged when it is made. Views are compared once nothing was done for long enough: by then
//! all hosts of a part of the cloud that has a majority must think the same of each controller, and it must be
//! true. Without a majority of the controllers nobody is accused. What is concluded of compute nodes:
//! [`super::hearing`].

use std::time::Duration;

use base::Time;
use engine::member::Input;
use engine::verdict::{Death, Judgement, Proof, Rule, Times, Verdict};

use super::mark::Mark;
use super::office::Deed;
use super::queue::Machine;
use super::{World, mix};

/// So long after the detection time a host without a majority knows that it has none: packets and
/// turns that are late, beside those of slow hosts.
pub(super) const LATE: Duration = Duration::from_millis(500);
/// Beside three detection times, one of which is the longest patience and one the hold time: beats, and
/// rows that are passed on.
const PASSED_ON: Duration = Duration::from_millis(1500);
/// The rule of those who are heard, and cut off on all of their networks.
const OUTSIDE: &str = "heard-outside";

/// So long others are told of a stall at most.
const TOLD: Duration = Duration::from_secs(10);

/// The world's own memory of who could know what.
#[derive(Debug)]
pub(super) struct Sight {
    /// When each controller last reached a majority of the controllers; [`Time::NEVER`]: it does now.
    majority_until: Vec<Time>,
    /// Of each pair of controllers: when one last reached the other by itself; [`Time::NEVER`]: it does now.
    linked_until: Vec<Time>,
    /// Deaths that the store holds.
    pub(super) proofs: Vec<Option<Proof>>,
    entries: u64,
    /// The disturbance after which views were compared last.
    viewed: Option<Time>,
    /// When each controller's agent went on, and how long it had stood still.
    woke: Vec<(Time, Duration)>,
}

impl Sight {
    pub(super) fn new(controllers: u16, hosts: usize) -> Self {
        Self {
            majority_until: vec![Time::NEVER; usize::from(controllers)],
            linked_until: vec![Time::NEVER; usize::from(controllers).pow(2)],
            proofs: vec![None; hosts],
            entries: 0,
            viewed: None,
            woke: vec![(Time::ZERO, Duration::ZERO); usize::from(controllers)],
        }
    }
}

impl World {
    /// An agent has another verdict on a host.
    pub(super) fn opine(&mut self, host: u16, of: u16, verdict: Verdict, rule: &'static Rule) {
        self.tell_opinion(host, of, verdict, rule);
        self.judge_planned(host, of, verdict, rule.name);
        self.put_on_desk(host, Deed::Look);
        if matches!(verdict, Verdict::Suspect | Verdict::Unreachable) {
            self.judge_silence(host, of, Some(rule));
        }
        match verdict {
            Verdict::ProvenDead(proof) => {
                self.marks.note(Mark::CalledProvenDead);
                if self.sight.proofs[usize::from(of)] != Some(proof) {
                    self.fail("S4 proof", host, &format!("calls host {of} dead without a proof"));
                }
            }
            Verdict::Unreachable => {
                self.marks.note(Mark::CalledUnreachable);
                self.judge_accusation(host, of, verdict);
            }
            Verdict::CutOff { networks } => {
                self.marks.note(Mark::CalledCutOff);
                let one_way = |network: u8| {
                    let hears = |other| self.nets.carries(network, other, of);
                    let all = (0..self.controllers).filter(|other| *other != of);
                    all.into_iter()
                        .any(|other| hears(other) != self.nets.carries(network, of, other))
                };
                if networks.iter().any(one_way) {
                    self.marks.note(Mark::SawOneWay);
                }
                self.judge_accusation(host, of, verdict);
            }
            Verdict::Suspect if rule.name == OUTSIDE => self.judge_accusation(host, of, verdict),
            Verdict::Suspect if rule.name == "quarantine" => self.marks.note(Mark::Quarantined),
            Verdict::Suspect => {
                if rule.name == "agent-gone" {
                    self.judge_refusal(host, of);
                }
                if rule.name == "own-quorum" {
                    self.marks.note(Mark::DoubtedWithoutMajority);
                }
                if rule.is_mere_silence() {
                    self.judge_patience(host, of);
                }
            }
            Verdict::Unknown | Verdict::Alive | Verdict::Leaving => {}
        }
    }

    /// For how long a host cannot have had a majority; none: it may have one, or nobody knows.
    pub(super) fn without_majority_for(&self, host: u16) -> Option<Duration> {
        let until = self.sight.majority_until.get(usize::from(host)).copied()?;
        (until != Time::NEVER).then(|| self.now.since(until))
    }

    /// Whoever came to it.
    pub(super) fn tell_opinion(
        &mut self,
        host: u16,
        of: u16,
        verdict: Verdict,
        rule: &'static Rule,
    ) {
        if let Some(opinions) = &mut self.opinions {
            opinions.push((host, of, verdict));
        }
        let word = verdict.word().bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
        self.hash =
            mix(self.hash, u64::from(host) << 48 | u64::from(of) << 32 | word & 0xffff_ffff);
        self.say(host, || format!("calls host {of} {} ({})", verdict.word(), rule.name));
    }

    /// Who has no majority accuses nobody, nor does who was not running itself.
    fn judge_accusation(&mut self, host: u16, of: u16, verdict: Verdict) {
        self.judge_majority(host, of, verdict);
        self.judge_patience(host, of);
    }

    pub(super) fn judge_majority(&mut self, host: u16, of: u16, verdict: Verdict) {
        let Some(until) = self.sight.majority_until.get(usize::from(host)).copied() else { return };
        let controllers = &self.hosts[..usize::from(self.controllers)];
        let slowest = controllers.iter().map(|node| node.slowest).max().unwrap_or_default();
        // What a slow host heard late it says it hears, for as long as it is patient.
        let patience =
            if slowest.is_zero() { LATE } else { self.script.detect + slowest * 2 + LATE };
        if self.now.since(until) > self.script.detect + patience {
            let (word, seen) = (verdict.word(), self.evidence_of(host, of));
            let what = format!("calls host {of} {word}, and has no majority ({seen})");
            self.fail("S5 majority", host, &what);
        }
    }

    fn judge_patience(&mut self, host: u16, of: u16) {
        if self.oracle.must_be_patient(host, of, self.local(host)) {
            self.fail("S5 itself", host, &format!("accuses host {of}, and was not running itself"));
        }
    }

    /// In words, for people.
    pub(super) fn evidence_of(&self, host: u16, of: u16) -> String {
        let mind = self.hosts[usize::from(host)].agent.machine.as_ref();
        let seen = mind.map(|mind| mind.evidence(of, self.local(host))).unwrap_or_default();
        let seen = seen.into_iter().map(|sighting| match sighting.age {
            Some(age) => format!("{} {age:?} ago", sighting.what),
            None => sighting.what,
        });
        seen.collect::<Vec<_>>().join("; ")
    }

    /// The store holds a proof of a host's death, or takes it back; agents are told.
    pub(super) fn prove(&mut self, of: u16, is_dead: bool) {
        self.sight.entries += 1;
        let entry = self.sight.entries.try_into().expect("counted from one");
        let proof = is_dead.then(|| Proof::committed(entry, Death::Operator));
        self.sight.proofs[usize::from(of)] = proof;
        // Who holds something and is proven dead gives it away (seed 2567).
        self.note_disturbed();
        for host in 0..u16::try_from(self.hosts.len()).unwrap_or(0) {
            if !self.hosts[usize::from(host)].agent_acts() {
                continue;
            }
            if host != of {
                self.agent(host, Input::Proven { node: of, proof });
                self.plan(host, Machine::Agent);
            }
            self.learns_of_death(host, of, is_dead);
        }
    }

    /// After a mistake of people: they take back what they said.
    pub(super) fn take_proofs_back(&mut self) {
        for of in 0..u16::try_from(self.hosts.len()).unwrap_or(0) {
            if self.sight.proofs[usize::from(of)].is_some() {
                self.prove(of, false);
            }
        }
    }

    /// Somebody reads old packets as if they were sent now, and tells others: they may be taken for those of a
    /// majority.
    pub(super) fn reads_old_letters(&mut self) {
        for until in &mut self.sight.majority_until {
            if *until != Time::NEVER {
                *until = self.now;
            }
        }
    }

    /// An agent goes on. Those whom it tells doubt for longer than else.
    pub(super) fn stood_still(&mut self, host: u16, gap: Duration) {
        if let Some(woke) = self.sight.woke.get_mut(usize::from(host)) {
            *woke = (self.now, gap);
        }
    }

    /// The longest that somebody stood still, of which others still know.
    pub(super) fn longest_stall(&self) -> Duration {
        let known = self.sight.woke.iter().filter(|(at, _)| self.disturbed_at.since(*at) < TOLD);
        known.map(|(_, gap)| *gap).max().unwrap_or_default().min(TOLD)
    }

    /// An agent that begins, or goes on, reads what the store holds.
    pub(super) fn reads_store(&mut self, host: u16) {
        self.reads_old_letters();
        if self.sight.entries == 0 {
            return;
        }
        for (node, proof) in (0..).zip(self.sight.proofs.clone()) {
            if node != host {
                self.agent(host, Input::Proven { node, proof });
            }
            self.learns_of_death(host, node, proof.is_some());
        }
    }

    /// After something was done: who may still believe that it has a majority.
    pub(super) fn count_majorities(&mut self) {
        // One way is enough to be mistaken.
        let reach = |world: &Self, a: u16, b: u16, network: u8| {
            world.nets.carries(network, a, b) || world.nets.carries(network, b, a)
        };
        let all = 0..self.controllers;
        for (a, b) in all.clone().flat_map(|a| all.clone().map(move |b| (a, b))) {
            let is_linked = self.is_joined(a, b, Duration::ZERO, reach);
            let pair = self.pair(a, b);
            let until = &mut self.sight.linked_until[pair];
            match (is_linked, *until == Time::NEVER) {
                (true, _) => *until = Time::NEVER,
                (false, true) => *until = self.now,
                (false, false) => {}
            }
        }
        // Four beats, written down once more: the engine's own figure may be what is wrong.
        let counts = Times::new(self.script.detect).beat_every() * 4;
        for host in all {
            let has = self.is_majority(self.part_of(host, Duration::ZERO, reach));
            // Others say that they hear who is gone only now (seed 417), and who is heard only now adds to whose word
            // counts still (seed 2417).
            let told = self.is_majority(self.part_by(host, |a, b| {
                let until = self.sight.linked_until[self.pair(a, b)];
                let is_heard =
                    a == host && (until == Time::NEVER || self.now.since(until) < counts);
                is_heard || self.is_joined(a, b, self.script.detect, reach)
            }));
            let until = &mut self.sight.majority_until[usize::from(host)];
            match (has, *until == Time::NEVER) {
                (true, _) => *until = Time::NEVER,
                (false, true) => *until = self.now,
                (false, false) if told => *until = self.now,
                (false, false) => {}
            }
        }
    }

    pub(super) fn is_majority(&self, part: u64) -> bool {
        2 * part.count_ones() as usize > usize::from(self.controllers)
    }

    /// The controllers with an agent that runs, or whose machine did so lately, and that reach this one, over others
    /// if need be.
    pub(super) fn part_of(
        &self,
        host: u16,
        lately: Duration,
        reach: impl Fn(&Self, u16, u16, u8) -> bool,
    ) -> u64 {
        self.part_by(host, |a, b| self.is_joined(a, b, lately, &reach))
    }

    fn is_joined(
        &self,
        a: u16,
        b: u16,
        lately: Duration,
        reach: impl Fn(&Self, u16, u16, u8) -> bool,
    ) -> bool {
        let linked = |at: u16, network: u8| {
            let node = &self.hosts[usize::from(at)];
            let ran = !node.runs() && self.now.since(node.ran_until) < lately;
            (node.agent_acts() || ran) && node.carrier[usize::from(network)]
        };
        (0..self.nets.count)
            .any(|network| linked(a, network) && linked(b, network) && reach(self, a, b, network))
    }

    fn pair(&self, a: u16, b: u16) -> usize {
        usize::from(a) * usize::from(self.controllers) + usize::from(b)
    }

    fn part_by(&self, host: u16, reaches: impl Fn(u16, u16) -> bool) -> u64 {
        let among = (1_u64 << self.controllers) - 1;
        let mut part = 1_u64 << host;
        let mut fresh = part;
        while fresh != 0 {
            let at = u16::try_from(fresh.trailing_zeros()).unwrap_or(0);
            fresh &= fresh - 1;
            let mut left = among & !part;
            while left != 0 {
                let to = u16::try_from(left.trailing_zeros()).unwrap_or(0);
                left &= left - 1;
                if reaches(at, to) {
                    (part, fresh) = (part | 1 << to, fresh | 1 << to);
                }
            }
        }
        part
    }

    /// After so long without anything new, all have found out and told each other.
    pub(super) fn inspect_views(&mut self, quiet: Duration) {
        let is_early = quiet <= self.script.detect * 3 + PASSED_ON;
        if is_early
            || self.sight.viewed == Some(self.disturbed_at)
            || quiet <= self.script.detect * 3 + PASSED_ON + self.longest_stall()
        {
            return;
        }
        self.sight.viewed = Some(self.disturbed_at);
        let mut judged = 0;
        for host in 0..self.controllers {
            if judged & 1 << host != 0 || !self.hosts[usize::from(host)].agent_acts() {
                continue;
            }
            let joins = |world: &Self, a: u16, b: u16, network: u8| world.nets.joins(network, a, b);
            let part = self.part_of(host, Duration::ZERO, joins);
            judged |= part;
            if !self.is_majority(part) {
                continue;
            }
            self.marks.note(Mark::SawOneView);
            if self.is_of_several_versions() {
                self.marks.note(Mark::SawOneViewOfVersions);
            }
            for of in 0..self.controllers {
                if let Err((who, what)) = self.judge_view(part, of) {
                    self.fail("L verdict", who, &what);
                }
            }
            if let Err((who, what)) = self.judge_cuts(part) {
                self.fail("L verdict", who, &what);
            }
        }
    }

    pub(super) fn opinions_of(
        &self,
        part: u64,
        of: u16,
    ) -> impl Iterator<Item = (u16, Verdict, &'static str)> {
        let all = (0..self.controllers).filter(move |host| part & 1 << host != 0);
        all.filter_map(move |host| {
            let judgement = self.hosts[usize::from(host)].agent.machine.as_ref()?.opinion(of)?;
            Some((host, judgement.verdict, judgement.rule.name))
        })
    }

    /// Whether all of a part think the same of a host, and what is true. Quarantine is counted by each
    /// for itself.
    fn judge_view(&self, part: u64, of: u16) -> Result<(), (u16, String)> {
        let acts = self.hosts[usize::from(of)].agent_acts();
        let is_in = part & 1 << of != 0;
        let is_whole = is_in && self.is_whole(part, of);
        let mut first = None;
        let others = self.opinions_of(part, of).filter(|(host, _, _)| *host != of);
        for (host, verdict, rule) in others.filter(|(_, _, rule)| *rule != "quarantine") {
            let is_true = match verdict {
                Verdict::ProvenDead(proof) => self.sight.proofs[usize::from(of)] == Some(proof),
                _ if self.sight.proofs[usize::from(of)].is_some() => false,
                Verdict::Alive => is_in,
                Verdict::CutOff { .. } => acts && !is_whole,
                Verdict::Unreachable => !is_in,
                // Heard, and outside on all of its networks.
                Verdict::Suspect => acts && !is_whole && rule == OUTSIDE,
                Verdict::Leaving | Verdict::Unknown => !is_in,
            };
            if !is_true {
                return Err((host, format!("calls host {of} {verdict:?} ({rule})")));
            }
            // Who began later never heard its goodbye, or it.
            if !matches!(verdict, Verdict::Leaving | Verdict::Unknown) {
                let (who, known) = *first.get_or_insert((host, verdict));
                if known != verdict {
                    let what = format!("calls host {of} {verdict:?}, and host {who} {known:?}");
                    return Err((host, what));
                }
            }
        }
        Ok(())
    }

    /// Whether nothing is wrong between this host and a part that has nothing wrong with its own links.
    pub(super) fn is_whole(&self, part: u64, of: u16) -> bool {
        (0..self.controllers).filter(|host| part & 1 << host != 0).all(|host| {
            (0..self.nets.count).all(|network| {
                self.hosts[usize::from(host)].carrier[usize::from(network)]
                    && (host == of || self.nets.joins(network, host, of))
            })
        })
    }

    /// Where two of a part do not hear each other on a network, both ways, one host at least is cut off there.
    fn judge_cuts(&self, part: u64) -> Result<(), (u16, String)> {
        let all = || (0..self.controllers).filter(|host| part & 1 << host != 0);
        let is_masked = |host: u16| {
            self.sight.proofs[usize::from(host)].is_some()
                || self.opinions_of(part, host).any(|(_, _, rule)| rule == "quarantine")
        };
        if all().any(is_masked) {
            return Ok(());
        }
        for network in 0..self.nets.count {
            let torn = all().any(|a| all().any(|b| a != b && !self.nets.joins(network, a, b)));
            for host in all().filter(|_| torn) {
                let agent = self.hosts[usize::from(host)].agent.machine.as_ref();
                let is_cut = |of| {
                    agent.and_then(|agent| agent.opinion(of)).is_some_and(|told| match told {
                        Judgement { verdict: Verdict::CutOff { networks }, .. } => {
                            networks.has(network)
                        }
                        Judgement { rule, .. } => rule.name == OUTSIDE,
                    })
                };
                if !(0..self.controllers).any(is_cut) {
                    let what = format!("calls nobody cut off on network {network}, which is torn");
                    return Err((host, what));
                }
            }
        }
        Ok(())
    }
}
