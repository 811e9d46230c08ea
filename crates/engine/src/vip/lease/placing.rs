//! Addresses that have a place beside others: each seat learns what it costs where before its turn, and gives the address to
//! another node when its turn is the one that makes all of it better.

use arrayvec::ArrayVec;
use base::Time;

use super::calm::Calm;
use super::spread::{Cost, Map, Reason, Rule, Wish, bit};
use super::together::each;
use super::{Action, Cause, Config, MAX_SEATS, VipLease};
use crate::Buffer;
use crate::packet::MAX_NETWORKS;

/// What all seats know of each other.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// By seat.
    rules: Vec<Rule>,
    map: Map,
    /// By seat: who should take it, of one that nobody has.
    expected: ArrayVec<Option<u16>, MAX_SEATS>,
    calm: Calm,
    wish: Option<Wish>,
    /// The map has changed since the seats learned what they cost.
    stale: bool,
}

impl Places {
    /// None: no seat has a rule.
    pub(super) fn new(config: &Config, now: Time) -> Option<Self> {
        let mut rules: Vec<Rule> =
            config.seats.iter().take(MAX_SEATS).map(|seat| seat.rule.clone()).collect();
        // Who should be apart from one should be so for both.
        for one in 0..rules.len() {
            for other in 0..rules.len() {
                if rules[one].is_apart(other) {
                    rules[other].part_from(one);
                }
                if rules[one].is_never_with(other) {
                    rules[other].bar(one);
                }
            }
        }
        let calm = Calm::new(config.calm, usize::from(config.nodes), now);
        let has_rule = rules.iter().any(|rule| !rule.is_none());
        let (map, expected) = (Map::default(), ArrayVec::new());
        has_rule.then_some(Self { rules, map, expected, calm, wish: None, stale: true })
    }

    /// Whether a rule is about that seat.
    pub(super) fn has_rule(&self, seat: usize) -> bool {
        self.rules.get(seat).is_some_and(|rule| !rule.is_none())
    }

    pub(super) const fn disturb(&mut self, now: Time) {
        self.calm.disturb(now);
    }

    /// Seats that nobody has, and who should take them.
    fn awaited(&self) -> impl Iterator<Item = (usize, u16)> {
        let expected = self.expected.iter().enumerate().zip(&self.map.placed);
        let awaited = expected.filter(|(_, placed)| placed.by.is_none());
        awaited.filter_map(|((seat, node), _)| Some((seat, (*node)?)))
    }
}

impl VipLease {
    /// With all that came until now.
    pub(super) fn look_at_places(&mut self) {
        let Some(places) = &mut self.places else { return };
        let (node, now) = (&self.node, self.node.now());
        let mut wholes = [None; MAX_NETWORKS];
        let anywhere = node.whole(None);
        let map = &mut places.map;
        map.placed.clear();
        for seat in &self.seats {
            let mut whole_on = |network: u8| {
                let known = wholes.get_mut(usize::from(network))?;
                Some(*known.get_or_insert_with(|| node.whole(Some(network))))
            };
            let whole = each(seat.networks()).filter_map(&mut whole_on).reduce(|all, on| all & on);
            map.placed.push(seat.placed(node, whole.unwrap_or(anywhere)));
        }
        let leads = (0..32).filter(|other| node.is_coordinator(*other));
        map.leads = leads.fold(0, |all, other| all | bit(other));
        let is_news = places.calm.look(now, map);
        places.stale = is_news || self.unfinished;
        if is_news {
            let orders = |seat: usize| self.seats[seat].order();
            places.wish = map.wish(&places.rules, orders);
            map.expect(&places.rules, orders, &mut places.expected);
        }
    }

    /// Before the turn of a seat: what it costs where, and whether it goes there. Says whether others have to hear of that.
    pub(super) fn place(&mut self, vip: usize, out: &mut Buffer<Action>) -> bool {
        let Some(places) = &mut self.places else { return false };
        let rule = &places.rules[vip];
        if rule.is_none() {
            return false;
        }
        let mut others = self.seats.iter().enumerate();
        let is_barred = others.any(|(other, seat)| rule.is_never_with(other) && seat.claims());
        self.seats[vip].bar(is_barred);
        if places.stale {
            let holds = self.seats[vip].holds();
            let (before, rest) = self.seats.split_at_mut(vip);
            rest[0].learn_costs(&self.node, places.map.placed[vip].fit, |costs: &mut [Cost]| {
                places.map.costs(&places.rules, vip, costs);
                for (other, node) in places.awaited().take_while(|(other, _)| *other < vip) {
                    if let Some(cost) = costs.get_mut(usize::from(node)) {
                        cost.add(&places.rules, vip, other);
                    }
                }
                if !holds {
                    return;
                }
                // Addresses of one node that go with it should not all go to the same one.
                for (other, seat) in before.iter().enumerate() {
                    let heir = seat.goes_to(&self.node).map(usize::from);
                    if let Some(cost) = heir.and_then(|heir| costs.get_mut(heir)) {
                        cost.add(&places.rules, vip, other);
                    }
                }
            });
        }
        let seat = &mut self.seats[vip];
        if !seat.holds() || seat.stays() {
            return false;
        }
        if rule.follows
            && !self.node.is_coordinator(self.node.me())
            && let Some(to) = seat.first_fit(&self.node, |other| self.node.is_coordinator(other))
        {
            return seat.hand_over(vip, to, Cause::Follows, &self.node, out);
        }
        let now = self.node.now();
        let wish =
            places.wish.filter(|wish| wish.seat == vip && now >= places.calm.gives_at(wish.to));
        let Some(Wish { to, why, .. }) = wish else { return false };
        let cause = match why {
            Reason::Room => Cause::Room,
            Reason::Apart => Cause::Apart,
            Reason::Spread => Cause::Spread,
        };
        let gives = seat.hand_over(vip, to, cause, &self.node, out);
        if gives {
            places.calm.gave(vip, to);
            places.wish = None;
        }
        gives
    }

    /// After the turn of a seat, which may have asked for the address, or lost it.
    pub(super) fn placed(&mut self, vip: usize) {
        let Some(places) = &mut self.places else { return };
        let by = self.seats[vip].claims().then(|| self.node.me());
        let placed = &mut places.map.placed[vip];
        let was = placed.by == Some(self.node.me());
        if was != by.is_some() {
            (placed.by, placed.held) = (by, false);
            places.stale = true;
        }
    }

    /// When this node gives an address away for its place, if nothing changes.
    #[must_use]
    pub fn moves_at(&self) -> Time {
        let Some(places) = &self.places else { return Time::NEVER };
        let own = places.wish.filter(|wish| self.seats[wish.seat].holds());
        let at = own.map(|wish| places.calm.gives_at(wish.to));
        at.filter(|at| *at > self.node.now()).unwrap_or(Time::NEVER)
    }
}
