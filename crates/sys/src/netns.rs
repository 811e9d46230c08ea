//! Network namespaces: a whole network of nodes inside one machine.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

pub use isolate::{Isolated, isolate};

mod isolate;

/// The namespace of this thread.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Of another process.
///
/// # Errors
/// When there is none, or it belongs to somebody else.
pub fn of_process(pid: i32) -> io::Result<OwnedFd> {
    Ok(File::open(Path::new("/proc").join(pid.to_string()).join("ns/net"))?.into())
}

/// Whether both are one.
///
/// # Errors
/// None for descriptors of namespaces.
pub fn are_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(identity(one)? == identity(other)?)
}

/// Where `ip netns` names them.
const NAMED: &str = "/run/netns";

/// By which the kernel knows it while it is there: device and inode. Of one that is gone another one may have it.
///
/// # Errors
/// None for descriptors of namespaces.
pub fn identity(fd: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let found = rustix::fs::fstat(fd)?;
    Ok((found.st_dev, found.st_ino))
}

/// The name under which it is known there (`ip netns add`), if it has one.
#[must_use]
pub fn name_of(identity: (u64, u64)) -> Option<String> {
    let named = std::fs::read_dir(NAMED).ok()?.flatten();
    let mut found = named.filter(|entry| {
        let known = std::fs::metadata(entry.path());
        known.is_ok_and(|known| (known.dev(), known.ino()) == identity)
    });
    found.next()?.file_name().into_string().ok()
}

/// That of a name.
///
/// # Errors
/// There is none of that name.
pub fn named(name: &str) -> io::Result<OwnedFd> {
    if name.contains('/') || matches!(name, "" | "." | "..") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a namespace"));
    }
    Ok(File::open(Path::new(NAMED).join(name))?.into())
}

/// Moves this thread, and those it starts later, into a namespace.
///
/// # Errors
/// Without `CAP_SYS_ADMIN`.
pub fn enter(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(fd, Some(LinkNameSpaceType::Network))?)
}

/// Moves this thread, and those it starts later, into a namespace that has a name (`ip netns add`).
///
/// # Errors
/// There is none of that name, or this process has no `CAP_SYS_ADMIN`.
pub fn enter_named(name: &str) -> io::Result<()> {
    enter(named(name)?.as_fd())
}

/// Makes a namespace, with its loopback up; it lives as long as the descriptor, a device's pair or
/// a process inside.
///
/// # Errors
/// Without `CAP_SYS_ADMIN`.
pub fn create() -> io::Result<OwnedFd> {
    in_thread(|| {
        // SAFETY: a network namespace does not concern the memory or descriptors of this thread.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
        loopback_up()?;
        current()
    })?
}

/// Runs `work` in a thread inside a namespace. Sockets it opens stay there.
///
/// # Errors
/// Without `CAP_SYS_ADMIN`.
///
/// # Panics
/// When `work` does.
pub fn within<T: Send>(fd: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    in_thread(|| {
        enter(fd)?;
        Ok(work())
    })?
}

/// Sets a kernel parameter, as `net.ipv4.ip_nonlocal_bind`; those under `net` are of the calling
/// thread's namespace.
///
/// # Errors
/// When there is no such parameter or it may not be set.
pub fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    std::fs::write(path, value)
}

/// Brings up `lo` in this thread's namespace.
///
/// # Errors
/// Without `CAP_NET_ADMIN`.
pub fn loopback_up() -> io::Result<()> {
    /// The kernel makes it first, so its number is always 1.
    const LOOPBACK: u32 = 1;
    crate::netlink::Netlink::open()?.set_up(LOOPBACK, true)
}

fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, work)?;
        match thread.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
