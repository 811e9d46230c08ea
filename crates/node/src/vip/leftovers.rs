//! Addresses of the configuration before, taken off while others stay.
//!
//! The kernel takes an IPv4 network off a device with the first of its addresses, and changes neither label nor scope of
//! one that is there. So what stays has its address a second time, with another length, until the first one is back.

use std::net::{IpAddr, Ipv4Addr};

use sys::netlink::Address;

use super::{Driver, tell};

impl Driver<'_> {
    /// Takes them off every device; what has to be taken off again when all that this process adopts is there.
    pub(super) fn take_leftovers_off(&self, leftovers: &[IpAddr], adopt: &[u16]) -> Vec<Address> {
        if leftovers.is_empty() {
            return vec![];
        }
        let before = self.netlink.addresses().unwrap_or_default();
        let adopted = |ip: IpAddr| {
            let mut all = self.instances.iter().filter(|it| adopt.contains(&it.number));
            all.any(|instance| instance.vip.addresses.iter().any(|address| address.ip == ip))
        };
        let goes = |address: &&Address| leftovers.contains(&address.ip);
        let stays = before.iter().filter(|address| {
            let is_touched = before.iter().filter(goes).any(|other| takes_along(other, address));
            adopted(address.ip) && (goes(address) || is_touched)
        });
        let second = |address: &Address| {
            let second = Address { prefix: if address.prefix == 32 { 31 } else { 32 }, ..*address };
            // One that was there already is somebody's.
            let made = self.netlink.add_once_more(second.index, second.ip, second.prefix);
            made.is_ok_and(|made| made).then_some(second)
        };
        let held = stays.filter(|address| address.ip.is_ipv4()).filter_map(second).collect();
        for ip in leftovers {
            if let Err(error) = self.delete_all(*ip, &before) {
                self.tell(&super::Report::Event(tell::leftover(&self.node, *ip, &error)));
            }
        }
        held
    }

    fn delete_all(&self, ip: IpAddr, before: &[Address]) -> std::io::Result<()> {
        if before.is_empty() {
            return self.netlink.delete_everywhere(ip).map(|_| ());
        }
        for address in before.iter().filter(|address| address.ip == ip) {
            self.netlink.delete_address(address.index, ip, address.prefix)?;
        }
        Ok(())
    }

    /// All that this process adopts is there.
    pub(super) fn take_seconds_off(&self, seconds: &[Address]) {
        for address in seconds {
            let taken = self.netlink.delete_address(address.index, address.ip, address.prefix);
            if let Err(error) = taken {
                self.tell(&super::Report::Event(tell::leftover(&self.node, address.ip, &error)));
            }
        }
    }
}

/// Whether the kernel takes `other` off with `address`: it is of the same network on the same device.
fn takes_along(address: &Address, other: &Address) -> bool {
    let (IpAddr::V4(one), IpAddr::V4(two)) = (address.ip, other.ip) else { return false };
    let mask = u32::MAX.checked_shl(32 - u32::from(address.prefix)).unwrap_or(0);
    let network = |ip: Ipv4Addr| ip.to_bits() & mask;
    (address.index, address.prefix) == (other.index, other.prefix) && network(one) == network(two)
}
