//! The commands of docs/operate/cluster.md, "When the worst has happened", that no other test runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");

/// Exit code, and all that is said.
fn run(program: &str, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program).args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn well(program: &str, words: &[&str]) -> String {
    let (code, said) = run(program, words);
    assert_eq!(code, Some(0), "{program} {words:?}: {said}");
    said
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_authority_comes_back_from_a_copy_of_its_folder() {
    let name = format!("recover-{}", std::process::id());
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    fs::create_dir_all(&folder.0).unwrap();
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let (trust, copy) = (path("trust"), path("copy"));
    let address = ["--address", "127.0.0.1", "--trust-dir", &trust];
    well(OUTLAST, &[&["init", "cloud", "--node", "node01"], &address[..]].concat());
    let status = ["trust", "status", "--trust-dir", &trust];
    let before = well(OUTLAST, &status);
    let token =
        ["token", "create", "--address", "127.0.0.1:7413", "--trust-dir", &trust].map(String::from);
    let token: Vec<&str> = token.iter().map(String::as_str).collect();
    let first = well(OUTLAST, &token);

    well("cp", &["-a", &trust, &copy]);
    fs::remove_dir_all(&trust).unwrap();
    let (code, said) = run(OUTLAST, &token);
    assert_ne!(code, Some(0), "there is no authority: {said}");

    well("cp", &["-a", &copy, &trust]);
    assert_eq!(well(OUTLAST, &status), before, "the same cluster, with all that are in");
    let second = well(OUTLAST, &token);
    assert_ne!(first, second, "it lets nodes in again");
    for file in ["authority.key", "node.key", "key", "trust.json"] {
        let mode = fs::metadata(Path::new(&trust).join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}
