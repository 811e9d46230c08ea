//! What members of the store bring to this node, which has none: the newest generation, windows, and proofs of death.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use api::generation::{Applied, Brought};
use api::proof::{Posted, Remembered};
use api::{Has, Mark, Parcel};
use engine::carry::{self, Arrival, MAX_BYTES, Newest};

use super::core::Core;
use super::generation::News;
use super::hands::put;
use crate::durable;

/// In the state folder.
const FILE: &str = "told";

/// Letters of a reason in an answer, which is one datagram.
const MOST_LETTERS: usize = 200;

/// This node's end of [`super::carry`].
pub(crate) struct Told {
    core: Arc<Mutex<Core>>,
    news: Sender<News>,
    /// The state folder.
    folder: PathBuf,
    arrivals: Mutex<Arrivals>,
    /// What this node makes of the newest generation.
    applied: Mutex<Option<Applied>>,
}

#[derive(Debug, Default)]
struct Arrivals {
    newest: Newest,
    generation: Arrival,
    windows: Arrival,
}

impl Told {
    /// Windows and proofs are those of the agent before this one, until a member brings others.
    pub(super) fn new(core: &Arc<Mutex<Core>>, news: Sender<News>, folder: &Path) -> Self {
        // What cannot be read is brought again, and without a store nobody would ever take it back.
        let has_store =
            super::lock(core).cluster.as_ref().is_some_and(|cluster| cluster.store.is_some());
        let kept = fs::read(folder.join(FILE)).ok().filter(|_| has_store);
        let kept: Option<Remembered> = kept.and_then(|bytes| api::decode(&bytes).ok());
        let known = known(has_store, kept);
        let look = known.as_ref().map(|known| known.look).unwrap_or_default();
        let (core, folder) = (Arc::clone(core), folder.to_owned());
        let api::Look { incarnation, revision } = look;
        let newest = Newest::new(carry::Look { incarnation, revision });
        let arrivals = Mutex::new(Arrivals { newest, ..Arrivals::default() });
        let told = Self { core, news, folder, arrivals, applied: Mutex::default() };
        if let Some(Remembered { posted, .. }) = known {
            told.post(posted);
        }
        told
    }

    fn post(&self, posted: Posted) {
        let mut core = super::lock(&self.core);
        core.windows = posted.windows;
        core.proofs.learn(posted.proofs);
    }

    /// What the members are told at the next opportunity.
    pub(super) fn say(&self, applied: Applied) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = Some(applied);
    }

    /// # Errors
    /// In words, when one of them is too long, or a member with a newer look at the store was here before.
    pub(super) fn offered(
        &self,
        generation: &Mark,
        windows: &Mark,
        look: Option<api::Look>,
    ) -> Result<Has, String> {
        if generation.bytes > MAX_BYTES || windows.bytes > MAX_BYTES {
            return Err(format!("more than {MAX_BYTES} bytes are no generation"));
        }
        let mark = |mark: &Mark| carry::Mark { digest: mark.digest.clone(), bytes: mark.bytes };
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let look =
            look.map(|api::Look { incarnation, revision }| carry::Look { incarnation, revision });
        if !arrivals.newest.admits(look) {
            return Err("a newer look at the store was brought before".to_owned());
        }
        let generation = arrivals.generation.offered(&mark(generation));
        let windows = arrivals.windows.offered(&mark(windows));
        Ok(Has { generation, windows, applied: self.applied() })
    }

    /// # Errors
    /// In words, when what is whole now cannot be read.
    pub(super) fn piece(
        &self,
        of: Parcel,
        digest: &str,
        at: u64,
        text: &str,
    ) -> Result<Has, String> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = match of {
            Parcel::Generation => &mut arrivals.generation,
            Parcel::Windows => &mut arrivals.windows,
        };
        let (has, whole) = arrival.piece(digest, at, text);
        let newest = arrivals.newest.look();
        drop(arrivals);
        if let Some(whole) = whole {
            self.take(of, &whole, newest)?;
        }
        let has = Has { applied: self.applied(), ..count(of, has) };
        Ok(has)
    }

    fn take(&self, of: Parcel, whole: &str, newest: carry::Look) -> Result<(), String> {
        let wrong = |error: api::ReadError| base::Chain(&error).to_string();
        match of {
            Parcel::Generation => {
                let brought: Brought = api::decode(whole.as_bytes()).map_err(wrong)?;
                // A thread that ended takes nothing on any more.
                let _ = self.news.send(News::Brought(Box::new(brought)));
            }
            Parcel::Windows => {
                let posted: Posted = api::decode(whole.as_bytes()).map_err(wrong)?;
                self.post(posted.clone());
                let carry::Look { incarnation, revision } = newest;
                let kept = Remembered { look: api::Look { incarnation, revision }, posted };
                // A disk that takes it no more costs what it did before: the next agent waits for a member.
                let _ = durable::write(&self.folder, FILE, &put(&kept));
            }
        }
        Ok(())
    }

    fn applied(&self) -> Option<Applied> {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let short = |text: String| text.chars().take(MOST_LETTERS).collect();
        Some(Applied {
            refused: applied.refused.map(short),
            note: applied.note.map(short),
            ..applied
        })
    }
}

fn count(of: Parcel, bytes: u64) -> Has {
    match of {
        Parcel::Generation => Has { generation: bytes, ..Has::default() },
        Parcel::Windows => Has { windows: bytes, ..Has::default() },
    }
}

/// What is known of windows and proofs at the start. Nothing where a member of the store has it and none was here yet: the
/// supervisor knows proofs, too, and who says that there are none takes them back.
fn known(has_store: bool, kept: Option<Remembered>) -> Option<Remembered> {
    if has_store { kept } else { Some(Remembered::default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_read_what_it_was_told_takes_no_proof_back() {
        let proof = api::proof::Proof { node: "node03".to_owned(), ..Default::default() };
        let posted = Posted { windows: vec![], proofs: vec![proof] };
        let kept = Remembered { posted, ..Remembered::default() };
        assert_eq!(known(true, Some(kept.clone())), Some(kept.clone()));
        assert_eq!(known(true, None), None);
        // Without a store nobody would ever take it back.
        assert_eq!(known(false, Some(kept)), Some(Remembered::default()));
    }
}
