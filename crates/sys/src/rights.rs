//! Who this process is and what it may do.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::raw::check;

/// Longest entry of the user database that is read (bytes).
const LONGEST_ENTRY: usize = 1024 * 1024;

/// A right that the kernel checks one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capability {
    /// Addresses, devices, non-local binds.
    NetAdmin,
    /// Raw and packet sockets.
    NetRaw,
    /// Ports below 1024.
    NetBindService,
    /// Real-time scheduling. Inside of a user namespace it is had without effect.
    SysNice,
    SysAdmin,
}

/// Numbers of a user and its first group.
#[must_use]
pub fn user(name: &str) -> Option<(u32, u32)> {
    let name = CString::new(name).ok()?;
    look_up(|buffer: &mut [libc::c_char]| {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are to live memory of the sizes given.
        let code = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        // SAFETY: a non-null result says that the entry was filled.
        (code, (!found.is_null()).then(|| unsafe { ((*found).pw_uid, (*found).pw_gid) }))
    })
}

/// Number of a group.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    look_up(|buffer: &mut [libc::c_char]| {
        let mut entry = MaybeUninit::<libc::group>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are to live memory of the sizes given.
        let code = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        // SAFETY: a non-null result says that the entry was filled.
        (code, (!found.is_null()).then(|| unsafe { (*found).gr_gid }))
    })
}

fn look_up<T>(mut ask: impl FnMut(&mut [libc::c_char]) -> (i32, Option<T>)) -> Option<T> {
    let mut buffer = vec![0; 4096];
    loop {
        match ask(&mut buffer) {
            (libc::ERANGE, _) if buffer.len() < LONGEST_ENTRY => buffer.resize(buffer.len() * 4, 0),
            (_, found) => return found,
        }
    }
}

/// Makes `path` the root folder and the present one.
///
/// # Errors
/// Without the right, or when there is no such folder.
pub fn chroot(path: &Path) -> io::Result<()> {
    rustix::process::chroot(path)?;
    Ok(rustix::process::chdir(c"/")?)
}

/// Gives up every right but those of a user: the whole process, for good. What was kept out of core dumps
/// before stays out, whatever `fs.suid_dumpable` says of processes that change their user.
///
/// # Errors
/// Without the right to change.
pub fn drop_to(uid: u32, gid: u32) -> io::Result<()> {
    let was_dumped = is_dumped().unwrap_or(true);
    // SAFETY: the list has the one entry that is announced. glibc changes all threads.
    check(unsafe { libc::setgroups(1, &raw const gid) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::setresuid(uid, uid, uid) })?;
    if !was_dumped {
        keep_out_of_core_dumps();
    }
    Ok(())
}

/// Lets processes of another user signal this one, and the kernel in the name of a parent that became that user: a
/// process's death signal (prctl(2)) is sent with the rights that its parent has at its end. It is the real user of
/// this thread from then on; the effective and the saved one stay, so its files, its memory and its debuggers are as
/// before (kill(2), ptrace(2)).
///
/// # Errors
/// Without the right to change.
pub fn let_signal(uid: u32) -> io::Result<()> {
    let uid = rustix::process::Uid::from_raw(uid);
    Ok(rustix::thread::set_thread_res_uid(uid, None, None)?)
}

