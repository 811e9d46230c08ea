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
    /// No reference point answers it, beside that it reaches no majority.
    OwnReference,
}

impl OwnDoubt {
    pub const ALL: [Self; 4] =
        [Self::OwnTimers, Self::OwnLinks, Self::OwnQuorum, Self::OwnReference];

    /// The rule.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnTimers => "own-timers",
            Self::OwnLinks => "own-links",
            Self::OwnQuorum => "own-quorum",
            Self::OwnReference => "own-reference",
        }
    }

    /// As an operator reads it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OwnTimers => "its timers were late, or a link of it has just come back",
            Self::OwnLinks => "none of its own links has a carrier",
            Self::OwnQuorum => "it reaches no majority of the nodes",
            Self::OwnReference => "no reference point answers it, on any network",
        }
    }
}

/// Networks of a node by what its reference points there say; of those in neither list nothing is known.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct References {
    /// A point answers.
    pub answering: Vec<String>,
    /// None does, though one did before.
    pub silent: Vec<String>,
}

/// A reference point as this node sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReferenceLine {
    pub address: String,
    /// Where it is asked.
    pub network: String,
    /// Its answer is not older than the detection time.
    pub answers: bool,
    /// Age of its last answer in milliseconds; none: it has never answered, and says nothing.
    pub age_ms: Option<u64>,
}

impl ReferenceLine {
    /// `10.0.0.1 on mgmt answers` and the like.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { address, network, answers, age_ms } = self;
        match (answers, age_ms) {
            (true, _) => format!("{address} on {network} answers"),
            (false, Some(age)) => {
                format!("{address} on {network} has not answered for {:.1} s", *age as f64 / 1000.0)
            }
            (false, None) => format!("{address} on {network} has never answered"),
        }
    }
}

/// What reference points say about whose fault it is that this node reaches no majority; none: it reaches one, or
/// there is no point, or none ever answered.
#[must_use]
pub fn whose_fault(doubts: &[OwnDoubt], points: &[ReferenceLine]) -> Option<String> {
    if doubts.contains(&OwnDoubt::OwnReference) {
        return Some("its own networks are gone, rather than the others".to_owned());
    }
    if !doubts.contains(&OwnDoubt::OwnQuorum) {
        return None;
    }
    let answers = points.iter().find(|point| point.answers).map(ReferenceLine::words);
    answers.map(|words| format!("{words}: its network works, rather the others are gone"))
}

impl Status {
    /// `suspects itself and accuses nobody: it reaches no majority of the nodes`; none: it trusts itself.
    #[must_use]
    pub fn suspects_itself(&self) -> Option<String> {
        let fault = whose_fault(&self.own_doubts, &self.reference);
        let words = self.own_doubts.iter().map(|doubt| doubt.words().to_owned());
        let words: Vec<_> = words.chain(fault).collect();
        let text = || format!("suspects itself and accuses nobody: {}", words.join("; "));
        (!words.is_empty()).then(text)
    }
}
