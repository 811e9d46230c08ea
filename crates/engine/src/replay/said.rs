//! Decisions of the machine as they are recorded, compared and shown.

use crate::keep::{Keep, kept};
use crate::member::{Action, Standing};
use crate::verdict::Verdict;

/// Names of the cluster file by position.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    pub nodes: Vec<String>,
    pub networks: Vec<String>,
}

kept!(Names { nodes, networks });

impl Names {
    pub(super) fn node(&self, node: u16) -> String {
        let name = self.nodes.get(usize::from(node));
        name.cloned().unwrap_or_else(|| format!("node {node}"))
    }

    pub(super) fn network(&self, network: u8) -> String {
        let name = self.networks.get(usize::from(network));
        name.cloned().unwrap_or_else(|| format!("network {network}"))
    }
}

/// One order of the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// To every peer on this network: ten a second.
    Beat(u8),
    /// Anything else, in words that say all of it.
    Said(String),
}

impl Decision {
    pub(super) fn of(action: &Action, names: &Names) -> Self {
        Self::Said(match action {
            Action::Beat { network } => return Self::Beat(*network),
            Action::Verdict { node, standing, why } => {
                format!("{} counts as {}: {why}", names.node(*node), standing.word())
            }
            Action::Opinion { node, verdict, rule } => {
                let (node, on) = (names.node(*node), on_networks(*verdict, names));
                format!("{node} is {}{on}; rule {}: {}", verdict.word(), rule.name, rule.sentence)
            }
            Action::Carried { node, network, life, kind, body } => {
                let (node, network) = (names.node(*node), names.network(*network));
                let length = body.len();
                format!("hand on {kind:?} of {node}, start {life}, on {network} ({length} bytes)")
            }
            Action::Choices => "a peer knows a newer choice of a database".to_owned(),
            Action::Holds { node } => format!("{} holds other addresses now", names.node(*node)),
            Action::Duty { node } => format!("{} says another duty of itself", names.node(*node)),
            Action::Question { node, network, after } => {
                let (node, network) = (names.node(*node), names.network(*network));
                format!("ask {node} on {network} for its events after {after}")
            }
            Action::Answer { node, network, after } => {
                let (node, network) = (names.node(*node), names.network(*network));
                format!("tell {node} on {network} the own events after {after}")
            }
            Action::Outdated { node, came, known } => {
                let node = names.node(*node);
                format!("{node} is not believed: its packets are of start {came}, known is {known}")
            }
            Action::Event { node, number, skipped, text } => {
                let node = names.node(*node);
                let length = text.len();
                format!("keep event {number} of {node} ({length} bytes, {skipped} before it lost)")
            }
        })
    }

    /// Shown unless everything is asked for: beats and their bookkeeping go on all the time.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        matches!(self, Self::Beat(_))
    }

    /// For people.
    #[must_use]
    pub fn words(&self, names: &Names) -> String {
        match self {
            Self::Beat(network) => format!("beat on {}", names.network(*network)),
            Self::Said(words) => words.clone(),
        }
    }
}

impl Keep for Decision {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Beat(network) => out.extend_from_slice(&[0, *network]),
            Self::Said(words) => {
                out.push(1);
                words.keep(out);
            }
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => u8::revive(bytes).map(Self::Beat),
            1 => String::revive(bytes).map(Self::Said),
            _ => None,
        }
    }
}

fn on_networks(verdict: Verdict, names: &Names) -> String {
    match verdict {
        Verdict::CutOff { networks } => {
            let on: Vec<String> = networks.iter().map(|network| names.network(network)).collect();
            format!(" on {}", on.join(", "))
        }
        Verdict::ProvenDead(proof) => format!(" by entry {}", proof.entry()),
        Verdict::Unknown
        | Verdict::Alive
        | Verdict::Suspect
        | Verdict::Unreachable
        | Verdict::Leaving => String::new(),
    }
}

impl Standing {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Left => "left",
        }
    }
}
