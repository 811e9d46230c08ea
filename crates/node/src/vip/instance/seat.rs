//! What an instance with a vip lease has more than others.

use engine::vip::lease::{self, Stand, View};
use engine::vip::{Cause, Mac};

use super::super::lease::Place;
use super::Instance;

/// How it stands with the vip lease of an instance.
pub(in super::super) struct Seat {
    pub(in super::super) place: Place,
    pub(in super::super) view: View,
    /// Whom this node would name.
    pub(in super::super) heir: Option<u16>,
    /// What is known to keep this node from holding.
    pub(in super::super) objection: Option<Cause>,
    /// What of that which is tracked does, one bit each.
    pub(in super::super) failed: u64,
    pub(in super::super) votes: bool,
    /// Who has the address, while that keeps this node from standing for it.
    pub(in super::super) in_use_by: Option<Mac>,
    /// Why the kernel does not enforce it.
    pub(in super::super) not_enforced: Option<String>,
    /// Addresses that the kernel did not let go.
    pub(in super::super) kept: bool,
    /// Of whom it was told that proof is missing.
    awaited: Option<u16>,
    /// It was told that it is held without a majority.
    alone: bool,
}

impl Seat {
    pub(super) const fn new(place: Place) -> Self {
        let view = View {
            stand: Stand::Unfit,
            term: 0,
            holder: None,
            successor: None,
            cause: None,
            gained: None,
            awaits: None,
            alone: false,
            stays: false,
        };
        Self {
            place,
            view,
            heir: None,
            objection: None,
            failed: 0,
            votes: false,
            in_use_by: None,
            not_enforced: None,
            kept: false,
            awaited: None,
            alone: false,
        }
    }

    /// A fact that keeps this node from holding.
    pub(super) const fn fault(&self) -> Option<Cause> {
        match (self.view.stand, self.view.cause) {
            (Stand::Unfit, Some(lease::Cause::Fact(cause))) => Some(cause),
            _ => None,
        }
    }
}

impl Instance {
    /// That it is held without a majority, or (false) by one again, if the event log does not know it yet.
    pub(in super::super) fn alone_news(&mut self) -> Option<bool> {
        let seat = self.seat.as_mut()?;
        let alone = seat.view.alone;
        let news = std::mem::replace(&mut seat.alone, alone) != alone;
        // That it let go is told of the address.
        (news && seat.view.stand == Stand::Holder).then_some(alone)
    }

    /// Of whom proof is missing, if the event log does not know it yet, and this node would hold the address.
    pub(in super::super) fn awaits_news(&mut self) -> Option<u16> {
        let votes_only = self.vip.votes_only;
        let seat = self.seat.as_mut()?;
        let before = std::mem::replace(&mut seat.awaited, seat.view.awaits);
        let fit = seat.view.stand == Stand::Fit && !votes_only;
        seat.awaited.filter(|awaited| fit && before != Some(*awaited))
    }
}
