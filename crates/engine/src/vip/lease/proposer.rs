//! Which list of voters the store should have next: what whoever coordinates offers, if anything.
//!
//! ```text
//!   no list of this store: every controller of the file said what it uses, or is proven dead
//!      all go by their files, which agree ------------------> #1 has the controllers of the file
//!      somebody uses a list of a former store --------------> #1 goes on with the newest of those
//!      of which too few are left ---------------------------> #0: nobody; then #1 as above, once all adopted that
//!   a list: a majority of it is settled (of #0 and #1 all), and then, at most one of these at a time
//!      those that are proven dead, not heard, and said no word since, leave, if the rest can lose more then
//!      one leaves that is no controller any more, or whose place another machine has
//!      one comes that is a controller and is heard
//! ```
//! Committed only if the list before is still the one that was looked at, and proofs that it rests on still stand, and words of
//! those that are dead are the ones that were read: a machine that was started again says one before it grants anything. What else
//! it rests on ("I adopted that", "I use no other one") does not become untrue later: whoever starts anew reads first. Why two
//! lists whose majorities do not meet are never in use: docs/decisions, "A vip lease that cannot have two holders".

use std::cmp::Reverse;
use std::fmt;

use super::beat::Number;
use super::voters::MAX_VOTERS;

#[cfg(test)]
mod tests;

/// A controller, as the machine that has its name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Controller {
    pub name: String,
    /// When it joined the cluster, in milliseconds since 1970; 0 where machines are not told apart.
    pub joined: u64,
}

/// A list as the store has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct List {
    pub number: Number,
    /// Of the first of a store: the list of a former one that it goes on with.
    pub former: Option<Number>,
    /// Nobody in list 0 of a store: whoever adopts that grants nothing by lists of former ones.
    pub voters: Vec<Controller>,
}

/// By which list a vip process votes and claims.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InUse {
    /// By none: nobody read what the store has since the machine started.
    Unread,
    /// All controllers of its cluster file, by name.
    ByFile(Vec<String>),
    List(List),
}

/// What a machine said of itself, as the store has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Word {
    pub of: Controller,
    /// The incarnation of the store as part of which it said so.
    pub store: u64,
    pub in_use: InUse,
    /// It grants nothing under an older list any more, and what it granted under one has ended.
    pub is_settled: bool,
    /// By which write of the store: a greater number is a later one.
    pub entry: u64,
}

/// A machine that was found to be off.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    pub of: Controller,
    /// By which write of the store it was told.
    pub entry: u64,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The incarnation of the store.
    pub store: u64,
    /// The newest that the store has, of this incarnation.
    pub list: Option<List>,
    /// Those of the cluster file.
    pub controllers: Vec<Controller>,
    pub words: Vec<Word>,
    /// Of machines that are proven dead.
    pub dead: Vec<Proof>,
    /// Names of those whose agents are heard.
    pub heard: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    Offer(List),
    Waits(Waits),
    /// The list is as it should be.
    Rests,
}

/// For what a list is not offered yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Waits {
    /// This controller did not say by which list it goes, and is not proven dead.
    Word(String),
    /// The file of this one has other controllers.
    File(String),
    /// These did not adopt the list in use, or too short a time ago.
    Settled(Vec<String>),
    /// A majority of the list is proven dead: no list mends that.
    Majority,
    /// This one is not heard.
    Unheard(String),
    /// This one was proven dead, and said a word since.
    Spoke(String),
}

impl fmt::Display for Waits {
    /// For an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(node) => write!(
                f,
                "the first list of this store waits for {node}: it may go by a list of a former store, and is neither heard to \
                 say that it does not nor proven dead"
            ),
            Self::File(node) => write!(
                f,
                "the first list waits for {node}: its outlast.toml has other controllers than this node's"
            ),
            Self::Settled(nodes) => write!(
                f,
                "the next list waits until {} adopted the present one, and half a second more",
                nodes.join(", ")
            ),
            Self::Majority => f.write_str(
                "no list follows the present one: a majority of its voters is proven dead, and the others cannot know what \
                 those granted",
            ),
            Self::Unheard(node) => {
                write!(f, "{node} is a controller, and becomes a voter when it is heard")
            }
            Self::Spoke(node) => write!(
                f,
                "{node} stays a voter: it was confirmed off, and spoke to the store after that; if it is off, take the proof back and confirm it again"
            ),
        }
    }
}

