//! Telling neighbours where an address lives now: gratuitous ARP, unsolicited neighbour adverts.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use crate::netlink::{Name, Netlink};
use crate::raw::{check, check_count, length_of};

const ETHERNET: usize = 14;
const ARP_FRAME: usize = ETHERNET + 28;
const ARP_TYPE: [u8; 2] = [0x08, 0x06];
const IPV6_TYPE: [u8; 2] = [0x86, 0xdd];
const BROADCAST: [u8; 6] = [0xff; 6];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// Sends to every neighbour on one interface.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    mac: [u8; 6],
    interface: Name,
}

/// Whether this node forwards packets of IPv6 that come by the device: then its neighbours must not be told that it is no router, or
/// they take it out of their default routers (RFC 4861 7.2.5).
#[must_use]
pub fn is_router(interface: &str) -> bool {
    // Asked in the thread of adverts, which asks for no memory.
    let mut path = [0; LONGEST_PATH];
    let mut rest = &mut path[..];
    if write!(rest, "/proc/sys/net/ipv6/conf/{interface}/forwarding").is_err() {
        return false;
    }
    let length = LONGEST_PATH - rest.len();
    let mut said = [0; 1];
    let read = std::fs::File::open(OsStr::from_bytes(&path[..length]))
        .and_then(|mut file| file.read(&mut said));
    read.is_ok_and(|length| length == 1) && matches!(said, [b'1'..=b'9'])
}

/// With the longest name of a device.
const LONGEST_PATH: usize = 96;

/// An ARP message that was heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard {
    pub reply: bool,
    pub sender_mac: [u8; 6],
    pub sender: Ipv4Addr,
    pub target: Ipv4Addr,
}

impl Socket {
    /// Opens a socket that only sends.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or when there is no such interface.
    pub fn open(interface: &str) -> io::Result<Self> {
        Self::open_for(interface, 0)
    }

    /// Opens a socket that also hears ARP messages of others.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_to_hear(interface: &str) -> io::Result<Self> {
        Self::open_for(interface, u16::from_be_bytes(ARP_TYPE))
    }

    fn open_for(interface: &str, protocol: u16) -> io::Result<Self> {
        let (fd, mac) = open_frames(interface, protocol)?;
        Ok(Self { fd, mac, interface: interface.into() })
    }

    /// Says that `ip` lives at this interface: as a request, which old caches update from, and as
    /// a reply, which some switches and hypervisors want.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn announce(&self, ip: Ipv4Addr) -> io::Result<()> {
        self.send(&arp(REQUEST, self.mac, ip, [0; 6], ip))?;
        self.send(&arp(REPLY, self.mac, ip, BROADCAST, ip))
    }

    /// Says that `ip` lives at this interface: an unsolicited neighbour advert to all nodes with
    /// the override flag (RFC 4861 7.2.6).
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn announce_v6(&self, ip: Ipv6Addr) -> io::Result<()> {
        self.send(&neighbour_advert(self.mac, ip, is_router(&self.interface)))
    }

    /// Asks who has `ip`, from `source` (`0.0.0.0`: a probe that changes no cache).
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn probe(&self, source: Ipv4Addr, ip: Ipv4Addr) -> io::Result<()> {
        self.send(&arp(REQUEST, self.mac, source, [0; 6], ip))
    }

    /// Answers a question: says to one that asked that `ip` lives at this interface.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn answer(&self, ip: Ipv4Addr, to: &Heard) -> io::Result<()> {
        let mut frame = arp(REPLY, self.mac, ip, to.sender_mac, to.sender);
        frame[..6].copy_from_slice(&to.sender_mac);
        self.send(&frame)
    }

    /// Asks who has `ip`, from nowhere. Who has it answers to all nodes: [`crate::neighbour::Socket`] hears it.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn solicit(&self, ip: Ipv6Addr) -> io::Result<()> {
        self.send(&neighbour_solicitation(self.mac, ip))
    }

    /// The next ARP message.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn receive(&self) -> io::Result<Heard> {
        let mut frame = [0_u8; 128];
        loop {
            let count = crate::socket::receive(self.fd.as_fd(), &mut frame)?;
            if count < ARP_FRAME || frame[12..14] != ARP_TYPE {
                continue;
            }
            let address =
                |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
            let mut sender_mac = [0; 6];
            sender_mac.copy_from_slice(&frame[22..28]);
            return Ok(Heard {
                reply: frame[21] == REPLY,
                sender_mac,
                sender: address(28),
                target: address(38),
            });
        }
    }

    /// The interface's own address.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        send_frame(self.fd.as_fd(), frame)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A socket that sends whole frames by an interface and hears those of one protocol (0: none), and that interface's address.
