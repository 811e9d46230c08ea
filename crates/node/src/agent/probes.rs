//! Sockets for what goes to compute nodes, one per network: their kernels say there whom they refuse, and nothing else
//! comes in.
//!
//! Not by the sockets that hear beats: what an error says takes room in the buffer of its socket, and whoever reaches
//! this node can forge one that quotes a packet from the known port of the beats. Answers go to that port, as nobody
//! looks at the port from which a packet came.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use config::cluster::Cluster;
use engine::gossip;
use engine::packet::MAX_NETWORKS;
use sys::poll::{Interest, Poller};

use super::{Agent, PROBES};

/// Errors of one socket taken at a time; more wait for the next turn.
const ERRORS: usize = 64;
/// A send fails once for an error of an earlier packet; so many may come in between.
const TRIES: usize = 3;

/// Those of this node.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    networks: Vec<Network>,
    port: u16,
    /// So many of the first nodes are controllers, of whom members hear by beats.
    controllers: usize,
}

#[derive(Debug)]
struct Network {
    /// Where there is none, this node is not on it, or the cluster has no compute nodes.
    own: Option<IpAddr>,
    /// Of all nodes, by position.
    addresses: Vec<Option<IpAddr>>,
    socket: Option<OwnedFd>,
}

impl Probes {
    pub(crate) fn new(cluster: &Cluster, me: u16) -> Self {
        let controllers = cluster.controllers().len();
        let has_computes = controllers < cluster.nodes.len();
        let network = |network: usize| {
            let address = |node: &config::cluster::Node| node.addresses.get(network).copied()?;
            Network {
                own: cluster.nodes.get(usize::from(me)).and_then(address).filter(|_| has_computes),
                addresses: cluster.nodes.iter().map(address).collect(),
                socket: None,
            }
        };
        let networks = (0..cluster.networks.len().min(MAX_NETWORKS)).map(network).collect();
        Self { networks, port: cluster.port, controllers }
    }

    /// Opens the sockets that are not open yet; true if one is missing still.
    pub(crate) fn open_missing(&mut self, poller: &Poller) -> bool {
        let mut missing = false;
        for (token, network) in (PROBES..).zip(&mut self.networks) {
            let Some(own) = network.own else { continue };
            if network.socket.is_none() {
                network.socket = open(own, token, poller).ok();
            }
            missing |= network.socket.is_none();
        }
        missing
    }

    /// Whether it has left to a compute node: to controllers, and while errors come faster than they are taken,
    /// another socket is wanted.
    pub(crate) fn send_to(&self, node: u16, network: u8, packet: &[u8]) -> bool {
        let node = usize::from(node);
        let here = self.networks.get(usize::from(network)).filter(|_| node >= self.controllers);
        let to = here.and_then(|here| here.addresses.get(node).copied().flatten());
        let (Some(to), Some(socket)) = (to, here.and_then(|here| here.socket.as_ref())) else {
            return false;
        };
        let to = SocketAddr::new(to, self.port);
        // What the kernel tells here may be about an earlier packet; this one has not left then.
        let leaves = |()| sys::socket::send_to(socket.as_fd(), packet, to).is_ok();
        std::iter::repeat_n((), TRIES).any(leaves)
    }

    /// Nodes whose kernel refused what was sent to them on this network since the last call, of the first errors that
    /// wait there.
    pub(crate) fn refused_on(&self, network: u8) -> Vec<u16> {
        let here = self.networks.get(usize::from(network));
        let Some((here, socket)) = here.and_then(|here| Some((here, here.socket.as_ref()?))) else {
            return vec![];
        };
        let errors = std::iter::from_fn(|| sys::socket::refused_by(socket.as_fd())).take(ERRORS);
        let nodes = errors.flatten().filter_map(|by| {
            let at = here.addresses.iter().position(|address| *address == Some(by))?;
            u16::try_from(at).ok()
        });
        let mut nodes: Vec<u16> = nodes.collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

/// Waits for nothing but errors, which epoll always tells.
fn open(own: IpAddr, token: u64, poller: &Poller) -> io::Result<OwnedFd> {
    let socket = sys::socket::udp(SocketAddr::new(own, 0), None)?;
    sys::socket::hear_nobody(socket.as_fd())?;
    sys::socket::keep_errors(socket.as_fd(), own)?;
    poller.add(socket.as_fd(), token, Interest::NONE)?;
    Ok(socket)
}

impl Agent<'_> {
    /// The kernel of a node refused what was sent to it on this network.
    pub(super) fn errors(&mut self, network: u64) {
        let Ok(network) = u8::try_from(network) else { return };
        let refused = self.beats.as_ref().map(|beats| beats.probes.refused_on(network));
        for node in refused.unwrap_or_default() {
            self.gossip(gossip::Input::Refused { node, network });
        }
    }
}
