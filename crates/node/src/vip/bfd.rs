//! Sessions of BFD, and whom they concern: sockets and times of `engine::bfd`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use base::Time;
use config::vip::{BfdSession, Vip};
use engine::Buffer;
use engine::bfd::packet::{Control, LENGTH};
use engine::bfd::{Action, Config, Input as Told, PORT, PORT_MULTIHOP, Session};
use engine::vip::Input;
use sys::bfd::{Ear, Mouth};
use sys::poll::{Interest, Poller};

use super::Driver;

/// Tokens from here on: one for each version of IP and each port.
pub(super) const TOKEN: u64 = 4;
const EARS: [(bool, u16); 4] =
    [(false, PORT), (true, PORT), (false, PORT_MULTIHOP), (true, PORT_MULTIHOP)];
/// Longer than any packet without authentication, which is not obeyed anyway.
const LONGEST: usize = 64;
/// Of one socket in one turn: anybody may send to it.
const TURN: usize = 64;
/// Who holds already when this process begins is not told of a session that is down before it had so long to come up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a socket that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// All of a process.
#[derive(Default)]
pub(super) struct Sessions {
    ears: Vec<(u64, Ear)>,
    all: Vec<One>,
    /// What came to be obeyed, and was not, or is of nobody.
    refused: u64,
}

struct One {
    wanted: BfdSession,
    machine: Session,
    mouth: Option<Mouth>,
    opens_at: Time,
    salt: u16,
    /// Whom it concerns: instances, and which of their scripts it stands for.
    trackers: Vec<Tracker>,
}

struct Tracker {
    instance: usize,
    index: usize,
    /// It is good while the session is not up.
    reversed: bool,
    /// As the instance was told last; none: nothing yet.
    told: Option<bool>,
    /// Before that it is not told that a session is down.
    from: Time,
}

impl Sessions {
    pub(super) fn new(vips: &[Vip], adopted: &[u16], life: u64, now: Time) -> Self {
        let mut all: Vec<One> = Vec::new();
        for (instance, vip) in vips.iter().enumerate() {
            let before = vip.track_scripts.len()
                + vip.weighed_interfaces.len()
                + vip.track_processes.len()
                + vip.track_files.len();
            let is_adopted = adopted.iter().any(|number| usize::from(*number) == instance);
            let from = if is_adopted { now + PATIENCE } else { now };
            for (index, tracked) in (before..).zip(&vip.track_bfds) {
                let reversed = tracked.reversed;
                let known = all.iter().position(|one| one.wanted == tracked.session);
                let at = known.unwrap_or_else(|| {
                    all.push(One::new(&tracked.session, all.len(), life, now));
                    all.len() - 1
                });
                all[at].trackers.push(Tracker { instance, index, reversed, told: None, from });
            }
        }
        Self { ears: vec![], all, refused: 0 }
    }

    /// Opens what is not open yet.
    fn open(&mut self, poller: &Poller, now: Time) {
        for one in self.all.iter_mut().filter(|one| one.opens_at <= now) {
            let port = one.port();
            one.opens_at = now + RETRY;
            let is_v6 = one.wanted.neighbor.is_ipv6();
            let token = (TOKEN..).zip(EARS).find(|(_, ear)| *ear == (is_v6, port));
            let Some((token, _)) = token else { continue };
            if !self.ears.iter().any(|(known, _)| *known == token) {
                let ear = Ear::open(is_v6, port).and_then(|ear| {
                    poller.add(ear.as_fd(), token, Interest::READ).map(|()| (token, ear))
                });
                let Ok(ear) = ear else { continue };
                self.ears.push(ear);
            }
            if one.mouth.is_none() {
                one.mouth = one.mouth().ok();
            }
            if one.mouth.is_some() {
                one.opens_at = Time::NEVER;
            }
        }
    }

    pub(super) fn deadline(&self) -> Time {
        let waits = |one: &One| {
            let waiting = one.trackers.iter().filter(|it| it.told.is_none()).map(|it| it.from);
            waiting.min().unwrap_or(Time::NEVER).min(one.machine.deadline()).min(one.opens_at)
        };
        self.all.iter().map(waits).min().unwrap_or(Time::NEVER)
    }

    fn ear(&self, token: u64) -> Option<&Ear> {
        self.ears.iter().find(|(known, _)| *known == token).map(|(_, ear)| ear)
    }

