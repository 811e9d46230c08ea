//! The hardware address of a group (RFC 9568 7.3), and the devices that have it.

use super::Vip;

/// A hardware address.
pub type Mac = [u8; 6];

/// A device under the group's hardware address: it shares the cable of another one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VirtualMac {
    /// Its own name.
    pub device: String,
    /// The device whose cable it shares.
    pub on: String,
    pub mac: Mac,
    /// It has addresses of IPv6.
    pub has_v6: bool,
}

/// 00-00-5E-00-01-ID for IPv4, 00-00-5E-00-02-ID for IPv6.
pub(crate) const fn of_group(router_id: u8, is_v6: bool) -> Mac {
    [0, 0, 0x5e, 0, if is_v6 { 2 } else { 1 }, router_id]
}

impl Vip {
    /// The device under that hardware address on the cable of that one; made if there is none yet. `wanted`: its name;
    /// `names`: those that are taken.
    pub(crate) fn add_virtual_mac(
        &mut self,
        (wanted, names): (Option<&str>, &mut Vec<String>),
        on: &str,
        mac: Mac,
    ) -> String {
        if let Some(known) = self.virtual_macs.iter().find(|it| it.on == on && it.mac == mac) {
            return known.device.clone();
        }
        let id = self.router_id;
        // As keepalived calls them.
        let plain = self.virtual_macs.is_empty().then(|| format!("vrrp.{id}"));
        let of_kind = (mac == of_group(id, true)).then(|| format!("vrrp6.{id}"));
        let numbered = (1..=u8::MAX).map(|number| format!("vrrp{number}.{id}"));
        let all = wanted.map(str::to_owned).into_iter().chain(plain).chain(of_kind).chain(numbered);
        let free = all.into_iter().find(|name| !names.contains(name));
        let device = free.unwrap_or_else(|| format!("vrrp0.{id}"));
        names.push(device.clone());
        let on = on.to_owned();
        self.virtual_macs.push(VirtualMac { device: device.clone(), on, mac, has_v6: false });
        device
    }

    /// All of its addresses and its adverts, under the address that the RFC has for it.
    pub(crate) fn place_on_virtual_mac(&mut self, names: &mut Vec<String>) {
        let mac = of_group(self.router_id, self.is_v6());
        let on = self.interface.clone();
        let device = self.add_virtual_mac((None, names), &on, mac);
        self.advert_mac = self.unicast_peers.is_empty().then_some(mac);
        for address in &mut self.addresses {
            address.device = Some(device.clone());
        }
        self.note_kinds();
    }

    pub(crate) fn note_kinds(&mut self) {
        for it in &mut self.virtual_macs {
            let mut here = self.addresses.iter().filter(|a| a.device.as_ref() == Some(&it.device));
            it.has_v6 = here.any(|address| address.ip.is_ipv6());
        }
    }

    /// Its interface is known from now on, or is called so from now on.
    pub fn learn_interface(&mut self, interface: &str) {
        let before = std::mem::replace(&mut self.interface, interface.to_owned());
        for it in self.virtual_macs.iter_mut().filter(|it| it.on == before) {
            interface.clone_into(&mut it.on);
        }
    }

    /// The device under the group's hardware address on whose cable adverts come and go.
    #[must_use]
    pub fn speaking_device(&self) -> Option<&str> {
        let first = self.virtual_macs.iter().find(|it| it.on == self.interface)?;
        Some(&first.device)
    }

    /// The device whose cable it is by which `device` is reached.
    #[must_use]
    pub fn cable<'a>(&'a self, device: &'a str) -> &'a str {
        let on = self.virtual_macs.iter().find(|it| it.device == device);
        on.map_or(device, |it| it.on.as_str())
    }
}
