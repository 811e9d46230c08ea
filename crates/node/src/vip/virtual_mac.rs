//! Devices under a group's own hardware address (RFC 9568 7.3): made at the start, up while the addresses are here, removed at the end.
//!
//! A backup's are down: what is sent to the group's address is not for it (6.4.2), and adverts that come from that address are
//! then heard by the interface below. The kernel needs 10 to 20 ms to take one down, so another thread does that (`slow`), later
//! and one at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use api::Report;
use base::{Chain, Time};
use config::vip::{Vip, VirtualMac};
use sys::device::{self, Family};
use sys::netlink::{Link, Macvlan, Netlink};

use super::instance::Instance;
use super::slow::Task;
use super::{Driver, tell};

/// What is written at a device that we made; what its cable's device had before follows.
const MARK: &str = "outlast";
/// The goodbye and the name of the successor leave before that.
const REST_AFTER: Duration = Duration::from_millis(50);
/// Between two that are taken down: the kernel has the lock of all networks meanwhile, which a claim needs.
const REST_EVERY: Duration = Duration::from_millis(100);

/// What the device below has while there is one of ours on it: it answers ARP for its own addresses alone, and not by the
/// way of another one (as keepalived has it).
const BELOW: [(&str, i32); 2] = [("arp_ignore", 1), ("arp_filter", 1)];
/// Ours: a neighbour's packets come by it, and the way to that neighbour leads over the device below.
const ABOVE: [(&str, i32); 3] =
    [("arp_ignore", 1), ("accept_local", 1), ("promote_secondaries", 1)];
/// Nobody configures it but us.
const ABOVE_V6: [(&str, i32); 4] =
    [("accept_ra", 0), ("autoconf", 0), ("router_solicitations", 0), ("dad_transmits", 0)];

/// The number of the device, which is made if it is not there, and what the kernel did not take of its switches.
///
/// # Errors
/// When there is another device of its name, or the kernel makes none.
fn make(netlink: &Netlink, it: &VirtualMac) -> io::Result<(u32, Vec<String>)> {
    let all = netlink.macvlans()?;
    let below = netlink.link(&it.on)?.ok_or_else(|| io::Error::from_raw_os_error(NO_DEVICE))?;
    let index = match all.iter().find(|known| known.link.name == it.device) {
        None => netlink.create_macvlan(&it.device, below.index, it.mac)?,
        Some(known) if !is_of(known, it) || known.parent != below.index => {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Some(known) if is_unfinished(known) => known.link.index,
        Some(known) => return Ok((known.link.index, switch(it))),
    };
    let beside = all.iter().find(|other| other.parent == below.index && is_marked(other));
    let alias = beside.map_or_else(|| before(&it.on), |other| other.alias.clone());
    netlink.finish_macvlan(index, &alias)?;
    Ok((index, switch(it)))
}

/// `ENODEV`
const NO_DEVICE: i32 = 19;

fn is_of(known: &Macvlan, it: &VirtualMac) -> bool {
    known.private && known.link.mac == it.mac
}

fn is_ours(known: &Macvlan) -> bool {
    is_marked(known) || is_unfinished(known)
}

fn is_marked(known: &Macvlan) -> bool {
    known.private && known.alias.split(' ').next() == Some(MARK)
}

/// Who made it was killed before it wrote at it: nothing else was changed for it.
fn is_unfinished(known: &Macvlan) -> bool {
    known.private && known.is_ours && known.alias.is_empty()
}

/// Ours, and of no group of the file: none of `wanted` is on the same cable under the same name and address.
fn is_stale(known: &Macvlan, wanted: &[VirtualMac], links: &[Link]) -> bool {
    let lies_on = |it: &VirtualMac| {
        let below = links.iter().find(|link| link.name == it.on);
        below.is_none_or(|below| below.index == known.parent)
    };
    let is_it = |it: &VirtualMac| known.link.name == it.device && is_of(known, it) && lies_on(it);
    is_ours(known) && !wanted.iter().any(is_it)
}

/// What is to be there again when the last one of ours is gone.
fn before(device: &str) -> String {
    let switches = BELOW.iter().map(|(switch, _)| device::read(Family::V4, device, switch));
    switches.fold(MARK.to_owned(), |text, value| format!("{text} {}", value.unwrap_or(0)))
}

/// Sets all switches of a device and of that below it; what the kernel did not take.
fn switch(it: &VirtualMac) -> Vec<String> {
    // The higher one of it and that of all devices counts: 2 asks for some way back, whatever that is.
    let strict = device::read(Family::V4, "all", "rp_filter").unwrap_or(0) == 1;
    let back = [("rp_filter", if strict { 2 } else { 0 })];
    let below = BELOW.iter().map(|(name, value)| (Family::V4, it.on.as_str(), *name, *value));
    let above = ABOVE.iter().chain(&back);
    let above = above.map(|(name, value)| (Family::V4, it.device.as_str(), *name, *value));
    let v6: &[(&str, i32)] = if it.has_v6 { &ABOVE_V6 } else { &[("disable_ipv6", 1)] };
    let v6 = v6.iter().map(|(name, value)| (Family::V6, it.device.as_str(), *name, *value));
    let refused = below.chain(above).chain(v6).filter_map(|(family, device, name, value)| {
        match device::write(family, device, name, value) {
            // A kernel without IPv6 has no such switches.
            Err(error) if family == Family::V6 && error.kind() == io::ErrorKind::NotFound => None,
            told => told.err().map(|error| format!("{name} of {device}: {error}")),
        }
    });
    refused.collect()
}

/// Removes one that we made; the device below it is then as before, if there is no other one of ours.
fn remove(netlink: &Netlink, known: &Macvlan, all: &[Macvlan]) -> io::Result<()> {
    netlink.delete_link(known.link.index)?;
    let is_last = |other: &Macvlan| {
        other.link.index == known.link.index || other.parent != known.parent || !is_marked(other)
    };
    if all.iter().all(is_last)
        && let Some(below) = netlink.links()?.into_iter().find(|link| link.index == known.parent)
    {
        let values = known.alias.split(' ').skip(1).filter_map(|text| text.parse().ok());
        for ((switch, _), value) in BELOW.iter().zip(values) {
            // One that is gone, or may not be written, is of no use either.
            let _kept = device::write(Family::V4, &below.name, switch, value);
        }
    }
    Ok(())
}

/// Removes the devices of those groups; what the kernel keeps, with its reason.
pub(super) fn remove_all<'a>(
    netlink: &Netlink,
    vips: impl Iterator<Item = &'a Vip>,
) -> Vec<String> {
    let wanted: Vec<&VirtualMac> = vips.flat_map(|vip| &vip.virtual_macs).collect();
    if wanted.is_empty() {
        return vec![];
    }
    sweep(netlink, |known| wanted.iter().any(|it| known.link.name == it.device && is_of(known, it)))
}

