//! How adverts get from one router of a group to the others.

use std::net::IpAddr;

/// What is not as RFC 9568 5.1.1 and 5.1.2 have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Travel {
    /// Another multicast group than 224.0.0.18 or ff02::12 (`mcast_dst_ip`), of the kind of the adverts.
    pub group: Option<IpAddr>,
    /// Hop limit of adverts to peers, 1-255; to all of a link it is always 255.
    pub hops: u8,
    /// Peers behind routers: which hop limits their adverts may have when they arrive.
    pub routed: Vec<Routed>,
}

/// A peer whose adverts are taken with any hop limit from `least` to `most`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Routed {
    pub peer: IpAddr,
    pub least: u8,
    pub most: u8,
}

impl Default for Travel {
    fn default() -> Self {
        Self { group: None, hops: 255, routed: Vec::new() }
    }
}

impl Travel {
    /// Whether an advert of that peer may arrive with `hops`; none: nothing is written of it.
    #[must_use]
    pub fn takes(&self, peer: IpAddr, hops: u8) -> Option<bool> {
        let routed = self.routed.iter().find(|routed| routed.peer == peer)?;
        Some((routed.least..=routed.most).contains(&hops))
    }
}
