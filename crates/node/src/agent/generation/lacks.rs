//! What this node says of a generation that it does not run, and when it says nothing yet.

use std::sync::PoisonError;
use std::time::Duration;

use base::Time;

use super::Applier;
use crate::agent::books::ring::Unread;

/// A new key of the cluster comes with the roster, which takes some ten seconds; twice that, and it is told.
const KEY_WITHIN: Duration = Duration::from_secs(20);

impl Applier {
    /// Whether it is sealed under a key that may be on its way: until then this node has not seen it.
    pub(super) fn is_on_its_way(&mut self, number: u64, unread: &Unread) -> bool {
        let now = sys::clock::now();
        let known = self.lacks.filter(|(of, _)| *of == number);
        let (_, since): (u64, Time) = *self.lacks.insert(known.unwrap_or((number, now)));
        matches!(unread, Unread::Lacks(_)) && now.since(since) < KEY_WITHIN
    }

    pub(super) fn tell_status(&self, runs: Option<u64>) {
        let Some(newest) = self.wanted.as_ref().map(|wanted| wanted.generation.number) else {
            return;
        };
        let mine =
            runs.map_or_else(|| "its own files".to_owned(), |runs| format!("generation {runs}"));
        let text = match (&self.refused, &self.note) {
            _ if self.waits.is_some() && runs != Some(newest) => self.waits.as_ref().map(|waits| {
                format!(
                    "generation {newest} is committed and taken on when {waits}: store processes start anew one \
                     after the other"
                )
            }),
            (Some(why), _) if runs != Some(newest) => {
                Some(format!("generation {newest} is committed, this node runs {mine}: {why}"))
            }
            (_, Some(note)) => Some(format!("configuration: {note}")),
            (Some(_) | None, None) => self.place.undone(),
        };
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}
