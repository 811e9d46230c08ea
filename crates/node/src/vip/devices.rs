//! What the kernel tells of devices, addresses and routes.

use std::collections::BTreeSet;

use api::Report;
use arrayvec::ArrayVec;
use base::Time;
use config::Loaded;
use config::cluster::Cluster;
use engine::vip::Input;
use sys::netlink::{Change as Device, Monitor, Wants};

use super::instance::Instance;
use super::{Driver, tell};

/// Tells of filters as well where a vip lease ends by them, and of routes where some go with an address.
/// To be called before anything is read: what comes in between is told.
pub(super) fn watch(loaded: &Loaded) -> std::io::Result<Monitor> {
    let has_lease = |cluster: &Cluster| cluster.vips.iter().any(|vip| vip.has_lease);
    let instances = loaded.keepalived.iter().flat_map(|file| &file.instances);
    let routes: BTreeSet<u8> =
        instances.clone().flat_map(|it| &it.routes).map(|route| route.protocol).collect();
    let routes: Vec<u8> = routes.into_iter().collect();
    let rules = instances.map(|it| it.rules.len()).any(|rules| rules > 0);
    let filters = loaded.cluster.as_ref().is_some_and(has_lease);
    Monitor::open_for(Wants { filters, routes: &routes, rules })
}

/// Devices whose filters changed in one turn: nothing is asked of the memory while an address is held.
const FILTERED: usize = 16;
/// So much of it in one turn: what else is due waits for no storm of changes. What is left is looked at in the next one.
const TURN: usize = 256;

