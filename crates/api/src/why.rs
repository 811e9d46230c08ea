//! Why something is as it is, in words an operator can check.

use serde::{Deserialize, Serialize};

use crate::Event;

/// The explanation of one object.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Why {
    /// `KIND/NAME`.
    pub object: String,
    /// What it is now, in one sentence.
    pub state: String,
    /// What that rests on.
    pub evidence: Vec<Evidence>,
    /// The rule that made the state out of the evidence.
    pub rule: String,
    /// The table that rule is from, where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleLine>,
    /// What would make it another one, each with what would follow.
    pub would_change: Vec<String>,
    /// Its newest events, oldest first, at most [`Why::EVENTS`].
    pub events: Vec<Event>,
}

impl Why {
    /// Enough to see the last change and what led to it on one screen.
    pub const EVENTS: usize = 5;
}

/// A row of an ordered table of rules: the first that applies decides.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RuleLine {
    pub name: String,
    pub sentence: String,
    /// Its numbers at the present setting; empty where it has none.
    pub numbers: String,
    /// It is the one that decided.
    pub applies: bool,
}

/// Something that was seen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Evidence {
    pub what: String,
    /// How long ago it was last seen to be so, in milliseconds; none where it is no observation.
    pub age_ms: Option<u64>,
}
