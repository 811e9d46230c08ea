//! Brings the newest generation, windows and proofs of death from the store to nodes that have none, and writes down in the
//! store what they make of it. On a thread of its own, on every member; each serves its share of the nodes.
//!
//! ```text
//!   store --> round: Offer --> a node says what it has and runs --> Piece, Piece, ... --> it applies
//!     ^                                       |
//!     +-----------  config/node/NAME  --------+
//! ```
//!
//! Members ask and the others answer, so that a compute node has nothing to ask of a controller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::store::{Error, Local, Store};
use api::generation::{Applied, Brought, CLUSTER_FILE, Content, Files, Generation};
use api::proof::Posted;
use api::{Errand, Has, Look, Parcel, Standing, Start, Status};
use base::Time;
use engine::carry::{self, Mark, serves};
use engine::generation as keys;
use engine::kv::{Answer, Keys, Op, Transaction};
use engine::maintenance::WINDOWS;
use engine::verdict::PROOFS;

use super::books::ring::Ring;
use super::errands::Desk;
use super::hands::{Hands, put};

/// Between two rounds: so long a node may not know of a change.
const ROUND: Duration = Duration::from_secs(2);
/// A node that has all and has made up its mind is asked again after this.
const AT_REST: Duration = Duration::from_secs(10);
/// Nodes that are served at once; a quarter of what may wait for answers.
const AT_ONCE: usize = 16;
/// Pieces for one node in one round. Its answers are kept for a minute there, and commands need room beside.
const MOST_PIECES: usize = 384;
/// The rest of a very long one waits for that.
const PAUSE: Duration = Duration::from_secs(30);

/// What the store has for the others.
#[derive(Debug, Default)]
struct Found {
    newest: Option<(Generation, Content)>,
    /// What is posted, encoded.
    windows: String,
    look: Option<Look>,
}

/// What is known of a node that is served.
#[derive(Debug, Default)]
struct Served {
    /// It had these at that time, and had made up its mind.
    at_rest: Option<(Mark, Mark, Time)>,
    not_before: Time,
    /// As it stands in the store.
    said: Option<Applied>,
}

/// A node in a round.
struct Visit {
    at: u16,
    name: String,
    texts: [(Parcel, String, Mark); 2],
    look: Option<Look>,
    has: Option<Has>,
    pieces: usize,
}

struct Carrier {
    local: Local,
    hands: Arc<Hands>,
    desk: Desk,
    ring: Ring,
    me: String,
    members: Vec<String>,
    newest: Option<(u64, Generation, Content)>,
    served: HashMap<String, Served>,
}

/// What a generation has for a node: a compute node has no use for other files, nor for the passwords in them.
pub(super) fn files_of(content: &Content, node: &str, is_compute: bool) -> Option<Files> {
    let mut files = content.of(node)?;
    files.retain(|path, _| !is_compute || path == CLUSTER_FILE);
    Some(files)
}

/// Starts it, on a member of the store.
pub(crate) fn begin(start: &Start, hands: &Arc<Hands>, desk: &Desk) {
    let members: Vec<String> = {
        let core = super::lock(hands.core());
        let Some(cluster) = &core.cluster else { return };
        let Some(store) = &cluster.store else { return };
        let named = |at: &usize| cluster.nodes.get(*at).map(|node| node.name.clone());
        store.members.iter().filter_map(named).collect()
    };
    let me = start.node.clone();
    if !members.contains(&me) {
        return;
    }
    let (hands, desk) = (Arc::clone(hands), desk.clone());
    // It ends with the process.
    let _carries = std::thread::Builder::new().name("carrier".to_owned()).spawn(move || {
        let Ok(local) = Local::new(&hands.run_dir) else { return };
        let (newest, served) = (None, HashMap::new());
        let ring = hands.ring();
        let mut carrier = Carrier { local, hands, desk, ring, me, members, newest, served };
        loop {
            // Without a majority nothing is known to be the newest.
            let _failed = carrier.round();
            std::thread::sleep(ROUND);
        }
    });
}

