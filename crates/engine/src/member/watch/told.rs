//! What is known and thought of each node, for those who show it.

use base::Time;

use super::super::tether::Tether;
use super::Watch;
use crate::evidence::Ailments;
use crate::reach::{Row, View};
use crate::verdict::{Judgement, Proof, RULES, Verdict};

impl Watch {
    /// On this node itself: whether the others reach it.
    pub(in crate::member) fn opinion(&self, node: u16) -> Judgement {
        let named = |name: &str| RULES.iter().find(|rule| rule.name == name).unwrap_or(&RULES[0]);
        match self.nodes.get(usize::from(node)) {
            Some(seen) if node != self.me => Judgement { verdict: seen.verdict, rule: seen.rule },
            Some(_) if !self.view.cut[usize::from(self.me)].is_empty() => {
                let networks = self.view.cut[usize::from(self.me)];
                if networks == self.reach.networks_of(node) {
                    Judgement { verdict: Verdict::Suspect, rule: named("heard-outside") }
                } else {
                    Judgement { verdict: Verdict::CutOff { networks }, rule: named("cut-off") }
                }
            }
            Some(_) | None => Judgement { verdict: Verdict::Alive, rule: named("alive") },
        }
    }

    pub(in crate::member) const fn view(&self) -> &View {
        &self.view
    }

    pub(in crate::member) fn row(&self, node: u16) -> Option<&Row> {
        self.reach.row(node)
    }

    pub(in crate::member) fn refusal(&self, node: u16) -> Option<(Time, Time)> {
        self.nodes.get(usize::from(node))?.refused
    }

    pub(in crate::member) fn tether(&mut self, node: u16) -> Option<&mut Tether> {
        self.nodes.get_mut(usize::from(node)).map(|seen| &mut seen.tether)
    }

    /// The connections to it, to look at.
    pub(in crate::member) fn tether_of(&self, node: u16) -> Option<&Tether> {
        self.nodes.get(usize::from(node)).map(|seen| &seen.tether)
    }

    /// One that is to be asked alone.
    pub(in crate::member) fn first_to_ask(&self, now: Time) -> Option<u16> {
        let at = self.nodes.iter().position(|seen| seen.tether.due() <= now)?;
        u16::try_from(at).ok()
    }

    pub(in crate::member) fn ailments(&self, node: u16) -> Option<(Ailments, Time)> {
        let seen = self.nodes.get(usize::from(node))?;
        (!seen.ailments.is_empty()).then_some((seen.ailments, seen.ailing_since))
    }

    pub(in crate::member) fn failing_since(&self, node: u16) -> Option<Time> {
        self.nodes.get(usize::from(node))?.failing_since
    }

    pub(in crate::member) fn proof(&self, node: u16) -> Option<Proof> {
        self.nodes.get(usize::from(node))?.proof
    }

    /// Until when it is quarantined, and how often it came back.
    pub(in crate::member) fn quarantine(&self, node: u16) -> (Time, usize) {
        let seen = self.nodes.get(usize::from(node));
        seen.map_or((Time::ZERO, 0), |seen| (seen.quarantined_until, seen.returns.len()))
    }
}
