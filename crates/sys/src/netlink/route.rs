//! Making and removing routes.

use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::{self, Request};
use super::{Netlink, address};

/// A route to one network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route {
    /// With its length: 0.0.0.0/0 is everywhere else.
    pub destination: IpAddr,
    pub prefix: u8,
    pub via: Option<IpAddr>,
    /// Number of the device.
    pub index: Option<u32>,
    /// What is sent this way comes from there.
    pub source: Option<IpAddr>,
    /// 254: the main one (`/etc/iproute2/rt_tables`).
    pub table: u32,
    pub metric: Option<u32>,
    /// 0: it is good everywhere; 253: on its link only (`linux/rtnetlink.h`).
    pub scope: u8,
    /// Who made it: a number of `/etc/iproute2/rt_protos`.
    pub protocol: u8,
}

impl Netlink {
    /// Makes a route, before others to that network; false: exactly that one is there.
    ///
    /// # Errors
    /// When its gateway is on no network of ours, or its device is gone or down.
    pub fn make_route(&self, route: &Route) -> io::Result<bool> {
        let mut request = request(libc::RTM_NEWROUTE, libc::NLM_F_CREATE, route);
        address::changed(self.transport.ask(&mut request, &mut |_, _| {}), &[libc::EEXIST])
    }

    /// Removes exactly that route; false: it was not there.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`.
    pub fn delete_route(&self, route: &Route) -> io::Result<bool> {
        let mut request = request(libc::RTM_DELROUTE, 0, route);
        let absent = [libc::ESRCH, libc::ENODEV, libc::ENETUNREACH, libc::EHOSTUNREACH];
        address::changed(self.transport.ask(&mut request, &mut |_, _| {}), &absent)
    }

    /// Sets the way to everywhere else, in place of the one that is there.
    ///
    /// # Errors
    /// When the gateway is on no network of ours.
    pub fn add_route(&self, gateway: IpAddr) -> io::Result<()> {
        const STATIC: u8 = 4;
        let any = match gateway {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let route = Route {
            destination: any,
            prefix: 0,
            via: Some(gateway),
            index: None,
            source: None,
            table: libc::RT_TABLE_MAIN.into(),
            metric: None,
            scope: libc::RT_SCOPE_UNIVERSE,
            protocol: STATIC,
        };
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let mut request = request(libc::RTM_NEWROUTE, flags, &route);
        self.transport.ask(&mut request, &mut |_, _| {})
    }
}

fn request(kind: u16, flags: c_int, route: &Route) -> Request {
    let family = if route.destination.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let of = message::RouteHeader {
        family,
        prefix: route.prefix,
        protocol: route.protocol,
        scope: route.scope,
    };
    let mut request = message::route(kind, flags, &of);
    let mut ip = |kind: u16, ip: IpAddr| match ip {
        IpAddr::V4(ip) => request.attribute(kind, &ip.octets()),
        IpAddr::V6(ip) => request.attribute(kind, &ip.octets()),
    };
    if route.prefix > 0 {
        ip(libc::RTA_DST, route.destination);
    }
    if let Some(via) = route.via {
        ip(libc::RTA_GATEWAY, via);
    }
    if let Some(source) = route.source {
        ip(libc::RTA_PREFSRC, source);
    }
    if let Some(index) = route.index {
        request.number(libc::RTA_OIF, index);
    }
    if let Some(metric) = route.metric {
        request.number(libc::RTA_PRIORITY, metric);
    }
    request.number(libc::RTA_TABLE, route.table);
    request
}
