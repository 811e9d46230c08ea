//! What is written down about files that were changed by hand, and for the next start.

use std::collections::BTreeMap;
use std::{fs, io};

use api::generation::{Files, Note};
use engine::generation::{Lying, is_beside};

use super::{Found, Place, STAGED, WAIT, digests, remove};

/// The staged files are wanted at the next start, as only a start can do what they need; with the digests of files
/// changed by hand that are to be replaced then.
pub(super) const AT_START: &str = "at-start.json";
/// What `--force` was said about: files changed by hand, as they were when the generation was first seen.
const FORCED: &str = "forced.json";
/// In place of a digest, of what is no file.
const NO_FILE: &str = "no file";

/// Staged files that a start may put in place, once they are good.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) number: u64,
    /// Files changed by hand that `--force` was said about.
    pub(crate) foreign: Vec<String>,
}

impl Place {
    /// The staged files are put in place at the next start, and replace what was changed by hand if it is these
    /// files, and as they are now.
    pub(crate) fn want_at_start(&self, number: u64, foreign: &[String]) -> io::Result<()> {
        let _held = self.hold(WAIT)?;
        self.put(AT_START, &Note { number, files: self.marks(foreign)?, gone: vec![] })
    }

    /// Another generation is the newest: the next start does not take what waits for it.
    pub(crate) fn forget_start(&self, newest: u64) -> io::Result<()> {
        match self.read(AT_START).is_some_and(|waits| waits.number != newest) {
            true => remove(&self.own(AT_START)),
            false => Ok(()),
        }
    }

    /// Whether `--force` was said about these, which were changed by hand: they are as they were when this
    /// generation was first seen here, which is now if nothing is written down.
    pub(crate) fn is_forced(&self, number: u64, foreign: &[String]) -> io::Result<bool> {
        let now = self.marks(foreign)?;
        let Some(first) = self.read(FORCED).filter(|forced| forced.number == number) else {
            self.make_own()?;
            self.put(FORCED, &Note { number, files: now, gone: vec![] })?;
            return Ok(true);
        };
        Ok(now.iter().all(|(path, mark)| first.files.get(path) == Some(mark)))
    }

    fn marks(&self, paths: &[String]) -> io::Result<BTreeMap<String, String>> {
        let mark = |path: &String| {
            let mark = match self.found(path)? {
                Some(Found::Text(digest)) => digest,
                Some(Found::Other) | None => NO_FILE.to_owned(),
            };
            Ok((path.clone(), mark))
        };
        paths.iter().map(mark).collect()
    }

    /// Before a start reads any file: what was begun is finished or undone. Other files may be wanted now, which
    /// only a start can take on; [`Place::install`] them once they are good.
    pub(crate) fn before_start(&self) -> io::Result<Option<Waiting>> {
        let _held = self.settled(WAIT)?;
        // What cannot be read is not whole: the node starts with what it has.
        Ok(self.waiting().unwrap_or_default())
    }

    fn waiting(&self) -> io::Result<Option<Waiting>> {
        let (Some(waits), Some(staged)) = (self.read(AT_START), self.read(STAGED)) else {
            return Ok(None);
        };
        let number = staged.number;
        if waits.number != number || number <= self.note().unwrap_or_default().number {
            return Ok(None);
        }
        let mut wanted = Files::new();
        for path in staged.files.keys().filter(|path| is_beside(path)) {
            wanted.insert(path.clone(), fs::read_to_string(self.staged().join(path))?);
        }
        if digests(&wanted) != staged.files {
            return Ok(None);
        }
        // Whoever changed a file by hand meanwhile wants that.
        let foreign = match self.lying(&wanted)? {
            Lying::Known => vec![],
            Lying::Foreign(foreign) if self.marks(&foreign)? == waits.files => foreign,
            Lying::Same | Lying::Foreign(_) => return Ok(None),
        };
        Ok(Some(Waiting { number, foreign }))
    }
}