pub(crate) fn open_frames(interface: &str, protocol: u16) -> io::Result<(OwnedFd, [u8; 6])> {
    let link = Netlink::open()?
        .link(interface)?
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: plain numbers; the protocol 0 receives nothing until `bind` names one.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the kernel just made this descriptor for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero bytes are a valid value of this structure.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = i32::try_from(link.index).map_err(io::Error::other)?;
    // SAFETY: pointer and length describe `address`, which the kernel only reads.
    check(unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length_of::<libc::sockaddr_ll>())
    })?;
    Ok((fd, link.mac))
}

pub(crate) fn send_frame(fd: BorrowedFd<'_>, frame: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length describe `frame`.
    check_count(unsafe {
        libc::send(
            fd.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    })
    .map(drop)
}

/// An ARP message to everybody (RFC 826).
fn arp(
    operation: u8,
    mac: [u8; 6],
    sender: Ipv4Addr,
    target_mac: [u8; 6],
    target: Ipv4Addr,
) -> [u8; ARP_FRAME] {
    let mut frame = [0; ARP_FRAME];
    frame[..6].copy_from_slice(&BROADCAST);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&ARP_TYPE);
    // Ethernet, IPv4, lengths of their addresses.
    frame[14..20].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
    frame[21] = operation;
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&sender.octets());
    frame[32..38].copy_from_slice(&target_mac);
    frame[38..42].copy_from_slice(&target.octets());
    frame
}

const IPV6: usize = 40;
const ADVERT: usize = 32;
const SOLICITATION: usize = 24;

fn neighbour_advert(mac: [u8; 6], ip: Ipv6Addr, is_router: bool) -> [u8; ETHERNET + IPV6 + ADVERT] {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut frame = [0; ETHERNET + IPV6 + ADVERT];
    // Neighbour advertisement, override, and perhaps the router flag; then the address and our link-layer address.
    frame[54] = 136;
    frame[58] = if is_router { 0xa0 } else { 0x20 };
    frame[62..78].copy_from_slice(&ip.octets());
    frame[78..80].copy_from_slice(&[2, 1]);
    frame[80..86].copy_from_slice(&mac);
    head(&mut frame, mac, ip, ALL_NODES);
    frame
}

/// As a node asks before it takes an address: from nowhere, so that nobody learns anything from it (RFC 4862 5.4.2).
fn neighbour_solicitation(mac: [u8; 6], ip: Ipv6Addr) -> [u8; ETHERNET + IPV6 + SOLICITATION] {
    let mut frame = [0; ETHERNET + IPV6 + SOLICITATION];
    frame[54] = 135;
    frame[62..78].copy_from_slice(&ip.octets());
    let [.., a, b, c] = ip.octets();
    let [a, b, c] = [a, b, c].map(u16::from);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a, b << 8 | c);
    head(&mut frame, mac, Ipv6Addr::UNSPECIFIED, group);
    frame
}

/// The headers and the checksum of a message of neighbour discovery that is in the frame already.
fn head(frame: &mut [u8], mac: [u8; 6], source: Ipv6Addr, group: Ipv6Addr) {
    const ICMPV6: u8 = 58;
    let length = u8::try_from(frame.len() - ETHERNET - IPV6).expect("such messages are short");
    frame[..2].copy_from_slice(&[0x33, 0x33]);
    frame[2..6].copy_from_slice(&group.octets()[12..]);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&IPV6_TYPE);
    frame[14] = 0x60;
    frame[19] = length;
    frame[20] = ICMPV6;
    frame[21] = 255;
    frame[22..38].copy_from_slice(&source.octets());
    frame[38..54].copy_from_slice(&group.octets());
    // Pseudo-header: both addresses, the length, the protocol (RFC 8200 8.1).
    let words =
        frame[22..].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum = words.sum::<u32>() + u32::from(length) + u32::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !u16::try_from(sum).expect("folded to 16 bits");
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_told_in_the_bytes_of_keepalived() {
        // Sent by keepalived 2.2.7 when it claimed fe80::40.
        let told = "33330000000102000000004186dd6000000000203afffe800000000000000000000000000040\
                    ff020000000000000000000000000001880056dd20000000fe80000000000000000000000000\
                    00400201020000000041";
        let said = |is_router| {
            let frame =
                neighbour_advert([2, 0, 0, 0, 0, 0x41], "fe80::40".parse().unwrap(), is_router);
            frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(said(false), told);
        assert_eq!(said(true), told.replace("880056dd20", "8800d6dca0"));
    }
}
