//! What a seat is for: one virtual IP, or several that are held together (`sync_group`). Those have one vip lease: one claim, one promise, one moment
//! until which the kernel lets all of them through. So no two nodes can have a part of them each, whatever is lost.

use std::time::Duration;

use config::vip::Vip;

use super::Rule;
use crate::vip::Group;
use crate::vip::track::Facts;

/// One virtual IP, or those of a sync group.
#[derive(Clone, Debug)]
pub struct SeatConfig {
    pub vip: Vip,
    /// Those that are held together with it.
    pub beside: Vec<Vip>,
    /// Nodes that may hold it, the preferred first.
    pub order: Vec<u16>,
    /// Which of the networks its clients are on: a bit for each, the lowest is the first; 0: it is on the device of none.
    pub networks: u8,
    /// A process that knows of no holder before it listens so long whether a foreign router holds it.
    pub listens: Duration,
    /// It leaves a node only when that one is proven dead, or said that it let go.
    pub needs_proof: bool,
    /// After so long without a word of any other node it may be held without a majority; none: never.
    pub last_man: Option<Duration>,
    /// Where it should be beside others.
    pub rule: Rule,
}

impl SeatConfig {
    /// Where the interfaces and the checks of one of its virtual IPs begin among those of all ([`super::Fact`]): of `vip` (0), or of one `beside` it.
    #[must_use]
    pub fn facts_at(&self, member: usize) -> (usize, usize) {
        let extents = self.vips().take(member).map(Facts::extent);
        extents.fold((0, 0), |(links, checks), (more, others)| (links + more, checks + others))
    }

    /// All that it is for.
    fn vips(&self) -> impl Iterator<Item = &Vip> {
        std::iter::once(&self.vip).chain(&self.beside)
    }

    pub(super) fn group(&self) -> Group {
        group(self.vips())
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::new(&self.vip);
        self.beside.iter().for_each(|vip| facts.join(vip));
        // The others of its group are this seat.
        facts.learn_others(Some(true));
        facts
    }
}

/// Whether two virtual IPs with a vip lease have the same one.
#[must_use]
pub fn are_one(vip: &Vip, other: &Vip) -> bool {
    let named = vip.sync_group.is_some() && vip.sync_group == other.sync_group;
    std::ptr::eq(vip, other) || named
}

/// By what other nodes know the seat of these: the first one's number, and all addresses. A node whose file has them apart, or others beside
/// them, speaks of something else: it grants nothing here, and is granted nothing.
pub fn group<'a>(vips: impl Iterator<Item = &'a Vip>) -> Group {
    let groups = vips.map(Group::of);
    let all = groups.reduce(|all, other| Group { key: all.key.wrapping_add(other.key), ..all });
    all.unwrap_or(Group { router_id: 0, key: 0 })
}

/// Bits of networks, as numbers.
pub(super) fn each(networks: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |network| networks >> network & 1 == 1)
}
