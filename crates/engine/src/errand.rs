//! What one node asks another to do: over whichever network lives, and at most once.
//!
//! ```text
//! asker: Ask -> over the network heard last; no answer -> over the next one, round and round -> Ended
//! doer:  a request that is new -> Do, once -> its answer, kept; the same request again -> the same answer
//! ```
//!
//! A request names the life of the process that it is for: one that was started since has forgotten what
//! was done before, and does nothing. Who asked, by its place, its life and a number, is the kernel of
//! "the same request". The answer goes back over the network by which the request came, so a network that
//! is dead in one direction costs one more try.
//!
//! ```text
//!  request: 0  1   9     17           answer: 0  1   9        10
//!           1  id  life  text ...             1  id  outcome  text ...
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use crate::Buffer;
use crate::packet::{Kind, MAX_BODY, MAX_NETWORKS};

#[cfg(test)]
mod tests;

const VERSION: u8 = 1;
const REQUEST: usize = 17;
const ANSWER: usize = 10;

/// The longest text of a request or an answer (bytes).
pub const MAX_TEXT: usize = MAX_BODY - REQUEST;
/// Ten times a way through a data centre, so that a lost packet costs an operator nothing he notices.
pub const TRY_EVERY: Duration = Duration::from_millis(200);
/// Then nobody waits any more: longer than a disk takes to keep a word, shorter than a tool waits.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// So long is an answer kept: nobody asks again after [`PATIENCE`], and no packet travels for long.
pub const KEPT_FOR: Duration = Duration::from_secs(60);
/// Requests of this node that wait for an answer; people type them.
pub const MAX_ASKED: usize = 64;
/// Requests of others that are under way or kept. What is more is not taken on, rather than one forgotten that
/// may not be done twice.
pub const MAX_KEPT: usize = 1024;
/// Of them those of one node that may not be done twice: the others' have room beside them.
pub const MAX_OF_ONE: usize = MAX_KEPT / 2;
/// Trials of one step, so that its orders fit; the rest is due at once.
const AT_ONCE: usize = 8;

/// The networks towards a node, the one that is tried first in front.
pub type Ways = ArrayVec<u8, MAX_NETWORKS>;

/// How a request ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Done; what there is to say.
    Done(Vec<u8>),
    /// Not done, and why.
    Refused(Vec<u8>),
    /// Not done: its process has been started again since it was last heard.
    Restarted,
    /// Nothing came back: it may have been done.
    Silence,
}

/// The same request, however often it comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    pub asker: u16,
    pub life: u64,
    pub id: u64,
}

/// What the agent saw or wants.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Something for another node, whose process has that life; `id` is new.
    Ask {
        id: u64,
        to: u16,
        life: u64,
        ways: Ways,
        text: &'a [u8],
    },
    /// A packet of another node, whose process has that life.
    Packet {
        from: u16,
        life: u64,
        network: u8,
        kind: Kind,
        body: &'a [u8],
    },
    /// What [`Action::Do`] came to. A question `repeats`: answered twice it changes nothing, so its answer is kept
    /// as long as nothing else needs the room.
    Did {
        key: Key,
        outcome: Outcome,
        repeats: bool,
    },
    Timeout,
}

/// What the agent is to do, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Seal it and send it.
    Send { kind: Kind, to: u16, network: u8, body: Vec<u8> },
    /// Do it, and tell what came of it with [`Input::Did`].
    Do { key: Key, text: Vec<u8> },
    /// A request of this node has ended.
    Ended { id: u64, outcome: Outcome },
}

/// Requests to and from this node.
#[derive(Debug)]
pub struct Errands {
    /// The life of this process.
    life: u64,
    asked: Vec<Asked>,
    taken: VecDeque<Taken>,
}

#[derive(Debug)]
struct Asked {
    id: u64,
    to: u16,
    ways: Ways,
    way: usize,
    body: Vec<u8>,
    again_at: Time,
    until: Time,
}

#[derive(Debug)]
struct Taken {
    key: Key,
    since: Time,
    /// None as long as it is under way.
    answer: Option<Vec<u8>>,
    repeats: bool,
    /// By which it came last.
    network: u8,
}

impl Errands {
    #[must_use]
    pub const fn new(life: u64) -> Self {
        Self { life, asked: vec![], taken: VecDeque::new() }
    }

    /// The only way in.
    pub fn step(&mut self, now: Time, input: Input<'_>, out: &mut Buffer<Action>) {
        match input {
            Input::Ask { id, to, life, ways, text } => {
                self.ask(now, (id, to, life), ways, text, out);
            }
            Input::Packet { from, life, network, kind, body } => match kind {
                Kind::Errand => self.requested(now, (from, life), network, body, out),
                Kind::Answer => self.answered(from, body, out),
                Kind::Beat
                | Kind::Hello
                | Kind::HandOver
                | Kind::Question
                | Kind::Told
                | Kind::Gossip
                | Kind::VipBeat => {}
            },
            Input::Did { key, outcome, repeats } => self.did(key, &outcome, repeats, out),
            Input::Timeout => {}
        }
        self.keep_time(now, out);
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.asked.iter().map(|asked| asked.again_at.min(asked.until)).min().unwrap_or(Time::NEVER)
    }

    fn ask(
        &mut self,
        now: Time,
        (id, to, life): (u64, u16, u64),
        ways: Ways,
        text: &[u8],
        out: &mut Buffer<Action>,
    ) {
        let refused = |why: &str| Outcome::Refused(why.as_bytes().to_vec());
        if text.len() > MAX_TEXT {
            return out.push(Action::Ended { id, outcome: refused("the command is too long") });
        }
        if self.asked.len() >= MAX_ASKED {
            let outcome = refused("too many commands wait for answers of other nodes");
            return out.push(Action::Ended { id, outcome });
        }
        let mut body = vec![VERSION];
        body.extend(id.to_be_bytes());
        body.extend(life.to_be_bytes());
        body.extend(text);
        let until = if ways.is_empty() { now } else { now + PATIENCE };
        self.asked.push(Asked { id, to, ways, way: 0, body, again_at: now, until });
    }

