//! Two network namespaces with a cable between them.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use sys::netlink::{AddressOptions, Link, Monitor, Netlink};
use sys::netns;
use sys::poll::{Interest, Poller};
use sys::rights::{Capability, has_capability};

/// Each end is called `eth0` in its namespace.
#[derive(Debug)]
pub(crate) struct Cable {
    pub(crate) left: OwnedFd,
    pub(crate) right: OwnedFd,
}

impl Cable {
    pub(crate) const LEFT: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 41);
    pub(crate) const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 42);

    pub(crate) fn new() -> Self {
        let new = || netns::create().expect("the right was asked for before");
        let cable = Self { left: new(), right: new() };
        let peer = cable.right.as_fd();
        let plug = || Netlink::open()?.create_veth("eth0", "eth0", Some(peer));
        inside(&cable.left, plug).expect("both names are free");
        for (end, ip) in [(&cable.left, Self::LEFT), (&cable.right, Self::RIGHT)] {
            let prepare = || -> io::Result<()> {
                let netlink = Netlink::open()?;
                let device = device(&netlink)?.index;
                netlink.add_address(device, ip.into(), 24, AddressOptions::default())?;
                netlink.set_up(device, true)
            };
            inside(end, prepare).expect("the device is new");
        }
        for end in [&cable.left, &cable.right] {
            inside(end, wait_until_running).expect("both ends are up");
        }
        cable
    }

    /// Switches the right end on or off.
    pub(crate) fn switch_right(&self, up: bool) {
        let switch = || {
            let netlink = Netlink::open()?;
            netlink.set_up(device(&netlink)?.index, up)
        };
        inside(&self.right, switch).expect("the device is there");
    }
}

fn device(netlink: &Netlink) -> io::Result<Link> {
    netlink.link("eth0")?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn wait_until_running() -> io::Result<()> {
    let mut monitor = Monitor::open()?;
    let netlink = Netlink::open()?;
    while !device(&netlink)?.running {
        wait_for(monitor.as_fd());
        while monitor.next()?.is_some() {}
    }
    Ok(())
}

/// Runs `work` in a namespace.
pub(crate) fn inside<T: Send>(netns: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    netns::within(netns.as_fd(), work).expect("the right was asked for before")
}

/// Waits until a descriptor is readable.
pub(crate) fn wait_for(fd: BorrowedFd<'_>) {
    let poller = Poller::new().expect("a descriptor is left");
    poller.add(fd, 0, Interest::READ).expect("it can be waited for");
    let mut ready = Vec::new();
    poller.wait(&mut ready, Some(Duration::from_secs(10))).expect("waiting cannot fail");
    assert!(!ready.is_empty(), "nothing came in time");
}

/// True when this process may make networks. A plain user's test runs again as root of a user
/// namespace, and is then done here; where that is forbidden, the test is skipped.
pub(crate) fn may_make_networks(test: &str) -> bool {
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
    let program = std::env::current_exe().expect("the test was started from a file");
    let program = program.to_string_lossy();
    let words = [program.as_ref(), "--exact", test, "--nocapture"];
    assert!(root(&words), "failed as root of a user namespace");
    false
}

pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIP sys::{test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("the file of skips can be written to");
    }
}
