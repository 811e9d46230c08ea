//! Who is alive, by beats on every network.
//!
//! ```text
//!             a beat on any network
//!   Unknown -----------------------> Alive <---------------------------+
//!                                      |  \  goodbye                   | a beat of a new
//!        no beat for 1 s on any network|   +--------> Left ------------+ incarnation
//!                                      v                               |
//!                                   Suspect ---------------------------+ any beat
//! ```
//!
//! A standing is opinion, not fact: it may choose another server, never restart work. A node that is
//! late itself, or has lost its own carriers, judges nobody.

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;
use config::cluster::Cluster;

use crate::packet::{Kind, MAX_BODY, MAX_NETWORKS, MAX_NODES, OpenError, Opened, Replay, Seal};
use crate::timeline::{self, Timeline};
use crate::{Buffer, CAPACITY};
use beat::Beat;
use news::{Question, Told};
use peer::Peer;

pub use beat::{Choice, Load, MAX_CHOICES, print_again};
pub use news::{MAX_TEXT, print_news_again};
pub use peer::Cell;

mod beat;
mod news;
mod peer;
#[cfg(test)]
mod tests;

/// How often each node speaks on each network: four times within the shortest time that matters (1 s).
pub const BEAT_EVERY: Duration = Duration::from_millis(250);
/// Four beats in a row are lost by death, not by chance.
pub const SILENT_AFTER: Duration = Duration::from_secs(1);
/// Woken this late, this node itself was not running: two beats of its own are missing.
const OWN_STALL: Duration = Duration::from_millis(500);
/// After a stall of its own each peer has one more interval to speak, and one for the way.
const PATIENCE: Duration = Duration::from_millis(500);
/// A node that was silent and came back so often within [`FLAPS_WITHIN`] ...
pub const FLAPS: usize = 3;
pub const FLAPS_WITHIN: Duration = Duration::from_secs(60);
/// ... stays in doubt until it has been heard without a break for so long.
pub const STEADY_FOR: Duration = Duration::from_secs(10);
/// Late packets of an ended process are long gone after this.
pub const OUTDATED_AFTER: Duration = Duration::from_secs(10);
/// So rarely is that said of one node.
const OUTDATED_EVERY: Duration = Duration::from_secs(60);
/// Verdicts of one step leave room for its beats; the rest waits for the next step, which is due at once.
const MAX_ORDERS: usize = CAPACITY - MAX_NETWORKS;

/// The verdict on a node, as this node sees it: opinion, not fact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Standing {
    /// Never heard since this process started.
    #[default]
    Unknown,
    Alive,
    /// Silent on every network.
    Suspect,
    /// Said goodbye.
    Left,
}

/// What the agent saw.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A datagram arrived on the socket of this network.
    Packet {
        network: u8,
        bytes: &'a [u8],
    },
    /// The carrier of this node's own interface on that network.
    Carrier {
        network: u8,
        up: bool,
    },
    /// What the process before this one knew; counts only for nodes not heard yet.
    Known {
        node: u16,
        standing: Standing,
    },
    /// This node ends in order.
    Leave,
    Timeout,
}

/// What the agent is to do, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Write one with [`Member::beat`] for every peer on this network, and send it.
    Beat { network: u8 },
    /// A standing changed, or stayed `Alive` through a restart.
    Verdict { node: u16, standing: Standing, why: String },
    /// [`Member::choices`] has news from a peer.
    Choices,
    /// [`Member::holds`] of this node changed.
    Holds { node: u16 },
    /// Write it with [`Member::question`] and send it to this node on this network.
    Question { node: u16, network: u8, after: u64 },
    /// Write at most [`timeline::BURST`] events of this node after that number with
    /// [`Member::tell`], and send them.
    Answer { node: u16, network: u8, after: u64 },
    /// For [`OUTDATED_AFTER`] everything that came from that node was sealed under a number smaller
    /// than one heard before: its clock was set back and it has lost its state, or old packets are
    /// sent again. It stays silent here until its number is past the old one.
    Outdated { node: u16, came: u64, known: u64 },
    /// An event of that node, as it wrote it; `skipped` events before it are not known here.
    Event { node: u16, number: u64, skipped: u64, text: Vec<u8> },
}

