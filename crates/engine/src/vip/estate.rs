//! What passes from one vip process to the next when the configuration changes: which addresses stay where they are,
//! and what a process before may have left on devices that nobody stands for any more.
//!
//! ```text
//!   reload: all is known of what is held ---> gives up what the new file has no more, then retires: it holds on to the
//!                                             rest, and the next adopts what its last words say
//!           else ---------------------------> stops: it hands over and releases
//!   next starts ---> adopts what its file has, takes off the rest ---> says how it is: routes are left, then nothing is owed
//!                |
//!                +-- dies before it said so ---> whoever rescues takes all of it off
//! ```
//!
//! Instances are kept as they were, not by their position: another reload may come before the next process starts.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use config::vip::{Vip, Way};

/// Of one node, beside its vip processes.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Instances of the file in force of which the running process has said how they are.
    known: BTreeSet<u16>,
    /// It was told to make way: what it says is not of the next one.
    leaves: bool,
    /// It was told to hold on as well: its file.
    retiring: Option<Vec<Vip>>,
    /// What the running process may pass on, and its file; none: it hands over to other nodes.
    bequest: Option<(Vec<Vip>, Vec<Vip>)>,
    /// What it holds and the next one has no more: positions in its file.
    gives_up: Vec<u16>,
    /// What the next process adopts, if its file still has it.
    passed_on: Vec<Vip>,
    /// What may be on devices, whatever the file in force says.
    owed: Vec<Vip>,
}

impl Estate {
    /// The file `new` is in force from now on. `held`: positions in the one before. `runs`: there is a process that
    /// was not told to end. One with a vip lease is not passed on: its process gives it up before it ends.
    pub fn reload(&mut self, old: &[Vip], held: &[u16], new: &[Vip], runs: bool) {
        if !runs {
            // What was passed on waits for the next process, which looks at the newest file.
            return;
        }
        let found: Option<Vec<(u16, &Vip)>> =
            held.iter().map(|at| Some((*at, old.get(usize::from(*at))?))).collect();
        let Some(held) = found.filter(|_| self.is_settled(old)) else {
            (self.bequest, self.gives_up) = (None, vec![]);
            return;
        };
        let held = held.into_iter().filter(|(_, vip)| !vip.has_lease);
        let (stays, goes): (Vec<_>, Vec<_>) =
            held.partition(|(_, vip)| position(vip, new).is_some());
        self.gives_up = goes.into_iter().map(|(at, _)| at).collect();
        let stays = stays.into_iter().map(|(_, vip)| vip.clone()).collect();
        self.bequest = Some((stays, old.to_vec()));
    }

    /// Whether the running process has said how each of its instances is: another file before that would take away what
    /// it may hold.
    #[must_use]
    pub fn is_settled(&self, file: &[Vip]) -> bool {
        (0..).zip(file).all(|(at, _)| self.known.contains(&at))
    }

