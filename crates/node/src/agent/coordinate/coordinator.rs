//! The role `leader`: one agent at a time proposes intents, orders their steps, and writes down what came of
//! them. On a thread of its own, beside the agent's loop.
//!
//! ```text
//!   lock/leader, watched --> Tenure --> Begin --> read what is open --> Leader --> orders, commits
//!                              |                                          ^           |
//!                              +--> Stop: nothing more is ordered          +-- answers +
//! ```
//!
//! Whoever holds the name acts under its token, for as long as [`Tenure`] says. The others wait until the
//! store says that nobody holds it.

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
use engine::tenure::{self, End, Tenure};
use store::{Link, News};

use super::NOTHING_DONE;
use super::steps::Steps;
use crate::agent::core::Core;
use crate::agent::errands::Desk;
use name::{Name, Taking};

pub(super) use tape::Tape;

mod name;
mod orders;
mod tape;

/// How long the store keeps the name of one that is gone: so long nothing is ordered. Half as long would
/// double what an idle cluster writes, one entry in two seconds.
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
    /// Whether the name is free for this node now; none: the store did not say.
    Free(Option<bool>),
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
    fn new(number: u64, token: Token) -> Self {
        Self {
            number,
            token,
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
    pub(super) link: Link,
    pub(super) desk: Desk,
    pub(super) steps: Arc<Steps>,
    pub(super) is_gone: Gone,
    /// Whether another member of the store is heard and on duty.
    pub(super) has_heir: Box<dyn Fn() -> bool + Send>,
    /// What the agent knows, and shows.
    pub(super) here: Arc<Mutex<Core>>,
    pub(super) tape: Tape,
}

struct Coordinator {
    place: Place,
    letters: Receiver<Mail>,
    /// For answers to itself.
    box_of: Sender<Mail>,
    tenure: Tenure,
    name: Name,
    /// The name is being taken from whoever has it.
    taking: Option<Taking>,
    /// Its node was at rest when it was looked at last.
    rests: bool,
    office: Option<Office>,
    /// Counts times in office, and those who asked.
    offices: u64,
    askers: u64,
}

/// Starts it; nothing: the system has no thread left.
pub(super) fn start(place: Place) -> Option<Sender<Mail>> {
    let (box_of, letters) = mpsc::channel();
    let (tenure, tell) = (Tenure::new(LIMIT), box_of.clone());
    let coordinator = Coordinator {
        place,
        letters,
        box_of,
        tenure,
        name: Name::default(),
        taking: None,
        rests: false,
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
        let taking = self.taking.as_ref().map_or(never, |taking| taking.until);
        self.tenure.deadline().min(taking).min(leader.unwrap_or(never)).min(again.unwrap_or(never))
    }

    /// Its clocks.
    fn wind(&mut self) {
        self.take_no_longer();
        self.want();
        let now = sys::clock::now();
        if self.tenure.deadline() <= now {
            self.hold(tenure::Input::Timeout);
        }
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
            Mail::Take { tell } => self.take_name(tell),
            Mail::Free(is_free) => self.inherits(is_free),
            Mail::Name(news) => self.named(news),
            Mail::Tenure { question, answer } => {
                // Without an answer it asks again.
                let Ok(outcome) = answer else { return };
                match acquired(&outcome) {
                    Ok(token) => self.hold(tenure::Input::Granted { question, token }),
                    Err(held) => {
                        self.took(Err(held));
                        self.hold(tenure::Input::Refused { question });
                    }
                }
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

    fn hold(&mut self, input: tenure::Input) {
        let mut out = Buffer::new();
        self.tenure.step(sys::clock::now(), input, &mut out);
        for action in out.drain() {
            let limit = self.tenure.limit_ms();
            match action {
                tenure::Action::Acquire { question } => {
                    let me = &self.place.me;
                    let asked = if self.taking.is_some() {
                        kv::inherit(LEADER, me, limit)
                    } else {
                        kv::acquire(LEADER, me, limit)
                    };
                    self.tenure_asks(question, asked);
                }
                tenure::Action::Renew { question, token } => {
                    self.tenure_asks(question, kv::renew(LEADER, token, &self.place.me, limit));
                }
                // If it is lost the name goes by itself.
                tenure::Action::Release { token } => {
                    self.place.link.transact(kv::release(LEADER, token), drop);
                }
                tenure::Action::Begin { token } => {
                    self.offices += 1;
                    self.office = Some(Office::new(self.offices, token));
                    self.took(Ok(()));
                }
                tenure::Action::Stop { token, why } => self.stop(token, why),
            }
        }
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
            return self.hold(tenure::Input::Stale { token });
        }
        let store = office.incarnation;
        let intents = intent::found(&outcome);
        let leader = Leader::new(now, (store, token), last, intents.clone());
        let fact = LeaderFact::Begins { incarnation: store, token, last, intents };
        self.place.tape.turn(now, None, &fact);
        let open = leader.open().count();
        office.leader = Some(leader);
        let goes_on = format!("goes on with {open} open intents");
        self.tell("coordinator-began", format!("the store gave it token {}", token.0), &goes_on);
        self.lead(intent::Input::Timeout);
    }

    fn lead(&mut self, input: intent::Input) {
        let now = sys::clock::now();
        let held = self.tenure.token(now);
        let Some(office) = self.office.as_mut() else { return };
        if held != Some(office.token) {
            // Whatever acts is stopped before anything else is done.
            return self.hold(tenure::Input::Timeout);
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
                Action::StepDown => return self.hold(tenure::Input::Stale { token }),
            }
        }
    }
}

/// Of an etcd: it knows no incarnation.
fn is_outside(report: &store::Report) -> bool {
    report.engine == "etcd"
}
