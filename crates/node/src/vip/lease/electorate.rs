//! Who votes: the lists of the store name machines, the machine knows places of the cluster file.

use api::{Electorate, Start, VoterList, VotersInUse};
use engine::vip::lease::{Elector, Epoch, Number, VipLease, Voters};

/// Places of machines that are in no file here: nobody hears them, and they count in a majority.
const NOWHERE: u16 = 0xfff0;

/// What the machine goes by, as little as tells whether that changed.
type Stand = (Option<Epoch>, bool);

/// By names.
pub(super) struct Lists {
    controllers: Vec<String>,
    by_file: Voters,
    /// The newest that was told.
    newest: Option<VoterList>,
    said: Option<Stand>,
}

impl Lists {
    pub(super) fn new(controllers: Vec<String>, by_file: Voters) -> Self {
        Self { controllers, by_file, newest: None, said: None }
    }

    /// By what a process begins, and whether that counts only once somebody read what the store has.
    pub(super) fn at_start(&mut self, start: &Start) -> (Voters, bool) {
        match &start.voters {
            None | Some(VotersInUse::ByFile(_)) => (self.by_file.clone(), false),
            Some(VotersInUse::Unread) => (self.by_file.clone(), true),
            // One that cannot be gone by may be what others go by.
            Some(VotersInUse::List(list)) => {
                let known = self.learn(Some(list));
                (known.clone().unwrap_or_else(|| self.by_file.clone()), known.is_none())
            }
        }
    }

    /// What the machine is told of the newest list of the store; none: of such a list nobody makes use.
    pub(super) fn learn(&mut self, list: Option<&VoterList>) -> Option<Voters> {
        let Some(list) = list else { return Some(self.by_file.clone()) };
        let voters = self.voters(list)?;
        if self.newest.as_ref().is_none_or(|newest| newest.number() < list.number()) {
            self.newest = Some(list.clone());
        }
        Some(voters)
    }

    fn voters(&self, list: &VoterList) -> Option<Voters> {
        if list.list == 0 {
            return Some(Voters::nobody(list.store));
        }
        let place = |name: &str| {
            let place = self.controllers.iter().position(|known| known == name);
            place.and_then(|place| u16::try_from(place).ok())
        };
        let elector = |(stranger, voter): (u16, &api::Voter)| {
            let node = place(&voter.node).unwrap_or(NOWHERE + stranger);
            Elector { node, joined: voter.joined_ms }
        };
        // More than there may be are refused by their number.
        let electors: Vec<Elector> = (0..15).zip(&list.voters).map(elector).collect();
        let number = Some(Number { store: list.store, list: list.list });
        let voters = Voters::named(number, &electors)?;
        let former = list.former.map(|former| Number { store: former.store, list: former.list });
        Some(voters.going_on_with(former))
    }

    /// Puts what the machine goes by in the place of what was told, if that is another list, or in another way; says whether it did. While
    /// the list is the same, nothing is asked of the memory. A list that the process before left, and of which nobody told this one yet, is told
    /// of when somebody did: until then it has no names.
    pub(super) fn news(&mut self, machine: &VipLease, told: &mut Option<Electorate>) -> bool {
        self.tells((machine.voters().map(Voters::epoch), machine.settled().is_some()), told)
    }

    fn tells(&mut self, stand: Stand, told: &mut Option<Electorate>) -> bool {
        if self.said == Some(stand) {
            return false;
        }
        let (epoch, settled) = stand;
        let is_told = self.said.is_some_and(|(same, _)| same == epoch);
        if let Some(told) = told.as_mut().filter(|_| is_told) {
            told.settled = settled;
        } else {
            let Some(in_use) = self.in_use(epoch) else { return false };
            *told = Some(Electorate { in_use, settled });
        }
        self.said = Some(stand);
        true
    }

