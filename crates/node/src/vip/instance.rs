//! One instance with what it needs of the kernel.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use base::Time;
use config::cluster::Cluster;
use config::vip::Address;
use engine::vip::guard::Guard;
use engine::vip::lease::{self, Stand};
use engine::vip::{Cause, Config, Input, Mac, Peer, Role, Vip};
use sys::arp;
use sys::netlink::{AddressOptions, Netlink};

use super::lease::Place;
use super::put_back::PutBack;
use super::scripts::guard::Refused;
use super::slow::{Orders, Rest};
use super::taking::Taking;
use super::{routes, source};
use crate::launch::Interfaces;

pub(super) mod keep_out;
mod renamed;
mod seat;
mod speakers;
mod tracked;

pub(super) use seat::Seat;

/// Addresses that the kernel did not let go, each with its reason.
#[derive(Debug)]
pub(super) struct Kept(pub(super) String);

/// What all instances of a node share.
pub(super) struct Context<'a> {
    pub(super) cluster: Option<&'a Cluster>,
    pub(super) me: Option<usize>,
    /// Number of this process.
    pub(super) life: u64,
    pub(super) interfaces: &'a Interfaces,
    /// The node starts: nothing of it was there before.
    pub(super) begins: bool,
    /// There are nodes of our own to talk to.
    pub(super) ours: bool,
    pub(super) refused: &'a [Refused],
    /// All that may be gone from a device while instances speak: no source of adverts.
    pub(super) virtual_ips: &'a [IpAddr],
    /// Who does what the kernel takes long for; there where an instance has such.
    pub(super) slow: Option<&'a Orders>,
}

impl Context<'_> {
    /// The cluster file has it, and names no device for it.
    fn is_by_network(&self, vip: &config::vip::Vip) -> bool {
        let written = |cluster: &Cluster| {
            cluster.vips.iter().any(|it| it.name == vip.name && it.interface.is_none())
        };
        self.cluster.is_some_and(written) && !vip.votes_only
    }
}

pub(super) struct Instance {
    /// Position in the effective configuration.
    pub(super) number: u16,
    pub(super) vip: config::vip::Vip,
    pub(super) source: IpAddr,
    /// Of one whose adverts are signed.
    pub(super) guard: Option<Guard>,
    pub(super) machine: Vip,
    /// For what an instance waits whose interface is not known yet.
    pub(super) awaits: Option<Awaited>,
    /// With a vip lease: what its seat says. `machine` then never hears anything.
    pub(super) seat: Option<Seat>,
    /// Whether the addresses are on this node, as far as was ordered.
    pub(super) held: bool,
    /// What the event log knows of why this node cannot hold.
    fault: Option<Cause>,
    pub(super) disabled_scripts: Vec<String>,
    /// How the addresses that are here came.
    pub(super) taking: Option<Taking>,
    /// When an advert was obeyed last.
    pub(super) heard_at: Time,
    /// Nobody is told of a weaker router before.
    pub(super) rival_again_at: Time,
    /// Routes and rules that the kernel did not take, or keeps, and what of them was told.
    pub(super) routes_refused: String,
    pub(super) routes_told: String,
    /// Something of it that was gone, and stands again.
    pub(super) put_back: PutBack,
    /// As the supervisor knows it.
    priority_told: u8,
    /// Without what is known when it is asked for.
    pub(super) counts: api::VipCounts,
    /// Devices by name: their number in the kernel.
    pub(super) indexes: BTreeMap<String, u32>,
    /// When its devices of its own go down, and who takes them down.
    pub(super) rests_at: Time,
    pub(super) rest: Arc<Rest>,
    pub(super) slow: Option<Orders>,
    kept_out: keep_out::KeptOut,
    /// Its device is that of its network, whatever it is called.
    is_by_network: bool,
    /// A device that it needs, and what somebody calls it now.
    renamed: Option<(String, String)>,
    speakers: BTreeMap<String, arp::Socket>,
}

