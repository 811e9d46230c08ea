//! Drives what acts on the store: the succession and leader of each controller, the receiver of each host.
//!
//! A driver does one deed at a time, and its process can die or stand still between any two: what was
//! in its hand is lost, or is done late.

use std::collections::VecDeque;
use std::time::Duration;

use base::Time;
use engine::Buffer;
use engine::intent::{self, Action, Duty, Leader, Receiver, Word};
use engine::kv::{Outcome, Token, Transaction};
use engine::succession::{self, Succession, View};
use engine::tenure;

use super::mail::{Asker, Mail};
use super::mark::Mark;
use super::queue::Due;
use super::version::{LATER, Version};
use super::{World, mix};

/// The shortest time in office that there is: a leader of whom nobody says that it is gone is followed within it.
pub(super) const LIMIT: Duration = tenure::SHORTEST;
/// Between two deeds of a process.
const BETWEEN: Duration = Duration::from_micros(200);
/// A commit or a read that was not answered is sent again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// The store said that nobody leads it.
const SOON: Duration = Duration::from_millis(100);
/// A watch tells a change so much later, at most.
const WATCH: Duration = Duration::from_millis(250);
/// The incarnation of the store: in this world it is founded once.
const STORE: u64 = 1;
/// What a process has before it at most; more is not read from its sockets.
const MAX_DEEDS: usize = 512;

/// Something that a process does next.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Hold(succession::Action),
    Lead(Token, Action),
    Serve {
        duty: Duty,
        from: u16,
        token: Token,
    },
    /// Its disk took what it was given.
    Keep,
    ToSuccession(succession::Input),
    /// It looks at the others, and at itself.
    Look,
    ToLeader(intent::Input),
    ToNode {
        word: Word,
        from: u16,
        token: Token,
    },
    Replied(Asker, Option<Outcome>),
}

/// What was proposed and must be answered.
#[derive(Clone, Debug)]
struct Waiting {
    asker: Asker,
    transaction: Transaction,
    again_at: Time,
}

/// The part of one agent that this is about.
#[derive(Debug, Default)]
pub(super) struct Office {
    /// Of controllers that run.
    pub(super) succession: Option<Succession>,
    /// What it saw when it looked last.
    pub(super) view: View,
    /// When it asks again who has the name, and looks around.
    watch_at: Time,
    pub(super) leader: Option<(Token, Leader)>,
    /// With the newest number, once it is known which intents are open.
    reading: Option<(Token, Option<u64>)>,
    waiting: Vec<Waiting>,
    pub(super) receiver: Receiver,
    /// What it was told last, and what it knew before, until that is kept.
    pub(super) in_hand: Option<(Receiver, Word, u16, Token)>,
    /// It waits so long for its disk.
    pub(super) late: Duration,
    queue: VecDeque<Deed>,
    /// Until then a former leader may order.
    pub(super) alone_from: Time,
    /// Counts processes: an answer to the one before is for nobody.
    pub(super) life: u64,
    is_open: bool,
    next_at: Time,
    turn_at: Time,
}

impl Office {
    pub(super) fn new() -> Self {
        Self { turn_at: Time::NEVER, ..Self::default() }
    }

    /// The token under which it may act now.
    pub(super) fn token(&self, now: Time) -> Option<Token> {
        self.succession.as_ref().and_then(|succession| succession.token(now))
    }

    fn deadline(&self) -> Time {
        let succession = self.succession.as_ref().map_or(Time::NEVER, Succession::deadline);
        let leader = self.leader.as_ref().map_or(Time::NEVER, |(_, leader)| leader.deadline());
        let again = self.waiting.iter().map(|waiting| waiting.again_at).min();
        let watch = if self.succession.is_some() { self.watch_at } else { Time::NEVER };
        succession.min(watch).min(leader).min(again.unwrap_or(Time::NEVER))
    }

    pub(super) fn begins(&mut self, token: Token, alone_from: Time) {
        self.leaves();
        (self.reading, self.alone_from) = (Some((token, None)), alone_from);
    }

