//! How long things take, by RFC 3768 §6.1 and RFC 9568 §6.1, and by rules of our own that never take longer.

use std::time::Duration;

use config::vip::Protocol;

use super::{GRACE, LATE, Vip};

impl Vip {
    /// How long silence must last before this node takes over.
    #[must_use]
    pub fn master_down(&self) -> Duration {
        self.interval * self.config.vip.down_timer_adverts.into() + self.skew()
    }

    /// How much later than it wanted a holder speaks that others have given up by then.
    pub(super) fn given_up_after(&self) -> Duration {
        let adverts = self.config.vip.down_timer_adverts.saturating_sub(1);
        // Where one missing advert is enough, half an interval is no advert that is a little late.
        (self.interval * adverts.into()).max(self.interval / 2)
    }

    /// The weaker the node, the longer: of a second in version 2, of an interval in version 3.
    pub(super) fn skew(&self) -> Duration {
        let whole = match self.config.vip.protocol {
            Protocol::V2 => Duration::from_secs(1),
            Protocol::V3 { .. } => self.interval,
        };
        whole * (256 - u32::from(self.priority())) / 256
    }

    /// Version 3 takes the interval of whom it obeys for its own (RFC 9568 §6.4.2, §6.4.3). None: a message without one.
    pub(super) fn learn(&mut self, interval: Option<Duration>) {
        if let (Protocol::V3 { .. }, Some(interval)) = (self.config.vip.protocol, interval) {
            self.interval = interval;
        }
    }

    /// What a node that was not named waits. Grows with the skew, so that two such nodes do not
    /// claim at the same moment.
    pub(super) fn grace(&self) -> Duration {
        self.skew().max(self.at_most(GRACE) + self.skew() / 4)
    }

    /// A backup that runs this much later than it wanted was not running.
    pub(super) fn late(&self) -> Duration {
        self.at_most(LATE)
    }

    /// Rules of our own are made for adverts each second. Where they come often enough, routers of others have another
    /// holder before: nothing of ours takes longer.
    pub(super) fn at_most(&self, span: Duration) -> Duration {
        span.min(self.master_down())
    }
}
