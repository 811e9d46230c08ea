//! Files that live in memory, and memory that is not paged out.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::mm::{MlockAllFlags, mlockall};

/// Longer texts are no configuration (bytes).
const LONGEST: u64 = 64 * 1024 * 1024;

/// A file without a name in any folder, which nobody can change any more.
///
/// # Errors
/// When the process has no descriptor left.
pub fn file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = &rest[written..];
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// The whole file, whatever was read from it before.
///
/// # Errors
/// When it cannot be read or is longer than any configuration.
pub fn read(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let size = u64::try_from(fstat(fd)?.st_size).unwrap_or(0);
    if size > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut done = 0;
    while done < bytes.len() {
        let offset = u64::try_from(done).unwrap_or(u64::MAX);
        match rustix::io::pread(fd, &mut bytes[done..], offset)? {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Keeps every page this process touches from now on in memory. Pages it never touches are not
/// brought in, so that the program's size does not become its footprint.
///
/// # Errors
/// Without the right or above the limit `RLIMIT_MEMLOCK`.
pub fn lock_all() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_is_read_twice_and_cannot_be_changed() {
        let file = file("haproxy.cfg", b"listen a").unwrap();
        assert_eq!(read(file.as_fd()).unwrap(), b"listen a");
        assert_eq!(read(file.as_fd()).unwrap(), b"listen a");
        assert!(rustix::io::write(&file, b"x").is_err());
    }
}
