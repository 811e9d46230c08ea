//! Receivers: what they take, refuse, and do not say.

use std::time::Duration;

use config::cluster::Topic;
use engine::notify::{Addressee, Batch, Letter, Outcome as Answer, Refusal};

use super::Mark;
use super::node::NAMES;
use super::world::World;

/// A mail server, and a webhook.
pub(super) const RECEIVERS: usize = 2;
pub(super) const NAMED: [&str; RECEIVERS] = ["mail", "hook"];
/// Who gets a mail.
pub(super) const TO: [&str; 2] = ["a@lab", "b@lab"];

/// Something that a receiver got.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) ms: u64,
    pub(super) node: usize,
    pub(super) receiver: usize,
    /// Who got it; of a webhook nobody by name.
    pub(super) to: &'static str,
    pub(super) batch: String,
    pub(super) letters: Vec<Letter>,
    /// It did not say so.
    pub(super) is_open: bool,
    /// Whoever sent it could not write that it did.
    pub(super) was_cut: bool,
}

impl World {
    /// What a receiver does with a message.
    pub(super) fn receive(&mut self, node: usize, batch: &Batch) -> Answer {
        let receiver = usize::from(batch.receiver == NAMED[1]);
        let name = (batch.receiver.clone(), batch.id.clone());
        let ids = batch.letters.iter().map(|letter| letter.id.clone());
        self.batches.entry(name).or_default().extend(ids);
        if self.now_ms < self.down[receiver] {
            return Answer::failed("connection refused".to_owned());
        }
        let all = if receiver == 0 { &TO[..] } else { &[""][..] };
        let wanted =
            |to: &&&str| batch.left.is_empty() || batch.left.iter().any(|left| left == **to);
        let mut to: Vec<&'static str> = all.iter().filter(wanted).copied().collect();
        if self.mute[receiver] > 0 {
            self.mute[receiver] -= 1;
            if self.chance.one_in(2) {
                self.arrives(node, receiver, batch, (&to, true));
            }
            return Answer::Unsure("silence".to_owned());
        }
        if receiver == 0 && self.now_ms < self.greylists {
            let why = || Refusal { to: TO[1].to_owned(), why: "450 later".to_owned() };
            to.retain(|to| *to != TO[1]);
            if to.is_empty() {
                return Answer::Failed { why: "450 later".to_owned(), never: vec![] };
            }
            self.arrives(node, receiver, batch, (&to, false));
            return Answer::Taken { later: vec![why()], never: vec![] };
        }
        if !batch.left.is_empty() {
            self.outcome.marks.reach(Mark::Part);
        }
        self.arrives(node, receiver, batch, (&to, false));
        Answer::TAKEN
    }

    fn arrives(
        &mut self,
        node: usize,
        receiver: usize,
        batch: &Batch,
        (to, is_open): (&[&'static str], bool),
    ) {
        let was_cut = !self.reaches_shelf(node);
        for letter in &batch.letters {
            let mark = match letter.topic {
                Topic::Loss => Some(Mark::Loss),
                Topic::Return => Some(Mark::Return),
                Topic::Move if !self.is_shared && letter.node != NAMES[node] => {
                    Some(Mark::SpokenFor)
                }
                Topic::Move | Topic::Event(_) => None,
            };
            mark.into_iter().for_each(|mark| self.outcome.marks.reach(mark));
        }
        for to in to.iter().copied() {
            self.arrivals.push(Arrival {
                ms: self.now_ms,
                node,
                receiver,
                to,
                batch: batch.id.clone(),
                letters: batch.letters.clone(),
                is_open,
                was_cut,
            });
        }
        self.tell(node, &format!("brings {} to {}", batch.id, NAMED[receiver]));
    }
}

pub(super) fn receivers() -> Vec<Addressee> {
    let of = |name: &str| Addressee {
        name: name.to_owned(),
        topics: Topic::ALL.to_vec(),
        retry_for: Duration::from_secs(72 * 3600),
    };
    NAMED.map(of).into_iter().collect()
}
