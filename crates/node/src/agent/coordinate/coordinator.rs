//! The role `leader`: one agent at a time proposes intents, orders their steps, and writes down what came of
//! them. On a thread of its own, beside the agent's loop.
//!
//! ```text
//!   lock/leader, watched --> Succession --> Begin --> read what is open --> Leader --> orders, commits
//!   verdicts ------------------> |                                          ^           |
//!                                +--> Stop: nothing more is ordered          +-- answers +
//! ```
//!
//! Whoever holds the name acts under its token, for as long as [`Succession`] says; it decides too when the name
//! is taken, and from whom.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Carried, Event};
use base::Time;
use engine::Buffer;
use engine::intent::{self, Action, LEADER, Leader, Wish};
use engine::kv::{self, LOCKS, Outcome, Token, Transaction, acquired};
use engine::replay::LeaderFact;
use engine::succession::{self, Holder, Succession};
use engine::tenure::End;
use store::{Link, News};

use super::NOTHING_DONE;
use super::steps::Steps;
use crate::agent::core::Core;
use crate::agent::errands::Desk;
use crate::agent::lock;

pub(super) use tape::Tape;

mod name;
mod orders;
mod tape;

/// How long the store keeps the name of one that is gone and of which nobody says so. Half as long would double what an
/// idle cluster writes, one entry in two seconds.
const LIMIT: Duration = Duration::from_secs(8);
/// What the store did not answer is asked again after this.
const AGAIN: Duration = Duration::from_millis(500);
/// The loop waits no longer: it looks whether its node is at rest.
const GLANCE: Duration = Duration::from_secs(1);

/// What is told whoever asked for an intent: its number, or why there is none.
pub(super) type Told = Result<u64, String>;

/// What comes to the coordinator.
pub(super) enum Mail {
    /// Somebody wants an intent.
    Wish {
        wish: Wish,
        tell: Sender<Told>,
    },
    /// An operator wants this node to coordinate: told when it has the name, or why not.
    Take {
        tell: Sender<Result<(), String>>,
    },
    /// What became of taking the name from whoever had it.
    Free {
        take: u64,
        answer: Result<Outcome, store::Error>,
    },
    /// There is another verdict on somebody.
    Look,
    /// Of the key of the name.
    Name(News),
    /// The store's answer to a question of the tenure.
    Tenure {
        question: u64,
        answer: Result<Outcome, store::Error>,
    },
    /// Which store it is that gave the name, for one that begins.
    Store {
        office: u64,
        answer: Result<store::Report, store::Error>,
    },
    /// What the store has, for one that begins.
    Read {
        office: u64,
        answer: Result<Outcome, store::Error>,
    },
    Applied {
        office: u64,
        commit: u64,
        asked: Transaction,
        answer: Result<Outcome, store::Error>,
    },
    /// What came of an order, or why nothing did: then it is ordered again.
    Carried {
        office: u64,
        number: u64,
        step: u8,
        what: Result<Carried, String>,
    },
}

/// What waits to be asked again.
enum Question {
    Store,
    Read(Transaction),
    Commit(u64, Transaction),
}

/// A time in office.
struct Office {
    /// Which one of this process: another store may give the same token again.
    number: u64,
    token: Token,
    /// Until then a former one may act.
    alone_from: Time,
    /// From whom it was taken, in words.
    taken: String,
    /// Of the store that gave it; 0: it does not tell.
    incarnation: u64,
    /// The newest number, once it is known which intents are open.
    last: Option<u64>,
    leader: Option<Leader>,
    again: Vec<(Time, Question)>,
    /// Orders that are on their way.
    ordered: BTreeSet<(u64, u8)>,
    asked: HashMap<u64, Sender<Told>>,
}

impl Office {
    fn new(number: u64, token: Token, alone_from: Time, taken: String) -> Self {
        Self {
            number,
            token,
            alone_from,
            taken,
            incarnation: 0,
            last: None,
            leader: None,
            again: vec![(sys::clock::now(), Question::Store)],
            ordered: BTreeSet::new(),
            asked: HashMap::new(),
        }
    }
}