    /// None: of that list no names are known.
    fn in_use(&self, epoch: Option<Epoch>) -> Option<VotersInUse> {
        let is_it = |list: &&VoterList, number: Number| {
            (list.store, list.list) == (number.store, number.list)
        };
        match epoch {
            None => Some(VotersInUse::Unread),
            Some(Epoch::Hash(_)) => Some(VotersInUse::ByFile(self.controllers.clone())),
            Some(Epoch::Number(number)) => self
                .newest
                .as_ref()
                .filter(|list| is_it(list, number))
                .cloned()
                .map(VotersInUse::List),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::Voter;
    use base::Time;
    use engine::vip::lease::{BEAT, CALM, Config, SPAN};

    use super::*;

    fn config(voters: Voters) -> Config {
        Config {
            node: 0,
            life: 1,
            closed: true,
            nodes: 3,
            networks: 1,
            joined: 10,
            voters,
            unread: false,
            beat: BEAT,
            span: SPAN,
            referred: 0,
            settle: Duration::ZERO,
            calm: CALM,
            seats: vec![],
        }
    }

    fn lists() -> Lists {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        Lists::new(names, Voters::new(None, &[0, 1, 2]).unwrap())
    }

    fn list(number: u32, names: &str) -> VoterList {
        let voter = |node: &str| Voter { node: node.to_owned(), joined_ms: 10 };
        let voters = names.split_whitespace().map(voter).collect();
        VoterList { store: 1, list: number, former: None, voters }
    }

    fn places(voters: &Voters) -> Vec<u16> {
        voters.electors().iter().map(|elector| elector.node).collect()
    }

    #[test]
    fn voters_have_the_place_of_their_name_and_one_that_no_file_has_counts_all_the_same() {
        let mut lists = lists();
        let voters = lists.learn(Some(&list(3, "c a"))).unwrap();
        assert_eq!(places(&voters), [0, 2]);
        assert!(voters.electors().iter().all(|elector| elector.joined == 10));
        let voters = lists.learn(Some(&list(4, "x c y a"))).unwrap();
        assert_eq!(voters.majority(), 3);
        assert_eq!(places(&voters)[..2], [0, 2]);
        assert!(places(&voters)[2..].iter().all(|place| *place >= NOWHERE));
        assert_eq!(lists.newest, Some(list(4, "x c y a")));
    }

    #[test]
    fn a_list_that_the_process_before_went_by_is_told_of_by_its_own_names() {
        let lists_of = |newest: &VoterList| {
            let mut lists = lists();
            lists.learn(Some(newest));
            lists
        };
        let mut known = lists_of(&list(8, "a b"));
        let voters = known.learn(Some(&list(8, "a b"))).unwrap();
        let machine = VipLease::new(&config(voters), Time::ZERO);
        // This one was started when the store had the list before.
        let (mut lists, mut told) = (lists_of(&list(7, "a b c")), None);
        assert!(!lists.news(&machine, &mut told));
        assert_eq!(told, None);
        lists.learn(Some(&list(8, "a b")));
        assert!(lists.news(&machine, &mut told));
        let in_use = VotersInUse::List(list(8, "a b"));
        assert_eq!(told, Some(Electorate { in_use, settled: false }));
        assert!(!lists.news(&machine, &mut told), "that was told");
    }

    #[test]
    fn a_list_that_no_list_can_be_is_not_gone_by() {
        let mut lists = lists();
        for senseless in ["", "a a", "a b c d e f g h i j"] {
            assert_eq!(lists.learn(Some(&list(3, senseless))), None, "{senseless:?}");
        }
        assert_eq!(lists.newest, None);
        assert_eq!(lists.learn(Some(&list(0, ""))), Some(Voters::nobody(1)));
        assert_eq!(lists.learn(None), Some(lists.by_file.clone()), "the store has none");
        lists.learn(Some(&list(7, "a b")));
        lists.learn(Some(&list(6, "a b c")));
        assert_eq!(lists.newest, Some(list(7, "a b")), "an older one is no news");
    }

    #[test]
    fn a_list_that_the_process_before_went_by_is_told_once_its_names_are_known() {
        let mut lists = lists();
        lists.learn(Some(&list(2, "a b c")));
        let by =
            |number, settled| (Some(Epoch::Number(Number { store: 1, list: number })), settled);
        let mut told = None;
        // It was started with the list before the one that was left to it.
        assert!(!lists.tells(by(3, false), &mut told));
        assert_eq!(told, None, "the list before is told as the one in use");
        lists.learn(Some(&list(3, "a b")));
        assert!(lists.tells(by(3, false), &mut told));
        let in_use = VotersInUse::List(list(3, "a b"));
        assert_eq!(told, Some(Electorate { in_use: in_use.clone(), settled: false }));
        assert!(lists.tells(by(3, true), &mut told) && !lists.tells(by(3, true), &mut told));
        assert_eq!(told, Some(Electorate { in_use, settled: true }));
    }
}