impl Instance {
    pub(super) fn new(
        number: u16,
        vip: config::vip::Vip,
        context: &Context<'_>,
        netlink: &Netlink,
        adopted: bool,
        seat: Option<Place>,
        now: Time,
    ) -> Self {
        let links = netlink.links().unwrap_or_default();
        let indexes: BTreeMap<String, u32> =
            links.into_iter().map(|link| (link.name.to_string(), link.index)).collect();
        let index = indexes.get(&vip.interface).copied();
        let source = source::of(&vip, index, context.virtual_ips, netlink);
        let awaits = Awaited::of(&vip, source, context);
        let node = context.me.and_then(|me| u16::try_from(me).ok()).unwrap_or(0);
        let config = Config {
            vip: vip.clone(),
            node,
            life: context.life,
            source,
            network: network_of(&vip.interface, &own_addresses(context), context.interfaces),
            peers: if context.ours { peers(context) } else { Vec::new() },
            starts_at: if context.begins { now + vip.startup_delay } else { Time::ZERO },
            adopted,
        };
        let machine = Vip::new(config, now);
        let refused = context.refused.iter().filter(|r| r.instance == usize::from(number));
        let disabled_scripts = refused.map(|refused| refused.script.clone()).collect();
        Self {
            number,
            priority_told: machine.priority(),
            kept_out: keep_out::KeptOut::new(&vip, context.slow),
            is_by_network: context.is_by_network(&vip),
            guard: Guard::of(&vip),
            vip,
            source,
            machine,
            awaits,
            seat: seat.map(Seat::new),
            held: adopted,
            fault: None,
            disabled_scripts,
            taking: None,
            heard_at: Time::ZERO,
            rival_again_at: Time::ZERO,
            routes_refused: String::new(),
            routes_told: String::new(),
            put_back: PutBack::default(),
            counts: api::VipCounts::default(),
            indexes,
            rests_at: Time::NEVER,
            rest: Arc::default(),
            slow: context.slow.cloned(),
            renamed: None,
            speakers: BTreeMap::new(),
        }
    }

