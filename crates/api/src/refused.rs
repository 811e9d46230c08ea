//! What came from others and was not believed.

use serde::{Deserialize, Serialize};

/// How many datagrams were not believed, and why.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RefusedPackets {
    /// They name a peer as sender, and its key does not open them.
    pub forged: u64,
    /// They came before.
    pub replayed: u64,
    /// No packet of this version, or under a key that is not known.
    pub unreadable: u64,
    /// From or for a node that it cannot be, or over another network than it says.
    pub astray: u64,
    /// The kernel threw them away: they came from the address of no node, or faster than they can be read.
    #[serde(default)]
    pub unread: u64,
    /// When a count last grew, in milliseconds since 1970 (UTC) by the clock of the node; none: never, or it is not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at_ms: Option<u64>,
}

/// Adverts, and sealed messages about a virtual IP, that were not obeyed: of one reason, for one virtual IP.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RefusedAdverts {
    /// The name of the virtual IP; none: they are for none of this node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip: Option<String>,
    /// What they came through.
    pub interface: String,
    pub reason: RefusedAdvert,
    /// Since the vip process started.
    pub count: u64,
    /// The address that the last one came from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<std::net::IpAddr>,
}

impl RefusedAdverts {
    /// Whether it counts the same as the other one.
    #[must_use]
    pub fn is_about(&self, other: &Self) -> bool {
        let key = |adverts: &Self| (adverts.reason, adverts.vip.clone(), adverts.interface.clone());
        key(self) == key(other)
    }

    /// What of it is not counted in `before`.
    #[must_use]
    pub fn since(&self, before: &[Self]) -> Self {
        let known = before.iter().find(|before| before.is_about(self));
        let count = self.count.saturating_sub(known.map_or(0, |known| known.count));
        Self { count, ..self.clone() }
    }

    /// Puts it in the place of an older count of the same.
    pub fn learn(all: &mut Vec<Self>, news: &Self) {
        match all.iter_mut().find(|known| known.is_about(news)) {
            Some(known) => known.clone_from(news),
            None => all.push(news.clone()),
        }
    }

    /// `3 with another password (last from 10.0.0.9)`.
    #[must_use]
    pub fn words(&self) -> String {
        let last = self.source.map(|source| format!(" (last from {source})"));
        format!("{} {}{}", self.count, self.reason.words(), last.unwrap_or_default())
    }
}

/// Why an advert was not obeyed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedAdvert {
    /// Its router id is of no virtual IP of this node: usually another group on the same link.
    RouterId,
    Interval,
    Password,
    /// Unicast from a router that is not listed; a group that speaks to all of its link lists none.
    Source,
    /// Obeyed all the same: its list of addresses differs from ours.
    Addresses,
    /// Obeyed all the same: it says another interval than ours.
    OtherInterval,
    /// Obeyed all the same: in a group of our own nodes it is of none of them.
    Outsider,
    /// Sealed messages of a node that holds, whose adverts do not come.
    Unheard,
    /// A router forwarded it.
    Ttl,
    /// Of another version of VRRP.
    Version,
    Checksum,
    Malformed,
    /// More came than were read: the kernel threw them away.
    Unread,
    /// A sealed message of a node that is no peer.
    Stranger,
    /// A sealed hand-over to a process that is no more.
    Outlived,
    /// Without a signature, where every advert has to have one (`auth_hmac`).
    Unsigned,
    /// Signed with a key whose id is not known here.
    UnknownKey,
    /// The signature was not made with the key that it names, or not for what the advert says.
    Signature,
    /// Signed too long ago, or in the future.
    Stale,
    /// A later one of the same sender has come already.
    Replayed,
    /// Of a router that does not vote, and says that it holds an address with a vip lease.
    Foreign,
}

impl RefusedAdvert {
    /// As in metrics and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RouterId => "router-id",
            Self::Interval => "interval",
            Self::Password => "password",
            Self::Source => "source",
            Self::Addresses => "addresses",
            Self::OtherInterval => "other-interval",
            Self::Outsider => "outsider",
            Self::Unheard => "unheard",
            Self::Ttl => "ttl",
            Self::Version => "version",
            Self::Checksum => "checksum",
            Self::Malformed => "malformed",
            Self::Unread => "unread",
            Self::Stranger => "stranger",
            Self::Outlived => "outlived",
            Self::Unsigned => "unsigned",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "signature",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::Foreign => "foreign",
        }
    }

    /// What was wrong, after a number of adverts.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::RouterId => "with the router id of no virtual IP of this node",
            Self::Interval => "with another advert interval",
            Self::Password => "with another password",
            Self::Source => "from a router that is not listed",
            Self::Addresses => "with other addresses, obeyed all the same",
            Self::OtherInterval => "with another interval, which is learned",
            Self::Outsider => "of a router that is no node of this cluster, obeyed all the same",
            Self::Unheard => "missing: its sealed messages come and say that it holds",
            Self::Ttl => "that a router forwarded (time to live is not 255)",
            Self::Version => "of another version of VRRP",
            Self::Checksum => "with a wrong checksum",
            Self::Malformed => "that are no advert by their form",
            Self::Unread => "that came faster than they are read",
            Self::Stranger => "sealed, of a node that is no peer",
            Self::Outlived => "sealed, to a process that is no more",
            Self::Unsigned => "without a signature",
            Self::UnknownKey => "signed with a key whose id is not known",
            Self::Signature => "with a wrong signature: another key, or forged",
            Self::Stale => "signed at another time: the clocks do not agree, or it was sent again",
            Self::Replayed => "that were sent again after a later one",
            Self::Foreign => "of a router that does not vote and says that it holds the address",
        }
    }
}

/// Connections that were sent away at a door that is open to anybody.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct TurnedAway {
    /// Since the process started.
    pub connections: u64,
    /// Where the last one came from: an address, of IPv6 the first one of its network of 64 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<std::net::IpAddr>,
}

impl TurnedAway {
    /// Nobody was.
    #[must_use]
    pub const fn is_nobody(&self) -> bool {
        self.connections == 0
    }
}
