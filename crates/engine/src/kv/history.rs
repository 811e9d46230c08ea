//! The newest changes, for those who watch.

use std::collections::VecDeque;
use std::sync::Arc;

/// Changes that are kept: at 1,000 a second a watcher may be away for 16 s.
pub const MAX_CHANGES: usize = 16_384;
/// Bytes of keys and values that are kept for watchers.
pub const MAX_CHANGES_BYTES: usize = 8 << 20;

/// One key that was written or went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    pub revision: u64,
    pub key: String,
    /// What was written; nothing if the key went.
    pub value: Option<Arc<[u8]>>,
    /// It went because its time was up.
    pub expired: bool,
}

impl Change {
    fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// Changes after the wanted revision are no longer all known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("changes up to revision {upto} are compacted: read the keys again and watch from there")]
pub struct Compacted {
    /// A watch may begin after this revision or a later one.
    pub upto: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Of this revision and those before it, something may be missing.
    compacted: u64,
}

impl History {
    /// Of a store that was restored at this revision.
    pub(super) const fn from(revision: u64) -> Self {
        Self { changes: VecDeque::new(), bytes: 0, compacted: revision }
    }

    pub(super) fn newest(&self) -> u64 {
        self.changes.back().map_or(self.compacted, |change| change.revision)
    }

    pub(super) fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
        while self.changes.len() > MAX_CHANGES || self.bytes > MAX_CHANGES_BYTES {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.compacted = oldest.revision;
        }
    }

    pub(super) fn after(&self, revision: u64) -> Result<impl Iterator<Item = &Change>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted { upto: self.compacted });
        }
        let first = self.changes.partition_point(|change| change.revision <= revision);
        Ok(self.changes.range(first..))
    }
}
