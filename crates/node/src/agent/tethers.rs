//! Idle connections from controllers to all other nodes, which the kernel closes when a process ends.
//!
//! A controller connects, the other node accepts and keeps; nobody reads or writes. They are on the port of the beats, of
//! TCP. Their end is a hint for [`engine::member`] and [`engine::gossip`], so nothing seals them: who cuts one makes a
//! controller ask. Of two controllers each has its own to the other, so that only who connected looks at one.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use config::cluster::Cluster;
use engine::packet::MAX_NETWORKS;
use engine::{gossip, member};
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
    /// The store of this node listens there by its file: nobody is let in.
    is_taken: bool,
    /// By node and network: of a controller, to other nodes.
    tied: BTreeMap<(u16, u8), Tether>,
    /// By controller and network, of whom it is: never looked at, the newest replaces the one before.
    kept: BTreeMap<(u16, u8), OwnedFd>,
}

#[derive(Debug)]
struct Network {
    own: Option<IpAddr>,
    /// Of all nodes, by position.
    addresses: Vec<Option<IpAddr>>,
    /// Where controllers connect to this node; none: it is not open yet.
    door: Option<OwnedFd>,
    /// Nobody can be let in at the door for now, so that it is not waited for.
    rests: bool,
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
            rests: false,
            controllers: cluster.controllers().len(),
        };
        let networks = (0..cluster.networks.len().min(MAX_NETWORKS)).map(network).collect();
        let is_taken = cluster.store.as_ref().is_some_and(|store| {
            let is_own = store.etcd.is_none() && store.members.contains(&me);
            is_own && store.port == cluster.port
        });
        Self { networks, port: cluster.port, is_taken, ..Self::default() }
    }

    /// Opens the doors that are not open yet, and waits again for those that rest; true if one is still shut.
    pub(crate) fn open_missing(&mut self, poller: &Poller) -> bool {
        let mut missing = false;
        if self.is_taken {
            return missing;
        }
        for (token, network) in (DOORS..).zip(&mut self.networks) {
            let Some(own) = network.own else { continue };
            if network.door.is_none() {
                network.door = network.open(SocketAddr::new(own, self.port), token, poller).ok();
            }
            if let Some(door) = network.door.as_ref().filter(|_| network.rests) {
                network.rests = poller.add(door.as_fd(), token, Interest::READ).is_err();
            }
            missing |= network.door.is_none() || network.rests;
        }
        missing
    }

    /// A controller connects to this node; true if the door rests from now on.
    fn accept(&mut self, network: u8, poller: &Poller) -> bool {
        let Some(here) = self.networks.get_mut(usize::from(network)) else { return false };
        let Some(door) = &here.door else { return false };
        for _ in 0..BACKLOG {
            let (socket, from) = match sys::socket::accept(door.as_fd()) {
                Ok((socket, Peer::Tcp(from))) => (socket, from),
                Ok((_, Peer::Unix)) => continue,
                Err(error) if is_of_one(&error) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Out of descriptors: who waits there goes on waiting, and the poller would tell it without end.
                Err(_) => {
                    here.rests = poller.remove(door.as_fd()).is_ok();
                    return here.rests;
                }
            };
            let controllers = (0_u16..).zip(here.addresses.iter().take(here.controllers));
            let is_it = |(_, address): &(u16, &Option<IpAddr>)| **address == Some(from.ip());
            if let Some((controller, _)) = controllers.into_iter().find(is_it) {
                self.kept.insert((controller, network), socket);
            }
        }
        false
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

/// One that gave up while it waited, or a signal: the next one may be let in.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

fn token(node: u16, network: u8) -> u64 {
    TETHERS + (u64::from(network) << 16 | u64::from(node))
}

impl Agent<'_> {
    /// A controller is at a door of this node.
    pub(super) fn door(&mut self, network: u64) {
        if let (Ok(network), Some(beats)) = (u8::try_from(network), &mut self.beats)
            && beats.tethers.accept(network, &self.poller)
        {
            beats.try_again(sys::clock::now());
        }
    }

    /// Connects to another node, to hear of the end of its process.
    pub(super) fn tie(&mut self, node: u16, network: u8) {
        if let Some(beats) = &mut self.beats {
            beats.tethers.tie((node, network), &self.poller);
        }
    }

    /// Something happened to a connection to another node.
    pub(super) fn tether(&mut self, ready: &Ready) {
        let number = ready.token - TETHERS;
        let (Ok(node), Ok(network)) = (u16::try_from(number & 0xffff), u8::try_from(number >> 16))
        else {
            return;
        };
        let Some(beats) = &mut self.beats else { return };
        if let Some(holds) = beats.tethers.look_at((node, network), ready, &self.poller) {
            self.step(member::Input::Tether { node, network, holds });
            self.gossip(gossip::Input::Tether { node, network, holds });
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    const NAME: &str =
        "agent::tethers::tests::without_descriptors_a_door_rests_until_it_is_tried_again";
    const INSIDE: &str = "OUTLAST_TEST_WITHOUT_DESCRIPTORS";

    /// A controller and a compute node; their port is free.
    fn cluster() -> Cluster {
        let free = sys::socket::listen_tcp("127.0.74.2:0".parse().unwrap(), &Listen::default());
        let port = sys::socket::local(free.unwrap().as_fd()).unwrap().port();
        let text = format!(
            "[cluster]\nname = \"cloud\"\nport = {port}\n\
             [node.ctl1]\nnetworks = {{ m = \"127.0.74.1\" }}\n\
             [node.cmp1]\nrole = \"compute\"\nnetworks = {{ m = \"127.0.74.2\" }}\n"
        );
        let source = config::Source { path: String::new(), text };
        config::cluster::parse(&source, 0).0.unwrap()
    }

    fn is_told(poller: &Poller, at_most: Duration) -> bool {
        let mut ready = vec![];
        poller.wait(&mut ready, Some(at_most)).unwrap();
        ready.iter().any(|ready| ready.token == DOORS)
    }

    #[test]
    fn without_descriptors_a_door_rests_until_it_is_tried_again() {
        // The limit is of the whole process, so that no other test may run in it.
        if std::env::var_os(INSIDE).is_none() {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let output = again.args(["--exact", NAME]).env(INSIDE, "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let (cluster, poller) = (cluster(), Poller::new().unwrap());
        let mut tethers = Tethers::new(&cluster, 1);
        assert!(!tethers.open_missing(&poller), "its door is open");
        let at =
            |node: usize, port| SocketAddr::new(cluster.nodes[node].addresses[0].unwrap(), port);
        let to = at(1, cluster.port);
        let controller = sys::socket::connect_tcp_from(to, Some(at(0, 0))).unwrap();
        let patience = Duration::from_secs(10);
        assert!(is_told(&poller, patience));
        let limit = getrlimit(Resource::Nofile);
        let free = std::fs::File::open("/dev/null").unwrap();
        let open = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&free)).unwrap();
        drop(free);
        let low = Rlimit { current: Some(open), maximum: limit.maximum };
        setrlimit(Resource::Nofile, low).unwrap();
        assert!(tethers.accept(0, &poller));
        assert!(!is_told(&poller, Duration::ZERO), "it would be told without end");
        setrlimit(Resource::Nofile, limit).unwrap();
        assert!(!tethers.open_missing(&poller));
        assert!(is_told(&poller, patience));
        assert!(!tethers.accept(0, &poller));
        assert_eq!(tethers.kept.len(), 1, "who waited is let in");
        drop(controller);
    }
}
