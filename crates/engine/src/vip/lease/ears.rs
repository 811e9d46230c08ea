//! Who is heard on which network: a node may be gone from one of them and be heard on another.
//!
//! A bit says that the beats of a node come over that network. It is taken away when for two and a half beats none
//! came there, and at least two newer ones came over another network: a node that stood still has sent nothing
//! anywhere, and is missed nowhere alone. A second bit says that its last beat there is young: where a whole network ends, nobody is
//! called missed while another one is still called young.

use std::time::Duration;

use base::Time;

use super::voter::Word;
use crate::packet::MAX_NETWORKS;

/// So many newer beats came over another network, and none here: one may be lost.
const MISSED: u64 = 2;

/// Of one network, a bit for each node; the lowest is node 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Heard {
    /// Those that are heard there.
    pub on: u32,
    /// Of those: whose last beat there is no older than one and a fifth.
    pub young: u32,
}

/// What a node says about whom it hears.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hears {
    /// How many networks it speaks of; 0: of none, as an older release does.
    networks: u8,
    heard: [Heard; MAX_NETWORKS],
}

impl Hears {
    /// Hears nobody, on so many networks; at most [`MAX_NETWORKS`].
    #[must_use]
    pub fn nobody(networks: u8) -> Self {
        let most = u8::try_from(MAX_NETWORKS).unwrap_or(u8::MAX);
        Self { networks: networks.min(most), heard: [Heard::default(); MAX_NETWORKS] }
    }

    #[must_use]
    pub const fn networks(&self) -> u8 {
        self.networks
    }

    /// Of each network that it speaks of.
    #[must_use]
    pub fn by_network(&self) -> &[Heard] {
        &self.heard[..usize::from(self.networks)]
    }

    /// What is heard on a network; one that it does not speak of is ignored.
    pub fn set(&mut self, network: u8, heard: Heard) {
        if network < self.networks {
            self.heard[usize::from(network)] = heard;
        }
    }

    pub(super) fn add(&mut self, network: u8, node: u16, is_young: bool) {
        if network < self.networks {
            let heard = &mut self.heard[usize::from(network)];
            heard.on |= bit(node);
            heard.young |= if is_young { bit(node) } else { 0 };
        }
    }

    pub(super) fn on(&self, network: u8, node: u16) -> bool {
        network < self.networks && self.heard[usize::from(network)].on & bit(node) != 0
    }

    pub(super) fn young(&self, network: u8, node: u16) -> bool {
        self.on(network, node) && self.heard[usize::from(network)].young & bit(node) != 0
    }

    pub(super) fn anywhere(&self, node: u16) -> bool {
        self.everybody() & bit(node) != 0
    }

    /// It hears somebody, but nobody on that network.
    pub(super) fn is_deaf(&self, network: u8) -> bool {
        let on = self.by_network().get(usize::from(network)).map(|heard| heard.on);
        on == Some(0) && self.everybody() != 0
    }

    /// Whether somebody was heard on a network before and is no more, though elsewhere.
    pub(super) fn lost_since(&self, before: &Self) -> bool {
        let pairs = self.heard.iter().zip(&before.heard);
        pairs.fold(0, |lost, (now, before)| lost | before.on & !now.on) & self.everybody() != 0
    }

    /// Whom it hears on a network, or anywhere; a bit for each node.
    pub(super) fn those(&self, network: Option<u8>) -> u32 {
        let on = |network: u8| self.by_network().get(usize::from(network)).map(|heard| heard.on);
        network.map_or_else(|| self.everybody(), |network| on(network).unwrap_or(0))
    }

    fn everybody(&self) -> u32 {
        self.by_network().iter().fold(0, |all, heard| all | heard.on)
    }
}

fn bit(node: u16) -> u32 {
    1_u32.checked_shl(u32::from(node)).unwrap_or(0)
}

/// The newest that came over one network.
#[derive(Clone, Copy, Debug)]
struct Last {
    serial: u64,
    at: Time,
}

/// What was heard of one other node, by network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ears {
    life: u64,
    last: [Last; MAX_NETWORKS],
}

impl Ears {
    /// Nothing was heard of it.
    pub(super) const fn new() -> Self {
        Self { life: 0, last: [Last { serial: 0, at: Time::ZERO }; MAX_NETWORKS] }
    }

    /// A beat of it came over that network, maybe after it came over another. With the first of a life it counts as
    /// heard everywhere: the others are on their way.
    pub(super) fn hear(&mut self, now: Time, network: u8, word: Word) {
        if word.life > self.life {
            let last = Last { serial: word.serial, at: now };
            *self = Self { life: word.life, last: [last; MAX_NETWORKS] };
        } else if word.life == self.life
            && let Some(last) = self.last.get_mut(usize::from(network))
            && word.serial > last.serial
        {
            *last = Last { serial: word.serial, at: now };
        }
    }

    /// Of one that is heard: whether it is on that network. `newest`: its newest beat, wherever that came.
    pub(super) fn on(&self, now: Time, network: u8, newest: u64, patience: Duration) -> bool {
        let last = self.last.get(usize::from(network));
        last.is_some_and(|last| {
            newest < last.serial.saturating_add(MISSED) || now < last.at + patience
        })
    }

    /// Whether what came last over that network is young.
    pub(super) fn is_young(&self, now: Time, network: u8, beat: Duration) -> bool {
        let last = self.last.get(usize::from(network));
        last.is_some_and(|last| now.since(last.at) <= beat / 5 * 6)
    }

    /// When it is missed on one of so many networks, if nothing comes there.
    pub(super) fn changes_at(&self, networks: u8, newest: u64, patience: Duration) -> Time {
        let last = self.last.iter().take(usize::from(networks));
        let lags = last.filter(|last| newest >= last.serial.saturating_add(MISSED));
        lags.map(|last| last.at + patience).min().unwrap_or(Time::NEVER)
    }
}
