//! Which peer's kernel refused a datagram, on one socket for all of them.

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::raw::{check_count, set_option};

/// Of `struct sock_extended_err`: the error came as ICMP, or as ICMPv6 (`linux/errqueue.h`).
const BY_ICMP: u8 = 2;
const BY_ICMP6: u8 = 3;
/// Room for one error with the address of who sent it, in words so that it is aligned.
const CONTROL: usize = 16;

/// From now on the kernel keeps errors of what this UDP socket sent for [`refused_by`]. A send or a receive may fail
/// once with one of them, which says nothing about itself; poll tells of an error until all are taken.
///
/// # Errors
/// When it is no UDP socket of that family.
pub fn keep_errors(fd: BorrowedFd<'_>, like: IpAddr) -> io::Result<()> {
    let yes: libc::c_int = 1;
    match like {
        IpAddr::V4(_) => set_option(fd, libc::SOL_IP, libc::IP_RECVERR, &yes),
        IpAddr::V6(_) => set_option(fd, libc::SOL_IPV6, libc::IPV6_RECVERR, &yes),
    }
}

/// Takes one error: the address to which a datagram was sent that the kernel of that very address refused, as nothing
/// listens there; `Some(None)` of any other error, none when there is no more.
#[must_use]
pub fn refused_by(fd: BorrowedFd<'_>) -> Option<Option<IpAddr>> {
    // SAFETY: all three are plain structures of integers and pointers, for which zeros are valid.
    let (mut name, mut head): (libc::sockaddr_storage, libc::msghdr) = unsafe { zeroed() };
    let mut control = [0_u64; CONTROL];
    let mut byte = [MaybeUninit::<u8>::uninit(); 1];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    head.msg_name = (&raw mut name).cast();
    head.msg_namelen = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).ok()?;
    (head.msg_iov, head.msg_iovlen) = (&raw mut part, 1);
    head.msg_control = control.as_mut_ptr().cast();
    head.msg_controllen = size_of::<[u64; CONTROL]>() as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: `head` points to live buffers whose lengths it says; the kernel writes no more than that.
    let read = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut head, flags) };
    check_count(read).ok()?;
    let to = address(&name);
    Some(to.filter(|to| offender(&head) == Some(*to)))
}

/// Who refused, if that is what the error says.
fn offender(head: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: `head` is as the kernel filled it, and its control buffer lives.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(head) };
    while !next.is_null() {
        // SAFETY: not null, so it points to a whole head within the control buffer.
        let part = unsafe { &*next };
        let is_error = matches!(
            (part.cmsg_level, part.cmsg_type),
            (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)
        );
        let wanted = size_of::<libc::sock_extended_err>() + size_of::<libc::sockaddr_in>();
        // SAFETY: it computes a length.
        let least = unsafe { libc::CMSG_LEN(u32::try_from(wanted).ok()?) } as usize;
        if is_error && part.cmsg_len as usize >= least {
            // SAFETY: behind the head lie so many bytes, which the kernel wrote; read without asking for alignment.
            let error: libc::sock_extended_err =
                unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(next).cast()) };
            let is_icmp = matches!(error.ee_origin, BY_ICMP | BY_ICMP6);
            if !is_icmp || i32::try_from(error.ee_errno) != Ok(libc::ECONNREFUSED) {
                return None;
            }
            // SAFETY: zeros are valid, and only as many bytes are copied as the kernel wrote and as fit.
            let from = unsafe {
                let mut from: libc::sockaddr_storage = zeroed();
                let at = libc::CMSG_DATA(next).add(size_of::<libc::sock_extended_err>());
                let length = part.cmsg_len as usize
                    - libc::CMSG_LEN(0) as usize
                    - size_of::<libc::sock_extended_err>();
                let most = length.min(size_of::<libc::sockaddr_storage>());
                std::ptr::copy_nonoverlapping(at, (&raw mut from).cast::<u8>(), most);
                from
            };
            return address(&from);
        }
        // SAFETY: both are of this message.
        next = unsafe { libc::CMSG_NXTHDR(head, next) };
    }
    None
}

fn address(name: &libc::sockaddr_storage) -> Option<IpAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: of this family it is a `sockaddr_in`, which is no longer and no more aligned.
            let name = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            Some(Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: of this family it is a `sockaddr_in6`, which is no longer and no more aligned.
            let name = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            Some(Ipv6Addr::from(name.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::os::fd::AsFd;

    use super::super::{local, receive_from, send_to, udp};
    use super::*;

    /// Sends to a port that is free and to one that is not, and says whose refusal is told.
    fn refusal(own: &str, gone: &str) -> Option<Vec<Option<IpAddr>>> {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let (socket, there, free) =
            (udp(at(own), None).ok()?, udp(at(own), None).ok()?, udp(at(gone), None).ok()?);
        keep_errors(socket.as_fd(), at(own).ip()).unwrap();
        let to = |socket: &std::os::fd::OwnedFd| local(socket.as_fd()).unwrap();
        let (there_at, free_at) = (to(&there), to(&free));
        drop(free);
        send_to(socket.as_fd(), b"?", free_at).unwrap();
        // What was refused is told to the next one, which has not left.
        assert!(send_to(socket.as_fd(), b"?", there_at).is_err());
        send_to(socket.as_fd(), b"?", there_at).unwrap();
        assert!(receive_from(there.as_fd(), &mut [0; 8]).is_ok(), "others are reached");
        let mut told = vec![];
        while let Some(by) = refused_by(socket.as_fd()) {
            told.push(by);
        }
        Some(told)
    }

    #[test]
    fn one_socket_tells_whose_kernel_refused_and_reaches_the_others() {
        let by = |ip: &str| vec![Some(ip.parse::<IpAddr>().unwrap())];
        assert_eq!(refusal("127.0.0.1", "127.0.0.9"), Some(by("127.0.0.9")));
        // A kernel without IPv6 has nothing to tell.
        assert!(refusal("::1", "::1").is_none_or(|told| told == by("::1")));
    }
}
