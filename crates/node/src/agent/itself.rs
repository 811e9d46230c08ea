//! What this node has against itself, as events and for status.

use api::{Event, OwnDoubt};
use base::Time;
use engine::own::{News, Own, Reason, Reasons};

use super::core::Core;
use super::{Agent, lock};

impl Core {
    /// What [`Self::own`] begins with.
    pub(super) fn trusting(&mut self) {
        self.own = Some(Own::new(sys::clock::now(), self.times()));
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
        Some(told(&self.picture.node, news))
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

fn told(node: &str, news: News) -> Event {
    let object = format!("node/{node}");
    match news {
        News::Suspects(reasons) => Event {
            what: "suspects-itself".to_owned(),
            object,
            evidence: reasons.words(),
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

const fn shown(reason: Reason) -> OwnDoubt {
    match reason {
        Reason::Timers => OwnDoubt::OwnTimers,
        Reason::Links => OwnDoubt::OwnLinks,
        Reason::Majority => OwnDoubt::OwnQuorum,
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
            let event = told("node01", News::Suspects(reasons));
            assert_eq!(event.evidence, shown(reason).words());
            assert_eq!(shown(reason).name(), reason.rule());
            assert!(api::catalogue::kind(&event.what).is_some());
        }
        assert!(api::catalogue::kind(&told("node01", News::Trusts).what).is_some());
        assert_eq!(OwnDoubt::ALL.len(), Reason::ALL.len());
    }
}
