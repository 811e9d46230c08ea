//! What can be done to a cluster, in the simulator and in the lab alike.

/// One deed. Nodes and networks by their place in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Deed {
    /// Everything dies, and the links go down with it.
    PowerOff(usize),
    PowerOn(usize),
    /// SIGKILL to every process at once; the kernel lives on.
    KillNode(usize),
    /// SIGKILL to the supervisor: its other processes notice, say goodbye and end.
    KillSupervisor(usize),
    /// SIGKILL to the agent, which the supervisor starts again.
    KillAgent(usize),
    /// SIGSTOP to every process: the machine stands still.
    Pause(usize),
    Resume(usize),
    /// The program ends in order.
    Stop(usize),
    Start(usize),
    /// A lost carrier, which the node sees.
    LinkDown(usize, Vec<usize>),
    LinkUp(usize, Vec<usize>),
    /// The switch forgets the node; its carrier stays.
    Cut(usize, Vec<usize>),
    /// What the first says is no longer heard by the second.
    OneWay(usize, usize, Vec<usize>),
    /// The two do not hear each other.
    Part(usize, usize, Vec<usize>),
    /// The networks fall into these nodes and all others.
    Split(Vec<usize>, Vec<usize>),
    /// To whoever leads the store at that moment.
    Leader(Strike),
    /// All cuts and lost ways are mended.
    Join,
    /// Everything is mended and started again.
    Mend,
}

/// What can be done to the leader of the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Strike {
    PowerOff,
    KillNode,
    Pause,
    Stop,
    Cut(Vec<usize>),
}

impl Strike {
    /// The same, done to this node.
    pub(crate) fn on(&self, node: usize) -> Deed {
        match self {
            Self::PowerOff => Deed::PowerOff(node),
            Self::KillNode => Deed::KillNode(node),
            Self::Pause => Deed::Pause(node),
            Self::Stop => Deed::Stop(node),
            Self::Cut(networks) => Deed::Cut(node, networks.clone()),
        }
    }
}

/// Whether a node runs after a deed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Runs {
    AsBefore,
    No(usize),
    Yes(usize),
    All,
}

impl Deed {
    pub(crate) const fn runs(&self) -> Runs {
        match self {
            Self::PowerOff(node)
            | Self::KillNode(node)
            | Self::KillSupervisor(node)
            | Self::Pause(node)
            | Self::Stop(node) => Runs::No(*node),
            Self::PowerOn(node) | Self::Resume(node) | Self::Start(node) => Runs::Yes(*node),
            Self::Mend => Runs::All,
            Self::KillAgent(_)
            | Self::LinkDown(..)
            | Self::LinkUp(..)
            | Self::Cut(..)
            | Self::OneWay(..)
            | Self::Part(..)
            | Self::Split(..)
            | Self::Leader(_)
            | Self::Join => Runs::AsBefore,
        }
    }

    /// Nodes that something is done to, of `all`: they may be accused from then on.
    pub(crate) fn hurts(&self, all: usize) -> Vec<usize> {
        match self {
            Self::PowerOff(node)
            | Self::PowerOn(node)
            | Self::KillNode(node)
            | Self::KillSupervisor(node)
            | Self::KillAgent(node)
            | Self::Pause(node)
            | Self::Resume(node)
            | Self::Stop(node)
            | Self::Start(node)
            | Self::LinkDown(node, _)
            | Self::LinkUp(node, _)
            | Self::Cut(node, _) => vec![*node],
            Self::OneWay(from, to, _) | Self::Part(from, to, _) => vec![*from, *to],
            Self::Split(..) => (0..all).collect(),
            Self::Leader(_) | Self::Join | Self::Mend => vec![],
        }
    }
}
