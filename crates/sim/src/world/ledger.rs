//! What is true about tokens and intents, and what must be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::Time;
use engine::intent::{INTENTS, Input, LEADER, MAX_HISTORY, Record, State, Step, Wish, number};
use engine::kv::{Keys, LOCKS, Outcome, Token};

use super::World;
use super::mail::Asker;
use super::mark::Mark;
use super::office::{Deed, LIMIT};
use super::version::{LATER, Version, is_ended_unread, read_any};

/// Intents under way at once.
const MAX_OPEN: usize = 64;
/// More than this asks for so many intents at once, on objects of their own.
const FLOOD: u64 = 100;
/// A leader that has been in office for so long has ordered what is open, and been answered.
const SETTLED: Duration = Duration::from_secs(3);

/// After a holder is known to be gone: an election of the store, and three commits.
const FOLLOWED: Duration = Duration::from_secs(2);
/// What others say of one that is silent: two beats of the slowest ones.
const CONFIRMED: Duration = Duration::from_millis(200);

/// What one host must know of what it did.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The greatest token in an order that it read, and that it kept.
    read: Token,
    kept: Token,
    /// How often its disk was lost, and with it what was done.
    disk: u32,
    /// It may not know what was decided before, of intents up to this number: what it kept is damaged or gone.
    forgot: u64,
    /// Nor that it did them: an earlier memory came back, which nothing there can know.
    again: u64,
}

impl Known {
    const NOTHING: Self = Self { read: Token(0), kept: Token(0), disk: 0, forgot: 0, again: 0 };
}

/// The world's own memory of what was done.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The greatest token with which somebody began to lead.
    begun: u64,
    begun_at: Time,
    /// Of whom the name was taken lately, and when.
    followed: Vec<(Token, Time)>,
    /// Of each host.
    known: Vec<Known>,
    /// Intent, step, host and which disk.
    done: BTreeSet<(u64, u8, u16, u32)>,
    /// As written last, and when.
    records: BTreeMap<u64, (Record, Time)>,
    open: BTreeSet<u64>,
    /// As they were when somebody ended them who could not read them: a step may be under way.
    unread: BTreeMap<u64, Record>,
    revision: u64,
    /// The object of each request.
    asked: Vec<String>,
}

impl Ledger {
    pub(super) fn new(hosts: usize) -> Self {
        Self { known: vec![Known::NOTHING; hosts], ..Self::default() }
    }

    pub(super) fn is_followed(&mut self, token: Token, at: Time) {
        self.followed.retain(|(_, before)| at.since(*before) < LIMIT);
        self.followed.push((token, at));
    }

    pub(super) fn is_done(&self, host: u16, (number, step): (u64, u8)) -> bool {
        let disk = self.known[usize::from(host)].disk;
        self.done.contains(&(number, step, host, disk))
    }

    /// It remembers nothing from here on.
    pub(super) fn lose_disk(&mut self, host: u16) {
        self.forgets(host);
        self.known[usize::from(host)].disk += 1;
    }

    /// What it kept is damaged: it knows that, and nothing else.
    pub(super) fn forgets(&mut self, host: u16) {
        let newest = self.newest();
        let known = &mut self.known[usize::from(host)];
        (known.read, known.kept, known.forgot) = (Token(0), Token(0), newest);
    }

    /// What it kept is as it was before, and it cannot know that.
    pub(super) fn goes_back(&mut self, host: u16, token: Token) {
        let newest = self.newest();
        let known = &mut self.known[usize::from(host)];
        (known.read, known.kept) = (token, token);
        (known.forgot, known.again) = (newest, newest);
    }

    /// It reads again what it could not.
    pub(super) fn remembers(&mut self, host: u16, token: Token) {
        let known = &mut self.known[usize::from(host)];
        (known.read, known.kept) = (token, token);
    }

    pub(super) fn keeps(&mut self, host: u16) {
        let known = &mut self.known[usize::from(host)];
        known.kept = known.read;
    }

