//! A store's file while no process has it: looked at, and written anew from a backup.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::kv::{Kv, read_snapshot};
use openraft::{BasicNode, CommittedLeaderId, EntryPayload, Membership};
use redb::{Database, ReadableDatabase, ReadableTable};

use super::file::own_folder;
use super::owner::{Incarnation, OWNER, Owner, own, owner_text};
use super::{FACTS, IMAGE, LOG, META, PURGED, database, load};
use crate::Error;
use crate::bytes::{Reader, Writer};
use crate::embedded::types::{LogEntry, LogId, Members, NodeId, SnapshotMeta};

/// The store of a member, in its folder.
pub const FILE: &str = "store.redb";
/// The name that the file that was there has after a restore.
const BEFORE: &str = "store.redb.before-restore";
const NEW: &str = "store.redb.new";
/// Somebody's word that the disk is whole; it counts for one start.
pub const TRUSTED: &str = "trusted";
/// A restore begins at least so much later than the backup and than what is there: no token that was
/// given after the backup is given again. More than a store writes in a year at 30 a second.
const SKIP: u64 = 1_000_000_000;
/// No restore begins later: what reads JSON takes greater numbers for others. The clock in milliseconds
/// is five thousand times smaller.
const LATEST: u64 = 1 << 53;
const RUNS: &str = "a running store has it open: stop outlast on this node first";

/// What a store's file has, all of it readable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    pub cluster: String,
    /// Whose it is, by the number of its name: [`crate::node_id`].
    pub node: NodeId,
    /// Which founding or restore it is of; none while it has no members.
    pub incarnation: Option<u64>,
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
    /// The revision to go on from, the same on all members; none on the first one.
    pub from: Option<u64>,
    /// Milliseconds since 1970: what the first member goes on from where that is later than all it knows.
    /// So a backup that is restored again, by whomever, goes on later than the time before.
    pub wall_ms: u64,
    /// The greatest incarnation of a store that this node knows of; 0: none. Receivers refuse what an older store
    /// orders, so the restored one is a later one.
    pub known: u64,
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
            true => io::Error::new(io::ErrorKind::ResourceBusy, RUNS),
            false => error,
        }
    })
}

/// Keeps every store out of a file until this is dropped, and leaves it as it is; none where there is none.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::ResourceBusy, RUNS)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Reads everything in the file of a store that does not run: every page, entry and the snapshot.
///
/// # Errors
/// When something is damaged, missing, in use, or of a newer version.
pub fn check(folder: &Path) -> Result<Checked, Error> {
    let path = folder.join(FILE);
    let failed = |source| Error::Disk { path: path.clone(), source };
    let database = open(&path).map_err(failed)?;
    let state = load(&database).map_err(|error| failed(io::Error::other(error)))?;
    let position = state.map_err(failed)?.position;
    let read = || -> Result<io::Result<Checked>, redb::Error> {
        let transaction = database.begin_read()?;
        let (facts, log) = (transaction.open_table(FACTS)?, transaction.open_table(LOG)?);
        let owner = match facts.get(OWNER)?.map(|owner| Owner::decode(owner.value())) {
            Some(Ok(owner)) => owner,
            Some(Err(error)) => return Ok(Err(error)),
            None => return Ok(Err(invalid("it does not say whose it is"))),
        };
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
        let Owner { cluster, node, incarnation, .. } = owner;
        Ok(Ok(Checked { cluster, node, incarnation, entries, last, snapshot }))
    };
    read().map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
}

/// Why a file that no store has is not this program's to replace: its owner's record is of a newer version,
/// so nothing here can say which revisions it gave. Of a copy: opening writes.
fn newer(path: &Path) -> Option<io::Error> {
    let database = open(path).ok()?;
    let facts = database.begin_read().ok()?.open_table(FACTS).ok()?;
    let refused = owner_text(facts.get(OWNER).ok()??.value()).err()?;
    (refused.kind() == io::ErrorKind::Unsupported).then_some(refused)
}

/// Which store a file that no store has is of. Of a copy: opening writes.
fn incarnation(path: &Path) -> Option<Incarnation> {
    let database = open(path).ok()?;
    let facts = database.begin_read().ok()?.open_table(FACTS).ok()?;
    Owner::decode(facts.get(OWNER).ok()??.value()).ok()?.incarnation
}

