//! Which packets are news.

use super::{Kind, MAX_NETWORKS, MAX_NODES, Opened};
use crate::keep::kept;

/// Processes of a node that seal packets, each with its own incarnation.
const PROCESSES: usize = 2;
/// Which of them the vip process is.
const VIP: usize = 1;

/// The newest packet of one kind on one network, and which of those just before it came.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// 0 before the first.
    newest: u64,
    /// Bit n: the packet `newest - n` came. What is older than 63 packets is old.
    came: u64,
}

impl Window {
    const WIDTH: u64 = 64;

    fn is_news(&mut self, seq: u64, replaces: bool) -> bool {
        if seq > self.newest {
            let by = seq - self.newest;
            self.came = if by < Self::WIDTH { self.came << by | 1 } else { 1 };
            self.newest = seq;
            return true;
        }
        let age = self.newest - seq;
        if replaces || age >= Self::WIDTH || seq == 0 {
            return false;
        }
        let news = self.came & 1 << age == 0;
        self.came |= 1 << age;
        news
    }
}

/// The newest life of one process of a sender.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    incarnation: u64,
    windows: [[Window; Kind::COUNT]; MAX_NETWORKS],
}

/// Remembers the newest life of each sender and, within it, the newest packets per network and kind.
///
/// Whatever a process said before its restart is old as soon as its successor was heard, on any network
/// and about anything: a recorded hand-over is none. Within a life, beats, hellos and hand-overs count only
/// in order, because each replaces the one before; questions, told events, errands and their answers
/// count once, in any order.
#[derive(Clone, Debug)]
pub struct Replay {
    lives: Box<[[Life; PROCESSES]]>,
}

/// How far the vip process of a sender was heard, in one kind of packets on one network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Newest {
    pub sender: u16,
    pub incarnation: u64,
    pub network: u8,
    /// Of the kind, in this program.
    pub place: u8,
    pub seq: u64,
}

kept!(Window { newest, came });
kept!(Life { incarnation, windows });
kept!(Replay { lives });

impl Default for Replay {
    fn default() -> Self {
        Self { lives: vec![[Life::default(); PROCESSES]; MAX_NODES].into_boxed_slice() }
    }
}

impl Replay {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For so many nodes, not just [`MAX_NODES`].
    #[must_use]
    pub fn of(nodes: usize) -> Self {
        Self { lives: vec![[Life::default(); PROCESSES]; nodes].into_boxed_slice() }
    }

    /// What was heard of vip processes, for another process that goes on in the place of this one. Of their kinds an older packet says
    /// nothing once a newer one came.
    pub fn newest(&self) -> impl Iterator<Item = Newest> + '_ {
        let senders = (0..).zip(self.lives.iter()).map(|(sender, lives)| (sender, &lives[VIP]));
        senders.flat_map(|(sender, life)| {
            let networks = (0..).zip(&life.windows);
            let all = networks.flat_map(|(network, windows)| {
                (0..).zip(windows).map(move |(place, window)| (network, place, window.newest))
            });
            let heard = all.filter(|(_, _, newest)| *newest > 0);
            let incarnation = life.incarnation;
            heard.map(move |(network, place, seq)| Newest {
                sender,
                incarnation,
                network,
                place,
                seq,
            })
        })
    }

    /// The process before heard that: nothing older is news. What means nothing here is ignored.
    pub fn go_on(&mut self, heard: Newest) {
        let Newest { sender, incarnation, network, place, seq } = heard;
        let Some(life) = self.lives.get_mut(usize::from(sender)).map(|lives| &mut lives[VIP])
        else {
            return;
        };
        if incarnation > life.incarnation {
            *life = Life { incarnation, ..Life::default() };
        }
        let windows = life.windows.get_mut(usize::from(network));
        let window = windows.and_then(|windows| windows.get_mut(usize::from(place)));
        if let Some(window) = window.filter(|_| incarnation == life.incarnation) {
            window.newest = seq.max(window.newest);
        }
    }

    /// True once per packet; senders and networks beyond the limits are never news.
    pub fn is_news(&mut self, packet: &Opened<'_>) -> bool {
        let network = usize::from(packet.network);
        let lives = self.lives.get_mut(usize::from(packet.sender));
        let Some(life) = lives.map(|lives| &mut lives[packet.kind.process()]) else {
            return false;
        };
        if network >= MAX_NETWORKS || packet.incarnation < life.incarnation {
            return false;
        }
        if packet.incarnation > life.incarnation {
            *life = Life { incarnation: packet.incarnation, ..Life::default() };
        }
        let window = &mut life.windows[network][packet.kind.window()];
        window.is_news(packet.seq, packet.kind.replaces())
    }
}
