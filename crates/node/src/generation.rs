//! A generation's files on this machine: written beside those that are used, then renamed in their place.
//!
//! ```text
//!   .outlast/staged/FILE ...        written and synced; staged.json after them: they are whole
//!   staged.json -> journal.json     one rename: from here on it is finished, whoever comes
//!     each staged FILE over the one that is used; files that the generation has not are removed
//!   journal.json -> note.json       done: the files are of this generation
//! ```
//!
//! A node that dies before that rename has the files it had. One that dies after it finishes at its next start
//! before it reads any of them, so it never runs a mixture. The folder `.outlast` lies beside the cluster file,
//! as a rename works within one file system only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use api::generation::{CLUSTER_FILE, Files, Note};
use engine::generation::{Lying, digest, is_beside};

const FOLDER: &str = ".outlast";
const STAGED: &str = "staged.json";
const JOURNAL: &str = "journal.json";
const NOTE: &str = "note.json";
/// The staged files are wanted at the next start, as only a start can do what they need.
const AT_START: &str = "at-start";
/// Sets of files that were changed by hand and replaced; older ones go (each is what one node had).
const MAX_KEPT: usize = 20;

/// Where the files of this node are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    cluster_file: PathBuf,
    steps: Steps,
}

/// How many changes of the disk are still made; tests let a node die after each.
#[derive(Clone, Debug, Default)]
struct Steps(Option<Arc<AtomicU32>>);

impl Steps {
    fn take(&self) -> io::Result<()> {
        let Some(left) = &self.0 else { return Ok(()) };
        let less = |left: u32| left.checked_sub(1);
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(|_| ()).map_err(|_| io::Error::other("died"))
    }
}

impl Place {
    pub(crate) fn of(cluster_file: &Path) -> Self {
        Self { cluster_file: cluster_file.to_owned(), steps: Steps::default() }
    }

    fn base(&self) -> &Path {
        self.cluster_file
            .parent()
            .filter(|path| !path.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."))
    }

    fn own(&self, name: &str) -> PathBuf {
        self.base().join(FOLDER).join(name)
    }

    /// The file that is used.
    pub(crate) fn used(&self, path: &str) -> PathBuf {
        match path {
            CLUSTER_FILE => self.cluster_file.clone(),
            other => self.base().join(other),
        }
    }

    /// Where the next generation lies.
    pub(crate) fn staged(&self) -> PathBuf {
        self.own("staged")
    }

    /// The name of a used file within a generation; none for one that lies elsewhere.
    pub(crate) fn name_of(&self, used: &str) -> Option<String> {
        if Path::new(used) == self.cluster_file {
            return Some(CLUSTER_FILE.to_owned());
        }
        let name = Path::new(used).strip_prefix(self.base()).ok()?.to_str()?;
        Some(name.to_owned()).filter(|name| is_beside(name))
    }

    /// The generation that the files are of, as far as one was ever put here.
    pub(crate) fn note(&self) -> Option<Note> {
        self.read(NOTE)
    }

    fn read(&self, name: &str) -> Option<Note> {
        // One that cannot be read is none: its files count as changed by hand then.
        let bytes = fs::read(self.own(name)).ok()?;
        api::decode(&bytes).ok()
    }

    /// Whether these files lie whole beside those that are used.
    pub(crate) fn has_staged(&self, number: u64, wanted: &Files) -> bool {
        let staged = self.read(STAGED);
        staged.is_some_and(|staged| staged.number == number && staged.files == digests(wanted))
    }

    /// What lies in the used files, against what is wanted.
    pub(crate) fn lying(&self, wanted: &Files) -> io::Result<Lying> {
        let note = self.note().unwrap_or_default();
        let (mut foreign, mut same) = (vec![], true);
        for (path, text) in wanted {
            let Some(found) = self.found(path)? else {
                same = false;
                continue;
            };
            let Found::Text(lies) = found else {
                foreign.push(path.clone());
                continue;
            };
            if lies == digest(text.as_bytes()) {
                continue;
            }
            same = false;
            if note.files.get(path) != Some(&lies) {
                foreign.push(path.clone());
            }
        }
        for path in self.superfluous(wanted, &note)? {
            match self.found(&path)? {
                None => continue,
                Some(Found::Text(lies)) if note.files.get(&path) == Some(&lies) => {}
                Some(Found::Text(_) | Found::Other) => foreign.push(path),
            }
            same = false;
        }
        Ok(match (foreign.is_empty(), same) {
            (false, _) => Lying::Foreign(foreign),
            (true, true) => Lying::Same,
            (true, false) => Lying::Known,
        })
    }

    /// Files that would be read, or were of the generation before, and are not wanted.
    fn superfluous(&self, wanted: &Files, note: &Note) -> io::Result<Vec<String>> {
        let mut found: Vec<_> = note.files.keys().filter(|path| is_beside(path)).cloned().collect();
        let source = config::Source {
            path: CLUSTER_FILE.to_owned(),
            text: wanted.get(CLUSTER_FILE).cloned().unwrap_or_default(),
        };
        let named = config::cluster::parse(&source, 0).0.and_then(|cluster| cluster.haproxy);
        let folder = named.and_then(|path| Some(path.to_str()?.trim_end_matches('/').to_owned()));
        let folder = folder.filter(|path| is_beside(path) && !wanted.contains_key(path));
        if let Some(folder) = folder.filter(|path| self.used(path).is_dir()) {
            for entry in fs::read_dir(self.used(&folder))? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                let path = format!("{folder}/{name}");
                if name.ends_with(".cfg") && !found.contains(&path) {
                    found.push(path);
                }
            }
        }
        found.retain(|path| !wanted.contains_key(path));
        Ok(found)
    }

