//! What hears the adverts of one interface: one socket for those that a virtual IP of this node may have to
//! obey, one for all the rest.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use base::Time;
use config::vip::{Mac, Protocol};
use engine::vip::packet;
use engine::vip::refusals::Refusal;
use sys::poll::{Interest, Poller};
use sys::vrrp::{self, Form, Part, Wanted};

use super::Heard;

/// Packets read from one socket in one of its turns; then it rests until the turn is over.
const BATCH: usize = 64;
/// Turn of a socket for sealed messages: 32,000 a second are read at most, as 255 virtual IPs and 31 peers bring.
pub(super) const TURN: Duration = Duration::from_millis(2);
/// Adverts to obey: 16,000 a second, of which each virtual IP in a sound network has one.
const TURN_OF_WANTED: Duration = Duration::from_millis(4);
/// Where nothing has to be obeyed 6,400 a second are looked at; the kernel counts the others.
const TURN_OF_REST: Duration = Duration::from_millis(10);

/// How much of its turn a socket has had.
#[derive(Clone, Copy, Debug)]
pub(in crate::vip) struct Turn {
    pub(in crate::vip) ends: Time,
    taken: usize,
}

impl Turn {
    pub(in crate::vip) const fn over() -> Self {
        Self { ends: Time::ZERO, taken: 0 }
    }

    /// Takes one more packet, if it may.
    pub(in crate::vip) fn take(&mut self, now: Time, length: Duration) -> bool {
        if now >= self.ends {
            *self = Self { ends: now + length, taken: 0 };
        }
        let may = self.taken < BATCH;
        self.taken += usize::from(may);
        may
    }
}

/// Of one interface, for one of both kinds of IP.
pub(super) struct Ears {
    pub(super) name: String,
    /// Adverts over IPv6.
    is_v6: bool,
    /// Those whose packets the device has to take.
    groups: Vec<IpAddr>,
    wanted: Vec<Wanted>,
    /// The device's number when the sockets were opened.
    pub(super) index: Option<u32>,
    wanted_ones: Option<Ear>,
    rest: Option<Ear>,
    /// Hardware addresses of groups that speak here.
    macs: Vec<Mac>,
    voices: Vec<vrrp::Voice>,
}

/// What says the adverts of a group.
#[derive(Clone, Copy)]
pub(in crate::vip) enum Mouth<'a> {
    Plain(&'a vrrp::Socket),
    /// From the group's own hardware address.
    Virtual(&'a vrrp::Voice),
}

impl Mouth<'_> {
    /// `hops` are those of adverts to one router; to all of a link they are 255.
    pub(super) fn send(self, hops: u8, source: IpAddr, to: IpAddr, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.send_with(hops, source, to, bytes),
            Self::Virtual(voice) => voice.send(source, to, bytes),
        }
    }
}

struct Ear {
    socket: vrrp::Socket,
    /// What the kernel threw away, as far as it was told.
    unread: u32,
}

impl Ears {
    fn new(name: &str, is_v6: bool) -> Self {
        let name = name.to_owned();
        Self {
            name,
            is_v6,
            groups: vec![],
            wanted: vec![],
            index: None,
            wanted_ones: None,
            rest: None,
            macs: vec![],
            voices: vec![],
        }
    }

    /// The device is called so from now on: what is open stays.
    pub(super) fn follow(&mut self, former: &str, to: &str) {
        if self.name == former {
            to.clone_into(&mut self.name);
        }
    }

    /// Opens what is not open; false when the device does not let it.
    pub(super) fn open(&mut self, tokens: [u64; 2], poller: &Poller) -> bool {
        if self.wanted_ones.is_some() {
            return true;
        }
        let [own, other] = tokens;
        let Ok(all) = self.socket() else { return false };
        let voices = self.macs.iter().map(|mac| vrrp::Voice::open(&self.name, *mac));
        let Ok(voices) = voices.collect() else { return false };
        self.voices = voices;
        // Without a filter, or without the second socket, the one hears everything.
        self.rest = self
            .socket()
            .ok()
            .filter(|rest| {
                // Last what takes from the one: until then it hears everything.
                rest.hear(Part::Rest, &self.wanted).is_ok()
                    && poller.add(rest.as_fd(), other, Interest::READ).is_ok()
                    && all.hear(Part::Wanted, &self.wanted).is_ok()
            })
            .map(Ear::new);
        let added = poller.add(all.as_fd(), own, Interest::READ);
        self.wanted_ones = added.is_ok().then(|| Ear::new(all));
        self.wanted_ones.is_some()
    }

    /// Whether its adverts come and go here.
    pub(super) fn serve(&self, vip: &config::vip::Vip) -> bool {
        self.is_v6 == vip.is_v6() && hears(vip).any(|device| device == self.name)
    }

    fn socket(&self) -> io::Result<vrrp::Socket> {
        let socket = if self.is_v6 {
            vrrp::Socket::open_v6(&self.name, false)?
        } else {
            vrrp::Socket::open(&self.name, false)?
        };
        self.groups.iter().try_for_each(|group| socket.join(*group))?;
        Ok(socket)
    }

