//! What was ordered, by whom, and what came of it: one line of JSON each, only ever added to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Two files of this size (bytes): about 5,000 commands each.
const MAX_LOG: u64 = 1 << 20;
/// Of one text; a command that is longer is cut.
const MAX_TEXT: usize = 512;

/// One command.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// `uid 0`, or the address of another machine.
    pub by: String,
    /// `token create`, `join`.
    pub command: String,
    /// A node or a token's number; never a secret.
    pub object: String,
    /// `done`, or why not.
    pub outcome: String,
}

/// Adds one line to the log in that folder. One caller at a time: two that both find the file full would
/// both put it aside.
///
/// # Errors
/// When it cannot be written.
pub fn add(folder: &Path, entry: &Entry) -> io::Result<()> {
    let path = folder.join("audit.jsonl");
    if fs::metadata(&path).is_ok_and(|facts| facts.len() >= MAX_LOG) {
        fs::rename(&path, older(folder))?;
    }
    let cut = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
    let entry = Entry {
        at_ms: entry.at_ms,
        by: cut(&entry.by),
        command: cut(&entry.command),
        object: cut(&entry.object),
        outcome: cut(&entry.outcome),
    };
    let mut line = serde_json::to_vec(&entry)?;
    line.push(b'\n');
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    file.write_all(&line)?;
    file.sync_data()
}

fn older(folder: &Path) -> PathBuf {
    folder.join("audit.1.jsonl")
}

/// All that is kept, oldest first. A line that a full disk tore is skipped.
///
/// # Errors
/// When a file that is there cannot be read.
pub fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = vec![];
    for path in [older(folder), folder.join("audit.jsonl")] {
        match fs::read_to_string(&path) {
            Ok(text) => {
                entries.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_log_is_bounded_and_survives_a_torn_line() {
        let folder = std::env::temp_dir().join(format!("outlast-audit-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let entry = |at_ms: u64| Entry {
            at_ms,
            by: "uid 0".to_owned(),
            command: "token create".to_owned(),
            object: "x".repeat(10_000),
            outcome: "done".to_owned(),
        };
        add(&folder, &entry(1)).unwrap();
        let path = folder.join("audit.jsonl");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at_ms\":\n").unwrap();
        add(&folder, &entry(2)).unwrap();
        let at = |entries: Vec<Entry>| entries.iter().map(|e| e.at_ms).collect::<Vec<_>>();
        assert_eq!(at(read(&folder).unwrap()), [1, 2]);
        assert_eq!(read(&folder).unwrap()[0].object.len(), MAX_TEXT, "a long text is cut");
        for round in [3, 4] {
            let full = fs::File::options().append(true).open(&path).unwrap();
            full.set_len(MAX_LOG).unwrap();
            add(&folder, &entry(round)).unwrap();
        }
        let sizes = [&path, &older(&folder)].map(|path| fs::metadata(path).unwrap().len());
        assert!(sizes.iter().sum::<u64>() <= 2 * MAX_LOG + 4096, "{sizes:?}");
        assert!(at(read(&folder).unwrap()).ends_with(&[4]));
        fs::remove_dir_all(&folder).unwrap();
    }
}
