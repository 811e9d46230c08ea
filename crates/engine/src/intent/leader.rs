//! The one that proposes intents, orders their steps, and writes down what came of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::Time;

use super::receiver::{At, Order};
use super::record::VERSION;
use super::{INTENTS, LAST, OPEN, Record, State, Step};
use crate::Buffer;
use crate::kv::{Answer, Outcome, Token, Transaction};

/// Intents under way at once: more than an operator can follow, fewer than would fill a queue.
pub const MAX_OPEN: usize = 64;
/// Requests that wait for their number.
const MAX_ASKED: usize = 64;
/// An order that was not answered is sent again after this.
pub const RESEND: Duration = Duration::from_millis(500);
/// A step that was not answered for so long has failed: ten minutes move the longest disk image that
/// one step may wait for.
pub const STEP_WITHIN: Duration = Duration::from_secs(600);
/// A node of which nobody hears any more for so long, and that is said to be gone, does nothing more: longer
/// than its agent takes to be started again.
pub const GONE_FOR: Duration = Duration::from_secs(3);
/// Orders of one step of the machine; the others are due at once, in the next one.
const MAX_ORDERS: usize = 8;

/// What somebody wants done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wish {
    pub what: String,
    pub object: String,
    /// Who asked, and on which node.
    pub by: String,
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    pub steps: Vec<Step>,
    /// What speaks against it already: it is refused, and that is written down.
    pub objection: Option<String>,
    /// It ends what is under way about the same object, instead of being refused for it.
    pub calls_off: bool,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// Somebody wants this done; `asker` is told the number, or why not.
    Asked {
        asker: u64,
        wish: Wish,
    },
    /// The transaction of [`Action::Commit`] of that number was applied. A commit that is lost on the way
    /// must be committed again by the driver, or the leader gives up its token.
    Applied {
        commit: u64,
        outcome: Outcome,
    },
    /// A receiver's word about a step: done, or why not.
    Answered {
        number: u64,
        step: u8,
        outcome: Result<(), String>,
    },
    /// A step is not done yet, and why: its node refused the order, or was not heard. Empty: it is being
    /// done.
    Hindered {
        number: u64,
        step: u8,
        why: String,
    },
    /// The node of a step was not ordered to do it, as it is known to be gone, and why that is said.
    Gone {
        number: u64,
        step: u8,
        why: String,
    },
    /// A receiver has seen a greater token.
    Stale,
    Timeout,
}

/// What to do, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    Commit {
        commit: u64,
        transaction: Transaction,
    },
    /// Send this to the node of the step.
    Order {
        node: String,
        order: Order,
    },
    /// Tell who asked: the number of the intent, or why there is none.
    Tell {
        asker: u64,
        outcome: Result<u64, String>,
    },
    /// The store knows a later leader: this one must not act any more.
    StepDown,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Not sent before this process began to lead.
    Ordering { since: Time, send_at: Time, gone: Option<Gone> },
    /// Its commit is on the way; `since`: of the step, where that stays the same.
    Committing { next: Record, since: Option<Time> },
}

/// Since when the node of a step is said to be gone, and when that was said last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub(super) first: Time,
    pub(super) last: Time,
}

impl Phase {
    const fn ordering(now: Time) -> Self {
        Self::Ordering { since: now, send_at: now, gone: None }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) record: Record,
    pub(super) phase: Phase,
}

/// Who asked for what.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) asker: u64,
    pub(super) record: Record,
    pub(super) calls_off: bool,
}

/// A commit on the way.
#[derive(Clone, Debug)]
pub(super) enum Commit {
    Proposal { asker: u64, record: Record },
    Progress { number: u64 },
}

/// Leads as long as its token counts; made anew for each time in office.
#[derive(Clone, Debug)]
pub struct Leader {
    pub(super) token: Token,
    /// Of the store that gave the token.
    pub(super) incarnation: u64,
    /// The number of the newest intent.
    pub(super) last: u64,
    pub(super) open: BTreeMap<u64, Open>,
    /// Proposals are committed one at a time: each needs the number of the one before.
    pub(super) asked: VecDeque<Asked>,
    pub(super) proposing: bool,
    pub(super) commits: BTreeMap<u64, Commit>,
    pub(super) commit: u64,
    pub(super) deposed: bool,
    /// Until then a former leader may order by its own reckoning, or an order of it may arrive.
    pub(super) alone_from: Time,
}