    pub(super) fn close(&mut self, poller: &Poller) {
        self.voices.clear();
        for ear in [self.wanted_ones.take(), self.rest.take()].into_iter().flatten() {
            // Closing removes it in any case.
            let _closed = poller.remove(ear.socket.as_fd());
        }
    }

    /// What sends the adverts of that one, if they leave here.
    pub(super) fn mouth(&self, vip: &config::vip::Vip) -> Option<Mouth<'_>> {
        if self.name != vip.interface || self.is_v6 != vip.is_v6() {
            return None;
        }
        match vip.advert_mac {
            Some(mac) => self.voices.iter().find(|voice| voice.mac() == mac).map(Mouth::Virtual),
            None => self.wanted_ones.as_ref().map(|ear| Mouth::Plain(&ear.socket)),
        }
    }

    fn ear(&self, part: Part) -> Option<&Ear> {
        match part {
            Part::Wanted => self.wanted_ones.as_ref(),
            Part::Rest => self.rest.as_ref(),
        }
    }

    pub(super) fn socket_of(&self, part: Part) -> Option<BorrowedFd<'_>> {
        self.ear(part).map(|ear| ear.socket.as_fd())
    }

    /// The next one, through the interface of that position.
    pub(super) fn receive<'a>(
        &self,
        interface: usize,
        part: Part,
        buffer: &'a mut [u8],
    ) -> Option<Heard<'a>> {
        let malformed = |source| Heard::Undecoded {
            interface,
            source,
            refusal: Refusal::Malformed,
            router_id: None,
        };
        let received = match self.ear(part)?.socket.receive(buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Some(malformed(None));
            }
            Err(_) => return None,
        };
        let bytes = &buffer[received.payload.clone()];
        let (source, destination, ttl) = (received.source, received.destination, received.ttl);
        let path = packet::Path { source, destination };
        Some(match packet::read(bytes, ttl, path) {
            Ok((advert, trailer)) => Heard::Advert { interface, path, ttl, advert, trailer },
            Err(error) => Heard::Undecoded {
                interface,
                source: Some(source),
                refusal: error.into(),
                router_id: packet::router_id(bytes),
            },
        })
    }

    /// What the kernel threw away since this was asked last.
    pub(super) fn unread(&mut self) -> u64 {
        [&mut self.wanted_ones, &mut self.rest].into_iter().flatten().map(Ear::unread).sum()
    }
}

/// Where adverts of a group come in. Those that come from its own hardware address, while that is up here, the kernel gives to
/// the device that has it and to no other.
fn hears(vip: &config::vip::Vip) -> impl Iterator<Item = &str> {
    let own = vip.speaking_device().filter(|_| vip.unicast_peers.is_empty());
    std::iter::once(vip.interface.as_str()).chain(own)
}

/// What is heard on the interface of that one has to be heard for it too: positions of those that do. None: its interface is
/// not known yet, and a socket of no interface would hear all of them.
pub(super) fn want(interfaces: &mut Vec<Ears>, vip: &config::vip::Vip) -> Vec<usize> {
    if vip.interface.is_empty() {
        return vec![];
    }
    let form = match vip.protocol {
        Protocol::V2 => Form::V2 { interval: packet::seconds(vip), password: vip.password },
        Protocol::V3 { .. } => Form::V3,
    };
    let mut found = Vec::new();
    for device in hears(vip) {
        let is_it = |known: &Ears| known.name == device && known.is_v6 == vip.is_v6();
        let known = interfaces.iter().position(is_it);
        let position = known.unwrap_or(interfaces.len());
        if known.is_none() {
            interfaces.push(Ears::new(device, vip.is_v6()));
        }
        let ears = &mut interfaces[position];
        let group = packet::group_of(vip);
        if (vip.unicast_peers.is_empty() || vip.has_lease) && !ears.groups.contains(&group) {
            ears.groups.push(group);
        }
        ears.wanted.push(Wanted { router_id: vip.router_id, form });
        if device == vip.interface {
            ears.macs.extend(vip.advert_mac);
        }
        found.push(position);
    }
    found
}

/// How long a turn of a socket of that part is.
pub(super) const fn turn(part: Part) -> Duration {
    match part {
        Part::Wanted => TURN_OF_WANTED,
        Part::Rest => TURN_OF_REST,
    }
}

impl Ear {
    const fn new(socket: vrrp::Socket) -> Self {
        Self { socket, unread: 0 }
    }

    fn unread(&mut self) -> u64 {
        let all = sys::socket::dropped(self.socket.as_fd()).unwrap_or(self.unread);
        u64::from(all.wrapping_sub(std::mem::replace(&mut self.unread, all)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_batch_is_read_in_a_turn_however_it_arrives() {
        let mut turn = Turn::over();
        let at = |us: u64| Time::ZERO + Duration::from_micros(1_000_000 + us);
        // One by one, as a reader sees them that is faster than the sender.
        let read = (0..4_000).filter(|us| turn.take(at(*us), TURN)).count();
        assert_eq!(read, 2 * BATCH);
        assert!(turn.take(at(9_000), TURN), "a socket that rested long is read at once");
        assert_eq!(turn.ends, at(11_000));
    }
}
