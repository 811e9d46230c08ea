//! In which order servers take turns.

use super::{MAX_SERVERS, ServerSet};

/// Turns of one round at most; with greater total weight all weights are halved until it fits. Keeps a
/// change of state under a millisecond, and is exact for every weight that a hand writes.
const MAX_TURNS: i32 = 4096;

/// One round: each server as often as its weight says.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule(Vec<u8>);

/// A server's place in a round that is being made.
#[derive(Clone, Copy, Default)]
struct Place {
    weight: i32,
    /// None: it has not had a turn.
    next: Option<i32>,
    /// What dividing the round by the weight has left over so far.
    rest: i32,
    queued: i32,
    taken: i32,
}

impl Schedule {
    /// Whose turn number `turn` is; none if nobody takes part.
    pub(super) fn at(&self, turn: u64) -> Option<usize> {
        let length = u64::try_from(self.0.len()).ok().filter(|length| *length > 0)?;
        let position = usize::try_from(turn % length).ok()?;
        self.0.get(position).map(|server| usize::from(*server))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// One round as HAProxy's `roundrobin` goes (`lb_fwrr.c`): whoever is due, the heavier first; if
    /// nobody is, the heaviest that has not had a turn. Equal weights give the order of the file.
    pub(super) fn rotate(&mut self, members: &ServerSet, weights: &[u16]) {
        self.0.clear();
        let mut places = [Place::default(); MAX_SERVERS];
        let total = weigh(members, weights, &mut places);
        for turn in 0..total {
            let left = |server: &usize| places[*server].taken < places[*server].weight;
            let due = |server: &usize| places[*server].next.is_some_and(|next| next <= turn);
            let key = |server: &usize| {
                let Place { weight, next, rest, queued, .. } = places[*server];
                (next.unwrap_or(0), rest - weight, queued)
            };
            let fresh = |server: &usize| places[*server].next.is_none();
            let members = || members.iter().filter(left);
            let chosen = members()
                .filter(due)
                .min_by_key(key)
                .or_else(|| members().filter(fresh).min_by_key(|s| -places[*s].weight))
                .or_else(|| members().min_by_key(key));
            let Some(server) = chosen else { return };
            let place = &mut places[server];
            place.rest += total % place.weight;
            let carry = place.rest / place.weight;
            place.rest %= place.weight;
            place.next = Some(place.next.unwrap_or(turn) + total / place.weight + carry);
            place.queued = turn;
            place.taken += 1;
            self.0.extend(u8::try_from(server));
        }
    }

    /// The table of HAProxy's map-based hashes (`lb_map.c`, `recalc_server_map`), cell by cell: a
    /// client must meet the server that HAProxy would give it.
    pub(super) fn map(&mut self, members: &ServerSet, weights: &[u16]) {
        self.0.clear();
        let mut places = [Place::default(); MAX_SERVERS];
        let total = weigh(members, weights, &mut places);
        for _ in 0..total {
            let mut best: Option<(usize, i32)> = None;
            for server in members.iter() {
                let place = &mut places[server];
                place.rest += place.weight;
                let rank = (place.rest + total) / total;
                if best.is_none_or(|(_, highest)| rank > highest) {
                    best = Some((server, rank));
                }
            }
            let Some((server, _)) = best else { return };
            places[server].rest -= total;
            self.0.extend(u8::try_from(server));
        }
    }
}

/// Sets the weights and returns their sum, [`MAX_TURNS`] at most.
fn weigh(members: &ServerSet, weights: &[u16], places: &mut [Place; MAX_SERVERS]) -> i32 {
    let mut shift = 0;
    loop {
        let mut total = 0;
        for server in members.iter() {
            let weight =
                weights.get(server).map_or(1, |weight| i32::from((weight >> shift).max(1)));
            places[server].weight = weight;
            total += weight;
        }
        // 256 servers of weight 1 always fit.
        if total <= MAX_TURNS {
            return total;
        }
        shift += 1;
    }
}
