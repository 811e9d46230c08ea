//! Reference points: one on each network, beside all hosts, which agents ask by the real machine.
//!
//! A ping that arrives is answered in the same moment. Who loses all of them and its majority accuses nobody anew:
//! that is judged by what the world knows, and by what the agent says of itself.

use engine::member::Input;
use engine::own::Reason;
use engine::reference::{self, Action, Reference};
use engine::verdict::{Rule, Times};

use super::mark::Mark;
use super::opinion::LATE;
use super::{NO_TIME, World};

impl World {
    /// With a new agent.
    pub(super) fn start_reference(&mut self, host: u16) {
        let local = self.local(host);
        let points = if self.script.references { usize::from(self.nets.count) } else { 0 };
        let times = Times::new(self.script.detect);
        let node = &mut self.hosts[usize::from(host)];
        node.referred_at = None;
        node.reference = (points > 0).then(|| Reference::new(points, times, local));
    }

    /// Its turn, if it has one now.
    pub(super) fn ask_reference(&mut self, host: u16) {
        let local = self.local(host);
        let at = usize::from(host);
        let mut asks = vec![];
        match &mut self.hosts[at].reference {
            Some(machine) if machine.deadline() <= local => {
                machine.step(local, reference::Input::Timeout, &mut asks);
            }
            Some(_) | None => return,
        }
        for action in asks {
            match action {
                Action::Answers(answers) => self.reference_is(host, answers),
                Action::Ask { point, number } if self.ping_is_answered(host, point) => {
                    let mut told = vec![];
                    let node = &mut self.hosts[at];
                    node.referred_at = Some(self.now);
                    if let Some(machine) = &mut node.reference {
                        machine.step(local, reference::Input::Answer { point, number }, &mut told);
                    }
                    for action in told {
                        if let Action::Answers(answers) = action {
                            self.reference_is(host, answers);
                        }
                    }
                }
                Action::Ask { .. } => {}
            }
        }
    }

    /// Whether a ping of that host comes back, this time.
    fn ping_is_answered(&mut self, host: u16, network: usize) -> bool {
        let lost = self.nets.weather[network].lost;
        let has_way = self.hosts[usize::from(host)].carrier[network]
            && u8::try_from(network).is_ok_and(|network| {
                !self.nets.reference_down[usize::from(network)] && !self.nets.is_cut(network, host)
            });
        has_way && !self.pings.permille(lost)
    }

    fn reference_is(&mut self, host: u16, answers: bool) {
        self.say(host, || format!("has reference points that answer: {answers}"));
        if answers {
            let local = self.local(host);
            self.oracle.wakes(host, local, NO_TIME);
        }
        self.agent(host, Input::Reference { answers });
    }

    /// Whether its agent says that it accuses nobody for want of them.
    pub(super) fn lacks_reference(&self, host: u16) -> bool {
        let agent = self.hosts[usize::from(host)].agent.machine.as_ref();
        let local = self.local(host);
        agent.is_some_and(|agent| agent.against_itself(local).has(Reason::Reference))
    }

    /// After its turn: whether what it has against itself is so.
    pub(super) fn judge_reasons(&mut self, host: u16) {
        let local = self.local(host);
        let node = &self.hosts[usize::from(host)];
        let Some(agent) = &node.agent.machine else { return };
        let reasons = agent.against_itself(local);
        if reasons.is_empty() || !self.oracle.would_accuse(host, local) {
            return;
        }
        if reasons.has(Reason::Links) {
            self.marks.note(Mark::SuspectedItselfWithoutLinks);
        }
        if reasons.has(Reason::Reference) {
            self.marks.note(Mark::SuspectedItselfWithoutReference);
            let referred = self.hosts[usize::from(host)].referred_at;
            if referred.is_none_or(|at| self.now.since(at) < self.script.detect / 2) {
                let what = "suspects itself, and a reference point answered just now";
                self.fail("S5 itself", host, what);
            }
        }
    }

    /// An agent newly thinks that this host is silent.
    pub(super) fn judge_silence(&mut self, host: u16, of: u16, rule: Option<&Rule>) {
        let is_by_silence = rule.is_none_or(|rule| {
            rule.is_mere_silence() || matches!(rule.name, "silent-everywhere" | "unanswered")
        });
        if is_by_silence && (self.lacks_reference(host) || self.must_doubt_itself(host)) {
            let what = format!("accuses host {of}, and reaches no reference point and no majority");
            self.fail("S5 itself", host, &what);
        }
    }

    /// By what the world knows: all reference points are gone for so long that it was told so before any peer was
    /// missed, and its majority for long enough that it knows.
    pub(super) fn must_doubt_itself(&self, host: u16) -> bool {
        let detect = self.script.detect;
        let node = &self.hosts[usize::from(host)];
        let is_quick =
            self.hosts[..usize::from(self.controllers)].iter().all(|node| node.slowest.is_zero());
        let is_gone = node.referred_at.is_some_and(|at| self.now.since(at) > detect);
        let is_alone = self.without_majority_for(host).is_some_and(|span| span > detect + LATE);
        node.reference.is_some() && is_quick && self.is_calm && is_gone && is_alone
    }
}
