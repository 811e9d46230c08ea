//! Three controllers that want to lead, three nodes that do steps, one store that never fails. What is asked for are
//! steps that do or fail, or the procedures of the product, which change a small cluster.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use base::Time;
use engine::Buffer;
use engine::intent::{
    Action, At, Duty, INTENTS, Input, LEADER, Leader, Receiver, Record, State, Wish, Word, begins,
    number, read_each,
};
use engine::kv::{
    Command, Entry, Keys, Kv, Outcome, Token, Transaction, acquire, acquired, release, renew,
};
use engine::procedure;
use engine::tenure::{self, Tenure};

use super::cloud::Cloud;

const CONTROLLERS: usize = 3;
const NODES: usize = 3;
const TICK: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(10);
/// Longer than a time in office.
const PAUSE: Duration = Duration::from_secs(25);
const RESTART: Duration = Duration::from_secs(1);
/// Two times in office, a pause, and room.
const END: Duration = Duration::from_secs(90);

/// Revisions before the first of the store that is there at the beginning.
const SKIPPED: u64 = 1_000;

/// Who acts: controllers first, then nodes.
type Process = usize;

/// The process that is about to take the step of this number dies, or stands still, before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blow {
    pub(crate) at: usize,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Kill,
    Pause,
    /// Nobody is struck: the store is founded anew, empty, while everybody goes on.
    Found,
}

/// Something that one process does next.
#[derive(Clone, Debug)]
enum Deed {
    Tenure(tenure::Action),
    /// Of the leader that ordered it, by its number.
    Lead(u64, Action),
    Duty(Duty),
    /// Messages that arrived.
    ToTenure(tenure::Input),
    /// To the leader of this number, or to whichever there is.
    ToLeader(Option<u64>, Input),
    ToNode(Word),
}

struct Controller {
    tenure: Tenure,
    leader: Option<Leader>,
    /// Of the store in which it leads.
    store: u64,
    /// Which of all leaders it is.
    number: u64,
}

pub(crate) struct World {
    now: Time,
    kv: Kv,
    /// Of the store: one more with each founding.
    incarnation: u64,
    controllers: Vec<Controller>,
    receivers: Vec<Receiver>,
    disks: Vec<Receiver>,
    queues: Vec<VecDeque<Deed>>,
    /// Until when a process does nothing; a killed one begins anew then.
    away: Vec<Option<(Time, How)>>,
    blows: Vec<Blow>,
    requests: Vec<Wish>,
    /// What the procedures of the product change.
    pub(crate) cloud: Cloud,
    asked: bool,
    /// Steps taken so far, by whomever.
    pub(crate) actions: usize,
    /// What was done in the world.
    pub(crate) effects: Vec<At>,
    pub(crate) looked: usize,
    pub(crate) stale: usize,
    /// Orders of a former store that were refused.
    pub(crate) former: usize,
    pub(crate) leaders: usize,
}

impl World {
    pub(crate) fn new(requests: Vec<Wish>, blows: &[Blow]) -> Self {
        let processes = CONTROLLERS + NODES;
        let mut world = Self {
            now: Time::ZERO,
            kv: Kv::new(),
            incarnation: 1,
            controllers: vec![],
            receivers: vec![Receiver::default(); NODES],
            disks: vec![Receiver::default(); NODES],
            queues: vec![VecDeque::new(); processes],
            away: vec![None; processes],
            blows: blows.to_vec(),
            requests,
            cloud: Cloud::new(),
            asked: false,
            actions: 0,
            effects: vec![],
            looked: 0,
            stale: 0,
            former: 0,
            leaders: 0,
        };
        // It is old: what is founded after it gives smaller tokens.
        world.kv.skip(SKIPPED);
        for controller in 0..CONTROLLERS {
            world.controllers.push(Controller {
                tenure: Tenure::new(LIMIT),
                leader: None,
                store: 0,
                number: 0,
            });
            world.queues[controller].push_back(Deed::ToTenure(tenure::Input::Want(true)));
        }
        world
    }

    pub(crate) fn run(&mut self) {
        while self.now < Time::ZERO + END {
            self.now += TICK;
            self.wake();
            for controller in 0..CONTROLLERS {
                if self.away[controller].is_none() {
                    self.queues[controller].push_back(Deed::ToTenure(tenure::Input::Timeout));
                    self.queues[controller].push_back(Deed::ToLeader(None, Input::Timeout));
                }
            }
            self.ask();
            for process in 0..self.queues.len() {
                // What is sent in this tick arrives in the next one, or later in this.
                for _ in 0..self.queues[process].len() {
                    if self.away[process].is_some() {
                        break;
                    }
                    let Some(deed) = self.queues[process].pop_front() else { break };
                    self.take(process, deed);
                }
            }
        }
    }