    /// What was not kept has not happened. The token that it must know.
    pub(super) fn restarts(&mut self, host: u16) -> Token {
        let known = &mut self.known[usize::from(host)];
        known.read = known.kept;
        known.kept
    }

    fn newest(&self) -> u64 {
        self.records.keys().next_back().copied().unwrap_or_default()
    }
}

impl World {
    /// Somebody asks for an intent, or for very many: whoever leads hears it.
    pub(super) fn ask(&mut self, host: u16, other: u16, amount: i64) {
        let leads = |host: &u16| {
            self.hosts[usize::from(*host)].agent_acts()
                && self.offices[usize::from(*host)].leader.is_some()
        };
        let Some(leader) = (0..self.controllers).find(leads) else { return };
        let amount_of = amount.unsigned_abs();
        let many = amount_of.saturating_sub(FLOOD).max(1);
        let names = [host, other].map(|host| self.names.hosts[usize::from(host)].clone());
        for n in 0..many {
            let length = if many > 1 { 1 } else { amount_of % 10 };
            let object = if many > 1 { format!("flood/{n}") } else { format!("node/{}", names[0]) };
            let steps = (0..length).map(|at| Step {
                node: names[usize::from(at % 2 == 1)].clone(),
                // A negative amount: its last step does not work.
                verb: match amount {
                    ..0 if at + 1 == length => "fail",
                    11..=19 if at + 1 == length => LATER,
                    _ => "do",
                }
                .to_owned(),
                object: object.clone(),
            });
            let steps = steps.collect();
            let asker = self.ledger.asked.len() as u64;
            self.ledger.asked.push(object.clone());
            let what = "move".to_owned();
            let wish = Wish { what, object, steps, ..Wish::default() };
            self.put_on_desk(leader, Deed::ToLeader(Input::Asked { asker, wish }));
        }
    }

    /// S8: a later holder has a greater token. From whom the name was taken while the store's yes was on its way may
    /// begin after the one that follows, as long as it may act (S4): it is refused wherever it does.
    pub(super) fn judge_begin(&mut self, host: u16, token: Token) {
        if token.0 < self.ledger.begun && self.is_followed(token) {
            return self.marks.note(Mark::TwoLedApart);
        }
        if token.0 <= self.ledger.begun {
            self.fail("S8 token", host, "begins with a token that is no greater than one before");
        }
        (self.ledger.begun, self.ledger.begun_at) = (token.0, self.now);
    }

    fn is_followed(&self, token: Token) -> bool {
        let is_it = |of: &(Token, Time)| of.0 == token && self.now.since(of.1) < LIMIT;
        self.ledger.followed.iter().any(is_it)
    }

    /// S4: who may act by its own reckoning is the one of whom the store says so, or one from whom the name was taken
    /// less than its limit ago: what that one does is judged at the store and at those who receive its orders.
    pub(super) fn judge_office(&mut self, host: u16) {
        let Some(token) = self.offices[usize::from(host)].token(self.local(host)) else { return };
        let held = self.store.kv.get(&format!("{LOCKS}{LEADER}")).map(|item| item.created);
        if held != Some(token.0) && self.is_followed(token) {
            self.marks.note(Mark::TwoLedApart);
        } else if held != Some(token.0) {
            let what = format!("may act with token {}, and the store has {held:?}", token.0);
            self.fail("S4 tenure", host, &what);
        }
    }

    /// S3: an order with a token older than one seen before is refused, also over a death.
    pub(super) fn judge_order(&mut self, host: u16, token: Token, refused: bool) {
        let seen = &mut self.ledger.known[usize::from(host)].read;
        let is_stale = token < *seen;
        *seen = token.max(*seen);
        if is_stale {
            self.marks.note(Mark::RefusedStaleToken);
        }
        if is_stale != refused {
            let what = format!("refuses {refused} an order with token {}", token.0);
            self.fail("S3 token", host, &what);
        }
    }

