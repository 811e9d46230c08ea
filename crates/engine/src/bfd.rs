//! Whether the way to one other system works: BFD, asynchronous mode (RFC 5880, 5881, 5883), without the sockets.
//!
//! ```text
//!            it says Down                    it says Init or Up
//!   Down ------------------> Init --------------------------------> Up
//!    ^ |  it says Init                                               |
//!    | +------------------------------------------------------------>|
//!    +------- nothing came for the detection time, it says Down -----+
//! ```
//! Each side says how often it can send and how often it can receive; the slower of both is the pace (6.8.2). Until a session is up
//! packets leave once a second at most (6.8.3).

use std::time::Duration;

use base::Time;

use self::packet::{Control, micros, span};
use crate::Buffer;

pub mod packet;
#[cfg(test)]
mod tests;

/// UDP port of sessions on one link (RFC 5881 4).
pub const PORT: u16 = 3784;
/// UDP port of sessions over routers (RFC 5883 5).
pub const PORT_MULTIHOP: u16 = 4784;
/// What packets on one link leave with, and have to come with (RFC 5881 5).
pub const TTL: u8 = 255;
/// Until a session is up a packet leaves no more often (RFC 5880 6.8.3).
pub const SLOWEST: Duration = Duration::from_secs(1);

/// One session, as this node wants it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// Its number here: not 0, and of no other session of this node.
    pub number: u32,
    pub min_rx: Duration,
    pub min_tx: Duration,
    /// Between two packets while the session is not up; at least [`SLOWEST`].
    pub idle_tx: Duration,
    /// Packets of this node that have to be missing until the other one gives the session up, 1-255.
    pub multiplier: u8,
    /// It does not speak first.
    pub passive: bool,
}

/// RFC 5880 4.1, `Sta`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    AdminDown,
    Down,
    Init,
    Up,
}

/// Why it left Up last (RFC 5880 4.1, `Diag`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Diagnostic {
    None,
    Expired,
    PeerDown,
    AdminDown,
}

/// What the outside world tells the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// From the other system, over no more hops than are allowed.
    Packet(Control),
    /// This side takes the session down; the other one is told.
    Stop,
    Timeout,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    Send(Control),
    /// It came up or went down.
    Report {
        up: bool,
    },
}

/// What the other system said last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Remote {
    /// Its number of the session; 0: it was not heard.
    number: u32,
    multiplier: u8,
    min_tx: u32,
    min_rx: u32,
    demand: bool,
}

impl Remote {
    /// RFC 5880 6.8.1: what is assumed of one that was not heard.
    const UNHEARD: Self = Self { number: 0, multiplier: 0, min_tx: 0, min_rx: 1, demand: false };
}

/// One session.
#[derive(Clone, Debug)]
pub struct Session {
    config: Config,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    send_at: Time,
    /// When it is given up for silence, or what is known of a silent one is forgotten.
    expires_at: Time,
    /// Other intervals were said, and the other one has not answered yet.
    polls: bool,
    dice: u64,
}

