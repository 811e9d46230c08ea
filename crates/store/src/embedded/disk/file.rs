//! The file of redb: opened, checked, and its fsyncs counted.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

/// Of redb, bytes: what is read twice is in our own cache.
const PAGES: usize = 8 << 20;

/// Makes the folder of a store, for its owner alone: what is kept there may hold passwords. One that a former release
/// made for everybody is closed, too.
pub(crate) fn own_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if path.metadata()?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(0o700)) {
        // What cannot be written is told when it is to be.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        done => done,
    }
}

pub(super) fn database(path: &Path, syncs: &Arc<AtomicU64>) -> io::Result<Database> {
    database_in(counted(path, syncs)?)
}

pub(super) fn counted(path: &Path, syncs: &Arc<AtomicU64>) -> io::Result<Counted> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    let file = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Counted { file, syncs: Arc::clone(syncs) })
}

pub(super) fn database_in(backend: impl StorageBackend) -> io::Result<Database> {
    let mut database = redb::Builder::new()
        .set_cache_size(PAGES)
        .create_with_backend(backend)
        .map_err(io::Error::other)?;
    // Every page has a checksum, and only this compares them: tens of milliseconds for a full store.
    match database.check_integrity() {
        Ok(_) => Ok(database),
        Err(source) => Err(io::Error::new(io::ErrorKind::InvalidData, source)),
    }
}

/// A file whose fsyncs are counted when they are done.
#[derive(Debug)]
pub(super) struct Counted {
    file: FileBackend,
    syncs: Arc<AtomicU64>,
}

impl StorageBackend for Counted {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_store_is_its_owners_alone_also_one_that_a_former_release_made() {
        let path = std::env::temp_dir().join(format!("outlast-store-{}", std::process::id()));
        let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
        own_folder(&path).unwrap();
        assert_eq!(mode(), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        own_folder(&path).unwrap();
        assert_eq!(mode(), 0o700);
        fs::remove_dir(&path).unwrap();
    }
}
