//! Waiting for descriptors: epoll, and an eventfd to wake a waiting thread.

use std::io;
use std::mem::MaybeUninit;
use std::ops::BitOr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::raw::check;

/// Events taken from the kernel in one call; more wait for the next one.
const BATCH: usize = 256;

/// An epoll instance.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Interest(epoll::EventFlags);

/// A descriptor that something happened to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ready {
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
    /// The other side closed, or closed its sending half.
    pub hangup: bool,
    pub error: bool,
}

impl Interest {
    pub const NONE: Self = Self(epoll::EventFlags::empty());
    pub const READ: Self = Self(epoll::EventFlags::IN.union(epoll::EventFlags::RDHUP));
    pub const WRITE: Self = Self(epoll::EventFlags::OUT);
    /// Told once per change instead of as long as it lasts.
    pub const EDGE: Self = Self(epoll::EventFlags::ET);
    /// Of several threads that wait for one descriptor only one is woken.
    pub const EXCLUSIVE: Self = Self(epoll::EventFlags::EXCLUSIVE);
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Interest {
    /// The kernel refuses EXCLUSIVE together with RDHUP.
    fn flags(self) -> epoll::EventFlags {
        if self.0.contains(epoll::EventFlags::EXCLUSIVE) {
            self.0 - epoll::EventFlags::RDHUP
        } else {
            self.0
        }
    }
}

impl Poller {
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Begins to wait for a descriptor. It must not be closed before it was removed, unless no
    /// duplicate of it lives.
    ///
    /// # Errors
    /// When it is registered already or cannot be waited for.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// # Errors
    /// When it is not registered.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// # Errors
    /// When it is not registered.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits, with the precision of nanoseconds. `out` is cleared first; its capacity bounds the
    /// batch. `Some(Duration::ZERO)` polls, `None` waits for ever; a signal gives an empty list.
    ///
    /// # Errors
    /// None that a correct program sees.
    pub fn wait(&self, out: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        out.clear();
        if out.capacity() == 0 {
            out.reserve(64);
        }
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; BATCH];
        let count = match self.wait_raw(&mut events[..out.capacity().min(BATCH)], timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        out.extend(events[..count].iter().map(|event| {
            // SAFETY: the kernel filled the first `count` entries.
            let event = unsafe { event.assume_init() };
            let (token, flags) = (event.u64, epoll::EventFlags::from_bits_retain(event.events));
            Ready {
                token,
                readable: flags.contains(epoll::EventFlags::IN),
                writable: flags.contains(epoll::EventFlags::OUT),
                hangup: flags.intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP),
                error: flags.contains(epoll::EventFlags::ERR),
            }
        }));
        Ok(())
    }

    fn wait_raw(
        &self,
        events: &mut [MaybeUninit<libc::epoll_event>],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let timeout = timeout.map(|span| libc::timespec {
            tv_sec: libc::time_t::try_from(span.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(span.subsec_nanos()),
        });
        let pointer = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `events` has room for `events.len()` entries, `pointer` is null or a timespec
        // that lives until after the call, and no signal mask is given.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                libc::c_long::try_from(events.len()).unwrap_or(libc::c_long::MAX),
                pointer,
                std::ptr::null::<libc::sigset_t>(),
                size_of::<libc::c_ulong>(),
            )
        };
        check(libc::c_int::try_from(result).unwrap_or(-1))
            .map(|count| usize::try_from(count).unwrap_or(0))
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Wakes a thread that waits in [`Poller::wait`]; clones wake the same one.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

impl Waker {
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { event: Arc::new(event) })
    }

    /// Makes the descriptor readable. Cannot fail: a full counter is readable already.
    pub fn wake(&self) {
        let _ = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }

    /// Makes it unreadable until the next [`Self::wake`].
    pub fn drain(&self) {
        let _ = rustix::io::read(&*self.event, &mut [0_u8; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_wakes_until_it_is_drained() {
        let poller = Poller::new().unwrap();
        let waker = Waker::new().unwrap();
        poller.add(waker.as_fd(), 7, Interest::READ).unwrap();
        let mut ready = Vec::with_capacity(4);
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert!(ready.is_empty());
        waker.clone().wake();
        poller.wait(&mut ready, Some(Duration::from_secs(5))).unwrap();
        assert_eq!((ready.len(), ready[0].token, ready[0].readable), (1, 7, true));
        waker.drain();
        poller.wait(&mut ready, Some(Duration::from_micros(300))).unwrap();
        assert!(ready.is_empty());
    }

    #[test]
    fn a_closed_peer_is_a_hangup() {
        let (one, other) = crate::channel::Channel::pair().unwrap();
        let poller = Poller::new().unwrap();
        poller.add(one.as_fd(), 1, Interest::READ | Interest::EDGE).unwrap();
        drop(other);
        let mut ready = Vec::new();
        poller.wait(&mut ready, None).unwrap();
        assert!(ready[0].hangup);
    }
}
