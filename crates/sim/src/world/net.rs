//! Several networks: who hears whom, and what is on its way.

use std::time::Duration;

use base::Time;
use engine::packet::MAX_PACKET;
use engine::vip::{HandOver, Hello};

use crate::Chance;

pub(crate) const MAX_NETWORKS: usize = 4;
/// As many as fit into a word of bits.
pub(crate) const MAX_HOSTS: usize = 64;
/// One way through a switch and two kernels.
const WAY: Duration = Duration::from_millis(1);

/// What a network does to packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Weather {
    /// Of a thousand.
    pub(crate) lost: u64,
    /// Of a thousand; the copy is late.
    pub(crate) doubled: u64,
    /// Added to each way, at random up to this: what was sent later may come first.
    pub(crate) late: Duration,
}

/// What one process sent, kept once however many hear it.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    bytes: [u8; MAX_PACKET],
    length: usize,
    copies: u32,
    /// What the world knows of it and the receiver must find out.
    pub(crate) truth: Truth,
}

/// No number of a host.
pub(crate) const EVERYBODY: u16 = u16::MAX;

/// Who wrote a letter, and when in its life: what a receiver believes is compared with this.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Truth {
    pub(crate) sender: u16,
    /// For whom it was sealed; [`EVERYBODY`]: not sealed, handed over opened.
    pub(crate) to: u16,
    /// The incarnation of the sender's agent.
    pub(crate) life: u64,
    /// Grows with each letter of a host.
    pub(crate) serial: u64,
    /// Written for this network.
    pub(crate) network: u8,
    pub(crate) says: Says,
    /// Not of this cluster, or changed on the way.
    pub(crate) forged: bool,
    /// Of gossip: its seal is not in it, and checked already.
    pub(crate) is_open: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Says {
    #[default]
    Alive,
    Goodbye,
    /// Nothing about its sender's life.
    Else,
    /// Something of gossip.
    Gossip(Part),
}

/// What of gossip the world looks at: `engine::gossip` prints its format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// Answers that came over a third node.
    Forwarded,
    Rumour,
    Missed,
    Claims,
    Goodbye,
    /// Claims of a third controller.
    Passed,
    /// Of a later version.
    Unknown,
    Else,
}

impl Part {
    pub(crate) fn of(body: &[u8]) -> Self {
        match (body.get(1), body.get(10)) {
            (Some(1), Some(6)) => Self::Forwarded,
            (Some(1), _) => Self::Rumour,
            (Some(2), _) => Self::Missed,
            (Some(5), _) => Self::Claims,
            (Some(6), _) => Self::Goodbye,
            (Some(8), _) => Self::Passed,
            (Some(200..), _) => Self::Unknown,
            (_, _) => Self::Else,
        }
    }
}

impl Says {
    pub(crate) const fn is_gossip(self) -> bool {
        matches!(self, Self::Gossip(_))
    }
}

impl Letter {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A word of a vip process. Opened already: a seal is checked by every beat here, and by the tests
/// of `engine::packet`; who sent it is certain, which is what the seal promises.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Advert { priority: u8 },
    Hello { hello: Hello, life: u64, serial: u64 },
    HandOver { message: HandOver, life: u64, serial: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Frame {
    Letter(u32),
    Word(Word),
    /// The kernel of the sender says that nothing listens there.
    Refusal,
    /// A connection to the agent of that host stands, or is no more, its kernel says.
    Tether {
        of: u16,
        holds: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) network: u8,
    pub(crate) frame: Frame,
}

/// Places that are used again.
#[derive(Debug)]
pub(crate) struct Places<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { items: vec![], free: vec![] }
    }
}

impl<T> Places<T> {
    fn put(&mut self, item: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self.items[index(place)] = item;
            return place;
        }
        self.items.push(item);
        u32::try_from(self.items.len() - 1).expect("packets in flight are thousands at most")
    }

    fn used(&self) -> usize {
        self.items.len() - self.free.len()
    }
}

fn index(place: u32) -> usize {
    place as usize
}

/// Every network, and every packet in them.
#[derive(Debug)]
pub(crate) struct Nets {
    pub(crate) count: u8,
    hosts: u16,
    /// One bit per receiver that does not hear this sender.
    deaf: [[u64; MAX_HOSTS]; MAX_NETWORKS],
    /// Of each network: its reference point answers nobody.
    pub(crate) reference_down: [bool; MAX_NETWORKS],
    pub(crate) weather: [Weather; MAX_NETWORKS],
    packets: Places<Packet>,
    letters: Places<Letter>,
}

impl Nets {
    pub(crate) fn new(count: u8, hosts: u16) -> Self {
        Self {
            count,
            hosts,
            deaf: [[0; MAX_HOSTS]; MAX_NETWORKS],
            reference_down: [false; MAX_NETWORKS],
            weather: [Weather::default(); MAX_NETWORKS],
            packets: Places::default(),
            letters: Places::default(),
        }
    }

    /// A letter with no copies yet; [`Nets::settle`] must follow.
    pub(crate) fn write(&mut self, bytes: &[u8], truth: Truth) -> u32 {
        let place = if let Some(place) = self.letters.free.pop() {
            place
        } else {
            let empty = Letter { bytes: [0; MAX_PACKET], length: 0, copies: 0, truth };
            self.letters.put(empty)
        };
        let letter = &mut self.letters.items[index(place)];
        letter.bytes[..bytes.len()].copy_from_slice(bytes);
        (letter.length, letter.copies, letter.truth) = (bytes.len(), 0, truth);
        place
    }