impl Leader {
    /// With the open intents of the store ([`super::read_each`]), read after `token` was granted by the store of
    /// this incarnation ([`At::incarnation`]), and the newest number.
    #[must_use]
    pub fn new(
        now: Time,
        (incarnation, token): (u64, Token),
        last: u64,
        intents: Vec<(u64, Record)>,
    ) -> Self {
        let phase = Phase::ordering(now);
        let open = intents.into_iter().filter(|(_, record)| record.state.is_open());
        Self {
            token,
            incarnation,
            last,
            open: open
                .map(|(number, record)| (number, Open { record, phase: phase.clone() }))
                .collect(),
            asked: VecDeque::new(),
            proposing: false,
            commits: BTreeMap::new(),
            commit: 0,
            deposed: false,
            alone_from: now,
        }
    }

    /// Beside a former leader that may order until then, as nobody told it that it leads no more: what it ordered of a
    /// node is refused once this one has ordered something there. So a step is not said to have failed before that
    /// without the word of its node.
    #[must_use]
    pub const fn beside(mut self, until: Time) -> Self {
        self.alone_from = until;
        self
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        if self.deposed {
            return Time::NEVER;
        }
        let due = self.open.values().map(|open| match open.phase {
            Phase::Ordering { .. } if open.record.is_unread() => self.alone_from,
            Phase::Ordering { since, send_at, .. } => send_at.min(since + STEP_WITHIN),
            Phase::Committing { .. } => Time::NEVER,
        });
        due.min().unwrap_or(Time::NEVER)
    }

    /// The intents that are under way.
    pub fn open(&self) -> impl Iterator<Item = (u64, &Record)> {
        self.open.iter().map(|(number, open)| (*number, &open.record))
    }