impl View {
    /// What whoever coordinates does now.
    #[must_use]
    pub fn next(&self) -> Answer {
        let Some(list) = &self.list else { return self.first() };
        if list.number.list == 0 {
            return match self.unsettled(list, self.living()) {
                waits if waits.is_empty() => self.founds(None, self.controllers.clone()),
                waits => Answer::Waits(Waits::Settled(waits)),
            };
        }
        let next = self.buries(list).or_else(|| self.removes(list)).or_else(|| self.adds(list));
        let Some(voters) = next else { return self.rests(list) };
        if let Some(waits) = self.lacks(list) {
            return Answer::Waits(waits);
        }
        let next = list.number.list.checked_add(1);
        next.map_or(Answer::Rests, |next| {
            let number = Number { store: self.store, list: next };
            Answer::Offer(List { number, former: None, voters })
        })
    }

    /// There is none of this store: of a former one nothing is known but what each machine says.
    fn first(&self) -> Answer {
        let mut said = vec![];
        for controller in self.living() {
            let Some(word) = self.word(controller) else {
                return Answer::Waits(Waits::Word(controller.name.clone()));
            };
            said.push(word);
        }
        let lists = said.iter().filter_map(|word| match &word.in_use {
            InUse::List(list) => Some(list),
            InUse::Unread | InUse::ByFile(_) => None,
        });
        if let Some(newest) = lists.max_by_key(|list| list.number) {
            return self.goes_on(newest);
        }
        let is_other = |word: &&&Word| match &word.in_use {
            InUse::ByFile(names) => !self.is_of_file(names),
            InUse::Unread | InUse::List(_) => false,
        };
        if let Some(word) = said.iter().find(is_other) {
            return Answer::Waits(Waits::File(word.of.name.clone()));
        }
        if said.is_empty() { Answer::Rests } else { self.founds(None, self.controllers.clone()) }
    }

    /// With the newest list that anybody uses, if those that are left of it can hold anything by it.
    fn goes_on(&self, newest: &List) -> Answer {
        let left = self.living().filter(|living| newest.voters.contains(living)).count();
        if newest.number.list > 0 && left > newest.voters.len() / 2 {
            return self.founds(Some(newest.number), newest.voters.clone());
        }
        let number = Number { store: self.store, list: 0 };
        Answer::Offer(List { number, former: None, voters: vec![] })
    }

    /// The first list; where somebody took it out of the store, the next one, with the same members.
    fn founds(&self, former: Option<Number>, voters: Vec<Controller>) -> Answer {
        let (is_own, count) =
            former.map_or((false, 0), |number| (number.store == self.store, number.list));
        let number =
            Number { store: self.store, list: if is_own { count.saturating_add(1) } else { 1 } };
        Answer::Offer(List { number, former: former.filter(|_| !is_own), voters })
    }

    /// Without as many of the dead as let the rest lose the most, and no more: a list of two is no better than one of three
    /// of which one is dead, and worse when that one is back.
    fn buries(&self, list: &List) -> Option<Vec<Controller>> {
        let all = list.voters.len();
        let dead: Vec<_> = list.voters.iter().filter(|voter| self.is_dead(voter)).collect();
        let spare =
            |gone: usize| (MAX_VOTERS + all - dead.len()).saturating_sub((all - gone) / 2 + 1);
        let counts = (0..=dead.len()).filter(|gone| gone * 2 < all);
        let gone =
            counts.max_by_key(|gone| (spare(*gone), Reverse(*gone))).filter(|gone| *gone > 0)?;
        let leaves = &dead[..gone];
        Some(list.voters.iter().filter(|voter| !leaves.contains(voter)).cloned().collect())
    }

    /// Without one that is no controller any more. First goes one whose place another machine has, as it never votes again; nobody goes
    /// without whom too few of the rest can.
    fn removes(&self, list: &List) -> Option<Vec<Controller>> {
        let mut leaving = list.voters.iter().filter(|voter| !self.controllers.contains(voter));
        let gone = leaving.clone().find(|voter| self.is_followed(voter));
        let gone = gone.or_else(|| leaving.next())?;
        let rest: Vec<_> = list.voters.iter().filter(|voter| *voter != gone).cloned().collect();
        let is_lost = |voter: &&Controller| self.is_dead(voter) || self.is_followed(voter);
        let lost = rest.iter().filter(is_lost).count();
        (list.voters.len() > 2 && (rest.len() - lost) * 2 > rest.len()).then_some(rest)
    }

