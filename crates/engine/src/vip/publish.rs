//! What an instance tells its peers and the operator, and when that is news.

use base::Time;

use super::{Action, Cause, HELLO_INTERVAL, Hello, Named, Role, Vip};
use crate::Buffer;
use crate::keep::kept;

/// What [`Action::Report`] is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct View {
    role: Role,
    successor: Option<Named>,
    cause: Option<Cause>,
    term: u64,
}

/// What makes a hello urgent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Offer {
    role: Role,
    eligible: bool,
    priority: u8,
}

kept!(View { role, successor, cause, term });
kept!(Offer { role, eligible, priority });

impl Vip {
    /// The process of [`Self::successor`] that a hand-over would name.
    #[must_use]
    pub fn successor_life(&self) -> Option<u64> {
        self.successor.map(|named| named.life)
    }

    /// Tells the peers and the operator what changed.
    pub(super) fn publish(&mut self, now: Time, out: &mut Buffer<Action>) {
        self.successor = self.peers.successor(now);
        let role = self.role();
        if !self.config.peers.is_empty() {
            let eligible = role != Role::Fault && !self.obeys_stranger(now);
            let offer = Offer { role, eligible, priority: self.priority() };
            if now >= self.hello_at || self.offered != Some(offer) {
                self.offered = Some(offer);
                self.hello_at = now + HELLO_INTERVAL;
                out.push(Action::Hello(self.greeting(offer)));
            }
        } else {
            self.hello_at = Time::NEVER;
        }
        let view = View { role, successor: self.successor, cause: self.cause, term: self.term };
        if self.reported != Some(view) {
            self.reported = Some(view);
            out.push(Action::Report);
        }
    }

    /// Who is named while a router that is not ours holds would not claim, so it should not be
    /// named by one that does not hear that router.
    fn obeys_stranger(&self, now: Time) -> bool {
        let living = self.interval * 2;
        self.role() == Role::Backup
            && self.obeyed.within(now, living).any(|other| !self.peers.have(other))
    }

    fn greeting(&self, offer: Offer) -> Hello {
        let Offer { role, eligible, priority } = offer;
        let (group, node, source) = (self.group, self.config.node, self.config.source);
        let (term, life) = (self.term, self.config.life);
        Hello { group, node, source, priority, role, eligible, term, life }
    }
}
