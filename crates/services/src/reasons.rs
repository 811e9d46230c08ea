//! Why objects are as they are, asked so that many pages cost the agent no more than a few.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Chain, Time};
use tokio::sync::{Mutex, Semaphore};

use crate::heard::Watch;

/// Questions at once: the agent has few seats, and tools want some of them.
const SEATS: usize = 4;
/// Pages within this share one answer, if it is no older than the status beside it.
const FRESH: Duration = Duration::from_millis(900);
/// Objects remembered; each connection shows one of them.
const OBJECTS: usize = 64;

/// The newest answer, and when it was asked for.
type Newest = Arc<Mutex<Option<(Time, Result<api::Why, String>)>>>;

#[derive(Debug)]
pub(crate) struct Reasons {
    seats: Semaphore,
    newest: Mutex<BTreeMap<String, Newest>>,
}

impl Reasons {
    pub(crate) fn new() -> Self {
        Self { seats: Semaphore::new(SEATS), newest: Mutex::new(BTreeMap::new()) }
    }

    /// An answer at least as new as `since`, when the status came that it stands beside.
    pub(crate) async fn why(
        &self,
        watch: &Watch,
        object: String,
        since: Time,
    ) -> Result<api::Why, String> {
        let newest = self.of(&object).await;
        // Who wants to know the same waits here for the one who asks.
        let mut newest = newest.lock().await;
        if let Some((at, why)) = &*newest
            && *at >= since
            && sys::clock::now().since(*at) < FRESH
        {
            return why.clone();
        }
        // The semaphore is never closed.
        let _seat = self.seats.acquire().await;
        let asked = sys::clock::now();
        let why = watch.why(&object).await.map_err(|error| Chain(&error).to_string());
        *newest = Some((asked, why.clone()));
        why
    }

    async fn of(&self, object: &str) -> Newest {
        let mut all = self.newest.lock().await;
        if all.len() >= OBJECTS && !all.contains_key(object) {
            // Nobody waits for what only this map holds.
            all.retain(|_, newest| Arc::strong_count(newest) > 1);
        }
        Arc::clone(all.entry(object.to_owned()).or_default())
    }
}
