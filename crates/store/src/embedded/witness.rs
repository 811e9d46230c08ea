//! A second memory of what this node promised, that a restored disk does not take back along.
//!
//! A file on a file system that lives as long as the kernel (tmpfs). It is written after each fsync and
//! before anything is acknowledged, and it counts only within the boot that wrote it, and for the store of
//! that incarnation: then it is exact. Of another store (before a restore) it says nothing:
//! what was promised there binds nobody here, and the others are asked instead. While the disk holds nothing it
//! counts once most members, this one among them, are of its store.
//!
//! ```text
//!   version, boot id (text), standing, incarnation if it has one; written as one, a torn one does not decode
//! ```
//!
//! The first form ended with the standing: it is of the store that the disk is a part of.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::owner::Incarnation;
use super::standing::Standing;
use crate::bytes::{Reader, Writer};

#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    boot: String,
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Witness {
    /// Opens it, and says what it saw last within this boot, and of which store. `part`: of which the disk is.
    pub(crate) fn open(
        path: &Path,
        part: Option<Incarnation>,
    ) -> io::Result<(Self, Option<(Incarnation, Standing)>)> {
        let boot = boot()?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let seen = fs::read(path).ok().and_then(|bytes| seen(&bytes, &boot, part).ok().flatten());
        Ok((Self { file, boot }, seen))
    }

    pub(crate) fn note(&self, standing: &Standing, part: Option<Incarnation>) -> io::Result<()> {
        // Old bytes beyond the end of a shorter one are not read.
        self.file.write_all_at(&record(&self.boot, standing, part), 0)
    }
}

fn record(boot: &str, standing: &Standing, part: Option<Incarnation>) -> Vec<u8> {
    let mut out = Writer::versioned();
    out.bytes(boot.as_bytes());
    out.standing(standing);
    out.option(part, Writer::u64);
    out.0
}

fn seen(
    bytes: &[u8],
    boot: &str,
    part: Option<Incarnation>,
) -> io::Result<Option<(Incarnation, Standing)>> {
    let mut from = Reader::versioned(bytes)?;
    let same = from.text()? == boot;
    let standing = from.standing()?;
    let of = if from.0.is_empty() { part } else { from.option(Reader::u64)? };
    Ok(of.filter(|_| same).map(|of| (of, standing)))
}

#[cfg(test)]
mod tests {
    use super::super::types::Vote;
    use super::*;

    #[test]
    fn a_witness_of_another_boot_or_of_no_store_says_nothing() {
        let standing = Standing { vote: Vote::new(3, 1), log: None };
        let bytes = record("one boot", &standing, Some(7));
        for part in [Some(7), Some(8), None] {
            assert_eq!(seen(&bytes, "one boot", part).unwrap(), Some((7, standing)));
            assert_eq!(seen(&bytes, "another", part).unwrap(), None);
        }
        let before = record("one boot", &standing, None);
        assert_eq!(seen(&before, "one boot", Some(7)).unwrap(), None);
        assert_eq!(seen(&before, "one boot", None).unwrap(), None);
        assert!(seen(&bytes[..9], "one boot", Some(7)).is_err());
        assert!(seen(&[], "one boot", Some(7)).is_err());
    }

    #[test]
    fn a_witness_of_the_first_form_is_of_the_store_that_the_disk_has() {
        let standing = Standing { vote: Vote::new(3, 1), log: None };
        let bytes = record("one boot", &standing, None);
        let first = &bytes[..bytes.len() - 1];
        assert_eq!(seen(first, "one boot", Some(7)).unwrap(), Some((7, standing)));
        assert_eq!(seen(first, "one boot", None).unwrap(), None);
    }
}
