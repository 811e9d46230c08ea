//! An instance as bytes: where a recording of the vip process begins. The password and the commands of
//! check scripts are not in it: nothing is decided by more than whether a password is the same.

use std::net::IpAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use config::vip::{Checksum, Protocol};

use super::{
    Balancer, Cause, Config, Counters, Group, HandOver, Hello, Peer, Planned, Role, State,
    Together, Vip,
};
use crate::keep::{Keep, kept, kept_variants};

/// Stands for the own password in what is recorded.
pub(crate) const OWN_PASSWORD: [u8; 8] = *b"the own ";
/// The field of an advert is one byte (seconds), or twelve bits (hundredths).
const LONGEST_INTERVAL: Duration = Duration::from_secs(255);

kept!(Peer { node, addresses });
kept!(Counters {
    obeyed,
    router_id,
    version,
    interval,
    password,
    source,
    addresses,
    other_interval,
    foreign,
    unheard,
    strangers,
    outlived
});
impl Keep for Together {
    fn keep(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Others { fit, named } => {
                out.push(0);
                (fit, named).keep(out);
            }
            Self::Take => out.push(1),
            Self::LetGo { named } => {
                out.push(2);
                named.keep(out);
            }
            Self::Move { to } => {
                out.push(3);
                to.keep(out);
            }
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => {
                let (fit, named) = Keep::revive(bytes)?;
                Some(Self::Others { fit, named })
            }
            1 => Some(Self::Take),
            2 => Some(Self::LetGo { named: Keep::revive(bytes)? }),
            3 => Some(Self::Move { to: Keep::revive(bytes)? }),
            _ => None,
        }
    }
}

kept_variants!(Planned { Possible = 0, Asked = 1, Refused = 2 });
kept_variants!(Role { Backup = 0, Master = 1, Fault = 2 });
kept_variants!(Balancer { Serving = 0, Replacing = 1, Failed = 2 });
kept_variants!(Cause {
    Silence = 0,
    Goodbye = 1,
    Named = 2,
    Stronger = 3,
    Stalled = 4,
    Script = 5,
    Carrier = 6,
    NoDevice = 7,
    Balancer = 8,
    Refused = 9,
    Stopping = 10,
    Adopted = 11,
    Standby = 12,
    Moved = 13,
    NoNetwork = 14,
    ProvenDead = 15,
    InUse = 16,
    Together = 17,
});

impl Keep for Protocol {
    fn keep(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::V2 => 0,
            Self::V3 { sends: Checksum::Pseudo } => 1,
            Self::V3 { sends: Checksum::Message } => 2,
        });
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => Some(Self::V2),
            1 => Some(Self::V3 { sends: Checksum::Pseudo }),
            2 => Some(Self::V3 { sends: Checksum::Message }),
            _ => None,
        }
    }
}

/// As it goes over the wire.
impl Keep for Hello {
    fn keep(&self, out: &mut Vec<u8>) {
        self.encode().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let body = ArrayVec::<u8, { Self::LONGEST }>::revive(bytes)?;
        Self::decode(&body)
    }
}

impl Keep for HandOver {
    fn keep(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encode());
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let (body, rest) = bytes.split_at_checked(Self::LENGTH)?;
        *bytes = rest;
        Self::decode(body)
    }
}

impl Keep for State {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Backup { take_over_at, not_before, reason } => {
                out.push(0);
                (*take_over_at, *not_before).keep(out);
                reason.keep(out);
            }
            Self::Master { advertise_at, since, burst, heir_of } => {
                out.push(1);
                (*advertise_at, *since).keep(out);
                burst.keep(out);
                heir_of.keep(out);
            }
            Self::Fault => out.push(2),
            Self::Stopped => out.push(3),
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => {
                let (take_over_at, not_before) = Keep::revive(bytes)?;
                Some(Self::Backup { take_over_at, not_before, reason: Keep::revive(bytes)? })
            }
            1 => {
                let (advertise_at, since) = Keep::revive(bytes)?;
                let (burst, heir_of) = (Keep::revive(bytes)?, Keep::revive(bytes)?);
                Some(Self::Master { advertise_at, since, burst, heir_of })
            }
            2 => Some(Self::Fault),
            3 => Some(Self::Stopped),
            _ => None,
        }
    }
}