    /// The next packet of a socket, and the session that it is of.
    fn receive(&mut self, token: u64) -> io::Result<Option<(usize, Control)>> {
        let mut buffer = [0; LONGEST];
        let ear = self.ear(token).ok_or(io::ErrorKind::WouldBlock)?;
        let received = match ear.receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            received => received?,
        };
        let (is_v6, port) = EARS[usize::try_from(token - TOKEN).unwrap_or(0) % EARS.len()];
        let is_from = |one: &One| {
            let of = (one.wanted.neighbor.is_ipv6(), one.port());
            one.wanted.neighbor == received.source && of == (is_v6, port)
        };
        let packet = Control::decode(&buffer[..received.length.min(LONGEST)]).ok();
        // By our number, once it knows that; else by who it is.
        let at = packet.and_then(|packet| {
            let is_of = |one: &One| {
                is_from(one) && (packet.yours == 0 || one.machine.number() == packet.yours)
            };
            let at = self.all.iter().position(is_of)?;
            self.all[at].wanted.admits(received.ttl).then_some((at, packet))
        });
        self.refused += u64::from(at.is_none());
        Ok(at)
    }
}

impl One {
    fn new(wanted: &BfdSession, number: usize, life: u64, now: Time) -> Self {
        let salt = u16::try_from(number).unwrap_or(0);
        // Of another process of this node another one: what that had said is not of this session.
        let mine = life.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ sys::clock::wall_ms();
        let mine = u32::try_from(mine >> 16 & 0x7fff_ff00).unwrap_or(0) | (u32::from(salt) + 1);
        let config = Config {
            number: mine,
            min_rx: wanted.min_rx,
            min_tx: wanted.min_tx,
            idle_tx: wanted.idle_tx,
            multiplier: wanted.multiplier,
            passive: wanted.passive,
        };
        Self {
            wanted: wanted.clone(),
            machine: Session::new(config, u64::from(mine), now),
            mouth: None,
            opens_at: now,
            salt: salt.wrapping_mul(7).wrapping_add(u16::try_from(mine >> 16).unwrap_or(0)),
            trackers: vec![],
        }
    }

    const fn port(&self) -> u16 {
        if self.wanted.multihop { PORT_MULTIHOP } else { PORT }
    }

    fn mouth(&self) -> io::Result<Mouth> {
        let to = SocketAddr::new(self.wanted.neighbor, self.port());
        Mouth::open(self.wanted.source, to, self.wanted.ttl, self.salt)
    }

    /// A packet that cannot leave is one that the other side misses.
    fn step(&mut self, now: Time, told: Told) {
        let mut out = Buffer::new();
        self.machine.step(now, told, &mut out);
        for action in out.iter() {
            if let (Action::Send(packet), Some(mouth)) = (action, &self.mouth) {
                let _unheard = mouth.send(&packet.encode()[..LENGTH]);
            }
        }
    }
}

impl Driver<'_> {
    /// What came for sessions.
    pub(super) fn hear_bfd(&mut self, token: u64) {
        for _ in 0..TURN {
            let Ok(heard) = self.around.sessions.receive(token) else { return };
            if let Some((at, packet)) = heard {
                self.around.sessions.all[at].step(sys::clock::now(), Told::Packet(packet));
            }
        }
    }

    /// Whose time has come, and what is news to instances.
    pub(super) fn pass_time_of_bfd(&mut self, now: Time) {
        self.around.sessions.open(&self.poller, now);
        for one in &mut self.around.sessions.all {
            if now >= one.machine.deadline() {
                one.step(now, Told::Timeout);
            }
        }
        while let Some((instance, index, passed)) = self.around.sessions.news(now) {
            self.step(instance, Input::Script { index, passed });
        }
    }

    /// The other sides need not wait for silence.
    pub(super) fn end_bfd(&mut self) {
        let now = sys::clock::now();
        self.around.sessions.all.iter_mut().for_each(|one| one.step(now, Told::Stop));
    }
}

impl Sessions {
    /// The next instance that does not know how a session is; which of its scripts that is, and whether it is good.
    fn news(&mut self, now: Time) -> Option<(usize, usize, bool)> {
        for one in &mut self.all {
            let up = one.machine.is_up();
            let is_news = |it: &&mut Tracker| {
                it.told != Some(up) && (up || it.told.is_some() || now >= it.from)
            };
            if let Some(tracker) = one.trackers.iter_mut().find(is_news) {
                tracker.told = Some(up);
                return Some((tracker.instance, tracker.index, up != tracker.reversed));
            }
        }
        None
    }
}
