//! A proof of death is of a machine: it ends when a new one has joined under that name.
//!
//! ```text
//!   proof/NAME: of the machine that joined then --+
//!                                                 +--> joined later: the proof is taken back, wherever the store is
//!   roster: the machine that has NAME now --------+
//! ```

use api::books::{BookAnswer, BookAsk};
use api::proof::Proof;
use api::{Event, Report};
use base::Time;
use trust::Roster;

use super::{AGAIN, Trustee};

impl Trustee {
    /// On the node that signs, which knows first who is in; where the store does not answer it is tried again.
    pub(super) fn end_proofs(&mut self, roster: &Roster, now: Time) {
        let outlived = super::super::lock(&self.core).outlived_proofs(roster);
        let Some(books) = self.books.get().filter(|_| !outlived.is_empty() && now >= self.end_at)
        else {
            return;
        };
        self.end_at = now + AGAIN;
        for proof in outlived {
            let ask = BookAsk::TakeBack { node: proof.node.clone() };
            if matches!(
                books.does(&ask, "a new machine that joined", &[]),
                Ok(BookAnswer::Done(true))
            ) {
                // An agent that has ended tells nothing more.
                let _ = self.voice.say(&Report::Event(ended(&proof)));
            }
        }
    }
}

fn ended(proof: &Proof) -> Event {
    let (who, why) = (proof.whose(), &proof.why);
    Event {
        what: "node-verdict".to_owned(),
        object: format!("node/{}", proof.node),
        evidence: format!(
            "{who} confirmed that a machine of that name is off ({why}), and a new one has joined under it since"
        ),
        decision: "the new machine is not proven dead; rule proven-dead".to_owned(),
        action: "take the proof back".to_owned(),
        ..Event::default()
    }
}
