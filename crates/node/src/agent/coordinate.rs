//! What is decided for the whole cluster: intents in the store, one coordinator, steps done where they
//! belong. Only where there is a `[store]`.
//!
//! ```text
//!   typed here --> who holds the name? --> errand to that node --> proposed, committed --> number
//!                  (asks the store: a majority, or a refusal)                              |
//!   first step done, or failed  <-------------- read from the store ----------------------+
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use api::{Command, Errand, Intent, IntentState, IntentStep, Standing, Start, Status, Verdict};
use engine::intent::{self, INTENTS, LAST, LEADER, Record, State, Wish, key};
use engine::kv::{Answer, Item, Keys, LOCKS, Op, Outcome, Transaction};
use engine::procedure::Plan;
use store::Link;

use super::errands::Desk;
use super::hands::{Hands, counter, position, put};
use super::{command, electorate, lock};
use coordinator::{Mail, Place, Tape, Told};
use deeds::{Deeds, plan};
pub(super) use roles::Roles;
use steps::Steps;

mod coordinator;
mod deeds;
mod lead;
mod roles;
pub(super) mod steps;

/// Who asks waits so long for a coordinator: until another one has begun, at worst when the time of one that died is
/// up.
const WAIT: Duration = Duration::from_secs(12);
/// A proposal is committed in milliseconds while there is a majority; an errand waits no longer.
const COMMITTED_WITHIN: Duration = Duration::from_secs(3);
/// The first step waits for what can be seen of it, at most this long ([`deeds`]).
const STEP_WITHIN: Duration = Duration::from_secs(12);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The end of a refusal after which the same may be asked again.
const NOTHING_DONE: &str = "nothing was done";
/// Intents in one errand.
const PAGE: usize = 4;
/// Letters of who asked, and of why not, in an errand.
const MOST_LETTERS: usize = 120;
/// Bytes of them; the rest of an answer has room besides.
const PAGE_BYTES: usize = 900;

/// The cluster's part of an agent.
pub(crate) struct Coordination {
    me: String,
    hands: Arc<Hands>,
    desk: Desk,
    pub(super) steps: Arc<Steps>,
    /// Of members of the store.
    member: Option<Member>,
    /// Names of those.
    members: Vec<String>,
}

struct Member {
    link: Link,
    coordinator: Sender<Mail>,
}

/// The cluster's part of this agent, where the file has a `[store]`.
pub(crate) fn begin(start: &Start, hands: &Arc<Hands>, desk: &Desk) -> Option<Arc<Coordination>> {
    let (names, members) = {
        let mut core = lock(hands.core());
        let cluster = core.cluster.as_ref()?;
        let named = |at: &usize| cluster.nodes.get(*at).map(|node| node.name.clone());
        let members: Vec<String> =
            cluster.store.as_ref()?.members.iter().filter_map(named).collect();
        let names = core.picture.names.clone();
        core.coordinator = Some(Box::default());
        (names, members)
    };
    let me = start.node.clone();
    let counter = counter(Arc::clone(hands), desk.clone());
    let deeds = Deeds { hands: Arc::clone(hands), counter, me: me.clone() };
    let steps = Steps::open(Box::new(deeds), Path::new(&start.state_dir));
    let (hands, desk) = (Arc::clone(hands), desk.clone());
    // Without a thread this node asks another one to coordinate, as those that are no members do.
    let link = if members.contains(&me) { Link::start(&hands.run_dir).ok() } else { None };
    let member = link.and_then(|link| {
        let (me, steps) = (me.clone(), Arc::clone(&steps));
        let looks = Arc::clone(&hands);
        let is_gone = Box::new(move |node: &str| gone(&looks.looks().0, node));
        let here = Arc::clone(hands.core());
        let tape = Tape::start(start, lock(hands.core()).cluster.as_ref()?);
        let (own_link, desk, has_roles) = (link.clone(), desk.clone(), Arc::clone(&hands));
        let members = members.clone();
        let place = Place { me, names, members, link, desk, steps, is_gone, here, tape };
        let coordinator = coordinator::start(place)?;
        let roles = Roles { coordinator: coordinator.clone(), link: own_link.clone() };
        lead::start(Arc::clone(&has_roles), own_link.clone());
        electorate::start(&has_roles, &own_link, &start.node);
        // Begun once.
        let _ = has_roles.roles.set(roles);
        Some(Member { link: own_link, coordinator })
    });
    Some(Arc::new(Coordination { me, hands, desk, steps, member, members }))
}

/// Tells the newest intents.
pub(crate) type Teller = Box<dyn Fn(u32) -> Result<Vec<Intent>, String> + Send + Sync>;

pub(crate) fn teller(cluster: Option<Arc<Coordination>>) -> Teller {
    Box::new(move |last| match &cluster {
        Some(cluster) => cluster.intents(last),
        None => Err("there is no [store] in this node's outlast.toml, so no intents".to_owned()),
    })
}

