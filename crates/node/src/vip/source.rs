//! The address that a group speaks from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sys::netlink::Netlink;

/// Of all groups of a node, and what a process before this one may have left of others.
pub(super) fn virtual_ips<'a>(
    vips: impl IntoIterator<Item = &'a config::vip::Vip>,
    left: &[IpAddr],
) -> Vec<IpAddr> {
    let named = vips.into_iter().flat_map(|vip| &vip.addresses).map(|address| address.ip);
    named.chain(left.iter().copied()).collect()
}

/// Where adverts come from: an address of the device of that number. Over IPv6 one of its link, unless peers are elsewhere.
/// Without one there is nothing to send from; adverts over IPv4 then come from nowhere and are heard by nobody, and the
/// carrier or the operator brings the address later. Never one of `virtual_ips`: what a group speaks from would move with another
/// one, and two nodes that speak from the same one each take the other for their own echo.
pub(super) fn of(
    vip: &config::vip::Vip,
    index: Option<u32>,
    virtual_ips: &[IpAddr],
    netlink: &Netlink,
) -> IpAddr {
    let is_far = vip.unicast_peers.first().is_some_and(|peer| !is_of_link(*peer));
    let serves = |ip: IpAddr| match ip {
        IpAddr::V4(_) => !vip.is_v6(),
        IpAddr::V6(_) => vip.is_v6() && is_of_link(ip) != is_far,
    };
    let first = index.and_then(|index| {
        let addresses = netlink.addresses().ok()?;
        let there = addresses.iter().filter(|address| address.index == index);
        there.map(|address| address.ip).find(|ip| serves(*ip) && !virtual_ips.contains(ip))
    });
    let nowhere = if vip.is_v6() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    vip.source.or(first).unwrap_or(nowhere)
}

const fn is_of_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
