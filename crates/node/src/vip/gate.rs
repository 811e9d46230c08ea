//! The gate of the vip leases, on every device where an address that has one could answer.
//!
//! ```text
//!   start, an address or the kernel's word that some was lost ──> all devices are listed
//!   a device, its filters, a claim ─────────────────────────────> known devices alone, by number
//! ```
//! A claim happens within a vip lease of 35 ms, and a list of all devices takes longer the more there are.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use api::Report;
use arrayvec::ArrayVec;
use base::{Chain, Time};
use config::cluster::Cluster;
use config::vip::Vip;
use engine::vip::lease::taken::{Answer, Taken};
use sys::bpf::gate::{self, Gate};
use sys::netlink::{Address, Link, Netlink};

use super::lease::of_leases;
use super::{Driver, tell};

/// How often the kernel is asked again for what it refused.
const RETRY: Duration = Duration::from_secs(1);

/// The gate and where it has to be.
pub(super) struct Guard {
    /// None: the kernel does not take it.
    pub(super) gate: Option<Gate>,
    refused: Option<String>,
    /// Addresses of this node on the cluster's networks.
    own: Vec<IpAddr>,
    /// By the cluster's networks: the device that has the node's address there.
    networks: Vec<(Option<IpAddr>, Option<String>)>,
    /// By name of a device.
    pub(super) places: BTreeMap<String, Place>,
    /// Why it is not known which devices there are, and when they are listed again.
    unlisted: Option<(String, Time)>,
    taken: Taken,
}

/// A device that the gate has to be on.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// It is not there, and needs no gate.
    Away,
    On(u32),
    /// `again`: when it is tried without anybody's word.
    Off {
        index: u32,
        why: String,
        again: Time,
    },
}

/// Devices that are looked at one by one; behind more of them all are looked at. Nothing is asked of the memory for that.
const LOOKED_AT: usize = 64;

impl Place {
    fn index(&self) -> Option<u32> {
        match self {
            Self::Away => None,
            Self::On(index) | Self::Off { index, .. } => Some(*index),
        }
    }

    fn again(&self) -> Option<Time> {
        if let Self::Off { again, .. } = self { Some(*again) } else { None }
    }

    /// The gate stands here, where it is on a device that may be new or gone.
    fn stand(&mut self, gate: Option<&mut Gate>, netlink: &Netlink, index: Option<u32>, now: Time) {
        let (Some(gate), Some(index)) = (gate, index) else {
            *self = Self::Away;
            return;
        };
        if self.lacks(index, || gate.is_attached(netlink, index)) {
            *self = match gate.attach(netlink, index) {
                Ok(()) => Self::On(index),
                Err(error) => {
                    Self::Off { index, why: Chain(&error).to_string(), again: now + RETRY }
                }
            };
        }
    }

    /// Whether the gate has to be put on the device of that number. `stands`: what the kernel says of it; where it says
    /// nothing what stood there still does, as far as anybody knows, and to try would take it off.
    pub(super) fn lacks(&self, index: u32, stands: impl FnOnce() -> io::Result<bool>) -> bool {
        *self != Self::On(index) || !stands().unwrap_or(true)
    }
}

impl Guard {
    /// `cells`: the memory of a gate that is there, for the same addresses.
    pub(super) fn new(
        voted: &[&Vip],
        cluster: &Cluster,
        me: usize,
        cells: Option<OwnedFd>,
    ) -> Self {
        let node = cluster.nodes.get(me);
        let own = node.map(|node| node.addresses.iter().flatten().copied());
        let networks = node.into_iter().flat_map(|node| &node.addresses);
        let networks = networks.map(|address| (*address, None)).collect();
        let addresses: Vec<Vec<_>> = voted
            .iter()
            .map(|vip| vip.addresses.iter().map(|address| address.ip).collect())
            .collect();
        let open = || match cells {
            Some(cells) => Gate::over(cells, &addresses),
            None => Gate::open(&addresses),
        };
        // Who votes and holds nothing lets nothing through, and needs no right for that.
        let opened = (!voted.is_empty()).then(open);
        let (gate, refused) = match opened {
            None => (None, None),
            Some(Ok(gate)) => (Some(gate), None),
            Some(Err(error)) => (None, Some(Chain(&error).to_string())),
        };
        let own = own.map(Iterator::collect).unwrap_or_default();
        let (places, taken) = (BTreeMap::new(), Taken::default());
        Self { gate, refused, own, networks, places, unlisted: None, taken }
    }

    /// Whether that network of the cluster is on the device.
    pub(super) fn is_on(&self, network: usize, device: &str) -> bool {
        self.networks.get(network).is_some_and(|(_, on)| on.as_deref() == Some(device))
    }

    /// Devices that networks of the cluster are on.
    pub(super) fn devices(&self) -> impl Iterator<Item = &str> {
        self.networks.iter().filter_map(|(_, device)| device.as_deref())
    }

