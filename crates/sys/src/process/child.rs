//! What the child does between `fork` and `exec`: system calls only, no allocation, no lock.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::CHANNEL;
use crate::raw::check;
use crate::signal::{change_mask, set_of};

/// Everything the child needs, made before the fork. All descriptors lie above [`CHANNEL`].
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) program: CString,
    /// Ends with a null pointer; the texts live in the caller until [`Self::start`] returned.
    pub(super) arguments: Vec<*const c_char>,
    pub(super) environment: Vec<*const c_char>,
    pub(super) directory: Option<CString>,
    pub(super) channel: Option<OwnedFd>,
    pub(super) streams: [Option<OwnedFd>; 3],
    pub(super) netns: Option<RawFd>,
    pub(super) death_signal: Option<c_int>,
    pub(super) new_session: bool,
    pub(super) new_group: bool,
    pub(super) user: Option<(u32, u32)>,
}

impl Plan {
    /// Forks; returns when the child has become the program or could not.
    pub(super) fn start(&self) -> io::Result<Pid> {
        let (read, low) = pipe_with(PipeFlags::CLOEXEC)?;
        let write = super::above(low.as_fd())?;
        // Whoever keeps a writing end never sees the end of the pipe.
        drop(low);
        let parent = rustix::process::getpid();
        let none = set_of(&[])?;
        // SAFETY: the child makes system calls only and never returns from this block.
        let pid = match check(unsafe { libc::fork() })? {
            0 => {
                let error = self.become_program(parent, &none);
                let code = error.raw_os_error().unwrap_or(libc::EIO);
                let _ = rustix::io::write(&write, &code.to_ne_bytes());
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(127) }
            }
            pid => Pid::from_raw(pid).expect("the child's number is positive"),
        };
        drop(write);
        let mut code = [0; 4];
        let count = loop {
            match rustix::io::read(&read, &mut code) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        if count == code.len() {
            let (id, ended) = (WaitId::Pid(pid), WaitIdOptions::EXITED);
            let _ = waitid(id, ended);
            return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(code)));
        }
        Ok(pid)
    }

    fn become_program(&self, parent: Pid, mask: &libc::sigset_t) -> io::Error {
        match self.prepare(parent, mask) {
            Err(error) => error,
            Ok(()) => {
                // SAFETY: the lists end with null and their texts outlive the call.
                unsafe {
                    libc::execve(
                        self.program.as_ptr(),
                        self.arguments.as_ptr(),
                        self.environment.as_ptr(),
                    );
                }
                io::Error::last_os_error()
            }
        }
    }

    fn prepare(&self, parent: Pid, mask: &libc::sigset_t) -> io::Result<()> {
        if self.new_session {
            rustix::process::setsid()?;
        } else if self.new_group {
            rustix::process::setpgid(None, None)?;
        }
        if let Some(netns) = self.netns {
            // SAFETY: the number is of a descriptor that the caller holds open.
            check(unsafe { libc::setns(netns, libc::CLONE_NEWNET) })?;
        }
        for (number, stream) in (0..).zip(&self.streams) {
            if let Some(stream) = stream {
                put(stream, number)?;
            }
        }
        if let Some(channel) = &self.channel {
            put(channel, CHANNEL)?;
        }
        if let Some(directory) = &self.directory {
            rustix::process::chdir(directory.as_c_str())?;
        }
        if let Some((uid, gid)) = self.user {
            crate::rights::drop_to(uid, gid)?;
        }
        // After the change of user, which would clear it.
        if let Some(signal) = self.death_signal {
            crate::schedule::death_signal(signal)?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(libc::ECHILD));
            }
        }
        default_signals();
        change_mask(libc::SIG_SETMASK, mask)
    }
}

/// Puts a descriptor under a number, open across exec.
fn put(fd: &OwnedFd, number: RawFd) -> io::Result<()> {
    // SAFETY: whatever has the number in this child is meant to be replaced.
    check(unsafe { libc::dup2(fd.as_fd().as_raw_fd(), number) }).map(drop)
}

/// Rust ignores SIGPIPE and a daemon may ignore others; programs expect the defaults.
fn default_signals() {
    const LAST: c_int = 64;
    for signal in 1..=LAST {
        // SAFETY: SIG_DFL runs no code of ours; numbers that cannot be set are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
