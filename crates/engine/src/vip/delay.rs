//! `preempt_delay`: for how long a weaker holder is left in peace.

use std::net::IpAddr;
use std::time::Duration;

use base::Time;

use super::HELLO_LIFE;
use crate::keep::{Keep, kept};

/// A backup: since when it hears a weaker holder that it would depose, as keepalived counts it. A holder: since when a
/// stronger node of ours says that it could take the address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Delay(Option<Awaited>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Awaited {
    whose: IpAddr,
    since: Time,
    /// When it was last heard to be so.
    seen: Time,
}

kept!(Awaited { whose, since, seen });

impl Keep for Delay {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Keep::revive(bytes).map(Self)
    }
}

impl Delay {
    /// Whether a backup goes on obeying a weaker holder that it hears; whoever was heard first, it counts from then.
    pub(super) fn runs(&mut self, now: Time, whose: IpAddr, delay: Duration) -> bool {
        let began = *self.0.get_or_insert(Awaited { whose, since: now, seen: now });
        now.since(began.since) < delay
    }

    /// Whether a holder gives the address to a stronger node, which says again that it could take it. Another one waits
    /// until the first is no longer heard.
    pub(super) fn is_over_for(&mut self, now: Time, whose: IpAddr, delay: Duration) -> bool {
        let heard = self.0.filter(|awaited| now.since(awaited.seen) <= HELLO_LIFE);
        let mut awaited = heard.unwrap_or(Awaited { whose, since: now, seen: now });
        if awaited.whose == whose {
            awaited.seen = now;
        }
        self.0 = Some(awaited);
        delay.is_zero() || (awaited.whose == whose && now.since(awaited.since) >= delay)
    }

    /// That node says that it could not.
    pub(super) fn forget(&mut self, whose: IpAddr) {
        self.0.take_if(|awaited| awaited.whose == whose);
    }
}
