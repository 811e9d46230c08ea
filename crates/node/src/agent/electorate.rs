//! Who votes about virtual IPs with a vip lease: what the store has is told here, what is used here is said there, and while this
//! node coordinates the next list is offered ([`engine::vip::lease::proposer`]). On a thread of its own, on every member.
//!
//! ```text
//!   vip/voters, watched --> disk --> supervisor --> vip process
//!   vip/voter/NODE <-- what that says it uses <--------+
//!   vip/voter/NODE <-- first, that this machine started, if vip/voters is still the one that was read
//!   all of these, proofs, roster, who is heard --> View::next --> vip/voters, if it is still the one that was looked at
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use api::{Electorate, Event, ListNumber, Report, VoterList, VoterWord, VotersInUse};
use base::Time;
use engine::kv::{Compare, Condition, Item, Keys, Op, Outcome, Transaction};
use engine::member::Standing;
use engine::verdict::PROOFS;
use engine::vip::lease::proposer::{Answer, Controller, List, Proof, View};
use store::{Link, News};

use super::hands::{Hands, put};
use super::lock;
use crate::electorate as kept;
use named::{controller, listed, stored, word};

mod named;

pub(super) use named::Machines;

/// The list.
const LIST: &str = "vip/voters";
/// By node, what it says.
const WORDS: &str = "vip/voter/";
/// Of all of that.
const ALL: &str = "vip/voter";
/// So often it is looked what is used here.
const GLANCE: Duration = Duration::from_millis(250);
/// So often it is looked what is to be offered: a list is settled half a second after it is adopted.
const OFFER_EACH: Duration = Duration::from_millis(500);
/// What failed is asked again after this.
const AGAIN: Duration = Duration::from_millis(500);

/// For what the next list waits where nobody here knows the present one.
const UNREADABLE: &str = "the list that the store has is of a later release, or none: this node offers no other one; let a node of \
     that release coordinate (`outlast move coordinator NODE`)";

/// What comes to it.
enum Mail {
    News(News),
    /// Which store it is that was read, so many times.
    Store(u64, Option<u64>),
    /// That this machine started is written, or may not be.
    Began(bool),
    /// What this machine said is written, or may not be.
    Said(Box<VoterWord>, bool),
    /// What became of a list.
    Offered(Box<List>, Result<Outcome, store::Error>),
}

struct Registrar {
    me: String,
    folder: PathBuf,
    link: Link,
    hands: Arc<Hands>,
    box_of: Sender<Mail>,
    /// Names of the file.
    controllers: Vec<String>,
    /// What the store has, with the revisions that wrote it.
    items: BTreeMap<String, (Arc<[u8]>, u64)>,
    /// How often all of it was read; it is not away since.
    reads: u64,
    is_there: bool,
    /// The incarnation of the store that was read; none: none was, or it is not known which.
    store: Option<u64>,
    asking: bool,
    /// The store knows that this machine started: before that nobody here is told what it has.
    is_known: bool,
    /// The newest that any process of this machine was told, ever.
    newest: Option<VoterList>,
    /// The supervisor was told, by this process.
    is_told: bool,
    said: Option<VoterWord>,
    /// An answer is waited for.
    saying: bool,
    offering: bool,
    offers_at: Time,
    /// Nothing is asked before: a question failed.
    pause: Time,
}

/// Begins it, where the store says who votes.
pub(super) fn start(hands: &Arc<Hands>, link: &Link, me: &str) {
    let (box_of, letters) = mpsc::channel();
    let controllers: Vec<String> = {
        let core = lock(hands.core());
        let Some(cluster) = core.cluster.as_ref().filter(|it| kept::is_of_store(it)) else {
            return;
        };
        cluster.controllers().iter().map(|node| node.name.clone()).collect()
    };
    let (hands, link, folder) = (Arc::clone(hands), link.clone(), hands.state_dir.clone());
    let registrar = Registrar {
        me: me.to_owned(),
        is_known: kept::is_known(&folder),
        newest: kept::newest(&folder),
        folder,
        link,
        hands,
        box_of,
        controllers,
        items: BTreeMap::new(),
        reads: 0,
        is_there: false,
        store: None,
        asking: false,
        is_told: false,
        said: None,
        saying: false,
        offering: false,
        offers_at: Time::ZERO,
        pause: Time::ZERO,
    };
    // Without a thread this machine goes on as it began.
    let work = move || registrar.run(&letters);
    drop(std::thread::Builder::new().name("electorate".to_owned()).spawn(work));
}