    /// With one that is a controller, and heard.
    fn adds(&self, list: &List) -> Option<Vec<Controller>> {
        let comes = self.absent(list).find(|controller| {
            self.heard.contains(&controller.name) && self.word(controller).is_some()
        })?;
        let voters = list.voters.iter().chain([comes]).cloned();
        (list.voters.len() < MAX_VOTERS).then(|| voters.collect())
    }

    fn rests(&self, list: &List) -> Answer {
        let absent = self.absent(list).next().filter(|_| list.voters.len() < MAX_VOTERS);
        let absent = absent.map(|absent| Waits::Unheard(absent.name.clone()));
        let spoke = || list.voters.iter().find(|it| self.spoke(it) && !self.runs(it));
        let waits = absent.or_else(|| spoke().map(|voter| Waits::Spoke(voter.name.clone())));
        waits.map_or(Answer::Rests, Answer::Waits)
    }

    /// Controllers of which neither this machine nor a former one is in the list. Of whom a proof stands none comes: it would leave again as
    /// soon as it is not heard, though it lives.
    fn absent<'a>(&'a self, list: &'a List) -> impl Iterator<Item = &'a Controller> {
        let is_in = |name: &str| list.voters.iter().any(|voter| voter.name == name);
        let may_come = |it: &&Controller| self.proof(it).is_none();
        self.controllers.iter().filter(may_come).filter(move |it| !is_in(&it.name))
    }

    /// What the next list waits for. Every controller adopts the first one before there is another: then no machine that could
    /// hold goes by its file any more.
    fn lacks(&self, list: &List) -> Option<Waits> {
        let living = || list.voters.iter().filter(|voter| !self.is_dead(voter));
        let needed = list.voters.len() / 2 + 1;
        if living().count() < needed {
            return Some(Waits::Majority);
        }
        let waits = self.unsettled(list, living());
        let is_waited_for =
            |voter: &Controller| self.controllers.contains(voter) && waits.contains(&voter.name);
        let is_first = list.number.list == 1 && living().any(is_waited_for);
        let is_settled = living().count() - waits.len() >= needed;
        (is_first || !is_settled).then_some(Waits::Settled(waits))
    }

    fn unsettled<'a>(&self, list: &List, of: impl Iterator<Item = &'a Controller>) -> Vec<String> {
        let uses =
            |word: &Word| matches!(&word.in_use, InUse::List(own) if own.number == list.number);
        let is_settled = |controller: &Controller| {
            self.word(controller).is_some_and(|word| word.is_settled && uses(word))
        };
        of.filter(|controller| !is_settled(controller)).map(|it| it.name.clone()).collect()
    }

    fn living(&self) -> impl Iterator<Item = &Controller> {
        self.controllers.iter().filter(|controller| !self.is_dead(controller))
    }

    /// Who is proven dead and is heard, or said a word since, was started again, or never was off: it may grant claims.
    fn is_dead(&self, controller: &Controller) -> bool {
        self.proof(controller).is_some() && !self.runs(controller) && !self.spoke(controller)
    }

    fn proof(&self, controller: &Controller) -> Option<&Proof> {
        self.dead.iter().find(|proof| proof.of == *controller)
    }

    fn runs(&self, controller: &Controller) -> bool {
        self.heard.contains(&controller.name) && self.controllers.contains(controller)
    }

    /// After it was proven dead.
    fn spoke(&self, controller: &Controller) -> bool {
        let proof = self.proof(controller);
        let is_later = |word: &Word| proof.is_some_and(|proof| word.entry > proof.entry);
        self.words.iter().any(|word| word.of == *controller && is_later(word))
    }

    /// Another machine has its place, or had it when it spoke last, if it is no controller any more.
    fn is_followed(&self, voter: &Controller) -> bool {
        let follows = |it: &Controller| it.name == voter.name && it.joined != voter.joined;
        let came_later = |it: &Controller| it.name == voter.name && it.joined > voter.joined;
        self.controllers.iter().any(follows) || self.words.iter().any(|word| came_later(&word.of))
    }

    /// What it said as part of this store.
    fn word(&self, controller: &Controller) -> Option<&Word> {
        self.words.iter().find(|word| word.of == *controller && word.store == self.store)
    }

    fn is_of_file(&self, names: &[String]) -> bool {
        names.len() == self.controllers.len()
            && self.controllers.iter().all(|controller| names.contains(&controller.name))
    }
}