impl Session {
    /// `seed`: of the times between packets, which differ so that no two systems fall into step (6.8.7).
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Time) -> Self {
        let mut session = Self {
            config,
            state: State::Down,
            diagnostic: Diagnostic::None,
            remote: Remote::UNHEARD,
            send_at: Time::NEVER,
            expires_at: Time::NEVER,
            polls: false,
            dice: seed | 1,
        };
        if !config.passive {
            session.send_at = now;
        }
        session
    }

    /// The only way in. What means nothing in the present state is ignored.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Buffer<Action>) {
        match input {
            Input::Packet(packet) => self.hear(now, &packet, out),
            Input::Stop => self.stop(out),
            Input::Timeout => {}
        }
        if now >= self.expires_at {
            self.expire(out);
        }
        if now >= self.send_at {
            out.push(Action::Send(self.packet(self.polls, false)));
            self.send_at = self.next_send(now);
        }
    }

    /// When the machine next wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.send_at.min(self.expires_at)
    }

    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// Its number here.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.config.number
    }

    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How long nothing may come (RFC 5880 6.8.4).
    #[must_use]
    pub fn detection_time(&self) -> Duration {
        let pace = micros(self.config.min_rx).max(self.remote.min_tx);
        span(pace) * u32::from(self.remote.multiplier)
    }

    /// RFC 5880 6.8.6, from where the session is known.
    fn hear(&mut self, now: Time, packet: &Control, out: &mut Buffer<Action>) {
        if packet.yours != 0 && packet.yours != self.config.number {
            return;
        }
        let is_new = self.remote.number == 0;
        let slower = packet.min_rx != self.remote.min_rx;
        self.remote = Remote {
            number: packet.mine,
            multiplier: packet.multiplier,
            min_tx: packet.min_tx,
            min_rx: packet.min_rx,
            demand: packet.demand,
        };
        self.polls &= !packet.finish;
        if self.state == State::AdminDown {
            return;
        }
        self.expires_at = now + self.detection_time();
        let before = self.state;
        self.turn(packet.state);
        if self.state != before {
            self.moved(before, out);
        }
        if packet.poll {
            out.push(Action::Send(self.packet(false, true)));
        }
        // At another pace from now on; who was waited for is answered at once.
        if is_new || self.state != before {
            self.send_at = now;
        } else if slower {
            self.send_at = self.send_at.min(self.next_send(now));
        }
        if self.is_silent() {
            self.send_at = Time::NEVER;
        }
    }

    fn turn(&mut self, theirs: State) {
        (self.state, self.diagnostic) = match (self.state, theirs) {
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                (State::Down, Diagnostic::PeerDown)
            }
            (State::Down, State::Down) => (State::Init, self.diagnostic),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                (State::Up, Diagnostic::None)
            }
            (state, _) => (state, self.diagnostic),
        };
    }

    /// Intervals are others in Up, which the other one has to be told and to confirm (6.5).
    fn moved(&mut self, before: State, out: &mut Buffer<Action>) {
        let (was_up, is_up) = (before == State::Up, self.is_up());
        if was_up != is_up {
            self.polls = is_up;
            out.push(Action::Report { up: is_up });
        }
    }

    /// Nothing came for the detection time; in a state in which nothing was expected, it is forgotten (6.8.1).
    fn expire(&mut self, out: &mut Buffer<Action>) {
        let before = self.state;
        if matches!(before, State::Init | State::Up) {
            (self.state, self.diagnostic) = (State::Down, Diagnostic::Expired);
            self.moved(before, out);
        }
        (self.remote, self.expires_at) = (Remote::UNHEARD, Time::NEVER);
        self.polls = false;
        if self.config.passive {
            // The last word: that it is down.
            out.push(Action::Send(self.packet(false, false)));
            self.send_at = Time::NEVER;
        }
    }

    fn stop(&mut self, out: &mut Buffer<Action>) {
        let before = self.state;
        (self.state, self.diagnostic) = (State::AdminDown, Diagnostic::AdminDown);
        self.moved(before, out);
        if self.remote.number != 0 || !self.config.passive {
            out.push(Action::Send(self.packet(false, false)));
        }
        (self.send_at, self.expires_at) = (Time::NEVER, Time::NEVER);
    }

    /// It was told to send nothing: it waits to be spoken to, the other one wants nothing, or asks when it wants something (6.8.7).
    fn is_silent(&self) -> bool {
        let unheard = self.remote.number == 0;
        (self.config.passive && unheard)
            || self.remote.min_rx == 0
            || (self.remote.demand && self.is_up() && !self.polls)
    }

    /// A packet each so often, less a random part of up to a quarter; with a multiplier of one at least a tenth (6.8.7).
    fn next_send(&mut self, now: Time) -> Time {
        if self.is_silent() || self.state == State::AdminDown {
            return Time::NEVER;
        }
        // xorshift: any sequence will do.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let least: u32 = if self.config.multiplier == 1 { 10 } else { 0 };
        let less = least + u32::try_from(self.dice % u64::from(26 - least)).unwrap_or(0);
        let pace = span(self.desired().max(self.remote.min_rx));
        now + pace * (100 - less) / 100
    }

    /// What this side says that it sends at most: `bfd.DesiredMinTxInterval`.
    fn desired(&self) -> u32 {
        let idle = self.config.idle_tx.max(SLOWEST).max(self.config.min_tx);
        micros(if self.is_up() { self.config.min_tx } else { idle })
    }

    fn packet(&self, poll: bool, finish: bool) -> Control {
        Control {
            state: self.state,
            diagnostic: self.diagnostic.number(),
            poll,
            finish,
            demand: false,
            multiplier: self.config.multiplier,
            mine: self.config.number,
            yours: self.remote.number,
            min_tx: self.desired(),
            min_rx: micros(self.config.min_rx),
        }
    }
}
