//! What a process leaves to another one that goes on in its place, under the same life: to all other nodes it is the same process.
//!
//! ```text
//!   one process    ──> bequeath ──> says and opens nothing any more
//!                          │  one message
//!   the next one             ──> inherit ──> first step: cells, then a beat
//! ```
//! The one before says nothing more and writes into no gate once it wrote this; the next one opens no gate before it read it. So whatever the
//! rules say of one process holds of both together, as if it had stood still in between (`docs/decisions/0018`). However old it is when it is
//! read, it says no more than such a process would know: what it held and promised ends when it would have ended. Only what could not be found
//! out anew is in it: how far it counted, by which lists of voters, what it promised, what it holds, and whom it heard last. Facts are told
//! anew, and what is unknown takes an address from nobody. Who asked for an address in vain asks again.

use std::time::Duration;

use base::Time;

use super::beat::Reach;
use super::voter::Promise;
use super::voters::Set;
use super::{Gained, VipLease};
use crate::vip::Group;

/// See the module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bequest {
    /// Of the last step of its process.
    pub at: Time,
    pub life: u64,
    /// What former lives of this node let through, the kernel lets through no more.
    pub closed: bool,
    /// The list of voters in use, and the one before.
    pub set: Set,
    /// Of its newest beat.
    pub serial: u64,
    /// Until then it votes for nobody.
    pub silent_until: Time,
    /// So late it was once in a thousand times; none: it ran too short a time to know.
    pub usual: Option<Duration>,
    pub reach: Reach,
    pub peers: Vec<Heard>,
    pub seats: Vec<Left>,
}

/// The newest beat of another node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard {
    pub node: u16,
    /// When its machine joined the cluster, as it says.
    pub joined: u64,
    pub life: u64,
    pub serial: u64,
    pub at: Time,
}

/// Of one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Left {
    pub group: Group,
    /// To another node.
    pub promise: Option<Promise>,
    /// When the last promise ended.
    pub freed: Time,
    /// Nodes that were granted it and have not let go since, and those that may have been before; a bit for each.
    pub granted: u32,
    pub before: u32,
    pub term: u64,
    pub term_of: Option<u16>,
    /// Whom the last holder named, and whether an operator did.
    pub heir: Option<u16>,
    pub heir_stays: bool,
    /// An operator moved it to this node.
    pub stays: bool,
    /// Whom this node named when it gave it up, and until when it says so.
    pub gave: Option<(u16, Time)>,
    /// It does not stand earlier.
    pub not_before: Time,
    /// It listens until then, as nobody was heard yet who held it.
    pub cold_until: Time,
    /// Until then a router that does not vote holds it.
    pub foreign_until: Time,
    pub holds: Option<Held>,
}

/// Of a holder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    pub until: Time,
    /// What went before; none: no majority granted it.
    pub gained: Option<Gained>,
    /// It holds without a majority.
    pub alone: bool,
    /// Since when it hears somebody, if it does and holds alone.
    pub heard: Option<Time>,
}

/// Why nothing of it was taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unfit {
    #[error("it is of another life of this node")]
    Life,
    #[error("it went by other voters")]
    Voters,
    #[error("it heard a node that is not known here")]
    Node,
    #[error("it held, or promised, an address that this process does not know, or may not hold")]
    Address,
}

impl VipLease {
    /// What another process needs to go on in the place of this one, which is not to be asked again once that was sent. None: a step is not
    /// finished; ask after the next one.
    #[must_use]
    pub fn bequeath(&self) -> Option<Bequest> {
        let seats = || self.seats.iter().map(|seat| seat.leaves(&self.node)).collect();
        (!self.unfinished).then(|| self.node.bequeath(seats()))
    }

    /// Goes on where the one before stopped; to be called before anything else was said by this one. All or nothing.
    ///
    /// # Errors
    /// When it does not fit. Then this process has to end, as one that died: what the one before held may be open.
    pub fn inherit(&mut self, now: Time, left: &Bequest) -> Result<(), Unfit> {
        self.node.fits(left)?;
        let fits = |left: &Left| {
            let matters = left.holds.is_some() || left.promise.is_some();
            let seat = self.seats.iter().find(|seat| seat.group() == left.group);
            !matters || seat.is_some_and(|seat| seat.could_go_on(&self.node, left))
        };
        if !left.seats.iter().all(fits) {
            return Err(Unfit::Address);
        }
        self.node.wakes(now);
        self.node.goes_on(left);
        for seat in &mut self.seats {
            if let Some(left) = left.seats.iter().find(|left| left.group == seat.group()) {
                seat.goes_on(&self.node, left);
            }
        }
        if now.since(left.at) > self.node.beat() * 2 {
            // Nobody ran meanwhile, and others' beats are unread.
            let until = now + self.node.span();
            self.seats.iter_mut().for_each(|seat| seat.stalled(until));
        }
        (self.beat_at, self.beaten, self.first) = (now, Time::ZERO, 0);
        Ok(())
    }
}