    /// Before it retires: what it has to give up in order.
    pub fn gives_up(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.gives_up)
    }

    /// The running process has to make way. True: it holds on to its addresses and ends; false: it releases them first.
    ///
    /// Until it hears of it, it may claim and release, and what it says of that may be lost: any address of its file may
    /// be left, not those alone of which it was known. An owner's are its own, and stay unless they were held.
    pub fn retires(&mut self) -> bool {
        self.leaves = true;
        // It may be told twice.
        let Some((held, file)) = self.bequest.take() else { return self.retiring.is_some() };
        let is_owed = |vip: &&Vip| vip.priority != super::OWNER || held.contains(vip);
        self.owed.extend(file.iter().filter(is_owed).cloned());
        (self.passed_on, self.retiring) = (held, Some(file));
        true
    }

    /// What a process says of an instance while it retires, which is of no interest to others: their file has other
    /// numbers. The next one adopts exactly what was held last. False: it does not retire.
    pub fn passes_on(&mut self, instance: u16, holds: bool) -> bool {
        let Some(file) = &self.retiring else { return false };
        if let Some(vip) = file.get(usize::from(instance)) {
            self.passed_on.retain(|other| other != vip);
            self.passed_on.extend((holds && !vip.has_lease).then(|| vip.clone()));
        }
        true
    }

    /// For a process that starts with that file: positions of what it adopts, and addresses that it takes off.
    #[must_use]
    pub fn of(&self, file: &[Vip]) -> (Vec<u16>, Vec<IpAddr>) {
        let adopts = self.passed_on.iter().filter_map(|vip| position(vip, file)).collect();
        let gone = gone(self.owed.iter().flat_map(placed), file);
        (adopts, gone.into_iter().collect())
    }

    /// For a process that is started beside the one that runs, which holds these of its file: addresses that it takes off when that one makes
    /// way for it.
    #[must_use]
    pub fn leftovers(old: &[Vip], held: &[u16], new: &[Vip]) -> Vec<IpAddr> {
        let owes = |(at, vip): &(u16, &Vip)| vip.priority != super::OWNER || held.contains(at);
        let owed = (0..).zip(old).filter(owes).flat_map(|(_, vip)| placed(vip));
        gone(owed, new).into_iter().collect()
    }

    /// That process was started.
    pub fn starts(&mut self) {
        self.passed_on.clear();
        self.known.clear();
        (self.leaves, self.retiring) = (false, None);
    }

    /// A process has said how that instance is: what it was to take off it has taken off before, and its own routes
    /// stand. Those of what was there before, which the file in force has no more, are left to take off.
    #[must_use]
    pub fn says(&mut self, instance: u16, file: &[Vip]) -> Vec<Way> {
        if self.leaves {
            return vec![];
        }
        self.known.insert(instance);
        let mut left: Vec<Way> =
            std::mem::take(&mut self.owed).into_iter().flat_map(|vip| vip.ways).collect();
        left.retain(|route| !file.iter().any(|vip| vip.ways.contains(route)));
        left
    }

    /// Whether something may be on devices that no process has taken over.
    #[must_use]
    pub const fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// It died without a word, or no other follows it: what has to be taken off beside what the file in force has. Nothing is passed on.
    pub fn dies(&mut self) -> Vec<Vip> {
        (self.bequest, self.retiring, self.passed_on) = (None, None, vec![]);
        self.gives_up.clear();
        std::mem::take(&mut self.owed)
    }
}

/// An address on its device, and what the kernel changes of it only by making it anew.
type Placed<'a> = ((IpAddr, u8, &'a str), Option<&'a str>, Option<Ipv4Addr>, u8);

fn placed(vip: &Vip) -> impl Iterator<Item = Placed<'_>> {
    let made = vip.addresses.iter();
    let made = made.map(|address| (address.label.as_deref(), address.broadcast, address.scope));
    vip.places()
        .zip(made)
        .map(|(place, (label, broadcast, scope))| (place, label, broadcast, scope))
}

/// Of those places what that file has no more, or in another form.
fn gone<'a>(owed: impl Iterator<Item = Placed<'a>>, file: &[Vip]) -> BTreeSet<IpAddr> {
    let stays = |place: &Placed<'_>| file.iter().flat_map(placed).any(|other| other == *place);
    owed.filter(|place| !stays(place)).map(|((ip, ..), ..)| ip).collect()
}

/// Where a file has the same group on the same device: the router id of one kind of addresses is all that it is known by
/// there, whatever they are.
fn position(vip: &Vip, file: &[Vip]) -> Option<u16> {
    let is_same = |other: &Vip| {
        let of = |vip: &Vip| (vip.interface.clone(), vip.router_id, vip.has_lease, vip.is_v6());
        of(vip) == of(other)
    };
    u16::try_from(file.iter().position(is_same)?).ok()
}

#[cfg(test)]
mod tests {
    use config::vip::Route;

    use super::*;
    use crate::vip::tests::vip;

    fn with(router_id: u8, excluded: &[[u8; 4]]) -> Vip {
        let mut vip = vip(router_id);
        let plain = vip.addresses[0].clone();
        vip.addresses.extend(excluded.iter().map(|ip| config::vip::Address {
            ip: (*ip).into(),
            is_excluded: true,
            ..plain.clone()
        }));
        vip
    }

    const ONE: [u8; 4] = [10, 1, 0, 1];
    const TWO: [u8; 4] = [10, 2, 0, 1];

    /// A process that has said how all of that file is.
    fn settled(file: &[Vip]) -> Estate {
        let mut estate = Estate::default();
        estate.starts();
        (0..).zip(file).for_each(|(at, _)| assert_eq!(estate.says(at, file), []));
        estate
    }

    #[test]
    fn what_the_new_file_has_is_adopted_and_what_it_has_no_more_is_taken_off() {
        let (old, new) = ([with(7, &[ONE]), vip(8)], [vip(9), with(7, &[TWO])]);
        let mut estate = settled(&old);
        estate.reload(&old, &[0], &new, true);
        assert!(estate.retires());
        assert_eq!(estate.of(&new), (vec![1], vec![ONE.into()]));
        estate.starts();
        assert_eq!(estate.of(&new), (vec![], vec![ONE.into()]), "until it is done");
        assert_eq!(estate.says(0, &new), []);
        assert_eq!(estate.of(&new), (vec![], vec![]));
    }

