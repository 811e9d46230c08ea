//! Asks the neighbours whether somebody has an address before this node stands for it, and hears who has.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::vec::Drain;

use config::vip::Vip;
use engine::vip::lease::MAX_SEATS;
use engine::vip::{Input, Mac};
use sys::netlink::{Name, Netlink};
use sys::poll::{Interest, Poller};
use sys::{arp, neighbour};

use super::Driver;
use super::instance::Instance;

/// Tokens from here on: 256 for each instance.
pub(super) const PROBES: u64 = 1 << 24;
const EACH: u64 = 256;
/// Of one socket in one turn: everybody on the link may say as much as he likes.
const TURN: usize = 32;

pub(super) struct Probes {
    /// By instance.
    searches: Vec<Search>,
    /// Nobody listens to these any more.
    hushed: Vec<Ear>,
}

/// Memory of it is there before it is asked.
struct Search {
    /// What is heard means something.
    asks: bool,
    ears: Vec<Ear>,
    /// What is heard of these is this node's own.
    own: Vec<Mac>,
}

/// Devices of a node, usually.
const DEVICES: usize = 64;

/// What is opened on one device.
pub(super) struct Ear {
    device: Name,
    voice: arp::Socket,
    /// Over IPv6; else the voice hears as well.
    hears: Option<neighbour::Socket>,
}

impl Ear {
    fn open(device: &str, is_v6: bool) -> std::io::Result<Self> {
        let (voice, hears) = match is_v6 {
            false => (arp::Socket::open_to_hear(device)?, None),
            true => (arp::Socket::open(device)?, Some(neighbour::Socket::open(device)?)),
        };
        Ok(Self { device: device.into(), voice, hears })
    }

    /// Through which it hears.
    fn fd(&self) -> BorrowedFd<'_> {
        self.hears.as_ref().map_or_else(|| self.voice.as_fd(), AsFd::as_fd)
    }

    /// Who has which address.
    fn next(&self) -> Option<(IpAddr, Mac)> {
        match &self.hears {
            Some(socket) => socket.receive().ok().map(|heard| (heard.ip.into(), heard.mac)),
            None => self.voice.receive().ok().map(|heard| (heard.sender.into(), heard.sender_mac)),
        }
    }
}

impl Probes {
    pub(super) fn new(vips: &[Vip]) -> Self {
        let search = |vip: &Vip| {
            let (ears, own) = (vip.places().count(), DEVICES);
            let (ears, own) = (Vec::with_capacity(ears), Vec::with_capacity(own));
            Search { asks: false, ears, own }
        };
        Self { searches: vips.iter().map(search).collect(), hushed: Vec::with_capacity(MAX_SEATS) }
    }

    /// One question for each address, from nowhere: it changes no cache of a neighbour. A device that is down has none.
    pub(super) fn ask(&mut self, instance: &Instance, netlink: &Netlink, poller: &Poller) {
        let Some(search) = self.searches.get_mut(usize::from(instance.number)) else { return };
        if !std::mem::replace(&mut search.asks, true) {
            search.own.clear();
            // Without an answer what is heard is somebody else's.
            let _unknown = netlink.each_link(|link| search.own.push(link.mac));
        }
        let first = PROBES + u64::from(instance.number) * EACH;
        for (ip, _, device) in instance.vip.places() {
            // One of its own is down.
            let device = instance.vip.cable(device);
            let is_for = |ear: &Ear| ear.device == device && ear.hears.is_some() == ip.is_ipv6();
            if !search.ears.iter().any(is_for)
                && let Ok(ear) = Ear::open(device, ip.is_ipv6())
                && let Some(token) = (first..first + EACH).nth(search.ears.len())
                && poller.add(ear.fd(), token, Interest::READ).is_ok()
            {
                search.ears.push(ear);
            }
            let Some(ear) = search.ears.iter().find(|ear| is_for(ear)) else { continue };
            let _unheard = match ip {
                IpAddr::V4(ip) => ear.voice.probe(std::net::Ipv4Addr::UNSPECIFIED, ip),
                IpAddr::V6(ip) => ear.voice.solicit(ip),
            };
        }
    }

    fn is_asking(&self) -> bool {
        self.searches.iter().any(|search| search.asks)
    }

    /// What is heard means nothing any more; what is left is to be closed.
    pub(super) fn end(&mut self, instance: usize, poller: &Poller) -> Drain<'_, Ear> {
        let Some(Search { asks, ears, .. }) = self.searches.get_mut(instance) else {
            // There is nothing in it.
            return self.hushed.drain(..0);
        };
        *asks = false;
        for ear in &*ears {
            // One that is closed later would be told of until then.
            let _gone = poller.remove(ear.fd());
        }
        ears.drain(..)
    }

    /// The same of one with a vip lease: to close a socket that hears everybody takes the kernel longer than what this process may hold
    /// allows it to stand still.
    fn hush(&mut self, instance: usize, poller: &Poller) {
        let mut hushed = std::mem::take(&mut self.hushed);
        hushed.extend(self.end(instance, poller));
        self.hushed = hushed;
    }

    fn ear(&self, token: u64) -> Option<(usize, &Search, &Ear)> {
        let token = token.checked_sub(PROBES)?;
        let number = usize::try_from(token / EACH).ok()?;
        let search = self.searches.get(number).filter(|search| search.asks)?;
        let ear = search.ears.get(usize::try_from(token % EACH).ok()?)?;
        Some((number, search, ear))
    }
}

impl Driver<'_> {
    /// Those of addresses with a vip lease of which it is known by now who has them.
    pub(super) fn end_probes(&mut self) {
        let Some(all) = &self.vip_leases else { return };
        if self.probes.is_asking() {
            for (cell, number) in all.instances.iter().enumerate() {
                if !all.searches(cell) {
                    self.probes.hush(usize::from(self.instances[*number].number), &self.poller);
                }
            }
        }
        if all.machine.is_idle() {
            self.probes.hushed.clear();
        }
    }

    /// Somebody said something of an address.
    pub(super) fn probed(&mut self, token: u64) {
        for _ in 0..TURN {
            let Some((number, search, ear)) = self.probes.ear(token) else { return };
            let Some((ip, mac)) = ear.next() else { return };
            let at = self.instances.iter().position(|it| usize::from(it.number) == number);
            let is_held = |at: &usize| {
                self.instances[*at].vip.addresses.iter().any(|address| address.ip == ip)
            };
            if let Some(at) = at.filter(is_held)
                && !search.own.contains(&mac)
            {
                self.step(at, Input::InUse { mac });
            }
        }
    }
}
