//! Adverts over IPv6. A raw socket shows no header there: what it says comes beside the packet.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, sockopt};

pub(crate) use super::Received;
use super::{LONGEST, PROTOCOL, TYPE_OF_SERVICE};
use crate::raw::{bind_to_device, check_count, set_option};

/// Where adverts go unless peers are named (RFC 9568 5.1.2.2).
pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

const HEADER: usize = 40;
/// Room for the destination and the hop limit, in words so that it is aligned.
const CONTROL: usize = 16;

pub(super) fn open(interface: &str) -> io::Result<OwnedFd> {
    let protocol = rustix::net::RawProtocol::new(u32::from(PROTOCOL)).map(Protocol::from_raw);
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::INET6, SocketType::RAW, flags, protocol)?;
    bind_to_device(fd.as_fd(), interface)?;
    let options = [
        (libc::IPPROTO_IPV6, libc::IPV6_HDRINCL, 1),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1),
        (libc::SOL_SOCKET, libc::SO_PRIORITY, 6),
    ];
    for (level, name, value) in options {
        set_option(fd.as_fd(), level, name, &value)?;
    }
    sockopt::set_ipv6_multicast_loop(&fd, false)?;
    Ok(fd)
}

pub(super) fn send(
    fd: &OwnedFd,
    index: u32,
    hops: u8,
    (source, to): (Ipv6Addr, Ipv6Addr),
    payload: &[u8],
) -> io::Result<()> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut packet = [0_u8; HEADER + LONGEST];
    let whole = packet.get_mut(..HEADER + payload.len()).ok_or_else(too_long)?;
    let length = u16::try_from(payload.len()).map_err(|_| too_long())?;
    // The type of service lies over the border of the first two bytes; no flow label.
    whole[..2].copy_from_slice(&(0x6000 | u16::from(TYPE_OF_SERVICE) << 4).to_be_bytes());
    whole[4..6].copy_from_slice(&length.to_be_bytes());
    (whole[6], whole[7]) = (PROTOCOL, hops);
    whole[8..24].copy_from_slice(&source.octets());
    whole[24..HEADER].copy_from_slice(&to.octets());
    whole[HEADER..].copy_from_slice(payload);
    let scope = if to.is_unicast_link_local() || to.is_multicast() { index } else { 0 };
    rustix::net::sendto(fd, whole, SendFlags::DONTWAIT, &SocketAddrV6::new(to, 0, 0, scope))?;
    Ok(())
}

pub(crate) fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Received> {
    // SAFETY: both are plain structures of integers and pointers, for which zeros are valid.
    let (mut name, mut head): (libc::sockaddr_in6, libc::msghdr) = unsafe { zeroed() };
    let mut control = [0_u64; CONTROL];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    head.msg_name = (&raw mut name).cast();
    head.msg_namelen = crate::raw::length_of::<libc::sockaddr_in6>();
    (head.msg_iov, head.msg_iovlen) = (&raw mut part, 1);
    head.msg_control = control.as_mut_ptr().cast();
    head.msg_controllen = size_of::<[u64; CONTROL]>() as _;
    // SAFETY: `head` points to live buffers whose lengths it says; the kernel writes no more than that.
    let count = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut head, 0) };
    let count = check_count(count)?;
    let (destination, ttl) = beside(&head);
    let is_whole = head.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
    match (destination, ttl) {
        (Some(destination), Some(ttl)) if is_whole => Ok(Received {
            source: Ipv6Addr::from(name.sin6_addr.s6_addr).into(),
            destination: destination.into(),
            ttl,
            payload: 0..count,
        }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Where it went, and the hops it had left.
fn beside(head: &libc::msghdr) -> (Option<Ipv6Addr>, Option<u8>) {
    let (mut destination, mut hops) = (None, None);
    // SAFETY: `head` is as the kernel filled it, and its control buffer lives.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(head) };
    while !next.is_null() {
        // SAFETY: not null, so it points to a whole head within the control buffer.
        let part = unsafe { &*next };
        // SAFETY: it computes a length.
        let room = part.cmsg_len as usize - unsafe { libc::CMSG_LEN(0) } as usize;
        // SAFETY: behind the head lie `room` bytes, which the kernel wrote.
        let data = unsafe { libc::CMSG_DATA(next) };
        match (part.cmsg_level, part.cmsg_type) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if room >= size_of::<libc::in6_pktinfo>() => {
                // SAFETY: so many bytes are there; read without asking for alignment.
                let info: libc::in6_pktinfo = unsafe { std::ptr::read_unaligned(data.cast()) };
                destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) if room >= size_of::<libc::c_int>() => {
                // SAFETY: as above.
                let limit: libc::c_int = unsafe { std::ptr::read_unaligned(data.cast()) };
                hops = u8::try_from(limit).ok();
            }
            _ => {}
        }
        // SAFETY: both are of this message.
        next = unsafe { libc::CMSG_NXTHDR(head, next) };
    }
    (destination, hops)
}