    #[test]
    fn a_process_beside_the_one_that_runs_knows_what_it_will_take_off() {
        let (old, new) = ([with(7, &[ONE]), vip(8)], [vip(9), with(7, &[TWO])]);
        let gone = vip(8).addresses[0].ip;
        let mut estate = settled(&old);
        estate.reload(&old, &[0], &new, true);
        let known = Estate::leftovers(&old, &[0], &new);
        assert!(estate.retires());
        assert_eq!(known, estate.of(&new).1);
        assert!(known.contains(&ONE.into()) && !known.contains(&TWO.into()));
        assert_eq!(known.contains(&gone), !new.iter().any(|vip| vip.addresses[0].ip == gone));
    }

    #[test]
    fn a_route_that_the_new_file_has_no_more_is_taken_off_when_those_that_it_has_stand() {
        let to =
            |gateway: [u8; 4]| Way::Route(Route { via: Some(gateway.into()), ..Route::plain() });
        let with = |ways: &[Way]| [Vip { ways: ways.to_vec(), ..vip(7) }];
        let (old, new) = (with(&[to(ONE), to(TWO)]), with(&[to(TWO), to([10, 3, 0, 1])]));
        let mut estate = settled(&old);
        estate.reload(&old, &[0], &new, true);
        assert!(estate.retires());
        assert_eq!(estate.of(&new), (vec![0], vec![]));
        estate.starts();
        assert_eq!(estate.says(0, &new), [to(ONE)]);
        assert_eq!(estate.says(0, &new), []);
    }

    #[test]
    fn an_address_that_the_new_file_has_not_is_given_up_in_order_and_the_others_stay() {
        let gone = Vip { addresses: vec![config::vip::Address::plain(ONE.into())], ..vip(7) };
        let (old, new) = ([gone, vip(8)], [vip(8)]);
        let mut estate = settled(&old);
        estate.reload(&old, &[0, 1], &new, true);
        assert_eq!(estate.gives_up(), [0]);
        assert!(estate.retires());
        assert_eq!(estate.of(&new), (vec![0], vec![ONE.into()]), "it may die before it does so");
        // Nobody holds it: nothing is to be given up.
        let mut estate = settled(&old);
        estate.reload(&old, &[1], &new, true);
        assert_eq!(estate.gives_up(), []);
        assert!(estate.retires());
        assert_eq!(estate.of(&new).0, [0]);
    }

    #[test]
    fn other_addresses_priority_or_timing_are_no_reason_to_give_a_group_up() {
        let old = [vip(7)];
        let ip = old[0].addresses[0].ip;
        let other = config::vip::Address::plain(TWO.into());
        let new = [Vip { priority: 9, addresses: vec![other], ..vip(7) }];
        let mut estate = settled(&old);
        estate.reload(&old, &[0], &new, true);
        assert_eq!(estate.gives_up(), []);
        assert!(estate.retires());
        assert_eq!(estate.of(&new), (vec![0], vec![ip]));
    }

    #[test]
    fn an_address_with_another_label_or_scope_is_made_anew() {
        let with = |label: &str, scope| {
            let mut vip = vip(7);
            vip.addresses[0].label = Some(label.to_owned());
            vip.addresses[0].scope = scope;
            [vip]
        };
        let (old, same) = (with("eth0:a", 0), with("eth0:a", 0));
        let ip = old[0].addresses[0].ip;
        for (new, gone) in
            [(same, vec![]), (with("eth0:b", 0), vec![ip]), (with("eth0:a", 253), vec![ip])]
        {
            let mut estate = settled(&old);
            estate.reload(&old, &[0], &new, true);
            assert!(estate.retires());
            assert_eq!(estate.of(&new), (vec![0], gone));
        }
    }

    #[test]
    fn a_second_reload_before_the_next_process_starts_finds_everything_by_what_it_is() {
        let (first, second, third) = ([with(7, &[ONE])], [with(7, &[TWO])], [vip(9), vip(7)]);
        let mut estate = settled(&first);
        estate.reload(&first, &[0], &second, true);
        assert!(estate.retires());
        // It has not ended yet.
        estate.reload(&second, &[], &third, false);
        assert_eq!(estate.of(&third), (vec![1], vec![ONE.into()]));
    }

