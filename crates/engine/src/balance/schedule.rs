//! In which order servers take turns.

use super::ServerSet;

/// Turns of one round at most; with greater total weight all weights are halved until it fits. Keeps a
/// change of state under a millisecond, and is exact for every weight that a hand writes.
const MAX_TURNS: usize = 4096;

/// One round: each server as often as its weight says.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule(Vec<u8>);

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

    /// Spreads each server's turns over the round: with weights 3 and 1 the round is `a a b a`. Equal
    /// weights give the order of the file.
    pub(super) fn smooth(&mut self, members: &ServerSet, weights: &[u16]) {
        self.fill(members, weights, |score, _| i64::from(score));
    }

    /// The table of HAProxy's map-based hashes (`lb_map.c`, `recalc_server_map`), cell by cell: a
    /// client must meet the server that HAProxy would give it.
    pub(super) fn map(&mut self, members: &ServerSet, weights: &[u16]) {
        self.fill(members, weights, |score, total| i64::from((score + total) / total));
    }

    fn fill(&mut self, members: &ServerSet, weights: &[u16], rank: impl Fn(i32, i32) -> i64) {
        self.0.clear();
        let mut shift = 0;
        let weight = |server: usize, shift: u32| {
            weights.get(server).map_or(0, |weight| i32::from((weight >> shift).max(1)))
        };
        let total = loop {
            let total: i32 = members.iter().map(|server| weight(server, shift)).sum();
            if usize::try_from(total).is_ok_and(|total| total <= MAX_TURNS) || shift == 8 {
                break total;
            }
            shift += 1;
        };
        let mut scores = [0_i32; super::MAX_SERVERS];
        for _ in 0..total {
            let mut best: Option<(usize, i64)> = None;
            for server in members.iter() {
                scores[server] += weight(server, shift);
                let rank = rank(scores[server], total);
                if best.is_none_or(|(_, highest)| rank > highest) {
                    best = Some((server, rank));
                }
            }
            let Some((server, _)) = best else { return };
            scores[server] -= total;
            self.0.extend(u8::try_from(server));
        }
    }
}
