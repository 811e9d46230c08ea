//! A non-blocking stream socket under edge-triggered epoll: what is known about it between events.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::poll::Ready;

/// A socket and what the last events said. Sending and receiving are tried while nothing says that
/// they would block.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    readable: bool,
    writable: bool,
    /// The other side has closed (its half, at least): read until the end is seen.
    hangup: bool,
    /// The kernel reported an error on it.
    error: bool,
}

/// What a read found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Got {
    Bytes(usize),
    /// The other side will send no more.
    End,
    /// Nothing now; an event will come.
    Later,
    /// The connection is gone.
    Broken,
}

impl Socket {
    /// A socket whose first event is still to come.
    pub(crate) const fn new(fd: OwnedFd) -> Self {
        Self { fd, readable: false, writable: false, hangup: false, error: false }
    }

    /// One that can be written at once (accepted, or known to be connected).
    pub(crate) const fn open(fd: OwnedFd) -> Self {
        Self { fd, readable: false, writable: true, hangup: false, error: false }
    }

    pub(crate) fn note(&mut self, ready: &Ready) {
        self.readable |= ready.readable || ready.hangup || ready.error;
        self.writable |= ready.writable || ready.error;
        self.hangup |= ready.hangup;
        self.error |= ready.error;
    }

    pub(crate) const fn is_readable(&self) -> bool {
        self.readable
    }

    pub(crate) const fn is_writable(&self) -> bool {
        self.writable
    }

    pub(crate) const fn has_hangup(&self) -> bool {
        self.hangup
    }

    pub(crate) const fn has_error(&self) -> bool {
        self.error
    }

    /// Reads once. A read that does not fill the buffer emptied the socket: the next byte comes with
    /// an event of its own, so the second read, which would find nothing, is saved.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Got {
        if !self.readable {
            return Got::Later;
        }
        loop {
            return match sys::socket::receive(self.fd.as_fd(), buffer) {
                Ok(0) => Got::End,
                Ok(count) => {
                    self.readable = count == buffer.len() || self.hangup || self.error;
                    Got::Bytes(count)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Got::Later
                }
                Err(_) => Got::Broken,
            };
        }
    }

    /// Tries to read again although the last read found nothing.
    pub(crate) const fn look_again(&mut self) {
        self.readable = true;
    }

    /// Whether nothing came since the last read: no byte, no end, no error.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.readable = true;
        self.receive(&mut [0]) == Got::Later
    }

    /// Sends as much as the kernel takes.
    pub(crate) fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() && self.writable {
            match sys::socket::send(self.fd.as_fd(), &bytes[sent..], more) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
