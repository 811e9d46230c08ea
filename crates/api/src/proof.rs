//! That a node executes nothing any more, as somebody who knows it said.

use serde::{Deserialize, Serialize};

use crate::maintenance::Window;

/// A proof of death, under `proof/NODE` in the store. It counts until somebody takes it back, or a new machine joins
/// under that name.
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
    /// When the machine that it is of joined the cluster, in milliseconds since 1970, as the roster says; 0: not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub joined_ms: u64,
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

    /// Whether it is of a machine before the one that joined under that name then (milliseconds since 1970). Where it
    /// says of no machine, it is of the one that had the name when it was typed.
    #[must_use]
    pub const fn is_outlived_by(&self, joined_ms: u64) -> bool {
        let since = if self.joined_ms == 0 { self.at_ms } else { self.joined_ms };
        joined_ms > since
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_machine_and_not_of_the_next_under_that_name() {
        let proof = Proof { joined_ms: 100, at_ms: 900, ..Proof::default() };
        assert!(!proof.is_outlived_by(100), "of the one that is in");
        // Whatever the clock of the node says on which it was typed.
        assert!(proof.is_outlived_by(101));
        assert!(!Proof { at_ms: 90, ..proof.clone() }.is_outlived_by(100));
        let unsaid = Proof { joined_ms: 0, ..proof };
        assert!(!unsaid.is_outlived_by(900) && unsaid.is_outlived_by(901));
    }
}