    pub(super) fn leaves(&mut self) {
        (self.leader, self.reading) = (None, None);
        self.waiting.clear();
    }

    /// What came of the word in hand, and was not done yet.
    pub(super) fn drop_duties(&mut self) {
        while let Some(Deed::Serve { .. }) = self.queue.front() {
            self.queue.pop_front();
        }
    }

    pub(super) fn put_first(&mut self, deed: Deed) {
        self.queue.push_front(deed);
    }

    /// What a machine ordered comes before what arrives later.
    pub(super) fn first(&mut self, deeds: impl Iterator<Item = Deed>) {
        let deeds: Vec<Deed> = deeds.collect();
        for deed in deeds.into_iter().rev() {
            self.queue.push_front(deed);
        }
    }
}

impl World {
    /// With the agent's process.
    pub(super) fn open_office(&mut self, host: u16) {
        let receiver = self.revive_receiver(host);
        let office = &mut self.offices[usize::from(host)];
        office.leaves();
        office.queue.clear();
        office.life += 1;
        (office.is_open, office.next_at) = (true, self.now);
        (office.receiver, office.in_hand) = (receiver, None);
        if host < self.controllers {
            office.succession = Some(Succession::new(u8::try_from(host).unwrap_or(u8::MAX), LIMIT));
            office.watch_at = Time::ZERO;
        }
        self.plan_office(host);
    }

    pub(super) fn close_office(&mut self, host: u16) {
        let office = &mut self.offices[usize::from(host)];
        office.leaves();
        office.queue.clear();
        (office.succession, office.is_open) = (None, false);
    }

    /// Somebody sent something to the process.
    pub(super) fn put_on_desk(&mut self, host: u16, deed: Deed) {
        let office = &mut self.offices[usize::from(host)];
        if office.is_open && office.queue.len() < MAX_DEEDS {
            if office.queue.is_empty() {
                office.next_at = self.now;
            }
            office.queue.push_back(deed);
            self.plan_office(host);
        }
    }

    pub(super) fn plan_office(&mut self, host: u16) {
        let node = &self.hosts[usize::from(host)];
        let office = &mut self.offices[usize::from(host)];
        if !node.agent_acts() || !office.is_open {
            return;
        }
        let at = if office.queue.is_empty() {
            let at = node.clock.truly(office.deadline());
            if at == Time::NEVER { at } else { at + node.slow }
        } else {
            office.next_at
        };
        if at < office.turn_at {
            office.turn_at = at.max(self.now);
            self.queue.push(office.turn_at, Due::Office { host });
        }
    }

    /// False: it was outdated, or came too early.
    pub(super) fn office_turn(&mut self, at: Time, host: u16) -> bool {
        let local = self.local(host);
        let acts = self.hosts[usize::from(host)].agent_acts();
        let office = &mut self.offices[usize::from(host)];
        if office.turn_at != at {
            return false;
        }
        office.turn_at = Time::NEVER;
        let is_due = acts && (!office.queue.is_empty() || office.deadline() <= local);
        if is_due {
            self.hash = mix(self.hash, u64::from(host) << 8 | 3);
            if self.offices[usize::from(host)].queue.is_empty() {
                self.wind(host, local);
            }
            if let Some(deed) = self.offices[usize::from(host)].queue.pop_front() {
                self.take_deed(host, deed);
            }
            let pause = self.dice.span(BETWEEN.max(self.hosts[usize::from(host)].slow));
            let office = &mut self.offices[usize::from(host)];
            office.next_at = self.now + pause + std::mem::take(&mut office.late);
            self.judge_office(host);
        }
        self.plan_office(host);
        is_due
    }

    /// Its clocks.
    fn wind(&mut self, host: u16, local: Time) {
        let office = &mut self.offices[usize::from(host)];
        let Some(machine) = &office.succession else { return self.wind_rest(host, local) };
        let watches = office.watch_at <= local;
        if watches || machine.deadline() <= local {
            office.queue.push_back(Deed::Look);
        }
        if watches {
            office.watch_at = local + WATCH;
            self.watch_name(host);
        }
        self.wind_rest(host, local);
    }

