//! Raw sockets of IP protocol 112, one per interface.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt,
};

use crate::raw::{bind_to_device, interface_index, set_option};

/// Where adverts go unless peers are named (RFC 3768 5.2.2).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The only TTL an advert is accepted with: it crossed no router (RFC 3768 5.2.3).
pub const TTL: u8 = 255;

pub use filter::{Form, Part, Wanted};
pub use frame::Voice;
pub use v6::GROUP as GROUP_V6;

mod filter;
mod frame;
pub(crate) mod v6;

const PROTOCOL: u8 = 112;
const HEADER: usize = 20;

/// Longest payload sent; an advert with 255 addresses needs 1036, one with 90 of IPv6 1448 (bytes).
const LONGEST: usize = 1460;

/// "Internetwork control", as routers mark what keeps the network together.
const TYPE_OF_SERVICE: u8 = 0xc0;

/// Sends and receives adverts on one interface.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// The number of its device.
    index: u32,
    is_v6: bool,
}

/// One packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Over IPv6 the hop limit.
    pub ttl: u8,
    /// Place of the advert in the buffer.
    pub payload: Range<usize>,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}, ttl {}", self.source, self.destination, self.ttl)
    }
}

impl Socket {
    /// Opens a socket on the interface as it is now; one that was deleted and made again needs a
    /// new socket. Without `multicast` it only sends to the group, and receives unicast.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or when there is no such interface.
    pub fn open(interface: &str, multicast: bool) -> io::Result<Self> {
        let protocol = rustix::net::RawProtocol::new(u32::from(PROTOCOL));
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::RAW,
            flags,
            protocol.map(Protocol::from_raw),
        )?;
        let index = interface_index(interface)?;
        bind_to_device(fd.as_fd(), interface)?;
        set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_HDRINCL, &1_i32)?;
        set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, &0_i32)?;
        set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, &6_i32)?;
        sockopt::set_ip_multicast_if_with_ifindex(&fd, &GROUP, &Ipv4Addr::UNSPECIFIED, index)?;
        sockopt::set_ip_multicast_loop(&fd, false)?;
        let socket = Self { fd, index, is_v6: false };
        if multicast {
            socket.join(GROUP.into())?;
        }
        Ok(socket)
    }

    /// The same for adverts over IPv6. Without `multicast` it does not make the device hear the group; what the device hears
    /// for others comes to it all the same.
    ///
    /// # Errors
    /// As [`Self::open`], and where the kernel has no IPv6.
    pub fn open_v6(interface: &str, multicast: bool) -> io::Result<Self> {
        let index = interface_index(interface)?;
        let socket = Self { fd: v6::open(interface)?, index, is_v6: true };
        if multicast {
            socket.join(GROUP_V6.into())?;
        }
        Ok(socket)
    }

    /// From now on its device takes what is sent to that group, and it gets it.
    ///
    /// # Errors
    /// For an address that is no group, or one of the other kind; where it is in too many of them (20 by default).
    pub fn join(&self, group: IpAddr) -> io::Result<()> {
        match (group, self.is_v6) {
            (IpAddr::V4(group), false) => {
                let any = Ipv4Addr::UNSPECIFIED;
                sockopt::set_ip_add_membership_with_ifindex(&self.fd, &group, &any, self.index)?;
            }
            (IpAddr::V6(group), true) => {
                sockopt::set_ipv6_add_membership(&self.fd, &group, self.index)?;
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    /// Sends one advert with TTL 255. `source` need not be an address of this node any more.
    ///
    /// # Errors
    /// When the interface is down or gone, and for addresses of the other kind.
    pub fn send(&self, source: IpAddr, to: IpAddr, payload: &[u8]) -> io::Result<()> {
        self.send_with(TTL, source, to, payload)
    }

    /// As [`Self::send`], with another TTL: for peers behind routers, or as what a router has forwarded.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn send_with(&self, ttl: u8, source: IpAddr, to: IpAddr, payload: &[u8]) -> io::Result<()> {
        if payload.len() > LONGEST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match (source, to, self.is_v6) {
            (IpAddr::V4(source), IpAddr::V4(to), false) => self.send_v4(ttl, (source, to), payload),
            (IpAddr::V6(source), IpAddr::V6(to), true) => {
                v6::send(&self.fd, self.index, ttl, (source, to), payload)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn send_v4(
        &self,
        ttl: u8,
        (source, to): (Ipv4Addr, Ipv4Addr),
        payload: &[u8],
    ) -> io::Result<()> {
        let mut packet = [0_u8; HEADER + LONGEST];
        // Identification, length and checksum stay zero: the kernel fills them in.
        packet[0] = 0x45;
        packet[1] = TYPE_OF_SERVICE;
        packet[8] = ttl;
        packet[9] = PROTOCOL;
        packet[12..16].copy_from_slice(&source.octets());
        packet[16..20].copy_from_slice(&to.octets());
        packet[HEADER..HEADER + payload.len()].copy_from_slice(payload);
        let packet = &packet[..HEADER + payload.len()];
        let to = SocketAddrV4::new(to, 0);
        rustix::net::sendto(&self.fd, packet, SendFlags::DONTWAIT, &to)?;
        Ok(())
    }

    /// Takes the next packet. Nothing was checked but that it is IPv4, or IPv6.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `InvalidData` when it is no whole packet.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.is_v6 {
            return v6::receive(&self.fd, buffer);
        }
        let (count, whole) = rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::TRUNC)?;
        let packet = buffer.get(..count).filter(|_| whole == count);
        packet.and_then(header).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Where the payload of an IPv4 packet is, and who sent it; none: it is no whole packet. No bytes
/// panic: they come from the network.
#[must_use]
pub fn header(packet: &[u8]) -> Option<Received> {
    let head = packet.first_chunk::<HEADER>().filter(|head| head[0] >> 4 == 4)?;
    let start = usize::from(head[0] & 0x0f) * 4;
    let end = usize::from(u16::from_be_bytes([head[2], head[3]])).min(packet.len());
    if start < HEADER || start > end {
        return None;
    }
    let address =
        |at: usize| IpAddr::V4(Ipv4Addr::new(head[at], head[at + 1], head[at + 2], head[at + 3]));
    let (source, destination) = (address(12), address(16));
    Some(Received { source, destination, ttl: head[8], payload: start..end })
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
