//! One virtual IP at this node: what it votes, and whether it stands for it or holds it.

use std::time::Duration;

use base::Time;

use super::beat::{Entry, Stand};
use super::claim::Claim;
use super::node::Node;
use super::spread::Cost;
use super::voter::Voter;
use super::whereabouts::Whereabouts;
use super::{Action, Cause, Gained, SeatConfig, View};
use crate::Buffer;
use crate::vip::burst::Burst;
use crate::vip::track::Facts;
use crate::vip::{Group, RECLAIM_PAUSE};
use said::Said;
use search::Search;

mod alone;
mod bequest;
mod heir;
mod hold;
mod place;
mod said;
mod search;
mod told;

/// Beats without a majority after which a candidate gives its voters back.
const PATIENCE: u32 = 2;
/// Orders of one turn of a seat at most: close, release, report.
pub(super) const ORDERS: usize = 3;

#[derive(Clone, Debug)]
enum Role {
    Idle,
    Candidate { claim: Claim, gives_up_at: Time, asked: Asked },
    Holder { claim: Claim, until: Time, burst: Burst, gained: Option<Gained>, by: By },
}

/// By what a holder holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum By {
    Votes,
    /// Nothing but that it hears nobody; `heard`: since when it hears somebody.
    Nobody {
        heard: Option<Time>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Time,
    from: Option<u16>,
    unheard: Duration,
    /// At whom an operator's word had kept it.
    lapsed: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct Seat {
    group: Group,
    /// Who may hold, the preferred first.
    order: Vec<u16>,
    /// Where its clients are, a bit for each network.
    networks: u8,
    facts: Facts,
    search: Search,
    /// This node has one that is never on a node with it.
    has_barring: bool,
    /// By node: what it would be there beside other addresses; empty: it has no rule.
    costs: Vec<Cost>,
    /// Since when that is so.
    costs_at: Time,
    /// Those that could hold it, when that was reckoned.
    fit: u32,
    voter: Voter,
    whereabouts: Whereabouts,
    last_man: Option<Duration>,
    /// By node.
    said: Vec<Said>,
    role: Role,
    /// The greatest that this node knows, and whose it is: grows whenever a voter promises another node.
    term: u64,
    term_of: Option<u16>,
    /// Whom the last holder named.
    heir: Option<u16>,
    /// An operator named it.
    heir_stays: bool,
    /// An operator moved it here, or from here to whom this node named.
    stays: bool,
    /// Where an operator's word kept it when somebody was last known to hold it.
    stayed: Option<u16>,
    /// Whom this node named when it gave the address up, and until when it says so.
    gave: Option<(u16, Time)>,
    /// Does not stand earlier: it has just lost, given, or asked in vain.
    not_before: Time,
    /// Nothing was heard yet of anybody who held it: until then it listens.
    cold_until: Time,
    listens: Duration,
    /// Until then a router that does not vote holds it, as far as is known.
    foreign_until: Time,
    cause: Option<Cause>,
    /// Somebody else held it beside this node until now.
    announces: bool,
    reported: Option<View>,
}

impl Seat {
    pub(super) fn new(config: &SeatConfig, nodes: usize, node: &Node, has_rule: bool) -> Self {
        Self {
            group: config.group(),
            order: config.order.clone(),
            networks: config.networks,
            facts: config.facts(),
            search: Search::new(),
            has_barring: false,
            costs: vec![Cost::default(); if has_rule { nodes } else { 0 }],
            costs_at: Time::ZERO,
            fit: 0,
            voter: Voter::new(node.silent_until()),
            whereabouts: Whereabouts::new(config.needs_proof, &config.order, node.me()),
            last_man: config.last_man,
            said: vec![Said::default(); nodes],
            role: Role::Idle,
            term: 0,
            term_of: None,
            heir: None,
            heir_stays: false,
            stays: false,
            stayed: None,
            gave: None,
            not_before: Time::ZERO,
            cold_until: node.now() + config.listens,
            listens: config.listens,
            foreign_until: Time::ZERO,
            cause: None,
            announces: false,
            reported: None,
        }
    }

    /// As if whoever held it last had named nobody.
    #[cfg(test)]
    pub(super) const fn forget_heir(&mut self) {
        self.heir = None;
    }

    pub(super) const fn group(&self) -> Group {
        self.group
    }

    pub(super) const fn facts(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Zero: closed.
    pub(super) const fn until(&self) -> Time {
        match self.role {
            Role::Holder { until, .. } => until,
            Role::Idle | Role::Candidate { .. } => Time::ZERO,
        }
    }

    pub(super) const fn claims(&self) -> bool {
        matches!(self.role, Role::Candidate { .. } | Role::Holder { .. })
    }

    /// What the newest beat of `from` says about this address; says whether that wants an answer at once.
    pub(super) fn hear(&mut self, node: &Node, from: u16, entry: &Entry) -> bool {
        let peer = node.peer(from);
        let holds = entry.stand == Stand::Holder;
        let said = Said { stand: entry.stand, stays: entry.stays && holds, barred: entry.barred };
        let before = std::mem::replace(&mut self.said[usize::from(from)], said);
        if let Role::Holder { burst, .. } = &mut self.role
            && before.stand == Stand::Holder
            && entry.stand != Stand::Holder
        {
            // Clients that heard that one last are told where the address is.
            burst.restart(node.now());
            self.announces = true;
        }
        if entry.stand.claims() {
            self.hear_claim(node, from, entry.stand);
        } else {
            self.hear_nothing(node, from);
        }
        if entry.term > 0 {
            self.cold_until = Time::ZERO;
            self.ends_search();
        }
        if holds {
            self.stayed = entry.stays.then_some(from);
        }
        if let Some(successor) = entry.successor {
            (self.heir, self.heir_stays) = (Some(successor), entry.stays && !holds);
        }
        if holds && entry.term > self.term && !self.claims() {
            (self.term, self.term_of) = (entry.term, Some(from));
        }
        if entry.grants && peer.acks_this_life {
            if let Role::Candidate { claim, .. } = &mut self.role {
                claim.granted(node.elector(from), peer.acked_serial, node.set());
                self.term = self.term.max(entry.term);
            } else if let Role::Holder { claim, .. } = &mut self.role {
                claim.granted(node.elector(from), peer.acked_serial, node.set());
            }
        }
        entry.stand.claims() && self.grant(node, from, entry.term)
    }

    /// The newest beat of `from` says nothing about this address: it does not know it, so it claims nothing.
    pub(super) fn hear_no_word(&mut self, node: &Node, from: u16) {
        self.said[usize::from(from)] = Said::default();
        self.hear_nothing(node, from);
    }

    /// It claims nothing. What a former process of it left open ends with what was promised to that.
    fn hear_nothing(&mut self, node: &Node, from: u16) {
        let (now, peer) = (node.now(), node.peer(from));
        self.voter.release(now, from, peer.word, peer.closed);
        let is_bound = self.voter.promise(now).is_some_and(|kept| kept.to == from);
        if peer.fresh && !is_bound {
            self.whereabouts.lets_go(from);
        }
    }

    fn hear_claim(&mut self, node: &Node, from: u16, stand: Stand) {
        let peer = node.peer(from);
        // Who holds without a majority says nothing of who held before.
        if stand == Stand::Holder && peer.fresh && !peer.alone {
            self.whereabouts.holds(from, |other| node.is_dead(other));
        }
    }

    /// Who may hold it, `but` this one, and is not proven dead.
    fn suspects<'a>(&'a self, node: &'a Node, but: u16) -> impl Iterator<Item = u16> + 'a {
        self.whereabouts.possible().filter(move |other| *other != but && !node.is_dead(*other))
    }

    /// Promises the address to a claimant if nobody else has a promise; says whether it is a new one.
    fn grant(&mut self, node: &Node, to: u16, term: u64) -> bool {
        let (now, peer) = (node.now(), node.peer(to));
        if self.claims()
            || node.is_silent()
            || node.is_dead(to)
            || !node.set().fits(now, peer.epoch)
            || self.suspects(node, to).next().is_some()
        {
            return false;
        }
        let known = self.voter.promise(now).is_some_and(|kept| kept.to == to);
        if !self.voter.ask(now, to, peer.word, peer.span) {
            return false;
        }
        self.whereabouts.grants(to);
        let least = if self.term_of == Some(to) { self.term } else { self.term.saturating_add(1) };
        (self.term, self.term_of) = (term.max(least), Some(to));
        !known
    }

    /// Decides what is due, with all that is known; says whether others have to hear of it at once.
    pub(super) fn turn(&mut self, vip: usize, node: &Node, out: &mut Buffer<Action>) -> bool {
        let now = node.now();
        self.facts.age(now);
        let changed = match &self.role {
            Role::Holder { .. } => self.hold(vip, node, out),
            Role::Candidate { claim, gives_up_at, asked } => {
                let until = node.until(claim).filter(|until| *until > now + node.beat());
                let (claim, gives_up_at, asked) = (claim.clone(), *gives_up_at, *asked);
                if !self.is_fit(node) {
                    self.withdraw(now, Duration::ZERO);
                    true
                } else if let Some(until) = until {
                    self.whereabouts.holds(node.me(), |other| node.is_dead(other));
                    self.take(now, asked, claim, until, vip, out);
                    true
                } else if now >= gives_up_at {
                    self.withdraw(now, node.beat() / 2 * node.place());
                    true
                } else {
                    false
                }
            }
            Role::Idle => {
                self.ask(vip, node, out);
                let changed = self.grant_waiting(node) | self.stand(vip, node, out);
                changed || self.take_alone(vip, node, out)
            }
        };
        let view = self.view(node);
        if self.reported != Some(view) {
            self.reported = Some(view);
            out.push(Action::Report { vip });
        }
        changed
    }

    /// A claim that came while another node had the promise may have it now: it is as if it came late. Only
    /// of who was just heard, so that nobody is bound to the dead.
    fn grant_waiting(&mut self, node: &Node) -> bool {
        let free = |seat: &Self| seat.voter.promise(node.now()).is_none();
        let mut changed = false;
        for rank in 0..self.order.len() {
            let peer = self.order[rank];
            let claims = self.said.get(usize::from(peer)).is_some_and(|said| said.stand.claims());
            if claims && free(self) && peer != node.me() && node.hears_now(peer) {
                changed |= self.grant(node, peer, 0);
            }
        }
        changed
    }

    fn stand(&mut self, vip: usize, node: &Node, out: &mut Buffer<Action>) -> bool {
        let now = node.now();
        let may = now >= self.stands_at(node)
            && self.is_fit(node)
            && node.has_majority()
            && self.suspects(node, node.me()).next().is_none();
        if !may || self.finds_it_taken(vip, now, out) {
            return false;
        }
        if !self.voter.keep(now, node.me(), node.life()) {
            return false;
        }
        let claim = Claim::new(node.next_serial());
        // Different ones, also where the files prefer different nodes: two that ask in vain do not again.
        let patience = node.beat() * PATIENCE + node.beat() / 2 * node.place();
        let from = self.term_of.filter(|from| *from != node.me());
        let unheard = from.map_or(Duration::ZERO, |from| now.since(node.peer(from).heard));
        let is_named = self.heir == Some(node.me());
        self.cause = Some(if is_named { Cause::Named } else { Cause::Expired });
        let lapsed = self.asks_for_it(node);
        let asked = Asked { at: now, from, unheard, lapsed };
        self.role = Role::Candidate { claim, gives_up_at: now + patience, asked };
        true
    }

    /// What was wished of it and whom it named is over, but for an operator's word that names this node; gives where another one kept it until now.
    fn asks_for_it(&mut self, node: &Node) -> Option<u16> {
        self.ends_search();
        self.stays = self.heir == Some(node.me()) && self.heir_stays;
        (self.term, self.term_of) = (self.term.saturating_add(1), Some(node.me()));
        (self.heir, self.gave) = (None, None);
        self.stayed.filter(|_| !self.stays)
    }

    fn take(
        &mut self,
        now: Time,
        asked: Asked,
        claim: Claim,
        until: Time,
        vip: usize,
        out: &mut Buffer<Action>,
    ) {
        let Asked { at, from, unheard, lapsed } = asked;
        let gained = Some(Gained { from, unheard, granted: now.since(at), lapsed });
        self.stayed = None;
        let mut burst = Burst::silent(now);
        burst.restart(now);
        self.role = Role::Holder { claim, until, burst, gained, by: By::Votes };
        out.push(Action::Claim { vip });
        out.push(Action::Announce { vip });
    }

    /// Lets go and names who takes it next. The order pins that nobody hears of it before it is so.
    fn give(
        &mut self,
        now: Time,
        heir: Option<u16>,
        cause: Cause,
        node: &Node,
        vip: usize,
        out: &mut Buffer<Action>,
    ) {
        self.let_go(cause, node, vip, out);
        (self.heir, self.heir_stays) = (heir, false);
        self.gave = heir.map(|heir| (heir, now + node.span()));
        self.not_before = now + node.span() * 2;
    }

    fn let_go(&mut self, cause: Cause, node: &Node, vip: usize, out: &mut Buffer<Action>) {
        self.stayed = self.stays.then_some(node.me());
        (self.role, self.stays) = (Role::Idle, false);
        self.voter = Voter::new(node.now());
        self.cause = Some(cause);
        out.push(Action::Close { vip });
        out.push(Action::Release { vip });
    }

    fn withdraw(&mut self, now: Time, pause: Duration) {
        (self.role, self.stays) = (Role::Idle, false);
        self.voter = Voter::new(now);
        self.cause = Some(Cause::Majority);
        self.not_before = now + pause;
    }

    /// An operator wants `to` to hold it.
    pub(super) fn move_to(
        &mut self,
        vip: usize,
        to: u16,
        node: &Node,
        out: &mut Buffer<Action>,
    ) -> bool {
        let gives = self.hand_over(vip, to, Cause::Fact(crate::vip::Cause::Moved), node, out);
        self.stays |= gives && self.has_rule();
        gives
    }

    /// The kernel did not take the addresses.
    pub(super) fn refused(&mut self, now: Time) {
        if matches!(self.role, Role::Holder { .. }) {
            self.facts.refused_until(now + RECLAIM_PAUSE);
        }
    }

    /// Somebody removed an address that this node holds.
    pub(super) fn address_lost(&mut self, vip: usize, now: Time, out: &mut Buffer<Action>) {
        if let Role::Holder { burst, .. } = &mut self.role {
            out.push(Action::Claim { vip });
            if burst.restart(now) {
                out.push(Action::Announce { vip });
            }
        }
    }

    /// A router that does not vote holds it until then. Who holds it already goes on: one packet of anybody on the link
    /// would take the address from all.
    pub(super) const fn foreign(&mut self, until: Time) {
        self.foreign_until = until;
    }

    /// This node did not run when it wanted to.
    pub(super) fn stalled(&mut self, until: Time) {
        self.not_before = self.not_before.max(until);
    }

    /// Another list of voters is in use.
    pub(super) fn voters_changed(&mut self, node: &Node) {
        match &mut self.role {
            Role::Candidate { claim, .. } | Role::Holder { claim, .. } => {
                claim.keep_voters(node.set());
            }
            Role::Idle => {}
        }
    }

    /// Another machine has the place of that node from now on.
    pub(super) fn is_followed(&mut self, from: u16) {
        self.voter.is_followed(from);
    }

    /// Everything that another node said is of a former life.
    pub(super) fn forget(&mut self, from: u16) {
        self.said[usize::from(from)] = Said::default();
    }

    pub(super) fn objection(&self, node: &Node) -> Option<crate::vip::Cause> {
        self.facts.objection(node.now()).filter(|_| self.may_hold(node))
    }

    pub(super) fn failed(&self) -> u64 {
        self.facts.failed()
    }

    /// The next moment that changes something by itself; may be past.
    pub(super) fn deadline(&self, node: &Node) -> Time {
        let own = match &self.role {
            Role::Holder { until, burst, by, .. } => {
                let own = burst.next().min(*until).min(self.compares_at(node));
                own.min(self.gives_back_at(*by))
            }
            Role::Candidate { gives_up_at, .. } => *gives_up_at,
            Role::Idle => {
                let stands = self.stands_at(node).min(self.promise_ends(node.now()));
                let last = self.last_man.map_or(Time::NEVER, |after| node.last_at(after));
                let last = last.min(self.search.asks_at());
                stands.min(self.foreign_ends(node.now())).min(last)
            }
        };
        own.min(self.facts.changes_at())
    }

    fn foreign_ends(&self, now: Time) -> Time {
        if self.foreign_until > now { self.foreign_until } else { Time::NEVER }
    }

    fn promise_ends(&self, now: Time) -> Time {
        self.voter.promise(now).map_or(Time::NEVER, |kept| kept.ends)
    }
}
