//! Sessions of BFD, and whom they concern: sockets and times of `engine::bfd`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use api::Report;
use base::Time;
use config::vip::{BfdSession, Vip};
use engine::Buffer;
use engine::bfd::packet::{Control, LENGTH};
use engine::bfd::{Action, Config, Input as Told, PORT, PORT_MULTIHOP, Session};
use engine::vip::Input;
use sys::bfd::{Ear, Mouth};
use sys::poll::{Interest, Poller};

use super::wire::Turn;
use super::{Driver, tell};

#[cfg(test)]
mod tests;

/// Tokens from here on: one for each version of IP and each port.
pub(super) const TOKEN: u64 = 4;
const EARS: [(bool, u16); 4] =
    [(false, PORT), (true, PORT), (false, PORT_MULTIHOP), (true, PORT_MULTIHOP)];
/// Longer than any packet without authentication, which is not obeyed anyway.
const LONGEST: usize = 64;
/// Turn of a socket: of 64 packets 32,000 a second are looked at, however many its neighbours send. The kernel throws others' away.
const TURN: Duration = Duration::from_millis(2);
/// Who holds already when this process begins is not told of a session that is down before it had so long to come up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a socket that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// All of a process.
#[derive(Default)]
pub(super) struct Sessions {
    ears: Vec<Listening>,
    all: Vec<One>,
    /// What came to be obeyed, and was not, or is of nobody.
    refused: u64,
}

struct Listening {
    token: u64,
    ear: Ear,
    turn: Turn,
    /// Nobody reads it until then.
    rests: Option<Time>,
}

struct One {
    wanted: BfdSession,
    machine: Session,
    mouth: Option<Mouth>,
    opens_at: Time,
    /// It was told that a socket could not be had.
    refused: bool,
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

    /// That instance holds already, from the process before.
    pub(super) fn adopt(&mut self, instance: usize, now: Time) {
        let trackers = self.all.iter_mut().flat_map(|one| &mut one.trackers);
        trackers.filter(|it| it.instance == instance).for_each(|it| it.from = now + PATIENCE);
    }

    /// Opens what is not open yet. Ways of which it is news that they have no socket, with the reason, or that they have one.
    fn open(&mut self, poller: &Poller, now: Time) -> Vec<(String, Option<io::Error>)> {
        let mut news = Vec::new();
        for at in 0..self.all.len() {
            if self.all[at].opens_at > now {
                continue;
            }
            let opened = self.open_one(at, poller);
            let one = &mut self.all[at];
            one.opens_at = if opened.is_ok() { Time::NEVER } else { now + RETRY };
            if std::mem::replace(&mut one.refused, opened.is_err()) != opened.is_err() {
                news.push((one.way(), opened.err()));
            }
        }
        news
    }

    fn open_one(&mut self, at: usize, poller: &Poller) -> io::Result<()> {
        let kind = self.all[at].kind();
        let token = (TOKEN..).zip(EARS).find(|(_, ear)| *ear == kind);
        if let Some((token, (is_v6, port))) = token
            && self.listening(token).is_none()
        {
            let ear = Ear::open(is_v6, port)?;
            let neighbors = self.all.iter().filter(|other| other.kind() == kind);
            crate::refused::hear_only(ear.as_fd(), neighbors.map(|other| other.wanted.neighbor));
            poller.add(ear.as_fd(), token, Interest::READ)?;
            self.ears.push(Listening { token, ear, turn: Turn::over(), rests: None });
        }
        let one = &mut self.all[at];
        if one.mouth.is_none() {
            one.mouth = Some(one.mouth()?);
        }
        Ok(())
    }

    pub(super) fn deadline(&self) -> Time {
        let waits = |one: &One| {
            let waiting = one.trackers.iter().filter(|it| it.told.is_none()).map(|it| it.from);
            waiting.min().unwrap_or(Time::NEVER).min(one.machine.deadline()).min(one.opens_at)
        };
        let rests = self.ears.iter().filter_map(|it| it.rests);
        self.all.iter().map(waits).chain(rests).min().unwrap_or(Time::NEVER)
    }

    fn listening(&mut self, token: u64) -> Option<&mut Listening> {
        self.ears.iter_mut().find(|it| it.token == token)
    }

    /// Whether the turn of that socket lets it give one more packet; else nobody reads it until the turn is over.
    fn may_read(&mut self, token: u64, poller: &Poller, now: Time) -> bool {
        let Some(it) = self.listening(token) else { return false };
        let may = it.turn.take(now, TURN);
        if !may && poller.remove(it.ear.as_fd()).is_ok() {
            it.rests = Some(it.turn.ends);
        }
        may
    }

    fn wake(&mut self, poller: &Poller, now: Time) {
        for it in self.ears.iter_mut().filter(|it| it.rests.is_some_and(|until| until <= now)) {
            let added = poller.add(it.ear.as_fd(), it.token, Interest::READ);
            it.rests = added.is_err().then_some(now + RETRY);
        }
    }

    /// The next packet of a socket, and the session that it is of.
    fn receive(&mut self, token: u64) -> io::Result<Option<(usize, Control)>> {
        let mut buffer = [0; LONGEST];
        let it = self.listening(token).ok_or(io::ErrorKind::WouldBlock)?;
        let received = match it.ear.receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            received => received?,
        };
        let (is_v6, port) = EARS[usize::try_from(token - TOKEN).unwrap_or(0) % EARS.len()];
        let is_from =
            |one: &One| one.wanted.neighbor == received.source && one.kind() == (is_v6, port);
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
            refused: false,
            salt: salt.wrapping_mul(7).wrapping_add(u16::try_from(mine >> 16).unwrap_or(0)),
            trackers: vec![],
        }
    }

    /// Whether over IPv6, and to which port.
    const fn kind(&self) -> (bool, u16) {
        (self.wanted.neighbor.is_ipv6(), self.port())
    }

    /// As it is told of.
    fn way(&self) -> String {
        let BfdSession { name, neighbor, .. } = &self.wanted;
        if name.is_empty() { format!("to {neighbor}") } else { format!("{name} to {neighbor}") }
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
        while self.around.sessions.may_read(token, &self.poller, sys::clock::now()) {
            let Ok(heard) = self.around.sessions.receive(token) else { return };
            if let Some((at, packet)) = heard {
                self.around.sessions.all[at].step(sys::clock::now(), Told::Packet(packet));
            }
        }
    }

    /// Whose time has come, and what is news to instances.
    pub(super) fn pass_time_of_bfd(&mut self, now: Time) {
        self.around.sessions.wake(&self.poller, now);
        for (way, refused) in self.around.sessions.open(&self.poller, now) {
            self.tell(&Report::Event(tell::bfd(&self.node, &way, refused.as_ref())));
        }
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
