//! What the supervisor does when the vip process died without a word: no address stays, and the
//! successor it had named is told.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use api::VipState;
use config::cluster::Cluster;
use config::vip::Vip;
use engine::packet::{Kind, MAX_PACKET, Seal};
use engine::vip::{Group, HandOver};
use sys::netlink::Netlink;
use sys::vrrp;

use super::wire;

/// The last words of the vip process, and how to act on them.
#[derive(Debug)]
pub(crate) struct Rescue {
    vips: Vec<Vip>,
    states: BTreeMap<u16, VipState>,
    netlink: Netlink,
    ours: Option<Ours>,
}

#[derive(Debug)]
struct Ours {
    cluster: Cluster,
    me: usize,
    node: u16,
    secret: Vec<u8>,
}

/// What was done, for the event.
#[derive(Debug, Default)]
pub(crate) struct Done {
    removed: Vec<IpAddr>,
    named: Vec<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.removed.is_empty() {
            return f.write_str("there was no address to remove");
        }
        let removed: Vec<String> = self.removed.iter().map(IpAddr::to_string).collect();
        write!(f, "{} removed", removed.join(", "))?;
        if self.named.is_empty() {
            f.write_str(", nobody could be named")
        } else {
            write!(f, ", {} told to take over", self.named.join(", "))
        }
    }
}

impl Rescue {
    pub(crate) fn open(
        vips: &[Vip],
        cluster: Option<&Cluster>,
        me: Option<usize>,
        secret: Option<&[u8]>,
    ) -> io::Result<Self> {
        let ours = cluster.zip(me).zip(secret).and_then(|((cluster, me), secret)| {
            let node = u16::try_from(me).ok()?;
            Some(Ours { cluster: cluster.clone(), me, node, secret: secret.to_vec() })
        });
        let (vips, netlink) = (vips.to_vec(), Netlink::open()?);
        Ok(Self { vips, states: BTreeMap::new(), netlink, ours })
    }

    /// What the vip process reported.
    pub(crate) fn note(&mut self, state: &VipState) {
        self.states.insert(state.instance, state.clone());
    }

    /// Removes every address, then tells the successors and everybody else.
    pub(crate) fn act(&mut self) -> Done {
        let mut done = Done::default();
        let mut left = Vec::new();
        for (number, vip) in (0..).zip(&self.vips) {
            let gone = self.remove(vip);
            if !gone.is_empty() {
                left.push((number, vip));
            }
            done.removed.extend(gone);
        }
        for (number, vip) in left {
            if let Some(name) = self.name_successor(number, vip) {
                done.named.push(name);
            }
            self.say_goodbye(vip);
        }
        self.states.clear();
        done
    }

    fn remove(&self, vip: &Vip) -> Vec<IpAddr> {
        let present =
            |ip: &IpAddr| self.netlink.delete_everywhere(*ip).is_ok_and(|count| count > 0);
        vip.addresses.iter().map(|address| address.ip).filter(present).collect()
    }

    fn name_successor(&self, number: u16, vip: &Vip) -> Option<String> {
        let ours = self.ours.as_ref()?;
        let state = self.states.get(&number)?;
        let to = state.successor?;
        let (from, term) = (ours.node, state.term.saturating_add(1));
        let message = HandOver { group: Group::of(vip), from, to, term };
        ours.send(&message);
        ours.cluster.nodes.get(usize::from(to)).map(|node| node.name.clone())
    }

    /// Foreign routers, and nodes that were not named, wait for their skew only.
    fn say_goodbye(&self, vip: &Vip) {
        let links = self.netlink.links().unwrap_or_default();
        let device = links.iter().find(|link| link.name == vip.interface);
        let first = device.and_then(|link| self.netlink.first_ipv4(link.index).ok().flatten());
        let source = vip.source.or(first).unwrap_or(Ipv4Addr::UNSPECIFIED);
        if let Ok(socket) = vrrp::Socket::open(&vip.interface, false) {
            wire::advertise(&socket, vip, source, 0);
        }
    }
}

impl Ours {
    fn send(&self, message: &HandOver) {
        let mut seal = Seal::new(&self.secret, &self.cluster.name, self.node, wire::incarnation());
        let mut bytes = [0; MAX_PACKET];
        for (number, network) in (0..).zip(0..self.cluster.networks.len()) {
            let Some(own) = wire::address(&self.cluster, self.me, network) else { continue };
            let Ok(socket) = sys::socket::udp(SocketAddr::new(own, 0), None) else { continue };
            let length = seal.seal(Kind::HandOver, number, &message.encode(), &mut bytes);
            for peer in wire::peers(&self.cluster, self.me, network) {
                // What cannot leave here may leave on another network.
                let _unsent = sys::socket::send_to(socket.as_fd(), &bytes[..length], peer);
            }
        }
    }
}
