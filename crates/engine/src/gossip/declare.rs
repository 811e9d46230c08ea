//! Of whose end all members are told by gossip, and by whose word.
//!
//! ```text
//!   it said goodbye to a controller                          at once  ---+
//!   the kernel of it refused a majority of the controllers   ~60 ms   ---+--> the end of that life, to all in 2 ms
//!   a majority of the controllers had no answer              0.75 s   ---+    compute nodes doubt it, or it has left
//!   a controller: by their beats it is unreachable           1 s      ---+
//! ```
//!
//! Controllers count only what controllers told them, each under its own pair key. Members pass it on, as they pass on what
//! they find themselves, and what they could say falsely is the same either way: that a member is gone, which is doubt on
//! compute nodes and nothing on controllers, and ends as soon as the member hears of it and says another life. So no word
//! that controllers alone may say is spread: a stolen compute node would not need it.
//!
//! Members do not ask the node themselves: a kernel refuses some fifty packets at once and a thousand a second, whoever asks
//! (`net.ipv4.icmp_msgs_per_sec`), so that a thousand of them would have no word for seconds, and nor would controllers.

use base::Time;

use super::circle::Death;
use super::{Action, Gossip};
use crate::verdict::Verdict;

impl Gossip {
    /// It said goodbye: all are told.
    pub(super) fn leaves(&mut self, now: Time, node: u16, out: &mut Vec<Action>) {
        self.tell_all(now, (node, true), Time::NEVER, out);
    }

    /// It is unreachable: all are told.
    pub(super) fn declare(&mut self, now: Time, node: u16, out: &mut Vec<Action>) {
        self.tell_all(now, (node, false), Time::NEVER, out);
    }

    /// A controller that is unreachable by the beats of controllers, which rests on a majority: all are told. It was silent
    /// for the detection time at least, so that a life which was first heard of since is another one.
    pub(super) fn declare_controller(
        &mut self,
        now: Time,
        node: u16,
        verdict: Verdict,
        out: &mut Vec<Action>,
    ) {
        let is_told = self.confirm.is_some() && self.quorum && node < self.roster.controllers;
        if is_told && verdict == Verdict::Unreachable {
            self.tell_all(now, (node, false), now - self.times.detect(), out);
        }
    }

    /// The rule `agent-gone` applies to it here: all are told if it does on a majority of the controllers. A life that
    /// somebody heard of since the first refusal is another one.
    pub(super) fn doubts(&mut self, now: Time, node: u16, out: &mut Vec<Action>) {
        let since = self.confirm.as_ref().and_then(|confirm| confirm.gone(now, node));
        if let Some(since) = since.filter(|_| self.quorum) {
            self.tell_all(now, (node, false), since, out);
        }
    }

    fn tell_all(
        &mut self,
        now: Time,
        (node, left): (u16, bool),
        known_by: Time,
        out: &mut Vec<Action>,
    ) {
        let watched = self.confirm.as_ref().and_then(|confirm| confirm.watched(node));
        let heard = watched.map_or(0, |watched| watched.life);
        let death = Death { node, heard, left, known_by };
        for circle in self.circles.iter_mut().flatten() {
            circle.declare(now, death, out, &mut self.found);
        }
    }
}