    fn requested(
        &mut self,
        now: Time,
        (asker, life): (u16, u64),
        network: u8,
        body: &[u8],
        out: &mut Buffer<Action>,
    ) {
        let Some((id, meant, text)) = request(body) else { return };
        let key = Key { asker, life, id };
        if let Some(taken) = self.taken.iter_mut().find(|taken| taken.key == key) {
            taken.network = network;
            if let Some(body) = taken.answer.clone() {
                out.push(Action::Send { kind: Kind::Answer, to: asker, network, body });
            }
            return;
        }
        self.taken.retain(|taken| taken.answer.is_none() || now.since(taken.since) < KEPT_FOR);
        let refusal = if meant != self.life {
            Some(Outcome::Restarted)
        } else if !self.has_room(asker) {
            Some(Outcome::Refused(b"too many commands of other nodes at once".to_vec()))
        } else {
            None
        };
        if let Some(outcome) = refusal {
            let body = answer(id, &outcome);
            return out.push(Action::Send { kind: Kind::Answer, to: asker, network, body });
        }
        self.taken.push_back(Taken { key, since: now, answer: None, repeats: false, network });
        out.push(Action::Do { key, text: text.to_vec() });
    }

    /// Whether one more of this node is taken on; the oldest answer to a question makes room.
    fn has_room(&mut self, asker: u16) -> bool {
        let of_it = self.taken.iter().filter(|taken| taken.key.asker == asker && !taken.repeats);
        if of_it.count() >= MAX_OF_ONE {
            return false;
        }
        if self.taken.len() >= MAX_KEPT
            && let Some(oldest) = self.taken.iter().position(|taken| taken.repeats)
        {
            self.taken.remove(oldest);
        }
        self.taken.len() < MAX_KEPT
    }

    fn did(&mut self, key: Key, outcome: &Outcome, repeats: bool, out: &mut Buffer<Action>) {
        let Some(taken) = self.taken.iter_mut().find(|taken| taken.key == key) else { return };
        taken.repeats = repeats;
        let body = taken.answer.get_or_insert_with(|| answer(key.id, outcome)).clone();
        let network = taken.network;
        out.push(Action::Send { kind: Kind::Answer, to: key.asker, network, body });
    }

    fn answered(&mut self, from: u16, body: &[u8], out: &mut Buffer<Action>) {
        let Some((id, outcome)) = read_answer(body) else { return };
        let is_it = |asked: &Asked| asked.id == id && asked.to == from;
        if let Some(at) = self.asked.iter().position(is_it) {
            self.asked.swap_remove(at);
            out.push(Action::Ended { id, outcome });
        }
    }

    fn keep_time(&mut self, now: Time, out: &mut Buffer<Action>) {
        for _ in 0..AT_ONCE {
            let is_due = |asked: &Asked| now >= asked.again_at.min(asked.until);
            let Some(at) = self.asked.iter().position(is_due) else { return };
            let asked = &mut self.asked[at];
            if now >= asked.until {
                let id = self.asked.swap_remove(at).id;
                out.push(Action::Ended { id, outcome: Outcome::Silence });
                continue;
            }
            let network = asked.ways[asked.way % asked.ways.len()];
            asked.way += 1;
            asked.again_at = now + TRY_EVERY;
            let (to, body) = (asked.to, asked.body.clone());
            out.push(Action::Send { kind: Kind::Errand, to, network, body });
        }
    }
}

fn request(body: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (head, text) = body.split_first_chunk::<REQUEST>()?;
    let id = u64::from_be_bytes(*head[1..].first_chunk()?);
    let life = u64::from_be_bytes(*head[9..].first_chunk()?);
    (head[0] == VERSION).then_some((id, life, text))
}

fn answer(id: u64, outcome: &Outcome) -> Vec<u8> {
    let (code, text): (u8, &[u8]) = match outcome {
        Outcome::Done(text) => (0, text),
        Outcome::Refused(text) => (1, text),
        Outcome::Restarted => (2, &[]),
        Outcome::Silence => (3, &[]),
    };
    let mut body = vec![VERSION];
    body.extend(id.to_be_bytes());
    body.push(code);
    body.extend(&text[..text.len().min(MAX_TEXT)]);
    body
}

fn read_answer(body: &[u8]) -> Option<(u64, Outcome)> {
    let (head, text) = body.split_first_chunk::<ANSWER>()?;
    let id = u64::from_be_bytes(*head[1..].first_chunk()?);
    let outcome = match head[9] {
        0 => Outcome::Done(text.to_vec()),
        1 => Outcome::Refused(text.to_vec()),
        2 => Outcome::Restarted,
        _ => Outcome::Silence,
    };
    (head[0] == VERSION).then_some((id, outcome))
}

/// A request or an answer read and written again; none: it cannot be read. For tests of the format.
#[must_use]
pub fn print_again(kind: Kind, body: &[u8]) -> Option<Vec<u8>> {
    match kind {
        Kind::Errand => request(body).map(|(id, life, text)| {
            [&[VERSION][..], &id.to_be_bytes(), &life.to_be_bytes(), text].concat()
        }),
        Kind::Answer => read_answer(body).map(|(id, outcome)| answer(id, &outcome)),
        Kind::Beat
        | Kind::Hello
        | Kind::HandOver
        | Kind::Question
        | Kind::Told
        | Kind::Gossip
        | Kind::VipBeat => None,
    }
}
