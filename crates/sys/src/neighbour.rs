//! Who says that an address of IPv6 is at its interface: neighbour adverts of others (RFC 4861 4.4).

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};

use crate::raw::{bind_to_device, set_option};
use crate::vrrp::v6;

const ICMPV6: u32 = 58;
const ADVERT: u8 = 136;
/// What crossed a router says nothing of this link.
const HOPS: u8 = 255;
/// `ICMPV6_FILTER` (`linux/icmpv6.h`): a bit for each kind of message that is not to come.
const FILTER: i32 = 1;

/// Hears neighbour adverts on one interface.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// One neighbour advert.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard {
    pub ip: Ipv6Addr,
    pub mac: [u8; 6],
}

impl Socket {
    /// # Errors
    /// Without `CAP_NET_RAW`, without IPv6, or when there is no such interface.
    pub fn open(interface: &str) -> io::Result<Self> {
        let protocol = rustix::net::RawProtocol::new(ICMPV6).map(Protocol::from_raw);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(AddressFamily::INET6, SocketType::RAW, flags, protocol)?;
        let mut filter = [u32::MAX; 8];
        filter[usize::from(ADVERT / 32)] &= !(1 << (ADVERT % 32));
        set_option(fd.as_fd(), libc::IPPROTO_ICMPV6, FILTER, &filter)?;
        set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1_i32)?;
        set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, &1_i32)?;
        bind_to_device(fd.as_fd(), interface)?;
        Ok(Self(fd))
    }

    /// The next one that came from this link and says where the address is.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn receive(&self) -> io::Result<Heard> {
        let mut buffer = [0_u8; 256];
        loop {
            let received = match v6::receive(&self.0, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                received => received?,
            };
            if let Some(heard) = decode(&buffer[received.payload]).filter(|_| received.ttl == HOPS)
            {
                return Ok(heard);
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The address of an ICMPv6 message that is an advert, and its option with the hardware address (2); RFC 4861 4.4.
#[must_use]
pub fn decode(message: &[u8]) -> Option<Heard> {
    let (head, mut options) = message.split_at_checked(24)?;
    let (kind, target) = (head[0], <[u8; 16]>::try_from(&head[8..24]).ok()?);
    if kind != ADVERT {
        return None;
    }
    while let [option, length, ..] = *options {
        let (this, rest) = options.split_at_checked(usize::from(length) * 8)?;
        if option == 2 {
            let mac = <[u8; 6]>::try_from(this.get(2..8)?).ok()?;
            return Some(Heard { ip: target.into(), mac });
        }
        if length == 0 {
            return None;
        }
        options = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advert_says_where_its_address_is() {
        let mut message = [0; 40];
        (message[0], message[8], message[9], message[23]) = (136, 0xfe, 0x80, 0x40);
        // An option that nobody knows, then the hardware address.
        message[24..26].copy_from_slice(&[99, 1]);
        message[32..40].copy_from_slice(&[2, 1, 2, 0, 0, 0, 0, 9]);
        let heard = Heard { ip: "fe80::40".parse().unwrap(), mac: [2, 0, 0, 0, 0, 9] };
        assert_eq!(decode(&message), Some(heard));
        for length in 0..40 {
            assert_eq!(decode(&message[..length]), None, "cut to {length}");
        }
        // One without a length would be read for ever.
        message[25] = 0;
        assert_eq!(decode(&message), None);
        message[0] = 135;
        assert_eq!(decode(&message), None);
    }
}