    /// Of who leads, and of what waits for the store.
    fn wind_rest(&mut self, host: u16, local: Time) {
        let office = &mut self.offices[usize::from(host)];
        if office.leader.as_ref().is_some_and(|(_, leader)| leader.deadline() <= local) {
            office.queue.push_back(Deed::ToLeader(intent::Input::Timeout));
        }
        let mut again = vec![];
        for waiting in office.waiting.iter_mut().filter(|waiting| waiting.again_at <= local) {
            waiting.again_at = local + AGAIN;
            again.push((waiting.asker, waiting.transaction.clone()));
        }
        for (asker, transaction) in again {
            self.propose(host, asker, transaction);
        }
    }

    fn take_deed(&mut self, host: u16, deed: Deed) {
        let local = self.local(host);
        let office = &mut self.offices[usize::from(host)];
        match deed {
            Deed::Look => {
                let view = self.view(host, local);
                self.succeed(host, local, succession::Input::Looks(view));
            }
            Deed::ToSuccession(input) => self.succeed(host, local, input),
            Deed::ToLeader(input) => {
                let held = office.token(local);
                let Some((token, leader)) = &mut office.leader else { return };
                if held != Some(*token) {
                    // Whatever acts is stopped before anything else is done.
                    office.leaves();
                    office.queue.push_front(Deed::ToSuccession(succession::Input::Timeout));
                    return;
                }
                let (mut out, token) = (Buffer::new(), *token);
                let winds = matches!(input, intent::Input::Timeout);
                leader.step(local, input, &mut out);
                let spins = winds && out.is_empty() && leader.deadline() <= local;
                if out.lost() > 0 {
                    self.fail("S limits", host, "its leader ordered more than fits");
                } else if spins {
                    self.fail("S limits", host, "its leader is woken without end and does nothing");
                }
                let deeds = out.drain().map(|action| Deed::Lead(token, action));
                self.offices[usize::from(host)].first(deeds);
            }
            Deed::ToNode { word, from, token } => self.receive(host, word, (from, token)),
            Deed::Replied(asker, outcome) => self.replied(host, asker, outcome),
            Deed::Hold(action) => self.hold_office(host, action),
            Deed::Lead(token, action) => self.lead(host, token, action),
            Deed::Serve { duty, from, token } => self.serve(host, duty, (from, token)),
            Deed::Keep => self.keep_receiver(host),
        }
    }

    /// Until it is answered.
    pub(super) fn ask_store(&mut self, host: u16, asker: Asker, transaction: Transaction) {
        let again_at = self.local(host) + AGAIN;
        let waiting = Waiting { asker, transaction: transaction.clone(), again_at };
        self.offices[usize::from(host)].waiting.push(waiting);
        self.propose(host, asker, transaction);
    }

    /// The store answered; none: nobody leads it.
    fn replied(&mut self, host: u16, asker: Asker, outcome: Option<Outcome>) {
        let local = self.local(host);
        let office = &mut self.offices[usize::from(host)];
        let place = office.waiting.iter().position(|waiting| waiting.asker == asker);
        let Some(outcome) = outcome else {
            if let Some(place) = place {
                office.waiting[place].again_at = local + SOON;
            }
            return self.name_told(host, asker, None);
        };
        match asker {
            Asker::Nobody => {}
            Asker::Client(write) => self.acknowledge(write),
            Asker::Tenure(_) | Asker::Heir { .. } | Asker::Watch => {
                self.name_told(host, asker, Some(&outcome));
            }
            Asker::Read(token) => {
                let Some(place) = place else { return };
                office.waiting.swap_remove(place);
                let leads = office.token(local) == Some(token);
                match office.reading.take() {
                    Some((reading, None)) if reading == token && leads => {
                        let (last, open) = intent::opened(&outcome);
                        office.reading = Some((token, Some(last)));
                        self.ask_store(host, Asker::Read(token), intent::read_each(&open));
                    }
                    Some((reading, Some(last))) if reading == token && leads => {
                        self.begin_to_lead(host, token, last, &outcome);
                    }
                    Some(_) | None => {}
                }
            }
            Asker::Commit { commit, .. } => {
                let Some(place) = place else { return };
                office.waiting.swap_remove(place);
                let input = intent::Input::Applied { commit, outcome };
                office.queue.push_back(Deed::ToLeader(input));
            }
        }
    }