/// The last revision in a file that no store has, by all of its entries. Of a copy: opening writes.
fn revision(path: &Path) -> io::Result<u64> {
    let database = open(path)?;
    let read = || -> Result<io::Result<u64>, redb::Error> {
        let transaction = database.begin_read()?;
        let (facts, log) = (transaction.open_table(FACTS)?, transaction.open_table(LOG)?);
        let (about, image) = (facts.get(META)?, facts.get(IMAGE)?);
        let snapshot = || -> io::Result<(Kv, u64)> {
            let Some((about, image)) = about.zip(image) else { return Ok((Kv::new(), 0)) };
            let last = Reader::versioned(about.value())?.meta()?.last_log_id;
            let damaged = |damage| io::Error::new(io::ErrorKind::InvalidData, damage);
            let kv = read_snapshot(image.value()).map_err(damaged)?;
            Ok((kv, last.map_or(0, |last| last.index + 1)))
        };
        let (mut kv, next) = match snapshot() {
            Ok(snapshot) => snapshot,
            Err(error) => return Ok(Err(error)),
        };
        for row in log.range(next..)? {
            match Reader::versioned(row?.1.value()).and_then(|mut from| from.entry()) {
                Ok(LogEntry { payload: EntryPayload::Normal(batch), .. }) => {
                    for entry in batch.0.iter() {
                        // What the limits forbid was answered, and changed nothing.
                        let _ = kv.apply(entry);
                    }
                }
                Ok(_) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(kv.revision()))
    };
    read().map_err(io::Error::other)?
}

/// The revision to go on from.
fn begin(
    restoring: &Restoring,
    backup: u64,
    (present, known): (Option<u64>, Incarnation),
) -> io::Result<u64> {
    let least = backup.saturating_add(SKIP);
    let later = present.map_or(0, |present| present.saturating_add(SKIP));
    let newer = known.saturating_add(1);
    let begin =
        restoring.from.unwrap_or_else(|| least.max(restoring.wall_ms).max(later).max(newer));
    let why = if begin < least {
        format!(
            "--from {begin} is too small: this backup goes on from revision {least} or later; take the revision \
             that the restore of the first member printed, or on the first member leave --from away"
        )
    } else if begin > LATEST {
        format!("no restore goes on from a revision beyond {LATEST}")
    } else if let Some(present) = present.filter(|present| *present >= begin) {
        format!(
            "it is at revision {present}, and a restore from {begin} would give revisions again; if this \
             is a new restore, its first member goes without --from"
        )
    } else if begin <= known {
        format!(
            "this node knows the store {known}, and a restore from {begin} would be an older one, whose orders \
             nodes refuse: restore here first, without --from"
        )
    } else {
        return Ok(begin);
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Writes the file of a member anew from a backup; the one that was there is kept beside it. To be done on
/// every member with the same backup, while none runs, and on all but the first with [`Restoring::from`]
/// as the first has returned it: the revision from which the store goes on.
///
/// # Errors
/// When the backup or what is there is from a newer version, the backup is damaged, the store runs, or what
/// is there is as late as the revision to go on from. The store is as it was then.
pub fn restore(restoring: &Restoring, backup: &[u8]) -> Result<u64, Error> {
    let Restoring { folder, cluster, me, members, witness, .. } = restoring;
    if members.len() == 2 {
        return Err(Error::TwoVoters);
    }
    let path = folder.join(FILE);
    let failed = |source| Error::Disk { path: path.clone(), source };
    let mut kv = read_snapshot(backup).map_err(Error::Backup)?;
    own_folder(folder).map_err(failed)?;
    // To the end.
    let old = hold(&path).map_err(failed)?;
    let (before, new) = (folder.join(BEFORE), folder.join(NEW));
    // A restore that was interrupted has left it as a second name of the file that is there.
    let number = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let is_named = old.is_some() && number(&path) == number(&before);
    if old.is_some() && before.exists() && !is_named {
        let text = format!("{} is there from an earlier restore: move it away", before.display());
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, text)));
    }
    let (present, before_it) = match &old {
        None => (None, None),
        Some(_) => {
            fs::copy(&path, &new).map_err(failed)?;
            // One that is damaged is what restores are for.
            let (newer, present) = (newer(&new), revision(&new).ok());
            let incarnation = incarnation(&new);
            fs::remove_file(&new).map_err(failed)?;
            if let Some(newer) = newer {
                return Err(failed(newer));
            }
            (present, incarnation)
        }
    };
    let known = restoring.known.max(before_it.unwrap_or(0));
    let begin = begin(restoring, kv.revision(), (present, known)).map_err(failed)?;
    kv.skip(begin - kv.revision());
    let named = members.iter().map(|name| (crate::node_id(name), name.clone())).collect();
    write(&new, (cluster, crate::node_id(me)), named, (&kv, begin)).map_err(failed)?;
    if old.is_some() && !is_named {
        fs::hard_link(&path, &before).map_err(failed)?;
    }
    if let Some(witness) = witness.as_ref().filter(|witness| witness.exists()) {
        fs::remove_file(witness).map_err(failed)?;
    }
    // It was written just now, as a new store: nobody can remember more of it.
    fs::write(folder.join(TRUSTED), []).map_err(failed)?;
    fs::rename(&new, &path).and_then(|()| File::open(folder)?.sync_all()).map_err(failed)?;
    Ok(begin)
}