    /// A device is called otherwise from now on; the gate stands on it as before.
    fn follow(&mut self, former: &str, to: &str) {
        if let Some(place) = self.places.remove(former) {
            self.places.insert(to.to_owned(), place);
        }
        for (_, device) in &mut self.networks {
            if device.as_deref() == Some(former) {
                *device = Some(to.to_owned());
            }
        }
    }

    /// On the devices of the addresses and of the cluster's networks, as they are now: a kernel answers ARP for an
    /// address of one device on another, too.
    pub(super) fn stand_everywhere<'a>(
        &mut self,
        netlink: &Netlink,
        voted: impl Iterator<Item = &'a Vip>,
        now: Time,
    ) {
        let listed = netlink.links().and_then(|links| Ok((links, netlink.addresses()?)));
        self.stand_where(netlink, voted, listed, now);
    }

    /// `listed`: all devices and their addresses. Without them all stays as it is.
    pub(super) fn stand_where<'a>(
        &mut self,
        netlink: &Netlink,
        voted: impl Iterator<Item = &'a Vip>,
        listed: io::Result<(Vec<Link>, Vec<Address>)>,
        now: Time,
    ) {
        let (links, addresses) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                let why = format!("it is not known which devices there are: {error}");
                self.unlisted = Some((why, now + RETRY));
                return;
            }
        };
        self.unlisted = None;
        let of_network = |own: &IpAddr| {
            let address = addresses.iter().find(|address| address.ip == *own)?;
            links.iter().find(|link| link.index == address.index).map(|link| link.name.as_str())
        };
        for (own, device) in &mut self.networks {
            *device = own.as_ref().and_then(of_network).map(str::to_owned);
        }
        let networks = self.own.iter().filter_map(of_network);
        let of_vips = voted.flat_map(Vip::places).map(|(_, _, name)| name);
        for name in networks.chain(of_vips).filter(|name| !name.is_empty()) {
            self.places.entry(name.to_owned()).or_insert(Place::Away);
        }
        for name in self.places.keys().cloned().collect::<Vec<_>>() {
            let link = links.iter().find(|link| link.name == name && !link.loopback);
            self.stand_on(netlink, &name, link.map(|link| link.index), now);
        }
    }

    /// On the devices that are known to be there and that `which` wants, without a look at any other.
    fn stand_on_known(&mut self, netlink: &Netlink, which: impl Fn(&Place) -> bool, now: Time) {
        for place in self.places.values_mut().filter(|place| which(place)) {
            if let Some(index) = place.index() {
                place.stand(self.gate.as_mut(), netlink, Some(index), now);
            }
        }
    }

    /// Puts the gate on a device, which may be new or gone.
    fn stand_on(&mut self, netlink: &Netlink, name: &str, index: Option<u32>, now: Time) {
        if let Some(place) = self.places.get_mut(name) {
            place.stand(self.gate.as_mut(), netlink, index, now);
        }
    }

    /// When something that the kernel refused is tried again.
    pub(super) fn again(&self) -> Time {
        let unlisted = self.unlisted.iter().map(|(_, again)| *again);
        let places = self.places.values().filter_map(Place::again);
        unlisted.chain(places).min().unwrap_or(Time::NEVER)
    }

    /// The gate is on that device no more, as far as is known without asking for another one.
    fn is_missing(&self, netlink: &Netlink, index: u32) -> Option<String> {
        let gate = self.gate.as_ref()?;
        let known = self.places.iter().find(|(_, place)| **place == Place::On(index));
        let (name, place) = known?;
        place.lacks(index, || gate.is_attached(netlink, index)).then(|| name.clone())
    }

    pub(super) fn leave(&mut self, netlink: &Netlink) {
        let Some(gate) = &mut self.gate else { return };
        for place in self.places.values() {
            if let Place::On(index) = place {
                // What is left of it is taken off by the supervisor.
                let _ = gate.detach(netlink, *index);
            }
        }
    }

    /// Why the kernel does not end vip leases; a device that is not there needs no gate.
    pub(super) fn not_enforced(&self) -> Option<String> {
        let of = |(name, place): (&String, &Place)| match place {
            Place::Off { why, .. } => Some(format!("{name}: {why}")),
            Place::Away | Place::On(_) => None,
        };
        let unlisted = || self.unlisted.as_ref().map(|(why, _)| why.clone());
        self.refused.clone().or_else(unlisted).or_else(|| self.places.iter().find_map(of))
    }
}

