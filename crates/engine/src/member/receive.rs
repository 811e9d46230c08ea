//! What comes in packets beside life: outdated beats, questions and events.

use base::Time;

use super::news::{Question, Told};
use super::{Action, Member};
use crate::packet::{Kind, Opened};
use crate::timeline;
use crate::{Buffer, CAPACITY};

impl Member {
    pub(super) fn outdated(&mut self, now: Time, packet: &Opened<'_>, out: &mut Buffer<Action>) {
        let (node, came) = (packet.sender, packet.incarnation);
        let peer = self.peers.get_mut(usize::from(node)).filter(|_| packet.kind == Kind::Beat);
        if let Some(known) = peer.and_then(|peer| peer.outdated(now, came)) {
            out.push(Action::Outdated { node, came, known });
        }
    }

    /// For another node than this one it was meant if it says so.
    pub(super) fn asked(
        &mut self,
        now: Time,
        node: u16,
        network: u8,
        body: &[u8],
        out: &mut Buffer<Action>,
    ) {
        let Some(question) = Question::decode(body).filter(|question| question.to == self.me)
        else {
            self.refused.stranger += 1;
            return;
        };
        let input = timeline::Input::Asked { node, network, after: question.after };
        self.news(now, input, &[], out);
    }

    pub(super) fn told(&mut self, now: Time, node: u16, body: &[u8], out: &mut Buffer<Action>) {
        let Some(told) = Told::decode(body).filter(|told| told.to == self.me) else {
            self.refused.stranger += 1;
            return;
        };
        let Told { previous, number, text, .. } = told;
        self.news(now, timeline::Input::Told { node, previous, number }, text, out);
    }

    /// Asks what is missing, as far as there is room for orders; what finds none is asked again.
    pub(super) fn ask(&mut self, now: Time, out: &mut Buffer<Action>) {
        if self.timeline.deadline() <= now {
            self.news(now, timeline::Input::Timeout, &[], out);
        }
    }

    pub(super) fn news(
        &mut self,
        now: Time,
        input: timeline::Input,
        text: &[u8],
        out: &mut Buffer<Action>,
    ) {
        let mut orders = Buffer::new();
        self.timeline.step(now, input, &mut orders);
        for order in orders.drain() {
            if out.len() == CAPACITY {
                return;
            }
            out.push(match order {
                timeline::Action::Ask { node, network, after } => {
                    Action::Question { node, network, after }
                }
                timeline::Action::Answer { node, network, after } => {
                    Action::Answer { node, network, after }
                }
                timeline::Action::Keep { node, number, skipped } => {
                    Action::Event { node, number, skipped, text: text.to_vec() }
                }
            });
        }
    }
}
