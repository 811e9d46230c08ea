//! One bit of the file of a real store is another one when it is opened: it is refused, or changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::{Embedded, Plain, Store};

/// Of a file.
const FLIPS: usize = 100;
/// Bytes of redb's header, where it says which of two commits is the newest.
const HEADER: usize = 320;
const KEYS: usize = 60;

fn options(folder: &Path, founders: BTreeMap<NodeId, String>) -> Options {
    fs::create_dir_all(folder).unwrap();
    Options {
        folder: folder.to_owned(),
        cluster: "test".to_owned(),
        me: 1,
        founders,
        timing: Timing::default(),
        witness: None,
        trusted: false,
        known: 0,
        // A snapshot, and entries behind it.
        snapshot_every: 25,
    }
}

/// All that a store begins with.
#[derive(Debug, Eq, PartialEq)]
struct Known {
    vote: String,
    purged: String,
    snapshot: Option<(String, Vec<u8>)>,
    entries: Vec<Vec<u8>>,
}

impl Known {
    /// The file has two commits, the newest and the one before. Where it was not closed and the newest is damaged, the
    /// other one is taken: a disk that went back by one write. Such a store has no vote until a
    /// majority of others has confirmed its last index.
    fn lacks_the_last_write_of(&self, before: &Self) -> bool {
        let mut entries = before.entries.clone();
        entries.pop();
        self.entries == entries
            && (&self.vote, &self.purged, &self.snapshot)
                == (&before.vote, &before.purged, &before.snapshot)
    }

    /// What a file says; what refuses it.
    fn of(folder: &Path) -> Result<Self, String> {
        let disk = Disk::open(&options(folder, BTreeMap::new()));
        let disk = disk.map_err(|error| base::Chain(&error).to_string())?;
        let said = |error: io::Error| error.to_string();
        let position = disk.position();
        let next = |id: Option<LogId>| id.map_or(0, |id| id.index + 1);
        let entries = disk.entries(next(position.purged)..next(position.last)).map_err(said)?;
        let bytes = entries.iter().map(|entry| {
            let mut out = Writer::versioned();
            out.entry(entry);
            out.0
        });
        let entries = bytes.collect();
        let snapshot = disk.snapshot().map_err(said)?;
        let snapshot = snapshot.map(|(meta, image)| (format!("{meta:?}"), image.0.to_vec()));
        let (vote, purged) = (format!("{:?}", disk.vote()), format!("{:?}", position.purged));
        Ok(Self { vote, purged, snapshot, entries })
    }
}

/// Of the header every third byte, and as many of the others that are not zero.
fn places(bytes: &[u8]) -> Vec<usize> {
    let step = |from: Vec<usize>, count: usize| {
        let every = (from.len() / count).max(1);
        from.into_iter().step_by(every).take(count)
    };
    // The tenth byte says which commit is the newest.
    let header = std::iter::once(9).chain(step((0..HEADER).collect(), FLIPS / 4));
    let used = (HEADER..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    header.chain(step(used, FLIPS - FLIPS / 4)).collect()
}

/// How often what happened.
#[derive(Debug, Default)]
struct Count {
    refused: usize,
    same: usize,
    older: usize,
}

fn flip(file: &Path, folder: &Path) -> Count {
    let bytes = fs::read(file).unwrap();
    let opened = |bytes: &[u8]| {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("store.redb"), bytes).unwrap();
        // redb takes some damage for a mistake of its own and panics, also when it closes the file: a process of the
        // store ends by that.
        let known = std::panic::catch_unwind(|| Known::of(folder));
        known.unwrap_or_else(|_| Err("redb panics".to_owned()))
    };
    let before = opened(&bytes).unwrap();
    assert!(before.snapshot.is_some() && before.entries.len() > 5, "{before:?}");
    let mut count = Count::default();
    for (number, at) in places(&bytes).into_iter().enumerate() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (number % 8);
        match opened(&bytes) {
            Err(_) => count.refused += 1,
            Ok(now) if now == before => count.same += 1,
            Ok(now) => {
                let what = format!("bit {} of byte {at}: {now:?}", number % 8);
                assert!(now.lacks_the_last_write_of(&before), "{what}");
                count.older += 1;
            }
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_one_flipped_bit_is_refused_or_says_nothing_else() {
    let folder = std::env::temp_dir().join(format!("outlast-flipped-{}", std::process::id()));
    let (own, copy): (PathBuf, PathBuf) = (folder.join("own"), folder.join("copy"));
    let plain = Arc::new(Plain::bind("127.0.0.1:0".parse().unwrap()).await.unwrap());
    let alone = BTreeMap::from([(1, "node1".to_owned())]);
    let store = Embedded::start(options(&own, alone), plain).await.unwrap();
    for key in 0..KEYS {
        store.put(&format!("key/{key}"), &vec![b'a'; 100 + 40 * key], None).await.unwrap();
    }
    // As of a machine that lost its power, and as of a store that was ended.
    let file = own.join("store.redb");
    let killed = folder.join("killed");
    fs::copy(&file, &killed).unwrap();
    store.stop().await;
    for (how, file) in [("killed", killed), ("ended", file)] {
        let count = flip(&file, &copy);
        assert_eq!(count.refused + count.same + count.older, FLIPS + 1, "{how}: {count:?}");
        assert!(count.refused >= FLIPS / 5, "{how}: {count:?}");
        assert!(how == "killed" || count.older == 0, "{how}: {count:?}");
        eprintln!("{how}: {count:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
