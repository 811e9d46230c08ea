//! Why something is as it is, in words an operator can check.

use serde::{Deserialize, Serialize};

use crate::{Event, Verdict};

/// The explanation of one object.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
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
    /// Kinds of evidence that occur in it; what belongs to one begins with its name and a colon.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindLine>,
    /// Verdicts on it, oldest first, at most [`Why::TURNS`], since the agent that answers started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Turn>,
}

impl Why {
    /// Enough to see the last change and what led to it on one screen.
    pub const EVENTS: usize = 5;
    /// Enough for a bad night of one node.
    pub const TURNS: usize = 16;
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

/// A kind of evidence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KindLine {
    pub name: String,
    pub meaning: String,
    /// How long it counts, in words.
    pub counts: String,
}

/// A verdict that replaced another one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Turn {
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    pub verdict: Verdict,
    /// Where it is cut off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    pub rule: String,
    /// The evidence of that moment.
    pub cause: String,
}

/// Something that was seen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Evidence {
    pub what: String,
    /// How long ago it was last seen to be so, in milliseconds; none where it is no observation.
    pub age_ms: Option<u64>,
}
