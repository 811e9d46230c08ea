//! Files that only their owner may read, written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// No file of the trust folder is longer: a roster of 1,024 nodes takes about 500 kB.
const MAX_FILE: u64 = 4 << 20;

/// What cannot be done with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {path}; what was there is unchanged")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} can be read by others (mode {mode:03o}): chmod 600 it, and change what it holds"
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("{path} is longer than {MAX_FILE} bytes")]
    Long { path: PathBuf },
}

/// Makes the folder, for its owner alone.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Writes beside the file, then takes its place: a full disk or a crash leaves the old one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = path.with_extension("new");
    let replace = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // A name alone is in the folder one is in.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    replace().map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// A link in place of a file that is elsewhere, by its absolute path.
pub(crate) fn point(link: &Path, file: &Path) -> Result<(), FileError> {
    let made = file.canonicalize().and_then(|file| std::os::unix::fs::symlink(file, link));
    made.map_err(|source| FileError::Write { path: link.to_owned(), source })
}

/// Keeps what is there under another name, out of the way.
pub(crate) fn put_aside(path: &Path) -> Result<(), FileError> {
    let aside = fs::rename(path, path.with_extension("damaged"));
    aside.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Reads a file that nobody else may read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let wrong = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(wrong)?;
    let facts = file.metadata().map_err(wrong)?;
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    let mut bytes = vec![];
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(FileError::Long { path: path.to_owned() });
    }
    Ok(bytes)
}

/// One process at a time changes the folder; gone with the file.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing it unlocks")] File);

impl Lock {
    /// Waits for the process that has it; none holds it longer than writing a few files takes.
    pub(crate) fn take(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join("lock");
        let take = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        take().map(Self).map_err(|source| FileError::Write { path: path.clone(), source })
    }
}
