//! What a holder does in its turn.

use base::Time;

use super::super::node::Node;
use super::super::{Action, Cause};
use super::{By, Role, Seat};
use crate::Buffer;

impl Seat {
    /// Says whether others have to hear at once what came of it.
    pub(super) fn hold(&mut self, vip: usize, node: &Node, out: &mut Buffer<Action>) -> bool {
        let now = node.now();
        self.renew(node);
        let objection = self.facts.objection(now).map(Cause::Fact);
        if now >= self.until() {
            self.let_go(Cause::Majority, node, vip, out);
            self.not_before = now + node.span();
        } else if let Some(cause) = objection.or_else(|| node.leaving()) {
            let heir = self.heir_among(node);
            self.give(now, heir, cause, node, vip, out);
        } else if let Some((heir, cause)) = self.better(node) {
            self.give(now, Some(heir), cause, node, vip, out);
        } else {
            if self.is_announced(now) {
                out.push(Action::Announce { vip });
            }
            return false;
        }
        true
    }

    fn is_announced(&mut self, now: Time) -> bool {
        let again = std::mem::take(&mut self.announces);
        let Role::Holder { burst, .. } = &mut self.role else { return false };
        burst.take(now) || again
    }

    /// Until when it may be let through, by what a majority granted or by what is known without one.
    fn renew(&mut self, node: &Node) {
        let stays = self.stays_alone(node);
        let Role::Holder { claim, until, by, .. } = &mut self.role else { return };
        match (node.until(claim), &by) {
            (Some(later), By::Votes) => *until = later.max(*until),
            // What a majority grants ends when they say, and not later.
            (Some(later), By::Nobody { .. }) if later > node.now() + node.beat() => {
                (*until, *by) = (later, By::Votes);
                self.cause = Some(Cause::Granted);
            }
            // Who stood still looks first.
            (_, By::Nobody { .. }) if node.now() < *until => {
                *until = if stays { node.now() + node.span() } else { node.now() };
            }
            (_, By::Votes | By::Nobody { .. }) => {}
        }
    }
}
