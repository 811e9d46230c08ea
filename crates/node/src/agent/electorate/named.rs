//! Lists and words, as the store has them and as the machine knows them.

use std::collections::HashMap;

use api::{Electorate, ListNumber, Voter, VoterList, VoterWord, VotersInUse};
use engine::vip::lease::Number;
use engine::vip::lease::proposer::{Controller, InUse, List, Word};

/// When the newest machine of each name joined the cluster; none: there is no roster, and machines are not told apart.
#[derive(Debug)]
pub(in crate::agent) struct Machines(pub(in crate::agent) Option<HashMap<String, u64>>);

impl Machines {
    /// In milliseconds since 1970. Of a name that nobody joined under: of no machine that could say anything.
    pub(super) fn joined(&self, name: &str) -> u64 {
        let of = |joined: &HashMap<String, u64>| joined.get(name).copied().unwrap_or(u64::MAX);
        self.0.as_ref().map_or(0, of)
    }
}

pub(super) fn controller(name: &str, joined: u64) -> Controller {
    Controller { name: name.to_owned(), joined }
}

pub(super) fn listed(list: &VoterList) -> List {
    let number = |ListNumber { store, list }| Number { store, list };
    let voter = |voter: &Voter| controller(&voter.node, voter.joined_ms);
    List {
        number: number(list.number()),
        former: list.former.map(number),
        voters: list.voters.iter().map(voter).collect(),
    }
}

pub(super) fn stored(list: &List) -> VoterList {
    let number = |Number { store, list }| ListNumber { store, list };
    let voter = |voter: &Controller| Voter { node: voter.name.clone(), joined_ms: voter.joined };
    let (Number { store, list: count }, former) = (list.number, list.former.map(number));
    VoterList { store, list: count, former, voters: list.voters.iter().map(voter).collect() }
}

/// What the machine of that name said.
pub(super) fn word(name: &str, said: VoterWord, entry: u64) -> Word {
    let VoterWord { joined_ms, store, said: Electorate { in_use, settled } } = said;
    let in_use = match in_use {
        VotersInUse::Unread => InUse::Unread,
        VotersInUse::ByFile(names) => InUse::ByFile(names),
        VotersInUse::List(list) => InUse::List(listed(&list)),
    };
    Word { of: controller(name, joined_ms), store, in_use, is_settled: settled, entry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_apart_where_there_is_a_roster() {
        let roster = Machines(Some([("a".to_owned(), 7)].into()));
        assert_eq!((roster.joined("a"), roster.joined("b")), (7, u64::MAX));
        assert_eq!(Machines(None).joined("a"), 0);
    }

    #[test]
    fn what_is_offered_is_stored_and_read_as_it_was() {
        let voters = vec![controller("a", 7), controller("b", 0)];
        let (number, former) = (Number { store: 2, list: 1 }, Some(Number { store: 1, list: 9 }));
        let list = List { number, former, voters };
        assert_eq!(listed(&stored(&list)), list);
        let in_use = VotersInUse::List(stored(&list));
        let said = Electorate { in_use, settled: true };
        let read = word("a", VoterWord { joined_ms: 7, store: 2, said }, 41);
        let expected = Word {
            of: controller("a", 7),
            store: 2,
            in_use: InUse::List(list),
            is_settled: true,
            entry: 41,
        };
        assert_eq!(read, expected);
    }
}
