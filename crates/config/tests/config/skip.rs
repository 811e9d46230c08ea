//! Tests that cannot run here say so, in one line that `cargo xtask test` judges.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Notes that `test` skips.
pub(crate) fn note(test: &str, reason: &str) {
    let line = format!("SKIP config::{test}: {reason}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}

/// The documents' folder.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let folder = documents();
    if folder.is_none() {
        note(test, "no folder of documents");
    }
    folder
}

/// The same, for a test that has enough to do without.
pub(crate) fn documents() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("OUTLAST_SHARED").map_or(beside, PathBuf::from);
    folder.join("data").is_dir().then_some(folder)
}

/// Debian's `name`, if it is of the version that our tables describe.
pub(crate) fn program(test: &str, name: &str, version: &str) -> Option<Command> {
    for folder in ["/usr/sbin", "/usr/bin", "/usr/local/sbin"] {
        let path = Path::new(folder).join(name);
        let Ok(output) = Command::new(&path).arg("-v").output() else { continue };
        let told = [output.stdout, output.stderr].concat();
        if String::from_utf8_lossy(&told).contains(version) {
            return Some(Command::new(path));
        }
    }
    note(test, &format!("no {name} {version}"));
    None
}

/// A folder of this test that goes with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("outlast-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
