//! Sending requests and reading answers.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};
use rustix::time::Timespec;

use super::message::{Request, split};

/// The kernel's datagrams of a dump are at most this long (`NLMSG_GOODSIZE` grown, bytes).
const BUFFER: usize = 32 * 1024;

/// The kernel answers within microseconds; longer means that it never will.
const ANSWER_WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Room for changes that arrive while this process does something else (bytes).
const QUEUE: usize = 1024 * 1024;

thread_local! {
    /// One for all sockets of a thread: a process has thousands of them where it has hundreds of namespaces, and reads one at
    /// a time.
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// Whoever works on it asks no other socket meanwhile.
fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SHARED.with_borrow_mut(|buffer| work(buffer))
}

#[derive(Debug)]
pub(super) struct Transport {
    fd: OwnedFd,
    sequence: Cell<u32>,
}

impl Transport {
    /// `groups`: bits of the multicast groups to hear.
    pub(super) fn open(groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        if groups != 0 {
            sockopt::set_socket_recv_buffer_size(&fd, QUEUE)?;
        }
        bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd, sequence: Cell::new(1) })
    }

    /// Sends a request and waits for the acknowledgement; answers before it go to `each`.
    pub(super) fn ask(
        &self,
        request: &mut Request,
        each: &mut dyn FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        let sequence = self.sequence.replace(self.sequence.get().wrapping_add(1));
        let bytes = request.finish(sequence);
        send(&self.fd, bytes, SendFlags::NOSIGNAL)?;
        with_buffer(|buffer| self.answers(sequence, buffer, each))
    }

    fn answers(
        &self,
        sequence: u32,
        buffer: &mut [u8],
        each: &mut dyn FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        loop {
            let count = self.wait(buffer)?;
            let mut rest = &buffer[..count];
            while let Some((kind, number, body, next)) = split(rest) {
                rest = next;
                if number != sequence {
                    continue;
                }
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => return read_result(body),
                    _ => each(kind, body),
                }
            }
        }
    }

    /// As [`Self::ask`], for a list in several parts.
    pub(super) fn dump(
        &self,
        request: &mut Request,
        each: &mut dyn FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        request.as_dump();
        self.ask(request, each)
    }

    /// What the kernel tells unasked: the next datagram's messages; false: nothing there.
    pub(super) fn hear(&self, each: &mut dyn FnMut(u16, &[u8])) -> io::Result<bool> {
        with_buffer(|buffer| {
            let count = match recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(error) => return Err(error.into()),
                Ok((count, _whole)) => count,
            };
            let mut rest = &buffer[..count];
            while let Some((kind, _number, body, next)) = split(rest) {
                rest = next;
                each(kind, body);
            }
            Ok(true)
        })
    }

    fn wait(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((count, _whole)) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
                    match poll(&mut fds, Some(&ANSWER_WITHIN)) {
                        Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn read_result(body: &[u8]) -> io::Result<()> {
    let code = body.get(..4).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}