    /// The device that has what it waits for, if one has it now, is the interface of the instance from then on, and adverts
    /// come from there; what its machine is told of it.
    pub(super) fn arrive(
        &mut self,
        interfaces: &Interfaces,
        virtual_ips: &[IpAddr],
        netlink: &Netlink,
    ) -> Option<Input<'static>> {
        let device = match self.awaits.as_ref()?.own {
            Some(own) => interfaces.of(own)?,
            None => self.vip.interface.clone(),
        };
        for link in netlink.links().unwrap_or_default() {
            self.indexes.insert(link.name.to_string(), link.index);
        }
        let index = self.indexes.get(&device).copied();
        let source = source::of(&self.vip, index, virtual_ips, netlink);
        if self.vip.is_v6() && source.is_unspecified() {
            return None;
        }
        let awaited = self.awaits.take()?;
        let network = network_of(&device, &awaited.everywhere, interfaces);
        self.vip.learn_interface(&device);
        self.source = source;
        Some(Input::Network { source, network })
    }

    pub(super) fn role(&self) -> Role {
        match &self.seat {
            Some(seat) if seat.view.stand == Stand::Holder => Role::Master,
            Some(seat) if seat.fault().is_some() => Role::Fault,
            Some(_) => Role::Backup,
            None => self.machine.role(),
        }
    }

    /// Whether the addresses are to be here.
    pub(super) fn holding(&self) -> bool {
        match &self.seat {
            Some(seat) => seat.view.stand == Stand::Holder,
            None => self.machine.holding(),
        }
    }

    /// Whom it names, or would.
    pub(super) fn successor(&self) -> Option<u16> {
        match &self.seat {
            Some(seat) => seat.view.successor.or(seat.heir),
            None => self.machine.successor(),
        }
    }

    /// Who has its address and is no node of ours, while that keeps this node from holding it.
    pub(super) fn in_use_by(&self) -> Option<Mac> {
        match &self.seat {
            Some(seat) => seat.in_use_by,
            None => self.machine.in_use_by(),
        }
    }

    /// What was seen when it moved last, in words.
    pub(super) fn evidence(&self) -> &'static str {
        let words = match &self.seat {
            Some(seat) => seat.view.cause.map(lease::Cause::words),
            None => self.machine.cause().map(Cause::words),
        };
        words.unwrap_or_default()
    }

    /// What it counted, and how strong it is now.
    pub(super) fn counted(&self) -> api::VipCounts {
        let priority = Some(self.machine.priority());
        api::VipCounts { instance: self.number, priority, ..self.counts }
    }

    /// Somebody wants to know of it, and the supervisor does not yet.
    pub(super) fn priority_is_news(&mut self) -> bool {
        let priority = self.machine.priority();
        let before = std::mem::replace(&mut self.priority_told, priority);
        self.vip.notify.priority_changes && before != priority
    }

    /// An advert that was obeyed.
    pub(super) fn note_obeyed(&mut self, priority: u8) {
        self.heard_at = sys::clock::now();
        self.counts.received += 1;
        self.counts.zero_received += if priority == 0 { 1 } else { 0 };
    }

    pub(super) const fn note_sent(&mut self, priority: u8) {
        self.counts.sent += 1;
        self.counts.zero_sent += if priority == 0 { 1 } else { 0 };
    }

    /// The addresses came or went.
    pub(super) const fn note_moved(&mut self) {
        let count = if self.held {
            &mut self.counts.became_master
        } else {
            &mut self.counts.released_master
        };
        *count += 1;
    }

    /// Devices without whose carrier this node cannot hold, the instance's own first.
    pub(super) fn needed_devices(&self) -> impl Iterator<Item = &str> {
        let tracked = self.vip.track_interfaces.iter().map(String::as_str);
        std::iter::once(self.vip.interface.as_str()).chain(tracked)
    }

    /// Devices whose carrier matters.
    pub(super) fn devices(&self) -> impl Iterator<Item = &str> {
        let weighed = self.vip.weighed_interfaces.iter().map(|weighed| weighed.name.as_str());
        self.needed_devices().chain(weighed)
    }

    /// What a device says to the machine: whether it can be used; none: it is not there. The one at that position of all.
    pub(super) fn input(
        &self,
        device: &str,
        is_up: Option<bool>,
        position: usize,
    ) -> Option<Input<'static>> {
        let needed = self.needed_devices().enumerate().filter(|(_, name)| *name == device);
        let is_reversed = self.vip.reversed_interfaces.iter().any(|name| name == device);
        let needed = needed.map(|(interface, _)| match (is_up, is_reversed && interface > 0) {
            (up, true) => Input::Carrier { interface, up: !up.unwrap_or(false) },
            (Some(up), false) => Input::Carrier { interface, up },
            (None, false) => Input::NoDevice { interface },
        });
        let weighed = (self.vip.track_scripts.len()..).zip(&self.vip.weighed_interfaces);
        let weighed = weighed.filter(|(_, weighed)| weighed.name == device).map(|(index, it)| {
            Input::Script { index, passed: is_up.unwrap_or(false) != it.reversed }
        });
        needed.chain(weighed).nth(position)
    }

    /// A device is new, or gone: what was opened on the old one is of no use.
    pub(super) fn device_changed(&mut self, device: &str, index: Option<u32>) {
        self.renamed.take_if(|(from, _)| from == device && index.is_some());
        if self.indexes.get(device).copied() != index {
            self.speakers.remove(device);
            match index {
                Some(index) => drop(self.indexes.insert(device.to_owned(), index)),
                None => drop(self.indexes.remove(device)),
            }
        }
    }

    /// What the event log does not know yet: a reason why this node cannot hold, or (inner none)
    /// that there is none any more. `moved`: the event of the address says the reason.
    pub(super) fn fault_news(&mut self, now: Time, moved: bool) -> Option<Option<Cause>> {
        let fault = match (&self.seat, self.machine.role()) {
            (Some(seat), _) if seat.view.stand == Stand::Unfit => seat.objection.or(self.fault),
            (Some(_), _) => None,
            (None, Role::Fault) => self.machine.objection(now).or(self.fault),
            (None, Role::Backup | Role::Master) => None,
        };
        let news = fault != self.fault;
        self.fault = fault;
        (news && !moved).then_some(fault)
    }

    /// Every device that neighbours are told on has its socket.
    pub(super) fn can_speak(&self) -> bool {
        let mut devices = self.vip.addresses.iter().map(|address| self.device(address));
        devices.all(|device| self.speakers.contains_key(device))
    }

    /// Whether an address that is gone should be here.
    pub(super) fn misses(&self, ip: IpAddr) -> bool {
        self.holding() && self.vip.addresses.iter().any(|address| address.ip == ip)
    }

    fn device<'a>(&'a self, address: &'a Address) -> &'a str {
        address.device.as_deref().unwrap_or(&self.vip.interface)
    }

    fn index(&self, address: &Address) -> Option<u32> {
        self.indexes.get(self.device(address)).copied()
    }

    /// The same as [`Self::claim`] of one that is adopted. An address that came with the configuration may have been
    /// elsewhere, so the neighbours are told.
    pub(super) fn keep(&mut self, netlink: &Netlink) -> bool {
        let before = netlink.addresses().unwrap_or_default();
        let taken = self.claim(netlink);
        let is_new = |address: &Address| !before.iter().any(|there| there.ip == address.ip);
        if self.vip.addresses.iter().any(is_new) {
            self.announce();
        }
        taken
    }

    /// Puts the addresses on their devices; false when the kernel refuses one.
    pub(super) fn claim(&mut self, netlink: &Netlink) -> bool {
        self.held = true;
        self.raise_virtual_macs(netlink);
        self.keep_out();
        let mut taken = true;
        for address in &self.vip.addresses {
            let options = AddressOptions {
                label: address.label.as_deref(),
                broadcast: address.broadcast,
                scope: address.scope,
                preferred: address.preferred,
            };
            let added = self
                .index(address)
                .map(|index| netlink.add_address(index, address.ip, address.prefix, options));
            taken &= matches!(added, Some(Ok(_)));
        }
        let _all_are_new = self.make_ways(netlink);
        taken
    }

    /// Takes the addresses off; what the kernel keeps is told, with its reason.
    pub(super) fn release(&mut self, netlink: &Netlink) -> Result<(), Kept> {
        self.held = false;
        self.routes_refused = routes::remove(netlink, &self.vip.ways).join("; ");
        let mut kept = Vec::new();
        for address in &self.vip.addresses {
            // Gone already, or with its device, is `Ok(false)`. A device that is not known under
            // its name may still be there under another.
            let known = self.index(address);
            let removed =
                known.map(|index| netlink.delete_address(index, address.ip, address.prefix));
            if !matches!(removed, Some(Ok(_)))
                && let Err(error) = netlink.delete_everywhere(address.ip)
            {
                kept.push(format!("{}: {error}", address.ip));
            }
        }
        self.lower_virtual_macs_later();
        if kept.is_empty() { Ok(()) } else { Err(Kept(kept.join(", "))) }
    }

    /// Addresses that a process before this one left behind; an owner's are its own.
    pub(super) fn remove_leftovers(&self, netlink: &Netlink) {
        const OWNER: u8 = 255;
        if self.vip.priority != OWNER {
            let _unable = routes::remove(netlink, &self.vip.ways);
            for address in &self.vip.addresses {
                let _unable = netlink.delete_everywhere(address.ip);
            }
        }
    }

    /// Tells the neighbours, once.
    pub(super) fn announce(&mut self) {
        self.open_speakers();
        for address in &self.vip.addresses {
            let device = address.device.as_deref().unwrap_or(&self.vip.interface);
            let Some(socket) = self.speakers.get(device) else { continue };
            // A device that is down has no neighbours.
            let _unheard = match address.ip {
                IpAddr::V4(ip) => socket.announce(ip),
                IpAddr::V6(ip) => socket.announce_v6(ip),
            };
        }
    }
}

