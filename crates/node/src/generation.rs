//! A generation's files on this machine: written beside those that are used, then renamed in their place.
//!
//! ```text
//!   .outlast/staged/FILE ...        written and synced; staged.json after them: they are whole
//!   .outlast/before/FILE ...        copies of what is used, synced; before.json after them
//!   staged.json -> journal.json     one rename: from here on it is finished, whoever comes
//!     each staged FILE over the one that is used; files that the generation has not are removed
//!   journal.json -> note.json       done: the files are of this generation
//! ```
//!
//! A node that dies before that rename has the files it had. One that dies after it finishes at its next start
//! before it reads any of them, so it never runs a mixture. Where a file cannot be replaced, all are put back as
//! they were before. The folder `.outlast` lies beside the cluster file, as a rename works within one file system
//! only. Whoever changes something in it holds its lock.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use api::generation::{CLUSTER_FILE, Files, Note};
use engine::generation::{Lying, digest, is_beside};

use crate::files::Texts;

mod mounts;
mod undo;
mod waits;

use waits::AT_START;

const FOLDER: &str = ".outlast";
const STAGED: &str = "staged.json";
const JOURNAL: &str = "journal.json";
const NOTE: &str = "note.json";
/// Sets of files that were changed by hand and replaced; older ones go (each is what one node had).
const MAX_KEPT: usize = 20;

/// For another process of this node, which writes a few files; the agent and a start may wait so long.
const WAIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);
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

