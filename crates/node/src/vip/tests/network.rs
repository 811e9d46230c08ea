//! A node and its peer on one cable.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use sys::netlink::Link;
use sys::rights::{Capability, has_capability};

use super::*;

pub(super) const NODE: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 41);
pub(super) const PEER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 42);
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);

/// The device is called `eth0` at both ends.
pub(super) struct Network {
    pub(super) node: OwnedFd,
    pub(super) peer: OwnedFd,
}

impl Network {
    pub(super) fn new() -> Self {
        let network = Self { node: netns::create().unwrap(), peer: netns::create().unwrap() };
        network.plug();
        network
    }

    pub(super) fn plug(&self) {
        let peer = self.peer.as_fd();
        let cable = || Netlink::open().unwrap().create_veth("eth0", "eth0", Some(peer)).unwrap();
        netns::within(self.node.as_fd(), cable).unwrap();
        for (end, ip) in [(&self.peer, PEER), (&self.node, NODE)] {
            let prepare = || {
                let netlink = Netlink::open().unwrap();
                let device = device(&netlink).index;
                netlink.add_address(device, ip.into(), 24, AddressOptions::default()).unwrap();
                netlink.set_up(device, true).unwrap();
            };
            netns::within(end.as_fd(), prepare).unwrap();
        }
        for end in [&self.node, &self.peer] {
            netns::within(end.as_fd(), || wait_until(|netlink| device(netlink).running)).unwrap();
        }
    }

    /// The device is gone, not only its carrier.
    pub(super) fn unplug(&self) {
        self.in_node(|netlink| netlink.delete_link(device(netlink).index).unwrap());
    }

    pub(super) fn add(&self, ip: Ipv4Addr) {
        self.in_node(|netlink| {
            let device = device(netlink).index;
            netlink.add_address(device, ip.into(), 32, AddressOptions::default()).unwrap();
        });
    }

    /// The node's own address.
    pub(super) fn arrive(&self) {
        self.in_node(|netlink| {
            let device = device(netlink).index;
            netlink.add_address(device, NODE.into(), 24, AddressOptions::default()).unwrap();
        });
    }

    pub(super) fn remove(&self, ip: Ipv4Addr) {
        self.in_node(|netlink| assert_eq!(netlink.delete_everywhere(ip.into()).unwrap(), 1));
    }

    pub(super) fn has(&self, ip: Ipv4Addr) -> bool {
        self.in_node(|netlink| has(netlink, ip))
    }

    pub(super) fn wait_until_held(&self, ip: Ipv4Addr) {
        netns::within(self.node.as_fd(), || wait_until(|netlink| has(netlink, ip))).unwrap();
    }

    fn in_node<T: Send>(&self, work: impl FnOnce(&Netlink) -> T + Send) -> T {
        netns::within(self.node.as_fd(), || work(&Netlink::open().unwrap())).unwrap()
    }
}

fn has(netlink: &Netlink, ip: Ipv4Addr) -> bool {
    netlink.addresses().unwrap().iter().any(|address| address.ip == IpAddr::V4(ip))
}

fn device(netlink: &Netlink) -> Link {
    netlink.link("eth0").unwrap().unwrap()
}

pub(super) fn wait_until(fits: impl Fn(&Netlink) -> bool) {
    let mut monitor = Monitor::open().unwrap();
    let netlink = Netlink::open().unwrap();
    while !fits(&netlink) {
        wait_for(monitor.as_fd());
        while monitor.next().unwrap().is_some() {}
    }
}

/// True when this process may make networks. A plain user's test runs again as root of a user
/// namespace, and is then done here; where that is forbidden, the test is skipped.
pub(in crate::vip) fn may_make_networks(test: &str) -> bool {
    if has_capability(Capability::SysAdmin) && has_capability(Capability::NetAdmin) {
        return true;
    }
    let root = |words: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net", "--mount"]).args(words);
        unshare.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !root(&["true"]) {
        skip(test, "this machine forbids network namespaces to this user");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let path =
        if test.starts_with("vip::") { test.to_owned() } else { format!("vip::tests::{test}") };
    let words = [program.to_str().unwrap(), "--exact", &path, "--nocapture"];
    assert!(root(&words), "failed as root of a user namespace");
    false
}

pub(in crate::vip) fn skip(test: &str, reason: &str) {
    let line = format!("SKIP node::{test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}