impl Coordination {
    /// Makes an intent of a command that was typed here, and waits until its first step is done.
    ///
    /// # Errors
    /// In words: nothing was done, or it failed, or nobody knows.
    pub(super) fn intend(&self, command: &Command, by: &str) -> Result<(), String> {
        let end = sys::clock::now() + WAIT;
        let number = loop {
            let leader = self.coordinator().map_err(|why| {
                let me = &self.me;
                format!("{why}; {NOTHING_DONE}. `--local` puts {me} itself on standby without the others")
            })?;
            let told = if leader == self.me {
                self.intend_here(command, &format!("{by} on {}", self.me))
            } else if leader.is_empty() {
                Err(format!("nobody coordinates now: {NOTHING_DONE}"))
            } else if !is_alive(&self.hands.looks().0, &leader) {
                // Its machine may be gone: then another one takes its name.
                Err(format!("{leader} coordinates and is not heard: {NOTHING_DONE}"))
            } else {
                let intend = Errand::Intend { command: command.clone(), by: by.to_owned() };
                self.asks(&leader, &intend)
            };
            match told {
                Ok(number) => break number,
                // A name without somebody who acts under it: its time will be up.
                Err(why) if why.ends_with(NOTHING_DONE) && sys::clock::now() < end => {
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(why) => return Err(why),
            }
        };
        self.settled(number)
    }

    /// Makes an intent of a command, as the coordinator.
    pub(super) fn intend_here(&self, command: &Command, by: &str) -> Told {
        let Some(member) = &self.member else {
            return Err(format!("{} is no member of the store", self.me));
        };
        let wish = self.wish(command, by)?;
        let (tell, told) = mpsc::channel();
        let gone = |_| "the coordinator of this node has ended".to_owned();
        member.coordinator.send(Mail::Wish { wish, tell }).map_err(gone)?;
        told.recv_timeout(COMMITTED_WITHIN).unwrap_or_else(|error| {
            let why = match error {
                RecvTimeoutError::Timeout => "no majority of the store has agreed yet".to_owned(),
                RecvTimeoutError::Disconnected => {
                    format!("{} has ceased to coordinate meanwhile", self.me)
                }
            };
            Err(format!("{why}: it may still be done, and `outlast intents` shows whether it is"))
        })
    }

    fn wish(&self, command: &Command, by: &str) -> Result<Wish, String> {
        let (status, names) = self.hands.looks();
        let at = command::place(command, &status, &names)?;
        let line = at.and_then(|at| status.nodes.get(usize::from(at)));
        let node = line.map_or_else(|| self.me.clone(), |line| line.state.node.clone());
        let objection = command::objection(command, &status, &names, &node);
        // A compute node asks no balancers: that is counted here.
        let counts = if line.is_some_and(|line| line.compute) { &self.me } else { &node };
        let Plan { what, object, steps } = plan(command, &node, counts);
        let at_ms = sys::clock::wall_ms();
        let calls_off = matches!(command, Command::Resume { .. });
        let (what, by) = (what.to_owned(), by.to_owned());
        Ok(Wish { what, object, by, at_ms, steps, objection, calls_off })
    }

    /// Which node holds the name; empty: none. Asks the store, so it is not outdated.
    pub(super) fn coordinator(&self) -> Result<String, String> {
        let Some(member) = &self.member else {
            return self.asks_a_member(&Errand::Coordinator);
        };
        let found = member.link.wait_range(Keys::One(format!("{LOCKS}{LEADER}")));
        let (items, _) = found.map_err(|error| no_majority(&error))?;
        let holder =
            items.first().map(|(_, item)| String::from_utf8_lossy(&item.value).into_owned());
        Ok(holder.unwrap_or_default())
    }

    /// Waits until the first step of an intent is done, or it has ended.
    fn settled(&self, number: u64) -> Result<(), String> {
        let end = sys::clock::now() + STEP_WITHIN;
        loop {
            let intent = self.one(number).map_err(|why| {
                format!(
                    "intent {number} is committed, and what becomes of it cannot be seen: {why}"
                )
            })?;
            match intent.state {
                IntentState::Done => return Ok(()),
                IntentState::Committed if intent.next > Some(0) => return Ok(()),
                IntentState::Failed | IntentState::Refused => return Err(intent.why),
                IntentState::Committed if sys::clock::now() >= end => {
                    let why = intent.why;
                    let said = if why.is_empty() { why } else { format!(" ({why})") };
                    return Err(format!(
                        "intent {number} is committed and not yet carried out{said}: `outlast intents` \
                         shows what becomes of it"
                    ));
                }
                IntentState::Committed => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn one(&self, number: u64) -> Result<Intent, String> {
        let found = self.page(number + 1)?.into_iter().find(|intent| intent.number == number);
        found.ok_or_else(|| format!("intent {number} is not in the store any more"))
    }

    /// The newest so many, oldest first.
    pub(super) fn intents(&self, last: u32) -> Result<Vec<Intent>, String> {
        if let Some(member) = &self.member {
            let found = member.link.wait_range(Keys::Prefix(INTENTS.to_owned()));
            let (items, _) = found.map_err(|error| no_majority(&error))?;
            let skip = items.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
            return Ok(items.iter().skip(skip).filter_map(shown).collect());
        }
        let (mut all, mut before) = (vec![], u64::MAX);
        while all.len() < usize::try_from(last).unwrap_or(usize::MAX) {
            let page = self.page(before)?;
            let Some(oldest) = page.last() else { break };
            before = oldest.number;
            all.extend(page);
        }
        all.truncate(usize::try_from(last).unwrap_or(usize::MAX));
        all.reverse();
        Ok(all)
    }

    /// Those of a smaller number, newest first, as many as an errand has room for.
    pub(super) fn page(&self, before: u64) -> Result<Vec<Intent>, String> {
        let Some(member) = &self.member else {
            return self.asks_a_member(&Errand::Intents { before });
        };
        let asked = member.link.wait(Transaction::of(Op::read(LAST)));
        let newest = asked.map(|outcome| last_of(&outcome));
        let newest = newest.map_err(|error| no_majority(&error))?;
        let end = before.min(newest + 1);
        let from = end.saturating_sub(PAGE as u64);
        let keys = Keys::Span { from: key(from), to: key(end) };
        let found = member.link.wait_range(keys);
        let (items, _) = found.map_err(|error| no_majority(&error))?;
        let mut bytes = 0;
        let mut page = vec![];
        for intent in items.iter().rev().filter_map(shown) {
            let intent = Intent { why: short(&intent.why), by: short(&intent.by), ..intent };
            bytes += put(&intent).len();
            if bytes > PAGE_BYTES && !page.is_empty() {
                break;
            }
            page.push(intent);
        }
        Ok(page)
    }

    fn asks_a_member<T: serde::de::DeserializeOwned>(&self, errand: &Errand) -> Result<T, String> {
        let status = self.hands.looks().0;
        let mut why =
            "no majority: no member of the store is alive as far as this node knows".to_owned();
        for name in self.members.iter().filter(|name| is_alive(&status, name)) {
            match self.asks(name, errand) {
                Ok(answer) => return Ok(answer),
                Err(other) => why = other,
            }
        }
        Err(why)
    }

    fn asks<T: serde::de::DeserializeOwned>(&self, to: &str, errand: &Errand) -> Result<T, String> {
        let at = position(&self.hands.looks().0, to)?;
        let at = u16::try_from(at).map_err(|_| "too many nodes".to_owned())?;
        let text = self.desk.ask(at, to, put(errand)).kept()?;
        api::decode(&text).map_err(|error| base::Chain(&error).to_string())
    }
}

/// Why nothing more can be ordered of a node: not that it is late, but that it is known to be away.
fn gone(status: &Status, name: &str) -> Option<String> {
    let line = status.nodes.iter().find(|line| line.state.node == name)?;
    let word = match line.state.opinion.verdict {
        Verdict::Unreachable => "is unreachable",
        Verdict::ProvenDead => "is proven dead",
        Verdict::Leaving => "has left",
        Verdict::Unknown | Verdict::Alive | Verdict::Suspect | Verdict::CutOff => return None,
    };
    Some(format!("{name} {word}"))
}

/// As much of a text as an errand has room for beside others.
fn short(text: &str) -> String {
    text.chars().take(MOST_LETTERS).collect()
}

fn is_alive(status: &Status, name: &str) -> bool {
    let is_it = |line: &&api::NodeLine| line.state.node == name;
    status.nodes.iter().find(is_it).is_some_and(|line| line.state.standing == Standing::Alive)
}

fn no_majority(error: &store::Error) -> String {
    format!("no majority: {}", base::Chain(error))
}

fn last_of(outcome: &Outcome) -> u64 {
    let item = outcome.answers.iter().find_map(|answer| match answer {
        Answer::Found { items, .. } => items.first().map(|(_, item)| item),
        Answer::Put | Answer::Deleted(_) => None,
    });
    item.and_then(|item| item.value.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes)
}

fn shown((key, item): &(String, Item)) -> Option<Intent> {
    let number = intent::number(key)?;
    let Some(record) = Record::decode(&item.value) else {
        let why = "a later version of outlast wrote it".to_owned();
        let (what, object) = ("?".to_owned(), "?".to_owned());
        return Some(Intent { number, what, object, why, ..Intent::default() });
    };
    let next = record.next().map(|(next, _)| next);
    let (state, why) = match record.state {
        State::Committed { .. } => (IntentState::Committed, record.note),
        State::Done => (IntentState::Done, String::new()),
        State::Failed(why) => (IntentState::Failed, why),
        State::Refused(why) => (IntentState::Refused, why),
    };
    let step = |step: intent::Step| {
        let intent::Step { node, verb, object } = step;
        IntentStep { node, verb, object }
    };
    let steps = record.steps.into_iter().map(step).collect();
    let Record { what, object, by, at_ms, .. } = record;
    Some(Intent { number, what, object, by, at_ms, state, why, next, steps })
}
