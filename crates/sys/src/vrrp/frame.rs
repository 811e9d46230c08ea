//! Adverts as whole frames: they leave with another hardware address than the device's, the virtual one of their group (RFC 9568 7.3).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};

use super::{HEADER, LONGEST, PROTOCOL, TTL, TYPE_OF_SERVICE};

const ETHERNET: usize = 14;
const HEADER_V6: usize = 40;

/// Sends to all of a link by one interface.
#[derive(Debug)]
pub struct Voice {
    fd: OwnedFd,
    mac: [u8; 6],
}

impl Voice {
    /// What it sends comes from `mac`.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or when there is no such interface.
    pub fn open(interface: &str, mac: [u8; 6]) -> io::Result<Self> {
        let (fd, _) = crate::arp::open_frames(interface, 0)?;
        Ok(Self { fd, mac })
    }

    #[must_use]
    pub const fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sends one advert with TTL 255 to a group of the link.
    ///
    /// # Errors
    /// When the interface is down or gone, for anything but a group of the kind of `source`, and for what is longer than any advert.
    pub fn send(&self, source: IpAddr, to: IpAddr, payload: &[u8]) -> io::Result<()> {
        let mut frame = [0; ETHERNET + HEADER_V6 + LONGEST];
        let length = write(self.mac, (source, to), payload, &mut frame);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        crate::arp::send_frame(self.fd.as_fd(), &frame[..length])
    }
}

/// The frame, and its length; none where there is no such.
fn write(
    mac: [u8; 6],
    path: (IpAddr, IpAddr),
    payload: &[u8],
    frame: &mut [u8; ETHERNET + HEADER_V6 + LONGEST],
) -> Option<usize> {
    if payload.len() > LONGEST {
        return None;
    }
    frame[6..12].copy_from_slice(&mac);
    let header = match path {
        (IpAddr::V4(source), IpAddr::V4(to)) if to.is_multicast() => {
            write_v4((source, to), payload.len(), frame)?
        }
        (IpAddr::V6(source), IpAddr::V6(to)) if to.is_multicast() => {
            write_v6((source, to), payload.len(), frame)?
        }
        _ => return None,
    };
    let start = ETHERNET + header;
    frame[start..start + payload.len()].copy_from_slice(payload);
    Some(start + payload.len())
}

/// The head of Ethernet (RFC 1112 6.4) and that of IPv4; the length of the latter.
fn write_v4((source, to): (Ipv4Addr, Ipv4Addr), payload: usize, frame: &mut [u8]) -> Option<usize> {
    let [_, b, c, d] = to.octets();
    frame[..6].copy_from_slice(&[0x01, 0x00, 0x5e, b & 0x7f, c, d]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    let head = &mut frame[ETHERNET..ETHERNET + HEADER];
    (head[0], head[1]) = (0x45, TYPE_OF_SERVICE);
    head[2..4].copy_from_slice(&u16::try_from(HEADER + payload).ok()?.to_be_bytes());
    (head[8], head[9]) = (TTL, PROTOCOL);
    head[12..16].copy_from_slice(&source.octets());
    head[16..20].copy_from_slice(&to.octets());
    let words = head.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    head[10..12].copy_from_slice(&(!u16::try_from(sum).ok()?).to_be_bytes());
    Some(HEADER)
}

/// The head of Ethernet (RFC 2464 7) and that of IPv6; the length of the latter.
fn write_v6((source, to): (Ipv6Addr, Ipv6Addr), payload: usize, frame: &mut [u8]) -> Option<usize> {
    frame[..2].copy_from_slice(&[0x33, 0x33]);
    frame[2..6].copy_from_slice(&to.octets()[12..]);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    let head = &mut frame[ETHERNET..ETHERNET + HEADER_V6];
    head[..2].copy_from_slice(&(0x6000 | u16::from(TYPE_OF_SERVICE) << 4).to_be_bytes());
    head[4..6].copy_from_slice(&u16::try_from(payload).ok()?.to_be_bytes());
    (head[6], head[7]) = (PROTOCOL, TTL);
    head[8..24].copy_from_slice(&source.octets());
    head[24..40].copy_from_slice(&to.octets());
    Some(HEADER_V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 77];

    fn frame(source: &str, to: &str, payload: &[u8]) -> Option<String> {
        let mut frame = [0; ETHERNET + HEADER_V6 + LONGEST];
        let path = (source.parse().unwrap(), to.parse().unwrap());
        let length = write(MAC, path, payload, &mut frame)?;
        Some(frame[..length].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    #[test]
    fn an_advert_leaves_from_the_virtual_mac() {
        // As keepalived 2.2.7 sends it with `use_vmac`, but for the number of the packet, which means nothing in one of a single piece.
        let told = "01005e00001200005e00014d080045c0002000000000ff70d0910a090001e000001201020304\
                    05060708090a0b0c";
        let payload = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(frame("10.9.0.1", "224.0.0.18", &payload).as_deref(), Some(told));
        let told = "33330000001200005e00014d86dd6c0000000002 70ff fe80000000000000e8300cfffe01b5cc\
                    ff020000000000000000000000000012 0102"
            .replace(' ', "");
        let sent = frame("fe80::e830:cff:fe01:b5cc", "ff02::12", &[1, 2]);
        assert_eq!(sent, Some(told));
    }

    #[test]
    fn what_is_for_one_router_alone_is_no_such_frame() {
        assert_eq!(frame("10.9.0.1", "10.9.0.2", &[]), None);
        assert_eq!(frame("fe80::1", "fe80::2", &[]), None);
        assert_eq!(frame("fe80::1", "224.0.0.18", &[]), None);
        assert_eq!(frame("10.9.0.1", "224.0.0.18", &[0; LONGEST + 1]), None);
    }
}
