//! The file of redb: opened, checked, and its fsyncs counted.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

/// Of redb, bytes: what is read twice is in our own cache.
const PAGES: usize = 8 << 20;

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
