//! Whose adverts this node obeys.

use std::net::IpAddr;
use std::time::Duration;

use base::Time;

use crate::keep::Keep;

/// Holders remembered: in a torn network two that do not hear each other; with a third one there
/// is nothing left to decide well.
const KEPT: usize = 2;

/// The last adverts that this node gave way to, one per sender, the newest first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Obeyed([Option<(Time, IpAddr)>; KEPT]);

impl Keep for Obeyed {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Keep::revive(bytes).map(Self)
    }
}

impl Obeyed {
    pub(super) fn heard(&mut self, now: Time, source: IpAddr) {
        let [newest, _] = self.0;
        if newest.is_some_and(|(_, last)| last != source) {
            self.0[1] = newest;
        }
        self.0[0] = Some((now, source));
    }

    /// It said that it does not hold.
    pub(super) fn forget(&mut self, source: IpAddr) {
        for kept in &mut self.0 {
            kept.take_if(|(_, last)| *last == source);
        }
        self.0.sort_by_key(Option::is_none);
    }

    /// Who holds, as far as this node heard in the last `span`.
    pub(super) fn within(&self, now: Time, span: Duration) -> impl Iterator<Item = IpAddr> + use<> {
        let kept = self.0.into_iter().flatten();
        kept.filter(move |(at, _)| now.since(*at) <= span).map(|(_, source)| source)
    }
}
