//! Switches, ports and namespaces.
//!
//! ```text
//! sw1 10.79.0.0/24 (management): node01..03 .41-.43 eth0, client .100, watch .101
//! sw2 10.80.0.0/24 (storage):    node01..03 .41-.43 eth1
//! sw3 10.81.0.0/24 …:            what a cluster of agents has beyond the demo
//! ```
//! The switches are bridges in the demo's own namespace. A port is named `sw1-node01`; taking it
//! down is a lost carrier, taking it out of its bridge a silent loss that the node cannot see.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::netlink::{AddressOptions, Netlink};

use crate::watch::Mac;

/// The virtual IP of the demo's first instance.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
const PREFIX: u8 = 24;
/// As many as a cluster file may name networks.
const SWITCHES: [&str; 8] = ["sw1", "sw2", "sw3", "sw4", "sw5", "sw6", "sw7", "sw8"];
/// Of the demo: management and storage.
pub(crate) const DEMO_NETWORKS: usize = 2;
/// A hardware address that no machine has: what is sent there is lost without a word.
const NOBODY: Mac = [2, 0, 0, 0, 0, 0xff];
/// What the kernel lets every node do as on a controller: listen on an address that is elsewhere.
const SYSCTLS: [(&str, &str); 4] = [
    ("net.ipv4.ip_nonlocal_bind", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.tcp_tw_reuse", "1"),
    ("net.ipv4.ip_local_port_range", "10000 65000"),
];

/// The address of a node (counted from 0) on a network (0: management, 1: storage).
#[must_use]
pub(crate) fn address(node: u8, network: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 79 + network, 0, 41 + node)
}

/// A machine on the network.
#[derive(Debug)]
pub(crate) struct Host {
    name: String,
    netns: OwnedFd,
    /// Of `eth0`.
    pub(crate) mac: Mac,
}

impl Host {
    /// Plugs a new machine into the first `addresses.len()` switches.
    pub(crate) fn plug(name: &str, addresses: &[Ipv4Addr]) -> io::Result<Self> {
        let netns = sys::netns::create()?;
        for (device, switch) in SWITCHES.iter().enumerate().take(addresses.len()) {
            plug_port(&port(switch, name), switch, &format!("eth{device}"), netns.as_fd())?;
        }
        let mac = sys::netns::within(netns.as_fd(), || furnish(addresses))??;
        Ok(Self { name: name.to_owned(), netns, mac })
    }

    pub(crate) fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    /// Carrier lost, or back, on one network.
    pub(crate) fn set_carrier(&self, network: usize, up: bool) -> io::Result<()> {
        let netlink = Netlink::open()?;
        if let Some(link) = netlink.link(&port(SWITCHES[network], &self.name))? {
            netlink.set_up(link.index, up)?;
        }
        Ok(())
    }

    /// Takes the ports out of their switches: the node notices nothing.
    pub(crate) fn cut(&self) -> io::Result<()> {
        (0..SWITCHES.len()).try_for_each(|network| self.set_joined(network, false))
    }

    /// Puts the ports back into their switches.
    pub(crate) fn join(&self) -> io::Result<()> {
        (0..SWITCHES.len()).try_for_each(|network| self.set_joined(network, true))
    }

    /// One port in its switch, or out of it; the carrier stays.
    pub(crate) fn set_joined(&self, network: usize, joined: bool) -> io::Result<()> {
        let netlink = Netlink::open()?;
        let switch = SWITCHES[network];
        if let Some(link) = netlink.link(&port(switch, &self.name))? {
            let master = joined.then(|| existing(&netlink, switch)).transpose()?;
            netlink.set_master(link.index, master)?;
        }
        Ok(())
    }

    /// Whether the machine reaches only those on a network that are not isolated.
    pub(crate) fn set_isolated(&self, network: usize, isolated: bool) -> io::Result<()> {
        let netlink = Netlink::open()?;
        netlink.set_isolated(existing(&netlink, &port(SWITCHES[network], &self.name))?, isolated)
    }

