//! Verdicts as events and as evidence for `why`.

use api::{Event, Evidence, Turn, Why};
use base::Time;
use engine::member::Sighting;
use engine::verdict::{Rule, Verdict};

use super::core::Core;

impl Core {
    /// Whoever decides by what is known here looks again.
    pub(super) fn looked_at(&self) {
        if let Some(tell) = &self.concludes {
            tell();
        }
    }

    /// A new verdict as event; none for what a standing says already.
    pub(super) fn concluded(
        &mut self,
        now: Time,
        node: u16,
        verdict: Verdict,
        rule: &Rule,
    ) -> Option<Event> {
        let before = self.judged.insert(node, verdict).unwrap_or_default();
        self.looked_at();
        let name = self.picture.names.get(usize::from(node)).cloned().unwrap_or_default();
        let opinion = self.shown_opinion(verdict, rule);
        let cause = self.cause(&name, now);
        let networks = opinion.networks.clone();
        let (at_ms, rule_name) = (sys::clock::wall_ms(), rule.name.to_owned());
        let (verdict_told, cause_told) = (opinion.verdict, cause.clone());
        let turns = self.turns.entry(node).or_default();
        if turns.len() == Why::TURNS {
            turns.pop_front();
        }
        turns.push_back(Turn {
            at_ms,
            verdict: verdict_told,
            networks,
            rule: rule_name,
            cause: cause_told,
        });
        if !is_worth(before, verdict, rule) {
            return None;
        }
        let on = if opinion.networks.is_empty() { "" } else { " on " };
        Some(Event {
            what: "node-verdict".to_owned(),
            object: format!("node/{name}"),
            evidence: cause,
            decision: format!(
                "{}{on}{}, before {}; rule {}: {}",
                verdict.word(),
                opinion.networks.join(", "),
                before.word(),
                rule.name,
                rule.sentence
            ),
            not_done: match verdict {
                Verdict::Unreachable | Verdict::Suspect | Verdict::CutOff { .. } => {
                    "nothing is restarted: this is opinion, not proof".to_owned()
                }
                Verdict::Unknown | Verdict::Alive | Verdict::Leaving | Verdict::ProvenDead(_) => {
                    String::new()
                }
            },
            ..Event::default()
        })
    }

    /// The newest verdicts on a node, oldest first.
    pub(super) fn turns(&self, name: &str) -> Vec<Turn> {
        let position = self.picture.names.iter().position(|known| known == name);
        let node = position.and_then(|at| u16::try_from(at).ok());
        let turns = node.and_then(|node| self.turns.get(&node));
        turns.map(|turns| turns.iter().cloned().collect()).unwrap_or_default()
    }

    /// All that is seen of a node, in one line.
    fn cause(&self, name: &str, now: Time) -> String {
        let told = self.seen(name, now).into_iter().map(|seen| match seen.age_ms {
            Some(age) => format!("{} ({age} ms ago)", seen.what),
            None => seen.what,
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// All that is seen of a node, with ages.
    pub(super) fn seen(&self, name: &str, now: Time) -> Vec<Evidence> {
        let position = self.picture.names.iter().position(|known| known == name);
        let Some(node) = position.and_then(|at| u16::try_from(at).ok()) else { return vec![] };
        let shown = |seen: Sighting| {
            let what = format!("{}: {}", seen.kind.row().name, self.named(&seen.what));
            let age_ms = seen.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            Evidence { what, age_ms }
        };
        let seen = match (self.crowd(node), &self.member) {
            (Some(gossip), _) => gossip.evidence(node, now),
            (None, Some(member)) => member.evidence(node, now),
            (None, None) => vec![],
        };
        let strange = self.strange_about(now, node);
        seen.into_iter().map(shown).chain(self.word_of_proof(name)).chain(strange).collect()
    }

    /// Positions of nodes as names: `node 2 hears it` becomes `node03 hears it`.
    fn named(&self, what: &str) -> String {
        let rest = what.strip_prefix("node ").or_else(|| what.strip_prefix("controller "));
        let position = rest.and_then(|rest| rest.split_once(' '));
        let name = position.and_then(|(at, rest)| {
            let name = self.picture.names.get(at.parse::<usize>().ok()?)?;
            Some(format!("{name} {rest}"))
        });
        name.unwrap_or_else(|| what.to_owned())
    }
}

/// Silence, goodbyes and returns are events of the standing already.
fn is_worth(before: Verdict, verdict: Verdict, rule: &Rule) -> bool {
    match verdict {
        Verdict::CutOff { .. } | Verdict::Unreachable | Verdict::ProvenDead(_) => true,
        Verdict::Suspect => !rule.is_mere_silence(),
        Verdict::Alive | Verdict::Unknown => match before {
            Verdict::CutOff { .. } | Verdict::Suspect | Verdict::ProvenDead(_) => true,
            Verdict::Unknown | Verdict::Alive | Verdict::Unreachable | Verdict::Leaving => false,
        },
        Verdict::Leaving => false,
    }
}
