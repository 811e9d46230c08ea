//! The control socket: one question per connection, answers as JSON lines.

use serde::{Deserialize, Serialize};

use crate::access::{AccessAnswer, AccessAsk, Secret};
use crate::{Event, Status, Why};

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
    /// What is under way with the servers of a node, in every balancer of the cluster.
    Under {
        node: String,
    },
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
    /// As standby; what is under way there is watched until it has ended.
    Drain { node: String },
    /// Hold again what comes.
    Resume { node: String },
    /// Hand this virtual IP to that node.
    Move { vip: String, to: String },
}

/// What one node asks another, sealed for it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Errand {
    /// Typed there, for this one.
    Command(Command),
    /// What this one's balancer has under way with the servers of that node; answered by an [`Under`].
    Under { node: String },
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

/// One line of the agent's answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Status(Box<Status>),
    Event(Event),
    Why(Box<Why>),
    /// One per living node.
    Under(Vec<Under>),
    Access(AccessAnswer),
    /// The question was not understood, and why.
    Refused(String),
}
