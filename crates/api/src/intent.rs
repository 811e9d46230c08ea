//! What the cluster has decided to do, as it is shown, and what one node says to another about it.

use serde::{Deserialize, Serialize};

/// An intent of the replicated store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Intent {
    pub number: u64,
    /// `standby`, `drain`, `resume`, `move`.
    pub what: String,
    /// `node/node02`, `vip/internal`.
    pub object: String,
    /// Who asked, and on which node.
    pub by: String,
    /// When, milliseconds since 1970 (UTC), by the clock of the node that coordinated.
    pub at_ms: u64,
    pub state: IntentState,
    /// Why it failed or was refused; of one that is carried out, why its step is not done yet.
    pub why: String,
    /// The step that is next, from 0; nothing where it has ended.
    pub next: Option<u8>,
    pub steps: Vec<IntentStep>,
}

/// What an intent has come to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntentState {
    /// Decided, and being carried out.
    #[default]
    Committed,
    Done,
    /// Part of it may have been done.
    Failed,
    /// Nothing was done.
    Refused,
}

impl IntentState {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// Who decides for the cluster, and what came here from others that did once.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Coordinator {
    /// Who holds the name, as this node's store tells; empty: nobody, or this node has no part of the store.
    pub node: String,
    /// Under which it acts.
    pub token: u64,
    /// When this node first saw that, milliseconds since 1970 (UTC).
    pub since_ms: u64,
    /// Orders of others that were refused here since this agent started: of a former coordinator, or of a
    /// former store.
    pub stale_orders: u64,
}

/// What one node does of an intent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct IntentStep {
    pub node: String,
    pub verb: String,
    pub object: String,
}

/// A step, from the node that coordinates to the one that does it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct StepOrder {
    /// Under which it coordinates; grows with every coordinator of one store.
    pub token: u64,
    /// Of the store that gave the token; grows with every founding and restore. 0: it does not tell.
    #[serde(default)]
    pub incarnation: u64,
    /// Of the intent.
    pub number: u64,
    pub step: u8,
    pub what: IntentStep,
    pub by: String,
}

/// The answer to a [`StepOrder`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carried {
    /// It is being done.
    Begun,
    Done,
    /// It was not, or not all of it.
    Failed(String),
    /// Refused: a later coordinator, with this token, has ordered something here, or one of a later store.
    Stale(u64),
}
