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

use super::probes::Probes;
use super::tethers::Tethers;
use super::{MONITOR, NETWORKS, PEERS};

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
    pub(super) probes: Probes,
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
            probes: Probes::new(cluster, u16::try_from(me).ok()?),
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
        missing |= self.tethers.open_missing(poller) | self.probes.open_missing(poller);
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

    /// Something is missing from now on.
    pub(super) fn try_again(&mut self, now: Time) {
        self.retry_at = self.retry_at.min(now + RETRY);
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
                Change::Filters { .. } | Change::Way => {}
            }
        }
        changed
    }

    /// To every other node on this network, or to one, what `write` seals for it.
    pub(crate) fn send(
        &mut self,
        network: u8,
        only: Option<u16>,
        mut write: impl FnMut(u16, &mut [u8]) -> usize,
    ) {
        let Some(network) = self.networks.get(usize::from(network)) else { return };
        let Some(socket) = &network.socket else { return };
        let mut packet = [0; MAX_PACKET];
        let is_meant = |peer: &&Peer| only.is_none_or(|only| only == peer.node);
        for peer in network.peers.iter().filter(is_meant) {
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
                let _ = sys::socket::send_to(socket.as_fd(), packet, peer.address);
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
        if self.probes.send_to(node, network, packet) {
            return;
        }
        let Some(network) = self.networks.get(usize::from(network)) else { return };
        let address = network.addresses.get(usize::from(node)).copied().flatten();
        if let (Some(address), Some(socket)) = (address, &network.socket) {
            // What cannot leave is asked for again.
            let to = SocketAddr::new(address, self.port);
            let _ = sys::socket::send_to(socket.as_fd(), packet, to);
        }
    }

    /// Its length, and from where it came.
    pub(crate) fn receive(&self, network: u8, buffer: &mut [u8]) -> Option<(usize, IpAddr)> {
        let socket = self.networks.get(usize::from(network))?.socket.as_ref()?;
        let (length, from) = sys::socket::receive_from(socket.as_fd(), buffer).ok()?;
        Some((length, from.ip()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// More errors than a socket has room for.
    const FLOOD: u32 = 2000;

    /// A controller, another one, and a compute node whose agent is down; their port is free.
    fn cluster() -> Cluster {
        let free = sys::socket::udp("127.0.73.1:0".parse().unwrap(), None).unwrap();
        let port = sys::socket::local(free.as_fd()).unwrap().port();
        let text = format!(
            "[cluster]\nname = \"cloud\"\nport = {port}\n\
             [node.ctl1]\nnetworks = {{ m = \"127.0.73.1\" }}\n\
             [node.ctl2]\nnetworks = {{ m = \"127.0.73.2\" }}\n\
             [node.cmp1]\nrole = \"compute\"\nnetworks = {{ m = \"127.0.73.3\" }}\n"
        );
        let source = config::Source { path: String::new(), text };
        config::cluster::parse(&source, 0).0.unwrap()
    }

    /// Waits until something happened to that descriptor, however busy the machine is.
    fn wait(poller: &Poller, token: u64) {
        let (mut ready, deadline) = (vec![], sys::clock::now() + Duration::from_secs(10));
        while !ready.iter().any(|ready: &sys::poll::Ready| ready.token == token) {
            let left = deadline.since(sys::clock::now());
            assert!(!left.is_zero(), "nothing happened to {token}");
            poller.wait(&mut ready, Some(left)).unwrap();
        }
    }

    #[test]
    fn what_compute_nodes_refuse_takes_no_room_from_beats() {
        let (cluster, poller) = (cluster(), Poller::new().unwrap());
        let mut beats = Beats::open(&cluster, 0, &poller).unwrap();
        beats.open_missing(&poller, sys::clock::now());
        let compute = u16::try_from(cluster.controllers().len()).unwrap();
        // On loopback each is refused, however many were before.
        (0..FLOOD).for_each(|_| beats.send_to(compute, 0, b"are you there?"));
        let at =
            |node: usize| SocketAddr::new(cluster.nodes[node].addresses[0].unwrap(), cluster.port);
        let other = sys::socket::udp(at(1), None).unwrap();
        assert!(sys::socket::send_to(other.as_fd(), b"a beat", at(0)).is_ok());
        let mut buffer = [0; MAX_PACKET];
        wait(&poller, NETWORKS);
        assert_eq!(beats.receive(0, &mut buffer), Some((6, at(1).ip())), "it had room");
        wait(&poller, super::super::PROBES);
        assert_eq!(beats.probes.refused_on(0), [compute]);
        // It is asked all the same, from a port at which nobody has to answer.
        let there = sys::socket::udp(at(2), None).unwrap();
        beats.send_to(compute, 0, b"and now?");
        poller.add(there.as_fd(), 1, Interest::READ).unwrap();
        wait(&poller, 1);
        let (length, from) = sys::socket::receive_from(there.as_fd(), &mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.ip()), (&b"and now?"[..], at(0).ip()));
        assert_ne!(from.port(), cluster.port);
    }
}
