//! What is known about our own other nodes: who could take over.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use base::Time;

use super::{HELLO_LIFE, Hello, Peer, Role};
use crate::keep::{Keep, kept};

#[derive(Clone, Debug)]
pub(super) struct Peers(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    peer: Peer,
    last: Option<(Time, Hello)>,
    /// Its process, by its newest hello; kept when it is lost.
    life: Option<u64>,
    /// When it was last heard on the network of the address.
    near_at: Option<Time>,
    /// Proven dead: it is named by nobody, whatever it says.
    dead: bool,
    /// When an advert of it came.
    advert_at: Option<Time>,
    /// Since when it says on the network of the address, without a gap, that it holds.
    holds_since: Option<Time>,
}

kept!(Known { peer, last, life, near_at, dead, advert_at, holds_since });
kept!(Named { node, life });

impl Known {
    fn owns(&self, address: IpAddr) -> bool {
        self.peer.addresses.contains(&address)
            || self.last.is_some_and(|(_, hello)| hello.source == address)
    }
}

impl Keep for Peers {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Keep::revive(bytes).map(Self)
    }
}

/// Whom a hand-over names: a node, and the process there that could hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Named {
    pub(super) node: u16,
    pub(super) life: u64,
}

/// What a hello says by arriving.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// From a node that is not in the cluster file.
    Stranger,
    Usual,
    /// The first for a while on the network of the address: it booted, or the network healed.
    Return,
}

impl Peers {
    pub(super) fn new(peers: &[Peer]) -> Self {
        Self(
            peers
                .iter()
                .map(|peer| Known {
                    peer: peer.clone(),
                    last: None,
                    life: None,
                    near_at: None,
                    dead: false,
                    advert_at: None,
                    holds_since: None,
                })
                .collect(),
        )
    }

    pub(super) fn knows(&self, node: u16) -> bool {
        self.0.iter().any(|known| known.peer.node == node)
    }

    /// Whether `address` is one of the node's, by the cluster file or by its own word.
    pub(super) fn owns(&self, node: u16, address: IpAddr) -> bool {
        self.0.iter().any(|known| known.peer.node == node && known.owns(address))
    }

    /// Whether `address` is one of ours.
    pub(super) fn have(&self, address: IpAddr) -> bool {
        self.0.iter().any(|known| known.owns(address))
    }

    pub(super) fn heard(&mut self, now: Time, near: bool, hello: &Hello) -> Arrival {
        let known = self.0.iter_mut().find(|known| known.peer.node == hello.node);
        let Some(known) = known else { return Arrival::Stranger };
        (known.last, known.life) = (Some((now, *hello)), Some(hello.life));
        if !near {
            return Arrival::Usual;
        }
        let before = known.near_at.replace(now);
        let arrival = match before {
            Some(before) if now.since(before) <= HELLO_LIFE => Arrival::Usual,
            Some(_) | None => Arrival::Return,
        };
        if hello.role != Role::Master || arrival == Arrival::Return {
            known.holds_since = None;
        }
        if hello.role == Role::Master {
            known.holds_since.get_or_insert(now);
        }
        arrival
    }

    /// An advert came from there; whether that is one of ours.
    pub(super) fn spoke(&mut self, now: Time, address: IpAddr) -> bool {
        let known = self.0.iter_mut().find(|known| known.owns(address));
        known.map(|known| known.advert_at = Some(now)).is_some()
    }

    /// Whether that node has said for `span` that it holds, and no advert of it came in that time.
    pub(super) fn is_unheard(&self, now: Time, node: u16, span: Duration) -> bool {
        self.0.iter().filter(|known| known.peer.node == node).any(|known| {
            known.holds_since.is_some_and(|since| now.since(since) > span)
                && known.advert_at.is_none_or(|at| now.since(at) > span)
        })
    }

    pub(super) fn forget(&mut self, node: u16) {
        for known in self.0.iter_mut().filter(|known| known.peer.node == node) {
            known.last = None;
        }
    }

    pub(super) fn proven(&mut self, node: u16, dead: bool) {
        for known in self.0.iter_mut().filter(|known| known.peer.node == node) {
            known.dead = dead;
        }
    }

    pub(super) fn is_dead(&self, node: u16) -> bool {
        self.0.iter().any(|known| known.peer.node == node && known.dead)
    }

    /// Whether one of them says that it holds.
    pub(super) fn hold(&self, now: Time) -> bool {
        let mut last = self.0.iter().filter_map(|known| known.last);
        last.any(|(at, hello)| now.since(at) <= HELLO_LIFE && hello.role == Role::Master)
    }

    /// Whether that process of the node was heard, and none after it.
    pub(super) fn lives(&self, node: u16, life: u64) -> bool {
        self.0.iter().any(|known| known.peer.node == node && known.life == Some(life))
    }

    /// If it said lately that it could hold.
    pub(super) fn could_hold(&self, now: Time, node: u16) -> Option<Named> {
        let found = self.candidates(now).find(|hello| hello.node == node);
        found.map(|hello| Named { node, life: hello.life })
    }

    fn candidates(&self, now: Time) -> impl Iterator<Item = Hello> {
        let last = self.0.iter().filter(|known| !known.dead).filter_map(|known| known.last);
        last.filter(move |(at, hello)| {
            now.since(*at) <= HELLO_LIFE && hello.eligible && hello.role != Role::Fault
        })
        .map(|(_, hello)| hello)
    }

    /// Whom to name: of those who could hold now and spoke lately, the highest priority, then the
    /// highest address, as an election would end. Equal in both (a mistake in the files): the first
    /// in the cluster file.
    pub(super) fn successor(&self, now: Time) -> Option<Named> {
        self.candidates(now)
            .max_by_key(|hello| (hello.priority, hello.source, Reverse(hello.node)))
            .map(|hello| Named { node: hello.node, life: hello.life })
    }
}
