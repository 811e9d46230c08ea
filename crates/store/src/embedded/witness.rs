//! A second memory of what this node promised, that a restored disk does not take back along.
//!
//! A file on a file system that lives as long as the kernel (tmpfs). It is written after each fsync and
//! before anything is acknowledged, and it counts only within the boot that wrote it: then it is exact.
//!
//! ```text
//!   version, boot id (text), standing, written as one; a torn one does not decode
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

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
    /// Opens it, and says what it saw last within this boot.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Standing>)> {
        let boot = boot()?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let seen = fs::read(path).ok().and_then(|bytes| seen(&bytes, &boot).ok().flatten());
        Ok((Self { file, boot }, seen))
    }

    pub(crate) fn note(&self, standing: &Standing) -> io::Result<()> {
        let mut out = Writer::versioned();
        out.bytes(self.boot.as_bytes());
        out.standing(standing);
        // Old bytes beyond the end of a shorter one are not read.
        self.file.write_all_at(&out.0, 0)
    }
}

fn seen(bytes: &[u8], boot: &str) -> io::Result<Option<Standing>> {
    let mut from = Reader::versioned(bytes)?;
    let same = from.text()? == boot;
    let standing = from.standing()?;
    Ok(same.then_some(standing))
}

#[cfg(test)]
mod tests {
    use super::super::types::Vote;
    use super::*;

    #[test]
    fn a_witness_of_another_boot_proves_nothing() {
        let standing = Standing { vote: Vote::new(3, 1), log: None };
        let mut out = Writer::versioned();
        out.bytes(b"one boot");
        out.standing(&standing);
        assert_eq!(seen(&out.0, "one boot").unwrap(), Some(standing));
        assert_eq!(seen(&out.0, "another").unwrap(), None);
        assert!(seen(&out.0[..9], "one boot").is_err());
        assert!(seen(&[], "one boot").is_err());
    }
}