/// How many datagrams were not believed, and why.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Refused {
    /// They say that they are of a peer, and its key does not open them: forged, damaged, or another secret.
    pub forged: u64,
    /// No packet of this version, or sealed with a key that is not known here.
    pub unreadable: u64,
    /// Old packets come again.
    pub replay: u64,
    /// Sent for another network than the one it arrived on.
    pub network: u64,
    /// From a node with which no key is shared or which is not on this network, or meant for another node.
    pub stranger: u64,
}

impl Refused {
    const fn count(&mut self, error: OpenError) {
        match error {
            OpenError::Forged => self.forged += 1,
            OpenError::Receiver(_) | OpenError::Stranger(_) => self.stranger += 1,
            OpenError::Length
            | OpenError::Magic
            | OpenError::Version(_)
            | OpenError::Key(_)
            | OpenError::Kind(_) => self.unreadable += 1,
        }
    }
}

/// This node's view of all others.
#[derive(Debug)]
pub struct Member {
    me: u16,
    /// Names, for the texts.
    networks: ArrayVec<String, MAX_NETWORKS>,
    peers: ArrayVec<Peer, MAX_NODES>,
    seal: Seal,
    replay: Replay,
    timeline: Timeline,
    /// What this node's own beats say.
    said: Beat,
    /// The newest choice per proxy that any peer told.
    choices: ArrayVec<Choice, MAX_CHOICES>,
    own_carrier: [bool; MAX_NETWORKS],
    beat_at: Time,
    judge_from: Time,
    refused: Refused,
}

impl Member {
    /// `me` is this node's position in the cluster file, and the sender of `seal`. Nodes beyond
    /// [`MAX_NODES`] and networks beyond [`MAX_NETWORKS`] take no part.
    #[must_use]
    pub fn new(cluster: &Cluster, me: u16, seal: Seal, now: Time) -> Self {
        let peer = |node: &config::cluster::Node| Peer::new(&node.addresses);
        Self {
            me,
            networks: cluster.networks.iter().take(MAX_NETWORKS).cloned().collect(),
            peers: cluster.nodes.iter().take(MAX_NODES).map(peer).collect(),
            seal,
            replay: Replay::new(),
            timeline: Timeline::new(cluster.nodes.len()),
            said: Beat::default(),
            choices: ArrayVec::new(),
            own_carrier: [true; MAX_NETWORKS],
            beat_at: now,
            judge_from: now,
            refused: Refused::default(),
        }
    }

    /// The only way in. Packets come from the network: what makes no sense is counted and dropped.
    pub fn step(&mut self, now: Time, input: Input<'_>, out: &mut Buffer<Action>) {
        if now.since(self.deadline()) > OWN_STALL {
            self.judge_from = self.judge_from.max(now + PATIENCE);
        }
        match input {
            Input::Packet { network, bytes } => self.receive(now, network, bytes, out),
            Input::Carrier { network, up } => self.own_carrier_is(now, network, up),
            Input::Known { node, standing } => {
                if let Some(peer) = self.peer_mut(node) {
                    peer.known(now, standing);
                }
            }
            Input::Leave => {
                self.said.leaving = true;
                self.beat_at = now;
            }
            Input::Timeout => {}
        }
        self.judge(now, out);
        if now >= self.beat_at {
            self.beat_at = now + BEAT_EVERY;
            self.order_beats(out);
        }
        self.ask(now, out);
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        let silent = self.others().map(|(_, peer)| peer.silent_at(&self.own_carrier));
        let silent = silent.min().unwrap_or(Time::NEVER);
        self.beat_at.min(silent.max(self.judge_from)).min(self.timeline.deadline())
    }

    /// Writes a beat for a node on `network` into `out` and returns its length; 0 if there is nothing to
    /// send, because no key is shared with that node.
    pub fn beat(&mut self, to: u16, network: u8, out: &mut [u8]) -> usize {
        let mut body = [0; beat::MAX_LENGTH];
        let length = self.said.encode(&mut body);
        self.seal.seal(Kind::Beat, (to, network), &body[..length], out)
    }

    /// Writes the question of [`Action::Question`] and returns its length.
    pub fn question(&mut self, node: u16, network: u8, after: u64, out: &mut [u8]) -> usize {
        let body = Question { to: node, after }.encode();
        self.seal.seal(Kind::Question, (node, network), &body, out)
    }

