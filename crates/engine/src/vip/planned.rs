//! A move that an operator asked for.

use base::Time;

use super::{Action, Cause, State, Vip};
use crate::Buffer;

impl Vip {
    /// Hands over to the node that was asked for, if it could hold now; whether it did is seen by who
    /// holds afterwards. One that does not claim after all loses it again to this node.
    pub(super) fn move_to(&mut self, now: Time, node: u16, out: &mut Buffer<Action>) {
        if let State::Master { .. } = self.state
            && let Some(named) = self.peers.could_hold(now, node)
        {
            self.yield_to(Some(named), out);
            self.wait_for_named(now);
            self.cause = Some(Cause::Moved);
        }
    }
}
