//! Signals as something to read.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::raw::check;

/// Number of a signal.
pub type Signal = i32;

pub const SIGHUP: Signal = libc::SIGHUP;
pub const SIGINT: Signal = libc::SIGINT;
pub const SIGQUIT: Signal = libc::SIGQUIT;
pub const SIGKILL: Signal = libc::SIGKILL;
pub const SIGUSR1: Signal = libc::SIGUSR1;
pub const SIGUSR2: Signal = libc::SIGUSR2;
pub const SIGPIPE: Signal = libc::SIGPIPE;
pub const SIGALRM: Signal = libc::SIGALRM;
pub const SIGTERM: Signal = libc::SIGTERM;
pub const SIGCHLD: Signal = libc::SIGCHLD;
pub const SIGCONT: Signal = libc::SIGCONT;
pub const SIGSTOP: Signal = libc::SIGSTOP;

/// A real-time signal, counted from the first one that the C library leaves to programs.
#[must_use]
pub fn realtime_from_first(count: i32) -> Signal {
    libc::SIGRTMIN() + count
}

/// A real-time signal, counted back from the last one.
#[must_use]
pub fn realtime_from_last(count: i32) -> Signal {
    libc::SIGRTMAX() - count
}

/// A signalfd for chosen signals.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals in this thread, and in those it starts later: call it before them.
    ///
    /// # Errors
    /// When a number is no signal or no descriptor is left.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let set = set_of(signals)?;
        change_mask(libc::SIG_BLOCK, &set)?;
        // SAFETY: `set` is an initialised set; -1 asks for a new descriptor.
        let fd = check(unsafe {
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        })?;
        // SAFETY: the kernel just made this descriptor for us.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal that arrived, if any.
    #[must_use]
    pub fn read(&self) -> Option<Signal> {
        let mut record = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the record has `size` bytes to be written to.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), record.as_mut_ptr().cast(), size) };
        if usize::try_from(read).is_ok_and(|read| read == size) {
            // SAFETY: the kernel filled the whole record.
            let number = unsafe { record.assume_init() }.ssi_signo;
            Signal::try_from(number).ok()
        } else {
            None
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Lets this process live on when these arrive (and its children, until they ask otherwise).
///
/// # Errors
/// When a number is no signal.
pub fn ignore(signals: &[Signal]) -> io::Result<()> {
    for signal in signals {
        // SAFETY: SIG_IGN runs no code of ours.
        if unsafe { libc::signal(*signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

pub(crate) fn named(signal: Signal) -> io::Result<rustix::process::Signal> {
    rustix::process::Signal::from_named_raw(signal)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// A set of the given signals.
pub(crate) fn set_of(signals: &[Signal]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the whole set.
    let mut set = unsafe {
        check(libc::sigemptyset(set.as_mut_ptr()))?;
        set.assume_init()
    };
    for signal in signals {
        // SAFETY: `set` is initialised; a wrong number is answered with an error.
        check(unsafe { libc::sigaddset(&raw mut set, *signal) })?;
    }
    Ok(set)
}

/// Changes the calling thread's mask. Safe to call between fork and exec.
pub(crate) fn change_mask(how: i32, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is an initialised set; the old one is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, std::ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read() {
        let signals = Signals::new(&[SIGUSR2]).unwrap();
        assert_eq!(signals.read(), None);
        // SAFETY: the signal is blocked in this thread, to which alone it goes.
        unsafe { libc::pthread_kill(libc::pthread_self(), SIGUSR2) };
        assert_eq!(signals.read(), Some(SIGUSR2));
        assert_eq!(signals.read(), None);
    }
}