/// Of the file only what decides after the start.
impl Keep for config::vip::Vip {
    fn keep(&self, out: &mut Vec<u8>) {
        (self.router_id, self.priority).keep(out);
        self.advert_interval.keep(out);
        self.protocol.keep(out);
        (self.preempt, self.password.is_some()).keep(out);
        self.advertised().count().keep(out);
        self.advertised().for_each(|address| address.ip.keep(out));
        self.unicast_peers.keep(out);
        self.preempt_delay.keep(out);
        self.down_timer_adverts.keep(out);
        self.sync_group.is_some().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let (router_id, priority) = Keep::revive(bytes)?;
        let advert_interval = Duration::revive(bytes).filter(|span| *span <= LONGEST_INTERVAL)?;
        let protocol = Keep::revive(bytes)?;
        let (preempt, has_password) = Keep::revive(bytes)?;
        let addresses = Vec::<IpAddr>::revive(bytes)?.into_iter().map(config::vip::Address::plain);
        Some(Self {
            priority,
            advert_interval,
            protocol,
            preempt,
            password: if has_password { Some(OWN_PASSWORD) } else { None },
            unicast_peers: Vec::<IpAddr>::revive(bytes)?,
            preempt_delay: Keep::revive(bytes)?,
            down_timer_adverts: Keep::revive(bytes)?,
            sync_group: bool::revive(bytes)?.then(String::new),
            ..Self::plain("", "", router_id, addresses.collect())
        })
    }
}

kept!(Config { vip, node, life, source, network, peers, starts_at, adopted });

impl Vip {
    /// The password of its adverts.
    pub(crate) const fn password(&self) -> Option<[u8; 8]> {
        self.config.vip.password
    }
}

impl Keep for Vip {
    fn keep(&self, out: &mut Vec<u8>) {
        let Self {
            config,
            group: _,
            state,
            facts,
            peers,
            obeyed,
            interval,
            planned,
            delay,
            stranger,
            search,
            wanted,
            handed_to,
            stronger,
            term,
            cause,
            successor,
            awake_at,
            hello_at,
            offered,
            reported,
            counters,
        } = self;
        config.keep(out);
        state.keep(out);
        facts.keep(out);
        peers.keep(out);
        obeyed.keep(out);
        interval.keep(out);
        planned.keep(out);
        delay.keep(out);
        stranger.keep(out);
        search.keep(out);
        wanted.keep(out);
        (*handed_to, *stronger).keep(out);
        term.keep(out);
        cause.keep(out);
        successor.keep(out);
        (*awake_at, *hello_at).keep(out);
        offered.keep(out);
        reported.keep(out);
        counters.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let config: Config = Keep::revive(bytes)?;
        Some(Self {
            group: Group::of(&config.vip),
            config,
            state: Keep::revive(bytes)?,
            facts: Keep::revive(bytes)?,
            peers: Keep::revive(bytes)?,
            obeyed: Keep::revive(bytes)?,
            interval: Duration::revive(bytes).filter(|span| *span <= LONGEST_INTERVAL)?,
            planned: Keep::revive(bytes)?,
            delay: Keep::revive(bytes)?,
            stranger: Keep::revive(bytes)?,
            search: Keep::revive(bytes)?,
            wanted: Keep::revive(bytes)?,
            handed_to: Keep::revive(bytes)?,
            stronger: Keep::revive(bytes)?,
            term: Keep::revive(bytes)?,
            cause: Keep::revive(bytes)?,
            successor: Keep::revive(bytes)?,
            awake_at: Keep::revive(bytes)?,
            hello_at: Keep::revive(bytes)?,
            offered: Keep::revive(bytes)?,
            reported: Keep::revive(bytes)?,
            counters: Keep::revive(bytes)?,
        })
    }
}
