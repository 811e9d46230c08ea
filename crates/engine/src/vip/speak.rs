//! What a holder says, and how often at most.

use std::time::Duration;

use base::Time;

use super::{Action, State, Vip};
use crate::Buffer;

/// Between two adverts of a holder that answers.
const ANSWER_AGAIN: Duration = Duration::from_millis(10);

impl Vip {
    /// At once, but not again within [`ANSWER_AGAIN`]: who spoke meanwhile is answered by one advert then. A
    /// flood of adverts does not become one of answers.
    pub(super) fn answer(&mut self, now: Time, out: &mut Buffer<Action>) {
        let interval = self.config.vip.advert_interval;
        // More than half of an interval, and answers would put off what is due anyway, for ever.
        let again = ANSWER_AGAIN.min(interval / 2);
        let State::Master { advertise_at, .. } = &mut self.state else { return };
        let left = advertise_at.since(now);
        if left + again > interval {
            *advertise_at = now + again;
        } else if left > again {
            self.advertise(now, out);
            self.offered = None; // a hello at once: the rival may hear us on another network only
        }
        self.announce(now, out);
    }

    pub(super) fn advertise(&mut self, now: Time, out: &mut Buffer<Action>) {
        out.push(Action::Advertise { priority: self.priority() });
        if let State::Master { advertise_at, .. } = &mut self.state {
            *advertise_at = now + self.config.vip.advert_interval;
        }
    }

    pub(super) fn announce(&mut self, now: Time, out: &mut Buffer<Action>) {
        if let State::Master { burst, .. } = &mut self.state
            && burst.restart(now)
        {
            out.push(Action::Announce);
        }
    }
}