    /// The only way in.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Buffer<Action>) {
        if self.deposed {
            return;
        }
        match input {
            Input::Asked { asker, wish } => self.asked(asker, wish, out),
            Input::Applied { commit, outcome } => self.applied(now, commit, &outcome, out),
            Input::Answered { number, step, outcome } => {
                self.answered(number, step, outcome, out);
            }
            Input::Hindered { number, step, why } => self.hindered((number, step), why, out),
            Input::Gone { number, step, why } => self.gone(now, (number, step), &why, out),
            Input::Stale => self.depose(out),
            Input::Timeout => {}
        }
        self.end_unread(now, out);
        self.propose(out);
        self.order(now, out);
    }

    /// What a later version began, nobody here can go on with; a step of it may be under way, and be ordered until a
    /// former leader orders no more.
    fn end_unread(&mut self, now: Time, out: &mut Buffer<Action>) {
        if now < self.alone_from {
            return;
        }
        let is_due =
            |open: &Open| open.record.is_unread() && matches!(open.phase, Phase::Ordering { .. });
        let due = self.open.iter().filter(|(_, open)| is_due(open) && !self.deposed);
        let due: Vec<u64> = due.map(|(number, _)| *number).take(MAX_ORDERS / 2).collect();
        for number in due {
            let Some(open) = self.open.get_mut(&number) else { continue };
            let version = open.record.version;
            let why = format!(
                "it has form {version}, of a later version of outlast, and {VERSION} is the last one that is \
                 understood here: nothing more of it is ordered, and a step may be done"
            );
            let next = open.record.in_state(State::Failed(why));
            let transaction = next.replace(number, &open.record, self.token);
            open.phase = Phase::Committing { next, since: None };
            self.commit(Commit::Progress { number }, transaction, out);
        }
    }

    fn asked(&mut self, asker: u64, wish: Wish, out: &mut Buffer<Action>) {
        let Wish { what, object, by, at_ms, steps, objection, calls_off } = wish;
        let note = String::new();
        let why = if let Some(why) = objection {
            why
        } else if steps.is_empty() || steps.len() > super::MAX_STEPS {
            format!("an intent has 1 to {} steps, this has {}", super::MAX_STEPS, steps.len())
        } else if self.open.len() + self.asked.len() + usize::from(self.proposing) >= MAX_OPEN {
            format!("{MAX_OPEN} intents are under way: let one end first")
        } else {
            let state = State::Committed { next: 0 };
            let record = Record { what, object, by, at_ms, steps, state, note, version: VERSION };
            self.asked.push_back(Asked { asker, record, calls_off });
            return;
        };
        if self.asked.len() >= MAX_ASKED {
            out.push(Action::Tell { asker, outcome: Err(why) });
            return;
        }
        // A refusal is an entry, too; its steps are not, or they would be read as plans.
        let state = State::Refused(why);
        let record =
            Record { what, object, by, at_ms, steps: vec![], state, note, version: VERSION };
        self.asked.push_back(Asked { asker, record, calls_off: false });
    }

    fn propose(&mut self, out: &mut Buffer<Action>) {
        if self.proposing || self.deposed {
            return;
        }
        if self.calls_off(out) {
            return;
        }
        let Some(Asked { asker, record, .. }) = self.asked.pop_front() else { return };
        self.proposing = true;
        let oldest = self.open.keys().next().copied();
        let transaction = record.propose(self.last, self.token, oldest);
        self.commit(Commit::Proposal { asker, record }, transaction, out);
    }

    /// Ends what is under way about the object of the first that waits, if that calls it off; whether it has
    /// to wait for that.
    fn calls_off(&mut self, out: &mut Buffer<Action>) -> bool {
        let Some(first) = self.asked.front().filter(|first| first.calls_off) else { return false };
        let is_it = |record: &Record| {
            record.object == first.record.object && record.what != first.record.what
        };
        let Some((number, open)) = self.open.iter_mut().find(|(_, open)| is_it(&open.record))
        else {
            return false;
        };
        if matches!(open.phase, Phase::Ordering { .. }) {
            let why = format!("called off by {}", first.record.by);
            let (number, next) = (*number, open.record.in_state(State::Failed(why)));
            let transaction = next.replace(number, &open.record, self.token);
            open.phase = Phase::Committing { next, since: None };
            self.commit(Commit::Progress { number }, transaction, out);
        }
        true
    }

    fn commit(&mut self, what: Commit, transaction: Transaction, out: &mut Buffer<Action>) {
        self.commit += 1;
        self.commits.insert(self.commit, what);
        out.push(Action::Commit { commit: self.commit, transaction });
    }

    fn applied(&mut self, now: Time, commit: u64, outcome: &Outcome, out: &mut Buffer<Action>) {
        match self.commits.remove(&commit) {
            Some(Commit::Proposal { asker, record }) => {
                self.proposing = false;
                self.proposed(now, asker, record, outcome, out);
            }
            Some(Commit::Progress { number }) => self.progressed(now, number, outcome, out),
            None => {}
        }
    }

    fn proposed(
        &mut self,
        now: Time,
        asker: u64,
        record: Record,
        outcome: &Outcome,
        out: &mut Buffer<Action>,
    ) {
        let newest = found(outcome, LAST).and_then(as_number);
        // Only this leader writes numbers: one more than it knows is its own, committed twice on the way.
        if outcome.held || (self.still_leads(outcome) && newest == Some(self.last + 1)) {
            self.last += 1;
            let number = self.last;
            let told = match &record.state {
                State::Refused(why) | State::Failed(why) => Err(why.clone()),
                State::Committed { .. } | State::Done => Ok(number),
            };
            if record.state.is_open() {
                let phase = Phase::ordering(now);
                self.open.insert(number, Open { record, phase });
            }
            out.push(Action::Tell { asker, outcome: told });
            return;
        }
        if !self.still_leads(outcome) {
            self.depose(out);
            return;
        }
        if let Some(other) = found(outcome, OPEN).and_then(as_number) {
            let why = format!("intent {other} about {} is under way", record.object);
            let record = Record { steps: vec![], state: State::Refused(why), ..record };
            self.asked.push_front(Asked { asker, record, calls_off: false });
        } else {
            // It counts them, so the store was restored.
            self.last = newest.unwrap_or(0);
            self.asked.push_front(Asked { asker, record, calls_off: false });
        }
    }

    fn progressed(&mut self, now: Time, number: u64, outcome: &Outcome, out: &mut Buffer<Action>) {
        let leads = self.still_leads(outcome);
        let Some(open) = self.open.get_mut(&number) else { return };
        let Phase::Committing { next, since } = &open.phase else { return };
        // Committed twice on the way, it is there already.
        let is_there = leads && found(outcome, INTENTS) == Some(&next.encode()[..]);
        if !outcome.held && !is_there {
            // Nobody but a later leader writes it.
            self.depose(out);
            return;
        }
        open.record = next.clone();
        open.phase = match *since {
            Some(since) => Phase::Ordering { since, send_at: now + RESEND, gone: None },
            None => Phase::ordering(now),
        };
        if !open.record.state.is_open() {
            self.open.remove(&number);
        }
    }

    fn answered(
        &mut self,
        number: u64,
        step: u8,
        outcome: Result<(), String>,
        out: &mut Buffer<Action>,
    ) {
        let Some(open) = self.open.get_mut(&number) else { return };
        let is_next = open.record.next().is_some_and(|(next, _)| next == step);
        if !is_next || matches!(open.phase, Phase::Committing { .. }) {
            return;
        }
        let next = open.record.after(outcome);
        let transaction = next.replace(number, &open.record, self.token);
        open.phase = Phase::Committing { next, since: None };
        self.commit(Commit::Progress { number }, transaction, out);
    }

    /// That is written down: who looks must see why nothing goes on.
    fn hindered(&mut self, (number, step): (u64, u8), why: String, out: &mut Buffer<Action>) {
        let Some(open) = self.open.get_mut(&number) else { return };
        let Phase::Ordering { since, .. } = open.phase else { return };
        if open.record.next().is_none_or(|(next, _)| next != step) || open.record.note == why {
            return;
        }
        let next = Record { note: why, version: VERSION, ..open.record.clone() };
        let transaction = next.replace(number, &open.record, self.token);
        open.phase = Phase::Committing { next, since: Some(since) };
        self.commit(Commit::Progress { number }, transaction, out);
    }

    /// Ends a step whose node stays away. It was said again and again, or it begins anew.
    fn gone(&mut self, now: Time, at: (u64, u8), why: &str, out: &mut Buffer<Action>) {
        let Some(open) = self.open.get_mut(&at.0) else { return };
        let Phase::Ordering { gone, .. } = &mut open.phase else { return };
        let before = gone.filter(|gone| now.since(gone.last) <= GONE_FOR / 2);
        let first = before.map_or(now, |gone| gone.first);
        *gone = Some(Gone { first, last: now });
        if now.since(first) >= GONE_FOR && now >= self.alone_from {
            let why = format!("step {}: {why}; it may be done", at.1);
            self.answered(at.0, at.1, Err(why), out);
        }
    }

    fn order(&mut self, now: Time, out: &mut Buffer<Action>) {
        if self.deposed {
            return;
        }
        let mut late = vec![];
        let mut room = MAX_ORDERS.saturating_sub(out.len());
        for (number, open) in &mut self.open {
            let Phase::Ordering { since, send_at, .. } = &mut open.phase else { continue };
            let Some((step, what)) = open.record.next() else { continue };
            if now.since(*since) >= STEP_WITHIN {
                late.push((*number, step, what.node.clone(), open.record.note.clone()));
            } else if now >= *send_at && room > 0 {
                room -= 1;
                *send_at = now + RESEND;
                let at = At { incarnation: self.incarnation, number: *number, step };
                let order = Order { token: self.token, at, what: what.clone() };
                out.push(Action::Order { node: what.node.clone(), order });
            }
        }
        for (number, step, node, note) in late.into_iter().take(MAX_ORDERS / 2) {
            let within = STEP_WITHIN.as_secs();
            let said = if note.is_empty() { note } else { format!(": {note}") };
            let why =
                format!("step {step}: no answer of {node} for {within} s, it may be done{said}");
            self.answered(number, step, Err(why), out);
        }
    }

    fn still_leads(&self, outcome: &Outcome) -> bool {
        super::history::leads(outcome, self.token)
    }

    fn depose(&mut self, out: &mut Buffer<Action>) {
        self.deposed = true;
        out.push(Action::StepDown);
    }
}

/// The value of the first key that begins so.
fn found<'a>(outcome: &'a Outcome, prefix: &str) -> Option<&'a [u8]> {
    outcome.answers.iter().find_map(|answer| match answer {
        Answer::Found { items, .. } => {
            let mut items = items.iter();
            items.find(|(key, _)| key.starts_with(prefix)).map(|(_, item)| &*item.value)
        }
        Answer::Put | Answer::Deleted(_) => None,
    })
}

fn as_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}