    fn found(&self, path: &str) -> io::Result<Option<Found>> {
        let used = self.used(path);
        match fs::symlink_metadata(&used) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(found) if !found.is_file() || found.len() > config::MAX_FILE => {
                Ok(Some(Found::Other))
            }
            Ok(_) => Ok(Some(Found::Text(digest(&fs::read(used)?)))),
        }
    }

    /// Writes the files beside those that are used.
    pub(crate) fn stage(&self, number: u64, wanted: &Files) -> io::Result<()> {
        let folder = self.own("");
        // Who looks after the folder may have made it for others to read: there are passwords in it.
        make_private(&folder)?;
        remove(&self.own(STAGED))?;
        remove(&self.own(AT_START))?;
        if self.staged().exists() {
            self.steps.take()?;
            fs::remove_dir_all(self.staged())?;
        }
        for (path, text) in wanted.iter().filter(|(path, _)| is_beside(path)) {
            let staged = self.staged().join(path);
            make_private(staged.parent().unwrap_or(&folder))?;
            let mode =
                fs::metadata(self.used(path)).map_or(0o600, |found| found.permissions().mode());
            self.write(&staged, text.as_bytes(), mode & 0o777)?;
        }
        let note = self.note().unwrap_or_default();
        let gone = self.superfluous(wanted, &note)?;
        self.put(STAGED, &Note { number, files: digests(wanted), gone })
    }

    /// The staged files are put in place at the next start.
    pub(crate) fn want_at_start(&self) -> io::Result<()> {
        self.write(&self.own(AT_START), b"", 0o600)
    }

    /// Puts the staged files in the place of those that are used; of these, what was changed by hand is kept.
    pub(crate) fn install(&self, foreign: &[String]) -> io::Result<()> {
        self.keep(foreign)?;
        self.steps.take()?;
        fs::rename(self.own(STAGED), self.own(JOURNAL))?;
        sync(&self.own(""))?;
        self.finish()
    }

    /// Goes on with what an [`Place::install`] began; nothing if none did.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let Some(journal) = self.read(JOURNAL) else { return Ok(()) };
        for (path, wanted) in journal.files.iter().filter(|(path, _)| is_beside(path)) {
            let (staged, used) = (self.staged().join(path), self.used(path));
            if staged.exists() {
                fs::create_dir_all(used.parent().unwrap_or_else(|| self.base()))?;
                self.steps.take()?;
                fs::rename(&staged, &used)?;
                sync(used.parent().unwrap_or_else(|| self.base()))?;
            } else if digest(&fs::read(&used)?) != *wanted {
                let text = format!("{} is neither the old nor the new file", used.display());
                return Err(io::Error::other(text));
            }
        }
        for path in journal.gone.iter().filter(|path| is_beside(path)) {
            self.steps.take()?;
            remove(&self.used(path))?;
        }
        self.steps.take()?;
        remove(&self.own(AT_START))?;
        match fs::rename(self.own(JOURNAL), self.own(NOTE)) {
            // Another process of this node was as fast.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }?;
        sync(&self.own(""))
    }

    /// Notes that the used files, which are these, are of this generation.
    pub(crate) fn note_down(&self, number: u64, wanted: &Files) -> io::Result<()> {
        make_private(&self.own(""))?;
        self.put(NOTE, &Note { number, files: digests(wanted), gone: vec![] })
    }

    /// Before a start reads any file: what was begun is finished. Whether other files are wanted now, which only a
    /// start can take on; [`Place::install`] them once they are good.
    pub(crate) fn before_start(&self) -> io::Result<bool> {
        self.finish()?;
        let Some(staged) = self.read(STAGED).filter(|_| self.own(AT_START).exists()) else {
            return Ok(false);
        };
        let mut wanted = Files::new();
        for path in staged.files.keys().filter(|path| is_beside(path)) {
            wanted.insert(path.clone(), fs::read_to_string(self.staged().join(path))?);
        }
        // Whoever changed a file by hand meanwhile wants that.
        Ok(digests(&wanted) == staged.files && self.lying(&wanted)? == Lying::Known)
    }

    /// Copies what was changed by hand, before it is replaced.
    fn keep(&self, foreign: &[String]) -> io::Result<()> {
        if foreign.is_empty() {
            return Ok(());
        }
        let kept = self.own("kept");
        let folder = kept.join(sys::clock::wall_ms().to_string());
        for path in foreign.iter().filter(|path| is_beside(path)) {
            let copy = folder.join(path);
            make_private(copy.parent().unwrap_or(&folder))?;
            self.write(&copy, &fs::read(self.used(path))?, 0o600)?;
        }
        let mut sets: Vec<_> = fs::read_dir(&kept)?.flatten().map(|entry| entry.path()).collect();
        sets.sort();
        for old in sets.iter().take(sets.len().saturating_sub(MAX_KEPT)) {
            fs::remove_dir_all(old)?;
        }
        Ok(())
    }

    fn put(&self, name: &str, note: &Note) -> io::Result<()> {
        let mut bytes = vec![];
        api::encode(note, &mut bytes);
        let part = self.own(&format!("{name}.part"));
        self.write(&part, &bytes, 0o600)?;
        self.steps.take()?;
        fs::rename(&part, self.own(name))?;
        sync(&self.own(""))
    }

    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.steps.take()?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    }
}

/// What lies where a file should.
enum Found {
    /// Its digest.
    Text(String),
    /// A symbolic link, a folder, or something far too large.
    Other,
}

pub(crate) fn digests(files: &Files) -> BTreeMap<String, String> {
    files.iter().map(|(path, text)| (path.clone(), digest(text.as_bytes()))).collect()
}

fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
