//! Asking a machine, by its hardware address, whether its TCP answers for an IPv4 address: one SYN (RFC 9293 3.5) in a frame of our own.
//!
//! The address that asks should be nobody's: then the kernel beside it knows nothing of these connections. Whoever says yes is sent a
//! RST, so that nothing stays half open there.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::arp::{open_frames, send_frame};

const ETHERNET: usize = 14;
const IP: usize = 20;
const TCP: usize = 20;
const FRAME: usize = ETHERNET + IP + TCP;
const IPV4_TYPE: [u8; 2] = [0x08, 0x00];
const PROTOCOL: u8 = 6;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// Any: these connections carry nothing.
const SEQUENCE: u32 = 0x4f55_544c;

/// Sends and hears frames on one interface.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    mac: [u8; 6],
}

/// What a machine said to a SYN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Who said it.
    pub mac: [u8; 6],
    /// For whom: the address and port that were asked.
    pub from: SocketAddrV4,
    /// Who had asked.
    pub to: SocketAddrV4,
    /// Somebody listens (SYN and ACK); if not, the machine has the address and nobody listens there (RST).
    pub open: bool,
    /// What it expects next.
    acknowledged: u32,
}

impl Socket {
    /// # Errors
    /// Without `CAP_NET_RAW`, or when there is no such interface.
    pub fn open(interface: &str) -> io::Result<Self> {
        let (fd, mac) = open_frames(interface, u16::from_be_bytes(IPV4_TYPE))?;
        Ok(Self { fd, mac })
    }

    /// Asks the machine with that hardware address for `to`.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn ask(&self, mac: [u8; 6], from: SocketAddrV4, to: SocketAddrV4) -> io::Result<()> {
        send_frame(self.fd.as_fd(), &frame((self.mac, mac), (from, to), SEQUENCE, SYN))
    }

    /// Tells who said yes that nobody is there.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn refuse(&self, answer: &Answer) -> io::Result<()> {
        let ways = (answer.to, answer.from);
        send_frame(self.fd.as_fd(), &frame((self.mac, answer.mac), ways, answer.acknowledged, RST))
    }

    /// The next answer to a SYN, whoever sent that.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn receive(&self) -> io::Result<Answer> {
        let mut bytes = [0_u8; 128];
        loop {
            let count = crate::socket::receive(self.fd.as_fd(), &mut bytes)?;
            if let Some(answer) = read(&bytes[..count]) {
                return Ok(answer);
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn frame(
    (own, mac): ([u8; 6], [u8; 6]),
    (from, to): (SocketAddrV4, SocketAddrV4),
    sequence: u32,
    flags: u8,
) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&mac);
    frame[6..12].copy_from_slice(&own);
    frame[12..14].copy_from_slice(&IPV4_TYPE);
    let (ip, tcp) = frame[ETHERNET..].split_at_mut(IP);
    // Version and length of the head, length of all, not in pieces, hops.
    ip[..10].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, PROTOCOL]);
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..20].copy_from_slice(&to.ip().octets());
    let sum = checksum(&[ip]);
    ip[10..12].copy_from_slice(&sum);
    tcp[..2].copy_from_slice(&from.port().to_be_bytes());
    tcp[2..4].copy_from_slice(&to.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    // Five words of head; a window.
    tcp[12..16].copy_from_slice(&[0x50, flags, 0x72, 0x10]);
    let pseudo = [0, PROTOCOL, 0, 20];
    let sum = checksum(&[&ip[12..20], &pseudo, tcp]);
    tcp[16..18].copy_from_slice(&sum);
    frame
}

/// Of parts of even length (RFC 1071).
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let words = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).expect("folded to 16 bits")).to_be_bytes()
}

/// An Ethernet frame with an answer to a SYN; none: it is something else.
#[must_use]
pub fn read(frame: &[u8]) -> Option<Answer> {
    let ip = frame.get(ETHERNET..).filter(|_| frame[12..14] == IPV4_TYPE)?;
    let head = usize::from(ip.first()? & 0xf) * 4;
    let tcp = ip.get(head..).filter(|_| ip.get(9) == Some(&PROTOCOL))?;
    let (addresses, tcp) = (ip.get(12..20)?, tcp.get(..TCP)?);
    let socket = |at: usize, port: usize| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|byte| addresses[at + byte]);
        let port = u16::from_be_bytes([tcp[port], tcp[port + 1]]);
        SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port)
    };
    let flags = tcp[13];
    let (open, refused) = (flags & (SYN | ACK) == SYN | ACK, flags & RST != 0);
    Some(Answer {
        mac: frame[6..12].try_into().ok()?,
        from: socket(0, 0),
        to: socket(4, 2),
        open,
        acknowledged: u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]]),
    })
    .filter(|_| open || refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn sockets() -> (SocketAddrV4, SocketAddrV4) {
        ("10.79.0.103:40000".parse().unwrap(), "10.79.0.40:5000".parse().unwrap())
    }

    #[test]
    fn sums_are_right_as_a_receiver_counts() {
        let frame = frame((OWN, OTHER), sockets(), SEQUENCE, SYN);
        let (ip, tcp) = frame[ETHERNET..].split_at(IP);
        assert_eq!(checksum(&[ip]), [0, 0]);
        assert_eq!(checksum(&[&ip[12..20], &[0, PROTOCOL, 0, 20], tcp]), [0, 0]);
        assert_eq!(tcp[13], SYN);
    }

    #[test]
    fn who_says_yes_or_has_no_listener_answers_and_who_asks_does_not() {
        let (from, to) = sockets();
        let said = |flags| read(&frame((OTHER, OWN), (to, from), 7, flags));
        let yes = said(SYN | ACK).unwrap();
        assert_eq!((yes.mac, yes.from, yes.to, yes.open), (OTHER, to, from, true));
        assert!(!said(RST | ACK).unwrap().open);
        assert_eq!(said(SYN), None);
        assert_eq!(said(ACK), None);
    }

    #[test]
    fn frames_that_are_short_or_of_others_are_no_answers() {
        let whole = frame((OTHER, OWN), sockets(), 7, SYN | ACK);
        for count in 0..FRAME {
            assert_eq!(read(&whole[..count]), None, "{count} bytes");
        }
        let mut other = whole;
        other[ETHERNET + 9] = 17;
        assert_eq!(read(&other), None);
    }
}
