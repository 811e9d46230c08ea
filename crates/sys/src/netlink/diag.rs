//! TCP connections of a network namespace, over `sock_diag` (`linux/inet_diag.h`, `linux/sock_diag.h`).

use std::io;
use std::net::IpAddr;

use super::message::Request;
use super::transport::Transport;

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const FILTER: u16 = 1;
/// An operation of a filter that compares the local address (`INET_DIAG_BC_S_COND`).
const LOCAL: u8 = 7;
/// `struct inet_diag_sockid`.
const ID: usize = 48;
/// States (`net/tcp_states.h`) in which a connection waits for its other end with nobody who asks for it here any more.
const ENDING: [u8; 3] = [4, 9, 11];
/// Those in which there is somebody: established, and closed by the other end.
const OPEN: [u8; 2] = [1, 8];
/// Where in a `struct inet_diag_msg` it stands how much is not acknowledged, or not let out yet (`idiag_wqueue`).
const QUEUED: usize = 4 + ID + 8;

/// Asks the kernel for connections, in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Connections {
    transport: Transport,
}

impl Connections {
    /// # Errors
    /// When the process has no descriptor left.
    pub fn open() -> io::Result<Self> {
        Ok(Self { transport: Transport::open_diag()? })
    }

    /// Ends the connections of this local address that wait for an acknowledgement of what they sent, of the end of them too, as
    /// if they had been reset; at most so many. Idle ones stay, and whoever listens. Returns how many there were.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or from a kernel without `INET_DIAG_DESTROY` (`Unsupported`).
    pub fn end_unanswered(&self, local: IpAddr, most: usize) -> io::Result<usize> {
        let mut found: Vec<(u8, [u8; ID])> = Vec::new();
        // A socket of IPv6 that takes connections over IPv4, too, has them as its own.
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).unwrap_or(0);
            if local.is_ipv6() && i32::from(family) == libc::AF_INET {
                continue;
            }
            let mut request = asks(BY_FAMILY, family, &[0; ID]);
            request.attribute(FILTER, &filter(local));
            self.transport.dump(&mut request, &mut |_kind, body| {
                if let Some(id) = unanswered(body).filter(|_| found.len() < most) {
                    found.push((family, id));
                }
            })?;
        }
        let mut ended = 0;
        for (family, id) in &found {
            match self.transport.ask(&mut asks(DESTROY, *family, id), &mut |_, _| {}) {
                Ok(()) => ended += 1,
                // It ended by itself.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ended)
    }
}

/// `struct inet_diag_req_v2`.
fn asks(kind: u16, family: u8, id: &[u8; ID]) -> Request {
    let states = ENDING.iter().chain(&OPEN).fold(0_u32, |all, state| all | 1 << state);
    let mut head = [0; 8];
    (head[0], head[1]) = (family, u8::try_from(libc::IPPROTO_TCP).unwrap_or(0));
    head[4..8].copy_from_slice(&states.to_ne_bytes());
    let mut request = Request::of(kind);
    request.raw(&head);
    request.raw(id);
    request
}

/// One comparison: an address of IPv4 is that of a connection of an IPv6 socket, too.
fn filter(local: IpAddr) -> Vec<u8> {
    let (family, bytes) = match local {
        IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
    };
    let length = 4 + 8 + bytes.len();
    let whole = u8::try_from(length).unwrap_or(u8::MAX);
    // Beyond the end is a refusal.
    let refused = u16::try_from(length + 4).unwrap_or(u16::MAX);
    let mut filter = vec![LOCAL, whole];
    filter.extend(refused.to_ne_bytes());
    let family = u8::try_from(family).unwrap_or(0);
    let prefix = u8::try_from(bytes.len() * 8).unwrap_or(u8::MAX);
    filter.extend([family, prefix, 0, 0]);
    // Any port.
    filter.extend((-1_i32).to_ne_bytes());
    filter.extend(bytes);
    filter
}

/// Of a `struct inet_diag_msg`: family, state, timer, retransmits, then which it is.
fn unanswered(body: &[u8]) -> Option<[u8; ID]> {
    let queued = u32::from_ne_bytes(body.get(QUEUED..QUEUED + 4)?.try_into().ok()?);
    let waits = ENDING.contains(body.get(1)?) || queued > 0;
    body.get(4..4 + ID).filter(|_| waits)?.try_into().ok()
}
