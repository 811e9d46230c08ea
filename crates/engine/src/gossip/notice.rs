//! What the circles and the kernels of other nodes found becomes accusation, question or a look.

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use super::circle::Notice;
use super::wire::{MAX_MISSED, Part};
use super::{Action, Gossip};

/// So rarely a compute node accuses one by its kernel's word, which comes with each packet for it.
const REFUSED_EVERY: Duration = Duration::from_secs(1);

impl Gossip {
    /// What the circles found becomes accusation, round or a look.
    pub(super) fn notice(&mut self, now: Time, out: &mut Vec<Action>) {
        for notice in std::mem::take(&mut self.found) {
            match notice {
                Notice::Up(node) => {
                    self.due.insert(node, now);
                }
                Notice::Down(node) | Notice::Missed { node, .. } => {
                    // Of the network where it is missed: to be sure of another one says nothing about it.
                    let may_accuse = matches!(notice, Notice::Missed { is_sure: true, .. });
                    match &mut self.confirm {
                        Some(confirm) => confirm.doubt(now, node, self.me),
                        None if may_accuse => self.accuse(now, node, out),
                        None => {}
                    }
                    self.due.insert(node, now);
                }
            }
        }
        self.tie(out);
        let touched = self.confirm.as_mut().map(|confirm| std::mem::take(&mut confirm.touched));
        touched.into_iter().flatten().for_each(|node| {
            self.due.insert(node, now);
        });
    }

    /// Tells the controllers that a compute node is missed, unless this node has reasons to doubt itself.
    fn accuse(&self, now: Time, node: u16, out: &mut Vec<Action>) {
        if node < self.roster.controllers || now < self.judge_from {
            return;
        }
        let nodes: ArrayVec<u16, MAX_MISSED> = [node].into_iter().collect();
        let part = Part::Missed(nodes);
        for to in 0..self.roster.controllers {
            self.shared(to).for_each(|network| out.push(Action::part((to, network), &part)));
        }
    }

    /// Nothing listens on that node, its kernel says: nothing is waited for.
    pub(super) fn kernel_refused(
        &mut self,
        now: Time,
        (node, network): (u16, u8),
        out: &mut Vec<Action>,
    ) {
        if let Some(confirm) = &mut self.confirm {
            return confirm.refused(now, node, network);
        }
        let circle = self.circles.get(usize::from(network)).and_then(Option::as_ref);
        let is_missing = circle.is_some_and(|circle| {
            let fellow = circle.fellow(node);
            fellow.life > 0 && !fellow.down && circle.is_sure(now)
        });
        self.told_refused.retain(|_, at| now.since(*at) < REFUSED_EVERY);
        if is_missing && !self.told_refused.contains_key(&node) {
            self.told_refused.insert(node, now);
            self.accuse(now, node, out);
        }
    }

    /// Nodes that live and have no tether get one.
    fn tie(&mut self, out: &mut Vec<Action>) {
        let Some(confirm) = &mut self.confirm else { return };
        for node in std::mem::take(&mut confirm.loose) {
            let networks = confirm.untethered(node);
            out.extend(networks.iter().map(|network| Action::Tether { node, network }));
        }
    }
}
