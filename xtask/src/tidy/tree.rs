//! The files of the repository, tracked or about to be.

use std::process::Command;

use super::code::Code;
use crate::shell::{self, Failure, Outcome};

#[derive(Debug)]
pub(super) struct Tree {
    pub files: Vec<File>,
}

#[derive(Debug)]
pub(super) struct File {
    /// From the root, with slashes.
    pub path: String,
    pub text: String,
    /// Of a Rust file, the same lines without comments and without what is in strings.
    pub code: Option<Code>,
}

impl Tree {
    pub(super) fn read() -> Outcome<Self> {
        let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
        let output = Command::new("git").args(list).current_dir(shell::root()).output();
        let output = output.map_err(Failure::trying("starting git ls-files"))?;
        if !output.status.success() {
            return Err(Failure::new("git ls-files failed: tidy reads what git would commit"));
        }
        let mut names: Vec<_> = output.stdout.split(|byte| *byte == 0).collect();
        names.sort_unstable();
        names.dedup();
        let mut files = vec![];
        for name in names {
            let path = String::from_utf8_lossy(name).into_owned();
            // A file deleted but not yet committed, or one that is no text, has nothing to check.
            if let Ok(text) = std::fs::read_to_string(shell::root().join(&path)) {
                files.push(File::new(path, text));
            }
        }
        Ok(Self { files })
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code = path.ends_with(".rs").then(|| Code::strip(&text));
        Self { path, text, code }
    }

    /// The folder below `crates`, or `xtask`.
    pub(super) fn layer(&self) -> Option<&str> {
        let path = self.path.strip_prefix("crates/").unwrap_or(&self.path);
        path.split_once('/').map(|(layer, _)| layer)
    }

    pub(super) fn is_source(&self) -> bool {
        self.code.is_some() && self.path.contains("/src/")
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}
