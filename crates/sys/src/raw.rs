//! The few shapes in which libc answers.

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `-1` becomes the error in `errno`.
pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A count of bytes, or the error in `errno`.
pub(crate) fn check_count(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_negative| io::Error::last_os_error())
}

/// `setsockopt` for the options rustix does not know.
pub(crate) fn set_option<T: Copy>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: `value` is a live `T` and the length is its size; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            length_of::<T>(),
        )
    };
    check(result).map(drop)
}

/// Size of a type as the kernel's `socklen_t`.
pub(crate) fn length_of<T>() -> libc::socklen_t {
    c_uint::try_from(size_of::<T>()).expect("structures of the socket calls are small")
}

/// Ties a socket to a device; needs `CAP_NET_RAW` only where it was tied before.
pub(crate) fn bind_to_device(fd: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    let length = libc::socklen_t::try_from(interface.len())
        .map_err(|_long| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: pointer and length describe the bytes of `interface`, which outlive the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            interface.as_ptr().cast(),
            length,
        )
    };
    check(result).map(drop)
}

/// Index of a device in this thread's network namespace.
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: `name` is a string with its terminating zero.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::last_os_error()) } else { Ok(index) }
}
