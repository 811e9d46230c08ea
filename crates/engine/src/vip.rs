//! Which node holds a virtual IP: VRRP on the wire, versions 2 and 3, a named successor between our nodes.
//!
//! ```text
//!                silence for master_down, goodbye + skew, or named by the holder
//!        Backup ------------------------------------------------------------> Master
//!        ^  ^                                                                  |  |
//!        |  +------------ stronger advert, own stall, planned move ------------+  |
//!        |  facts good again                                                      |
//!        +------------------- Fault <---------------------------------------------+
//!                  carrier, balancer or script says no; the kernel refuses the address
//! ```
//!
//! Rules beyond RFC 3768 and 9568, each with its reason:
//! - A holder that yields releases first and tells afterwards, so two never hold in order.
//! - It names its successor in a sealed message; the named node claims at once, the others give it
//!   [`GRACE`]. Foreign routers see nothing but a goodbye and an election with one candidate.
//! - On every conflict both sides act: the loser releases and then shows itself once more as the
//!   weaker one, the winner answers with an advert and a burst of gratuitous ARP. Without this a
//!   heal leaves the clients' ARP entries at the loser for half a minute (vrrp.md 0.3).
//! - A holder that finds that it did not run for as long as others wait drops the address first.

use std::net::IpAddr;
use std::time::Duration;

use base::Time;

use crate::Buffer;

mod action;
mod admit;
pub mod bounce;
mod burst;
pub mod crew;
mod delay;
pub mod estate;
pub mod guard;
mod input;
mod kept;
pub mod lateness;
pub mod lease;
pub mod message;
pub mod notice;
mod obeyed;
mod own;
pub mod packet;
mod peers;
mod planned;
mod publish;
pub mod refusals;
mod rival;
mod search;
pub mod silence;
mod speak;
mod stall;
mod stranger;
#[cfg(test)]
mod tests;
mod timers;
pub mod together;
mod track;

pub use action::{Action, Cause, Counters, Role, Undone};
use burst::Burst;
use delay::Delay;
pub use input::{Balancer, Config, Input, Peer};
pub(crate) use kept::OWN_PASSWORD;
pub use message::{Group, HandOver, Hello};
use obeyed::Obeyed;
pub use packet::Advert;
use peers::{Arrival, Named, Peers};
use publish::{Offer, View};
pub use search::Mac;
use search::Search;
use stranger::Stranger;
use together::Wanted;
pub use together::{Stance, Together};
use track::Facts;

/// Four per [`HELLO_LIFE`], so three may be lost before a peer cannot be named.
pub const HELLO_INTERVAL: Duration = Duration::from_millis(250);
/// A peer that was silent for longer is not named: it would let the address wait for nobody.
pub const HELLO_LIFE: Duration = Duration::from_secs(1);
/// What the others leave to the named successor: it needs about 1 ms, and a stall of a loaded
/// machine rarely lasts longer than this.
pub const GRACE: Duration = Duration::from_millis(200);
/// Adverts of the node that handed over, sent before it released, may arrive after the message
/// that names us (another socket, another network). For this long they are not taken for a rival.
pub const ECHO: Duration = Duration::from_millis(200);
/// A backup that runs this much later than it wanted was not running: what it reads now is old.
pub const LATE: Duration = Duration::from_millis(500);
/// After the kernel refused the address: often a device that is being made anew.
pub const RECLAIM_PAUSE: Duration = Duration::from_secs(5);
/// A holder that has held for less does not hand over to a stronger peer, so that a peer which
/// never claims cannot make the address flap.
pub const MOVE_PAUSE: Duration = Duration::from_secs(1);
/// The address owner (RFC 3768 §5.3.4): master as soon as it may be.
const OWNER: u8 = 255;

