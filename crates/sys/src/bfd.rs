//! Sockets of BFD (RFC 5881, 5883): UDP, with the TTL of what comes and of what leaves.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, sockopt};

use crate::raw::{check_count, set_option};
use crate::vrrp::v6;

/// Where packets come from (RFC 5881 4).
const PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// Room for the TTL, in words so that it is aligned.
const CONTROL: usize = 8;

/// Hears what comes to a port, of one version of IP.
#[derive(Debug)]
pub struct Ear {
    fd: OwnedFd,
    is_v6: bool,
}

/// One packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    pub source: IpAddr,
    /// Over IPv6 the hop limit.
    pub ttl: u8,
    pub length: usize,
}

fn socket(is_v6: bool) -> io::Result<OwnedFd> {
    let family = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if is_v6 {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    Ok(fd)
}

impl Ear {
    /// # Errors
    /// When the port is taken, or there is no such version of IP.
    pub fn open(is_v6: bool, port: u16) -> io::Result<Self> {
        let fd = socket(is_v6)?;
        let any: IpAddr =
            if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        if is_v6 {
            set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1_i32)?;
            set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, &1_i32)?;
        } else {
            set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, &1_i32)?;
        }
        bind(&fd, &SocketAddr::new(any, port))?;
        Ok(Self { fd, is_v6 })
    }

    /// The next one.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `InvalidData` when it does not say its TTL or is longer than the buffer.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.is_v6 {
            let v6::Received { source, ttl, payload, .. } = v6::receive(&self.fd, buffer)?;
            return Ok(Received { source, ttl, length: payload.len() });
        }
        receive_v4(&self.fd, buffer)
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn receive_v4(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Received> {
    // SAFETY: both are plain structures of integers and pointers, for which zeros are valid.
    let (mut name, mut head): (libc::sockaddr_in, libc::msghdr) = unsafe { zeroed() };
    let mut control = [0_u64; CONTROL];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    head.msg_name = (&raw mut name).cast();
    head.msg_namelen = crate::raw::length_of::<libc::sockaddr_in>();
    (head.msg_iov, head.msg_iovlen) = (&raw mut part, 1);
    head.msg_control = control.as_mut_ptr().cast();
    head.msg_controllen = size_of::<[u64; CONTROL]>() as _;
    // SAFETY: `head` points to live buffers whose lengths it says; the kernel writes no more than that.
    let count = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut head, 0) };
    let length = check_count(count)?;
    let is_whole = head.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
    let ttl = ttl_beside(&head).filter(|_| is_whole).ok_or(io::ErrorKind::InvalidData)?;
    let source = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)).into();
    Ok(Received { source, ttl, length })
}

fn ttl_beside(head: &libc::msghdr) -> Option<u8> {
    // SAFETY: `head` is as the kernel filled it, and its control buffer lives.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(head) };
    while !next.is_null() {
        // SAFETY: not null, so it points to a whole head within the control buffer.
        let part = unsafe { &*next };
        if (part.cmsg_level, part.cmsg_type) == (libc::IPPROTO_IP, libc::IP_TTL) {
            // SAFETY: the kernel writes an `int` behind this head; read without asking for alignment.
            let ttl: libc::c_int =
                unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(next).cast()) };
            return u8::try_from(ttl).ok();
        }
        // SAFETY: both are of this message.
        next = unsafe { libc::CMSG_NXTHDR(head, next) };
    }
    None
}

/// Speaks to one other system.
#[derive(Debug)]
pub struct Mouth {
    fd: OwnedFd,
    to: SocketAddr,
}

impl Mouth {
    /// `salt` chooses the port that it comes from; what is sent leaves with `ttl`.
    ///
    /// # Errors
    /// When `source` is no address of this node, or no port is free.
    pub fn open(source: Option<IpAddr>, to: SocketAddr, ttl: u8, salt: u16) -> io::Result<Self> {
        let fd = socket(to.is_ipv6())?;
        let any: IpAddr =
            if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let source = source.unwrap_or(any);
        if to.is_ipv6() {
            set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &i32::from(ttl))?;
        } else {
            set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_TTL, &i32::from(ttl))?;
            set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_TOS, &0xc0_i32)?;
        }
        set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, &6_i32)?;
        let (first, count) = (*PORTS.start(), PORTS.end() - PORTS.start());
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for port in (0..64).map(|step: u16| first + salt.wrapping_add(step * 251) % count) {
            match bind(&fd, &SocketAddr::new(source, port)) {
                Ok(()) => return Ok(Self { fd, to }),
                Err(rustix::io::Errno::ADDRINUSE) => {}
                Err(error) => {
                    last = error.into();
                    break;
                }
            }
        }
        Err(last)
    }

    /// # Errors
    /// When there is no way to the other system.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        rustix::net::sendto(&self.fd, packet, SendFlags::DONTWAIT, &self.to)?;
        Ok(())
    }
}
