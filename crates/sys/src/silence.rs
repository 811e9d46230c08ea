//! A socket that drops what arrives: the other side sees a machine that vanished, not a reset.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::raw::{check, set_option};

/// Drops every packet for this socket, and for those it accepts from now on, before the kernel
/// answers it.
///
/// # Errors
/// When it is no socket.
pub fn drop_arriving(fd: BorrowedFd<'_>) -> io::Result<()> {
    // A program of one instruction: keep 0 bytes of every packet.
    let mut program = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }];
    let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

/// Undoes [`drop_arriving`].
///
/// # Errors
/// When nothing was being dropped.
pub fn hear_again(fd: BorrowedFd<'_>) -> io::Result<()> {
    let none: libc::c_int = 0;
    // SAFETY: the option takes no value; pointer and length describe a live integer.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DETACH_FILTER,
            (&raw const none).cast(),
            crate::raw::length_of::<libc::c_int>(),
        )
    };
    check(result).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_silent_listener_neither_accepts_nor_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop_arriving(listener.as_fd()).unwrap();
        let patience = Duration::from_millis(50);
        let error = TcpStream::connect_timeout(&address, patience).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        hear_again(listener.as_fd()).unwrap();
        TcpStream::connect(address).unwrap();
    }
}
