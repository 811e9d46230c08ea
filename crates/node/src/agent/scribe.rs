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
            for Wished { by, server, to, more } in told {
                let to = word(&to, more);
                // Who wished it has had his answer; a disk that takes nothing is told of by the event log.
                let _ = doors.told(&by, (Deed::SetServer, &server), &to);
                match missed.swap(0, Ordering::Relaxed) {
                    0 => {}
                    count => {
                        let _ = doors.told("several", (Deed::SetServer, ""), &word("", count));
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("scribe".to_owned()).spawn(work);
        Self { wishes: thread.is_ok().then_some(wishes), lost }
    }

    pub(crate) fn wished(&self, wished: Wished) {
        let count = wished.more.max(1);
        let taken = self.wishes.as_ref().is_some_and(|wishes| wishes.try_send(wished).is_ok());
        if !taken {
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// What was wished, or how many more wishes there were.
fn word(to: &str, more: u64) -> String {
    match (to, more) {
        (to, 0) => to.to_owned(),
        ("", more) => format!("{more} more, too many at once to be written down"),
        (to, 1) => format!("{to}: once more"),
        (to, more) => format!("{to}: {more} times more"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_wishes_that_were_only_counted_the_number_is_written() {
        for (to, more, expected) in [
            ("drain", 0, "drain"),
            ("drain", 1, "drain: once more"),
            ("drain", 7, "drain: 7 times more"),
            ("", 900, "900 more, too many at once to be written down"),
        ] {
            assert_eq!(word(to, more), expected);
        }
    }
}
