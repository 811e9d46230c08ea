//! Which node answers for a virtual IP, by votes: two never do.
//!
//! ```text
//!   beats, every 10 ms, from each vip process to each other, on every network
//!
//!         nobody has this node's promise, its turn came      a majority granted a beat of this claim
//!   Idle -----------------------------------> Candidate ----------------------------------> Holder
//!    ^  ^                                        |                                             |
//!    |  +---- no majority within two beats ------+                                             |
//!    +------ `until` passed, a fact says no, it stops or moves the address --------------------+
//! ```
//!
//! A holder may answer until the moment at which it *sent* the newest beat that a majority granted, and one
//! vip lease more. A voter that grants a beat promises the address to nobody else for longer than that
//! ([`hold`]). Why two never answer: `docs/decisions/0018-a-vip-lease-that-cannot-have-two-holders.md`.
//!
//! What the driver owes, without which there is no proof:
//! - `now` of a beat is read after it was received; a beat is sent after the step that ordered it, whose `now`
//!   was read before. Nothing else is asked of its clock: it may pause between any two deeds.
//! - After each step it writes [`VipLease::until`] of every address where the kernel compares it with the same
//!   clock, before it performs the orders, and performs them in order, before it steps again.
//! - `life` grows from start to start. A process says [`Config::closed`] only if its former one is gone and
//!   what that wrote was set to zero since.
//! - Nobody holds under the first list of an incarnation of the store while another may grant under a former one.
//! - [`Config::voters`] are no older than what any former process of this node adopted. Where the machine started since,
//!   it is [`Config::unread`] which are the newest of the store, as it may have been taken for dead.
//!
//! One machine for all addresses of a node. No step allocates.

use std::time::Duration;

use base::Time;

use super::{Balancer, Cause as FactCause, Mac};
use crate::Buffer;
use crate::packet::MAX_BODY;

mod action;
mod alone;
pub mod beat;
pub mod bequest;
mod calm;
pub mod claim;
pub mod ears;
pub mod last_word;
mod listed;
mod node;
pub mod pace;
mod placing;
pub mod proposer;
mod seat;
pub mod spread;
pub mod taken;
#[cfg(test)]
mod tests;
pub mod together;
mod view;
pub mod voter;
pub mod voters;
mod whereabouts;

pub use action::{Action, Fact};
pub use beat::{Beat, Epoch, Number, Reach, Stand};
pub use calm::CALM;
use node::Node;
use pace::Pace;
use placing::Places;
use seat::Seat;
pub use spread::Rule;
pub use together::SeatConfig;
pub use view::{Cause, Gained, View};
pub use voter::hold;
pub use voters::{Before, Elector, MAX_VOTERS, Set, Voters};

/// Between two beats, on machines that do more than this.
pub const BEAT: Duration = Duration::from_millis(10);
/// With beats of 10 ms: two may be lost in a row, and a gone node is followed within 60 ms.
pub const SPAN: Duration = Duration::from_millis(35);
/// No vip lease is longer. For [`hold`] of this, 250 ms, a restarted voter keeps silent, and claims under the list
/// before the one in use are granted.
pub const MAX_SPAN: Duration = Duration::from_millis(200);
/// Addresses of one node.
pub const MAX_SEATS: usize = beat::MAX_ENTRIES;

/// The vip process of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// Position in the cluster file.
    pub node: u16,
    /// Number of this process: larger than that of any before on this node.
    pub life: u64,
    /// What former processes of this node let through, the kernel lets through no more.
    pub closed: bool,
    /// How many nodes the cluster has.
    pub nodes: u16,
    /// On how many networks beats go; at most [`crate::packet::MAX_NETWORKS`].
    pub networks: u8,
    /// When this machine joined the cluster, in milliseconds since 1970; 0: machines are not told apart.
    pub joined: u64,
    pub voters: Voters,
    /// There is a store, and nobody read its list since the machine started: these count once it is known to have none.
    pub unread: bool,
    /// Between two beats where all nodes can keep that (see [`pace`]); at most half of `span`.
    pub beat: Duration,
    /// The vip lease then: for how long after it was sent a granted beat lets its sender hold. At most [`MAX_SPAN`].
    pub span: Duration,
    /// On which of the networks there are reference points: a bit for each, the lowest is the first.
    pub referred: u8,
    /// Within this time all nodes notice that a reference point of all of them is gone.
    pub settle: Duration,
    /// So long nothing changes before an address is moved for its place beside others ([`CALM`]).
    pub calm: Duration,
    /// What is beyond [`MAX_SEATS`] is never held.
    pub seats: Vec<SeatConfig>,
}