/// Removes all that we made but these; what the kernel keeps, with its reason.
pub(super) fn sweep_but(netlink: &Netlink, wanted: &[VirtualMac]) -> Vec<String> {
    match netlink.links() {
        Ok(links) => sweep(netlink, |known| is_stale(known, wanted, &links)),
        Err(error) => vec![format!("devices cannot be listed: {error}")],
    }
}

fn sweep(netlink: &Netlink, goes: impl Fn(&Macvlan) -> bool) -> Vec<String> {
    let mut all = match netlink.macvlans() {
        Ok(all) => all,
        Err(error) => return vec![format!("devices cannot be listed: {error}")],
    };
    let mut kept = Vec::new();
    while let Some(at) = all.iter().position(&goes) {
        if let Err(error) = remove(netlink, &all[at], &all) {
            kept.push(format!("{}: {error}", all[at].link.name));
        }
        all.remove(at);
    }
    kept
}

impl Instance {
    /// Makes what is missing of its devices; what the kernel did not do.
    fn make_virtual_macs(&mut self, netlink: &Netlink) -> Vec<String> {
        let mut refused = Vec::new();
        for it in &self.vip.virtual_macs {
            match make(netlink, it) {
                Ok((index, complaints)) => {
                    self.indexes.insert(it.device.clone(), index);
                    refused.extend(complaints);
                }
                Err(error) => refused.push(format!("{}: {}", it.device, Chain(&error))),
            }
        }
        refused
    }

    /// Before its addresses are put there.
    pub(super) fn raise_virtual_macs(&mut self, netlink: &Netlink) {
        self.rests_at = Time::NEVER;
        // One that goes down in this very moment is told, and is then raised again.
        self.rest.want(false);
        if self.vip.virtual_macs.iter().any(|it| !self.indexes.contains_key(&it.device)) {
            // What is refused is told where the address cannot be put there.
            let _refused = self.make_virtual_macs(netlink);
        }
        for it in &self.vip.virtual_macs {
            let index = self.indexes.get(&it.device);
            let _refused = index.map(|index| netlink.set_up(*index, true));
        }
    }

