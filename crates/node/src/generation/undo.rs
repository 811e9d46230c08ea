//! The way back, where a file cannot be replaced: a node must start with files that belong together.

use std::collections::BTreeMap;
use std::{fs, io};

use api::generation::Note;
use engine::generation::{digest, is_beside};

use super::{AT_START, JOURNAL, Place, content, make_private, remove, sync};

/// Copies of the used files, from before an install; the note of them says that they are whole.
const COPIES: &str = "before";
const BEFORE: &str = "before.json";
/// Why the last install was undone, for people.
pub(super) const UNDONE: &str = "undone";

impl Place {
    /// Copies what is about to be replaced.
    pub(super) fn copy_used(&self, staged: &Note) -> io::Result<()> {
        remove(&self.own(BEFORE))?;
        let copies = self.own(COPIES);
        if copies.exists() {
            self.steps.take()?;
            fs::remove_dir_all(&copies)?;
        }
        let mut files = BTreeMap::new();
        for path in staged.files.keys().chain(&staged.gone).filter(|path| is_beside(path)) {
            let used = self.used(path);
            if !used.is_file() {
                continue;
            }
            let (bytes, copy) = (fs::read(&used)?, copies.join(path));
            make_private(copy.parent().unwrap_or(&copies))?;
            self.write_as(&used, &copy, &bytes)?;
            files.insert(path.clone(), digest(&bytes));
        }
        self.put(BEFORE, &Note { number: staged.number, files, gone: vec![] })
    }

    /// Puts back what an install replaced before it failed; what somebody wrote there since is kept.
    pub(super) fn undo(&self, why: &io::Error) -> io::Result<()> {
        let (Some(journal), Some(before)) = (self.read(JOURNAL), self.read(BEFORE)) else {
            return Err(io::Error::other(format!("{why}; there are no copies of what was before")));
        };
        for path in journal.files.keys().chain(&journal.gone).filter(|path| is_beside(path)) {
            let used = self.used(path);
            let (lies, was) = (content(&used)?, before.files.get(path));
            if lies.as_ref() == was {
                continue;
            }
            if lies.is_some() && lies.as_ref() != journal.files.get(path) {
                self.keep(std::slice::from_ref(path))?;
            }
            self.steps.take()?;
            match was {
                Some(_) => fs::rename(self.own(COPIES).join(path), &used)?,
                None => remove(&used)?,
            }
            sync(used.parent().unwrap_or_else(|| self.base()))?;
        }
        let number = journal.number;
        let text = format!(
            "generation {number} could not be put in place, so the files before it are used: {why}"
        );
        self.write(&self.own(UNDONE), text.as_bytes(), 0o600)?;
        self.steps.take()?;
        remove(&self.own(AT_START))?;
        remove(&self.own(JOURNAL))?;
        sync(&self.own(""))
    }

    /// Why the files are those from before, if an install failed and none succeeded since.
    pub(crate) fn undone(&self) -> Option<String> {
        fs::read_to_string(self.own(UNDONE)).ok()
    }
}
