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
//! A standing is what this node itself hears: it may choose another server, never restart work. What all
//! nodes hear together, and all other evidence, becomes the verdict ([`crate::verdict`]), which is told as
//! [`Action::Opinion`]. A node that is late itself, or has lost its own carriers, judges nobody.
//!
//! All times follow from the detection time of the cluster file ([`Times`]).

use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;
use config::cluster::Cluster;

use crate::packet::{Kind, MAX_BODY, MAX_NETWORKS, MAX_NODES, OpenError, Opened, Replay, Seal};
use crate::timeline::{self, Timeline};
use crate::verdict::{self, Proof, Rule, Times, Verdict};
use crate::{Buffer, CAPACITY};
use beat::Beat;
use own::Ground;
use peer::Peer;
use watch::Watch;

pub use beat::{Choice, Load, MAX_CHOICES, print_again};
pub use known::Sighting;
pub use news::{MAX_TEXT, print_news_again};
pub use peer::Cell;

mod beat;
mod kept;
mod known;
mod news;
mod own;
mod peer;
mod receive;
mod say;
#[cfg(test)]
mod tests;
mod tether;
mod watch;

/// A goodbye is said so often: nobody hears the next beat.
const GOODBYES: usize = 3;
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
    /// As [`Input::Packet`], of one whose seal was checked already.
    Opened {
        network: u8,
        packet: Opened<'a>,
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
    /// The kernel of that node says that nothing listens for beats there.
    Refused {
        node: u16,
    },
    /// The connection of [`Action::Tether`] stands, or is no more, or could not be had.
    Tether {
        node: u16,
        network: u8,
        holds: bool,
    },
    /// Whether a reference point answers this node ([`crate::reference`]); until told, one does.
    Reference {
        answers: bool,
    },
    /// Whether all servers of that node, two at least, fail checks or requests here.
    Failing {
        node: u16,
        failing: bool,
    },
    /// Whether what happens to that node is planned: coming and going is no flapping then.
    Planned {
        node: u16,
        planned: bool,
    },
    /// What the replicated store says about that node's death.
    Proven {
        node: u16,
        proof: Option<Proof>,
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
    /// As [`Action::Beat`], for this peer alone.
    Ask { node: u16, network: u8 },
    /// Connect to this node on this network and say nothing there, ever; one that is there is for an earlier
    /// process of it. What becomes of it is told as [`Input::Tether`].
    Tether { node: u16, network: u8 },
    /// A standing changed, or stayed `Alive` through a restart.
    Verdict { node: u16, standing: Standing, why: String },
    /// The verdict on a node is another one.
    Opinion { node: u16, verdict: Verdict, rule: &'static Rule },
    /// [`Member::choices`] has news from a peer.
    Choices,
    /// [`Member::holds`] of this node changed.
    Holds { node: u16 },
    /// [`Member::duty`] of this node changed.
    Duty { node: u16 },
    /// For [`crate::errand`], of the process of that node with this life.
    Carried { node: u16, network: u8, life: u64, kind: Kind, body: Vec<u8> },
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
    /// From a node with which no key is shared or which is not on this network, or meant for another node,
    /// or of a kind that is not for this machine.
    pub stranger: u64,
}

impl Refused {
    /// Why it did not open.
    pub const fn count(&mut self, error: OpenError) {
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
    watch: Watch,
    /// What this node's own beats say.
    said: Beat,
    /// The newest choice per proxy that any peer told.
    choices: ArrayVec<Choice, MAX_CHOICES>,
    own_carrier: [bool; MAX_NETWORKS],
    own: Ground,
    beat_at: Time,
    beaten_at: Time,
    judge_from: Time,
    refused: Refused,
    /// Its deadline since the last step.
    due: Time,
}

impl Member {
    /// `me` is this node's position among the controllers, and the sender of `seal`. Compute nodes
    /// ([`crate::gossip`]), nodes beyond [`MAX_NODES`] and networks beyond [`MAX_NETWORKS`] take no part.
    #[must_use]
    pub fn new(cluster: &Cluster, me: u16, seal: Seal, now: Time) -> Self {
        let peer = |node: &config::cluster::Node| Peer::new(&node.addresses);
        let peers: ArrayVec<Peer, MAX_NODES> =
            cluster.controllers().iter().take(MAX_NODES).map(peer).collect();
        let networks: ArrayVec<String, MAX_NETWORKS> =
            cluster.networks.iter().take(MAX_NETWORKS).cloned().collect();
        let times = Times::new(cluster.detect);
        let count = u8::try_from(networks.len()).unwrap_or(0);
        Self {
            me,
            watch: Watch::new(me, seal.incarnation(), &peers, networks.len(), times),
            networks,
            peers,
            seal,
            replay: Replay::new(),
            timeline: Timeline::new(cluster.controllers().len()),
            said: Beat { networks: count, ..Beat::default() },
            choices: ArrayVec::new(),
            own_carrier: [true; MAX_NETWORKS],
            own: Ground::default(),
            beat_at: now,
            beaten_at: Time::ZERO,
            judge_from: now,
            refused: Refused::default(),
            due: now,
        }
    }

    /// The only way in. Packets come from the network: what makes no sense is counted and dropped.
    pub fn step(&mut self, now: Time, input: Input<'_>, out: &mut Buffer<Action>) {
        let times = self.watch.times();
        self.watch.age(now);
        // Of all timers the one that is never far: what else is due may have been so before, as patience ends.
        let late = now.since(self.beat_at);
        if late > times.confirm() {
            self.watch.late(late);
        }
        if late > times.slip() {
            self.judge_from = self.judge_from.max(now + times.patience());
        }
        match input {
            Input::Packet { network, bytes } => self.receive(now, network, bytes, out),
            Input::Opened { network, packet } => self.opened(now, network, &packet, out),
            Input::Carrier { network, up } => self.own_carrier_is(now, network, up),
            Input::Reference { answers } => self.reference_is(now, answers),
            Input::Known { node, standing } => {
                if let Some(peer) = self.peer_mut(node) {
                    peer.known(now, standing);
                }
            }
            Input::Refused { node } if self.is_peer(node) => {
                self.watch.refused(now, node);
            }
            Input::Tether { node, network, holds } if self.is_peer(node) => {
                self.watch.tethered(now, (node, network), holds);
            }
            Input::Failing { node, failing } if self.is_peer(node) => {
                self.watch.failing(now, node, failing);
            }
            Input::Proven { node, proof } if self.is_peer(node) => {
                self.watch.proven(now, node, proof);
            }
            Input::Planned { node, planned } => self.watch.planned(now, node, planned),
            Input::Refused { .. }
            | Input::Tether { .. }
            | Input::Failing { .. }
            | Input::Proven { .. } => {}
            Input::Leave => {
                self.said.leaving = true;
                self.beat_at = now;
            }
            Input::Timeout => {}
        }
        self.look(now);
        self.look_at_ground(now);
        self.judge(now, out);
        self.conclude(now, out);
        if now >= self.beat_at {
            self.beat_at = now + times.beat_every();
            self.beaten_at = now;
            self.order_beats(out);
            self.tie(now, out);
        }
        self.ask_alone(now, out);
        self.ask(now, out);
        self.due = self.next_due();
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub const fn deadline(&self) -> Time {
        self.due
    }

    fn next_due(&self) -> Time {
        let silent_at = |(node, peer): (u16, &Peer)| {
            peer.silent_at(&self.own_carrier, self.watch.tolerance(usize::from(node)))
        };
        let silent = self.others().map(silent_at).min().unwrap_or(Time::NEVER);
        let silent = if self.own.is_lost { Time::NEVER } else { silent.max(self.judge_from) };
        self.beat_at.min(silent).min(self.timeline.deadline()).min(self.watch.deadline())
    }

    /// The keys of this node's pairs, to change them.
    pub fn seal_mut(&mut self) -> &mut Seal {
        &mut self.seal
    }

    /// Writes a beat for a node on `network` into `out` and returns its length; 0 if there is nothing to
    /// send, because no key is shared with that node.
    pub fn beat(&mut self, to: u16, network: u8, out: &mut [u8]) -> usize {
        let mut body = [0; beat::MAX_LENGTH];
        let length = self.said.encode(&mut body);
        self.seal.seal(Kind::Beat, (to, network), &body[..length], out)
    }

    /// Writes what [`Member::beat`] seals and returns its length: for who hands packets over opened
    /// ([`Input::Opened`]).
    pub fn beat_body(&self, out: &mut [u8; MAX_BODY]) -> usize {
        let mut body = [0; beat::MAX_LENGTH];
        let length = self.said.encode(&mut body);
        out[..length].copy_from_slice(&body[..length]);
        length
    }

    fn receive(&mut self, now: Time, network: u8, bytes: &[u8], out: &mut Buffer<Action>) {
        let mut body = [0; MAX_BODY];
        let packet = match self.seal.open(bytes, &mut body) {
            Ok(packet) => packet,
            Err(error) => return self.refused.count(error),
        };
        self.opened(now, network, &packet, out);
    }

    fn opened(&mut self, now: Time, network: u8, packet: &Opened<'_>, out: &mut Buffer<Action>) {
        let on_network =
            self.peers.get(usize::from(packet.sender)).is_some_and(|peer| peer.is_on(network));
        let is_ours =
            !matches!(packet.kind, Kind::Hello | Kind::HandOver | Kind::Gossip | Kind::VipBeat);
        if packet.sender == self.me || !on_network || !is_ours {
            self.refused.stranger += 1;
        } else if packet.network != network {
            self.refused.network += 1;
        } else if !self.replay.is_news(packet) {
            self.refused.replay += 1;
            self.outdated(now, packet, out);
        } else {
            let (node, incarnation) = (packet.sender, packet.incarnation);
            match packet.kind {
                Kind::Question => self.asked(now, node, network, packet.body, out),
                Kind::Told => self.told(now, node, packet.body, out),
                Kind::Errand | Kind::Answer => {
                    let (kind, body) = (packet.kind, packet.body.to_vec());
                    out.push(Action::Carried { node, network, life: incarnation, kind, body });
                }
                Kind::Beat | Kind::Hello | Kind::HandOver | Kind::Gossip | Kind::VipBeat => {
                    let beat = Beat::decode(packet.body);
                    self.heard(now, node, network, incarnation, &beat, out);
                    let newest = beat.events;
                    let heard = timeline::Input::Heard { node, network, incarnation, newest };
                    self.news(now, heard, &[], out);
                }
            }
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
        if incarnation >= peer.incarnation() {
            if !peer.is_heard_within(now, self.watch.times().speaks()) {
                self.watch.is_judged_anew();
            }
            let is_new_life = incarnation > peer.incarnation();
            self.watch.heard(now, (node, network), incarnation, is_new_life, beat);
        }
        let (before, is_taken_over) = (peer.standing, peer.is_taken_over());
        if let Some(why) = peer.heard(now, network, incarnation, beat.leaving) {
            if before == Standing::Suspect && peer.standing == Standing::Alive {
                self.watch.returned(now, node);
            }
            out.push(Action::Verdict { node, standing: peer.standing, why });
        }
        if peer.holds != beat.holds {
            peer.holds = beat.holds;
            out.push(Action::Holds { node });
        }
        if peer.duty != beat.duty || is_taken_over && before == peer.standing {
            peer.duty = beat.duty;
            out.push(Action::Duty { node });
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

    fn judge(&mut self, now: Time, out: &mut Buffer<Action>) {
        if now < self.judge_from || self.own.is_lost {
            return;
        }
        for (node, peer) in (0_u16..).zip(&mut self.peers) {
            let tolerance = self.watch.tolerance(usize::from(node));
            if node == self.me || peer.silent_at(&self.own_carrier, tolerance) > now {
                continue;
            }
            if out.len() >= MAX_ORDERS {
                return;
            }
            let why = peer.suspect(now, &self.networks, &self.own_carrier, tolerance);
            out.push(Action::Verdict { node, standing: Standing::Suspect, why });
        }
    }

    /// The verdicts that changed, as far as there is room for them.
    fn conclude(&mut self, now: Time, out: &mut Buffer<Action>) {
        let here = self.own.here(now, self.judge_from, &self.own_carrier);
        let free = MAX_ORDERS.saturating_sub(out.len());
        let mut changed: ArrayVec<Action, MAX_ORDERS> = ArrayVec::new();
        self.watch.judge(here, &self.peers, free, |node, judgement| {
            let verdict::Judgement { verdict, rule } = judgement;
            changed.push(Action::Opinion { node, verdict, rule });
        });
        changed.into_iter().for_each(|action| out.push(action));
    }

    fn others(&self) -> impl Iterator<Item = (u16, &Peer)> {
        (0_u16..).zip(&self.peers).filter(|(node, _)| *node != self.me)
    }

    fn is_peer(&self, node: u16) -> bool {
        node != self.me && usize::from(node) < self.peers.len()
    }

    fn peer_mut(&mut self, node: u16) -> Option<&mut Peer> {
        self.peers.get_mut(usize::from(node)).filter(|_| node != self.me)
    }
}
