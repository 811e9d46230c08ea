//! Decisions of the machine as they are recorded, compared and shown.

use std::fmt;

use crate::keep::{Keep, keep_bytes};
use crate::member::{Action, Standing};
use crate::verdict::{Rule, Verdict};
use crate::vip::Role;

/// Names of the cluster file by position.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    pub nodes: Vec<String>,
    pub networks: Vec<String>,
    /// Of virtual IPs, by position on this node; none in a recording of membership.
    pub instances: Vec<String>,
}

impl Names {
    pub(super) fn node(&self, node: u16) -> String {
        self.of_node(node).to_string()
    }

    /// The same, without memory of its own.
    pub(super) const fn of_node(&self, node: u16) -> OfNode<'_> {
        OfNode { names: self, node }
    }

    pub(super) fn instance(&self, instance: u16) -> String {
        let name = self.instances.get(usize::from(instance));
        name.map_or_else(|| format!("vip {instance}"), |name| format!("vip/{name}"))
    }

    pub(super) fn network(&self, network: u8) -> String {
        let name = self.networks.get(usize::from(network));
        name.cloned().unwrap_or_else(|| format!("network {network}"))
    }
}

/// How a node is called.
pub(super) struct OfNode<'a> {
    names: &'a Names,
    node: u16,
}

impl fmt::Display for OfNode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.nodes.get(usize::from(self.node)) {
            Some(name) => f.write_str(name),
            None => write!(f, "node {}", self.node),
        }
    }
}

/// One order of the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// To every peer on this network: ten a second.
    Beat(u8),
    /// To the other nodes on every network: four a second.
    Hello { priority: u8, role: Role, eligible: bool, term: u64 },
    /// With that priority; never the goodbye.
    Advert(u8),
    /// Gratuitous ARP.
    Announce,
    /// Anything else, in words that say all of it.
    Said(String),
}

impl Decision {
    pub(super) fn of(action: &Action, names: &Names) -> Self {
        Self::Said(match action {
            Action::Beat { network } => return Self::Beat(*network),
            Action::Ask { node, network } => {
                format!("ask {} alone on {}", names.node(*node), names.network(*network))
            }
            Action::Tether { node, network } => {
                let (node, network) = (names.node(*node), names.network(*network));
                format!("connect to {node} on {network}, to hear of its end")
            }
            Action::Verdict { node, standing, why } => {
                format!("{} counts as {}: {why}", names.node(*node), standing.word())
            }
            Action::Opinion { node, verdict, rule } => {
                return Self::of_verdict(*node, *verdict, rule, names);
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

    /// By this rule of the table.
    pub(super) fn of_verdict(node: u16, verdict: Verdict, rule: &Rule, names: &Names) -> Self {
        let (node, on) = (names.node(node), on_networks(verdict, names));
        let (word, Rule { name, sentence, .. }) = (verdict.word(), rule);
        Self::Said(format!("{node} is {word}{on}; rule {name}: {sentence}"))
    }

    /// Shown only when everything is asked for: these go on all the time.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        !matches!(self, Self::Said(_))
    }

    /// For people.
    #[must_use]
    pub fn words(&self, names: &Names) -> String {
        match self {
            Self::Beat(network) => format!("beat on {}", names.network(*network)),
            Self::Hello { priority, role, eligible, term } => {
                let could = if *eligible { "could hold" } else { "could not hold" };
                let role = role.word();
                format!("tell the other nodes: {role}, {could}, priority {priority}, term {term}")
            }
            Self::Advert(priority) => format!("advertise with priority {priority}"),
            Self::Announce => "tell the neighbours (gratuitous ARP)".to_owned(),
            Self::Said(words) => words.clone(),
        }
    }
}

impl Decision {
    pub(super) fn keep_said(words: &str, out: &mut Vec<u8>) {
        out.push(1);
        keep_bytes(words.as_bytes(), out);
    }
}

impl Keep for Decision {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Beat(network) => out.extend_from_slice(&[0, *network]),
            Self::Said(words) => Self::keep_said(words, out),
            Self::Hello { priority, role, eligible, term } => {
                out.push(2);
                (*priority, *role).keep(out);
                (*eligible, *term).keep(out);
            }
            Self::Advert(priority) => out.extend_from_slice(&[3, *priority]),
            Self::Announce => out.push(4),
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => u8::revive(bytes).map(Self::Beat),
            1 => String::revive(bytes).map(Self::Said),
            2 => {
                let ((priority, role), (eligible, term)) = Keep::revive(bytes)?;
                Some(Self::Hello { priority, role, eligible, term })
            }
            3 => u8::revive(bytes).map(Self::Advert),
            4 => Some(Self::Announce),
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