/// The higher rank wins the address. Ordered by priority, then by address (RFC 3768 §6.4.3).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Rank {
    priority: u8,
    address: IpAddr,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Backup {
        take_over_at: Time,
        /// A goodbye does not shorten the wait to less than this: somebody was named.
        not_before: Time,
        /// What a take-over at `take_over_at` will be put down to.
        reason: Cause,
    },
    Master {
        advertise_at: Time,
        since: Time,
        burst: Burst,
        /// Who named us.
        heir_of: Option<u16>,
    },
    Fault,
    Stopped,
}

/// Whether a stronger peer takes what this node moves to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Planned {
    Possible,
    /// It was named, and has not been heard as holder.
    Asked,
    /// It did not claim: it obeys a holder that this node does not hear. Asked again it would not
    /// either, and clients would lose the address each time.
    Refused,
}

/// One VRRP instance.
#[derive(Clone, Debug)]
pub struct Vip {
    config: Config,
    group: Group,
    state: State,
    facts: Facts,
    peers: Peers,
    obeyed: Obeyed,
    /// Between two adverts of whom this node obeys (version 3 learns it), or of this node.
    interval: Duration,
    planned: Planned,
    delay: Delay,
    stranger: Stranger,
    search: Search,
    /// In a group that is held together: it would hold if it were alone.
    wanted: Option<Wanted>,
    /// The node that was named when it was let go; none as soon as somebody is heard to hold.
    handed_to: Option<u16>,
    /// The stronger node that was last heard to be ready to take it from this one.
    stronger: Option<u16>,
    /// The highest term heard of: the present holder's.
    term: u64,
    cause: Option<Cause>,
    successor: Option<Named>,
    /// When this node last noticed that it had not been running.
    awake_at: Time,
    hello_at: Time,
    offered: Option<Offer>,
    reported: Option<View>,
    counters: Counters,
}

impl Vip {
    #[must_use]
    pub fn new(config: Config, now: Time) -> Self {
        let mut facts = Facts::new(&config.vip);
        if config.vip.is_v6() && config.source.is_unspecified() {
            // Adverts of nowhere would be heard by nobody, whatever the carrier.
            facts.no_source();
        }
        let (state, cause) = if config.adopted {
            let burst = Burst::silent(now);
            let held = State::Master { advertise_at: now, since: now, burst, heir_of: None };
            (held, Some(Cause::Adopted))
        } else {
            (State::Fault, facts.fault(now))
        };
        let mut vip = Self {
            group: Group::of(&config.vip),
            peers: Peers::new(&config.peers),
            obeyed: Obeyed::default(),
            interval: config.vip.advert_interval,
            planned: Planned::Possible,
            delay: Delay::default(),
            stranger: Stranger::default(),
            search: Search::OVER,
            wanted: None,
            handed_to: None,
            stronger: None,
            config,
            state,
            facts,
            term: 0,
            cause,
            successor: None,
            awake_at: Time::ZERO,
            hello_at: now,
            offered: None,
            reported: None,
            counters: Counters::default(),
        };
        if matches!(vip.state, State::Fault) && vip.cause.is_none() {
            vip.stand_up(now);
        }
        vip
    }

    /// The kernel has the addresses already ([`Config::adopted`]), as is known now; before anything else is told.
    pub fn adopt(&mut self, now: Time) {
        *self = Self::new(Config { adopted: true, ..self.config.clone() }, now);
    }