/// Gives up every capability of this thread and those it will start, whoever the user is: also those
/// that a service manager gave to a plain user.
///
/// # Errors
/// None that a correct program sees.
pub fn drop_capabilities() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Whether the effective user is number 0 (here, maybe of a user namespace).
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The real user of this process.
#[must_use]
pub fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Keeps this process's memory out of core dumps and away from debuggers of the same user, as far as the
/// kernel lets us. Neither outlives an `execve` for sure: each program asks for itself, also because a limit of
/// 0 bytes stops no dump that goes to a program (`core_pattern`, core(5)).
pub fn keep_out_of_core_dumps() {
    // Both cannot fail for one's own process; where they are forbidden, the secrets are still read.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Whether the kernel writes this process's memory to a file when it crashes.
///
/// # Errors
/// When the kernel does not say.
pub fn is_dumped() -> io::Result<bool> {
    use rustix::process::{DumpableBehavior, dumpable_behavior};
    Ok(dumpable_behavior()? == DumpableBehavior::Dumpable)
}

/// The user as whom this process acts.
#[must_use]
pub fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this thread has the right in its user namespace.
#[must_use]
pub fn has_capability(capability: Capability) -> bool {
    let wanted = match capability {
        Capability::NetAdmin => CapabilitySet::NET_ADMIN,
        Capability::NetRaw => CapabilitySet::NET_RAW,
        Capability::NetBindService => CapabilitySet::NET_BIND_SERVICE,
        Capability::SysNice => CapabilitySet::SYS_NICE,
        Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
    };
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Who is on the other side of a connected unix socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    pub uid: u32,
    pub pid: i32,
    /// The first one and the others, as they were when it connected.
    pub groups: Vec<u32>,
}

/// Who connected a unix socket, as the kernel attests.
///
/// # Errors
/// When it is no such socket.
pub fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let peer = rustix::net::sockopt::socket_peercred(socket)?;
    let mut groups = vec![peer.gid.as_raw()];
    // A kernel before 4.13 does not tell: then only the first group counts.
    groups.extend(more_groups(socket).unwrap_or_default());
    Ok(Peer { uid: peer.uid.as_raw(), pid: peer.pid.as_raw_nonzero().get(), groups })
}

fn more_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // NGROUPS_MAX; who is in so many is rare, and this is asked once per connection.
    const MOST: usize = 65_536;
    let mut groups: Vec<u32> = vec![0; 64];
    loop {
        let bytes = groups.len() * size_of::<u32>();
        let mut length = libc::socklen_t::try_from(bytes).map_err(io::Error::other)?;
        // SAFETY: the buffer has as many bytes as `length` says.
        let code = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        match check(code) {
            Ok(_) => {
                groups.truncate(usize::try_from(length).unwrap_or(0) / size_of::<u32>());
                return Ok(groups);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < MOST => {
                groups.resize(MOST, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether this is a user namespace: its root has the name, but not every number to change to.
#[must_use]
pub fn is_contained() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| {
        let mut words = map.split_whitespace();
        words.nth(2).is_none_or(|count| count != "4294967295")
    })
}

/// Raises the limit of open descriptors as far as allowed, at most to `wanted`; returns what is in
/// force now.
///
/// # Errors
/// None that a correct program sees.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let old = getrlimit(Resource::Nofile);
    let current = old.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return Ok(current);
    }
    let maximum = old.maximum.unwrap_or(u64::MAX);
    let limit = |current, maximum| Rlimit { current: Some(current), maximum: Some(maximum) };
    if maximum < wanted && setrlimit(Resource::Nofile, limit(wanted, wanted)).is_ok() {
        return Ok(wanted);
    }
    let reachable = wanted.min(maximum);
    setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: old.maximum })?;
    Ok(reachable)
}

/// Makes room at once for so many open descriptors, as far as the limit goes. The kernel's table of them grows when it is full, and
/// where threads share it, whoever opens one then waits until every processor has been elsewhere (an RCU grace period): 10 to
/// 130 ms on a busy machine. Call it before the first thread is started; 8 bytes each.
///
/// # Errors
/// When the kernel has no memory for it: then it grows as ever.
pub fn make_room_for_files(count: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = i32::try_from(count.min(limit).saturating_sub(1)).unwrap_or(i32::MAX);
    let any = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
    if last > any.as_raw_fd() {
        drop(rustix::io::fcntl_dupfd_cloexec(&any, last)?);
    }
    Ok(())
}

/// Keeps a descriptor open until the process ends, under the last number below `count`. What a process leaves open, the
/// kernel closes from the last number down, and for hundreds of connections that takes 10 ms: whoever waits at the other
/// end knows at once.
///
/// # Errors
/// Where that number is not allowed.
pub fn keep_as_last(fd: &OwnedFd, count: u64) -> io::Result<()> {
    let last = i32::try_from(count.saturating_sub(1)).unwrap_or(i32::MAX);
    let _open = rustix::io::fcntl_dupfd_cloexec(fd, last)?.into_raw_fd();
    Ok(())
}

