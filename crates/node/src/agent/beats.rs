//! Sockets of the beats: one per network this node is on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use engine::packet::MAX_PACKET;
use sys::netlink::{Change, Monitor, Netlink};
use sys::poll::{Interest, Poller};

use super::tethers::Tethers;
use super::{MONITOR, NETWORKS, PEERS};

/// Errors of one socket taken at a time; more wait for the next turn.
const ERRORS: usize = 256;
/// A send fails once for each error of an earlier packet; so many may come in between.
const TRIES: usize = 3;

/// How often a socket whose address is missing is tried again: as fast as an operator looks.
const RETRY: Duration = Duration::from_secs(1);

/// The ways to the peers.
#[derive(Debug)]
pub(crate) struct Beats {
    networks: Vec<Network>,
    port: u16,
    monitor: Option<Monitor>,
    retry_at: Time,
    refused: Vec<u16>,
    pub(super) tethers: Tethers,
    /// There are nodes that get no socket of their own: refusals are told by that of the network.
    has_many: bool,
}

#[derive(Debug)]
struct Network {
    own: Option<IpAddr>,
    /// The device that has `own`.
    device: Option<u32>,
    peers: Vec<Peer>,
    /// Of every other node, by position.
    addresses: Vec<Option<IpAddr>>,
    socket: Option<OwnedFd>,
}

/// Another node on one network.
#[derive(Debug)]
struct Peer {
    node: u16,
    address: SocketAddr,
    /// Only for what goes to it, so that its kernel's refusals are known as its.
    socket: Option<OwnedFd>,
}

impl Beats {
    pub(crate) fn open(cluster: &Cluster, me: u16, poller: &Poller) -> Option<Self> {
        let me = usize::from(me);
        // Only who beats is told when a kernel refuses: a socket for each of a thousand nodes is too many.
        let beaten = if cluster.is_compute(me) { &[] } else { cluster.controllers() };
        let network = |network: usize| Network {
            own: cluster.nodes.get(me).and_then(|node| *node.addresses.get(network)?),
            device: None,
            addresses: (0..)
                .zip(&cluster.nodes)
                .map(|(position, node)| {
                    node.addresses.get(network).copied().flatten().filter(|_| position != me)
                })
                .collect(),
            peers: (0_u16..)
                .zip(beaten)
                .filter(|(position, _)| usize::from(*position) != me)
                .filter_map(|(position, node)| Some((position, (*node.addresses.get(network)?)?)))
                .map(|(node, address)| Peer {
                    node,
                    address: SocketAddr::new(address, cluster.port),
                    socket: None,
                })
                .collect(),
            socket: None,
        };
        let monitor = Monitor::open().ok();
        if let Some(monitor) = &monitor {
            poller.add(monitor.as_fd(), MONITOR, Interest::READ).ok()?;
        }
        Some(Self {
            networks: (0..cluster.networks.len()).map(network).collect(),
            port: cluster.port,
            monitor,
            retry_at: Time::ZERO,
            refused: vec![],
            tethers: Tethers::new(cluster, u16::try_from(me).ok()?),
            has_many: cluster.controllers().len() < cluster.nodes.len(),
        })
    }

    /// Opens what is not open yet, at most once in [`RETRY`]: an address may come later than we.
    pub(crate) fn open_missing(&mut self, poller: &Poller, now: Time) {
        if now < self.retry_at {
            return;
        }
        let port = self.port;
        let mut missing = false;
        for (token, network) in (NETWORKS..).zip(&mut self.networks) {
            let Some(own) = network.own else { continue };
            if network.socket.is_none() {
                network.socket = open(own, port, token, poller).ok();
                if let Some(socket) = &network.socket {
                    if self.has_many {
                        // Without it a refusal is silence.
                        let _ = sys::socket::keep_errors(socket.as_fd(), own);
                    }
                    crate::refused::hear_only(
                        socket.as_fd(),
                        network.addresses.iter().flatten().copied(),
                    );
                }
            }
            missing |= network.socket.is_none();
            for peer in &mut network.peers {
                if peer.socket.is_none() {
                    peer.socket = towards(own, peer, poller).ok();
                }
                missing |= peer.socket.is_none();
            }
        }
        missing |= self.tethers.open_missing(poller);
        self.find_devices();
        self.retry_at = if missing { now + RETRY } else { Time::NEVER };
    }

    /// Datagrams that the kernel threw away since the sockets were opened.
    pub(crate) fn unread(&self) -> u64 {
        let sockets = self.networks.iter().filter_map(|network| network.socket.as_ref());
        sockets.map(|socket| u64::from(sys::socket::dropped(socket.as_fd()).unwrap_or(0))).sum()
    }

    pub(crate) fn retry_at(&self) -> Time {
        self.retry_at
    }

    fn find_devices(&mut self) {
        let Ok(addresses) = Netlink::open().and_then(|netlink| netlink.addresses()) else { return };
        for network in &mut self.networks {
            let of = |own: IpAddr| addresses.iter().find(|address| address.ip == own);
            if let Some(address) = network.own.and_then(of) {
                network.device = Some(address.index);
            }
        }
    }

