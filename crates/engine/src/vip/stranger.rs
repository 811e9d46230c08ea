//! Routers that are none of our nodes, in a group that has our own.

use std::net::IpAddr;

use base::Time;

use super::HELLO_LIFE;
use crate::keep::{Keep, kept};

/// Who was last heard and is no node of ours, as far as was known then: over IPv6 a node's address is known by its hellos alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Stranger(Option<First>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct First {
    source: IpAddr,
    at: Time,
}

kept!(First { source, at });

impl Keep for Stranger {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        Keep::revive(bytes).map(Self)
    }
}

impl Stranger {
    /// Whether that one was first heard so long ago that a node of ours would have said by now that it is its address.
    pub(super) fn stays(&mut self, now: Time, source: IpAddr) -> bool {
        let first = self.0.filter(|first| first.source == source);
        let first = *self.0.insert(first.unwrap_or(First { source, at: now }));
        now.since(first.at) > HELLO_LIFE
    }
}
