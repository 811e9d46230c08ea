//! One instance per run folder, and what its process may do.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sys::rights::Capability;

use super::tell;

/// Kept open, and so locked, for the life of the supervisor.
#[derive(Debug)]
pub(crate) struct Lock {
    _run: File,
    _state: Option<File>,
    /// Made by us and removed at the end, where its name carries our pid.
    folder: Option<PathBuf>,
}

/// What a node cannot do while its state folder takes nothing.
const WITHOUT: &str = "events are in memory only, and a store does not start here until it does";

/// Why this process may not be the supervisor here.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot make the folder {}", .path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot lock {}", .path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("already running here as pid {pid}: {} is locked; nothing was started", .path.display())]
    Second { path: PathBuf, pid: String },
    #[error(
        "virtual IPs need the capabilities {missing}, which this process lacks: run as root, or \
         grant them (systemd: AmbientCapabilities=)"
    )]
    Capability { missing: String },
}

impl Lock {
    /// Two on one run folder would answer on one control socket, two on one state folder write into
    /// one event log and under one number of life, which other nodes refuse. `temporary`: the run
    /// folder is ours alone and goes at the end.
    pub(crate) fn take(run: &Path, state: &Path, temporary: bool) -> Result<Self, LockError> {
        let held = lock(run, "lock")?;
        let state = match lock(state, "state.lock") {
            Ok(file) => Some(file),
            Err(second @ LockError::Second { .. }) => return Err(second),
            // A disk that takes nothing must not keep a node from serving; event log and store tell it, too.
            Err(error) => {
                let why = base::Chain(&error);
                tell::line(&format!(
                    "the state folder takes nothing: {why}; addresses and balancer go on, {WITHOUT}"
                ));
                None
            }
        };
        Ok(Self { _run: held, _state: state, folder: temporary.then(|| run.to_owned()) })
    }
}

/// The names differ, so that one folder may serve as both.
fn lock(folder: &Path, name: &str) -> Result<File, LockError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| LockError::Folder { path: folder.to_owned(), source })?;
    let path = folder.join(name);
    let fail = |source| LockError::Lock { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // A pid that cannot be read is only missing from the message.
            let _ = file.read_to_string(&mut pid);
            let pid = pid.trim().to_owned();
            return Err(LockError::Second { path, pid });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(fail(error)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // What stays is small and below /run.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Says before anything starts what would fail later.
pub(crate) fn may_hold_addresses() -> Result<(), LockError> {
    let wanted = [(Capability::NetAdmin, "CAP_NET_ADMIN"), (Capability::NetRaw, "CAP_NET_RAW")];
    let missing: Vec<&str> = wanted
        .into_iter()
        .filter(|(capability, _)| !sys::rights::has_capability(*capability))
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LockError::Capability { missing: missing.join(" and ") })
}
