//! Numbers for the processes of this node that only grow, whatever its clock says.
//!
//! What a process seals carries its number, and other nodes refuse what is older than what they heard.
//! The wall clock alone would silence a node whose clock was set back, until it is past the old time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// In the state folder: the first number that no start has used.
const FILE: &str = "lives";
/// So many numbers are reserved at once, each time that they are used up: 10 s of the clock. A file that
/// is lost costs so much, as the clock alone is then ahead of what was used.
const BLOCK: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Lives {
    next: u64,
    /// From here on nothing is reserved.
    end: u64,
    /// Where numbers are reserved; none where nothing is sealed.
    file: Option<PathBuf>,
    /// What was wrong, not told yet.
    pub(crate) trouble: Option<Trouble>,
}

/// Why numbers may not grow.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("{0}: {1}")]
    Unkept(String, String),
    /// A power loss, or a stranger's hand.
    #[error("{0} held {1:?}, which is no number with its checksum")]
    Torn(String, String),
}

impl Lives {
    /// Numbers above all of earlier starts with this `folder`; where that is unknown, above those that
    /// the clock gave.
    pub(crate) fn open(folder: &Path, now_ms: u64) -> Self {
        let file = folder.join(FILE);
        let mut lives = Self { next: now_ms, end: now_ms, file: Some(file.clone()), trouble: None };
        match read(&file) {
            Ok(Some(Kept::Number(number))) => lives.next = number.max(now_ms),
            Ok(Some(Kept::Torn(text))) => {
                lives.trouble = Some(Trouble::Torn(file.display().to_string(), text));
            }
            Ok(None) => {}
            Err(error) => lives.unkept(&file, &error),
        }
        lives.reserve();
        lives
    }

    /// For starts in which nothing is sealed.
    pub(crate) const fn unsealed(now_ms: u64) -> Self {
        Self { next: now_ms, end: u64::MAX, file: None, trouble: None }
    }

    /// Writes to the disk once in [`BLOCK`] times.
    pub(crate) fn next(&mut self) -> u64 {
        self.next = self.next.saturating_add(1);
        if self.next >= self.end {
            self.reserve();
        }
        self.next
    }

    fn reserve(&mut self) {
        self.end = self.next.saturating_add(BLOCK);
        let Some(file) = self.file.clone() else { return };
        if let Err(error) = write(&file, self.end) {
            self.unkept(&file, &error);
        }
    }

    fn unkept(&mut self, file: &Path, error: &io::Error) {
        self.trouble = Some(Trouble::Unkept(file.display().to_string(), error.to_string()));
    }
}

enum Kept {
    Number(u64),
    Torn(String),
}

/// None: there is no file.
fn read(file: &Path) -> io::Result<Option<Kept>> {
    let mut bytes = vec![];
    match File::open(file) {
        Ok(file) => file.take(64).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(match engine::lives::read(&bytes) {
        Some(number) => Kept::Number(number),
        None => Kept::Torn(String::from_utf8_lossy(&bytes).into_owned()),
    }))
}

fn write(file: &Path, end: u64) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(false).open(file)?;
    // Of one length, so it is overwritten in place, which a full disk allows.
    let line = engine::lives::line(end);
    file.write_all(line.as_bytes())?;
    file.set_len(line.len() as u64)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("outlast-lives-{name}-{}", std::process::id()));
        let _absent = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn numbers_grow_over_starts_though_the_clock_is_set_back() {
        let folder = folder("back");
        let mut before = Lives::open(&folder, NOON);
        let mut used = before.next();
        assert!(used > NOON && before.next() > used);
        used += 1;
        for now in [NOON - HOUR, 0, NOON + 5] {
            let mut later = Lives::open(&folder, now);
            let next = later.next();
            assert!(next > used, "at {now}");
            assert_eq!(later.trouble, None);
            used = next;
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn numbers_are_reserved_again_when_they_are_used_up() {
        let folder = folder("renewed");
        let mut lives = Lives::open(&folder, NOON);
        let last = (0..3 * BLOCK).map(|_| lives.next()).last().unwrap();
        assert_eq!(last, NOON + 3 * BLOCK);
        assert!(Lives::open(&folder, 0).next() > last);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_lost_or_torn_file_costs_seconds_not_weeks() {
        let folder = folder("lost");
        let used = Lives::open(&folder, NOON).next();
        std::fs::remove_dir_all(&folder).unwrap();
        let mut lives = Lives::open(&folder, NOON + 1000);
        assert!(lives.next() > used);
        assert_eq!(lives.trouble, None, "as at the first start");
        let turned = engine::lives::line(NOON).replacen('0', "8", 1);
        let torn = [&b""[..], b"0000000170", b"00000001700000010000", b"\xff\0", &[b'9'; 64]];
        for torn in torn.into_iter().chain([turned.as_bytes()]) {
            std::fs::write(folder.join(FILE), torn).unwrap();
            let mut lives = Lives::open(&folder, NOON + 2000);
            let next = lives.next();
            assert!(next > used && next < NOON + 2000 + BLOCK, "{torn:?}: {next}");
            let Some(Trouble::Torn(file, _)) = &lives.trouble else { panic!("{lives:?}") };
            assert!(file.ends_with("/lives"), "{file}");
            assert_eq!(Lives::open(&folder, 0).trouble, None, "it is whole again");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_record_is_overwritten_in_place() {
        let folder = folder("place");
        for now in [0, NOON, u64::MAX] {
            Lives::open(&folder, now);
            let length = std::fs::metadata(folder.join(FILE)).unwrap().len();
            assert_eq!(length, engine::lives::line(0).len() as u64);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn where_nothing_can_be_kept_the_clock_counts_and_it_is_told() {
        let mut lives = Lives::open(Path::new("/proc/nowhere"), NOON);
        assert!(lives.next() > NOON);
        let told = lives.trouble.unwrap().to_string();
        assert!(told.starts_with("/proc/nowhere/lives: "), "{told}");
    }
}
