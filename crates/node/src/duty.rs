//! Whether this node takes on work, kept over restarts: a file in the state folder that is there or not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use api::Duty;

const FILE: &str = "standby";
/// What the file begins with while the node is drained.
const DRAINED: &[u8] = b"drain\n";
const TEXT: &[u8] =
    b"`outlast node resume` removes this file; until then the node holds no address.\n";

/// Puts it on the disk before it returns.
///
/// # Errors
/// When the folder takes no file, or does not give it back.
pub(crate) fn keep(folder: &Path, duty: Duty) -> io::Result<()> {
    let path = folder.join(FILE);
    match duty {
        Duty::On => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        },
        Duty::Standby => write(&path, &[TEXT])?,
        Duty::Draining => write(&path, &[DRAINED, TEXT])?,
    }
    File::open(folder)?.sync_all()
}

fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&parts.concat())?;
    file.sync_all()
}

/// As of the last command. A folder that cannot be looked at forgets it.
pub(crate) fn kept(folder: &Path) -> Duty {
    let path = folder.join(FILE);
    match fs::read(&path) {
        Ok(text) if text.starts_with(DRAINED) => Duty::Draining,
        Ok(_) => Duty::Standby,
        Err(_) if path.exists() => Duty::Standby,
        Err(_) => Duty::On,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_kept_until_it_is_ended_and_ending_it_twice_is_no_error() {
        let folder = std::env::temp_dir().join(format!("outlast-duty-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(kept(&folder), Duty::On);
        for duty in [Duty::Standby, Duty::Standby, Duty::Draining, Duty::On, Duty::On] {
            keep(&folder, duty).unwrap();
            assert_eq!(kept(&folder), duty);
        }
        fs::remove_dir_all(&folder).unwrap();
        assert!(keep(&folder, Duty::Standby).is_err());
    }
}
