//! openraft's state machine: the content of the store, in memory, and its snapshots on disk.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::kv::{Kv, read_snapshot};
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, StorageIOError};
use tokio::sync::watch;

use super::disk::Disk;
use super::types::{Image, LogEntry, LogId, Members, Results, SnapshotMeta, StorageError, Types};

type Snapshot = openraft::Snapshot<Types>;

/// Handles of one content.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    disk: Arc<Disk>,
    inner: Arc<Mutex<Inner>>,
    /// Its revision, for those who watch.
    revision: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Inner {
    kv: Kv,
    applied: Option<LogId>,
    members: Members,
}

impl Content {
    /// As the newest snapshot on disk has it; the log's entries follow.
    pub(crate) fn load(disk: Arc<Disk>) -> io::Result<Self> {
        let mut inner = Inner::default();
        if let Some((meta, image)) = disk.snapshot()? {
            inner.restore(&meta, &image)?;
        }
        let revision = Arc::new(watch::Sender::new(inner.kv.revision()));
        Ok(Self { disk, inner: Arc::new(Mutex::new(inner)), revision })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the content as it is on this node now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Kv) -> T) -> T {
        look(&self.inner().kv)
    }

    pub(crate) fn applied(&self) -> Option<LogId> {
        self.inner().applied
    }

    pub(crate) fn members(&self) -> Members {
        self.inner().members.clone()
    }

    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }
}

impl Inner {
    fn restore(&mut self, meta: &SnapshotMeta, image: &Image) -> io::Result<()> {
        let kv = read_snapshot(&image.0)
            .map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
        *self = Self { kv, applied: meta.last_log_id, members: meta.last_membership.clone() };
        Ok(())
    }

    fn apply(&mut self, entry: LogEntry) -> Results {
        self.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Results(vec![]),
            EntryPayload::Normal(batch) => {
                Results(batch.0.iter().map(|entry| self.kv.apply(entry)).collect())
            }
            EntryPayload::Membership(membership) => {
                self.members = Members::new(Some(entry.log_id), membership);
                Results(vec![])
            }
        }
    }
}

impl RaftStateMachine<Types> for Content {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Members), StorageError> {
        let inner = self.inner();
        Ok((inner.applied, inner.members.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Results>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut inner = self.inner();
        let results = entries.into_iter().map(|entry| inner.apply(entry)).collect();
        let revision = inner.kv.revision();
        drop(inner);
        self.revision.send_replace(revision);
        Ok(results)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Image>, StorageError> {
        Ok(Box::new(Image(Arc::new([]))))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Image>,
    ) -> Result<(), StorageError> {
        let failed = |error: io::Error| -> StorageError {
            StorageIOError::write_snapshot(Some(meta.signature()), openraft::AnyError::new(&error))
                .into()
        };
        let mut restored = Inner::default();
        restored.restore(meta, &snapshot).map_err(failed)?;
        self.disk.save_snapshot(meta.clone(), *snapshot).await.map_err(failed)?;
        let revision = restored.kv.revision();
        *self.inner() = restored;
        self.revision.send_replace(revision);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let failed = |error: io::Error| -> StorageError {
            StorageIOError::read_snapshot(None, openraft::AnyError::new(&error)).into()
        };
        let found = self.disk.snapshot().map_err(failed)?;
        Ok(found.map(|(meta, image)| Snapshot { meta, snapshot: Box::new(image) }))
    }
}

impl RaftSnapshotBuilder<Types> for Content {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let (kv, applied, members) = {
            let inner = self.inner();
            (inner.kv.clone(), inner.applied, inner.members.clone())
        };
        let image = Image(kv.snapshot().into());
        let snapshot_id =
            applied.map_or_else(String::new, |id| format!("{}-{}", id.leader_id.term, id.index));
        let meta = SnapshotMeta { last_log_id: applied, last_membership: members, snapshot_id };
        let saved = self.disk.save_snapshot(meta.clone(), image.clone()).await;
        saved.map_err(|error| {
            StorageIOError::write_snapshot(Some(meta.signature()), openraft::AnyError::new(&error))
        })?;
        Ok(Snapshot { meta, snapshot: Box::new(image) })
    }
}
