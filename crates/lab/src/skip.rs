//! Tests that cannot run here say so, in one line that `cargo xtask test` judges.

use std::fs::OpenOptions;
use std::io::Write;

/// Notes that a test skips; `test` is `crate::name`. The caller returns.
pub fn note(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}\n");
    // Without stderr or the file the skip is only less visible.
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}
