//! TCP, UDP and unix sockets, all non-blocking and closed on exec.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketAddrUnix, SocketFlags,
    SocketType, sockopt,
};

use crate::raw::bind_to_device;

pub use filter::{dropped, hear_nobody, hear_only};
pub use refusal::{keep_errors, refused_by};

pub(crate) mod filter;
mod refusal;

/// How to listen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listen {
    /// Connections that wait to be accepted; 0: the kernel's maximum.
    pub backlog: u32,
    /// Also on an address that this node does not have (yet).
    pub transparent: bool,
    pub reuse_port: bool,
    pub interface: Option<String>,
}

/// Who connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    Tcp(SocketAddr),
    Unix,
}

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

fn open(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(family, kind, FLAGS, None)?)
}

fn open_for(address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    open(family, kind)
}

/// Listens for TCP connections.
///
/// # Errors
/// When the address is in use, not ours (unless `transparent`), or the port is reserved.
pub fn listen_tcp(address: SocketAddr, options: &Listen) -> io::Result<OwnedFd> {
    let socket = open_for(address, SocketType::STREAM)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if options.reuse_port {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    if options.transparent {
        // IP_FREEBIND needs no right; IP_TRANSPARENT would also pass to accepted connections.
        match address {
            SocketAddr::V4(_) => sockopt::set_ip_freebind(&socket, true)?,
            SocketAddr::V6(_) => sockopt::set_ipv6_freebind(&socket, true)?,
        }
    }
    if let Some(interface) = &options.interface {
        bind_to_device(socket.as_fd(), interface)?;
    }
    rustix::net::bind(&socket, &address)?;
    let backlog = if options.backlog == 0 { 65535 } else { options.backlog };
    rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Listens on a path; one that exists is replaced without a moment in which it is missing.
///
/// # Errors
/// When the folder is missing or not ours to write to.
pub fn listen_unix(path: &Path, mode: Option<u32>) -> io::Result<OwnedFd> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = Path::new(&name);
    let socket = open(AddressFamily::UNIX, SocketType::STREAM)?;
    drop(std::fs::remove_file(temporary));
    rustix::net::bind(&socket, &SocketAddrUnix::new(temporary)?)?;
    let prepared = mode
        .map_or(Ok(()), |mode| {
            std::fs::set_permissions(temporary, std::fs::Permissions::from_mode(mode))
        })
        .and_then(|()| Ok(rustix::net::listen(&socket, 128)?))
        .and_then(|()| std::fs::rename(temporary, path));
    if prepared.is_err() {
        drop(std::fs::remove_file(temporary));
    }
    prepared.map(|()| socket)
}

/// Takes one waiting connection.
///
/// # Errors
/// `WouldBlock` when there is none.
pub fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Peer)> {
    let (socket, address) = rustix::net::acceptfrom_with(fd, FLAGS)?;
    let peer = address
        .and_then(|address| SocketAddr::try_from(address).ok())
        .map_or(Peer::Unix, |address| Peer::Tcp(canonical(address)));
    Ok((socket, peer))
}

/// Begins to connect; writable when done, then ask [`take_error`].
///
/// # Errors
/// When it failed at once.
pub fn connect_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    connect_tcp_from(address, None)
}

/// As [`connect_tcp`], from an address of ours.
///
/// # Errors
/// When it failed at once.
pub fn connect_tcp_from(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<OwnedFd> {
    let socket = open_for(address, SocketType::STREAM)?;
    if let Some(source) = source {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &source)?;
    }
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Connects to a path.
///
/// # Errors
/// When nobody listens there.
pub fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    let socket = open(AddressFamily::UNIX, SocketType::STREAM)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// The error that the socket met since the last question.
///
/// # Errors
/// That error.
pub fn take_error(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::socket_error(fd)??)
}

/// # Errors
/// When it is no TCP socket.
pub fn no_delay(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(fd, true)?)
}

/// # Errors
/// When it is no TCP socket.
pub fn keep_alive(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_keepalive(fd, true)?)
}

/// A peer that sends nothing for so long is asked for a sign of life, and again as often; with
/// [`give_up_after`] one that does not answer is gone after that span. Whole seconds.
///
/// # Errors
/// When it is no TCP socket.
pub fn keep_alive_every(fd: BorrowedFd<'_>, span: Duration) -> io::Result<()> {
    sockopt::set_tcp_keepidle(fd, span)?;
    sockopt::set_tcp_keepintvl(fd, span)?;
    keep_alive(fd)
}

/// A peer that takes nothing for so long is gone, also one that lives and does not read.
///
/// # Errors
/// When it is no TCP socket.
pub fn give_up_after(fd: BorrowedFd<'_>, span: Duration) -> io::Result<()> {
    let millis = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(fd, millis)?)
}

/// Closing will send RST and drop what was not sent.
///
/// # Errors
/// When it is no socket.
pub fn reset_on_close(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(fd, Some(Duration::ZERO))?)
}

