//! What was last heard, and when.
//!
//! Two tasks keep it fresh: one follows the timeline, one asks for the status. An event is told at
//! once and hurries the next question, so that a page changes with it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::{Event, Status};
use base::{Chain, Time};
use tokio::sync::{Notify, watch};

use crate::ask::{self, AskError, Timeline};

/// Between two questions while somebody looks: half of what a page may lag behind.
const BUSY: Duration = Duration::from_millis(400);
/// Between two questions while nobody looks; metrics are asked for anew anyway.
const IDLE: Duration = Duration::from_secs(5);
/// A page asked for gets a status at most this old, if the agent answers.
const FRESH: Duration = Duration::from_millis(300);
/// An event changes the status some moments later on other paths; they are waited for together.
const TOGETHER: Duration = Duration::from_millis(60);
/// No news for so long is stale: several questions had no answer.
pub(crate) const STALE: Duration = Duration::from_secs(2);
/// Kept for pages: what fits on a long one.
pub(crate) const EVENTS: usize = 200;
/// The same as the agent is asked for.
const LAST: u32 = 200;
/// Kinds of events counted; more than the catalogue has, for those of later versions.
const KINDS: usize = 256;
/// What alarms look back over: an event just before this process counts.
const RECENT_MS: u64 = 10 * 60 * 1000;
/// Between two tries to follow the timeline.
const AGAIN: Duration = Duration::from_millis(500);

/// One picture; a new one replaces it whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) status: Option<Arc<Status>>,
    /// When that status came.
    pub(crate) at: Time,
    /// Why the newest question had no answer.
    pub(crate) silence: Option<String>,
    /// Oldest first.
    pub(crate) events: VecDeque<Event>,
    /// How many of each kind each node told since shortly before this process started.
    pub(crate) told: BTreeMap<(String, String), u64>,
    /// Older events are shown, not counted: a new dashboard would raise an alarm that is over.
    pub(crate) counts_from_ms: u64,
}

impl Heard {
    pub(crate) fn age(&self, now: Time) -> Duration {
        now.since(self.at)
    }

    pub(crate) fn is_stale(&self, now: Time) -> bool {
        self.status.is_none() || self.age(now) > STALE
    }

    fn event(&mut self, event: Event) -> bool {
        let known = |other: &Event| other.seq == event.seq && other.at_ms == event.at_ms;
        if self.events.iter().any(|other| other.node == event.node && known(other)) {
            return false;
        }
        let kind = (event.node.clone(), event.what.clone());
        let counts = event.at_ms >= self.counts_from_ms;
        if counts && (self.told.len() < KINDS || self.told.contains_key(&kind)) {
            *self.told.entry(kind).or_default() += 1;
        }
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        // Other nodes' events arrive late; their own time decides the place.
        let later = self.events.iter().rev().take_while(|other| other.at_ms > event.at_ms).count();
        self.events.insert(self.events.len() - later, event);
        true
    }
}

/// Where everybody reads and says that somebody looks.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    control: Arc<PathBuf>,
    heard: Arc<watch::Sender<Arc<Heard>>>,
    hurry: Arc<Notify>,
    followers: Arc<AtomicUsize>,
}

/// Somebody who looks; until it is dropped.
#[derive(Debug)]
pub(crate) struct Follower(Arc<AtomicUsize>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watch {
    /// Begins to ask.
    pub(crate) fn begin(control: PathBuf) -> Self {
        let counts_from_ms = sys::clock::wall_ms().saturating_sub(RECENT_MS);
        let heard = Heard { counts_from_ms, ..Heard::default() };
        let watch = Self {
            control: Arc::new(control),
            heard: Arc::new(watch::Sender::new(Arc::new(heard))),
            hurry: Arc::new(Notify::new()),
            followers: Arc::new(AtomicUsize::new(0)),
        };
        tokio::spawn(watch.clone().ask_again_and_again());
        tokio::spawn(watch.clone().follow_events());
        watch
    }

    pub(crate) fn followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    /// None: `limit` look already.
    pub(crate) fn follow(&self, limit: usize) -> Option<(Follower, watch::Receiver<Arc<Heard>>)> {
        let before = self.followers.fetch_add(1, Ordering::Relaxed);
        let follower = Follower(Arc::clone(&self.followers));
        if before >= limit {
            return None;
        }
        self.hurry.notify_one();
        Some((follower, self.heard.subscribe()))
    }

    /// What is known, asked for anew if it is not of this moment.
    pub(crate) async fn fresh(&self) -> Arc<Heard> {
        let mut news = self.heard.subscribe();
        let heard = Arc::clone(&news.borrow_and_update());
        if heard.status.is_some() && heard.age(sys::clock::now()) <= FRESH {
            return heard;
        }
        self.hurry.notify_one();
        let asked = sys::clock::now();
        // The question has its own end, so an answer or a failure is published.
        loop {
            if news.changed().await.is_err() {
                return heard;
            }
            let heard = Arc::clone(&news.borrow_and_update());
            if heard.silence.is_some() || heard.at >= asked {
                return heard;
            }
        }
    }

    pub(crate) async fn why(&self, object: &str) -> Result<api::Why, AskError> {
        ask::why(&self.control, object).await
    }

    async fn ask_again_and_again(self) {
        loop {
            let answer = ask::status(&self.control).await;
            self.heard.send_modify(|heard| {
                let heard = Arc::make_mut(heard);
                match answer {
                    Ok(status) => {
                        heard.status = Some(Arc::new(status));
                        heard.at = sys::clock::now();
                        heard.silence = None;
                    }
                    Err(error) => heard.silence = Some(Chain(&error).to_string()),
                }
            });
            let pause = if self.followers() > 0 { BUSY } else { IDLE };
            if tokio::time::timeout(pause, self.hurry.notified()).await.is_ok() {
                tokio::time::sleep(TOGETHER).await;
            }
        }
    }

    async fn follow_events(self) {
        loop {
            // What went wrong is told by the question for the status, which fails alike.
            if let Ok(mut timeline) = Timeline::begin(&self.control, LAST).await {
                while let Ok(event) = timeline.next().await {
                    let is_new = |heard: &mut Arc<Heard>| Arc::make_mut(heard).event(event);
                    if self.heard.send_if_modified(is_new) {
                        self.hurry.notify_one();
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
