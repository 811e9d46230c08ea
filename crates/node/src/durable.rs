//! Small files of the state folder that must outlive a crash whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// On the disk before it returns; the one before, or this one, never half of it.
///
/// # Errors
/// When the folder takes no file.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    File::open(folder)?.sync_all()
}
