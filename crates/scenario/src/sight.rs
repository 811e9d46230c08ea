//! What is seen of a cluster: what each node thinks of each other one, and who holds the virtual IP.

use std::time::Duration;

/// What is concluded of a node, as `engine::verdict` and `api` have it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Verdict {
    #[default]
    Unknown,
    Alive,
    Suspect,
    /// On these networks, in ascending order.
    CutOff(Vec<usize>),
    Unreachable,
    Leaving,
    ProvenDead,
}

impl Verdict {
    /// It says something bad of a node that did not say goodbye.
    #[must_use]
    pub const fn is_doubt(&self) -> bool {
        match self {
            Self::Suspect | Self::CutOff(_) | Self::Unreachable | Self::ProvenDead => true,
            Self::Unknown | Self::Alive | Self::Leaving => false,
        }
    }

    /// More than doubt: a node without a majority doubts, and accuses nobody.
    #[must_use]
    pub const fn is_accusation(&self) -> bool {
        match self {
            Self::CutOff(_) | Self::Unreachable | Self::ProvenDead => true,
            Self::Unknown | Self::Alive | Self::Suspect | Self::Leaving => false,
        }
    }
}

/// What one node thinks of another.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sight {
    pub verdict: Verdict,
    /// Whether it hears it, by network.
    pub cells: Vec<bool>,
}

/// What one node thinks of every node, itself included (which nobody asks about).
pub type View = Vec<Sight>;

/// A moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// None: its agent does not answer now.
    pub views: Vec<Option<View>>,
    /// Whether a client that asks for the virtual IP would get this node's answer.
    pub holds: Vec<bool>,
}

/// What is seen of the cluster's store; nobody asks where a file has no `store` line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StoreSight {
    /// Who leads it, as each node says; none: it does not answer, or knows of nobody.
    pub leaders: Vec<Option<usize>>,
    /// Who coordinates, the same way.
    pub coordinators: Vec<Option<usize>>,
    /// When the newest write that was acknowledged had begun, by the cloud's clock.
    pub written: Option<Duration>,
}

/// A verdict that a node came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Told {
    pub who: usize,
    pub of: usize,
    pub verdict: Verdict,
}
