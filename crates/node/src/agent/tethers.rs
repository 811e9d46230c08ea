//! Idle connections between controllers and compute nodes, which the kernel closes when a process ends.
//!
//! A controller connects, a compute node accepts and keeps; nobody reads or writes. They are on the port of the beats, of
//! TCP. Their end is a hint for [`engine::gossip`], so nothing seals them: who cuts one makes a controller ask.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use config::cluster::Cluster;
use engine::gossip;
use engine::packet::MAX_NETWORKS;
use sys::poll::{Interest, Poller, Ready};
use sys::socket::{Listen, Peer};

use super::{Agent, DOORS, TETHERS};

/// A node that lost its power is asked after so long whether it has the connection still, and forgotten when it says
/// nothing: two small packets a minute, and no descriptor is kept for ever.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Connections that wait at a door: one of each controller.
const BACKLOG: u32 = 32;

/// Those of this node.
#[derive(Debug, Default)]
pub(crate) struct Tethers {
    networks: Vec<Network>,
    port: u16,
    /// By node and network: to compute nodes.
    tied: BTreeMap<(u16, u8), Tether>,
    /// By controller and network, of a compute node: never looked at, the newest replaces the one before.
    kept: BTreeMap<(u16, u8), OwnedFd>,
}

#[derive(Debug)]
struct Network {
    own: Option<IpAddr>,
    /// Of all nodes, by position.
    addresses: Vec<Option<IpAddr>>,
    /// Where controllers connect to this node; none: it is a controller, or it is not open yet.
    door: Option<OwnedFd>,
    wants_door: bool,
    /// So many of the first nodes are controllers.
    controllers: usize,
}

#[derive(Debug)]
struct Tether {
    socket: OwnedFd,
    holds: bool,
}

impl Tethers {
    pub(crate) fn new(cluster: &Cluster, me: u16) -> Self {
        let me = usize::from(me);
        let address = |node: &config::cluster::Node, network: usize| {
            node.addresses.get(network).copied().flatten()
        };
        let network = |network: usize| Network {
            own: cluster.nodes.get(me).and_then(|node| address(node, network)),
            addresses: cluster.nodes.iter().map(|node| address(node, network)).collect(),
            door: None,
            wants_door: cluster.is_compute(me),
            controllers: cluster.controllers().len(),
        };
        let networks = (0..cluster.networks.len().min(MAX_NETWORKS)).map(network).collect();
        Self { networks, port: cluster.port, ..Self::default() }
    }

    /// Opens the doors that are not open yet; true if one is still shut.
    pub(crate) fn open_missing(&mut self, poller: &Poller) -> bool {
        let mut missing = false;
        for (token, network) in (DOORS..).zip(&mut self.networks) {
            let Some(own) = network.own.filter(|_| network.wants_door) else { continue };
            if network.door.is_none() {
                network.door = network.open(SocketAddr::new(own, self.port), token, poller).ok();
            }
            missing |= network.door.is_none();
        }
        missing
    }

    /// A controller connects to this compute node.
    fn accept(&mut self, network: u8) {
        let Some(here) = self.networks.get(usize::from(network)) else { return };
        let Some(door) = &here.door else { return };
        for _ in 0..BACKLOG {
            let Ok((socket, Peer::Tcp(from))) = sys::socket::accept(door.as_fd()) else { return };
            let controllers = (0_u16..).zip(here.addresses.iter().take(here.controllers));
            let is_it = |(_, address): &(u16, &Option<IpAddr>)| **address == Some(from.ip());
            if let Some((controller, _)) = controllers.into_iter().find(is_it) {
                self.kept.insert((controller, network), socket);
            }
        }
    }

    /// Begins to connect; one that is there is of an earlier process of that node.
    pub(crate) fn tie(&mut self, (node, network): (u16, u8), poller: &Poller) {
        let socket = self.connect((node, network), poller);
        match socket {
            Ok(socket) => self.tied.insert((node, network), Tether { socket, holds: false }),
            // It is tried again.
            Err(_) => self.tied.remove(&(node, network)),
        };
    }

    fn connect(&self, (node, network): (u16, u8), poller: &Poller) -> io::Result<OwnedFd> {
        let here = self.networks.get(usize::from(network)).ok_or(io::ErrorKind::NotFound)?;
        let address = here.addresses.get(usize::from(node)).copied().flatten();
        let (Some(own), Some(address)) = (here.own, address) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (to, from) = (SocketAddr::new(address, self.port), SocketAddr::new(own, 0));
        let socket = sys::socket::connect_tcp_from(to, Some(from))?;
        sys::socket::keep_alive_every(socket.as_fd(), FORGOTTEN_AFTER)?;
        sys::socket::give_up_after(socket.as_fd(), FORGOTTEN_AFTER)?;
        poller.add(socket.as_fd(), token(node, network), Interest::WRITE)?;
        Ok(socket)
    }

    /// Something happened to a connection: whether it holds, if that is news.
    fn look_at(&mut self, at: (u16, u8), ready: &Ready, poller: &Poller) -> Option<bool> {
        let tether = self.tied.get_mut(&at)?;
        let socket = tether.socket.as_fd();
        let is_well = sys::socket::take_error(socket).is_ok();
        if !tether.holds && is_well {
            // What is told of the one before has its name.
            if !ready.writable || sys::socket::peer(socket).is_err() {
                return None;
            }
            tether.holds = poller.modify(socket, token(at.0, at.1), Interest::READ).is_ok();
            return Some(tether.holds);
        }
        // Nobody has anything to say there: who does so is let go as well.
        if is_well && !ready.readable && !ready.hangup {
            return None;
        }
        self.tied.remove(&at);
        Some(false)
    }
}

impl Network {
    fn open(&self, at: SocketAddr, token: u64, poller: &Poller) -> io::Result<OwnedFd> {
        let listen = Listen { backlog: BACKLOG, ..Listen::default() };
        let door = sys::socket::listen_tcp(at, &listen)?;
        let controllers = self.addresses.iter().take(self.controllers);
        crate::refused::hear_only(door.as_fd(), controllers.flatten().copied());
        poller.add(door.as_fd(), token, Interest::READ)?;
        Ok(door)
    }
}

fn token(node: u16, network: u8) -> u64 {
    TETHERS + (u64::from(network) << 16 | u64::from(node))
}

impl Agent<'_> {
    /// A controller is at a door of this compute node.
    pub(super) fn door(&mut self, network: u64) {
        if let (Ok(network), Some(beats)) = (u8::try_from(network), &mut self.beats) {
            beats.tethers.accept(network);
        }
    }

    /// Something happened to a connection to a compute node.
    pub(super) fn tether(&mut self, ready: &Ready) {
        let number = ready.token - TETHERS;
        let (Ok(node), Ok(network)) = (u16::try_from(number & 0xffff), u8::try_from(number >> 16))
        else {
            return;
        };
        let Some(beats) = &mut self.beats else { return };
        if let Some(holds) = beats.tethers.look_at((node, network), ready, &self.poller) {
            self.gossip(gossip::Input::Tether { node, network, holds });
        }
    }
}
