//! What the machine orders, and what it says about itself.

use super::{HandOver, Hello};

/// What the driver does, in this order. A failing action is reported and the rest is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Add the addresses to their devices. On failure: [`super::Input::Refused`].
    Claim,
    /// Remove them.
    Release,
    /// One gratuitous ARP (or neighbour advertisement) for each address. The machine spaces the
    /// repetitions.
    Announce,
    Advertise {
        priority: u8,
    },
    /// To every peer on every network.
    HandOver(HandOver),
    /// To every peer on every network.
    Hello(Hello),
    /// Ask the neighbours once for each address whether somebody has it. Who does: [`super::Input::InUse`], also of later
    /// words of others, as long as [`super::Vip::searches`].
    Probe,
    /// A getter gives another answer than at the last report.
    Report,
}

/// What the kernel did not do of the orders of one step.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Undone {
    /// It did not take an address.
    pub claim: bool,
    /// It keeps an address: a stop that failed is no stop.
    pub release: bool,
}

impl Undone {
    /// Whether an order of the same step is left out, as it would tell others what is not so. A goodbye is true
    /// all the same: who keeps an address stands for it no more.
    #[must_use]
    pub const fn forbids(self, action: &Action) -> bool {
        match action {
            // Nobody is to look here for what is not here.
            Action::Announce => self.claim,
            Action::Advertise { priority } => self.claim && *priority != 0,
            // A successor would be a second holder.
            Action::HandOver(_) => self.release,
            Action::Claim | Action::Release | Action::Hello(_) | Action::Probe | Action::Report => {
                false
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Backup,
    Master,
    /// Out of the race.
    Fault,
}

/// Why an instance moved or may not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// Nobody advertised for the master-down interval.
    Silence,
    /// The holder said goodbye (priority 0).
    Goodbye,
    /// The holder named this node.
    Named,
    /// A stronger advert, or a planned move to a stronger peer.
    Stronger,
    /// This process did not run for as long as others wait.
    Stalled,
    Script,
    /// A tracked or own interface has no carrier.
    Carrier,
    /// A tracked or own interface is not there.
    NoDevice,
    /// No interface of this node has its address on the network of this one yet.
    NoNetwork,
    Balancer,
    /// The kernel did not take the address.
    Refused,
    Stopping,
    /// Taken over from the process before.
    Adopted,
    /// An operator put this node on standby.
    Standby,
    /// An operator moved the address to another node.
    Moved,
    /// An operator confirmed that this node is off.
    ProvenDead,
    /// Somebody who is no router of the group has the address.
    InUse,
    /// Another virtual IP that is held together with it cannot be, or was lost.
    Together,
}

impl Cause {
    /// What was seen.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Silence => "nobody advertised for the master-down interval",
            Self::Goodbye => "the holder said goodbye",
            Self::Named => "the holder named this node",
            Self::Stronger => "a stronger node stands for the address",
            Self::Stalled => "this process did not run for as long as others wait",
            Self::Script => "a check script failed",
            Self::Carrier => "a tracked interface has no carrier",
            Self::NoDevice => "an interface that it needs is not there",
            Self::NoNetwork => "no network yet: no interface has this node's address on it",
            Self::Balancer => "the balancer of this node does not serve",
            Self::Refused => "the kernel did not take the address",
            Self::Stopping => "the program ends",
            Self::Adopted => "taken over from the process before",
            Self::Standby => "an operator put this node on standby",
            Self::Moved => "an operator moved it to another node",
            Self::ProvenDead => "an operator confirmed that this node is off",
            Self::InUse => "somebody who is no router of the group has the address",
            Self::Together => "another address of its sync group cannot be held here, or was lost",
        }
    }
}

/// Adverts that were not obeyed, by reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    pub obeyed: u64,
    /// Another router id: another group on the same link.
    pub router_id: u64,
    /// Another version of the protocol.
    pub version: u64,
    pub interval: u64,
    pub password: u64,
    /// Unicast from a router that is not listed.
    pub source: u64,
    /// Obeyed all the same: the sender's list of addresses differs from ours.
    pub addresses: u64,
    /// Obeyed all the same, in version 3: the sender says another interval than ours.
    pub other_interval: u64,
    /// Obeyed all the same: in a group of our own nodes, from a router that is none of them.
    pub foreign: u64,
    /// Sealed messages of a node that holds and whose adverts do not come.
    pub unheard: u64,
    /// Sealed messages of a node or a group that is not ours.
    pub strangers: u64,
    /// Hand-overs to a process that is no more, or that was not heard of.
    pub outlived: u64,
}
