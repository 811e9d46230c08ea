//! What the supervisor does when the vip process died without a word: no address stays, and the
//! successor it had named is told.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use api::VipState;
use config::cluster::Cluster;
use config::vip::{Vip, Way};
use engine::packet::{Kind, MAX_BODY, MAX_PACKET, Seal};
use engine::vip::guard::Guard;
use engine::vip::lease::Voters;
use engine::vip::lease::last_word::{self, Left};
use engine::vip::lease::together::{self, are_one};
use engine::vip::{Group, HandOver};
use sys::bpf::gate;
use sys::netlink::Netlink;
use sys::vrrp;

use super::instance::keep_out;
use super::wire::Mouth;
use super::{source, wire};

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
    /// What may still be here, with the reason.
    kept: Vec<String>,
    /// Routes that may still be here, with the reason: who has one is no second holder.
    routes: Vec<String>,
    named: Vec<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.kept.is_empty() {
            write!(f, "could not remove {}; ", self.kept.join(", "))?;
        }
        if !self.routes.is_empty() {
            write!(f, "could not remove the route {}; ", self.routes.join(", "))?;
        }
        if self.removed.is_empty() {
            let none = if self.kept.is_empty() { "there was no address" } else { "no other" };
            return write!(f, "{none} to remove");
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

impl Done {
    /// Nothing of it is here any more.
    pub(crate) const fn is_clean(&self) -> bool {
        self.kept.is_empty()
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
        if let Some(vip) = self.vips.get_mut(usize::from(state.instance)) {
            learn_interface(vip, state);
        }
    }

    /// Removes every address, then tells everybody and names the successors, under the number `life`. `owed`: what
    /// may be here beside, of the configuration before. `shut`: the kernel lets nothing through any more for what was held by
    /// votes, so the others need not wait until it is taken off.
    pub(crate) fn act(&mut self, life: u64, owed: &[Vip], shut: bool) -> Done {
        let mut done = Done::default();
        let mut left = Vec::new();
        let mut seal = self.ours.as_ref().map(|ours| ours.seal(life));
        if shut {
            done.named = self.give_votes_back(seal.as_mut());
        }
        for (number, vip) in (0..).zip(&self.vips) {
            let (removed, kept) = (done.removed.len(), done.kept.len());
            self.remove(vip, &mut done);
            if done.removed.len() > removed {
                left.push((number, vip, done.kept.len() > kept));
            }
        }
        owed.iter().for_each(|vip| self.remove(vip, &mut done));
        if !shut && done.is_clean() {
            done.named = self.give_votes_back(seal.as_mut());
        }
        for (number, vip, kept) in left {
            if vip.has_lease {
                continue;
            }
            // The goodbye first: a foreign router that heard it after the first advert of the named
            // node, which is quick, would claim too.
            self.say_goodbye(vip);
            // Who is named beside an address that stays here would be a second holder.
            let name = if kept { None } else { self.name_successor(number, vip, seal.as_mut()) };
            done.named.extend(name);
        }
        let vips = self.vips.iter().chain(owed);
        done.kept.extend(super::virtual_mac::remove_all(&self.netlink, vips.clone()));
        keep_out::let_in(vips);
        self.states.clear();
        done
    }

    /// The kernel gets a second chance: an interrupted list or a full buffer passes.
    fn remove(&self, vip: &Vip, done: &mut Done) {
        done.routes.extend(self.remove_ways(&vip.ways));
        for address in &vip.addresses {
            let again = |_| self.netlink.delete_everywhere(address.ip);
            match self.netlink.delete_everywhere(address.ip).or_else(again) {
                Ok(0) => {}
                Ok(_) => done.removed.push(address.ip),
                Err(error) => done.kept.push(format!("{}: {error}", address.ip)),
            }
        }
    }

    /// Takes the filters of all gates off all devices, as no other process follows. The kernel then answers for every
    /// address that is still here, so they stay if one does.
    pub(crate) fn take_gates_off(&self) {
        let voted = self.vips.iter().filter(|vip| vip.has_lease).flat_map(|vip| &vip.addresses);
        if voted.map(|address| self.netlink.delete_everywhere(address.ip)).any(|left| left.is_err())
        {
            return;
        }
        for link in self.netlink.links().unwrap_or_default() {
            // A device that is gone has none.
            let _ = gate::detach(&self.netlink, link.index);
        }
    }

    /// Removes those routes and rules; what the kernel keeps, with its reason.
    pub(crate) fn remove_ways(&self, ways: &[Way]) -> Vec<String> {
        super::routes::remove(&self.netlink, ways)
    }

    /// The last word for what was held by votes: voters are free, and who was named asks at once. Gives the names.
    fn give_votes_back(&self, seal: Option<&mut Seal>) -> Vec<String> {
        let Some((ours, seal)) = self.ours.as_ref().zip(seal) else { return vec![] };
        let state = |number| self.states.get(&number);
        let voted = || self.vips.iter().filter(|vip| vip.has_lease);
        // Those of a sync group have one vip lease.
        let is_first = |vip: &Vip| {
            let first = voted().find(|other| are_one(other, vip));
            first.is_some_and(|first| std::ptr::eq(first, vip))
        };
        let firsts = (0..).zip(&self.vips).filter(|(_, vip)| vip.has_lease && is_first(vip));
        let left: Vec<Left> = firsts
            .map(|(number, vip)| Left {
                group: together::group(voted().filter(|other| are_one(vip, other))),
                successor: state(number).filter(|it| it.holding).and_then(|it| it.successor),
                term: state(number).map_or(0, |state| state.term),
            })
            .collect();
        if left.is_empty() {
            return vec![];
        }
        let nodes: Vec<u16> = (0..).zip(ours.cluster.controllers()).map(|(n, _)| n).collect();
        let voters = Voters::new(None, &nodes);
        let mut body = [0; MAX_BODY];
        let said = (voters.as_ref(), crate::secret::joined(&ours.secret, ours.name()));
        let length = last_word::write(said, left.iter().copied(), &mut body);
        ours.send(seal, Kind::VipBeat, &body[..length]);
        let named = left.iter().filter_map(|left| left.successor);
        let name = |node: u16| ours.cluster.nodes.get(usize::from(node)).map(|n| n.name.clone());
        named.filter_map(name).collect()
    }

    fn name_successor(&self, number: u16, vip: &Vip, seal: Option<&mut Seal>) -> Option<String> {
        let (ours, seal) = (self.ours.as_ref()?, seal?);
        let state = self.states.get(&number)?;
        let (to, to_life) = state.successor.zip(state.successor_life)?;
        let (from, term) = (ours.node, state.term.saturating_add(1));
        let message = HandOver { group: Group::of(vip), from, to, term, to_life };
        ours.send(seal, Kind::HandOver, &message.encode());
        ours.cluster.nodes.get(usize::from(to)).map(|node| node.name.clone())
    }

    /// Foreign routers, and nodes that were not named, wait for their skew only.
    fn say_goodbye(&self, vip: &Vip) {
        if vip.interface.is_empty() {
            // It never took part, and a socket of no interface would speak on any.
            return;
        }
        let links = self.netlink.links().unwrap_or_default();
        let device = links.iter().find(|link| link.name == vip.interface);
        let virtual_ips = source::virtual_ips(&self.vips, &[]);
        let index = device.map(|link| link.index);
        let source = source::of(vip, index, &virtual_ips, &self.netlink);
        let say = |mouth| wire::advertise(mouth, vip, source, Guard::of(vip).as_mut(), 0);
        if let Some(mac) = vip.advert_mac {
            let voice = vrrp::Voice::open(&vip.interface, mac);
            return voice.iter().for_each(|voice| say(Mouth::Virtual(voice)));
        }
        let opened = if vip.is_v6() {
            vrrp::Socket::open_v6(&vip.interface, false)
        } else {
            vrrp::Socket::open(&vip.interface, false)
        };
        opened.iter().for_each(|socket| say(Mouth::Plain(socket)));
    }
}

/// The network of that one came after the start, or its device is called otherwise now: which interface it has, its process says.
pub(crate) fn learn_interface(vip: &mut Vip, state: &VipState) {
    if let Some(interface) = state.interface.as_ref().filter(|it| **it != vip.interface) {
        vip.learn_interface(interface);
    }
}

impl Ours {
    fn name(&self) -> &str {
        self.cluster.nodes.get(self.me).map_or("", |node| &node.name)
    }

    /// One for all messages of a rescue: a second one of the same moment would be a replay.
    fn seal(&self, life: u64) -> Seal {
        crate::secret::seal(&self.secret, &self.cluster, self.node, life)
    }

    fn send(&self, seal: &mut Seal, kind: Kind, text: &[u8]) {
        let mut bytes = [0; MAX_PACKET];
        for (number, network) in (0..).zip(0..self.cluster.networks.len()) {
            let Some(own) = wire::address(&self.cluster, self.me, network) else { continue };
            let Ok(socket) = sys::socket::udp(SocketAddr::new(own, 0), None) else { continue };
            for (to, peer) in wire::peers(&self.cluster, self.me, network) {
                let length = seal.seal(kind, (to, number), text, &mut bytes);
                // What cannot leave here may leave on another network.
                let _unsent = sys::socket::send_to(socket.as_fd(), &bytes[..length], peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Done;

    #[test]
    fn an_address_that_stays_is_told() {
        let gone = "192.0.2.1".parse().unwrap();
        let kept = vec!["192.0.2.2: no buffer space".to_owned()];
        let told = |removed, kept| Done { removed, kept, ..Done::default() }.to_string();
        assert_eq!(told(vec![], vec![]), "there was no address to remove");
        assert_eq!(told(vec![gone], vec![]), "192.0.2.1 removed, nobody could be named");
        assert_eq!(
            told(vec![], kept.clone()),
            "could not remove 192.0.2.2: no buffer space; no other to remove"
        );
        assert_eq!(
            told(vec![gone], kept),
            "could not remove 192.0.2.2: no buffer space; 192.0.2.1 removed, nobody could be named"
        );
        let routes = vec!["0.0.0.0/0 via 192.0.2.9: no buffer space".to_owned()];
        assert_eq!(
            Done { routes, ..Done::default() }.to_string(),
            "could not remove the route 0.0.0.0/0 via 192.0.2.9: no buffer space; there was no address to remove"
        );
    }
}