    /// S2, S7: what is done is what was committed, at its turn, once.
    pub(super) fn judge_effect(&mut self, host: u16, (number, step): (u64, u8), what: &Step) {
        let Known { disk, forgot, again, .. } = self.ledger.known[usize::from(host)];
        let is_first = self.ledger.done.insert((number, step, host, disk));
        if !is_first && number <= again {
            self.marks.note(Mark::DidAgainAfterLie);
        } else if !is_first {
            self.fail("S7 once", host, &format!("does step {step} of {number} again"));
        }
        let record = self.ledger.records.get(&number).map(|(record, _)| record);
        let record = self.ledger.unread.get(&number).or(record);
        let is_next = record.and_then(Record::next).is_some_and(|next| next == (step, what));
        if !is_next && number > forgot {
            let state = record.map(|record| &record.state);
            let what = format!("does step {step} of {number}, which is {state:?}");
            self.fail("S2 committed", host, &what);
        }
        self.say(host, || format!("does step {step} of {number}"));
    }

    /// What was promised is written.
    pub(super) fn judge_promise(&mut self, host: u16, asker: u64, told: Result<u64, String>) {
        let object = usize::try_from(asker).ok().and_then(|asker| self.ledger.asked.get(asker));
        match told {
            Ok(number) => {
                let record = self.ledger.records.get(&number);
                if record.map(|(record, _)| &record.object) != object {
                    self.fail("S8 promise", host, &format!("promises {number}, of another"));
                }
            }
            Err(_) => self.marks.note(Mark::RefusedIntent),
        }
    }

    /// An entry was applied: every intent goes its way once, and nobody writes under an old token.
    pub(super) fn judge_entry(
        &mut self,
        (host, version): (u16, Version),
        asker: Asker,
        outcome: Option<&Outcome>,
    ) {
        let Some(outcome) = outcome else {
            return self.fail("S limits", host, "proposes what the store does not take");
        };
        let lock = self.store.kv.get(&format!("{LOCKS}{LEADER}")).map(|item| item.created);
        if let Asker::Commit { token, .. } = asker
            && outcome.held
            && lock != Some(token.0)
        {
            self.fail("S3 token", host, &format!("writes under token {}, not {lock:?}", token.0));
        }
        let keys = Keys::Prefix(INTENTS.to_owned());
        let Ok(changes) = self.store.kv.changes(self.ledger.revision, &keys) else {
            return self.fail("S limits", host, "changes of one entry are forgotten at once");
        };
        let changed: Vec<_> =
            changes.map(|change| (change.key.clone(), change.value.clone())).collect();
        self.ledger.revision = self.store.kv.revision();
        for (key, value) in changed {
            if let (None, Some(number)) = (&value, number(&key)) {
                self.judge_pruned(host, number);
                continue;
            }
            let record = value.and_then(|value| read_any(&value));
            let Some((number, record)) = number(&key).zip(record) else {
                return self.fail("S8 intents", host, &format!("writes {key}, which is no intent"));
            };
            self.judge_record((host, version), number, record);
        }
    }

    /// Only what ended long ago is taken away.
    fn judge_pruned(&mut self, host: u16, number: u64) {
        let newest = self.ledger.newest();
        if self.ledger.open.contains(&number) || number + MAX_HISTORY > newest + 1 {
            self.fail("S8 intents", host, &format!("takes intent {number} away, of {newest}"));
        }
    }

