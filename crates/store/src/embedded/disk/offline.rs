//! A store's file while no process has it: looked at, and written anew from a backup.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::kv::{Kv, read_snapshot};
use openraft::{BasicNode, CommittedLeaderId, Membership};
use redb::{Database, ReadableDatabase, ReadableTable};

use super::{FACTS, IMAGE, LOG, META, OWNER, PURGED, database, load, own, owner_text};
use crate::Error;
use crate::bytes::{Reader, Writer};
use crate::embedded::types::{LogId, Members, NodeId, SnapshotMeta};

const FILE: &str = "store.redb";
/// Where a restore puts the file that was there.
const BEFORE: &str = "store.redb.before-restore";
const NEW: &str = "store.redb.new";
/// Added to the revision by a restore: no token that was given after the backup is given again. More
/// than a store writes in a year at 30 a second.
const SKIP: u64 = 1_000_000_000;

/// What a store's file has, all of it readable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// `belongs to node ... of cluster ...`.
    pub owner: String,
    /// Entries of the log behind the snapshot.
    pub entries: u64,
    pub last: u64,
    /// Revision and keys of the snapshot, if there is one.
    pub snapshot: Option<(u64, usize)>,
}

/// For whom a backup is restored.
#[derive(Clone, Debug)]
pub struct Restoring {
    pub folder: PathBuf,
    pub cluster: String,
    pub me: String,
    /// All that vote from then on.
    pub members: Vec<String>,
    /// Forgotten: it remembers the store before.
    pub witness: Option<PathBuf>,
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Opens a file that is there; a process that has it open keeps others out.
fn open(path: &Path) -> io::Result<Database> {
    if !path.exists() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // redb takes some damage for a mistake of its own and panics.
    let opened = std::panic::catch_unwind(|| database(path, &Arc::default()));
    opened.map_err(|_| invalid("its pages are damaged")).flatten().map_err(|error| {
        let is_open = error.get_ref().is_some_and(|cause| {
            let open = redb::DatabaseError::DatabaseAlreadyOpen;
            cause
                .downcast_ref::<redb::DatabaseError>()
                .is_some_and(|cause| std::mem::discriminant(cause) == std::mem::discriminant(&open))
        });
        match is_open {
            true => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "a running store has it open: stop outlast on this node first",
            ),
            false => error,
        }
    })
}

/// Reads everything in the file of a store that does not run: every page, entry and the snapshot.
///
/// # Errors
/// When something is damaged, missing, or in use.
pub fn check(folder: &Path) -> Result<Checked, Error> {
    let path = folder.join(FILE);
    let failed = |source| Error::Disk { path: path.clone(), source };
    let database = open(&path).map_err(failed)?;
    let state = load(&database).map_err(|error| failed(io::Error::other(error)))?;
    let position = state.map_err(failed)?.position;
    let read = || -> Result<io::Result<Checked>, redb::Error> {
        let transaction = database.begin_read()?;
        let (facts, log) = (transaction.open_table(FACTS)?, transaction.open_table(LOG)?);
        let owner = facts.get(OWNER)?.map_or_else(String::new, |owner| owner_text(owner.value()));
        let mut entries = 0;
        let mut next = position.purged.map_or(0, |purged| purged.index + 1);
        for row in log.iter()? {
            let (index, row) = row?;
            let entry = Reader::versioned(row.value()).and_then(|mut from| from.entry());
            match entry {
                Ok(entry) if entry.log_id.index == index.value() => {}
                Ok(_) => return Ok(Err(invalid("an entry lies at the place of another"))),
                Err(error) => return Ok(Err(error)),
            }
            if index.value() >= next {
                if index.value() != next {
                    return Ok(Err(invalid(format!("entry {next} is missing"))));
                }
                next += 1;
                entries += 1;
            }
        }
        let snapshot = match facts.get(IMAGE)? {
            None => None,
            Some(image) => match read_snapshot(image.value()) {
                Ok(kv) => Some((kv.revision(), kv.len())),
                Err(damage) => return Ok(Err(io::Error::new(io::ErrorKind::InvalidData, damage))),
            },
        };
        let last = position.last.map_or(0, |last| last.index);
        Ok(Ok(Checked { owner, entries, last, snapshot }))
    };
    read().map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
}

/// Writes the file of a member anew from a backup; the one that is there is kept beside it. To be done on
/// every member with the same backup, while none runs. The revision from which the store goes on.
///
/// # Errors
/// When the backup is damaged or from a newer version, or the store runs. Nothing is changed then.
pub fn restore(restoring: &Restoring, backup: &[u8]) -> Result<u64, Error> {
    let Restoring { folder, cluster, me, members, witness } = restoring;
    if members.len() == 2 {
        return Err(Error::TwoVoters);
    }
    let path = folder.join(FILE);
    let failed = |source| Error::Disk { path: path.clone(), source };
    let damaged = |damage| Error::Members(format!("the backup cannot be used: {damage}"));
    let mut kv = read_snapshot(backup).map_err(damaged)?;
    kv.skip(SKIP);
    fs::create_dir_all(folder).map_err(failed)?;
    match open(&path) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(failed(error)),
        // One that is damaged is what restores are for.
        Ok(_) | Err(_) => {}
    }
    let before = folder.join(BEFORE);
    if path.exists() && before.exists() {
        let text = format!("{} is there from an earlier restore: move it away", before.display());
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, text)));
    }
    let new = folder.join(NEW);
    let named = members.iter().map(|name| (crate::node_id(name), name.clone())).collect();
    write(&new, (cluster, crate::node_id(me)), named, &kv).map_err(failed)?;
    if path.exists() {
        fs::rename(&path, &before).map_err(failed)?;
    }
    if let Some(witness) = witness.as_ref().filter(|witness| witness.exists()) {
        fs::remove_file(witness).map_err(failed)?;
    }
    fs::rename(&new, &path).and_then(|()| File::open(folder)?.sync_all()).map_err(failed)?;
    Ok(kv.revision())
}

/// A store that has this as the snapshot up to its first entry, on all members alike.
fn write(
    path: &Path,
    (cluster, me): (&str, NodeId),
    members: BTreeMap<NodeId, String>,
    kv: &Kv,
) -> io::Result<()> {
    if path.exists() {
        // Left by a restore that was interrupted.
        fs::remove_file(path)?;
    }
    let first = members.keys().next().copied().unwrap_or_default();
    let upto = LogId::new(CommittedLeaderId::new(1, first), 1);
    let nodes: BTreeMap<_, _> =
        members.into_iter().map(|(id, name)| (id, BasicNode::new(name))).collect();
    let voters = nodes.keys().copied().collect();
    let membership = Members::new(Some(upto), Membership::new(vec![voters], nodes));
    let meta = SnapshotMeta {
        last_log_id: Some(upto),
        last_membership: membership,
        snapshot_id: "restored".to_owned(),
    };
    let (mut about, mut purged) = (Writer::versioned(), Writer::versioned());
    about.meta(&meta);
    purged.log_id(upto);
    let image = kv.snapshot();
    let database = database(path, &Arc::default())?;
    let fill = || -> Result<Result<(), String>, redb::Error> {
        let owned = own(&database, cluster, me)?;
        let transaction = database.begin_write()?;
        {
            let mut facts = transaction.open_table(FACTS)?;
            facts.insert(META, about.0.as_slice())?;
            facts.insert(IMAGE, image.as_slice())?;
            facts.insert(PURGED, purged.0.as_slice())?;
        }
        transaction.commit()?;
        Ok(owned)
    };
    fill().map_err(io::Error::other)?.map_err(invalid)
}