    /// The only way in. Inputs that mean nothing in the present state are ignored, never a panic:
    /// packets come from the network.
    pub fn step(&mut self, now: Time, input: Input<'_>, out: &mut Buffer<Action>) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        self.notice_stall(now, out);
        match input {
            Input::Advert { source, advert } => {
                if self.admits(now, source, &advert) {
                    let rank = Rank { priority: advert.priority, address: source };
                    self.hear(now, rank, Some(advert.interval), out);
                }
            }
            Input::Hello { network, hello } => self.hello(now, network, &hello, out),
            Input::HandOver(message) => self.handed_over(now, message, out),
            Input::Script { index, passed } => self.facts.script(index, passed),
            Input::Measure { index, weight } => self.facts.measure(index, weight),
            Input::Carrier { interface, up } => self.facts.carrier(interface, up),
            Input::NoDevice { interface } => self.facts.no_device(interface),
            Input::Network { source, network } => {
                if self.facts.network(0) {
                    (self.config.source, self.config.network) = (source, network);
                }
            }
            Input::Balancer(balancer) => self.facts.balancer(balancer),
            Input::PeerLost { node } => self.peers.forget(node),
            Input::Standby(on) => self.facts.standby(on),
            Input::Proven { node, dead } if node == self.config.node => self.facts.proven(dead),
            Input::Proven { node, dead } => self.peers.proven(node, dead),
            Input::MoveTo { node } => self.move_to(now, node, out),
            Input::Refused => {
                if self.holding() {
                    self.facts.refused_until(now + RECLAIM_PAUSE);
                }
            }
            Input::AddressLost => {
                if self.holding() {
                    out.push(Action::Claim);
                    self.announce(now, out);
                }
            }
            Input::InUse { mac } => self.note_in_use(now, mac),
            Input::Together(told) => self.together(now, told, out),
            Input::Stop => self.stop(now, out),
            Input::Timeout => {}
        }
        self.reconsider(now, out);
        self.keep_time(now, out);
        self.publish(now, out);
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        let own = match self.state {
            State::Backup { take_over_at, .. } => take_over_at.min(self.search.asks_at()),
            State::Master { advertise_at, burst, .. } => advertise_at.min(burst.next()),
            State::Fault => self.facts.changes_at().min(self.search.asks_at()),
            State::Stopped => return Time::NEVER,
        };
        own.min(self.hello_at)
    }

    #[must_use]
    pub fn role(&self) -> Role {
        match self.state {
            State::Backup { .. } => Role::Backup,
            State::Master { .. } => Role::Master,
            State::Fault | State::Stopped => Role::Fault,
        }
    }

    /// Whether the addresses are on this node because of us.
    #[must_use]
    pub fn holding(&self) -> bool {
        self.role() == Role::Master
    }

    /// Whom a hand-over would name; as of the last step.
    #[must_use]
    pub fn successor(&self) -> Option<u16> {
        self.successor.map(|named| named.node)
    }

