//! The lead of the store goes to a voter on duty while this node is at rest ([`engine::duty::Lead`]).

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use engine::duty::Lead;
use store::Link;

use crate::agent::hands::Hands;
use crate::agent::{command, lock};

/// So often it is looked whether this node is at rest and leads.
const GLANCE: Duration = Duration::from_millis(250);

/// Begins it; without a thread the lead stays where it is until somebody is elected.
pub(super) fn start(hands: Arc<Hands>, link: Link) {
    let (tell, told) = mpsc::channel::<(u64, bool)>();
    let work = move || {
        let mut lead = Lead::default();
        loop {
            match told.recv_timeout(GLANCE) {
                Ok((asked, is_given)) => lead.told(sys::clock::now(), asked, is_given),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if lock(hands.core()).picture.duty().is_on() {
                continue;
            }
            let (status, names) = hands.looks();
            if let Some((asked, to)) = command::heir(&mut lead, &status, &names) {
                let tell = tell.clone();
                link.lead(&to, move |outcome| {
                    // It ends with the process.
                    let _ = tell.send((asked, outcome.is_ok()));
                });
            }
        }
    };
    drop(std::thread::Builder::new().name("lead".to_owned()).spawn(work));
}
