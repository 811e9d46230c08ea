//! What members of the store bring to this node, which has none: the newest generation, windows, and proofs of death.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use api::generation::{Applied, Brought};
use api::proof::Posted;
use api::{Has, Mark, Parcel};
use engine::carry::{self, Arrival, MAX_BYTES};

use super::core::Core;
use super::generation::News;

/// Letters of a reason in an answer, which is one datagram.
const MOST_LETTERS: usize = 200;

/// This node's end of [`super::carry`].
pub(crate) struct Told {
    core: Arc<Mutex<Core>>,
    news: Sender<News>,
    arrivals: Mutex<Arrivals>,
    /// What this node makes of the newest generation.
    applied: Mutex<Option<Applied>>,
}

#[derive(Debug, Default)]
struct Arrivals {
    generation: Arrival,
    windows: Arrival,
}

impl Told {
    pub(super) fn new(core: &Arc<Mutex<Core>>, news: Sender<News>) -> Self {
        let (core, arrivals) = (Arc::clone(core), Mutex::default());
        Self { core, news, arrivals, applied: Mutex::default() }
    }

    /// What the members are told at the next opportunity.
    pub(super) fn say(&self, applied: Applied) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = Some(applied);
    }

    /// # Errors
    /// In words, when one of them is too long.
    pub(super) fn offered(&self, generation: &Mark, windows: &Mark) -> Result<Has, String> {
        if generation.bytes > MAX_BYTES || windows.bytes > MAX_BYTES {
            return Err(format!("more than {MAX_BYTES} bytes are no generation"));
        }
        let mark = |mark: &Mark| carry::Mark { digest: mark.digest.clone(), bytes: mark.bytes };
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
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
        drop(arrivals);
        if let Some(whole) = whole {
            self.take(of, &whole)?;
        }
        let has = Has { applied: self.applied(), ..count(of, has) };
        Ok(has)
    }

    fn take(&self, of: Parcel, whole: &str) -> Result<(), String> {
        let wrong = |error: api::ReadError| base::Chain(&error).to_string();
        match of {
            Parcel::Generation => {
                let brought: Brought = api::decode(whole.as_bytes()).map_err(wrong)?;
                // A thread that ended takes nothing on any more.
                let _ = self.news.send(News::Brought(Box::new(brought)));
            }
            Parcel::Windows => {
                let posted: Posted = api::decode(whole.as_bytes()).map_err(wrong)?;
                let mut core = super::lock(&self.core);
                (core.windows, core.proofs) = (posted.windows, posted.proofs);
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