    /// Counts holders: grows with every hand-over and election that this node knows of.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.term
    }

    /// What keeps the instance out of the race, or moved it last.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Why this node may not hold, as far as it was told: what is not known yet is no reason.
    #[must_use]
    pub fn objection(&self, now: Time) -> Option<Cause> {
        self.facts.objection(now)
    }

    /// Which of what is tracked takes the address, one bit for each position of [`Input::Script`].
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.facts.failed()
    }

    /// Priority with the weights of scripts; 1-254 unless this node owns the address.
    #[must_use]
    pub fn priority(&self) -> u8 {
        match self.config.vip.priority {
            OWNER => OWNER,
            base => self.facts.weigh(base),
        }
    }

    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn rank(&self) -> Rank {
        Rank { priority: self.priority(), address: self.config.source }
    }

    fn stop(&mut self, now: Time, out: &mut Buffer<Action>) {
        if self.holding() {
            self.yield_address(now, out);
        }
        (self.state, self.wanted) = (State::Stopped, None);
        self.cause = Some(Cause::Stopping);
    }

    /// Facts changed, or time made one better.
    fn reconsider(&mut self, now: Time, out: &mut Buffer<Action>) {
        self.facts.age(now);
        match self.state {
            State::Stopped => {}
            State::Master { .. } => {
                // What is not known yet does not take the address from a process that adopted it.
                if let Some(cause) = self.facts.objection(now) {
                    self.yield_address(now, out);
                    self.state = State::Fault;
                    self.cause = Some(cause);
                }
            }
            State::Backup { .. } | State::Fault => match self.facts.fault(now) {
                Some(cause) => {
                    (self.state, self.wanted) = (State::Fault, None);
                    self.cause = Some(cause);
                }
                None if matches!(self.state, State::Fault) => {
                    self.stand_up(now);
                }
                None => {}
            },
        }
    }

    fn keep_time(&mut self, now: Time, out: &mut Buffer<Action>) {
        match &mut self.state {
            State::Backup { take_over_at, reason, .. } => {
                let reason = *reason;
                if now < *take_over_at {
                    self.ask(now, out);
                } else if !self.finds_it_taken(now, reason) {
                    self.take(now, reason, out);
                }
            }
            State::Master { advertise_at, burst, .. } => {
                if burst.take(now) {
                    out.push(Action::Announce);
                }
                if now >= *advertise_at {
                    self.advertise(now, out);
                }
            }
            State::Fault => self.ask(now, out),
            State::Stopped => {}
        }
    }

    /// Its wait is over.
    fn take(&mut self, now: Time, reason: Cause, out: &mut Buffer<Action>) {
        if self.is_bound() {
            self.want(now, reason, None);
        } else {
            self.term = self.term.saturating_add(1);
            self.hold(now, reason, None, out);
        }
    }

    fn obey(&mut self, now: Time, holder: IpAddr, interval: Option<Duration>) {
        self.learn(interval);
        self.obeyed.heard(now, holder);
        self.planned = Planned::Possible;
        self.follow(now);
    }

    /// Somebody holds.
    fn follow(&mut self, now: Time) {
        (self.wanted, self.handed_to, self.search) = (None, None, Search::OVER);
        self.wait_as_backup(now);
    }

    /// Nothing keeps this node from standing for the address any more, and it knows of no holder.
    fn stand_up(&mut self, now: Time) {
        (self.cause, self.delay, self.search) = (None, Delay::default(), Search::begun(now));
        self.interval = self.config.vip.advert_interval;
        self.wait_as_backup(now);
    }

    fn wait_as_backup(&mut self, now: Time) {
        let owner = self.priority() == OWNER;
        let from = now.max(self.config.starts_at);
        let take_over_at = if owner { from } else { from + self.master_down() };
        self.state = State::Backup { take_over_at, not_before: now, reason: Cause::Silence };
    }

    fn wait_for_named(&mut self, now: Time) {
        let at = now + self.grace();
        (self.wanted, self.search) = (None, Search::OVER);
        self.state = State::Backup { take_over_at: at, not_before: at, reason: Cause::Goodbye };
    }

    fn hold(&mut self, now: Time, cause: Cause, heir_of: Option<u16>, out: &mut Buffer<Action>) {
        self.cause = Some(cause);
        (self.wanted, self.handed_to, self.stronger) = (None, None, None);
        self.search = Search::OVER;
        if self.planned == Planned::Asked {
            self.planned = Planned::Refused;
        }
        self.delay = Delay::default();
        self.interval = self.config.vip.advert_interval;
        let (advertise_at, burst) = (now, Burst::silent(now));
        self.state = State::Master { advertise_at, since: now, burst, heir_of };
        out.push(Action::Claim);
        self.announce(now, out);
        self.advertise(now, out);
    }

    /// Release first, so that two never hold; then the goodbye, and the name last: the named node
    /// claims and advertises within a millisecond, and a foreign router that heard the goodbye
    /// after that advert would claim too. The caller chooses the next state.
    fn yield_address(&mut self, now: Time, out: &mut Buffer<Action>) {
        self.yield_to(self.peers.successor(now), out);
    }

    fn yield_to(&mut self, successor: Option<Named>, out: &mut Buffer<Action>) {
        self.handed_to = successor.map(|named| named.node);
        out.push(Action::Release);
        out.push(Action::Advertise { priority: 0 });
        if let Some(Named { node: to, life: to_life }) = successor {
            self.term = self.term.saturating_add(1);
            let (group, from, term) = (self.group, self.config.node, self.term);
            out.push(Action::HandOver(HandOver { group, from, to, term, to_life }));
        }
    }
}