    /// The requests, once, to whoever leads.
    fn ask(&mut self) {
        let leads = |c: &Controller| c.leader.is_some() && c.store == self.incarnation;
        let leader = self.controllers.iter().position(leads);
        let Some(leader) = leader.filter(|_| !self.asked) else { return };
        self.asked = true;
        let number = Some(self.controllers[leader].number);
        for (asker, wish) in (0..).zip(self.requests.clone()) {
            let input = Input::Asked { asker, wish };
            self.queues[leader].push_back(Deed::ToLeader(number, input));
        }
    }

    fn wake(&mut self) {
        for process in 0..self.away.len() {
            let Some((_, how)) = self.away[process].filter(|(until, _)| *until <= self.now) else {
                continue;
            };
            self.away[process] = None;
            if matches!(how, How::Pause) {
                continue; // it goes on with what it had in its hand
            }
            self.queues[process].clear();
            if process < CONTROLLERS {
                self.controllers[process] =
                    Controller { tenure: Tenure::new(LIMIT), leader: None, store: 0, number: 0 };
                self.queues[process].push_back(Deed::ToTenure(tenure::Input::Want(true)));
            } else {
                let node = process - CONTROLLERS;
                self.receivers[node] = self.disks[node].clone().restarted();
            }
        }
    }

    /// One step of one process, unless it is struck before it.
    fn take(&mut self, process: Process, deed: Deed) {
        let is_idle = matches!(
            deed,
            Deed::ToTenure(tenure::Input::Timeout) | Deed::ToLeader(None, Input::Timeout)
        );
        if !is_idle {
            if let Some(blow) = self.blows.iter().find(|blow| blow.at == self.actions) {
                self.actions += 1;
                let (span, how) = match blow.how {
                    How::Kill => (RESTART, How::Kill),
                    How::Pause => (PAUSE, How::Pause),
                    How::Found => {
                        (self.kv, self.incarnation, self.asked) =
                            (Kv::new(), self.incarnation + 1, false);
                        return self.queues[process].push_front(deed);
                    }
                };
                self.away[process] = Some((self.now + span, how));
                self.queues[process].push_front(deed);
                return;
            }
            self.actions += 1;
        }
        match deed {
            Deed::ToTenure(input) => {
                let mut out = Buffer::new();
                self.controllers[process].tenure.step(self.now, input, &mut out);
                self.next(process, out.drain().map(Deed::Tenure));
            }
            Deed::ToLeader(meant, input) => {
                let Controller { leader, number, .. } = &mut self.controllers[process];
                let Some(leader) = leader.as_mut().filter(|_| meant.is_none_or(|n| n == *number))
                else {
                    return;
                };
                let (mut out, number) = (Buffer::new(), *number);
                leader.step(self.now, input, &mut out);
                self.next(process, out.drain().map(|action| Deed::Lead(number, action)));
            }
            Deed::ToNode(word) => {
                let is_former = matches!(&word, Word::Ordered(order) if order.at.incarnation < self.incarnation);
                let mut out = Buffer::new();
                self.receivers[process - CONTROLLERS].step(word, &mut out);
                let is_refused = out.iter().any(|duty| matches!(duty, Duty::Stale));
                self.former += usize::from(is_former && is_refused);
                self.next(process, out.drain().map(Deed::Duty));
            }
            Deed::Tenure(action) => self.hold(process, action),
            Deed::Lead(number, action) => self.lead(process, number, action),
            Deed::Duty(duty) => self.serve(process, duty),
        }
    }

    /// What a machine ordered comes before what arrives later.
    fn next(&mut self, process: Process, deeds: impl Iterator<Item = Deed>) {
        let deeds: Vec<Deed> = deeds.collect();
        for deed in deeds.into_iter().rev() {
            self.queues[process].push_front(deed);
        }
    }

    fn apply(&mut self, transaction: Transaction) -> Outcome {
        let clock = u64::try_from(self.now.since(Time::ZERO).as_millis()).unwrap();
        self.kv.apply(&Entry { clock, command: Command::Transact(transaction) }).unwrap()
    }

    fn hold(&mut self, process: Process, action: tenure::Action) {
        let id = format!("controller{process}");
        let limit = self.controllers[process].tenure.limit_ms();
        let (transaction, question) = match action {
            tenure::Action::Acquire { question } => (acquire(LEADER, &id, limit), question),
            tenure::Action::Renew { question, token } => {
                (renew(LEADER, token, &id, limit), question)
            }
            tenure::Action::Release { token } => {
                self.apply(release(LEADER, token));
                return;
            }
            tenure::Action::Begin { token } => return self.begin(process, token),
            tenure::Action::Stop { .. } => {
                self.controllers[process].leader = None;
                return;
            }
        };
        let outcome = self.apply(transaction);
        let input = match acquired(&outcome) {
            Ok(token) => tenure::Input::Granted { question, token },
            Err(_) => tenure::Input::Refused { question },
        };
        self.queues[process].push_back(Deed::ToTenure(input));
    }

