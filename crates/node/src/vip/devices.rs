//! What the kernel tells of devices, addresses and routes.

use api::Report;
use config::cluster::Cluster;
use engine::vip::Input;
use sys::netlink::{Change as Device, Monitor};

use super::{Driver, tell};

/// Tells of filters as well where a vip lease ends by them.
pub(super) fn watch(cluster: Option<&Cluster>) -> std::io::Result<Monitor> {
    let has_lease = |cluster: &Cluster| cluster.vips.iter().any(|vip| vip.has_lease);
    match cluster.is_some_and(has_lease) {
        true => Monitor::open_with_filters(),
        false => Monitor::open(),
    }
}

impl Driver<'_> {
    pub(super) fn devices(&mut self) {
        let (mut lost, mut news, mut filters) = (false, false, vec![]);
        while let Ok(Some(change)) = self.monitor.next() {
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
                    for number in 0..self.instances.len() {
                        if self.instances[number].misses(address.ip) {
                            self.step(number, Input::AddressLost);
                        }
                    }
                }
                // An own address may have come that a socket or an instance waits for.
                Device::Address { address, gone: false } => {
                    self.wire.try_soon();
                    self.guard_networks(address.ip);
                    self.look_for_networks();
                }
                // Most often several of one device come at once, and this process made them.
                Device::Filters { index } if filters.contains(&index) => {}
                Device::Filters { index } => filters.push(index),
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
            self.make_routes();
        }
    }

    /// A device that somebody renamed is not there any more under the name that it has in the file: who goes by that name
    /// would hear nothing more of it.
    fn look_for_former_name(&mut self, name: &str, index: u32) {
        let all = self.instances.iter().filter_map(|instance| instance.former_name(index, name));
        let former: std::collections::BTreeSet<String> = all.collect();
        for former in former {
            let concerned = self
                .instances
                .iter_mut()
                .filter(|instance| instance.former_name(index, name).as_ref() == Some(&former));
            concerned.for_each(|instance| instance.note_renamed(&former, name));
            self.wire.device_changed(&former, index, true, &self.poller);
            self.link(&former, None);
        }
    }

    /// Those that were refused may be taken now, and those of a device that was down are gone.
    fn make_routes(&mut self) {
        for number in 0..self.instances.len() {
            if self.instances[number].has_routes() {
                self.tell(&Report::Busy);
                self.instances[number].make_routes(&self.netlink);
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
        let wanted: Vec<String> = self
            .instances
            .iter()
            .flat_map(|instance| instance.devices().map(str::to_owned))
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
        for number in 0..self.instances.len() {
            self.instances[number].device_changed(device, link.map(|(index, _)| index));
            for input in self.instances[number].inputs(device, link.map(|(_, up)| up)) {
                self.step(number, input);
            }
        }
    }
}