impl Carrier {
    fn round(&mut self) -> Result<(), Error> {
        let status = self.hands.looks().0;
        let now = sys::clock::now();
        let share = self.share(&status, now);
        if share.is_empty() {
            return Ok(());
        }
        let found = self.read()?;
        let mut visits = vec![];
        for (at, name, is_compute) in share {
            let generation =
                found.newest.as_ref().map_or_else(String::new, |(generation, content)| {
                    let files = files_of(content, &name, is_compute);
                    text(&Brought { generation: generation.clone(), files })
                });
            let mark = |text: &String| Mark::of(text);
            let (of, with) = (mark(&generation), mark(&found.windows));
            let rests = self.served.get(&name).and_then(|served| served.at_rest.as_ref());
            if rests.is_some_and(|(one, two, at)| {
                (one, two) == (&of, &with) && now.since(*at) < AT_REST
            }) {
                continue;
            }
            let texts = [
                (Parcel::Generation, generation, of),
                (Parcel::Windows, found.windows.clone(), with),
            ];
            let look = found.look;
            visits.push(Visit { at, name, texts, look, has: None, pieces: 0 });
        }
        let newest = found.newest.as_ref().map(|(generation, _)| generation.number);
        while !visits.is_empty() {
            let rest = visits.split_off(visits.len().min(AT_ONCE));
            self.visit(&mut visits);
            for visit in visits {
                self.visited(visit, newest)?;
            }
            visits = rest;
        }
        Ok(())
    }

    /// Nodes without a store that live and are served by this one, and whether they are compute nodes.
    fn share(&self, status: &Status, now: Time) -> Vec<(u16, String, bool)> {
        let is_alive = |line: &api::NodeLine| {
            line.state.node == self.me || line.state.standing == Standing::Alive
        };
        let nodes = || (0_u16..).zip(&status.nodes);
        let is_member = |line: &api::NodeLine| self.members.contains(&line.state.node);
        let living: Vec<u16> = nodes()
            .filter(|(_, line)| is_member(line) && is_alive(line))
            .map(|(at, _)| at)
            .collect();
        let me = nodes().find(|(_, line)| line.state.node == self.me).map(|(at, _)| at);
        let Some(me) = me else { return vec![] };
        let is_due =
            |name: &String| self.served.get(name).is_none_or(|served| now >= served.not_before);
        nodes()
            .filter(|(at, line)| !is_member(line) && is_alive(line) && serves(&living, me, *at))
            .map(|(at, line)| (at, line.state.node.clone(), line.compute))
            .filter(|(_, name, _)| is_due(name))
            .collect()
    }

    /// As it is at this moment, by a majority.
    fn read(&mut self) -> Result<Found, Error> {
        let windows = Keys::Prefix(WINDOWS.to_owned());
        let limit = u32::try_from(engine::kv::MAX_KEYS).unwrap_or(u32::MAX);
        let proofs = Keys::Prefix(PROOFS.to_owned());
        let reads = vec![
            Op::read(keys::NEWEST),
            Op::Read { keys: windows, limit },
            Op::Read { keys: proofs, limit },
        ];
        let asked = Transaction { then: reads, ..Transaction::default() };
        let outcome = self.local.wait(self.local.client().transact(asked))?;
        let incarnation = self.local.wait(self.local.client().report())?.incarnation;
        let revision = outcome.revision;
        let look = incarnation.map(|incarnation| Look { incarnation, revision });
        let mut found = outcome.answers.into_iter().map(|answer| match answer {
            Answer::Found { items, .. } => items,
            Answer::Put | Answer::Deleted(_) => vec![],
        });
        let newest = found.next().unwrap_or_default();
        let newest = newest.first().and_then(|(_, item)| number(&item.value));
        let windows = found.next().unwrap_or_default();
        // One that cannot be read is of a newer version, and no window here.
        let windows = windows.iter().filter_map(|(_, item)| api::decode(&item.value).ok());
        let proofs = super::proof::read(&found.next().unwrap_or_default());
        let posted = Posted { windows: windows.collect(), proofs };
        if self.newest.as_ref().map(|(number, ..)| *number) != newest {
            self.newest = match newest {
                None => None,
                // A newer member has to bring what this one cannot read.
                Some(number) => {
                    let read = self.ring.read(&self.local, number)?;
                    read.map(|(generation, content)| (number, generation, content))
                }
            };
        }
        let newest = self.newest.as_ref().map(|(_, one, content)| (one.clone(), content.clone()));
        Ok(Found { newest, windows: text(&posted), look })
    }