impl Driver<'_> {
    /// Before anything else is done: what a process before this one let through is shut. The supervisor gets the means
    /// to shut what this one will.
    pub(super) fn shut_gate(&mut self) {
        let Some(all) = self.vip_leases.as_mut().filter(|all| all.own > 0) else {
            if self.wire.is_sealed() {
                // Of a process that died, when the file said something else.
                for link in self.netlink.links().unwrap_or_default() {
                    let _ = gate::detach(&self.netlink, link.index);
                }
            }
            return;
        };
        let now = sys::clock::now();
        all.guard.stand_everywhere(&self.netlink, of_leases(&self.instances), now);
        if let Some(gate) = &all.guard.gate {
            let cells = u16::try_from(all.own).unwrap_or(u16::MAX);
            // The kernel ends what this process opens, whether or not the supervisor can.
            self.line.pass(&Report::Gate { cells }, gate.fd());
        }
        self.tell_enforced();
        self.look_at_networks();
    }

    /// What a device says about the gate on it, before its carrier lets an address come.
    pub(super) fn guard_device(&mut self, name: &str, index: Option<u32>) {
        if let Some(all) = &mut self.vip_leases {
            all.guard.stand_on(&self.netlink, name, index, sys::clock::now());
            self.tell_enforced();
        }
    }

    /// Before anything else is known of the device under its new name.
    pub(super) fn follow_with_gate(&mut self, former: &str, to: &str) {
        if let Some(all) = &mut self.vip_leases {
            all.guard.follow(former, to);
        }
    }

    /// An address came or went: a network of the cluster may be on another device than before, or on none.
    pub(super) fn guard_networks(&mut self, of: IpAddr) {
        if let Some(all) = self.vip_leases.as_mut().filter(|all| all.guard.own.contains(&of)) {
            let now = sys::clock::now();
            all.guard.stand_everywhere(&self.netlink, of_leases(&self.instances), now);
            self.tell_enforced();
            self.look_at_networks();
        }
    }

    /// Whether each network of this node can be used: one whose address is on no device cannot.
    fn look_at_networks(&mut self) {
        let Some(all) = &self.vip_leases else { return };
        let networks = all.guard.networks.clone();
        for (network, (own, device)) in (0_u8..).zip(networks) {
            if own.is_none() {
                continue; // this node is not on it
            }
            let link = device.and_then(|device| self.netlink.link(&device).ok().flatten());
            let up = link.is_some_and(|link| link.up && link.carrier);
            self.step_leases(sys::clock::now(), engine::vip::lease::Input::Link { network, up });
        }
    }

    /// Somebody may have taken the gate off a device. `lost`: it is not known off which.
    pub(super) fn guard_filters(&mut self, changed: &[u32], lost: bool) {
        let Some(all) = &mut self.vip_leases else { return };
        let now = sys::clock::now();
        let on = all.guard.places.values().filter(|place| matches!(place, Place::On(_)));
        let on = on.filter_map(Place::index);
        let on = on.filter(|index| lost || changed.contains(index)).take(LOOKED_AT);
        let on: ArrayVec<u32, LOOKED_AT> = on.collect();
        for index in on {
            let Some(all) = &mut self.vip_leases else { return };
            let Some(name) = all.guard.is_missing(&self.netlink, index) else { continue };
            let told = match all.guard.taken.answer(now) {
                Answer::PutBack { told } => {
                    all.guard.stand_on(&self.netlink, &name, Some(index), now);
                    told.filter(|_| all.guard.places.get(&name) == Some(&Place::On(index)))
                }
                Answer::Leave => {
                    let why = "somebody takes it off again and again".to_owned();
                    let left = Place::Off { index, why, again: Time::NEVER };
                    all.guard.places.insert(name.clone(), left);
                    None
                }
            };
            if let Some(times) = told {
                self.tell(&Report::Event(tell::taken(&self.node, &name, times, now)));
            }
            self.tell_enforced();
        }
        if let Some(all) = self.vip_leases.as_mut().filter(|_| lost) {
            all.guard.stand_everywhere(&self.netlink, of_leases(&self.instances), now);
            self.tell_enforced();
        }
    }

    /// Before addresses are claimed.
    pub(super) fn look_at_gate(&mut self) {
        if let Some(all) = &mut self.vip_leases {
            all.guard.stand_on_known(&self.netlink, |_| true, sys::clock::now());
            self.tell_enforced();
        }
    }

    /// What the kernel refused may be taken now.
    pub(super) fn try_gate_again(&mut self, now: Time) {
        let Some(all) = self.vip_leases.as_mut().filter(|all| now >= all.guard.again()) else {
            return;
        };
        if all.guard.unlisted.as_ref().is_some_and(|(_, again)| now >= *again) {
            all.guard.stand_everywhere(&self.netlink, of_leases(&self.instances), now);
        }
        let is_due = |place: &Place| place.again().is_some_and(|again| now >= again);
        all.guard.stand_on_known(&self.netlink, is_due, now);
        self.tell_enforced();
    }

    fn tell_enforced(&mut self) {
        let Some(all) = &self.vip_leases else { return };
        let why = all.guard.not_enforced();
        let Some(first) = all.instances[..all.own].first() else { return };
        let told = &self.instances[*first].seat;
        if told.as_ref().is_none_or(|seat| seat.not_enforced == why) {
            return;
        }
        let seats = all.instances[..all.own].to_vec();
        let names: Vec<String> = seats
            .iter()
            .map(|number| format!("vip/{}", self.instances[*number].vip.name))
            .collect();
        self.tell(&Report::Event(tell::enforced(&self.node, &names, why.as_deref())));
        for number in seats {
            if let Some(seat) = &mut self.instances[number].seat {
                seat.not_enforced.clone_from(&why);
            }
            self.tell_state(number);
        }
    }
}
