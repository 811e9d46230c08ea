//! Two networks, and what is on its way in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use base::Time;
use engine::packet::Kind;
use engine::vip::{HandOver, Hello};

use crate::Chance;

/// Adverts go here, and the address is on it.
pub(crate) const MANAGEMENT: u8 = 0;
pub(crate) const NETWORKS: u8 = 2;
/// One way through a switch and two kernels.
const WAY: Duration = Duration::from_millis(1);

/// What the networks do to packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Weather {
    /// Of a thousand.
    pub lost: u64,
    /// Of a thousand; the copy is late.
    pub doubled: u64,
    /// Added to each way, at random up to this.
    pub late: Duration,
}

impl Weather {
    pub const CALM: Self = Self { lost: 0, doubled: 0, late: Duration::ZERO };
}

#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Advert {
        source: IpAddr,
        priority: u8,
    },
    /// Opened already: sealing costs more time than all else here, and `engine::packet` tests it.
    Sealed {
        sender: u16,
        kind: Kind,
        incarnation: u64,
        seq: u64,
        word: Word,
    },
    /// Of the agents, as on the wire.
    Beat(Rc<[u8]>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Hello(Hello),
    HandOver(HandOver),
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub from: usize,
    pub to: usize,
    pub network: u8,
    pub frame: Frame,
}

#[derive(Debug)]
pub(crate) struct Network {
    flying: BTreeMap<(Time, u64), Packet>,
    number: u64,
    cut: BTreeSet<(usize, u8)>,
    apart: BTreeSet<(usize, usize, u8)>,
    pub weather: Weather,
}

impl Network {
    pub(crate) const fn new() -> Self {
        Self {
            flying: BTreeMap::new(),
            number: 0,
            cut: BTreeSet::new(),
            apart: BTreeSet::new(),
            weather: Weather::CALM,
        }
    }

    pub(crate) fn send(&mut self, now: Time, packet: Packet, chance: &mut Chance) {
        let Weather { lost, doubled, late } = self.weather;
        if !self.joins(packet.from, packet.to, packet.network) || chance.permille(lost) {
            return;
        }
        if chance.permille(doubled) {
            self.launch(now + WAY + chance.span(late) + late / 2, packet.clone());
        }
        self.launch(now + WAY + chance.span(late), packet);
    }

    fn launch(&mut self, at: Time, packet: Packet) {
        self.number += 1;
        self.flying.insert((at, self.number), packet);
    }

    pub(crate) fn next(&self) -> Time {
        self.flying.keys().next().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// Takes out what has arrived. What a fault has overtaken is lost.
    pub(crate) fn arrived(&mut self, now: Time) -> Option<Packet> {
        while let Some(first) = self.flying.first_entry() {
            if first.key().0 > now {
                return None;
            }
            let packet = first.remove();
            if self.joins(packet.from, packet.to, packet.network) {
                return Some(packet);
            }
        }
        None
    }

    /// Whether the switches carry packets between the two; says nothing about their own links.
    pub(crate) fn joins(&self, a: usize, b: usize, network: u8) -> bool {
        let pair = (a.min(b), a.max(b), network);
        !self.cut.contains(&(a, network))
            && !self.cut.contains(&(b, network))
            && !self.apart.contains(&pair)
    }

    pub(crate) fn cut(&mut self, node: usize, network: u8) {
        self.cut.insert((node, network));
    }

    pub(crate) fn is_cut(&self, node: usize, network: u8) -> bool {
        self.cut.contains(&(node, network))
    }

    /// Whether everybody with a link hears everybody.
    pub(crate) fn is_whole(&self, network: u8) -> bool {
        self.cut.iter().all(|(_, at)| *at != network)
            && self.apart.iter().all(|(_, _, at)| *at != network)
    }

    pub(crate) fn part(&mut self, a: usize, b: usize, network: u8) {
        self.apart.insert((a.min(b), a.max(b), network));
    }

    /// Whether some pairs do not hear each other, of nodes that others hear.
    pub(crate) fn is_torn(&self) -> bool {
        self.apart.iter().any(|(_, _, network)| *network == MANAGEMENT)
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.apart.clear();
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flying.len()
    }
}
