//! A named pipe that is written without waiting for whoever reads it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, chownat, mknodat, open, unlink};

/// The end that is written.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    fd: OwnedFd,
    /// It was made here, and goes with this end.
    is_ours: bool,
}

impl Fifo {
    /// Opens the pipe, and makes it where there is none, for `owner` (user and group) alone. What is
    /// written before somebody reads waits in it.
    ///
    /// # Errors
    /// When something else is there, also a link, or the folder is not there.
    pub fn open(path: &Path, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let mode = Mode::RUSR | Mode::WUSR;
        let is_ours = match mknodat(CWD, path, FileType::Fifo, mode, 0) {
            Ok(()) => true,
            Err(rustix::io::Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        if let Some((user, group)) = owner.filter(|_| is_ours) {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            chownat(CWD, path, Some(user), Some(group), flags)?;
        }
        // For both, so that it is open whether somebody reads or not.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = open(path, flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Fifo {
            return Err(io::Error::other("it is no named pipe"));
        }
        Ok(Self { path: path.to_owned(), fd, is_ours })
    }

    /// Writes all of a line of up to 4096 bytes, or nothing (`PIPE_BUF`).
    ///
    /// # Errors
    /// `WouldBlock` while the pipe is full.
    pub fn write(&self, line: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.fd, line)?;
        Ok(())
    }
}

impl Drop for Fifo {
    /// Before it is closed: who opens it anew at its end finds it no more.
    fn drop(&mut self) {
        if self.is_ours {
            // Somebody may have removed it.
            let _gone = unlink(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_full_pipe_takes_nothing_and_a_read_one_the_next_line() {
        let path = std::env::temp_dir().join(format!("outlast-fifo-{}", std::process::id()));
        let fifo = Fifo::open(&path, None).expect("a folder of the test");
        let line = [b'x'; 4096];
        let mut written = 0;
        while fifo.write(&line).is_ok() {
            written += 1;
        }
        let error = fifo.write(&line).expect_err("it is full");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut reader = std::fs::File::open(&path).expect("it is there");
        let mut bytes = vec![0; 4096 * written];
        reader.read_exact(&mut bytes).expect("all that was written");
        fifo.write(b"next\n").expect("there is room");
        let mut next = [0; 5];
        reader.read_exact(&mut next).expect("the next line");
        assert_eq!(&next, b"next\n");
        drop(fifo);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_pipe_is_refused_and_stays() {
        let path = std::env::temp_dir().join(format!("outlast-no-fifo-{}", std::process::id()));
        std::fs::write(&path, "a file").expect("a file of the test");
        assert_eq!(Fifo::open(&path, None).expect_err("a file").to_string(), "it is no named pipe");
        assert_eq!(std::fs::read(&path).expect("it stays"), b"a file");
        std::fs::remove_file(&path).expect("it was written");
    }
}
