//! The lead of the store, given to a voter that an operator names.
//!
//! openraft 0.9 has no transfer of leadership. So the leader stands back for a moment, by the rules of any
//! election:
//!
//! ```text
//!   leader                                              named voter            the others
//!     new questions wait
//!     the named one has all of the log, all is applied
//!     no beat any more --- STAND(end of the log) ---->    waits for `silence`
//!                      --- YIELD ----------------------------------------->    do not stand for WITHIN
//!                                                         canvass -------->    yes: the leader is silent
//!                                                         elects itself
//!     follows it, or beats again when WITHIN is over: then it leads on, in its own term
//! ```
//!
//! What was acknowledged is on a majority, of which the named one has all; what waits is asked of the new
//! leader. No vote is given that would not be given to anybody with that log after that silence.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ServerState;
use tokio::time::{Instant, sleep, timeout_at};

use super::election::{self, TICK};
use super::link::{CallError, Lane};
use super::message::{decode_yes, encode_canvass, encode_yield, kind};
use super::types::{LogId, NodeId};
use super::{Core, Embedded};
use crate::Error;

/// All of it takes no longer, so no write waits longer for it: four times [`super::Timing::silence`].
pub(crate) const WITHIN: Duration = Duration::from_secs(1);

/// While it lives this node asks for no beat and takes no question.
struct Quiet<'a>(&'a Core);

impl<'a> Quiet<'a> {
    /// None: another one is under way.
    fn begin(core: &'a Core) -> Option<Self> {
        (!core.gives.swap(true, Ordering::SeqCst)).then_some(Self(core))
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Of whoever leads next time, too.
        self.beats(true);
        self.0.gives.store(false, Ordering::SeqCst);
    }
}

impl Quiet<'_> {
    fn beats(&self, beats: bool) {
        if let Some(raft) = self.0.raft() {
            raft.runtime_config().heartbeat(beats);
        }
    }
}

fn no(why: impl Into<String>) -> Error {
    Error::Lead(why.into())
}

impl Embedded {
    /// Gives the lead to that voter; to be asked on the leader. Writes wait meanwhile, for [`WITHIN`] at most.
    ///
    /// # Errors
    /// When this node does not lead, that one is no voter or does not catch up, or did not take it: then this
    /// one leads on, or another was elected, which the text says.
    pub async fn lead(&self, to: NodeId) -> Result<(), Error> {
        self.core.give(to).await
    }
}

impl Core {
    async fn give(self: &Arc<Self>, to: NodeId) -> Result<(), Error> {
        let until = Instant::now() + WITHIN;
        let voters = self.leads().ok_or_else(|| no("this node does not lead"))?;
        let address = voters.iter().find(|(id, _)| *id == to && to != self.me());
        let address = address.map(|(_, address)| address.clone());
        let address = address.ok_or_else(|| no("it is no other voter"))?;
        let quiet = Quiet::begin(self).ok_or_else(|| no("it is being given away already"))?;
        let last = self.level(to, until - self.options.timing.silence * 2).await?;
        quiet.beats(false);
        for (id, address) in voters.into_iter().filter(|(id, _)| *id != to && *id != self.me()) {
            let core = Arc::clone(self);
            tokio::spawn(async move {
                let question = (kind::YIELD, encode_yield());
                // Who does not hear it may stand too: then one of them is elected.
                drop(core.links.call((id, &address), Lane::Raft, question, WITHIN).await);
            });
        }
        let question = (kind::STAND, encode_canvass(last));
        let patience = until.saturating_duration_since(Instant::now());
        let answer = self.links.call((to, &address), Lane::Raft, question, patience).await;
        let stood = answer.map_err(|error| no(format!("{address}: {}", said(&error))))?;
        if !decode_yes(&stood).unwrap_or(false) {
            return Err(no(format!("{address} has not been elected: it may miss a majority")));
        }
        self.follows(to, until).await
    }

    /// The voters, if this node leads.
    fn leads(&self) -> Option<Vec<(NodeId, String)>> {
        let metrics = self.raft()?.metrics();
        let metrics = metrics.borrow();
        (metrics.state == ServerState::Leader).then(|| self.voters(&metrics.membership_config))
    }

    /// Waits until that node has all of the log, and this one has applied it; the end of the log.
    async fn level(&self, to: NodeId, until: Instant) -> Result<Option<LogId>, Error> {
        loop {
            let last = self.disk.position().last;
            let has = self.raft().and_then(|raft| {
                let metrics = raft.metrics();
                let metrics = metrics.borrow();
                metrics.replication.as_ref().and_then(|all| all.get(&to).copied().flatten())
            });
            if has == last && self.content.applied() == last {
                return Ok(last);
            }
            if Instant::now() >= until {
                let index = |log: Option<LogId>| log.map_or(0, |log| log.index);
                let (has, last) = (index(has), index(last));
                return Err(no(format!("it has entry {has} of {last} and does not catch up")));
            }
            sleep(TICK).await;
        }
    }

    /// Waits until this node follows that one.
    async fn follows(&self, to: NodeId, until: Instant) -> Result<(), Error> {
        let Some(raft) = self.raft() else { return Err(no("this node has no store yet")) };
        let mut metrics = raft.metrics();
        let led = metrics.wait_for(|metrics| {
            metrics.state != ServerState::Leader
                && metrics.current_leader.is_some_and(|leader| leader != self.me())
        });
        let leader = match timeout_at(until, led).await {
            Ok(Ok(metrics)) => metrics.current_leader,
            Ok(Err(_)) | Err(_) => return Err(no("it did not take it within a second")),
        };
        if leader == Some(to) { Ok(()) } else { Err(no("another one was elected")) }
    }

    /// Stands for election because the leader wants it: once the leader is silent, by the same rules.
    pub(crate) async fn stand(self: &Arc<Self>, last: Option<LogId>) -> bool {
        let until = Instant::now() + WITHIN;
        let Some(raft) = self.raft() else { return false };
        while Instant::now() < until {
            let voters = {
                let metrics = raft.metrics();
                let metrics = metrics.borrow();
                self.voters(&metrics.membership_config)
            };
            let is_level = self.disk.position().last >= last && self.may_stand();
            let is_silent = self.heard.age() >= self.options.timing.silence;
            if is_level && is_silent && election::canvass(self, &voters).await {
                return raft.trigger().elect().await.is_ok();
            }
            sleep(TICK).await;
        }
        false
    }

    /// Another voter stands because the leader wants it.
    pub(crate) fn yields(&self) {
        let mut yields = self.yields.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *yields = Some(Instant::now() + WITHIN);
    }

    pub(crate) fn is_yielding(&self) -> bool {
        let yields = self.yields.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        yields.is_some_and(|until| Instant::now() < until)
    }
}

fn said(error: &CallError) -> String {
    base::Chain(error).to_string()
}