/// No other process of this node changes anything in `.outlast` while this is there.
#[derive(Debug)]
pub(crate) struct Held(Option<File>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // The lock goes with the file, which is closed next.
            let _ = folder.unlock();
        }
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
            // With a folder also where that was not named: it is synced.
            CLUSTER_FILE => self.base().join(self.cluster_file.file_name().unwrap_or_default()),
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
        let path = Path::new(used);
        let name = match path.strip_prefix(self.base()) {
            Ok(name) => name,
            Err(_) if self.base() == Path::new(".") && path.is_relative() => path,
            Err(_) => return None,
        };
        let name = name.to_str()?;
        Some(name.to_owned()).filter(|name| is_beside(name))
    }

    /// What was read from the used files, or as if from them, under the names of a generation.
    pub(crate) fn named(&self, texts: &Texts) -> Files {
        let sources = texts.haproxy.iter().chain(&texts.keepalived).chain(&texts.cluster);
        // A file from elsewhere keeps its whole path, which no generation has.
        let name = |path: &String| self.name_of(path).unwrap_or_else(|| path.clone());
        sources.map(|source| (name(&source.path), source.text.clone())).collect()
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

    /// The folder of its own, for nobody else.
    fn make_own(&self) -> io::Result<()> {
        let folder = self.own("");
        make_private(&folder)?;
        // Who looks after the folder may have made it for others to read: there are passwords in it.
        match fs::metadata(&folder)?.permissions().mode() & 0o777 {
            0o700 => Ok(()),
            _ => fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)),
        }
    }

    /// Waits for whoever changes something in the folder; nothing to wait for where there is none.
    fn hold(&self, patience: Duration) -> io::Result<Held> {
        let folder = match File::open(self.own("")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held(None)),
            other => other?,
        };
        let end = sys::clock::now() + patience;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Held(Some(folder))),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if sys::clock::now() < end => {
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(TryLockError::WouldBlock) => {
                    let text = "another process of this node is writing the files of a generation";
                    return Err(io::Error::other(text));
                }
            }
        }
    }

    /// Writes the files beside those that are used.
    pub(crate) fn stage(&self, number: u64, wanted: &Files) -> io::Result<()> {
        self.make_own()?;
        let _held = self.hold(WAIT)?;
        // What an agent before this one began needs what it staged.
        self.settle()?;
        let note = self.note().unwrap_or_default();
        let gone = self.superfluous(wanted, &note)?;
        for path in wanted.keys().chain(&gone) {
            mounts::refuse_apart(&self.used(path), &self.own(""))?;
        }
        remove(&self.own(STAGED))?;
        remove(&self.own(AT_START))?;
        if self.staged().exists() {
            self.steps.take()?;
            fs::remove_dir_all(self.staged())?;
        }
        for (path, text) in wanted.iter().filter(|(path, _)| is_beside(path)) {
            let staged = self.staged().join(path);
            make_private(staged.parent().unwrap_or_else(|| self.base()))?;
            self.write_as(&self.used(path), &staged, text.as_bytes())?;
        }
        self.put(STAGED, &Note { number, files: digests(wanted), gone })
    }

    /// Puts the staged files in the place of those that are used; of these, what was changed by hand is kept. After
    /// an error all is as before, unless the disk does not let that be either.
    pub(crate) fn install(&self, number: u64, foreign: &[String]) -> io::Result<()> {
        let _held = self.hold(WAIT)?;
        let Some(staged) = self.read(STAGED).filter(|staged| staged.number == number) else {
            return Err(io::Error::other("another generation is staged"));
        };
        self.keep(foreign)?;
        self.copy_used(&staged)?;
        self.steps.take()?;
        fs::rename(self.own(STAGED), self.own(JOURNAL))?;
        sync(&self.own(""))?;
        self.finish().map_err(|error| match self.undo(&error) {
            Ok(()) => error,
            Err(worse) => io::Error::other(format!("{error}; and what was there before: {worse}")),
        })
    }

    /// What an [`Place::install`] began is finished, or undone, before the used files are read; they do not change
    /// while what is given back is there.
    pub(crate) fn settled(&self, patience: Duration) -> io::Result<Held> {
        let held = self.hold(patience)?;
        self.settle()?;
        Ok(held)
    }

    fn settle(&self) -> io::Result<()> {
        self.finish().or_else(|error| self.undo(&error))
    }

    /// Goes on with what an [`Place::install`] began; nothing if none did.
    fn finish(&self) -> io::Result<()> {
        let Some(journal) = self.read(JOURNAL) else { return Ok(()) };
        for (path, wanted) in journal.files.iter().filter(|(path, _)| is_beside(path)) {
            let (staged, used) = (self.staged().join(path), self.used(path));
            match content(&staged)? {
                Some(found) if found == *wanted => {
                    fs::create_dir_all(used.parent().unwrap_or_else(|| self.base()))?;
                    self.steps.take()?;
                    fs::rename(&staged, &used).map_err(|error| named(&used, &error))?;
                    sync(used.parent().unwrap_or_else(|| self.base()))?;
                }
                None if content(&used)?.as_ref() == Some(wanted) => {}
                Some(_) | None => {
                    let text = format!("what was staged for {} is damaged", used.display());
                    return Err(io::Error::other(text));
                }
            }
        }
        for path in journal.gone.iter().filter(|path| is_beside(path)) {
            self.steps.take()?;
            remove(&self.used(path)).map_err(|error| named(&self.used(path), &error))?;
        }
        self.steps.take()?;
        remove(&self.own(AT_START))?;
        remove(&self.own(undo::UNDONE))?;
        fs::rename(self.own(JOURNAL), self.own(NOTE))?;
        sync(&self.own(""))
    }

    /// Notes that the used files, which are these, are of this generation; what waited for the next start does not
    /// any more.
    pub(crate) fn note_down(&self, number: u64, wanted: &Files) -> io::Result<()> {
        self.make_own()?;
        let _held = self.hold(WAIT)?;
        if self.read(JOURNAL).is_some() {
            // That may change them: whoever asked looks again.
            return self.settle();
        }
        for name in [AT_START, STAGED, undo::UNDONE] {
            self.steps.take()?;
            remove(&self.own(name))?;
        }
        self.put(NOTE, &Note { number, files: digests(wanted), gone: vec![] })
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

    /// The same with owner, group and mode of another file, if that is there.
    fn write_as(&self, like: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let Ok(like) = fs::metadata(like) else { return self.write(path, bytes, 0o600) };
        self.write(path, bytes, 0o600)?;
        let file = File::open(path)?;
        let mine = file.metadata()?;
        if (mine.uid(), mine.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid()))
                .map_err(|error| named(path, &error))?;
        }
        // After the owner, whom this may let read.
        file.set_permissions(fs::Permissions::from_mode(like.permissions().mode() & 0o777))?;
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

/// The digest of a file; none where there is no file.
fn content(path: &Path) -> io::Result<Option<String>> {
    match path.is_file() {
        true => Ok(Some(digest(&fs::read(path)?))),
        false => Ok(None),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
