//! The control socket: one question per connection, answers as JSON lines.

use serde::{Deserialize, Serialize};

use crate::{Event, Status};

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
}

/// One line of the agent's answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Status(Box<Status>),
    Event(Event),
    /// The question was not understood, and why.
    Refused(String),
}
