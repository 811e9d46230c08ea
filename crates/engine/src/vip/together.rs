//! Virtual IPs that are held together or not at all (`vrrp_sync_group`), as keepalived has it: one that may not be held keeps
//! all from it, all are taken in one step when nobody holds any of them, and one that is lost is followed by the others.
//!
//! Between our own nodes all go to the node that the first one names, if that could hold them.
//!
//! ```text
//!   step of a member -> stances of all -> next() -> Input::Together to one of them -> again, until they agree
//! ```

use base::Time;

use super::{Action, Cause, Input, MOVE_PAUSE, Planned, State, Vip};
use crate::Buffer;
use crate::keep::kept;

/// What a member is told about the others of its group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Together {
    /// Whether each of the others may be held here; none: not known of one of them. Who lets go for that names the node
    /// that another one named.
    Others { fit: Option<bool>, named: Option<u16> },
    /// Nobody holds any of them: hold it now.
    Take,
    /// Another one was lost: let go, and name that node.
    LetGo { named: Option<u16> },
    /// That node is stronger for each of them.
    Move { to: u16 },
}

/// Whether neighbours are to be told once more where the others of a group are, too: another router held this one as well, so
/// it may have told them of all.
#[must_use]
pub fn tells_of_all(input: &Input<'_>, ordered: &Buffer<Action>) -> bool {
    let orders = |action: &Action| ordered.iter().any(|it| it == action);
    matches!(input, Input::Advert { .. }) && orders(&Action::Announce) && !orders(&Action::Claim)
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stance {
    /// It ended, and is of no group any more: with its node, or since it is not in the new file.
    pub ended: bool,
    /// Whether it may be held here, but for the others; none: not known yet.
    pub fit: Option<bool>,
    /// What it was told of the others.
    pub others: Option<bool>,
    pub holds: bool,
    /// Nobody holds it, as far as it hears, and its wait is over; or it was named.
    pub wants: bool,
    /// It does not know all of its facts yet, or has not waited for long enough to know whether somebody holds it and heard nobody
    /// so far: as one that a new file added to a group that is held.
    pub waits: bool,
    /// Whom it named when it let go.
    pub named: Option<u16>,
    /// A stronger node of ours that could take it.
    pub stronger: Option<u16>,
}

/// Why a member would hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    pub(super) cause: Cause,
    /// Who named this node.
    pub(super) heir_of: Option<u16>,
}

kept!(Wanted { cause, heir_of });

/// What one of the members, by its position, is to be told next; none: they agree.
#[must_use]
pub fn next(all: &[Stance]) -> Option<(usize, Together)> {
    let living = || all.iter().enumerate().filter(|(_, member)| !member.ended);
    let named = living().filter(|(_, member)| !member.holds).find_map(|(_, member)| member.named);
    let found = living().find_map(|(at, member)| {
        let others = living().filter(|(other, _)| *other != at);
        let fit = others.map(|(_, other)| other.fit).reduce(both).unwrap_or(Some(true));
        (member.others != fit).then_some((at, Together::Others { fit, named }))
    });
    if found.is_some() {
        return found;
    }
    let first = |which: fn(&Stance) -> bool| living().find(|(_, member)| which(member));
    if living().all(|(_, member)| member.holds || member.wants) {
        if let Some((at, _)) = first(|member| !member.holds) {
            return Some((at, Together::Take));
        }
        let (at, to) = living().next().and_then(|(at, member)| Some((at, member.stronger?)))?;
        let is_for_all = living().all(|(_, member)| member.stronger == Some(to));
        return is_for_all.then_some((at, Together::Move { to }));
    }
    first(|member| !member.holds && !member.wants && !member.waits)?;
    first(|member| member.holds).map(|(at, _)| (at, Together::LetGo { named }))
}

/// Of two facts the worse one.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (None, _) | (_, None) => None,
        (Some(true), Some(true)) => Some(true),
    }
}

impl Vip {
    /// Whether it has a group.
    pub(super) fn is_bound(&self) -> bool {
        self.config.vip.sync_group.is_some()
    }

    /// How it stands with it, for [`next`].
    #[must_use]
    pub fn stance(&self, now: Time) -> Stance {
        let ended = matches!(self.state, State::Stopped);
        let fit = if ended || self.facts.own_objection(now).is_some() {
            Some(false)
        } else if self.facts.own_fault(now).is_some() {
            None
        } else {
            Some(true)
        };
        Stance {
            ended,
            fit,
            others: self.facts.others(),
            holds: self.holding(),
            wants: self.wanted.is_some(),
            waits: match self.state {
                State::Backup { .. } => self.searches(),
                State::Fault => self.facts.objection(now).is_none(),
                State::Master { .. } | State::Stopped => false,
            },
            named: self.handed_to,
            stronger: self.stronger(now),
        }
    }

    /// A holder whose move nothing forbids, to a node of which that was last heard.
    fn stronger(&self, now: Time) -> Option<u16> {
        let State::Master { since, .. } = self.state else { return None };
        let may = now.since(since) >= MOVE_PAUSE
            && !self.peers.hold(now)
            && self.planned == Planned::Possible;
        self.stronger.filter(|node| may && self.peers.could_hold(now, *node).is_some())
    }

    pub(super) fn together(&mut self, now: Time, told: Together, out: &mut Buffer<Action>) {
        match (told, self.state) {
            (Together::Others { fit, named }, _) => {
                if fit == Some(false) && self.holding() {
                    self.go_with(now, named, Cause::Together, out);
                }
                self.facts.learn_others(fit);
            }
            (Together::Take, State::Backup { .. }) => {
                if let Some(Wanted { cause, heir_of }) = self.wanted.take() {
                    self.term = self.term.saturating_add(u64::from(heir_of.is_none()));
                    self.hold(now, cause, heir_of, out);
                }
            }
            (Together::LetGo { named }, State::Master { .. }) => {
                self.go_with(now, named, Cause::Together, out);
            }
            (Together::Move { to }, State::Master { .. }) => {
                self.planned = Planned::Asked;
                self.go_with(now, Some(to), Cause::Stronger, out);
            }
            (Together::Take | Together::LetGo { .. } | Together::Move { .. }, _) => {}
        }
    }

    /// To the node that another member named, so that one node has all; else whoever takes all of them has it.
    fn go_with(&mut self, now: Time, named: Option<u16>, cause: Cause, out: &mut Buffer<Action>) {
        let to = named.and_then(|node| self.peers.could_hold(now, node));
        self.yield_to(to, out);
        self.wait_for_named(now);
        self.cause = Some(cause);
    }

    /// Its wait is over, or it was named: whether it holds is for all of its group.
    pub(super) fn want(&mut self, now: Time, cause: Cause, heir_of: Option<u16>) {
        if heir_of.is_some() {
            self.wait_for_named(now);
        } else {
            self.wait_as_backup(now);
        }
        self.wanted = Some(Wanted { cause, heir_of });
    }
}