    /// All of these nodes at once, piece after piece, as long as one answers and lacks something.
    fn visit(&self, visits: &mut [Visit]) {
        let ask =
            |visit: &Visit, errand: &Errand| self.desk.ask(visit.at, &visit.name, put(errand));
        let offers: Vec<_> = visits.iter().map(|visit| ask(visit, &visit.offer())).collect();
        for (visit, promise) in visits.iter_mut().zip(offers) {
            visit.has = promise.kept().ok().and_then(|text| api::decode(&text).ok());
        }
        loop {
            let mut promises = vec![];
            for (at, visit) in visits.iter_mut().enumerate() {
                if let Some((of, piece)) = visit.next() {
                    visit.pieces += 1;
                    promises.push((at, of, ask(visit, &piece)));
                }
            }
            if promises.is_empty() {
                return;
            }
            for (at, of, promise) in promises {
                let has: Option<Has> = promise.kept().ok().and_then(|text| api::decode(&text).ok());
                visits[at].got(of, has);
            }
        }
    }

    /// What a node said goes into the store, if it is news.
    fn visited(&mut self, visit: Visit, newest: Option<u64>) -> Result<(), Error> {
        let is_whole = visit.is_whole();
        let Visit { name, texts: [(_, _, one), (_, _, two)], has, pieces, .. } = visit;
        let now = sys::clock::now();
        let served = self.served.entry(name.clone()).or_default();
        served.at_rest = None;
        if pieces >= MOST_PIECES {
            served.not_before = now + PAUSE;
        }
        let Some(has) = has else { return Ok(()) };
        let seen = has.applied.as_ref().map(|applied| applied.seen);
        if is_whole && seen == newest {
            served.at_rest = Some((one, two, now));
        }
        let Some(applied) = has.applied else { return Ok(()) };
        let key = keys::node_key(&name);
        if served.said.is_none() {
            let there = self.local.wait(self.local.client().get(&key))?;
            served.said = there.and_then(|item| api::decode(&item.value).ok());
        }
        let is_same = |said: &Applied| Applied { at_ms: applied.at_ms, ..said.clone() } == applied;
        if !served.said.as_ref().is_some_and(is_same) {
            self.local.wait(self.local.client().put(&key, text(&applied).as_bytes(), None))?;
            served.said = Some(applied);
        }
        Ok(())
    }
}

impl Visit {
    fn offer(&self) -> Errand {
        let [generation, windows] = self.texts.each_ref().map(|(_, _, mark)| {
            let Mark { digest, bytes } = mark.clone();
            api::Mark { digest, bytes }
        });
        Errand::Offer { generation, windows, look: self.look }
    }

    /// Windows first: they are short.
    fn next(&self) -> Option<(Parcel, Errand)> {
        let has = self.has.as_ref().filter(|_| self.pieces < MOST_PIECES)?;
        let lacks = |(of, text, mark): &(Parcel, String, Mark)| {
            let (of, at) = (*of, bytes(has, *of));
            let piece = carry::piece(text, at);
            let (digest, text) = (mark.digest.clone(), piece.to_owned());
            (!text.is_empty()).then_some((of, Errand::Piece { of, digest, at, text }))
        };
        self.texts.iter().rev().find_map(lacks)
    }

    /// Nothing, or nothing more than before: this round is over for it.
    fn got(&mut self, of: Parcel, has: Option<Has>) {
        let (Some(before), Some(now)) = (&mut self.has, has) else {
            self.has = None;
            return;
        };
        if bytes(&now, of) <= bytes(before, of) {
            self.has = None;
            return;
        }
        match of {
            Parcel::Generation => before.generation = now.generation,
            Parcel::Windows => before.windows = now.windows,
        }
        before.applied = now.applied;
    }

    fn is_whole(&self) -> bool {
        let has = |has: &Has| self.texts.iter().all(|(of, _, mark)| bytes(has, *of) == mark.bytes);
        self.has.as_ref().is_some_and(has)
    }
}

const fn bytes(has: &Has, of: Parcel) -> u64 {
    match of {
        Parcel::Generation => has.generation,
        Parcel::Windows => has.windows,
    }
}

fn text<T: serde::Serialize>(message: &T) -> String {
    // What `api` writes is JSON.
    String::from_utf8(put(message)).unwrap_or_default()
}

pub(super) fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok())
}
