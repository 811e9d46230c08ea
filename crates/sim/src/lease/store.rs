//! Lists of voters as a store keeps them, what hosts said of themselves there, and the real proposer
//! (`engine::vip::lease::proposer`), which is asked what comes next.

use engine::vip::lease::proposer::{Answer, Controller, InUse, List, Proof, View, Word};
use engine::vip::lease::{Elector, Epoch, Number, Voters};

use super::Mark;
use super::host::Host;
use super::run::node;
use crate::Chance;

#[derive(Debug)]
pub(super) struct Store {
    /// Another one after each time that it is put back.
    incarnation: u64,
    /// The newest of this incarnation.
    pub list: Option<List>,
    /// By host: what its machine said last.
    words: Vec<Option<Word>>,
    /// By host: it was found to be off, and since then nobody heard it.
    proofs: Vec<Option<Proof>>,
    /// Counts what is written.
    entry: u64,
    /// By host: whether it is a controller of the file of whoever proposes.
    wanted: Vec<bool>,
}

/// A host as its machine of now.
pub(super) fn controller(host: usize, joined: u64) -> Controller {
    Controller { name: host.to_string(), joined }
}

/// All hosts vote, whichever machines they are.
pub(super) fn by_file(hosts: usize) -> Voters {
    let all: Vec<u16> = (0..hosts).map(node).collect();
    Voters::new(None, &all).expect("at most five")
}

pub(super) fn voters(list: &List) -> Voters {
    if list.voters.is_empty() {
        return Voters::nobody(list.number.store);
    }
    let elector = |voter: &Controller| {
        let node = voter.name.parse().expect("the name of a host is its number");
        Elector { node, joined: voter.joined }
    };
    let electors: Vec<Elector> = list.voters.iter().map(elector).collect();
    let voters = Voters::named(Some(list.number), &electors).expect("lists have each host once");
    voters.going_on_with(list.former)
}

impl Store {
    pub(super) fn new(hosts: usize) -> Self {
        let (words, proofs, wanted) = (vec![None; hosts], vec![None; hosts], vec![true; hosts]);
        Self { incarnation: 1, list: None, words, proofs, entry: 0, wanted }
    }

    pub(super) fn newest(&self) -> Option<Number> {
        self.list.as_ref().map(|list| list.number)
    }

    /// From a copy that nobody can tell the age of.
    pub(super) fn is_put_back(&mut self) {
        self.incarnation += 1;
        self.list = None;
        // The first list waits until all files have the same controllers: these have all hosts.
        self.wanted.fill(true);
    }

    /// One that is a controller is none any more, or the other way; two remain.
    pub(super) fn changes_its_mind(&mut self, chance: &mut Chance) {
        let host = super::fault::index(chance.below(self.wanted.len() as u64));
        let count = self.wanted.iter().filter(|wanted| **wanted).count();
        // By their files all hosts are controllers, until there is a list.
        if self.list.is_some() && (count > 2 || !self.wanted[host]) {
            self.wanted[host] = !self.wanted[host];
        }
    }

    pub(super) fn is_wanted(&self, host: usize) -> bool {
        self.wanted[host]
    }

    /// A machine says that it was started, whatever it said before.
    pub(super) fn boots(&mut self, number: usize, machine: u64) {
        self.words[number] = None;
        self.says(number, machine, InUse::Unread, false);
    }

    fn says(&mut self, number: usize, machine: u64, in_use: InUse, is_settled: bool) {
        let (of, store) = (controller(number, machine), self.incarnation);
        let word = &mut self.words[number];
        let former = word.as_ref().map_or(0, |word| word.entry);
        let said = Word { of, store, in_use, is_settled, entry: former };
        // What was said already is not written again.
        if word.as_ref() != Some(&said) {
            self.entry += 1;
            *word = Some(Word { entry: self.entry, ..said });
        }
    }

    /// A host that reaches it says what it goes by.
    pub(super) fn hears(&mut self, number: usize, host: &Host) {
        let Some(process) = host.process.as_ref().filter(|_| host.powered && !host.unread) else {
            return;
        };
        let all = || (0..self.wanted.len()).map(|host| host.to_string()).collect();
        let newest = host.list.as_ref().map(|list| Epoch::Number(list.number));
        let in_use = match (process.machine.voters().map(Voters::epoch), &host.list) {
            (None, _) => InUse::Unread,
            (Some(Epoch::Hash(_)), None) => InUse::ByFile(all()),
            (epoch, Some(list)) if epoch == newest => InUse::List(list.clone()),
            // It was not told yet what this machine knows.
            (Some(_), _) => return,
        };
        let is_settled = process.machine.settled().is_some();
        self.says(number, host.machine, in_use, is_settled);
    }

    /// Somebody looks at those that are off; who is heard is none of them.
    fn looks(&mut self, hosts: &[Host], now: u64) {
        for (number, host) in hosts.iter().enumerate() {
            let of = controller(number, host.machine);
            let proof = &mut self.proofs[number];
            let word = self.words[number].as_ref().map_or(0, |word| word.entry);
            let is_old = |proof: &Proof| proof.of != of || proof.entry < word;
            if !host.powered && proof.as_ref().is_none_or(is_old) {
                self.entry += 1;
                *proof = Some(Proof { of, entry: self.entry });
            } else if host.is_heard(now) {
                *proof = None;
            }
        }
    }

    /// The next list, if the proposer has one.
    pub(super) fn propose(&mut self, hosts: &[Host], now: u64) -> Option<Mark> {
        self.looks(hosts, now);
        let machine = |(number, host): (usize, &Host)| controller(number, host.machine);
        let those = |is_it: &dyn Fn(usize, &Host) -> bool| -> Vec<Controller> {
            hosts
                .iter()
                .enumerate()
                .filter(|(number, host)| is_it(*number, host))
                .map(machine)
                .collect()
        };
        let heard = those(&|_, host| host.is_heard(now));
        let view = View {
            store: self.incarnation,
            list: self.list.clone(),
            controllers: those(&|number, _| self.wanted[number]),
            words: self.words.iter().flatten().cloned().collect(),
            dead: self.proofs.iter().flatten().cloned().collect(),
            heard: heard.into_iter().map(|controller| controller.name).collect(),
        };
        let Answer::Offer(next) = view.next() else { return None };
        let before = self.list.replace(next.clone()).map_or_else(Vec::new, |list| list.voters);
        let gone = before.iter().filter(|voter| !next.voters.contains(voter));
        let is_dead = |voter: &Controller| view.dead.iter().any(|proof| proof.of == *voter);
        let are_dead: Vec<bool> = gone.map(is_dead).collect();
        Some(match &are_dead[..] {
            _ if next.number.list <= 1 => Mark::First,
            [] => Mark::Grew,
            some if some.iter().all(|is_dead| *is_dead) => Mark::Buried,
            _ => Mark::Shrank,
        })
    }

    /// Whether a majority of the newest list is so.
    pub(super) fn is_majority(&self, is_so: impl Fn(&Controller) -> bool) -> bool {
        self.list.as_ref().is_some_and(|list| {
            list.voters.iter().filter(|voter| is_so(voter)).count() > list.voters.len() / 2
        })
    }
}
