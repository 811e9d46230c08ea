//! What an agent thinks with: beats on controllers, gossip on everybody where there are compute nodes.

use base::Time;
use engine::gossip::Gossip;
use engine::member::{Cell, Member, Sighting, Standing};
use engine::own::Reasons;
use engine::verdict::Judgement;

/// The machines of one agent.
#[derive(Debug)]
pub(crate) struct Mind {
    /// On controllers.
    pub(crate) member: Option<Member>,
    /// Where the cluster has compute nodes.
    pub(crate) crowd: Option<Gossip>,
    /// What the gossip was told last: whether this controller reaches a majority.
    pub(crate) quorum: Option<bool>,
}

impl Mind {
    pub(crate) fn deadline(&self) -> Time {
        self.member_due().min(self.crowd_due())
    }

    pub(crate) fn member_due(&self) -> Time {
        self.member.as_ref().map_or(Time::NEVER, Member::deadline)
    }

    pub(crate) fn crowd_due(&self) -> Time {
        self.crowd.as_ref().map_or(Time::NEVER, Gossip::deadline)
    }

    /// The gossip, if it is what concludes about that host here.
    pub(crate) fn crowd_of(&self, host: u16) -> Option<&Gossip> {
        self.crowd.as_ref().filter(|crowd| crowd.watches(host))
    }

    pub(crate) fn opinion(&self, of: u16) -> Option<Judgement> {
        let told = self.crowd_of(of).map(|crowd| crowd.opinion(of));
        told.or_else(|| self.member.as_ref().map(|member| member.opinion(of)))
    }

    pub(crate) fn standing(&self, of: u16) -> Standing {
        let told = self.crowd_of(of).map(|crowd| crowd.standing(of));
        let heard = || self.member.as_ref().map(|member| member.standing(of));
        told.or_else(heard).unwrap_or_default()
    }

    /// Why it accuses nobody at this moment, as its agent says it.
    pub(crate) fn against_itself(&self, now: Time) -> Reasons {
        let heard = self.member.as_ref().map(|member| member.against_itself(now));
        let told = || self.crowd.as_ref().map(|crowd| crowd.against_itself(now));
        heard.or_else(told).unwrap_or(Reasons::NONE)
    }

    pub(crate) fn evidence(&self, of: u16, now: Time) -> Vec<Sighting> {
        let told = self.crowd_of(of).map(|crowd| crowd.evidence(of, now));
        let heard = || self.member.as_ref().map(|member| member.evidence(of, now));
        told.or_else(heard).unwrap_or_default()
    }

    pub(crate) fn cells(&self, of: u16, now: Time) -> Vec<Option<Cell>> {
        let told = self.crowd_of(of).map(|crowd| crowd.cells(of, now).collect());
        let heard = || self.member.as_ref().map(|member| member.cells(of, now).collect());
        told.or_else(heard).unwrap_or_default()
    }
}