    #[test]
    fn what_is_held_by_a_vip_lease_is_not_passed_on() {
        let voted = Vip { has_lease: true, ..vip(8) };
        let (old, new) = ([vip(7), voted.clone()], [voted, vip(7), vip(9)]);
        let mut estate = settled(&old);
        estate.reload(&old, &[0, 1], &new, true);
        assert!(estate.retires());
        assert_eq!(estate.of(&new), (vec![1], vec![]));
        // One that was held by VRRP is released, too, where it is to have a vip lease.
        let mut estate = settled(&old);
        estate.reload(&old, &[0], &[Vip { has_lease: true, ..vip(7) }], true);
        assert_eq!(estate.gives_up(), [0]);
        assert!(estate.retires());
    }

    #[test]
    fn the_last_words_of_a_process_that_makes_way_are_not_of_the_next_one() {
        let (old, new) = ([with(7, &[ONE])], [vip(7)]);
        let mut estate = settled(&old);
        estate.reload(&old, &[0], &new, true);
        assert!(estate.retires());
        assert_eq!(estate.says(0, &new), []);
        estate.starts();
        assert_eq!(estate.of(&new), (vec![], vec![ONE.into()]), "the next one has it to do");
        assert_eq!(estate.says(0, &new), []);
        assert_eq!(estate.of(&new), (vec![], vec![]));
    }

    #[test]
    fn what_a_process_claims_before_it_hears_that_it_has_to_make_way_is_taken_off() {
        const THREE: [u8; 4] = [10, 3, 0, 1];
        let route = Way::Route(Route { via: Some(ONE.into()), ..Route::plain() });
        let gone = Vip { ways: vec![route.clone()], ..with(9, &[THREE]) };
        let (old, new) = ([with(7, &[ONE]), gone], [with(7, &[TWO])]);
        let mut estate = settled(&old);
        estate.reload(&old, &[], &new, true);
        assert!(estate.retires());
        // It claims both now: of one it says so, the word of the other is lost.
        assert!(estate.passes_on(0, true));
        assert_eq!(estate.of(&new), (vec![0], vec![ONE.into(), THREE.into()]));
        estate.starts();
        assert_eq!(estate.says(0, &new), [route]);
        assert!(estate.dies().is_empty());
    }

    #[test]
    fn what_a_process_lets_go_before_it_hears_that_it_has_to_make_way_is_not_adopted() {
        let (old, new) = ([vip(7)], [with(7, &[TWO])]);
        let mut estate = settled(&old);
        assert!(!estate.passes_on(0, true), "it does not retire");
        estate.reload(&old, &[0], &new, true);
        assert!(estate.retires());
        assert!(estate.owes(), "whoever ends the node now has it to do");
        assert!(estate.passes_on(0, false));
        assert_eq!(estate.of(&new), (vec![], vec![]));
        estate.starts();
        assert!(!estate.passes_on(0, true), "a word of the next one");
    }

    #[test]
    fn an_address_that_is_the_nodes_own_is_taken_off_only_where_it_was_held() {
        let owner = |router_id| Vip { priority: crate::vip::OWNER, ..with(router_id, &[ONE]) };
        let (old, new) = ([owner(7)], [vip(7)]);
        let owed: [(&[u16], &[IpAddr]); 2] = [(&[], &[]), (&[0], &[ONE.into()])];
        for (held, leftovers) in owed {
            let mut estate = settled(&old);
            estate.reload(&old, held, &new, true);
            assert!(estate.retires());
            assert_eq!(estate.of(&new).1, leftovers);
        }
    }

    #[test]
    fn a_process_that_has_not_said_how_it_is_releases_what_it_adopted() {
        let (first, second, third) = ([with(7, &[ONE])], [vip(7)], [with(7, &[TWO])]);
        let mut estate = settled(&first);
        estate.reload(&first, &[0], &second, true);
        assert!(estate.retires());
        estate.starts();
        // Nothing is known of what it holds.
        estate.reload(&second, &[], &third, true);
        assert!(!estate.retires());
        assert_eq!(estate.of(&third), (vec![], vec![ONE.into()]), "it may have died before");
    }

    #[test]
    fn what_a_process_leaves_that_dies_before_its_first_word_is_told_to_the_rescue() {
        let (old, new) = ([with(7, &[ONE])], [vip(7)]);
        let mut estate = settled(&old);
        estate.reload(&old, &[0], &new, true);
        assert!(estate.retires());
        estate.starts();
        assert_eq!(estate.dies(), old);
        assert_eq!(estate.of(&new), (vec![], vec![]));
        assert!(estate.dies().is_empty());
    }
}