    /// Forgets a letter of which no copy is on its way.
    pub(crate) fn settle(&mut self, place: u32) {
        if self.letters.items[index(place)].copies == 0 {
            self.letters.free.push(place);
        }
    }

    /// One copy less.
    pub(crate) fn drop_copy(&mut self, place: u32) {
        let letter = &mut self.letters.items[index(place)];
        letter.copies -= 1;
        if letter.copies == 0 {
            self.letters.free.push(place);
        }
    }

    pub(crate) fn letter(&self, place: u32) -> &Letter {
        &self.letters.items[index(place)]
    }

    /// When one or two copies of a packet arrive, if any.
    pub(crate) fn send(
        &mut self,
        now: Time,
        packet: Packet,
        chance: &mut Chance,
    ) -> [Option<(Time, u32)>; 2] {
        if !self.carries(packet.network, packet.from, packet.to) {
            return [None, None];
        }
        let weather = self.weather[usize::from(packet.network)];
        if weather == Weather::default() {
            return [Some((now + WAY, self.launch(packet))), None];
        }
        let Weather { lost, doubled, late } = weather;
        if chance.permille(lost) {
            return [None, None];
        }
        let first = now + WAY + chance.span(late);
        let second = chance.permille(doubled).then(|| now + WAY + chance.span(late) + late / 2);
        let second = second.map(|at| (at, self.launch(packet)));
        [Some((first, self.launch(packet))), second]
    }

    fn launch(&mut self, packet: Packet) -> u32 {
        if let Frame::Letter(letter) = packet.frame {
            self.letters.items[index(letter)].copies += 1;
        }
        self.packets.put(packet)
    }

    /// Takes a packet that has arrived; none if a fault has overtaken it.
    pub(crate) fn arrive(&mut self, place: u32) -> Option<Packet> {
        let packet = self.packets.items[index(place)];
        self.packets.free.push(place);
        if self.carries(packet.network, packet.from, packet.to) {
            return Some(packet);
        }
        if let Frame::Letter(letter) = packet.frame {
            self.drop_copy(letter);
        }
        None
    }

    /// Whether the switches carry packets that way; says nothing about the two links.
    pub(crate) fn carries(&self, network: u8, from: u16, to: u16) -> bool {
        self.deaf[usize::from(network)][usize::from(from)] & (1 << to) == 0
    }

    /// Whether both hear each other.
    pub(crate) fn joins(&self, network: u8, a: u16, b: u16) -> bool {
        self.carries(network, a, b) && self.carries(network, b, a)
    }

    pub(crate) fn one_way(&mut self, network: u8, from: u16, to: u16) {
        self.deaf[usize::from(network)][usize::from(from)] |= 1 << to;
    }

    pub(crate) fn part(&mut self, network: u8, a: u16, b: u16) {
        self.one_way(network, a, b);
        self.one_way(network, b, a);
    }

    /// The switch forgets the host; its carrier stays.
    pub(crate) fn cut(&mut self, network: u8, host: u16) {
        for other in (0..self.hosts).filter(|other| *other != host) {
            self.part(network, host, other);
        }
    }

    /// Whether nobody hears it, of those who could.
    pub(crate) fn is_cut(&self, network: u8, host: u16) -> bool {
        (0..self.hosts).all(|other| other == host || !self.carries(network, host, other))
    }

    pub(crate) fn heal(&mut self) {
        self.deaf = [[0; MAX_HOSTS]; MAX_NETWORKS];
        self.reference_down = [false; MAX_NETWORKS];
    }

    pub(crate) fn is_whole(&self, network: u8) -> bool {
        self.deaf[usize::from(network)].iter().all(|deaf| *deaf == 0)
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.weather.iter().all(|weather| *weather == Weather::default())
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.packets.used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_one_way_leaves_the_other() {
        let mut nets = Nets::new(2, 3);
        nets.one_way(0, 0, 1);
        assert!(!nets.carries(0, 0, 1) && nets.carries(0, 1, 0) && nets.carries(1, 0, 1));
        assert!(!nets.joins(0, 0, 1) && nets.joins(0, 0, 2) && !nets.is_whole(0));
        nets.cut(1, 2);
        assert!(nets.is_cut(1, 2) && !nets.is_cut(0, 2) && nets.joins(1, 0, 1));
        nets.heal();
        assert!(nets.is_whole(0) && nets.is_whole(1));
    }

    #[test]
    fn a_letter_is_kept_as_long_as_a_copy_of_it_flies() {
        let mut nets = Nets::new(1, 3);
        let letter = nets.write(b"alive", Truth::default());
        let mut chance = Chance::new(1);
        let frame = Frame::Letter(letter);
        let mut launched = vec![];
        for to in [1, 2] {
            let packet = Packet { from: 0, to, network: 0, frame };
            launched.extend(nets.send(Time::ZERO, packet, &mut chance).into_iter().flatten());
        }
        nets.settle(letter);
        assert_eq!((launched.len(), nets.in_flight(), nets.letters.used()), (2, 2, 1));
        nets.cut(0, 2);
        for (_, place) in launched {
            if nets.arrive(place).is_some() {
                assert_eq!(nets.letter(letter).bytes(), b"alive");
                nets.drop_copy(letter);
            }
        }
        assert_eq!((nets.in_flight(), nets.letters.used()), (0, 0));
    }
}