/// # Errors
/// When it is not connected.
pub fn peer(fd: BorrowedFd<'_>) -> io::Result<Peer> {
    let address = rustix::net::getpeername(fd)?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
    Ok(SocketAddr::try_from(address).map_or(Peer::Unix, |address| Peer::Tcp(canonical(address))))
}

/// # Errors
/// When it is a unix socket.
pub fn local(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    Ok(canonical(SocketAddr::try_from(rustix::net::getsockname(fd)?)?))
}

/// Where a redirected connection wanted to go.
///
/// # Errors
/// When it was not redirected.
pub fn original_destination(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    Ok(SocketAddr::V4(sockopt::ip_original_dst(fd)?))
}

/// # Errors
/// `WouldBlock` when there is nothing; 0 bytes are the end.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _whole) = rustix::net::recv(fd, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Sends what fits; `more` follows at once.
///
/// # Errors
/// `WouldBlock` when the buffer is full. Never a signal.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    let more = if more { SendFlags::MORE } else { SendFlags::empty() };
    Ok(rustix::net::send(fd, bytes, SendFlags::NOSIGNAL | more)?)
}

/// # Errors
/// When it is not connected.
pub fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::shutdown(fd, Shutdown::Write)?)
}

/// A UDP socket. A port that another socket of the program has is shared: the newest one receives,
/// so that a successor process can take over before its predecessor ends.
///
/// # Errors
/// When the address is not ours.
pub fn udp(bind: SocketAddr, interface: Option<&str>) -> io::Result<OwnedFd> {
    let socket = open_for(bind, SocketType::DGRAM)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if let Some(interface) = interface {
        bind_to_device(socket.as_fd(), interface)?;
    }
    rustix::net::bind(&socket, &bind)?;
    Ok(socket)
}

/// Whether this program could have a UDP port for itself: nobody has it, nobody shares it.
///
/// # Errors
/// `AddrInUse` when another socket has it, `AddrNotAvailable` when the address is not ours.
pub fn try_udp(address: SocketAddr) -> io::Result<()> {
    let socket = open_for(address, SocketType::DGRAM)?;
    Ok(rustix::net::bind(&socket, &address)?)
}

/// Whether this program could listen on a TCP port; connections that are over are in nobody's way.
///
/// # Errors
/// `AddrInUse` when another program listens there, `AddrNotAvailable` when the address is not ours.
pub fn try_tcp(address: SocketAddr) -> io::Result<()> {
    let socket = open_for(address, SocketType::STREAM)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    Ok(rustix::net::bind(&socket, &address)?)
}

/// A UDP socket that talks to one address only, from any port of its own: the kernel tells it when
/// that address refuses ([`take_error`]). Nobody is expected to answer to it.
///
/// # Errors
/// When `own` is not ours, or there is no route.
pub fn udp_towards(own: IpAddr, to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = open_for(to, SocketType::DGRAM)?;
    rustix::net::bind(&socket, &SocketAddr::new(own, 0))?;
    rustix::net::connect(&socket, &to)?;
    Ok(socket)
}

/// # Errors
/// When there is no route.
pub fn send_to(fd: BorrowedFd<'_>, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    Ok(rustix::net::sendto(fd, bytes, SendFlags::NOSIGNAL, &to)?)
}

/// # Errors
/// `WouldBlock` when there is nothing.
pub fn receive_from(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    let (count, _whole, from) = rustix::net::recvfrom(fd, buffer, RecvFlags::empty())?;
    let from = from.and_then(|from: SocketAddrAny| SocketAddr::try_from(from).ok());
    Ok((count, from.map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), canonical)))
}

/// A unix datagram socket to send from, as to `/dev/log`.
///
/// # Errors
/// When the process has no descriptor left.
pub fn datagram_unix() -> io::Result<OwnedFd> {
    open(AddressFamily::UNIX, SocketType::DGRAM)
}

/// # Errors
/// When nobody listens there.
pub fn send_to_unix(fd: BorrowedFd<'_>, bytes: &[u8], to: &Path) -> io::Result<usize> {
    Ok(rustix::net::sendto(fd, bytes, SendFlags::NOSIGNAL, &SocketAddrUnix::new(to)?)?)
}

/// Any address and port of a family: for sockets that only send.
#[must_use]
pub fn any(like: IpAddr) -> SocketAddr {
    match like {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// IPv4 that came through an IPv6 socket is shown as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(six) => match six.ip().to_ipv4_mapped() {
            Some(four) => SocketAddr::from((four, six.port())),
            None => address,
        },
    }
}

/// A copy of the descriptor that the parent left under this number, non-blocking.
///
/// # Errors
/// When there is no such descriptor.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: borrowed for the duration of the call only; a number that is not open makes the
    // call fail with EBADF.
    let theirs = unsafe { BorrowedFd::borrow_raw(number) };
    let copy = rustix::io::fcntl_dupfd_cloexec(theirs, 4)?;
    let flags = rustix::fs::fcntl_getfl(&copy)?;
    rustix::fs::fcntl_setfl(&copy, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(copy)
}

#[cfg(test)]
mod tests;
