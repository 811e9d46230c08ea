//! What other processes of this node tell the agent, and the line in the audit log that some of it is worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};

use api::access::Deed;
use api::{Report, Wished};

use super::hands::Hands;
use super::{Agent, lock};

/// Wishes that wait for the disk; whoever may use the statistics socket can say thousands a second.
const MOST_WISHES: usize = 1024;

/// Writes down what the statistics socket of this node's balancer was told, beside the agent's loop: a disk that is
/// slow is waited for by nobody else.
#[derive(Debug)]
pub(crate) struct Scribe {
    /// None: the system has no thread left.
    wishes: Option<SyncSender<Wished>>,
    lost: Arc<AtomicU64>,
}

impl Scribe {
    pub(crate) fn start(hands: &Arc<Hands>) -> Self {
        let (wishes, told) = mpsc::sync_channel::<Wished>(MOST_WISHES);
        let lost = Arc::new(AtomicU64::new(0));
        let (doors, missed) = (hands.doors(), Arc::clone(&lost));
        let work = move || {
            for Wished { by, server, to } in told {
                // Who wished it has had his answer; a disk that takes nothing is told of by the event log.
                let _ = doors.told(&by, (Deed::SetServer, &server), &to);
                match missed.swap(0, Ordering::Relaxed) {
                    0 => {}
                    count => {
                        let more = format!("{count} more, too many at once to be written down");
                        let _ = doors.told("several", (Deed::SetServer, ""), &more);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("scribe".to_owned()).spawn(work);
        Self { wishes: thread.is_ok().then_some(wishes), lost }
    }

    pub(crate) fn wished(&self, wished: Wished) {
        let taken = self.wishes.as_ref().is_some_and(|wishes| wishes.try_send(wished).is_ok());
        if !taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Agent<'_> {
    /// Another process of this node said that.
    pub(super) fn relayed(&mut self, report: Report) {
        if let Report::Event(event) = report {
            let event = lock(&self.core).tagged(event);
            self.journal.add(event);
        } else if let Report::Wished(wished) = report {
            self.scribe.wished(wished);
        } else {
            let mut core = lock(&self.core);
            core.picture.report(report);
            core.speak();
        }
    }
}