/// A store that has this as the snapshot up to its first entry, on all members alike. Its revision is its
/// incarnation: no other restore goes on from there.
fn write(
    path: &Path,
    (cluster, me): (&str, NodeId),
    members: BTreeMap<NodeId, String>,
    (kv, incarnation): (&Kv, Incarnation),
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
    let fill = || -> Result<Result<_, String>, redb::Error> {
        let owned = own(&database, cluster, me, Some(incarnation))?;
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
    fill().map_err(io::Error::other)?.map_err(invalid).map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine::kv::{Command, Entry, Op, Transaction};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let name = format!("outlast-restore-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn restoring(folder: &Path, from: Option<u64>, wall_ms: u64) -> Restoring {
        Restoring {
            folder: folder.to_owned(),
            cluster: "cloud".to_owned(),
            me: "a".to_owned(),
            members: ["a", "b", "c"].map(str::to_owned).to_vec(),
            witness: None,
            from,
            wall_ms,
            known: 0,
        }
    }

    #[test]
    fn a_restored_store_is_later_than_any_that_its_node_knows_whatever_the_clock_says() {
        let (folder, backup) = (folder("later"), backup());
        let knows = |known: u64, from| Restoring { known, ..restoring(&folder, from, 1_000) };
        let first = restore(&knows(1_900_000_000_000, None), &backup).unwrap();
        assert_eq!(first, 1_900_000_000_001);
        fs::remove_file(folder.join(BEFORE)).unwrap_or_default();
        // What the file says counts too, also where nothing else remembers.
        let second = restore(&knows(0, None), &backup).unwrap();
        assert!(second > first, "{second} after {first}");
        fs::remove_file(folder.join(BEFORE)).unwrap();
        let known = second + 10 * SKIP;
        let refused = restore(&knows(known, Some(known)), &backup).unwrap_err();
        assert!(why(&refused).contains(&format!("knows the store {known}")), "{refused:?}");
        assert_eq!(restore(&knows(known, Some(known + 1)), &backup).unwrap(), known + 1);
        fs::remove_dir_all(folder).unwrap();
    }

    fn backup() -> Vec<u8> {
        let mut kv = Kv::new();
        let put = Transaction::of(Op::put("a", b"1"));
        kv.apply(&Entry { clock: 0, command: Command::Transact(put) }).unwrap();
        assert_eq!(kv.revision(), 1);
        kv.snapshot()
    }

    fn why(error: &Error) -> String {
        std::error::Error::source(error).unwrap().to_string()
    }

    #[test]
    fn a_backup_that_is_restored_again_gives_no_revision_again() {
        let (folder, backup) = (folder("again"), backup());
        let (path, before) = (folder.join(FILE), folder.join(BEFORE));
        // The clock, or all that is known where the clock stands at its beginning or was set back.
        let mut given = BTreeSet::new();
        for wall_ms in [1_000, 1_900_000_000_000, 1_800_000_000_000, 2_000_000_000_000] {
            let begin = restore(&restoring(&folder, None, wall_ms), &backup).unwrap();
            assert!(begin > SKIP && begin >= wall_ms, "{begin}");
            assert!(
                given.last().is_none_or(|last| last + SKIP <= begin),
                "{begin} after {given:?}"
            );
            given.insert(begin);
            assert_eq!(check(&folder).unwrap().snapshot, Some((begin, 1)));
            let _ = fs::remove_file(&before);
        }
        // Every other member goes on from the same; none twice, and nothing is changed then.
        let bytes = fs::read(&path).unwrap();
        let last = *given.last().unwrap();
        for from in &given {
            let refused = restore(&restoring(&folder, Some(*from), 0), &backup).unwrap_err();
            assert!(why(&refused).contains(&format!("it is at revision {last}")), "{refused:?}");
        }
        for from in [SKIP, LATEST + 1] {
            let refused = restore(&restoring(&folder, Some(from), 0), &backup).unwrap_err();
            assert!(why(&refused).contains("or later") || why(&refused).contains("beyond"));
        }
        assert!(fs::read(&path).unwrap() == bytes && !before.exists());
        let left = fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 2, "the store, and the word for one start");
        let begin = restore(&restoring(&folder, Some(last + 1), 0), &backup).unwrap();
        assert_eq!((begin, fs::read(&before).unwrap() == bytes), (last + 1, true));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_in_use_is_not_touched_and_a_restore_that_was_interrupted_goes_on() {
        let (folder, backup) = (folder("held"), backup());
        let (path, before) = (folder.join(FILE), folder.join(BEFORE));
        restore(&restoring(&folder, None, 0), &backup).unwrap();
        let bytes = fs::read(&path).unwrap();
        let held = hold(&path).unwrap();
        let refused = restore(&restoring(&folder, None, 0), &backup).unwrap_err();
        assert_eq!(why(&refused), RUNS);
        drop(held);
        assert!(fs::read(&path).unwrap() == bytes && !before.exists());
        // It ended before the last step.
        fs::hard_link(&path, &before).unwrap();
        restore(&restoring(&folder, None, 0), &backup).unwrap();
        assert!(fs::read(&before).unwrap() == bytes, "the old one is kept");
        assert!(fs::read(&path).unwrap() != bytes);
        let refused = restore(&restoring(&folder, None, 0), &backup).unwrap_err();
        assert!(why(&refused).contains("move it away"), "{refused:?}");
        // A damaged one is no hindrance.
        fs::remove_file(&before).unwrap();
        fs::write(&path, "damaged").unwrap();
        restore(&restoring(&folder, None, 0), &backup).unwrap();
        check(&folder).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }
}
