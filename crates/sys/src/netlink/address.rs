//! Adding and removing addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::message::{self, Request};
use super::{Address, Netlink};

/// What an address may have beyond itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AddressOptions<'a> {
    /// As `eth0:vip`; IPv4 only.
    pub label: Option<&'a str>,
    pub broadcast: Option<Ipv4Addr>,
    /// 0: it is good everywhere; 253: on its link only (`linux/rtnetlink.h`).
    pub scope: u8,
    /// Of IPv6: for so many seconds it is a source of what is sent from here; none: for ever.
    pub preferred: Option<u32>,
}

/// `linux/if_addr.h`; not in libc.
const IFA_FLAGS: u16 = 8;
/// An address that is used at once: duplicate address detection would take a second.
const IFA_F_NODAD: u32 = 2;
/// Without a route to its network.
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

impl Netlink {
    /// Adds an address to a device; false: it was there.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the device is gone.
    pub fn add_address(
        &self,
        index: u32,
        ip: IpAddr,
        prefix: u8,
        options: AddressOptions<'_>,
    ) -> io::Result<bool> {
        let mut request = request(libc::RTM_NEWADDR, index, ip, prefix);
        request.scope(options.scope);
        if let Some(label) = options.label {
            request.text(libc::IFA_LABEL, label);
        }
        if let Some(broadcast) = options.broadcast {
            request.attribute(libc::IFA_BROADCAST, &broadcast.octets());
        }
        if ip.is_ipv6() {
            request.number(IFA_FLAGS, IFA_F_NODAD);
            if let Some(seconds) = options.preferred {
                // `struct ifa_cacheinfo`: preferred, valid, and two moments that the kernel writes.
                let lives = [seconds, u32::MAX, 0, 0].map(u32::to_ne_bytes);
                request.attribute(libc::IFA_CACHEINFO, lives.as_flattened());
            }
        }
        changed(self.transport.ask(&mut request, &mut |_, _| {}), &[libc::EEXIST])
    }

    /// Adds an address that is there with another length, which makes no way to a network of that length; false: it was
    /// there with this one, too.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the device is gone.
    pub fn add_once_more(&self, index: u32, ip: IpAddr, prefix: u8) -> io::Result<bool> {
        let mut request = request(libc::RTM_NEWADDR, index, ip, prefix);
        request.number(IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
        changed(self.transport.ask(&mut request, &mut |_, _| {}), &[libc::EEXIST])
    }

    /// Removes an address from a device; false: it was not there, or the device is gone.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`.
    pub fn delete_address(&self, index: u32, ip: IpAddr, prefix: u8) -> io::Result<bool> {
        let mut request = request(libc::RTM_DELADDR, index, ip, prefix);
        let absent = [libc::EADDRNOTAVAIL, libc::ENODEV];
        changed(self.transport.ask(&mut request, &mut |_, _| {}), &absent)
    }

    /// Removes an address wherever it is, whatever its prefix; tells from how many places.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`.
    pub fn delete_everywhere(&self, ip: IpAddr) -> io::Result<usize> {
        let mut deleted = 0;
        for Address { index, prefix, .. } in self.addresses()?.into_iter().filter(|a| a.ip == ip) {
            deleted += usize::from(self.delete_address(index, ip, prefix)?);
        }
        Ok(deleted)
    }
}

fn request(kind: u16, index: u32, ip: IpAddr, prefix: u8) -> Request {
    match ip {
        IpAddr::V4(ip) => {
            let mut request = message::address(kind, libc::AF_INET, index, prefix);
            request.attribute(libc::IFA_LOCAL, &ip.octets());
            request.attribute(libc::IFA_ADDRESS, &ip.octets());
            request
        }
        IpAddr::V6(ip) => {
            let mut request = message::address(kind, libc::AF_INET6, index, prefix);
            request.attribute(libc::IFA_LOCAL, &ip.octets());
            request.attribute(libc::IFA_ADDRESS, &ip.octets());
            request
        }
    }
}

pub(super) fn changed(result: io::Result<()>, unchanged: &[i32]) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error().is_some_and(|code| unchanged.contains(&code)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
