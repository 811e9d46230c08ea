//! Sealed messages between the vip processes of a cluster, on each of its networks.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use base::Time;
use config::cluster::Cluster;
use engine::member::Refused;
use engine::packet::{Body, Kind, MAX_BODY, MAX_PACKET, Replay, Seal};
use engine::vip::{HandOver, Hello};

use super::Heard;

pub(super) struct Sealed {
    pub(super) seal: Seal,
    pub(super) cluster: Cluster,
    pub(super) replay: Replay,
    me: u16,
    pub(super) port: u16,
    pub(super) networks: Vec<Network>,
    pub(super) refused: Refused,
    /// As they were told last.
    pub(super) told: api::RefusedPackets,
    pub(super) tell_at: Time,
}

pub(super) struct Network {
    pub(super) own: Option<IpAddr>,
    pub(super) peers: Vec<(u16, SocketAddr)>,
    pub(super) socket: Option<OwnedFd>,
}

impl Network {
    /// What the kernel threw away.
    pub(super) fn unread(&self) -> u64 {
        let socket = self.socket.as_ref();
        u64::from(socket.map_or(0, |socket| sys::socket::dropped(socket.as_fd()).unwrap_or(0)))
    }
}

impl Sealed {
    pub(super) fn new(cluster: &Cluster, me: usize, secret: &[u8], life: u64) -> Option<Self> {
        let node = u16::try_from(me).ok()?;
        Some(Self {
            seal: crate::secret::seal(secret, cluster, node, life),
            cluster: cluster.clone(),
            replay: Replay::new(),
            me: node,
            port: port(cluster),
            refused: Refused::default(),
            told: api::RefusedPackets::default(),
            tell_at: Time::ZERO,
            networks: (0..cluster.networks.len())
                .map(|network| Network {
                    own: address(cluster, me, network),
                    peers: peers(cluster, me, network),
                    socket: None,
                })
                .collect(),
        })
    }

    pub(super) fn receive<'a>(
        &mut self,
        network: usize,
        buffer: &mut [u8],
        body: &'a mut Body,
    ) -> Option<Heard<'a>> {
        let socket = self.networks.get(network)?.socket.as_ref()?;
        let length = loop {
            match sys::socket::receive_from(socket.as_fd(), buffer) {
                Ok((length, _)) => break length,
                // A peer whose vip process is away answers with "port unreachable".
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        };
        let opened = match self.seal.open(&buffer[..length], body) {
            Ok(opened) => opened,
            Err(error) => {
                self.refused.count(error);
                return Some(Heard::Noise);
            }
        };
        if usize::from(opened.network) != network || opened.sender == self.me {
            self.refused.network += 1;
            return Some(Heard::Noise);
        }
        if !self.replay.is_news(&opened) {
            self.refused.replay += 1;
            return Some(Heard::Noise);
        }
        let heard = match opened.kind {
            Kind::Hello => Hello::decode(opened.body)
                .filter(|hello| hello.node == opened.sender)
                .map(|hello| Heard::Hello { network: opened.network, hello }),
            Kind::HandOver => HandOver::decode(opened.body)
                .filter(|message| message.from == opened.sender)
                .map(Heard::HandOver),
            Kind::VipBeat => Some(Heard::VipBeat {
                network: opened.network,
                from: opened.sender,
                life: opened.incarnation,
                body: opened.body,
            }),
            Kind::Beat
            | Kind::Question
            | Kind::Told
            | Kind::Errand
            | Kind::Answer
            | Kind::Gossip => None,
        };
        Some(heard.unwrap_or(Heard::Noise))
    }

    pub(super) fn is_new(&self) -> bool {
        let shown = crate::refused::shown(self.refused, self.told.unread);
        shown != self.told
    }

    /// `write` puts a body for that node and says how long it is.
    pub(super) fn send(&mut self, kind: Kind, write: impl Fn(u16, &mut Body) -> usize) {
        let (mut bytes, mut body) = ([0; MAX_PACKET], [0; MAX_BODY]);
        for (number, network) in (0..).zip(&self.networks) {
            let Some(socket) = &network.socket else { continue };
            for (to, peer) in &network.peers {
                let body_length = write(*to, &mut body);
                let sealed = &body[..body_length];
                let length = self.seal.seal(kind, (*to, number), sealed, &mut bytes);
                // What cannot leave here may leave on another network.
                let _unsent = sys::socket::send_to(socket.as_fd(), &bytes[..length], *peer);
            }
        }
    }
}

/// The vip process listens beside the agent.
fn port(cluster: &Cluster) -> u16 {
    cluster.port.saturating_add(1)
}

pub(super) fn put(message: &[u8], body: &mut Body) -> usize {
    body[..message.len()].copy_from_slice(message);
    message.len()
}

pub(in crate::vip) fn address(cluster: &Cluster, node: usize, network: usize) -> Option<IpAddr> {
    *cluster.nodes.get(node)?.addresses.get(network)?
}

/// Where the vip processes of the other nodes listen on a network.
pub(in crate::vip) fn peers(
    cluster: &Cluster,
    me: usize,
    network: usize,
) -> Vec<(u16, SocketAddr)> {
    (0..)
        .zip(0..cluster.controllers().len())
        .filter(|(_, node)| *node != me)
        .filter_map(|(number, node)| Some((number, address(cluster, node, network)?)))
        .map(|(number, ip)| (number, SocketAddr::new(ip, port(cluster))))
        .collect()
}