/// What an instance waits for.
#[derive(Debug)]
pub(super) struct Awaited {
    /// The address by which its network is known to be there; none: its interface is known, and has no source for adverts over IPv6.
    pub(super) own: Option<IpAddr>,
    /// The node's addresses, by the cluster's networks.
    everywhere: Vec<Option<IpAddr>>,
}

impl Awaited {
    fn of(vip: &config::vip::Vip, source: IpAddr, context: &Context<'_>) -> Option<Self> {
        if vip.votes_only {
            return None;
        }
        let own = if vip.interface.is_empty() {
            Some(context.cluster?.address_beside(&vip.name, context.me?)?)
        } else if vip.is_v6() && source.is_unspecified() {
            None
        } else {
            return None;
        };
        Some(Self { own, everywhere: own_addresses(context) })
    }
}

pub(super) fn own_addresses(context: &Context<'_>) -> Vec<Option<IpAddr>> {
    let node = context.cluster.zip(context.me).and_then(|(cluster, me)| cluster.nodes.get(me));
    node.map(|node| node.addresses.clone()).unwrap_or_default()
}

/// The cluster's network that is on the interface: the first that has one of the node's `addresses` there.
pub(super) fn network_of(
    interface: &str,
    addresses: &[Option<IpAddr>],
    interfaces: &Interfaces,
) -> Option<u8> {
    let on = |address: &Option<IpAddr>| {
        address.and_then(|address| interfaces.of(address)).as_deref() == Some(interface)
    };
    addresses.iter().position(on).and_then(|position| u8::try_from(position).ok())
}

fn peers(context: &Context<'_>) -> Vec<Peer> {
    let Some(cluster) = context.cluster else { return Vec::new() };
    let others =
        (0..).zip(cluster.controllers()).filter(|(node, _)| Some(usize::from(*node)) != context.me);
    others
        .map(|(node, other): (u16, _)| Peer {
            node,
            addresses: other.addresses.iter().flatten().copied().collect(),
        })
        .collect()
}