    /// Its addresses are gone from there.
    pub(super) fn lower_virtual_macs_later(&mut self) {
        if !self.vip.virtual_macs.is_empty() {
            self.rests_at = sys::clock::now() + REST_AFTER;
        }
    }

    fn lower_virtual_macs(&mut self) {
        self.rests_at = Time::NEVER;
        let devices = self.vip.virtual_macs.iter().map(|it| &it.device);
        let devices: Vec<u32> =
            devices.filter_map(|name| self.indexes.get(name).copied()).collect();
        let Some(slow) = self.slow.as_ref().filter(|_| !devices.is_empty()) else { return };
        self.rest.want(true);
        let (instance, rest) = (usize::from(self.number), Arc::clone(&self.rest));
        slow.give(Task::Lower { instance, devices, rest });
    }

    /// Whether one of its devices lies on that one and is not there.
    fn lacks_virtual_mac(&self, on: &str) -> bool {
        let mut here = self.vip.virtual_macs.iter().filter(|it| it.on == on);
        here.any(|it| !self.indexes.contains_key(&it.device))
    }
}

impl Driver<'_> {
    /// Those of groups that are not in the file any more go; the others are made, and are down unless their addresses stay.
    pub(super) fn begin_virtual_macs(&mut self, adopt: &[u16]) {
        let wanted: Vec<VirtualMac> =
            self.instances.iter().flat_map(|it| it.vip.virtual_macs.clone()).collect();
        let links = self.netlink.links().unwrap_or_default();
        // One whose name is needed has to be away before another one is made; all others have time.
        let is_needed = |known: &Macvlan| wanted.iter().any(|it| known.link.name == it.device);
        let is_in_the_way = |known: &Macvlan| is_stale(known, &wanted, &links) && is_needed(known);
        let kept = sweep(&self.netlink, is_in_the_way);
        self.tell_kept_devices(&kept.join("; "));
        for number in 0..self.instances.len() {
            self.make_virtual_macs(number);
            if !adopt.contains(&self.instances[number].number) {
                self.instances[number].lower_virtual_macs();
            }
        }
        // After that: who removes the last one on a cable sets that as it was before.
        let all = self.netlink.macvlans().unwrap_or_default();
        if all.iter().any(|known| is_stale(known, &wanted, &links)) {
            self.do_slowly(Task::Sweep { wanted });
        }
    }

    pub(super) fn make_virtual_macs(&mut self, number: usize) {
        if self.instances[number].vip.virtual_macs.is_empty() {
            return;
        }
        self.tell(&Report::Busy);
        let refused = self.instances[number].make_virtual_macs(&self.netlink);
        if !refused.is_empty() {
            let instance = &self.instances[number];
            let event = tell::virtual_mac(instance, &self.node, &refused.join("; "));
            self.tell(&Report::Event(event));
        }
        self.wire.try_soon();
    }

    /// A device came on whose cable those of an instance lie.
    pub(super) fn look_for_cable(&mut self, number: usize, device: &str) {
        if self.instances[number].lacks_virtual_mac(device) {
            self.make_virtual_macs(number);
            if self.instances[number].held {
                self.instances[number].raise_virtual_macs(&self.netlink);
            }
        }
    }

    /// When the next one is taken down.
    pub(super) fn rests_at(&self) -> Time {
        self.instances.iter().map(|instance| instance.rests_at).min().unwrap_or(Time::NEVER)
    }

    pub(super) fn let_rest(&mut self, now: Time) {
        let tired = self.instances.iter_mut().find(|instance| instance.rests_at <= now);
        let Some(tired) = tired else { return };
        tired.lower_virtual_macs();
        let next = sys::clock::now() + REST_EVERY;
        let waiting = self.instances.iter_mut().filter(|it| it.rests_at != Time::NEVER);
        waiting.for_each(|it| it.rests_at = it.rests_at.max(next));
    }

    /// Nobody follows this process.
    pub(super) fn remove_virtual_macs(&self) {
        let kept = remove_all(&self.netlink, self.instances.iter().map(|it| &it.vip));
        self.tell_kept_devices(&kept.join("; "));
    }
}
