//! What a node has against itself.

use serde::{Deserialize, Serialize};

use crate::Status;

/// Why a node accuses nobody; each is a rule of the table of verdicts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnDoubt {
    /// It was woken late, or a link of it has just come back.
    OwnTimers,
    /// None of its links has a carrier.
    OwnLinks,
    /// It reaches no majority; a compute node: its own probes fail on all networks.
    OwnQuorum,
}

impl OwnDoubt {
    pub const ALL: [Self; 3] = [Self::OwnTimers, Self::OwnLinks, Self::OwnQuorum];

    /// The rule.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnTimers => "own-timers",
            Self::OwnLinks => "own-links",
            Self::OwnQuorum => "own-quorum",
        }
    }

    /// As an operator reads it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OwnTimers => "its timers were late, or a link of it has just come back",
            Self::OwnLinks => "none of its own links has a carrier",
            Self::OwnQuorum => "it reaches no majority of the nodes",
        }
    }
}

impl Status {
    /// `suspects itself and accuses nobody: it reaches no majority of the nodes`; none: it trusts itself.
    #[must_use]
    pub fn suspects_itself(&self) -> Option<String> {
        let words: Vec<_> = self.own_doubts.iter().map(|doubt| doubt.words()).collect();
        let text = || format!("suspects itself and accuses nobody: {}", words.join("; "));
        (!words.is_empty()).then(text)
    }
}