impl Registrar {
    /// Until the process ends.
    fn run(mut self, letters: &Receiver<Mail>) {
        let tell = self.box_of.clone();
        self.link.watch(Keys::Prefix(ALL.to_owned()), move |news| {
            // It ends with the process.
            let _ = tell.send(Mail::News(news));
        });
        loop {
            match letters.recv_timeout(GLANCE) {
                Ok(mail) => self.take(mail),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = sys::clock::now();
            if now >= self.pause {
                self.ask();
                self.begin();
                self.say();
            }
            self.tell();
            if now >= self.offers_at {
                self.offers_at = now + OFFER_EACH;
                self.offer();
            }
        }
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::News(News::All { items, .. }) => {
                let item = |(key, item): (String, Item)| (key, (item.value, item.changed));
                self.items = items.into_iter().map(item).collect();
                // It may be another store than that of before.
                (self.store, self.said, self.is_there) = (None, None, true);
                (self.reads, self.asking) = (self.reads + 1, false);
            }
            Mail::News(News::Changes(changes)) => {
                for change in changes {
                    match change.value {
                        Some(value) => self.items.insert(change.key, (value, change.revision)),
                        None => self.items.remove(&change.key),
                    };
                }
            }
            // What was read last goes on being used; nothing is offered meanwhile.
            Mail::News(News::Away(_)) => (self.store, self.is_there) = (None, false),
            Mail::Store(reads, incarnation) if reads == self.reads && self.is_there => {
                self.asking = false;
                self.store = incarnation;
                self.pauses(self.store.is_none());
            }
            Mail::Store(..) => {}
            Mail::Began(is_written) => {
                self.saying = false;
                self.is_known = is_written;
                self.pauses(!is_written);
            }
            Mail::Said(word, is_written) => {
                self.saying = false;
                self.said = is_written.then_some(*word);
                self.pauses(!is_written);
            }
            Mail::Offered(list, outcome) => {
                self.offering = false;
                if outcome.is_ok_and(|outcome| outcome.held) {
                    self.offered(&list);
                }
            }
        }
    }

    fn pauses(&mut self, failed: bool) {
        if failed {
            self.pause = sys::clock::now() + AGAIN;
        }
    }

    /// Which store it is that was read.
    fn ask(&mut self) {
        if !self.is_there || self.store.is_some() || self.asking {
            return;
        }
        self.asking = true;
        let (reads, tell) = (self.reads, self.box_of.clone());
        self.link.report(move |answer| {
            // It ends with the process.
            let incarnation = answer.ok().and_then(|report| report.incarnation);
            let _ = tell.send(Mail::Store(reads, incarnation));
        });
    }

    /// That this machine started: it may have been taken for dead, and a list without it be on its way. Of that and of this word the
    /// store takes one.
    fn begin(&mut self) {
        let Some(store) = self.store.filter(|_| !self.is_known && !self.saying) else { return };
        let Ok(machines) = self.hands.machines() else { return };
        // One that goes by something already, though this was not asked before, says by what.
        let known = lock(self.hands.core()).picture.vip_process().and_then(|it| it.voters.clone());
        let unread = Electorate { in_use: VotersInUse::Unread, settled: false };
        let said = known.unwrap_or(unread);
        let word = VoterWord { joined_ms: machines.joined(&self.me), store, said };
        self.saying = true;
        let tell = self.box_of.clone();
        let asked = Transaction {
            compares: vec![self.is_as_read(LIST)],
            then: vec![Op::put(&self.own_key(), &put(&word))],
            otherwise: vec![],
        };
        self.link.transact(asked, move |outcome| {
            // Whatever is not known to be written is written again.
            let _ = tell.send(Mail::Began(outcome.is_ok_and(|outcome| outcome.held)));
        });
    }

    /// The newest list, to the disk and then to who goes by it. A store that has none is told of only where this machine never
    /// went by one: what a former store had may be in use.
    fn tell(&mut self) {
        let Some(store) = self.store.filter(|_| self.is_known) else { return };
        let newest = match self.items.get(LIST).map(|(value, _)| api::decode::<VoterList>(value)) {
            Some(Ok(list)) if list.store == store => Some(list),
            // Of a store that was put back, or written by a later release.
            Some(Ok(_) | Err(_)) => return,
            None if self.newest.is_some() => return,
            None => None,
        };
        let number = |list: &Option<VoterList>| list.as_ref().map(VoterList::number);
        let (new, old): (Option<ListNumber>, _) = (number(&newest), number(&self.newest));
        if new < old || self.is_told && new == old {
            return;
        }
        // A process that begins later has to know what one before it went by.
        let is_kept = kept::keep(&self.folder, newest.as_ref()).is_ok();
        if is_kept && self.hands.voice().say(&Report::Voters(newest.clone())).is_ok() {
            (self.newest, self.is_told) = (newest, true);
        }
    }

    /// What the vip process of this node goes by, if that is the newest that it was told.
    fn say(&mut self) {
        let Some(store) = self.store.filter(|_| self.is_known && !self.saying) else { return };
        let said = {
            let core = lock(self.hands.core());
            core.picture.vip_process().and_then(|process| process.voters.clone())
        };
        let Some(said) = said else { return };
        let newest = self.newest.as_ref().map(VoterList::number);
        let is_newest = match &said.in_use {
            VotersInUse::List(list) => Some(list.number()) == newest,
            VotersInUse::ByFile(_) => newest.is_none(),
            VotersInUse::Unread => !self.is_told,
        };
        let Some(machines) = self.hands.machines().ok().filter(|_| is_newest) else { return };
        let word = VoterWord { joined_ms: machines.joined(&self.me), store, said };
        if self.said.as_ref() == Some(&word) {
            return;
        }
        self.saying = true;
        let (key, tell) = (self.own_key(), self.box_of.clone());
        let asked = Transaction::put(&key, &put(&word));
        self.link.transact(asked, move |outcome| {
            // One that may be written is written again.
            let _ = tell.send(Mail::Said(Box::new(word), outcome.is_ok()));
        });
    }

