//! A small machine of one's own: user, network, mount, process and host name.
//!
//! ```text
//! caller (waits) ─── init (number 1: reaps, passes SIGTERM on) ─── the rest of the program
//! ```
//! When any of the three ends, the ones to its right end too: the kernel kills a process namespace
//! with its number 1, and both children die with their parent.

use std::ffi::CStr;
use std::fs;
use std::io;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::Pid;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::process::Exit;
use crate::raw::check;
use crate::signal::{self, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM, Signal};

/// Where the caller finds itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Isolated {
    /// In the new namespaces, as root of them.
    Inside {
        /// Whether `/proc` shows only what is inside; some containers forbid it.
        fresh_proc: bool,
    },
    /// Outside, after everything inside has ended.
    Ended(Exit),
}

/// Goes on inside new namespaces; the calling process itself waits for the end. Inside, root is
/// mapped if the caller is a plain user, `/run` is empty, `/proc` fresh, `lo` up.
///
/// A first SIGTERM (SIGHUP, a SIGINT that no terminal sent) to the caller is passed on, a second one
/// ends everything.
///
/// # Errors
/// When the process has several threads, or the machine forbids such namespaces.
pub fn isolate(host_name: &str) -> io::Result<Isolated> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("namespaces must be made before the first thread"));
    }
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut flags = UnshareFlags::NEWNET
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC;
    let privileged = crate::rights::has_capability(crate::rights::Capability::SysAdmin);
    if !privileged {
        flags |= UnshareFlags::NEWUSER;
    }
    // SAFETY: the process has one thread and none of the flags shares memory or descriptors.
    unsafe { unshare_unsafe(flags)? };
    if !privileged {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {} 1", uid.as_raw()))?;
        fs::write("/proc/self/gid_map", format!("0 {} 1", gid.as_raw()))?;
    }
    let parent_watches = [SIGCHLD, SIGTERM, SIGINT, SIGHUP];
    signal::change_mask(libc::SIG_BLOCK, &signal::set_of(&parent_watches)?)?;
    match fork()? {
        Some(init) => Ok(Isolated::Ended(wait_for(init, &parent_watches)?)),
        None => become_init(host_name, &parent_watches),
    }
}

fn become_init(host_name: &str, watches: &[Signal]) -> io::Result<Isolated> {
    crate::schedule::death_signal(SIGKILL)?;
    let fresh_proc = furnish(host_name)?;
    let Some(program) = fork()? else {
        crate::schedule::death_signal(SIGKILL)?;
        signal::change_mask(libc::SIG_UNBLOCK, &signal::set_of(watches)?)?;
        return Ok(Isolated::Inside { fresh_proc });
    };
    let code = match wait_for(program, watches) {
        Ok(Exit::Code(code)) => code,
        Ok(Exit::Signal(signal)) => 128 + signal,
        Err(_) => 1,
    };
    // SAFETY: number 1 ends without running what belongs to the program it was forked from.
    unsafe { libc::_exit(code) }
}

/// Mounts and names; tells whether `/proc` is fresh.
fn furnish(host_name: &str) -> io::Result<bool> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    let fresh_proc =
        mount("proc", "/proc", "proc", plain | MountFlags::NOEXEC, None::<&CStr>).is_ok();
    mount("outlast", "/run", "tmpfs", plain, Some(c"mode=755"))?;
    // SAFETY: pointer and length describe the bytes of the name.
    check(unsafe { libc::sethostname(host_name.as_ptr().cast(), host_name.len()) })?;
    super::loopback_up()?;
    Ok(fresh_proc)
}

/// `None` in the child.
fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the process has one thread, so the child finds every lock free.
    Ok(Pid::from_raw(check(unsafe { libc::fork() })?))
}

/// Reaps every child until the given one has ended; passes SIGTERM on, then kills.
fn wait_for(child: Pid, watches: &[Signal]) -> io::Result<Exit> {
    use rustix::process::{Signal as Named, WaitOptions, kill_process, wait};
    let set = signal::set_of(watches)?;
    let mut asked = false;
    loop {
        let mut record = std::mem::MaybeUninit::<libc::siginfo_t>::uninit();
        // SAFETY: `set` is initialised and blocked, `record` is live and large enough.
        let number = unsafe { libc::sigwaitinfo(&raw const set, record.as_mut_ptr()) };
        match check(number) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        // SAFETY: the kernel filled the record.
        let from_terminal = unsafe { record.assume_init() }.si_code == libc::SI_KERNEL;
        // A shell starts what is in the background with SIGINT ignored: there the program would not
        // hear it, so it hears SIGTERM.
        if number == SIGTERM || number == SIGHUP || (number == SIGINT && !from_terminal) {
            let _ = kill_process(child, if asked { Named::KILL } else { Named::TERM });
            asked = true;
        }
        // A terminal sends its SIGINT to the whole group, the program included: nothing to pass on.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => continue,
                });
            }
        }
    }
}
