//! Numbers for the processes of this node that only grow, whatever its clock says.
//!
//! What a process seals carries its number, and other nodes refuse what is older than what they heard.
//! The wall clock alone would silence a node whose clock was set back, until it is past the old time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// In the state folder: the first number that no start has used.
const FILE: &str = "lives";
/// A start takes so many numbers at once, and writes to no disk later: more than processes can be
/// started in a year.
const BLOCK: u64 = 1 << 32;
/// Digits of the largest number: a record of one length is overwritten in place, which a full disk
/// allows.
const DIGITS: usize = 20;

#[derive(Debug)]
pub(crate) struct Lives {
    next: u64,
    /// Why the next start may get numbers that were used.
    pub(crate) unkept: Option<String>,
}

impl Lives {
    /// Numbers above all of earlier starts with this `folder`; where that is unknown, above those that
    /// the clock gave to earlier versions of this program.
    pub(crate) fn open(folder: &Path, now_ms: u64) -> Self {
        let kept = open(folder).and_then(|mut file| {
            let mut text = String::new();
            // Bytes that are no number are of no use, and are replaced.
            let _unreadable = (&file).take(64).read_to_string(&mut text);
            let next = text.trim().parse().unwrap_or(0).max(now_ms);
            let block = format!("{:0DIGITS$}\n", next.saturating_add(BLOCK));
            file.rewind()?;
            file.write_all(block.as_bytes())?;
            file.sync_data()?;
            Ok(next)
        });
        match kept {
            Ok(next) => Self { next, unkept: None },
            Err(error) => {
                let why = format!("{}: {error}", folder.join(FILE).display());
                Self { next: now_ms, unkept: Some(why) }
            }
        }
    }

    /// For starts in which nothing is sealed.
    pub(crate) const fn unsealed(now_ms: u64) -> Self {
        Self { next: now_ms, unkept: None }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.next = self.next.saturating_add(1);
        self.next
    }
}

fn open(folder: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false).open(folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_700_000_000_000;

    #[test]
    fn numbers_grow_over_starts_though_the_clock_is_set_back() {
        let folder = std::env::temp_dir().join(format!("outlast-lives-{}", std::process::id()));
        let _absent = std::fs::remove_dir_all(&folder);
        let mut before = Lives::open(&folder, NOON);
        let used = [before.next(), before.next()];
        assert!(used[0] > NOON && used[1] > used[0]);
        for now in [NOON - 3_600_000, 0, NOON + 5] {
            let mut later = Lives::open(&folder, now);
            assert!(later.next() > used[1], "at {now}");
            assert_eq!(later.unkept, None);
        }
        std::fs::write(folder.join(FILE), "torn").unwrap();
        assert!(Lives::open(&folder, NOON).next() > NOON);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_record_is_overwritten_in_place() {
        let folder = std::env::temp_dir().join(format!("outlast-lives-b-{}", std::process::id()));
        for now in [0, NOON, u64::MAX] {
            Lives::open(&folder, now);
            let length = std::fs::metadata(folder.join(FILE)).unwrap().len();
            assert_eq!(length, DIGITS as u64 + 1);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn where_nothing_can_be_kept_the_clock_counts_and_it_is_told() {
        let mut lives = Lives::open(Path::new("/proc/nowhere"), NOON);
        assert!(lives.next() > NOON);
        assert!(lives.unkept.unwrap().starts_with("/proc/nowhere/lives: "));
    }
}
