//! Roles of the cluster that a member of the store takes, or gives away, because an operator wants it.

use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use store::Link;

use super::coordinator::Mail;

/// A commit takes milliseconds, an election half a second; the step that waits for it ends later.
const WITHIN: Duration = Duration::from_secs(5);

/// What of this process has to do with them.
pub(crate) struct Roles {
    pub(super) coordinator: Sender<Mail>,
    pub(super) link: Link,
}

impl Roles {
    /// Takes the name of the coordinator from whoever has it, in one commit.
    ///
    /// # Errors
    /// In words: it stays where it is, or nobody knows.
    pub(in crate::agent) fn coordinate(&self) -> Result<(), String> {
        let (tell, told) = mpsc::channel();
        let ended = |_| "the coordinator of this node has ended".to_owned();
        self.coordinator.send(Mail::Take { tell }).map_err(ended)?;
        told.recv_timeout(WITHIN)
            .unwrap_or_else(|_| Err("no majority of the store has agreed to it yet".to_owned()))
    }

    /// Gives the lead of the store to that node.
    ///
    /// # Errors
    /// In words: this node leads on.
    pub(in crate::agent) fn lead(&self, to: &str) -> Result<(), String> {
        let (tell, told) = mpsc::channel();
        self.link.lead(to, move |outcome| {
            // Who asked may have gone away.
            let _ = tell.send(outcome);
        });
        let outcome = told.recv_timeout(WITHIN);
        let outcome = outcome.map_err(|_| "the store of this node does not answer".to_owned())?;
        outcome.map_err(|error| base::Chain(&error).to_string())
    }
}
