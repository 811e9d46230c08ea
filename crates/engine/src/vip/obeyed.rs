//! Whose adverts this node obeys.

use std::net::Ipv4Addr;
use std::time::Duration;

use base::Time;

/// The last advert that this node gave way to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Obeyed(Option<(Time, Ipv4Addr)>);

impl Obeyed {
    pub(super) fn heard(&mut self, now: Time, source: Ipv4Addr) {
        self.0 = Some((now, source));
    }

    /// It said goodbye.
    pub(super) fn forget(&mut self, source: Ipv4Addr) {
        if self.0.is_some_and(|(_, last)| last == source) {
            self.0 = None;
        }
    }

    /// Who holds, as far as this node heard in the last `span`.
    pub(super) fn within(&self, now: Time, span: Duration) -> Option<Ipv4Addr> {
        self.0.filter(|(at, _)| now.since(*at) <= span).map(|(_, source)| source)
    }
}