    /// Writes one event of this node for another and returns its length; 0 if the text is longer than
    /// [`MAX_TEXT`]. Between `previous` and `number` there is none.
    pub fn tell(
        &mut self,
        (node, network): (u16, u8),
        (previous, number): (u64, u64),
        text: &[u8],
        out: &mut [u8],
    ) -> usize {
        let mut body = [0; MAX_BODY];
        let told = Told { to: node, previous, number, text };
        let Some(length) = told.encode(&mut body) else { return 0 };
        self.seal.seal(Kind::Told, (node, network), &body[..length], out)
    }

    /// The number of this node's newest event.
    pub const fn say_events(&mut self, newest: u64) {
        self.said.events = newest;
    }

    /// What this node's beats say about writers; the first [`MAX_CHOICES`].
    pub fn say_choices(&mut self, choices: impl IntoIterator<Item = Choice>) {
        self.said.choices = choices.into_iter().take(MAX_CHOICES).collect();
    }

    /// Which vip instances this node holds, one bit each.
    pub const fn say_holds(&mut self, holds: u64) {
        self.said.holds = holds;
    }

    /// How busy this node's machine is.
    pub const fn say_load(&mut self, load: Option<Load>) {
        self.said.load = load;
    }

    /// How busy a peer said its machine is, and how long ago.
    #[must_use]
    pub fn load(&self, node: u16, now: Time) -> Option<(Load, Duration)> {
        let (load, at) = self.peers.get(usize::from(node))?.load?;
        Some((load, now.since(at)))
    }

    /// The newest choice of each proxy that a peer told.
    #[must_use]
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Which vip instances a peer said it holds, as long as it lives.
    #[must_use]
    pub fn holds(&self, node: u16) -> u64 {
        let peer = self.peers.get(usize::from(node));
        peer.filter(|peer| peer.standing == Standing::Alive).map_or(0, |peer| peer.holds)
    }

    /// This node itself is alive.
    #[must_use]
    pub fn standing(&self, node: u16) -> Standing {
        if node == self.me {
            return Standing::Alive;
        }
        self.peers.get(usize::from(node)).map(|peer| peer.standing).unwrap_or_default()
    }

