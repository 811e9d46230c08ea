//! Datagrams with descriptors between two processes of a node.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    accept_with, bind, connect, listen, recvmsg, sendmsg, socket_with, socketpair, sockopt,
};

/// Descriptors in one message; the kernel's own limit (`SCM_MAX_FD`).
pub const MAX_DESCRIPTORS: usize = 253;

/// Asked of the kernel for each direction, so that a burst of reports does not block (bytes).
const BUFFER: usize = 1024 * 1024;

/// One end of a pair of `SOCK_SEQPACKET` sockets: whole messages, in order, and an end that shows.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Two connected ends, both non-blocking and closed on exec.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        for end in [&one, &other] {
            sockopt::set_socket_send_buffer_size(end, BUFFER)?;
        }
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// To whoever listens at that path; waits for nobody.
    ///
    /// # Errors
    /// `NotFound` when there is no such path, `ConnectionRefused` when nobody listens there any more, `WouldBlock` when too
    /// many wait there already.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = unix_socket()?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self { socket })
    }

    #[must_use]
    pub fn from_fd(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// The end that the parent left under this number.
    ///
    /// # Errors
    /// When there is no such descriptor.
    pub fn inherited(number: i32) -> io::Result<Self> {
        if number < 3 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the number was agreed with the parent, so nothing else in this process owns it;
        // the calls below fail if it is not open, and `forget` keeps a wrong one from being closed.
        let socket = unsafe { OwnedFd::from_raw_fd(number) };
        let prepared = fcntl_getfd(&socket)
            .and_then(|flags| fcntl_setfd(&socket, flags | FdFlags::CLOEXEC))
            .and_then(|()| fcntl_getfl(&socket))
            .and_then(|flags| fcntl_setfl(&socket, flags | OFlags::NONBLOCK));
        match prepared {
            Ok(()) => Ok(Self { socket }),
            Err(error) => {
                std::mem::forget(socket);
                Err(error.into())
            }
        }
    }

    /// Sends one message. The descriptors are duplicated; the caller keeps its own.
    ///
    /// # Errors
    /// `WouldBlock` when the other side reads too slowly, or the kernel has no memory for it now; `InvalidInput` when it is too long for
    /// ever; `BrokenPipe` when the other side is gone.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if fds.len() > MAX_DESCRIPTORS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut space =
            [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, flags) {
            Ok(_) => Ok(()),
            Err(Errno::NOBUFS | Errno::NOMEM) => Err(io::ErrorKind::WouldBlock.into()),
            Err(Errno::MSGSIZE) => Err(io::ErrorKind::InvalidInput.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes one message and appends its descriptors; 0 bytes: the other side is gone.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `InvalidData` when it did not fit.
    pub fn receive(&self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let mut space =
            [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received =
            match recvmsg(&self.socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                // The other side died with messages of ours unread.
                Err(Errno::CONNRESET) => return Ok(0),
                other => other?,
            };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message did not fit"));
        }
        Ok(received.bytes)
    }
}

fn unix_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Where others connect to. Only the user who listens, and root, may.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Takes the place of one that ended: whoever calls knows that none lives.
    ///
    /// # Errors
    /// When the folder is not there or may not be written to.
    pub fn bind(path: &Path) -> io::Result<Self> {
        /// So many may wait until they are accepted: all routers of a host, at once.
        const WAITING: i32 = 4096;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = unix_socket()?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listen(&socket, WAITING)?;
        Ok(Self { socket })
    }

    /// The next one that connected.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn accept(&self) -> io::Result<Option<Channel>> {
        match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => Ok(Some(Channel { socket })),
            Err(Errno::WOULDBLOCK | Errno::CONNABORTED | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_ride_along_and_messages_keep_their_bounds() {
        let (one, other) = Channel::pair().unwrap();
        let file = crate::memory::file("text", b"hello").unwrap();
        one.send(b"first", &[file.as_fd(), one.as_fd()]).unwrap();
        one.send(b"second", &[]).unwrap();
        let (mut buffer, mut fds) = ([0; 64], Vec::new());
        assert_eq!(other.receive(&mut buffer, &mut fds).unwrap(), 5);
        assert_eq!(fds.len(), 2);
        assert_eq!(crate::memory::read(fds[0].as_fd()).unwrap(), b"hello");
        fds.clear();
        assert_eq!(other.receive(&mut buffer, &mut fds).unwrap(), 6);
        assert!(fds.is_empty());
        let error = other.receive(&mut buffer, &mut fds).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(one);
        assert_eq!(other.receive(&mut buffer, &mut fds).unwrap(), 0);
        assert_eq!(other.send(b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn the_longest_message_of_the_program_fits() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&vec![7; 128 * 1024], &[]).unwrap();
        let mut buffer = vec![0; 128 * 1024];
        assert_eq!(other.receive(&mut buffer, &mut Vec::new()).unwrap(), 128 * 1024);
        one.send(&[1, 2, 3], &[]).unwrap();
        let error = other.receive(&mut [0; 2], &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = one.send(&vec![7; 64 * BUFFER], &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "it will never fit");
    }
}