    /// The next list, while this node coordinates.
    fn offer(&mut self) {
        let (waits, offered) = match self.store.filter(|_| self.coordinates()) {
            Some(_) if self.list().is_err() => (Some(UNREADABLE.to_owned()), None),
            Some(store) => self.view(store).map_or((None, None), |view| match view.next() {
                Answer::Waits(waits) => (Some(waits.to_string()), None),
                Answer::Offer(list) => (None, Some((list, view))),
                Answer::Rests => (None, None),
            }),
            None => (None, None),
        };
        lock(self.hands.core()).picture.voters_wait = waits;
        let Some((list, view)) = offered.filter(|_| !self.offering) else { return };
        self.offering = true;
        let (asked, tell) = (self.swap(&list, &view), self.box_of.clone());
        self.link.transact(asked, move |outcome| {
            let _ = tell.send(Mail::Offered(Box::new(list), outcome));
        });
    }

    fn coordinates(&self) -> bool {
        let core = lock(self.hands.core());
        core.coordinator.as_ref().is_some_and(|shown| shown.node == self.me)
    }

    /// If the list is still the one that was looked at, nobody took back a proof meanwhile, and nobody spoke who is proven dead.
    fn swap(&self, list: &List, view: &View) -> Transaction {
        let proof = |Proof { of, entry }: &Proof| {
            let stands =
                Compare { key: format!("{PROOFS}{}", of.name), is: Condition::Changed(*entry) };
            [stands, self.is_as_read(&format!("{WORDS}{}", of.name))]
        };
        let compares =
            std::iter::once(self.is_as_read(LIST)).chain(view.dead.iter().flat_map(proof));
        let then = vec![Op::put(LIST, &put(&stored(list)))];
        Transaction { compares: compares.collect(), then, otherwise: vec![] }
    }

    fn is_as_read(&self, key: &str) -> Compare {
        let is = match self.items.get(key) {
            Some((_, changed)) => Condition::Changed(*changed),
            None => Condition::Missing,
        };
        Compare { key: key.to_owned(), is }
    }

    fn own_key(&self) -> String {
        format!("{WORDS}{}", self.me)
    }

    /// With all that it rests on. None: the roster cannot be read, so it is not known which machines there are.
    fn view(&self, store: u64) -> Option<View> {
        let machines = self.hands.machines().ok()?;
        let named = |name: &String| controller(name, machines.joined(name));
        let controllers: Vec<_> = self.controllers.iter().map(named).collect();
        let list = self.list().ok()?.filter(|list| list.store == store);
        let (mut words, mut unreadable) = (vec![], BTreeSet::new());
        for (key, (value, changed)) in &self.items {
            let Some(name) = key.strip_prefix(WORDS) else { continue };
            match api::decode(value) {
                Ok(said) => words.push(word(name, said, *changed)),
                // Of a later release: it said something, whatever that was.
                Err(_) => drop(unreadable.insert(name)),
            }
        }
        let list = list.map(|list| listed(&list));
        let core = lock(self.hands.core());
        let members: BTreeSet<_> =
            list.iter().flat_map(|list| &list.voters).chain(&controllers).collect();
        let proof = |machine: &Controller| {
            let proof =
                core.proof_of(&machine.name).filter(|it| !it.is_outlived_by(machine.joined));
            let proof = proof.filter(|proof| !unreadable.contains(proof.node.as_str()))?;
            Some(Proof { of: machine.clone(), entry: proof.entry })
        };
        let dead = members.into_iter().filter_map(proof).collect();
        let is_heard = |name: &&String| {
            let at = core.picture.names.iter().position(|known| known == *name);
            let at = at.and_then(|at| u16::try_from(at).ok());
            let stands =
                |at| core.member.as_ref().is_some_and(|it| it.standing(at) == Standing::Alive);
            **name == self.me || at.is_some_and(stands)
        };
        let heard = self.controllers.iter().filter(is_heard).cloned().collect();
        Some(View { store, list, controllers, words, dead, heard })
    }

    /// As the store has it, whichever store that was.
    ///
    /// # Errors
    /// When it is of a later release, or no list.
    fn list(&self) -> Result<Option<VoterList>, api::ReadError> {
        self.items.get(LIST).map(|(value, _)| api::decode(value)).transpose()
    }

    fn offered(&self, list: &List) {
        let former =
            self.newest.as_ref().map_or_else(|| "the file".to_owned(), VoterList::to_string);
        let event = Event {
            what: "voters-changed".to_owned(),
            object: format!("node/{}", self.me),
            evidence: format!("before: {former}"),
            decision: format!("who votes about virtual IPs: {}", stored(list)),
            action: "committed; each vip process goes by it as soon as it is told".to_owned(),
            ..Event::default()
        };
        // An agent that is too busy for it shows the list all the same.
        let _ = self.hands.voice().say(&Report::Event(event));
    }
}
