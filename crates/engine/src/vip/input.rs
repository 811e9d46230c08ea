//! What the machine is told.

use std::net::IpAddr;

use base::Time;

use super::{Advert, HandOver, Hello, Mac, Together};

/// One instance on this node.
#[derive(Clone, Debug)]
pub struct Config {
    pub vip: config::vip::Vip,
    /// Position of this node in the cluster file; 0 where there is none.
    pub node: u16,
    /// Number of this process: larger than that of any before on this node.
    pub life: u64,
    /// Source of this node's adverts; over IPv6 an address of its link.
    pub source: IpAddr,
    /// Position of the network that carries the adverts, as sealed messages name it. None: none of
    /// the cluster's.
    pub network: Option<u8>,
    /// Nodes of our own that share the secret; empty: RFC only.
    pub peers: Vec<Peer>,
    /// Until then the silence of others counts for nothing.
    pub starts_at: Time,
    /// The kernel has the addresses already, from the process before.
    pub adopted: bool,
}

/// Another node of the cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Position in the cluster file.
    pub node: u16,
    /// Its addresses on every network.
    pub addresses: Vec<IpAddr>,
}

/// What the outside world tells the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input<'a> {
    Advert {
        source: IpAddr,
        advert: Advert<'a>,
    },
    /// A sealed message that arrived on `network`.
    Hello {
        network: u8,
        hello: Hello,
    },
    HandOver(HandOver),
    /// One run of `track_scripts[index]`; those behind them are `weighed_interfaces`, then `track_processes`, which pass
    /// while they are good; last, behind `track_files`, `track_bfds`.
    Script {
        index: usize,
        passed: bool,
    },
    /// One of `track_files`, which are behind those: what it adds to the priority; less than -253: this node cannot hold.
    Measure {
        index: usize,
        weight: i16,
    },
    /// 0: the interface of the instance; `n`: `track_interfaces[n - 1]`.
    Carrier {
        interface: usize,
        up: bool,
    },
    /// The same interfaces; this one is not there.
    NoDevice {
        interface: usize,
    },
    /// The interface of the instance, or its source there, which was not known, is from now on: adverts leave from `source`,
    /// on that of the cluster's networks. The carrier is told after it.
    Network {
        source: IpAddr,
        network: Option<u8>,
    },
    Balancer(Balancer),
    /// The member machine says that this node is silent everywhere or has left.
    PeerLost {
        node: u16,
    },
    /// An operator wants this node to hold nothing, or lets it hold again.
    Standby(bool),
    /// It is committed that this node, or that peer, executes nothing any more, or that is taken back. Who runs all
    /// the same holds nothing, and is named by nobody.
    Proven {
        node: u16,
        dead: bool,
    },
    /// An operator wants that node to hold the address of this one.
    MoveTo {
        node: u16,
    },
    /// Somebody answers for an address that is not here, with that hardware address.
    InUse {
        mac: Mac,
    },
    /// The others of the group that is held together.
    Together(Together),
    /// The kernel did not take the addresses.
    Refused,
    /// Somebody removed an address that we hold.
    AddressLost,
    /// The program ends.
    Stop,
    /// The deadline has come, or may have.
    Timeout,
}

/// What this node's balancer can do for a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Balancer {
    Serving,
    /// Being replaced in place: what was known stays known.
    Replacing,
    Failed,
}