    fn begin(&mut self, process: Process, token: Token) {
        let read = self.apply(read_each(&[]));
        if !begins(&read, token, &format!("controller{process}")) {
            let stale = Deed::ToTenure(tenure::Input::Stale { token });
            return self.queues[process].push_front(stale);
        }
        self.leaders += 1;
        let last = self.kv.get("intent-last").map_or(0, |item| {
            u64::from_be_bytes((*item.value).try_into().expect("a number has 8 bytes"))
        });
        let intents = self.records().collect();
        self.controllers[process].store = self.incarnation;
        self.controllers[process].number = self.leaders as u64;
        self.controllers[process].leader =
            Some(Leader::new(self.now, (self.incarnation, token), last, intents));
    }

    fn lead(&mut self, process: Process, number: u64, action: Action) {
        match action {
            Action::Commit { commit, transaction } => {
                let outcome = self.apply(transaction);
                let input = Input::Applied { commit, outcome };
                self.queues[process].push_back(Deed::ToLeader(Some(number), input));
            }
            Action::Order { node, order } => {
                let node: usize = node.strip_prefix("node").unwrap().parse().unwrap();
                self.queues[CONTROLLERS + node].push_back(Deed::ToNode(Word::Ordered(order)));
            }
            Action::Tell { .. } => {}
            Action::StepDown if self.controllers[process].number == number => {
                self.controllers[process].leader = None;
            }
            Action::StepDown => {}
        }
    }

    fn serve(&mut self, process: Process, duty: Duty) {
        let node = process - CONTROLLERS;
        match duty {
            Duty::Keep => self.disks[node] = self.receivers[node].clone(),
            Duty::Do { at, what } => {
                let outcome = self.cloud.does(&what);
                // Who waits changes nothing, and may wait once more.
                let waits = matches!(procedure::read(&what), Ok(procedure::Deed::Empty { .. }));
                if outcome.is_ok() && !(waits && self.effects.contains(&at)) {
                    self.effects.push(at);
                }
                let word = Word::Ended { at, outcome };
                self.queues[process].push_back(Deed::ToNode(word));
            }
            Duty::Look { at, what } => {
                self.looked += 1;
                let is_done =
                    self.cloud.is_done(&what).unwrap_or_else(|| self.effects.contains(&at));
                let word = Word::Looked { at, is_done };
                self.queues[process].push_back(Deed::ToNode(word));
            }
            Duty::Answer { at: At { incarnation, number, step }, outcome } => {
                let input = Input::Answered { number, step, outcome };
                self.tell_leaders(incarnation, &input);
            }
            Duty::Stale => self.stale += 1,
        }
    }

    /// Answers go to everybody who believes to lead; the tokens sort that out.
    fn tell_leaders(&mut self, store: u64, input: &Input) {
        for controller in 0..CONTROLLERS {
            // Who ordered it knows in which store; an order waits for no leader after that one.
            let Controller { leader, store: own, .. } = &self.controllers[controller];
            if leader.is_some() && *own == store {
                self.queues[controller].push_back(Deed::ToLeader(None, input.clone()));
            }
        }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, Record)> {
        let (items, _) = self.kv.range(&Keys::Prefix(INTENTS.to_owned()), usize::MAX);
        items.into_iter().map(|(key, item)| {
            (number(&key).unwrap(), Record::decode(&item.value).expect("a whole record"))
        })
    }

    /// Each intent ended, once, and its steps were done once, in order, up to where it ended.
    pub(crate) fn check(&self) {
        let said = format!("{:?}: {:?}", self.blows, self.effects);
        let once: BTreeSet<At> = self.effects.iter().copied().collect();
        assert_eq!(once.len(), self.effects.len(), "a step was done twice; {said}");
        let first = if self.incarnation == 1 { SKIPPED } else { 0 };
        let mut ends: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for change in self.kv.changes(first, &Keys::Prefix(INTENTS.to_owned())).unwrap() {
            let value = change.value.as_ref().expect("no intent is ever deleted");
            ends.entry(change.key.clone()).or_default().push(Record::decode(value).unwrap());
        }
        for (key, written) in ends {
            let number = number(&key).unwrap();
            let last = written.last().unwrap();
            assert!(!last.state.is_open(), "{number} is still {:?}; {said}", last.state);
            for (at, record) in (0_u8..).zip(&written[..written.len() - 1]) {
                assert_eq!(record.state, State::Committed { next: at }, "{number}; {said}");
            }
            let is_it = |at: &&At| (at.incarnation, at.number) == (self.incarnation, number);
            let done: Vec<u8> = self.effects.iter().filter(is_it).map(|at| at.step).collect();
            let wanted = match &last.state {
                State::Done => last.steps.len(),
                State::Failed(_) => written.len() - 2,
                State::Refused(_) | State::Committed { .. } => 0,
            };
            let wanted: Vec<u8> = (0..u8::try_from(wanted).unwrap()).collect();
            assert_eq!(done, wanted, "steps of {number}, {:?}; {said}", last.state);
        }
    }
}
