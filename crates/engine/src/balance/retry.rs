//! What follows a failed connect.

use std::time::Duration;

use config::haproxy::{Balance, Redispatch};

use super::{Pool, Retry};

/// HAProxy's pause before it asks a server again that has just refused (`back_handle_st_cer`).
const PAUSE: Duration = Duration::from_secs(1);

impl Pool {
    /// After connect number `attempt` of a request (the first is 1) was refused by `last`.
    #[must_use]
    pub fn after_failure(&self, attempt: u32, last: usize) -> Retry {
        self.retry(attempt, last, self.connect_timeout.map_or(PAUSE, |limit| limit.min(PAUSE)))
    }

    /// The same after `timeout connect`: enough time has passed, there is no pause.
    #[must_use]
    pub fn after_timeout(&self, attempt: u32, last: usize) -> Retry {
        self.retry(attempt, last, Duration::ZERO)
    }

    fn retry(&self, attempt: u32, last: usize, pause: Duration) -> Retry {
        if attempt > self.retries {
            return Retry::GiveUp;
        }
        if self.only_same_server {
            return Retry::SameServer { after: pause };
        }
        if self.adaptive {
            let other = self.group.iter().chain(self.resort.iter()).any(|server| server != last);
            let after = if other { Duration::ZERO } else { pause };
            return Retry::OtherServer { after };
        }
        if !self.redispatches(attempt, last) {
            return Retry::SameServer { after: pause };
        }
        // Only a choice among several is worth making at once.
        let after = if self.active.len() > 1 { Duration::ZERO } else { pause };
        Retry::OtherServer { after }
    }

    /// As measured of HAProxy 2.6.12. Unless the client's address chooses, every retry goes elsewhere
    /// if there is an elsewhere: nobody cares about this particular server.
    fn redispatches(&self, attempt: u32, last: usize) -> bool {
        let due = match self.redispatch {
            Redispatch::Never => return false,
            Redispatch::Every(n) => n > 0 && attempt.is_multiple_of(n),
            Redispatch::BeforeLast(n) => {
                let every = (self.retries + 1).saturating_sub(n);
                every > 0 && attempt.is_multiple_of(every)
            }
        };
        let down = self.conditions.get(last).is_none_or(|condition| !condition.up);
        let free = self.balance != Balance::Source && self.active.len() > 1;
        due || down || free
    }
}