    /// Whether what this machine sends to these addresses on these networks arrives. What those send
    /// arrives anyway.
    pub(crate) fn set_heard_by(&self, ways: &[(Ipv4Addr, usize)], heard: bool) -> io::Result<()> {
        sys::netns::within(self.netns.as_fd(), || {
            let netlink = Netlink::open()?;
            for (ip, network) in ways {
                let device = existing(&netlink, &format!("eth{network}"))?;
                if heard {
                    netlink.delete_neighbour(device, *ip)?;
                } else {
                    netlink.set_neighbour(device, *ip, NOBODY)?;
                }
            }
            Ok(())
        })?
    }

    /// Hardware addresses, by network.
    pub(crate) fn macs(&self, networks: usize) -> io::Result<Vec<Mac>> {
        sys::netns::within(self.netns.as_fd(), || {
            let netlink = Netlink::open()?;
            let mac = |network| {
                let link = netlink.link(&format!("eth{network}"))?;
                link.map(|link| link.mac).ok_or_else(|| io::Error::other("a device is missing"))
            };
            (0..networks).map(mac).collect()
        })?
    }

    /// Tells this machine where others are: address, network, hardware address.
    pub(crate) fn introduce(&self, others: &[(Ipv4Addr, usize, Mac)]) -> io::Result<()> {
        sys::netns::within(self.netns.as_fd(), || {
            let netlink = Netlink::open()?;
            others.iter().try_for_each(|(ip, network, mac)| {
                let device = existing(&netlink, &format!("eth{network}"))?;
                netlink.set_neighbour(device, *ip, *mac)
            })
        })?
    }

    /// Pulls the ports out for good; the namespace ends with its last process.
    pub(crate) fn unplug(&self) -> io::Result<()> {
        let netlink = Netlink::open()?;
        for switch in SWITCHES {
            if let Some(link) = netlink.link(&port(switch, &self.name))? {
                netlink.delete_link(link.index)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn make_switches(count: usize) -> io::Result<()> {
    let netlink = Netlink::open()?;
    for switch in SWITCHES.into_iter().take(count) {
        netlink.create_bridge(switch)?;
        let link = existing(&netlink, switch)?;
        netlink.set_up(link, true)?;
    }
    Ok(())
}

/// Takes them away again, for others that are made here later.
pub(crate) fn remove_switches(count: usize) -> io::Result<()> {
    let netlink = Netlink::open()?;
    for switch in SWITCHES.into_iter().take(count) {
        if let Some(link) = netlink.link(switch)? {
            netlink.delete_link(link.index)?;
        }
    }
    Ok(())
}

fn port(switch: &str, host: &str) -> String {
    format!("{switch}-{host}")
}

fn existing(netlink: &Netlink, name: &str) -> io::Result<u32> {
    let link = netlink.link(name)?;
    link.map(|link| link.index).ok_or_else(|| io::Error::other(format!("there is no link {name}")))
}

fn plug_port(port: &str, switch: &str, device: &str, netns: BorrowedFd<'_>) -> io::Result<()> {
    let netlink = Netlink::open()?;
    netlink.create_veth(port, device, Some(netns))?;
    let index = existing(&netlink, port)?;
    let bridge = existing(&netlink, switch)?;
    netlink.set_master(index, Some(bridge))?;
    netlink.set_up(index, true)
}

/// Addresses, devices up, kernel parameters: from inside the namespace.
fn furnish(addresses: &[Ipv4Addr]) -> io::Result<Mac> {
    for (name, value) in SYSCTLS {
        sys::netns::set_sysctl(name, value)
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    }
    let netlink = Netlink::open()?;
    for (number, address) in addresses.iter().enumerate() {
        let index = existing(&netlink, &format!("eth{number}"))?;
        let options = AddressOptions::default();
        netlink.add_address(index, IpAddr::V4(*address), PREFIX, options)?;
        netlink.set_up(index, true)?;
    }
    let link = netlink.link("eth0")?;
    link.map(|link| link.mac).ok_or_else(|| io::Error::other("eth0 is missing"))
}