/// Why nothing is ordered of a node: it is known to be gone.
pub(super) type Gone = Box<dyn Fn(&str) -> Option<String> + Send>;

/// What a coordinator needs.
pub(super) struct Place {
    pub(super) me: String,
    /// Of all nodes, by position.
    pub(super) names: Vec<String>,
    /// Of the store.
    pub(super) members: Vec<String>,
    pub(super) link: Link,
    pub(super) desk: Desk,
    pub(super) steps: Arc<Steps>,
    pub(super) is_gone: Gone,
    /// What the agent knows, and shows.
    pub(super) here: Arc<Mutex<Core>>,
    pub(super) tape: Tape,
}

struct Coordinator {
    place: Place,
    letters: Receiver<Mail>,
    /// For answers to itself.
    box_of: Sender<Mail>,
    succession: Succession,
    /// What the watch of the name told last.
    revision: u64,
    told: Option<Holder>,
    /// What `outlast status` reads.
    shown: Option<Holder>,
    /// The name is being taken from whoever has it: who is told.
    takers: HashMap<u64, Sender<Result<(), String>>>,
    office: Option<Office>,
    /// Counts times in office, and those who asked.
    offices: u64,
    askers: u64,
}

/// Starts it; nothing: the system has no thread left.
pub(super) fn start(place: Place) -> Option<Sender<Mail>> {
    let (box_of, letters) = mpsc::channel();
    let me = place.members.iter().position(|member| *member == place.me);
    let succession = Succession::new(u8::try_from(me?).ok()?, LIMIT);
    let (tell, looks) = (box_of.clone(), box_of.clone());
    lock(&place.here).concludes = Some(Box::new(move || {
        // The coordinator ends with the process.
        let _ = looks.send(Mail::Look);
    }));
    let coordinator = Coordinator {
        place,
        letters,
        box_of,
        succession,
        revision: 0,
        told: None,
        shown: None,
        takers: HashMap::new(),
        office: None,
        offices: 0,
        askers: 0,
    };
    let work = move || coordinator.run();
    std::thread::Builder::new().name("coordinator".to_owned()).spawn(work).ok()?;
    Some(tell)
}

