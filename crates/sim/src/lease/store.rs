//! Lists of voters as a store keeps them, and a proposer that keeps its rules.

use engine::vip::lease::{MAX_VOTERS, Number, Voters};

use super::Mark;
use crate::Chance;

#[derive(Debug)]
pub(super) struct Store {
    /// The newest; its number is their count.
    pub lists: Vec<Vec<u16>>,
}

impl Store {
    pub(super) fn new(hosts: usize) -> Self {
        Self { lists: vec![(0_u16..).take(hosts).collect()] }
    }

    pub(super) fn newest(&self) -> u32 {
        u32::try_from(self.lists.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn list(&self, number: u32) -> Voters {
        let nodes = usize::try_from(number).ok().and_then(|number| self.lists.get(number - 1));
        Voters::new(Some(numbered(number)), nodes.map_or(&[], Vec::as_slice))
            .expect("lists have somebody")
    }

    /// Whether a majority of the newest list is so.
    pub(super) fn is_majority(&self, is_so: impl Fn(u16) -> bool) -> bool {
        let is_more =
            |list: &Vec<u16>| list.iter().filter(|node| is_so(**node)).count() > list.len() / 2;
        self.lists.last().is_some_and(is_more)
    }

    /// The next list: one node more, one less, or without those that are proven dead. Only when a majority of the
    /// present one `is_settled`.
    pub(super) fn propose(
        &mut self,
        chance: &mut Chance,
        (hosts, dead): (usize, &[bool]),
        is_settled: impl Fn(u16) -> bool,
    ) -> Option<Mark> {
        if !self.is_majority(is_settled) {
            return None;
        }
        let list = self.lists.last()?;
        let is_dead = |node: &u16| dead[usize::from(*node)];
        let living: Vec<u16> = list.iter().copied().filter(|node| !is_dead(node)).collect();
        let absent = (0_u16..).take(hosts).filter(|node| !list.contains(node));
        let absent: Vec<u16> = absent.collect();
        let (list, mark) = if living.len() < list.len() && !living.is_empty() {
            (living, Mark::Buried)
        } else if !absent.is_empty() && list.len() < MAX_VOTERS && chance.one_in(2) {
            ([list.as_slice(), &[chance.choose(&absent)]].concat(), Mark::Grew)
        } else if list.len() > 1 {
            let gone = chance.choose(list);
            (list.iter().copied().filter(|node| *node != gone).collect(), Mark::Shrank)
        } else {
            return None;
        };
        self.lists.push(list);
        Some(mark)
    }
}

/// The store is never put back.
pub(super) const fn numbered(list: u32) -> Number {
    Number { store: 1, list }
}