    fn judge_record(&mut self, (host, version): (u16, Version), number: u64, record: Record) {
        let before = self.ledger.records.get(&number).map(|(record, _)| record);
        let is_unread = before.is_some_and(|was| is_ended_unread(version.form(), was, &record));
        let is_former = before.is_some_and(|was| was.version < record.version);
        if let Some(before) = before.filter(|_| is_unread).cloned() {
            self.ledger.unread.insert(number, before);
            self.marks.note(Mark::EndedLaterIntent);
        } else if is_former {
            self.marks.note(Mark::ReadFormerIntent);
        }
        if !is_unread && !follows(before, &record) {
            let before = before.map(|record| &record.state);
            let what = format!("makes {:?} of {number}, which was {before:?}", record.state);
            return self.fail("S7 once", host, &what);
        }
        self.say(host, || format!("writes that {number} is {:?}", record.state));
        let is_open = record.state.is_open();
        let of = |open: &&u64| self.ledger.records.get(open).map(|(record, _)| &record.object);
        let rival = self
            .ledger
            .open
            .iter()
            .find(|open| **open != number && of(open) == Some(&record.object));
        if let (true, Some(rival)) = (is_open, rival) {
            let what = format!("opens {number} about {}, as {rival} is", record.object);
            return self.fail("S1 exclusive", host, &what);
        }
        if is_open {
            self.ledger.open.insert(number);
        } else {
            self.ledger.open.remove(&number);
            self.marks.note(Mark::EndedIntent);
        }
        self.ledger.records.insert(number, (record, self.now));
        if self.ledger.open.len() > MAX_OPEN {
            self.fail("S6 limit", host, "opens one intent more than may be under way");
        }
    }

    /// L1: after everything was mended, or the host of the holder died and left a majority, somebody leads.
    pub(super) fn inspect_led(&mut self) {
        let quiet = self.now.since(self.disturbed_at.max(self.store.shaken_at));
        let has_weather = !self.store.weather.is_fine();
        let found = self.script.detect + self.longest_stall().min(self.script.detect) + CONFIRMED;
        if has_weather || quiet <= found + FOLLOWED || self.is_led() {
            return;
        }
        let holder = self.holder().and_then(|holder| holder.who);
        let acts = |host: u16| self.hosts[usize::from(host)].agent_acts();
        let is_dead = holder.is_some_and(|host| !acts(host.into()));
        // How often the name goes round has a bound: it is the limit of a holder that has just begun, or of whom the
        // others heard only when they reached the store again.
        let known = self.ledger.begun_at.max(self.disturbed_before);
        let is_young = self.disturbed_at.since(known) < LIMIT;
        let is_mended = self.mended_at == Some(self.disturbed_at);
        let is_early = (is_dead && is_young) || !(is_dead || is_mended);
        if is_early && quiet <= found + FOLLOWED + LIMIT {
            return;
        }
        let leads_store = (0..self.controllers).find(|host| self.could_lead_store(*host));
        if let Some(host) = leads_store {
            let what =
                format!("could be told to lead, and nobody leads for {quiet:?} ({holder:?})");
            self.fail("L1 leader", host, &what);
        }
    }

    fn is_led(&self) -> bool {
        let leads = |host: u16| {
            let acts = self.hosts[usize::from(host)].agent_acts();
            acts && self.offices[usize::from(host)].token(self.local(host)).is_some()
        };
        (0..self.controllers).any(leads)
    }

    /// L1: some time after everything was mended what is open goes on.
    pub(super) fn inspect_intents(&mut self) {
        if self.now.since(self.ledger.begun_at) < SETTLED {
            return;
        }
        let late = |number: &&u64| {
            let written = self.ledger.records.get(number);
            written.is_none_or(|(_, at)| self.now.since(*at) > SETTLED)
        };
        if let Some(number) = self.ledger.open.iter().find(late) {
            let what = format!("and nobody else goes on with intent {number}");
            self.fail("L1 intents", 0, &what);
        }
    }
}

/// Whether a record may become this.
fn follows(before: Option<&Record>, record: &Record) -> bool {
    let Some(before) = before else {
        return matches!(record.state, State::Committed { next: 0 } | State::Refused(_));
    };
    let State::Committed { next } = before.state else { return false };
    let same = before.what == record.what
        && before.object == record.object
        && before.steps == record.steps;
    let is_last = usize::from(next) + 1 == before.steps.len();
    same && match &record.state {
        // Only why it is not done yet.
        State::Committed { next: then } if *then == next => before.note != record.note,
        State::Committed { next: then } => *then == next + 1 && !is_last,
        State::Done => is_last && before.steps[usize::from(next)].verb != "fail",
        State::Failed(_) => ["fail", LATER].contains(&&*before.steps[usize::from(next)].verb),
        State::Refused(_) => false,
    }
}