impl Coordinator {
    /// Until the process ends.
    fn run(mut self) {
        let tell = self.box_of.clone();
        self.place.link.watch(kv::Keys::One(format!("{LOCKS}{LEADER}")), move |news| {
            // The coordinator ends with the process.
            let _ = tell.send(Mail::Name(news));
        });
        loop {
            let (now, deadline) = (sys::clock::now(), self.deadline());
            let wait =
                if deadline == Time::NEVER { GLANCE } else { deadline.since(now).min(GLANCE) };
            match self.letters.recv_timeout(wait) {
                // Whatever came, time has passed: what must stop is stopped first.
                Ok(mail) => {
                    self.wind();
                    self.take(mail);
                }
                Err(RecvTimeoutError::Timeout) => self.wind(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn deadline(&self) -> Time {
        let office = self.office.as_ref();
        let leader = office.and_then(|office| office.leader.as_ref()).map(Leader::deadline);
        let again = office.and_then(|office| office.again.iter().map(|(at, _)| *at).min());
        let never = Time::NEVER;
        self.succession.deadline().min(leader.unwrap_or(never)).min(again.unwrap_or(never))
    }

    /// Its clocks.
    fn wind(&mut self) {
        self.succeed(succession::Input::Looks(self.view()));
        let now = sys::clock::now();
        let Some(office) = self.office.as_mut() else { return };
        let (due, later) = office.again.drain(..).partition(|(at, _)| *at <= now);
        office.again = later;
        let due: Vec<(Time, Question)> = due;
        let leads = office.leader.as_ref().is_some_and(|leader| leader.deadline() <= now);
        for (_, question) in due {
            self.ask(question);
        }
        if leads {
            self.lead(intent::Input::Timeout);
        }
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Wish { wish, tell } => self.wished(wish, tell),
            Mail::Take { tell } => {
                self.askers += 1;
                self.takers.insert(self.askers, tell);
                self.succeed(succession::Input::Asked { asker: self.askers });
            }
            Mail::Free { take, answer } => self.freed(take, answer),
            // It was looked at just now.
            Mail::Look => {}
            Mail::Name(news) => self.named(news),
            Mail::Tenure { question, answer } => {
                // Without an answer it asks again.
                let Ok(outcome) = answer else { return };
                let revision = outcome.revision;
                self.succeed(match acquired(&outcome) {
                    Ok(token) => succession::Input::Granted { question, token },
                    Err(held) => {
                        let holder = held.map(|held| self.holder(&held.holder, held.token));
                        succession::Input::Refused { question, revision, holder }
                    }
                });
            }
            Mail::Store { office, answer } => self.knows_store(office, answer),
            Mail::Read { office, answer } => self.has_read(office, answer),
            Mail::Applied { office, commit, asked, answer } => {
                let Some(office) = self.office.as_mut().filter(|own| own.number == office) else {
                    return;
                };
                match answer {
                    Ok(outcome) => self.lead(intent::Input::Applied { commit, outcome }),
                    // It may have been applied: the same again is answered as the first time.
                    Err(_) => {
                        let at = sys::clock::now() + AGAIN;
                        office.again.push((at, Question::Commit(commit, asked)));
                    }
                }
            }
            Mail::Carried { office, number, step, what } => {
                self.carried(office, (number, step), what);
            }
        }
    }

    fn wished(&mut self, wish: Wish, tell: Sender<Told>) {
        self.askers += 1;
        let (asker, me) = (self.askers, &self.place.me);
        let Some(office) = self.office.as_mut().filter(|office| office.leader.is_some()) else {
            // Who asked may have gone away.
            let _ = tell.send(Err(format!("{me} does not coordinate now: {NOTHING_DONE}")));
            return;
        };
        office.asked.insert(asker, tell);
        self.lead(intent::Input::Asked { asker, wish });
    }

    fn succeed(&mut self, input: succession::Input) {
        let mut out = Buffer::new();
        self.succession.step(sys::clock::now(), input, &mut out);
        for action in out.drain() {
            let (limit, me) = (self.succession.limit_ms(), &self.place.me);
            match action {
                succession::Action::Bequeath { take, from } => self.bequeath(take, from),
                succession::Action::Acquire { question, inherits } => {
                    let ask = if inherits { kv::inherit } else { kv::acquire };
                    self.tenure_asks(question, ask(LEADER, me, limit));
                }
                succession::Action::Renew { question, token } => {
                    self.tenure_asks(question, kv::renew(LEADER, token, me, limit));
                }
                // If it is lost the name goes by itself.
                succession::Action::Release { token } => {
                    self.place.link.transact(kv::release(LEADER, token), drop);
                }
                succession::Action::Begin { token, alone_from, taken } => {
                    self.offices += 1;
                    let taken = taken.map(|taken| self.taken(taken)).unwrap_or_default();
                    self.office = Some(Office::new(self.offices, token, alone_from, taken));
                }
                succession::Action::Stop { token, why } => self.stop(token, why),
                succession::Action::Tell { asker, outcome } => self.took(asker, outcome),
            }
        }
        self.show();
    }

    fn tenure_asks(&self, question: u64, transaction: Transaction) {
        let tell = self.box_of.clone();
        self.place.link.transact(transaction, move |answer| {
            let _ = tell.send(Mail::Tenure { question, answer });
        });
    }

    /// Who waits is told by the end of his channel.
    fn stop(&mut self, token: Token, why: End) {
        let Some(leader) = self.office.take().and_then(|office| office.leader) else { return };
        self.place.tape.turn(sys::clock::now(), Some(&leader), &LeaderFact::Ends);
        let (evidence, next) = match why {
            End::TimeIsUp => (
                "nobody renewed it in time: the store had no majority, or this process was not run",
                "whoever reaches a majority goes on",
            ),
            End::Replaced => ("the store or a receiver knows a later one", "the later one goes on"),
            End::GivenBack => (
                "it was given back: this node is at rest, or another one has it",
                "another one goes on",
            ),
        };
        self.tell("coordinator-ended", format!("token {}: {evidence}", token.0), next);
    }

    fn tell(&self, what: &str, evidence: String, decision: &str) {
        self.place.steps.tell(Event {
            what: what.to_owned(),
            object: format!("node/{}", self.place.me),
            evidence,
            decision: decision.to_owned(),
            ..Event::default()
        });
    }

    fn ask(&mut self, question: Question) {
        let Some(office) = self.office.as_mut() else { return };
        let (office, tell) = (office.number, self.box_of.clone());
        match question {
            Question::Store => self.place.link.report(move |answer| {
                let _ = tell.send(Mail::Store { office, answer });
            }),
            Question::Read(transaction) => self.place.link.transact(transaction, move |answer| {
                let _ = tell.send(Mail::Read { office, answer });
            }),
            Question::Commit(commit, asked) => {
                self.place.link.transact(asked.clone(), move |answer| {
                    let _ = tell.send(Mail::Applied { office, commit, asked, answer });
                });
            }
        }
    }

    /// Before anything is read under the token: what is read then is of this store, or the token is not there.
    fn knows_store(&mut self, office: u64, answer: Result<store::Report, store::Error>) {
        let Some(office) = self.office.as_mut().filter(|own| own.number == office) else {
            return;
        };
        let known = answer.ok().filter(|report| report.incarnation.is_some() || is_outside(report));
        let Some(report) = known else {
            return office.again.push((sys::clock::now() + AGAIN, Question::Store));
        };
        office.incarnation = report.incarnation.unwrap_or_default();
        self.ask(Question::Read(intent::read()));
    }

    /// First which are open, then those.
    fn has_read(&mut self, office: u64, answer: Result<Outcome, store::Error>) {
        let now = sys::clock::now();
        let Some(office) = self.office.as_mut().filter(|own| own.number == office) else {
            return;
        };
        let Ok(outcome) = answer else {
            office.last = None;
            office.again.push((now + AGAIN, Question::Read(intent::read())));
            return;
        };
        let Some(last) = office.last else {
            let (last, open) = intent::opened(&outcome);
            office.last = Some(last);
            return self.ask(Question::Read(intent::read_each(&open)));
        };
        let token = office.token;
        if !intent::begins(&outcome, token, &self.place.me) {
            // Another one holds the name, or it is another store that was read.
            return self.succeed(succession::Input::Stale { token });
        }
        let store = office.incarnation;
        let (intents, alone_from) = (intent::found(&outcome), office.alone_from);
        let leader = Leader::new(now, (store, token), last, intents.clone()).beside(alone_from);
        let fact = LeaderFact::Begins { incarnation: store, token, last, alone_from, intents };
        self.place.tape.turn(now, None, &fact);
        let open = leader.open().count();
        office.leader = Some(leader);
        let gave = format!("{}the store gave it token {}", office.taken, token.0);
        self.tell("coordinator-began", gave, &format!("goes on with {open} open intents"));
        self.lead(intent::Input::Timeout);
    }

    fn lead(&mut self, input: intent::Input) {
        let now = sys::clock::now();
        let held = self.succession.token(now);
        let Some(office) = self.office.as_mut() else { return };
        if held != Some(office.token) {
            // Whatever acts is stopped before anything else is done.
            return self.succeed(succession::Input::Timeout);
        }
        let token = office.token;
        let Some(leader) = &mut office.leader else { return };
        let mut out = Buffer::new();
        self.place.tape.step(now, leader, input, &mut out);
        for action in out.drain() {
            match action {
                Action::Commit { commit, transaction } => {
                    self.ask(Question::Commit(commit, transaction));
                }
                Action::Order { node, order } => self.order(&node, order),
                Action::Tell { asker, outcome } => {
                    let tell = self.office.as_mut().and_then(|office| office.asked.remove(&asker));
                    // Who asked may have gone away.
                    let _ = tell.map(|tell| tell.send(outcome));
                }
                Action::StepDown => return self.succeed(succession::Input::Stale { token }),
            }
        }
    }
}

/// Of an etcd: it knows no incarnation.
fn is_outside(report: &store::Report) -> bool {
    report.engine == "etcd"
}
