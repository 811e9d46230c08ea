//! The control socket: one question per connection, answers as JSON lines.

use serde::{Deserialize, Serialize};

use crate::access::{AccessAnswer, AccessAsk, Secret};
use crate::books::{BookAnswer, BookAsk};
use crate::{Event, Intent, Status, StepOrder, Tried, Why};

/// What the operator's tool asks the agent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    Status,
    /// Events with a number greater than `after`; with `follow` the answer never ends.
    Events {
        after: u64,
        follow: bool,
    },
    /// The newest `last` events of all nodes as far as they are known here, oldest first; with
    /// `follow` the answer never ends.
    Timeline {
        last: u32,
        follow: bool,
    },
    /// Why `KIND/NAME` (a bare name is a node) is as it is.
    Why {
        object: String,
    },
    /// Changes something. The answer is the status from before; what comes of it is seen by asking again.
    Command(Command),
    /// The same by this node alone, without the cluster's store: for its own standby where no majority can
    /// be had.
    Alone(Command),
    /// The newest `last` intents of the cluster's store, oldest first.
    Intents {
        last: u32,
    },
    /// What is under way with the servers of a node, in every balancer of the cluster.
    Under {
        node: String,
    },
    /// Sends a test to one receiver of notifications, or to all of them.
    NotifyTest {
        receiver: Option<String>,
    },
    /// About what operators keep in the cluster's store.
    Book(BookAsk),
    /// About tokens of programs and the audit log.
    Access(AccessAsk),
    /// Asked by whoever has this token, whatever its user may.
    As {
        token: Secret,
        ask: Box<Self>,
    },
}

/// What an operator may tell a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Hold nothing until told otherwise, over restarts too.
    Standby { node: String },
    /// As standby; what is under way there is watched until it has ended, or for this many seconds.
    Drain {
        node: String,
        #[serde(default = "drain_limit")]
        limit: u32,
    },
    /// Hold again what comes.
    Resume { node: String },
    /// Hand this virtual IP to that node.
    Move { vip: String, to: String },
    /// Let this virtual IP, which was moved, go by its rules again.
    Anywhere { vip: String },
    /// Let the listener of this name, which has one writer, use its server on that node.
    Use { pool: String, to: String },
    /// Let that node coordinate.
    Coordinate { to: String },
    /// Let that voter lead the store.
    Lead { to: String },
}

impl Command {
    /// What it is about, as `outlast intents` and the audit log call it where it is no node.
    #[must_use]
    pub fn object(&self) -> String {
        match self {
            Self::Standby { node } | Self::Drain { node, .. } | Self::Resume { node } => {
                format!("node/{node}")
            }
            Self::Move { vip, .. } | Self::Anywhere { vip } => format!("vip/{vip}"),
            Self::Use { pool, .. } => format!("pool/{pool}"),
            Self::Coordinate { .. } => "coordinator".to_owned(),
            Self::Lead { .. } => "store".to_owned(),
        }
    }
}

/// Of those who do not say one (seconds).
const fn drain_limit() -> u32 {
    60
}

/// What one node asks another, sealed for it. A version that does not know one of these refuses it, and
/// says which word it does not know.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Errand {
    /// Typed there, for this one, as versions said it that did not name who typed it.
    Command(Command),
    /// Typed there by somebody, for this one.
    Typed { command: Command, by: String },
    /// Typed there by somebody, to become an intent by this one, which coordinates; answered by its number.
    Intend { command: Command, by: String },
    /// A step of an intent, for this one; answered by a [`crate::Carried`].
    Step(StepOrder),
    /// Which node coordinates, as the store says; answered by its name.
    Coordinator,
    /// Intents of a smaller number, newest first, as many as there is room for; answered by [`Intent`]s.
    Intents { before: u64 },
    /// What this one's balancer has under way with the servers of that node; answered by an [`Under`].
    Under { node: String },
    /// Asked there by somebody, of a member of the store; answered by a [`crate::books::BookPart`], from that
    /// byte of the answer on.
    Book { ask: BookAsk, by: String, at: u64 },
    /// What a member of the store has for this one, which has none; answered by a [`Has`].
    Offer {
        generation: Mark,
        windows: Mark,
        /// None: an etcd, or a version that does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        look: Option<Look>,
    },
    /// A piece of one of them; answered by a [`Has`].
    Piece { of: Parcel, digest: String, at: u64, text: String },
}

impl Errand {
    /// Whether it may be done twice: it changes nothing, or not the second time.
    #[must_use]
    pub fn repeats(&self) -> bool {
        match self {
            Self::Command(_) | Self::Typed { .. } | Self::Intend { .. } | Self::Step(_) => false,
            Self::Coordinator
            | Self::Intents { .. }
            | Self::Under { .. }
            | Self::Offer { .. }
            | Self::Piece { .. } => true,
            Self::Book { ask, .. } => !crate::access::Deed::of_book(ask).0.row().changes,
        }
    }
}

/// What is brought to a node without a store.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parcel {
    /// A [`crate::generation::Brought`].
    Generation,
    /// What is [`crate::proof::Posted`]: maintenance windows, and proofs of death.
    Windows,
}

/// When a member looked at the store: [`Self::revision`] of the one with this incarnation.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Look {
    pub incarnation: u64,
    pub revision: u64,
}

/// A text that is offered.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mark {
    /// SHA-256, hexadecimal.
    pub digest: String,
    pub bytes: u64,
}

/// How much of what was offered is there, in bytes, and what the node makes of its configuration.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Has {
    pub generation: u64,
    pub windows: u64,
    /// None: it has not looked at any generation yet.
    pub applied: Option<crate::generation::Applied>,
}

/// Sessions of one balancer with the servers of a node.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Under {
    /// The node of the balancer.
    pub balancer: String,
    pub sessions: u64,
    /// `PROXY/SERVER` of the first of them.
    pub servers: Vec<String>,
    /// Why nothing is known.
    pub unknown: Option<String>,
}

/// What keeps a node from being drained, in words.
#[must_use]
pub fn left(under: &[Under], status: &Status) -> Vec<String> {
    let balancer = |under: &Under| {
        let name = &under.balancer;
        match &under.unknown {
            Some(why) => Some(format!("{name}: {why}")),
            None if under.sessions == 0 => None,
            None => {
                let (sessions, servers) = (under.sessions, under.servers.join(" "));
                Some(format!("{name} has {sessions} under way with {servers}"))
            }
        }
    };
    // A writer that could move has moved.
    let writer = |choice: &crate::Choice| {
        let is_it = |s: &&crate::ServerState| s.proxy == choice.proxy && s.server == choice.server;
        let rests = status.servers.iter().find(is_it).is_some_and(|server| server.resting);
        rests.then(|| format!("{} still writes to {}", choice.proxy, choice.server))
    };
    let writers = status.choices.iter().filter_map(writer);
    under.iter().filter_map(balancer).chain(writers).collect()
}

/// One line of the agent's answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Status(Box<Status>),
    Event(Event),
    Why(Box<Why>),
    /// One per living node.
    Under(Vec<Under>),
    Intents(Vec<Intent>),
    Tried(Vec<Tried>),
    Book(BookAnswer),
    Access(AccessAnswer),
    /// The question was not understood, and why.
    Refused(String),
}
