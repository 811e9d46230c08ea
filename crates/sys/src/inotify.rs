//! Tells that something in a folder changed, and nothing more: whoever wants to know looks.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

/// For whoever opens what lies there: a pipe that nobody writes to does not stop him.
pub const NONBLOCK: i32 = libc::O_NONBLOCK;

/// Some folders.
#[derive(Debug)]
pub struct Folders {
    fd: OwnedFd,
}

impl Folders {
    /// None yet.
    ///
    /// # Errors
    /// When the kernel gives no descriptor (its limit is `fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { fd })
    }

    /// From now on what is written, made, moved or removed there makes the descriptor readable. Twice is once.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn watch(&self, folder: &Path) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.fd, folder, flags)?;
        Ok(())
    }

    /// Forgets what was told so far.
    pub fn drain(&self) {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.fd, &mut room);
        while reader.next().is_ok() {}
    }
}

impl AsFd for Folders {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::poll::{Interest, Poller};

    #[test]
    fn what_is_written_made_or_removed_in_a_folder_is_told() {
        let folder = std::env::temp_dir().join(format!("outlast-folder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of the test");
        let folders = Folders::new().expect("a descriptor");
        let (poller, mut ready) = (Poller::new().expect("a poller"), Vec::new());
        poller.add(folders.as_fd(), 1, Interest::READ).expect("it can be polled");
        assert!(folders.watch(&folder.join("absent")).is_err());
        folders.watch(&folder).expect("it is there");
        let file = folder.join("file");
        let mut told = |what: &str, expected: bool| {
            poller.wait(&mut ready, Some(Duration::ZERO)).expect("it polls");
            assert_eq!(!ready.is_empty(), expected, "{what}");
            folders.drain();
        };
        told("nothing", false);
        std::fs::write(&file, "1").expect("a file of the test");
        told("made", true);
        std::fs::write(&file, "2").expect("a file of the test");
        told("written", true);
        told("told once", false);
        std::fs::remove_dir_all(&folder).expect("it was made");
        told("removed", true);
    }
}