    /// Liveness of a node on each network of the cluster file, for `status`; none where it has no
    /// address.
    pub fn cells(&self, node: u16, now: Time) -> impl Iterator<Item = Option<Cell>> + '_ {
        let peer = self.peers.get(usize::from(node));
        (0..self.networks.len()).map(move |network| peer.and_then(|peer| peer.cell(network, now)))
    }

    #[must_use]
    pub const fn refused(&self) -> Refused {
        self.refused
    }

    fn receive(&mut self, now: Time, network: u8, bytes: &[u8], out: &mut Buffer<Action>) {
        let mut body = [0; MAX_BODY];
        let packet = match self.seal.open(bytes, &mut body) {
            Ok(packet) => packet,
            Err(error) => return self.refused.count(error),
        };
        let on_network =
            self.peers.get(usize::from(packet.sender)).is_some_and(|peer| peer.is_on(network));
        let is_ours = matches!(packet.kind, Kind::Beat | Kind::Question | Kind::Told);
        if packet.sender == self.me || !on_network || !is_ours {
            self.refused.stranger += 1;
        } else if packet.network != network {
            self.refused.network += 1;
        } else if !self.replay.is_news(&packet) {
            self.refused.replay += 1;
            self.outdated(now, &packet, out);
        } else {
            let (node, incarnation) = (packet.sender, packet.incarnation);
            match packet.kind {
                Kind::Question => self.asked(now, node, network, packet.body, out),
                Kind::Told => self.told(now, node, packet.body, out),
                Kind::Beat | Kind::Hello | Kind::HandOver => {
                    let beat = Beat::decode(packet.body);
                    self.heard(now, node, network, incarnation, &beat, out);
                    let newest = beat.events;
                    let heard = timeline::Input::Heard { node, network, incarnation, newest };
                    self.news(now, heard, &[], out);
                }
            }
        }
    }

    fn outdated(&mut self, now: Time, packet: &Opened<'_>, out: &mut Buffer<Action>) {
        let (node, came) = (packet.sender, packet.incarnation);
        let peer = self.peers.get_mut(usize::from(node)).filter(|_| packet.kind == Kind::Beat);
        if let Some(known) = peer.and_then(|peer| peer.outdated(now, came)) {
            out.push(Action::Outdated { node, came, known });
        }
    }

    /// For another node than this one it was meant if it says so.
    fn asked(&mut self, now: Time, node: u16, network: u8, body: &[u8], out: &mut Buffer<Action>) {
        let Some(question) = Question::decode(body).filter(|question| question.to == self.me)
        else {
            self.refused.stranger += 1;
            return;
        };
        let input = timeline::Input::Asked { node, network, after: question.after };
        self.news(now, input, &[], out);
    }

    fn told(&mut self, now: Time, node: u16, body: &[u8], out: &mut Buffer<Action>) {
        let Some(told) = Told::decode(body).filter(|told| told.to == self.me) else {
            self.refused.stranger += 1;
            return;
        };
        let Told { previous, number, text, .. } = told;
        self.news(now, timeline::Input::Told { node, previous, number }, text, out);
    }

    /// Asks what is missing, as far as there is room for orders; what finds none is asked again.
    fn ask(&mut self, now: Time, out: &mut Buffer<Action>) {
        if self.timeline.deadline() <= now {
            self.news(now, timeline::Input::Timeout, &[], out);
        }
    }

    fn news(&mut self, now: Time, input: timeline::Input, text: &[u8], out: &mut Buffer<Action>) {
        let mut orders = Buffer::new();
        self.timeline.step(now, input, &mut orders);
        for order in orders.drain() {
            if out.len() == CAPACITY {
                return;
            }
            out.push(match order {
                timeline::Action::Ask { node, network, after } => {
                    Action::Question { node, network, after }
                }
                timeline::Action::Answer { node, network, after } => {
                    Action::Answer { node, network, after }
                }
                timeline::Action::Keep { node, number, skipped } => {
                    Action::Event { node, number, skipped, text: text.to_vec() }
                }
            });
        }
    }

    fn heard(
        &mut self,
        now: Time,
        node: u16,
        network: u8,
        incarnation: u64,
        beat: &Beat,
        out: &mut Buffer<Action>,
    ) {
        let Some(peer) = self.peers.get_mut(usize::from(node)) else { return };
        if let Some(why) = peer.heard(now, network, incarnation, beat.leaving) {
            out.push(Action::Verdict { node, standing: peer.standing, why });
        }
        if peer.holds != beat.holds {
            peer.holds = beat.holds;
            out.push(Action::Holds { node });
        }
        if let Some(load) = beat.load {
            peer.load = Some((load, now));
        }
        let mut news = false;
        for choice in &beat.choices {
            news |= choice.merge_into(&mut self.choices);
        }
        if news {
            out.push(Action::Choices);
        }
    }

    /// A network that this node itself lost says nothing about others, nor does its return at once.
    fn own_carrier_is(&mut self, now: Time, network: u8, up: bool) {
        let Some(carrier) = self.own_carrier.get_mut(usize::from(network)) else { return };
        if up && !*carrier {
            self.judge_from = self.judge_from.max(now + PATIENCE);
        }
        *carrier = up;
    }

    fn judge(&mut self, now: Time, out: &mut Buffer<Action>) {
        if now < self.judge_from {
            return;
        }
        for (node, peer) in (0_u16..).zip(&mut self.peers) {
            if node == self.me || peer.silent_at(&self.own_carrier) > now {
                continue;
            }
            if out.len() >= MAX_ORDERS {
                return;
            }
            let why = peer.suspect(now, &self.networks, &self.own_carrier);
            out.push(Action::Verdict { node, standing: Standing::Suspect, why });
        }
    }

    fn order_beats(&self, out: &mut Buffer<Action>) {
        let Some(own) = self.peers.get(usize::from(self.me)) else { return };
        for network in (0_u8..).take(self.networks.len()).filter(|network| own.is_on(*network)) {
            if out.len() < CAPACITY {
                out.push(Action::Beat { network });
            }
        }
    }

    fn others(&self) -> impl Iterator<Item = (u16, &Peer)> {
        (0_u16..).zip(&self.peers).filter(|(node, _)| *node != self.me)
    }

    fn peer_mut(&mut self, node: u16) -> Option<&mut Peer> {
        self.peers.get_mut(usize::from(node)).filter(|_| node != self.me)
    }
}
