//! That a node executes nothing any more, as somebody who knows it said.

use serde::{Deserialize, Serialize};

use crate::maintenance::Window;

/// A proof of death, under `proof/NODE` in the store. It counts until somebody takes it back.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Proof {
    pub node: String,
    /// `USER@HOST`, by the tool's own word.
    pub who: String,
    pub why: String,
    /// As [`Window::by`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Milliseconds since 1970 (UTC) by the clock of the node it was typed on.
    pub at_ms: u64,
    /// The revision under which the store committed it; 0 as long as it is not read from there.
    #[serde(default)]
    pub entry: u64,
}

impl Proof {
    /// Whose word it is, for people.
    #[must_use]
    pub fn whose(&self) -> String {
        crate::maintenance::whose(&self.who, &self.by)
    }
}

/// What a node without a store keeps of it, so that its next agent knows it from the begin: file `told` of the
/// state folder.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Remembered {
    pub look: crate::Look,
    pub posted: Posted,
}

/// What members of the store bring to nodes that have none, beside the configuration.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Posted {
    pub windows: Vec<Window>,
    pub proofs: Vec<Proof>,
}
