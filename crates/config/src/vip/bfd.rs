//! Ways to other systems that are watched by BFD.

use std::net::IpAddr;
use std::time::Duration;

/// One session (`bfd_instance`), and what an instance makes of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackedBfd {
    pub session: BfdSession,
    /// 0: while it is not up the address goes; else added to the priority, or taken from it.
    pub weight: i16,
    /// It is good while the session is not up.
    pub reversed: bool,
}

/// A session of BFD as this node wants it (RFC 5880 6.8.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BfdSession {
    pub name: String,
    pub neighbor: IpAddr,
    /// None: as the kernel chooses it.
    pub source: Option<IpAddr>,
    pub min_rx: Duration,
    pub min_tx: Duration,
    /// Between two packets while it is not up.
    pub idle_tx: Duration,
    /// 1-255.
    pub multiplier: u8,
    /// It does not speak first.
    pub passive: bool,
    /// Packets leave with it.
    pub ttl: u8,
    /// What comes may have lost so many of `ttl`; 255: any number.
    pub max_hops: u8,
    /// Over routers, on the port that is for that (RFC 5883).
    pub multihop: bool,
}

impl BfdSession {
    /// What no file says is as keepalived has it.
    #[must_use]
    pub fn plain(name: &str, neighbor: IpAddr) -> Self {
        Self {
            name: name.to_owned(),
            neighbor,
            source: None,
            min_rx: Duration::from_millis(10),
            min_tx: Duration::from_millis(10),
            idle_tx: Duration::from_secs(1),
            multiplier: 5,
            passive: false,
            ttl: if neighbor.is_ipv6() { 64 } else { 255 },
            max_hops: 0,
            multihop: false,
        }
    }

    /// Whether a packet that came with that TTL crossed no more routers than it may.
    #[must_use]
    pub fn admits(&self, ttl: u8) -> bool {
        self.max_hops == u8::MAX || self.ttl.saturating_sub(ttl) <= self.max_hops
    }
}
