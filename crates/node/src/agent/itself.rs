//! What this node has against itself, as events and for status.

use api::{Event, OwnDoubt, ReferenceLine};
use base::Time;
use engine::own::{News, Own, Reason, Reasons};
use engine::reference::Reference;

use super::core::Core;
use super::{Agent, lock};

impl Core {
    /// What [`Self::own`] begins with.
    pub(super) fn trusting(&mut self) {
        let (now, times) = (sys::clock::now(), self.times());
        self.own = Some(Own::new(now, times));
        let takes_part = self.member.is_some() || self.gossip.is_some();
        let points = self.cluster.as_ref().map_or(0, |cluster| cluster.reference.len());
        self.reference = (takes_part && points > 0).then(|| Reference::new(points, times, now));
    }

    /// Why the machines of this node accuse nobody now.
    fn against_itself(&self, now: Time) -> Reasons {
        match (&self.member, &self.gossip) {
            (Some(member), _) => member.against_itself(now),
            (None, Some(gossip)) => gossip.against_itself(now),
            (None, None) => Reasons::NONE,
        }
    }

    /// What is new about it, as event.
    pub(super) fn look_at_itself(&mut self, now: Time) -> Option<Event> {
        let reasons = self.against_itself(now);
        let news = self.own.as_mut()?.step(now, reasons)?;
        Some(told(&self.picture.node, news, &self.reference_lines(now)))
    }

    /// For status.
    pub(super) fn own_doubts(&self) -> Vec<OwnDoubt> {
        let reasons = self.own.map(|own| own.reasons()).unwrap_or_default();
        reasons.iter().map(shown).collect()
    }
}

impl Agent<'_> {
    /// Once in each turn of the loop.
    pub(super) fn look_at_itself(&mut self) {
        let event = lock(&self.core).look_at_itself(sys::clock::now());
        event.into_iter().for_each(|event| self.journal.add(event));
    }
}

fn told(node: &str, news: News, points: &[ReferenceLine]) -> Event {
    let object = format!("node/{node}");
    match news {
        News::Suspects(reasons) => Event {
            what: "suspects-itself".to_owned(),
            object,
            evidence: evidence(reasons, points),
            decision: "accuse nobody: what was concluded of others stays, or is doubt at most"
                .to_owned(),
            not_done: "no node is newly called unreachable or cut off by this one".to_owned(),
            ..Event::default()
        },
        News::Trusts => Event {
            what: "trusts-itself".to_owned(),
            object,
            evidence: format!("for {:?} nothing speaks against it", engine::own::TRUSTS_AFTER),
            decision: "judge the others again".to_owned(),
            ..Event::default()
        },
    }
}

/// The reasons, and whose fault it is as far as reference points tell.
fn evidence(reasons: Reasons, points: &[ReferenceLine]) -> String {
    let doubts: Vec<_> = reasons.iter().map(shown).collect();
    let fault = api::whose_fault(&doubts, points);
    std::iter::once(reasons.words()).chain(fault).collect::<Vec<_>>().join("; ")
}

const fn shown(reason: Reason) -> OwnDoubt {
    match reason {
        Reason::Timers => OwnDoubt::OwnTimers,
        Reason::Links => OwnDoubt::OwnLinks,
        Reason::Majority => OwnDoubt::OwnQuorum,
        Reason::Reference => OwnDoubt::OwnReference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_event_say_the_same_of_each_reason() {
        for reason in Reason::ALL {
            let mut reasons = Reasons::NONE;
            reasons.put(reason, true);
            let event = told("node01", News::Suspects(reasons), &[]);
            assert!(event.evidence.starts_with(shown(reason).words()), "{}", event.evidence);
            assert_eq!(shown(reason).name(), reason.rule());
            assert!(api::catalogue::kind(&event.what).is_some());
        }
        assert!(api::catalogue::kind(&told("node01", News::Trusts, &[]).what).is_some());
        assert_eq!(OwnDoubt::ALL.len(), Reason::ALL.len());
    }

    #[test]
    fn a_reference_point_that_answers_says_that_rather_the_others_are_gone() {
        let mut reasons = Reasons::NONE;
        reasons.put(Reason::Majority, true);
        let point = |answers| ReferenceLine {
            address: "10.0.0.1".to_owned(),
            network: "mgmt".to_owned(),
            answers,
            age_ms: Some(9000),
        };
        let said = |reasons, answers| {
            told("node01", News::Suspects(reasons), &[point(false), point(answers)]).evidence
        };
        let alone = "it reaches no majority of the nodes";
        assert_eq!(said(reasons, false), alone, "which it may have been for a moment");
        let answers = "10.0.0.1 on mgmt answers: its network works, rather the others are gone";
        assert_eq!(said(reasons, true), format!("{alone}; {answers}"));
        reasons.put(Reason::Reference, true);
        let gone = "no reference point answers it, on any network; its own networks are gone, rather than the others";
        assert_eq!(said(reasons, false), format!("{alone}; {gone}"));
        let mut late = Reasons::NONE;
        late.put(Reason::Timers, true);
        assert!(!said(late, true).contains("10.0.0.1"), "that is another reason");
    }
}