/// What the outside world tells the machine. `vip` is a position in [`Config::seats`].
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The body of a sealed packet of kind `VipBeat`; its seal says who spoke, in which life, and on which network.
    Beat {
        network: u8,
        from: u16,
        life: u64,
        body: &'a [u8],
    },
    Fact {
        vip: usize,
        fact: Fact,
    },
    Balancer(Balancer),
    /// This process does what is due later than that once in a thousand times; none: that is not known yet.
    Late(Option<Duration>),
    /// Whether a reference point on that network answers this node; false: none does, and one did; none: nothing is known.
    Reference {
        network: u8,
        answers: Option<bool>,
    },
    /// Whether the device of that network can be used.
    Link {
        network: u8,
        up: bool,
    },
    /// Whether the agent of this node hears that of another one.
    Agent {
        node: u16,
        heard: bool,
    },
    /// An operator wants this node to hold nothing, or lets it hold again.
    Standby(bool),
    /// It is committed that this node, or that one, executes nothing any more, or that is taken back.
    Proven {
        node: u16,
        dead: bool,
    },
    /// An operator wants that node to hold the address of this one.
    MoveTo {
        vip: usize,
        node: u16,
    },
    /// An operator wants the address of this node to be spread again, or to follow, or to be apart: it was moved here.
    Anywhere {
        vip: usize,
    },
    /// Whether this node coordinates.
    Coordinates(bool),
    /// The kernel did not take the addresses.
    Refused {
        vip: usize,
    },
    /// Somebody removed an address that this node holds.
    AddressLost {
        vip: usize,
    },
    /// A router that does not vote says that it holds the address, and that it says so again within that time; zero: that
    /// it lets go.
    Foreign {
        vip: usize,
        span: Duration,
    },
    /// The store has a later list of voters, or, by a list without a number, none.
    Voters(&'a Voters),
    /// Somebody who is no node of ours says that it has an address of this one: the answer to [`Action::Probe`].
    InUse {
        vip: usize,
        mac: Mac,
    },
    /// The program ends.
    Stop,
    /// The deadline has come, or may have.
    Timeout,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct VipLease {
    node: Node,
    seats: Vec<Seat>,
    /// None: no seat has a rule.
    places: Option<Places>,
    beat_at: Time,
    beaten: Time,
    /// Where the next turn of the seats begins: orders of one step are limited.
    first: usize,
    unfinished: bool,
}

impl VipLease {
    #[must_use]
    pub fn new(config: &Config, now: Time) -> Self {
        let nodes = usize::from(config.nodes);
        let seats = config.seats.iter().take(MAX_SEATS);
        let node = Node::new(config, now);
        let places = Places::new(config, now);
        let has_rule = |at| places.as_ref().is_some_and(|places| places.has_rule(at));
        let made = |(at, seat)| Seat::new(seat, nodes, &node, has_rule(at));
        Self {
            seats: seats.enumerate().map(made).collect(),
            places,
            node,
            beat_at: now,
            beaten: Time::ZERO,
            first: 0,
            unfinished: false,
        }
    }

    /// The only way in. What means nothing in the present state is ignored, never a panic: beats come from
    /// the network. `out` has to be empty.
    pub fn step(&mut self, now: Time, input: Input<'_>, out: &mut Buffer<Action>) {
        self.notice_stall(now);
        self.node.wakes(now);
        let mut hurry = false;
        match input {
            Input::Beat { network, from, life, body } => {
                hurry = self.hear(network, from, life, body);
            }
            Input::Fact { vip, fact } => self.fact(vip, fact),
            Input::Balancer(told) => self.seats.iter_mut().for_each(|s| s.facts().balancer(told)),
            Input::Late(usual) => self.node.late(usual),
            Input::Reference { network, answers } => hurry = self.node.refers(network, answers),
            Input::Link { network, up } => self.node.links(network, up),
            Input::Agent { node, heard } => self.node.hears_agent(node, heard),
            Input::Standby(on) => self.seats.iter_mut().for_each(|s| s.facts().standby(on)),
            Input::Proven { node, dead } if node == self.node.me() => {
                self.seats.iter_mut().for_each(|seat| seat.facts().proven(dead));
            }
            Input::Proven { node, dead } => self.node.proven(node, dead),
            Input::MoveTo { vip, node } => {
                hurry =
                    self.seats.get_mut(vip).is_some_and(|s| s.move_to(vip, node, &self.node, out));
            }
            Input::Anywhere { vip } => {
                hurry = self.seats.get_mut(vip).is_some_and(Seat::goes_anywhere);
            }
            Input::Coordinates(on) => hurry = self.node.coordinates(on),
            Input::Refused { vip } => {
                self.seats.get_mut(vip).into_iter().for_each(|seat| seat.refused(now));
            }
            Input::AddressLost { vip } => {
                self.seats.get_mut(vip).into_iter().for_each(|s| s.address_lost(vip, now, out));
            }
            Input::Foreign { vip, span } => {
                self.seats.get_mut(vip).into_iter().for_each(|seat| seat.foreign(now + span));
            }
            Input::Voters(voters) => hurry = self.adopt(voters),
            Input::InUse { vip, mac } => {
                self.seats.get_mut(vip).into_iter().for_each(|seat| seat.in_use(now, mac));
            }
            Input::Stop => self.node.leaves(),
            Input::Timeout => {}
        }
        hurry |= self.node.paces();
        hurry |= self.node.listens();
        hurry |= self.turn(out);
        self.node.holds_alone(self.seats.iter().any(Seat::is_alone));
        self.keep_time(now, hurry, out);
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        let now = self.node.now();
        if self.unfinished {
            return now;
        }
        // What is past waits for something else than time.
        let next = self.seats.iter().map(|seat| seat.deadline(&self.node)).filter(|at| *at > now);
        let next = next.min().map_or(self.beat_at, |next| next.min(self.beat_at));
        next.min(self.node.misses_at()).min(self.moves_at())
    }

    /// Until when the kernel may let this address through, on the clock of the steps; zero: not at all.
    #[must_use]
    pub fn until(&self, vip: usize) -> Time {
        self.seats.get(vip).map_or(Time::ZERO, Seat::until)
    }

    /// Writes the body of the beat that the last step ordered, for one other node; returns its length.
    pub fn beat(&self, to: u16, out: &mut [u8; MAX_BODY]) -> usize {
        if !self.node.knows(to) {
            return 0;
        }
        let entries = self.seats.iter().map(|seat| seat.entry(&self.node, to));
        beat::write(&self.node.head(to), entries, out)
    }

    /// None: there is no such address.
    #[must_use]
    pub fn view(&self, vip: usize) -> Option<View> {
        self.seats.get(vip).map(|seat| seat.view(&self.node))
    }

    /// A fact that is known to keep this node from holding.
    #[must_use]
    pub fn objection(&self, vip: usize) -> Option<FactCause> {
        self.seats.get(vip).and_then(|seat| seat.objection(&self.node))
    }

    /// Whom this node would name now, if it held.
    #[must_use]
    pub fn heir(&self, vip: usize) -> Option<u16> {
        self.seats.get(vip).and_then(|seat| seat.heir_among(&self.node))
    }

    /// Whether an answer of somebody who has the address matters.
    #[must_use]
    pub fn searches(&self, vip: usize) -> bool {
        self.seats.get(vip).is_some_and(|seat| seat.searches(&self.node))
    }

    /// Who has the address, while that keeps this node from standing for it.
    #[must_use]
    pub fn in_use_by(&self, vip: usize) -> Option<Mac> {
        self.seats.get(vip).and_then(Seat::in_use_by)
    }

    /// How often it beats, and why not more often.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        self.node.pace()
    }

    /// Whether this node acknowledged and heard that one within the last vip lease.
    #[must_use]
    pub fn answers(&self, other: u16) -> bool {
        self.node.answers(other)
    }

    /// When that node was heard last; none: never, or it said that its process ends.
    #[must_use]
    pub fn heard(&self, other: u16) -> Option<Time> {
        let known = self.node.knows(other).then(|| self.node.peer(other));
        known.filter(|peer| peer.word.life != 0 && !peer.leaving).map(|peer| peer.heard)
    }

    /// Whether it holds nothing: after [`Input::Stop`] it may end now.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.seats.iter().any(Seat::claims)
    }

    fn hear(&mut self, network: u8, from: u16, life: u64, body: &[u8]) -> bool {
        let Some(beat) = beat::read(body) else { return false };
        let Some(news) = self.node.hear(network, from, life, &beat.head) else { return false };
        if news.follows {
            self.seats.iter_mut().for_each(|seat| seat.is_followed(from));
        }
        if news.reborn {
            self.seats.iter_mut().for_each(|seat| seat.forget(from));
        }
        let mut hurry = false;
        for (place, seat) in self.seats.iter_mut().enumerate() {
            // Most often all nodes have them in one order.
            let same = |entry: &beat::Entry| entry.group == seat.group();
            let entry =
                beat.entries().nth(place).filter(same).or_else(|| beat.entries().find(same));
            match entry {
                Some(entry) => hurry |= seat.hear(&self.node, from, &entry),
                None => seat.hear_no_word(&self.node, from),
            }
        }
        hurry
    }

    fn fact(&mut self, vip: usize, fact: Fact) {
        let Some(seat) = self.seats.get_mut(vip) else { return };
        match fact {
            Fact::Script { index, passed } => seat.facts().script(index, passed),
            Fact::Measure { index, weight } => seat.facts().measure(index, weight),
            Fact::Carrier { interface, up } => seat.facts().carrier(interface, up),
            Fact::NoDevice { interface } => seat.facts().no_device(interface),
            Fact::Network { interface } => drop(seat.facts().network(interface)),
        }
    }

    /// All seats have their turn, in as many steps as their orders need. A seat that waits holds no longer
    /// than its `until` says.
    fn turn(&mut self, out: &mut Buffer<Action>) -> bool {
        let mut hurry = false;
        self.look_at_places();
        self.unfinished = false;
        for _ in 0..self.seats.len() {
            if out.len() + seat::ORDERS >= crate::CAPACITY {
                self.unfinished = true;
                break;
            }
            let vip = self.first % self.seats.len();
            self.first = vip + 1;
            hurry |= self.place(vip, out);
            hurry |= self.seats[vip].turn(vip, &self.node, out);
            self.placed(vip);
        }
        hurry
    }

    /// A beat is due at each interval, and at once after a change, but not more than eight times as often.
    fn keep_time(&mut self, now: Time, hurry: bool, out: &mut Buffer<Action>) {
        if hurry {
            self.beat_at = self.beat_at.min((self.beaten + self.node.beat() / 8).max(now));
        }
        if now >= self.beat_at {
            self.node.sends();
            self.beaten = now;
            self.beat_at = now + self.node.interval();
            let gives_up =
                |action: &Action| matches!(action, Action::Close { .. } | Action::Release { .. });
            if out.iter().any(gives_up) {
                out.push(Action::Beat);
            } else {
                out.push_first(Action::Beat);
            }
        }
    }

    /// Who did not run for a whole beat has others' beats unread before it: what it thinks has ended may not
    /// have, so it stands for nothing for one vip lease.
    fn notice_stall(&mut self, now: Time) {
        if now.since(self.deadline()) > self.node.beat() {
            let until = now + self.node.span();
            self.seats.iter_mut().for_each(|seat| seat.stalled(until));
            self.places.iter_mut().for_each(|places| places.disturb(now));
        }
    }
}
