//! ICMP echo (RFC 792, RFC 4443 §4): asks an address whether it is there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto,
};

/// Type of a question and of its answer, by family.
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);
const HEAD: usize = 8;
/// Nonce and number.
const BODY: usize = 16;
const LENGTH: usize = HEAD + BODY;
/// With the longest head of IPv4 before it, as raw sockets get it.
const LONGEST: usize = 60 + LENGTH;

/// So much that is no answer of ours is passed over at once: a flood takes no more time than that.
const MOST_READ: usize = 64;

/// A socket towards one address. It blocks never.
#[derive(Debug)]
pub struct Ping {
    fd: OwnedFd,
    is_v4: bool,
    /// The kernel puts the head of IPv4 before what comes.
    is_raw: bool,
    nonce: u64,
}

impl Ping {
    /// Towards `to`, from an address of ours. `nonce`: what only this socket says, so that answers to others
    /// are none. A datagram socket needs no right where `net.ipv4.ping_group_range` allows it; else a raw one
    /// is taken.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW` where the sysctl does not allow it; when `from` is not an address of this node,
    /// or there is no way to `to`.
    pub fn open(from: IpAddr, to: IpAddr, nonce: u64) -> io::Result<Self> {
        let is_v4 = to.is_ipv4();
        let (family, protocol) = match is_v4 {
            true => (AddressFamily::INET, ipproto::ICMP),
            false => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let open = |kind| socket(family, kind, protocol);
        let (fd, is_raw) = match open(SocketType::DGRAM) {
            Ok(fd) => (fd, false),
            Err(_) => (open(SocketType::RAW)?, true),
        };
        rustix::net::bind(&fd, &SocketAddr::new(from, 0))?;
        // Only what comes from there is read.
        rustix::net::connect(&fd, &SocketAddr::new(to, 0))?;
        Ok(Self { fd, is_v4, is_raw, nonce })
    }

    /// Asks once; the answer says the same number.
    ///
    /// # Errors
    /// When it cannot leave: no link, no way, no neighbour. Also errors of earlier ones come so.
    pub fn ask(&self, number: u64) -> io::Result<()> {
        let (question, _) = self.types();
        let mut packet = [0; LENGTH];
        packet[0] = question;
        // The kernel writes its own identifier where the socket is one for datagrams.
        packet[4..6].copy_from_slice(&self.nonce.to_be_bytes()[..2]);
        packet[6..8].copy_from_slice(&number.to_be_bytes()[6..]);
        packet[8..16].copy_from_slice(&self.nonce.to_be_bytes());
        packet[16..24].copy_from_slice(&number.to_be_bytes());
        if self.is_v4 {
            // With ICMPv6 the kernel does it, as addresses are part of that sum.
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        rustix::net::send(&self.fd, &packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The number of the next answer that has come; none: there is no more, or for now too
    /// much else. What is no answer of ours is passed over.
    pub fn answer(&self) -> Option<u64> {
        let mut buffer = [0; LONGEST];
        for _ in 0..MOST_READ {
            match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let number = self.read(&buffer[..length.min(LONGEST)]);
                    if number.is_some() {
                        return number;
                    }
                }
                // "Host unreachable" and the like come as errors, once each.
                Err(rustix::io::Errno::AGAIN) => return None,
                Err(
                    rustix::io::Errno::INTR
                    | rustix::io::Errno::HOSTUNREACH
                    | rustix::io::Errno::NETUNREACH
                    | rustix::io::Errno::CONNREFUSED,
                ) => {}
                Err(_) => return None,
            }
        }
        None
    }

    const fn types(&self) -> (u8, u8) {
        types(self.is_v4)
    }

    fn read(&self, bytes: &[u8]) -> Option<u64> {
        number(bytes, (self.is_v4, self.is_raw), self.nonce)
    }
}

impl AsFd for Ping {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A socket for whole messages of ICMP (IPv4, RFC 792) from an address of ours, whatever they say: to see what forged
/// ones do. Sent with [`crate::socket::send_to`], the port is of no meaning.
///
/// # Errors
/// Without `CAP_NET_RAW`; when `from` is not an address of this node.
pub fn raw(from: Ipv4Addr) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::INET, SocketType::RAW, ipproto::ICMP)?;
    rustix::net::bind(&fd, &SocketAddr::new(from.into(), 0))?;
    Ok(fd)
}

/// A message by its type, code and what comes behind the checksum (RFC 792), which is an even number of bytes.
#[must_use]
pub fn message(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest);
    let sum = checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn socket(family: AddressFamily, kind: SocketType, protocol: Protocol) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(family, kind, flags, Some(protocol))?)
}

