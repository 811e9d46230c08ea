//! What the kernel keeps from a socket, and how much that was.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::raw::{check, length_of, set_option};

/// Words of classic BPF: load 32 bits, jump if equal, return (`linux/filter.h`).
const LOAD: u16 = 0x20;
pub(crate) const JUMP_IF_EQUAL: u16 = 0x15;
pub(crate) const RETURN: u16 = 0x06;
/// Offsets from here are in the network header (`SKF_NET_OFF`).
const NETWORK_HEADER: u32 = 0xfff0_0000;
/// Of the source address in the headers of IPv4 and IPv6.
const SOURCE_V4: u32 = NETWORK_HEADER + 12;
const SOURCE_V6: u32 = NETWORK_HEADER + 8;
/// More than any datagram has: all of it.
pub(crate) const WHOLE: u32 = 0x4_0000;
/// No program of the kernel is longer (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;
/// Of the counters of `SO_MEMINFO`, that of datagrams that were dropped, and how many counters there are
/// (`linux/sock_diag.h`).
const DROPS: usize = 8;
const COUNTERS: usize = 9;

pub(crate) const fn word(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes on if equal; otherwise `otherwise` words further.
const fn equal(k: u32, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: otherwise, k }
}

fn program(sources: &[IpAddr]) -> Vec<libc::sock_filter> {
    let mut words = vec![];
    for source in sources {
        match source {
            IpAddr::V4(ip) => {
                words.extend([word(LOAD, SOURCE_V4), equal(u32::from(*ip), 1)]);
            }
            IpAddr::V6(ip) => {
                let parts = ip.octets();
                let parts = parts
                    .chunks_exact(4)
                    .map(|part| part.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)));
                for ((at, left), part) in (0..).step_by(4).zip([7, 5, 3, 1]).zip(parts) {
                    words.extend([word(LOAD, SOURCE_V6 + at), equal(part, left)]);
                }
            }
        }
        words.push(word(RETURN, WHOLE));
    }
    words.push(word(RETURN, 0));
    words
}

/// From now on only datagrams of these addresses, all of the socket's own family, come to this UDP socket.
///
/// # Errors
/// When there are more addresses than the kernel can look for.
pub fn hear_only(fd: BorrowedFd<'_>, sources: &[IpAddr]) -> io::Result<()> {
    attach(fd, &mut program(sources))
}

/// From now on nothing comes to this UDP socket, and nothing takes room there but errors of what it sent.
///
/// # Errors
/// When it is no socket.
pub fn hear_nobody(fd: BorrowedFd<'_>) -> io::Result<()> {
    attach(fd, &mut program(&[]))
}

/// Gives a program to the kernel.
pub(crate) fn attach(fd: BorrowedFd<'_>, words: &mut [libc::sock_filter]) -> io::Result<()> {
    if words.len() > LONGEST {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let len = u16::try_from(words.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: words.as_mut_ptr() };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// How many datagrams the kernel threw away: kept back by [`hear_only`], or more than fit before they were read.
///
/// # Errors
/// When the kernel does not count them (before Linux 4.12).
pub fn dropped(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut counters = [0_u32; COUNTERS];
    let mut length = length_of::<[u32; COUNTERS]>();
    // SAFETY: `counters` is live and `length` is its size; the kernel writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            counters.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    check(result)?;
    Ok(counters[DROPS])
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::super::{receive_from, send_to, udp};
    use super::*;
    use crate::poll::{Interest, Poller};

    /// Sends from each of the addresses, and says from which something arrived.
    fn heard(receiver: &str, senders: [&str; 3], only: &[&str]) -> Option<Vec<String>> {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let socket = udp(at(receiver), None).ok()?;
        let only: Vec<IpAddr> = only.iter().map(|ip| ip.parse().unwrap()).collect();
        hear_only(socket.as_fd(), &only).unwrap();
        let port = rustix::net::getsockname(&socket).unwrap();
        let to = SocketAddr::try_from(port).unwrap();
        for sender in senders {
            // Of IPv6, loopback has one address.
            if let Ok(from) = udp(at(sender), None) {
                send_to(from.as_fd(), sender.as_bytes(), to).unwrap();
            }
        }
        // On loopback a datagram has arrived, or was dropped, when the send returns.
        let mut heard = vec![];
        let mut buffer = [0; 64];
        while let Ok((length, _)) = receive_from(socket.as_fd(), &mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        assert_eq!(dropped(socket.as_fd()).unwrap() as usize + heard.len(), senders.len());
        Some(heard)
    }

    #[test]
    fn only_those_who_may_speak_are_heard_and_the_others_are_counted() {
        let senders = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
        let heard_of = |only: &[&str]| heard("127.0.0.1", senders, only).unwrap();
        assert_eq!(heard_of(&["127.0.0.4", "127.0.0.2"]), ["127.0.0.2", "127.0.0.4"]);
        assert_eq!(heard_of(&["10.0.0.1"]), Vec::<String>::new());
        // A kernel without IPv6 has nothing to keep back.
        let own = ["::1"; 3];
        let heard_of = |only: &[&str]| heard("::1", own, only);
        assert!(heard_of(&["fe80::1", "::1"]).is_none_or(|heard| heard == own));
        assert!(heard_of(&["::2", "1::1", "::1:0:1"]).is_none_or(|heard| heard.is_empty()));
    }

    #[test]
    fn a_socket_that_hears_nobody_keeps_errors_of_what_it_sent() {
        let at = "127.0.0.1:0".parse().unwrap();
        let [socket, other, gone] = [(); 3].map(|()| udp(at, None).unwrap());
        hear_nobody(socket.as_fd()).unwrap();
        super::super::keep_errors(socket.as_fd(), at.ip()).unwrap();
        let of = |socket: &std::os::fd::OwnedFd| super::super::local(socket.as_fd()).unwrap();
        let free = of(&gone);
        drop(gone);
        send_to(other.as_fd(), b"?", of(&socket)).unwrap();
        let nothing = receive_from(socket.as_fd(), &mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        send_to(socket.as_fd(), b"?", free).unwrap();
        let (poller, mut ready) = (Poller::new().unwrap(), vec![]);
        poller.add(socket.as_fd(), 1, Interest::NONE).unwrap();
        poller.wait(&mut ready, Some(Duration::from_secs(10))).unwrap();
        assert_eq!(super::super::refused_by(socket.as_fd()), Some(Some(free.ip())));
    }

    #[test]
    fn more_addresses_than_the_kernel_can_look_for_are_refused() {
        let socket = udp("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let many = |count: u32| -> Vec<IpAddr> {
            (0..count).map(|number| std::net::Ipv4Addr::from(number).into()).collect()
        };
        assert!(hear_only(socket.as_fd(), &many(1024)).is_ok());
        assert!(hear_only(socket.as_fd(), &many(2000)).is_err());
    }
}
