//! A node that did not run knows nothing of what happened meanwhile.

use base::Time;

use super::{Action, Cause, GRACE, State, Vip};
use crate::Buffer;

impl Vip {
    /// A frozen or starved node, awake again, suspects itself first. A holder for which others have
    /// waited long enough drops the address and asks (a master answers a goodbye at once). A backup
    /// does not take its own deafness for silence, nor an old hand-over for a new one. Both stand
    /// again when a master would have been heard.
    pub(super) fn notice_stall(&mut self, now: Time, out: &mut Buffer<Action>) {
        let interval = self.interval;
        let heard_by = now + interval + self.skew();
        match self.state {
            State::Master { advertise_at, .. } if now > advertise_at + self.given_up_after() => {
                out.push(Action::Release);
                out.push(Action::Advertise { priority: 0 });
                self.state = State::Backup {
                    take_over_at: heard_by,
                    not_before: now,
                    reason: Cause::Silence,
                };
                self.cause = Some(Cause::Stalled);
                self.awake_at = now;
            }
            State::Backup { take_over_at, not_before, reason }
                if now > self.deadline() + self.late() =>
            {
                let take_over_at = take_over_at.max(heard_by);
                self.wanted = None;
                self.state = State::Backup { take_over_at, not_before, reason };
                self.awake_at = now;
            }
            State::Master { .. } | State::Backup { .. } | State::Fault | State::Stopped => {}
        }
    }

    /// False just after a stall, while messages from before it are still being read.
    pub(super) fn awake(&self, now: Time) -> bool {
        self.awake_at == Time::ZERO || now.since(self.awake_at) > self.at_most(GRACE)
    }
}
