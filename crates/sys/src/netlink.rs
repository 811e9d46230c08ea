//! Devices, addresses, routes and filters of a network namespace, over rtnetlink.
//!
//! A [`Netlink`] belongs to the namespace in which its thread was when it was opened, wherever it
//! is used later. Each request waits for the kernel's answer, which takes microseconds.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};

pub use address::AddressOptions;
pub use filter::{Direction, Filter, Known};
pub use macvlan::Macvlan;
pub use monitor::{Change, Monitor, Wants};
pub use name::Name;
pub use route::Route;
pub use rule::{Rule, Then};

use self::message::Attributes;
use self::transport::Transport;

mod address;
mod filter;
mod macvlan;
mod message;
mod monitor;
mod name;
mod route;
mod rule;
mod setup;
mod transport;

/// A socket for requests.
#[derive(Debug)]
pub struct Netlink {
    transport: Transport,
}

/// A device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Link {
    pub index: u32,
    pub name: Name,
    /// Switched on by the administrator.
    pub up: bool,
    /// The medium answers (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// What is sent leaves: the kernel gets there up to a second after the carrier came back.
    pub running: bool,
    pub mac: [u8; 6],
    pub mtu: u32,
    pub loopback: bool,
}

/// An address of a device.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Address {
    pub index: u32,
    pub ip: IpAddr,
    pub prefix: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on device {}", self.ip, self.prefix, self.index)
    }
}

impl Netlink {
    /// Opens a socket in this thread's network namespace.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn open() -> io::Result<Self> {
        Ok(Self { transport: Transport::open(0)? })
    }

    /// Every device.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn links(&self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        self.each_link(|link| links.push(link))?;
        Ok(links)
    }

    /// The same, one after the other.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn each_link(&self, mut see: impl FnMut(Link)) -> io::Result<()> {
        let mut request = message::link(libc::RTM_GETLINK, 0, 0, 0);
        self.transport.dump(&mut request, &mut |kind, body| {
            if kind == libc::RTM_NEWLINK {
                read_link(body).into_iter().for_each(&mut see);
            }
        })
    }

    /// One device by name; none where there is none of that name.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn link(&self, name: &str) -> io::Result<Option<Link>> {
        let mut request = message::link(libc::RTM_GETLINK, 0, 0, 0);
        request.text(libc::IFLA_IFNAME, name);
        let mut found = None;
        let asked = self.transport.ask(&mut request, &mut |kind, body| {
            if kind == libc::RTM_NEWLINK {
                found = read_link(body);
            }
        });
        match asked {
            Ok(()) => Ok(found),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every address of every device.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn addresses(&self) -> io::Result<Vec<Address>> {
        let mut addresses = Vec::new();
        let mut request = message::address(libc::RTM_GETADDR, libc::AF_UNSPEC, 0, 0);
        self.transport.dump(&mut request, &mut |kind, body| {
            if kind == libc::RTM_NEWADDR {
                addresses.extend(read_address(body));
            }
        })?;
        Ok(addresses)
    }

    /// The first IPv4 address of a device, which the kernel would send from.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn first_ipv4(&self, index: u32) -> io::Result<Option<Ipv4Addr>> {
        Ok(self.addresses()?.iter().find_map(|address| match address.ip {
            IpAddr::V4(ip) if address.index == index => Some(ip),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }))
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}

/// Reads `ifinfomsg` and its attributes.
fn read_link(body: &[u8]) -> Option<Link> {
    let header = body.get(..message::LINK_HEADER)?;
    let flags = u32::from_ne_bytes(header[8..12].try_into().ok()?);
    let set = |flag: libc::c_int| u32::try_from(flag).is_ok_and(|flag| flags & flag != 0);
    let mut link = Link {
        index: u32::from_ne_bytes(header[4..8].try_into().ok()?),
        up: set(libc::IFF_UP),
        carrier: set(libc::IFF_LOWER_UP),
        running: set(libc::IFF_RUNNING),
        loopback: set(libc::IFF_LOOPBACK),
        ..Link::default()
    };
    for (kind, value) in Attributes::new(&body[message::LINK_HEADER..]) {
        match kind {
            libc::IFLA_IFNAME => {
                let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
                link.name = Name::of(text);
            }
            libc::IFLA_ADDRESS => link.mac = value.try_into().unwrap_or_default(),
            libc::IFLA_MTU => link.mtu = value.try_into().map_or(0, u32::from_ne_bytes),
            _ => {}
        }
    }
    Some(link)
}

/// Reads `ifaddrmsg` and its attributes.
fn read_address(body: &[u8]) -> Option<Address> {
    let header = body.get(..message::ADDRESS_HEADER)?;
    let index = u32::from_ne_bytes(header[4..8].try_into().ok()?);
    let (mut local, mut other) = (None, None);
    for (kind, value) in Attributes::new(&body[message::ADDRESS_HEADER..]) {
        match kind {
            libc::IFA_LOCAL => local = read_ip(value),
            // Of a point-to-point device the other end; otherwise, and for IPv6, our own.
            libc::IFA_ADDRESS => other = read_ip(value),
            _ => {}
        }
    }
    Some(Address { index, ip: local.or(other)?, prefix: header[1] })
}

fn read_ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}