    /// Carriers that changed, by network.
    pub(crate) fn devices(&mut self) -> Vec<(u8, bool)> {
        let mut changed = vec![];
        let Some(monitor) = &mut self.monitor else { return changed };
        while let Ok(Some(change)) = monitor.next() {
            match change {
                Change::Link { link, gone } => {
                    for (number, network) in (0_u8..).zip(&self.networks) {
                        if network.device == Some(link.index) {
                            changed.push((number, link.carrier && !gone));
                        }
                    }
                }
                Change::Address { .. } | Change::Lost => self.retry_at = Time::ZERO,
            }
        }
        changed
    }

    /// To every other node on this network, what `write` seals for it.
    pub(crate) fn send(&mut self, network: u8, mut write: impl FnMut(u16, &mut [u8]) -> usize) {
        let Some(network) = self.networks.get(usize::from(network)) else { return };
        let Some(socket) = &network.socket else { return };
        let mut packet = [0; MAX_PACKET];
        for peer in &network.peers {
            let length = write(peer.node, &mut packet);
            if length == 0 {
                continue;
            }
            let packet = &packet[..length];
            let sent = match &peer.socket {
                Some(own) => sys::socket::send(own.as_fd(), packet, false),
                None => sys::socket::send_to(socket.as_fd(), packet, peer.address),
            };
            // What the kernel tells here is about an earlier packet; this one has not left.
            let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            if sent.as_ref().is_err_and(is_refused) {
                self.refused.push(peer.node);
            }
            if sent.is_err() {
                // A beat that cannot leave is silence, which is what it should be.
                send_out(socket, packet, peer.address);
            }
        }
    }

    /// The kernel has an error for a socket towards this node: remembers it if it is a refusal.
    pub(crate) fn look_at(&mut self, node: u16) {
        for network in &self.networks {
            let peers = network.peers.iter().filter(|peer| peer.node == node);
            for socket in peers.filter_map(|peer| peer.socket.as_ref()) {
                let error = sys::socket::take_error(socket.as_fd());
                if error.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                    self.refused.push(node);
                }
            }
        }
    }

    /// Nodes whose kernel refused a beat since the last call.
    pub(crate) fn refused(&mut self) -> Vec<u16> {
        let mut nodes = std::mem::take(&mut self.refused);
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// To one node, position in the cluster file.
    pub(crate) fn send_to(&mut self, node: u16, network: u8, packet: &[u8]) {
        let Some(network) = self.networks.get(usize::from(network)) else { return };
        let address = network.addresses.get(usize::from(node)).copied().flatten();
        if let (Some(address), Some(socket)) = (address, &network.socket) {
            // What cannot leave is asked for again.
            send_out(socket, packet, SocketAddr::new(address, self.port));
        }
    }

    /// Nodes whose kernel refused what was sent to them on this network since the last call.
    pub(crate) fn refused_on(&mut self, network: u8) -> Vec<u16> {
        let Some(network) = self.networks.get(usize::from(network)) else { return vec![] };
        let Some(socket) = &network.socket else { return vec![] };
        let errors = std::iter::from_fn(|| sys::socket::refused_by(socket.as_fd())).take(ERRORS);
        let nodes = errors.flatten().filter_map(|by| {
            let at = network.addresses.iter().position(|address| *address == Some(by))?;
            u16::try_from(at).ok()
        });
        let mut nodes: Vec<u16> = nodes.collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Its length, and from where it came.
    pub(crate) fn receive(&self, network: u8, buffer: &mut [u8]) -> Option<(usize, IpAddr)> {
        let socket = self.networks.get(usize::from(network))?.socket.as_ref()?;
        for _ in 0..ERRORS {
            match sys::socket::receive_from(socket.as_fd(), buffer) {
                Ok((length, from)) => return Some((length, from.ip())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // Of packets that went out: a node whose agent is down, a way that is not there.
                Err(_) => {}
            }
        }
        None
    }
}

/// What the kernel tells here may be about an earlier packet; this one has not left then.
fn send_out(socket: &OwnedFd, packet: &[u8], to: SocketAddr) {
    let leaves = |()| match sys::socket::send_to(socket.as_fd(), packet, to) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    let _left = std::iter::repeat_n((), TRIES).any(leaves);
}

fn open(own: IpAddr, port: u16, token: u64, poller: &Poller) -> io::Result<OwnedFd> {
    let socket = sys::socket::udp(SocketAddr::new(own, port), None)?;
    poller.add(socket.as_fd(), token, Interest::READ)?;
    Ok(socket)
}

/// Waits for nothing but errors, which epoll always tells.
fn towards(own: IpAddr, peer: &Peer, poller: &Poller) -> io::Result<OwnedFd> {
    let socket = sys::socket::udp_towards(own, peer.address)?;
    poller.add(socket.as_fd(), PEERS + u64::from(peer.node), Interest::NONE)?;
    Ok(socket)
}
