//! Children: started with one socket as descriptor 3, watched through a pidfd.
//!
//! `fork` and `exec` are done here and not by `std`, because the child's descriptor 3, its network
//! namespace and its death signal must be set in between without a descriptor getting in the way.

use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use crate::channel::Channel;
pub use crate::signal::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM,
    SIGUSR1, SIGUSR2, Signal,
};

mod child;
pub mod stand_in;
pub mod table;

/// The number under which a child finds its [`Channel`].
pub const CHANNEL: RawFd = 3;

/// A child of this process. Dropping it neither ends nor reaps it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

/// How to start a child.
#[derive(Debug, Default)]
pub struct SpawnOptions<'a> {
    pub netns: Option<BorrowedFd<'a>>,
    /// Sent to the child when the *thread* that started it ends.
    pub death_signal: Option<Signal>,
    /// None: `/dev/null`.
    pub stdin: Option<OwnedFd>,
    /// None: this process's own.
    pub stdout: Option<OwnedFd>,
    /// None: this process's own.
    pub stderr: Option<OwnedFd>,
    pub new_session: bool,
    /// The child leads a process group, which [`Child::signal_group`] reaches.
    pub new_group: bool,
    /// Numbers of user and group to run as.
    pub user: Option<(u32, u32)>,
    pub directory: Option<&'a Path>,
    /// Added to the environment of this process.
    pub environment: &'a [(&'a str, &'a OsStr)],
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// Starts a program. The child has an empty signal mask and default actions for signals, the
/// standard streams, and nothing else open than what is not closed on exec.
///
/// # Errors
/// When the program cannot be started, with the reason that the child met.
pub fn spawn(
    program: &Path,
    argv0: Option<&str>,
    args: &[&OsStr],
    channel: Option<&Channel>,
    options: SpawnOptions<'_>,
) -> io::Result<Child> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let mut arguments = Vec::with_capacity(args.len() + 1);
    arguments.push(text(argv0.map_or_else(|| program.as_os_str().as_bytes(), str::as_bytes))?);
    for argument in args {
        arguments.push(text(argument.as_bytes())?);
    }
    let environment = environment(options.environment)?;
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let stdin = match options.stdin {
        Some(fd) => fd,
        None => std::fs::File::open("/dev/null")?.into(),
    };
    let plan = child::Plan {
        program: text(program.as_os_str().as_bytes())?,
        arguments: pointers(&arguments),
        environment: pointers(&environment),
        directory: options.directory.map(|path| text(path.as_os_str().as_bytes())).transpose()?,
        channel: channel.map(|channel| above(channel.as_fd())).transpose()?,
        streams: [
            Some(above(stdin.as_fd())?),
            options.stdout.as_ref().map(|fd| above(fd.as_fd())).transpose()?,
            options.stderr.as_ref().map(|fd| above(fd.as_fd())).transpose()?,
        ],
        netns: options.netns.map(|fd| fd.as_raw_fd()),
        death_signal: options.death_signal,
        new_session: options.new_session,
        new_group: options.new_group,
        user: options.user,
    };
    let pid = plan.start()?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Child { pid, pidfd }),
        Err(error) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
            Err(error.into())
        }
    }
}

/// A duplicate that lies above the numbers the child gets.
fn above(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 16)?)
}

fn environment(added: &[(&str, &OsStr)]) -> io::Result<Vec<CString>> {
    let mut all: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| !added.iter().any(|(other, _)| name == other))
        .collect();
    all.extend(added.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())));
    all.into_iter()
        .map(|(name, value)| {
            let mut entry = name.as_bytes().to_vec();
            entry.push(b'=');
            entry.extend_from_slice(value.as_bytes());
            CString::new(entry).map_err(io::Error::from)
        })
        .collect()
}

impl Child {
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Readable when the child has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// # Errors
    /// When the child was reaped already.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, crate::signal::named(signal)?)?)
    }

    /// Reaches the child's process group; only for children with `new_group` or `new_session`
    /// that were not reaped.
    ///
    /// # Errors
    /// When nobody of the group lives.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        Ok(rustix::process::kill_process_group(self.pid, crate::signal::named(signal)?)?)
    }

    /// How the child ended, if it did; does not wait.
    ///
    /// # Errors
    /// When it was reaped before.
    pub fn reap(&self) -> io::Result<Option<Exit>> {
        self.collect(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Whether it was stopped (true) or goes on (false) since this was asked last; none: neither. SIGCHLD says when to ask.
    /// What a debugger does to it is not told.
    ///
    /// # Errors
    /// When the child was reaped before.
    pub fn stopped(&self) -> io::Result<Option<bool>> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?;
        Ok(status.map(|status| status.stopped()))
    }

    /// Waits for the child's end.
    ///
    /// # Errors
    /// When it was reaped before.
    pub fn wait(&self) -> io::Result<Exit> {
        loop {
            match self.collect(WaitIdOptions::EXITED) {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn collect(&self, options: WaitIdOptions) -> io::Result<Option<Exit>> {
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?;
        Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Code(-1),
        }))
    }
}

/// The number of the process whose child this one is; none: it lies in another namespace.
#[must_use]
pub fn parent() -> Option<i32> {
    rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get())
}

/// Whether the first thread of a process runs no code any more, as the kernel takes the process down (`PF_EXITING`, proc(5)). Where
/// what all its threads share is closed already, none of them does. False of one that is gone.
#[must_use]
pub fn is_exiting(pid: i32) -> bool {
    const EXITING: u64 = 0x4;
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // `pid (name) state ppid pgrp session tty tpgid flags ...`, and a name may have anything in it.
    let after = stat.iter().rposition(|byte| *byte == b')').map_or(&[][..], |at| &stat[at + 1..]);
    let flags = std::str::from_utf8(after).ok().and_then(|text| text.split_whitespace().nth(6));
    flags.and_then(|flags| flags.parse::<u64>().ok()).is_some_and(|flags| flags & EXITING != 0)
}

/// A pidfd of any process: readable when it has ended.
///
/// # Errors
/// When there is no such process.
pub fn watch(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Signals the process behind a pidfd, which cannot be another one that got its number.
///
/// # Errors
/// When it has ended, or belongs to somebody else.
pub fn signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    Ok(pidfd_send_signal(pidfd, crate::signal::named(signal)?)?)
}

#[cfg(test)]
mod tests;