impl Driver<'_> {
    pub(super) fn devices(&mut self) {
        let (mut lost, mut news, mut filters) = (false, false, ArrayVec::<u32, FILTERED>::new());
        let mut looked_at = 0;
        while (looked_at < TURN || !self.monitor.is_read())
            && let Ok(Some(change)) = self.monitor.next()
        {
            looked_at += 1;
            news |= !matches!(change, Device::Filters { .. });
            match change {
                Device::Link { link, gone } => {
                    if !gone {
                        self.look_for_former_name(&link.name, link.index);
                    }
                    self.wire.device_changed(&link.name, link.index, gone, &self.poller);
                    for instance in &mut self.instances {
                        instance.mac_changed(&link.name, link.mac);
                    }
                    let up = link.up && link.carrier;
                    self.link(&link.name, (!gone).then_some((link.index, up)));
                }
                Device::Address { address, gone: true } => {
                    self.guard_networks(address.ip);
                    for number in 0..self.instances.len() {
                        if self.instances[number].misses(address.ip) {
                            self.put_address_back(number, address.ip);
                        }
                    }
                }
                // It may be one of ours.
                Device::Way => {}
                // An own address may have come that a socket or an instance waits for.
                Device::Address { address, gone: false } => {
                    self.wire.try_soon();
                    self.guard_networks(address.ip);
                    self.look_for_networks();
                }
                // Most often several of one device come at once, and this process made them.
                Device::Filters { index } if filters.contains(&index) => {}
                // Of more, all are looked at.
                Device::Filters { index } => lost |= filters.try_push(index).is_err(),
                Device::Lost => lost = true,
            }
        }
        self.guard_filters(&filters, lost);
        if lost {
            self.look_at_devices();
            self.look_at_addresses();
            self.look_for_networks();
        }
        if news {
            self.make_ways();
        }
    }

    /// A device that somebody renamed is not there any more under the name that it has in the file: who goes by that name
    /// would hear nothing more of it. Who goes by its network follows.
    fn look_for_former_name(&mut self, name: &str, index: u32) {
        let all = self.instances.iter().filter_map(|instance| instance.former_name(index, name));
        let former: BTreeSet<String> = all.collect();
        for former in former {
            let is_of = |it: &Instance| it.former_name(index, name).as_ref() == Some(&former);
            let concerned: Vec<usize> =
                (0..self.instances.len()).filter(|at| is_of(&self.instances[*at])).collect();
            if concerned.iter().all(|at| self.instances[*at].can_follow(&former)) {
                self.follow_device(&concerned, &former, name);
                continue;
            }
            for at in concerned {
                self.instances[at].note_renamed(&former, name);
            }
            self.wire.device_changed(&former, index, true, &self.poller);
            self.link(&former, None);
        }
    }

    /// Nothing moves: sockets, addresses and filters are of the device.
    fn follow_device(&mut self, concerned: &[usize], former: &str, to: &str) {
        self.wire.follow(former, to);
        self.follow_with_gate(former, to);
        for at in concerned {
            self.instances[*at].follow(former, to);
            let event = tell::followed(&self.instances[*at], &self.node, former);
            self.tell(&Report::Event(event));
            self.tell_state(*at);
        }
    }

    /// Those that were refused may be taken now, and those of a device that was down are gone.
    fn make_ways(&mut self) {
        for number in 0..self.instances.len() {
            if self.instances[number].has_ways() {
                self.tell(&Report::Busy);
                let made = self.instances[number].make_ways(&self.netlink);
                // What was refused before is told as that.
                if !self.instances[number].ways_were_refused() {
                    self.instances[number].put_back.note(made);
                    self.tell_put_back(number);
                }
                self.tell_routes(number);
            }
        }
    }

    pub(super) fn tell_routes(&mut self, number: usize) {
        if let Some(refused) = self.instances[number].routes_news() {
            self.tell(&Report::Event(tell::routes(&self.instances[number], &self.node, &refused)));
        }
    }

    fn look_at_addresses(&mut self) {
        self.tell(&Report::Busy);
        let Ok(present) = self.netlink.addresses() else { return };
        for number in 0..self.instances.len() {
            let there = |ip| present.iter().any(|address| address.ip == ip);
            let mut held = self.instances[number].vip.addresses.iter().map(|address| address.ip);
            if held.any(|ip| self.instances[number].misses(ip) && !there(ip)) {
                self.step(number, Input::AddressLost);
            }
        }
    }

    pub(super) fn look_at_devices(&mut self) {
        self.tell(&Report::Busy);
        let Ok(links) = self.netlink.links() else { return };
        for link in &links {
            self.look_for_former_name(&link.name, link.index);
        }
        let wanted: Vec<String> = self
            .instances
            .iter()
            .flat_map(|instance| instance.devices().map(str::to_owned))
            .chain(self.vip_leases.iter().flat_map(|all| all.guard.devices()).map(str::to_owned))
            .filter(|name| !name.is_empty())
            .collect();
        for name in wanted {
            let link = links.iter().find(|link| link.name == name);
            self.link(&name, link.map(|link| (link.index, link.up && link.carrier)));
        }
    }

    /// A device as it is now: its number and whether it can be used; none if it is not there.
    fn link(&mut self, device: &str, link: Option<(u32, bool)>) {
        self.guard_device(device, link.map(|(index, _)| index));
        self.link_of_network(device, link.is_some_and(|(_, up)| up));
        let counts = match link {
            Some((_, up)) => Some(self.around.bounces.is_up(sys::clock::now(), device, up)),
            None => {
                self.around.bounces.gone(device);
                None
            }
        };
        for number in 0..self.instances.len() {
            self.instances[number].device_changed(device, link.map(|(index, _)| index));
            if link.is_some() {
                self.look_for_cable(number, device);
            }
            self.tell_of_device(number, device, counts);
        }
    }

    /// What it says to the machine of one instance.
    fn tell_of_device(&mut self, number: usize, device: &str, is_up: Option<bool>) {
        for position in 0.. {
            let input = self.instances[number].input(device, is_up, position);
            let Some(input) = input else { return };
            self.step(number, input);
        }
    }

    /// Devices whose change has lasted as long as it had to.
    pub(super) fn pass_time_of_devices(&mut self, now: Time) {
        while let Some((device, up)) = self.around.bounces.next(now) {
            for number in 0..self.instances.len() {
                self.tell_of_device(number, &device, Some(up));
            }
        }
    }
}