    fn begin_to_lead(&mut self, host: u16, token: Token, last: u64, outcome: &Outcome) {
        let intents = intent::found(outcome);
        let local = self.local(host);
        let alone_from = self.offices[usize::from(host)].alone_from;
        let leader = Leader::new(local, (STORE, token), last, intents).beside(alone_from);
        let open = leader.open().count();
        if open > 0 {
            self.marks.note(Mark::AnotherLeaderWentOn);
        }
        self.say(host, || format!("leads with token {}, {open} intents are open", token.0));
        self.offices[usize::from(host)].leader = Some((token, leader));
        self.offices[usize::from(host)].queue.push_back(Deed::ToLeader(intent::Input::Timeout));
    }

    fn lead(&mut self, host: u16, token: Token, action: Action) {
        match action {
            Action::Commit { commit, transaction } => {
                self.ask_store(host, Asker::Commit { token, commit }, transaction);
            }
            Action::Order { node, order } => {
                let to = self.names.hosts.iter().position(|name| *name == node);
                if let Some(to) = to.and_then(|to| u16::try_from(to).ok()) {
                    self.post(host, to, Mail::Order(order));
                }
            }
            Action::Tell { asker, outcome } => self.judge_promise(host, asker, outcome),
            Action::StepDown => {
                let office = &mut self.offices[usize::from(host)];
                office.leaves();
                let stale = succession::Input::Stale { token };
                office.queue.push_front(Deed::ToSuccession(stale));
            }
        }
    }

    fn receive(&mut self, host: u16, word: Word, (from, token): (u16, Token)) {
        let is_order = matches!(word, Word::Ordered(_));
        let mut out = Buffer::new();
        let office = &mut self.offices[usize::from(host)];
        office.in_hand = Some((office.receiver.clone(), word.clone(), from, token));
        office.receiver.step(word, &mut out);
        if is_order {
            let refused = out.iter().any(|duty| matches!(duty, Duty::Stale));
            self.judge_order(host, token, refused);
        }
        let deeds = out.drain().map(|duty| Deed::Serve { duty, from, token });
        self.offices[usize::from(host)].first(deeds);
    }

    fn serve(&mut self, host: u16, duty: Duty, (from, token): (u16, Token)) {
        match duty {
            Duty::Keep => self.begins_to_keep(host),
            Duty::Do { at, what } => {
                let version = self.hosts[usize::from(host)].version;
                let outcome = if what.verb == "fail" {
                    Err("it does not work".to_owned())
                } else if what.verb == LATER && version < Version::Next {
                    self.marks.note(Mark::RefusedVerb);
                    Err("this version does not know the step".to_owned())
                } else {
                    self.judge_effect(host, (at.number, at.step), &what);
                    Ok(())
                };
                let word = Word::Ended { at, outcome };
                self.post(host, host, Mail::Own { word, from, token });
            }
            Duty::Look { at, what } => {
                self.marks.note(Mark::LookedAfterDeath);
                let version = self.hosts[usize::from(host)].version;
                let knows = what.verb != LATER || version == Version::Next;
                let is_done = knows && self.ledger.is_done(host, (at.number, at.step));
                let word = Word::Looked { at, is_done };
                self.post(host, host, Mail::Own { word, from, token });
            }
            Duty::Answer { at, outcome } => {
                let (number, step) = (at.number, at.step);
                self.post(host, from, Mail::Answer { number, step, outcome });
            }
            Duty::Stale => self.post(host, from, Mail::Stale(token)),
        }
    }
}
