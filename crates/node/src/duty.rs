//! Whether this node is on standby, kept over restarts: a file in the state folder that is there or not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "standby";
const TEXT: &[u8] =
    b"`outlast node resume` removes this file; until then the node holds no address.\n";

/// Puts it on the disk before it returns.
///
/// # Errors
/// When the folder takes no file, or does not give it back.
pub(crate) fn keep(folder: &Path, standby: bool) -> io::Result<()> {
    let path = folder.join(FILE);
    if standby {
        let mut file = File::create(&path)?;
        file.write_all(TEXT)?;
        file.sync_all()?;
    } else {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    File::open(folder)?.sync_all()
}

/// As of the last command. A folder that cannot be looked at forgets it.
pub(crate) fn is_on_standby(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_kept_until_it_is_ended_and_ending_it_twice_is_no_error() {
        let folder = std::env::temp_dir().join(format!("outlast-duty-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!is_on_standby(&folder));
        for (standby, expected) in [(true, true), (true, true), (false, false), (false, false)] {
            keep(&folder, standby).unwrap();
            assert_eq!(is_on_standby(&folder), expected);
        }
        fs::remove_dir_all(&folder).unwrap();
        assert!(keep(&folder, true).is_err());
    }
}