/// The same descriptor under the last number below `count`, or itself where that number is not allowed: the first that
/// the kernel closes of what a process leaves open, so whoever waits at its other end knows at once.
#[must_use]
pub fn move_to_last(fd: OwnedFd, count: u64) -> OwnedFd {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = i32::try_from(count.min(limit).saturating_sub(1)).unwrap_or(i32::MAX);
    rustix::io::fcntl_dupfd_cloexec(&fd, last).unwrap_or(fd)
}

/// The name of this machine (of its UTS namespace).
#[must_use]
pub fn host_name() -> String {
    let mut buffer = [0_u8; 256];
    // SAFETY: the buffer has the length given, less one byte that stays zero.
    unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    CStr::from_bytes_until_nul(&buffer)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The same, up to its first dot.
#[must_use]
pub fn short_host_name() -> String {
    let name = host_name();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name() {
        assert_eq!(user("root"), Some((0, 0)));
        assert_eq!(group("root"), Some(0));
        assert_eq!(user("nobody-of-that-name"), None);
        assert_eq!(group("no group"), None);
    }

    #[test]
    fn capabilities_that_were_dropped_are_gone() {
        // Only of the thread that asks for it.
        let thread = std::thread::spawn(|| {
            drop_capabilities().unwrap();
            (has_capability(Capability::NetRaw), has_capability(Capability::SysAdmin))
        });
        assert_eq!(thread.join().unwrap(), (false, false));
    }

    #[test]
    fn who_asks_over_a_unix_socket_is_known() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let peer = peer(one.as_fd()).unwrap();
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.pid, rustix::process::getpid().as_raw_nonzero().get());
        let own = rustix::process::getgroups().unwrap();
        assert!(own.iter().all(|group| peer.groups.contains(&group.as_raw())), "{peer:?} {own:?}");
        assert!(peer.groups.contains(&rustix::process::getegid().as_raw()), "{peer:?}");
    }

    #[test]
    fn the_limit_of_descriptors_never_sinks() {
        let before = raise_open_files(1).unwrap();
        assert!(raise_open_files(before).unwrap() >= before);
    }

    #[test]
    fn the_table_of_descriptors_is_as_large_as_was_asked_or_as_is_allowed() {
        let allowed = raise_open_files(700).unwrap();
        make_room_for_files(700).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(size.trim().parse::<u64>().unwrap() >= allowed.min(700), "{size}");
        make_room_for_files(0).unwrap();
    }

    #[test]
    fn the_last_number_is_kept_until_the_end() {
        let allowed = raise_open_files(900).unwrap().min(900);
        let (ours, theirs) = io::pipe().unwrap();
        let theirs = OwnedFd::from(theirs);
        keep_as_last(&theirs, allowed).unwrap();
        drop(theirs);
        let poll = rustix::event::PollFd::new(&ours, rustix::event::PollFlags::IN);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut [poll], Some(&now)), Ok(0), "nobody closed it");
        assert!(Path::new(&format!("/proc/self/fd/{}", allowed - 1)).exists());
    }

    #[test]
    fn what_is_moved_to_the_last_number_is_open_there_alone() {
        let allowed = raise_open_files(900).unwrap().min(900);
        let (ours, theirs) = io::pipe().unwrap();
        let moved = move_to_last(theirs.into(), allowed - 1);
        assert!(u64::try_from(moved.as_raw_fd()).unwrap() >= allowed - 2);
        drop(moved);
        assert_eq!(io::read_to_string(ours).unwrap(), "", "nobody has its other end");
        let (ours, theirs) = io::pipe().unwrap();
        let stays = move_to_last(theirs.into(), u64::MAX);
        assert_eq!(rustix::io::write(&stays, b"x").unwrap(), 1);
        drop(stays);
        assert_eq!(io::read_to_string(ours).unwrap(), "x");
    }

    #[test]
    fn what_reads_secrets_is_not_dumped() {
        assert!(is_dumped().unwrap());
        keep_out_of_core_dumps();
        assert!(!is_dumped().unwrap());
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }
}