const fn types(is_v4: bool) -> (u8, u8) {
    if is_v4 { ECHO_V4 } else { ECHO_V6 }
}

/// The number in an answer with this nonce, as a socket of that family hands it over; none: it is no such answer.
/// `is_raw`: behind the head of IPv4.
#[must_use]
pub fn number(bytes: &[u8], (is_v4, is_raw): (bool, bool), nonce: u64) -> Option<u64> {
    let skipped = match bytes.first() {
        Some(first) if is_raw && is_v4 => usize::from(first & 0x0f) * 4,
        Some(_) | None => 0,
    };
    number_of(bytes.get(skipped..)?, types(is_v4).1, nonce)
}

/// The number in an answer with this nonce.
fn number_of(packet: &[u8], kind: u8, nonce: u64) -> Option<u64> {
    let packet: &[u8; LENGTH] = packet.try_into().ok()?;
    let is_ours = packet[..2] == [kind, 0] && packet[8..16] == nonce.to_be_bytes();
    let (_, number) = packet.split_last_chunk::<8>()?;
    is_ours.then(|| u64::from_be_bytes(*number))
}

/// RFC 1071, of a packet whose field for it is 0.
/// Of an even number of bytes.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it was folded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Interest, Poller};

    #[test]
    fn an_address_that_is_there_answers_with_the_number_of_the_question() {
        for here in ["127.0.0.1", "::1"] {
            let here: IpAddr = here.parse().unwrap();
            let ping = match Ping::open(here, here, 7) {
                Ok(ping) => ping,
                Err(error) => {
                    return eprintln!(
                        "SKIP sys::an_address_that_is_there_answers_with_the_number_of_the_question: {error}"
                    );
                }
            };
            let other = Ping::open(here, here, 8).unwrap();
            assert_eq!(ping.answer(), None, "nothing was asked");
            other.ask(4).unwrap();
            ping.ask(5).unwrap();
            ping.ask(u64::MAX).unwrap();
            let poller = Poller::new().unwrap();
            poller.add(ping.as_fd(), 1, Interest::READ).unwrap();
            let mut answers = vec![];
            while answers.len() < 2 {
                let mut ready = vec![];
                poller.wait(&mut ready, Some(std::time::Duration::from_secs(5))).unwrap();
                assert!(!ready.is_empty(), "{here} does not answer");
                answers.extend(std::iter::from_fn(|| ping.answer()));
            }
            assert_eq!(answers, [5, u64::MAX], "{here}: its own questions are no answers");
        }
    }

    #[test]
    fn what_is_no_answer_of_ours_has_no_number() {
        let mut packet = [0; LENGTH];
        packet[15] = 7;
        packet[23] = 9;
        assert_eq!(number_of(&packet, 0, 7), Some(9));
        assert_eq!(number_of(&packet, 129, 7), None, "another kind");
        assert_eq!(number_of(&packet, 0, 8), None, "another socket's");
        assert_eq!(number_of(&packet[1..], 0, 7), None, "too short");
        packet[1] = 1;
        assert_eq!(number_of(&packet, 0, 7), None, "a code");
        assert_eq!(number_of(&[], 0, 7), None);
    }

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        let mut packet = [0; LENGTH];
        (packet[0], packet[7]) = (8, 1);
        assert_eq!(checksum(&packet), !0x0801);
        packet.fill(0xff);
        assert_eq!(checksum(&packet), 0);
    }

    #[test]
    fn an_address_that_is_not_ours_sends_nothing() {
        let (from, to) = ("192.0.2.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert!(Ping::open(from, to, 1).is_err());
    }
}
