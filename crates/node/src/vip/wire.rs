//! Adverts on interfaces, sealed messages on the cluster's networks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use engine::packet::{Body, Kind};
use engine::vip::guard::Guard;
use engine::vip::lease::VipLease;
use engine::vip::packet::{self, MAX_LENGTH, Path, Trailer};
use engine::vip::refusals::Refusal;
use engine::vip::{Advert, HandOver, Hello, Input};
use sys::poll::{Interest, Poller};
use sys::vrrp::Part;

use self::ears::{Ears, want};
pub(super) use self::ears::{Mouth, Turn};
use self::sealed::{Network, Sealed, put};
pub(super) use self::sealed::{address, peers};
use super::SOCKETS;
use super::instance::Instance;

mod ears;
mod left;
mod sealed;
#[cfg(test)]
mod tests;

/// No packet of either kind is longer.
pub(super) const LONGEST: usize = 2048;
/// Tokens from here on are those of the cluster's networks; before it each interface has two, and no instance has
/// more than one.
const NETWORKS: u64 = SOCKETS + 2 * 65_536;
/// How often a socket whose device or address is missing is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// A router that does not vote is believed to hold an address for three of its intervals, at most so long.
const BELIEVED: Duration = Duration::from_secs(30);
/// How often at most it is told what was refused: a flood costs one message a second.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Wire {
    interfaces: Vec<Ears>,
    sealed: Option<Sealed>,
    retry_at: Time,
    turns: BTreeMap<u64, Turn>,
    /// Sockets that nobody reads until then.
    resting: BTreeMap<u64, Time>,
}

/// What arrived.
pub(super) enum Heard<'a> {
    /// Through the socket of that position.
    Advert {
        interface: usize,
        path: Path,
        ttl: u8,
        advert: Advert<'a>,
        trailer: Option<Trailer<'a>>,
    },
    /// No advert that can be obeyed.
    Undecoded {
        interface: usize,
        source: Option<IpAddr>,
        refusal: Refusal,
        /// Whom it seems to be for.
        router_id: Option<u8>,
    },
    Hello {
        network: u8,
        hello: Hello,
    },
    HandOver(HandOver),
    /// Of a process with vip leases: over which network, its node, its life, and what it says.
    VipBeat {
        network: u8,
        from: u16,
        life: u64,
        body: &'a [u8],
    },
    /// Nothing for anybody.
    Noise,
}

impl<'a> Heard<'a> {
    /// The input for an instance, if it concerns it.
    pub(super) fn for_instance(&self, instance: &Instance, wire: &Wire) -> Option<Input<'a>> {
        if instance.seat.is_some() {
            return None;
        }
        let group = instance.machine.group();
        match self {
            Heard::Advert { interface, path, ttl, advert, .. } => {
                let is_for = wire.is_for(*interface, advert.router_id, instance)
                    && goes_to(*path, &instance.vip)
                    && path.refused_by(&instance.vip, *ttl).is_none();
                is_for.then_some(Input::Advert { source: path.source, advert: *advert })
            }
            Heard::Hello { network, hello } => {
                (hello.group == group).then_some(Input::Hello { network: *network, hello: *hello })
            }
            Heard::HandOver(message) => {
                (message.group == group).then_some(Input::HandOver(*message))
            }
            Heard::Undecoded { .. } | Heard::VipBeat { .. } | Heard::Noise => None,
        }
    }

    /// For an instance with a vip lease: a router that does not vote says that it holds it. Its seat, and for how long that is to
    /// be believed.
    pub(super) fn foreign_for(
        &self,
        instance: &Instance,
        wire: &Wire,
    ) -> Option<(usize, Duration)> {
        let seat = instance.seat.as_ref()?.place.seat;
        let Heard::Advert { interface, path, ttl, advert, .. } = self else { return None };
        let same = |address: &config::vip::Address| advert.addresses.contains(address.ip);
        // From this link, and to all of it: what is sent to one node alone holds nothing.
        let is_for = *ttl == packet::TTL
            && path.destination.is_multicast()
            && wire.interfaces[*interface].serve(&instance.vip)
            && (advert.router_id == instance.vip.router_id
                || instance.vip.addresses.iter().any(same));
        let goodbye = advert.priority == 0;
        let span = if goodbye { Duration::ZERO } else { (advert.interval * 3).min(BELIEVED) };
        is_for.then_some((seat, span))
    }

    /// Why it is nothing for an instance that it seems to be for.
    pub(super) fn refused_for(&self, instance: &Instance, wire: &Wire) -> Option<Refusal> {
        match self {
            _ if instance.seat.is_some() => None,
            Heard::Undecoded { interface, refusal, router_id: Some(id), .. } => {
                wire.is_for(*interface, *id, instance).then_some(*refusal)
            }
            Heard::Advert { interface, path, ttl, advert, .. }
                if wire.is_for(*interface, advert.router_id, instance)
                    && goes_to(*path, &instance.vip) =>
            {
                path.refused_by(&instance.vip, *ttl)
            }
            Heard::Undecoded { .. }
            | Heard::Advert { .. }
            | Heard::Hello { .. }
            | Heard::HandOver(_)
            | Heard::VipBeat { .. }
            | Heard::Noise => None,
        }
    }

    /// Why an advert for that instance, by its signature, is none that may be obeyed.
    pub(super) fn forged_for(&self, instance: &mut Instance) -> Option<Refusal> {
        let Heard::Advert { path, advert, trailer, .. } = self else { return None };
        let Some(guard) = &mut instance.guard else {
            // Too long, for whom no signature is expected.
            return trailer.map(|_| Refusal::Malformed);
        };
        guard.judge(&instance.vip, *path, (advert, *trailer), sys::clock::since_1970()).err()
    }

    /// What it is if it is for no instance, and the interface that it came through.
    pub(super) fn nobodys(&self) -> Option<(u16, Refusal)> {
        let (interface, refusal) = match self {
            // Of another group it does not matter in which way it speaks.
            Heard::Advert { interface, .. }
            | Heard::Undecoded { interface, router_id: Some(_), .. } => {
                (interface, Refusal::RouterId)
            }
            Heard::Undecoded { interface, refusal, router_id: None, .. } => (interface, *refusal),
            Heard::Hello { .. } | Heard::HandOver(_) | Heard::VipBeat { .. } | Heard::Noise => {
                return None;
            }
        };
        Some((u16::try_from(*interface).ok()?, refusal))
    }

    /// The address that it came from, or that its sender calls its own.
    pub(super) fn source(&self) -> Option<IpAddr> {
        match self {
            Heard::Advert { path, .. } => Some(path.source),
            Heard::Undecoded { source, .. } => *source,
            Heard::Hello { hello, .. } => Some(hello.source),
            Heard::HandOver(_) | Heard::VipBeat { .. } | Heard::Noise => None,
        }
    }
}

impl Wire {
    /// `ours`: the cluster, this node's position and the secret.
    pub(super) fn new(
        vips: &[config::vip::Vip],
        ours: Option<(&Cluster, usize, &[u8])>,
        life: u64,
    ) -> Self {
        let mut interfaces: Vec<Ears> = Vec::new();
        for vip in vips {
            let _known = want(&mut interfaces, vip);
        }
        let sealed = ours.and_then(|(cluster, me, secret)| Sealed::new(cluster, me, secret, life));
        let (turns, resting) = (BTreeMap::new(), BTreeMap::new());
        Self { interfaces, sealed, retry_at: Time::ZERO, turns, resting }
    }

    /// The interface of that one is known from now on.
    pub(super) fn add(&mut self, vip: &config::vip::Vip, poller: &Poller) {
        for at in want(&mut self.interfaces, vip) {
            let ears = &mut self.interfaces[at];
            // Its sockets have filters, which know nothing of this one.
            ears.close(poller);
        }
        self.try_soon();
    }

    /// There are nodes of our own to talk to.
    pub(super) const fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    pub(super) fn retry_at(&self) -> Time {
        self.retry_at
    }

    /// The next moment at which something is to be done here.
    pub(super) fn deadline(&self) -> Time {
        let waking = self.resting.values().min().copied().unwrap_or(Time::NEVER);
        self.retry_at.min(self.tell_at()).min(waking)
    }

    /// Whether what came through that interface for a router id is for the instance.
    fn is_for(&self, interface: usize, router_id: u8, instance: &Instance) -> bool {
        let vip = &instance.vip;
        self.interfaces[interface].serve(vip) && vip.router_id == router_id
    }

    /// Its name.
    pub(super) fn interface(&self, number: u16) -> Option<&str> {
        self.interfaces.get(usize::from(number)).map(|ears| ears.name.as_str())
    }

    /// Per interface, adverts that the kernel threw away since this was asked last.
    pub(super) fn unread(&mut self) -> Vec<(u16, u64)> {
        let unread: Vec<u64> = self.interfaces.iter_mut().map(Ears::unread).collect();
        (0..).map(|number| self.shown(number)).zip(unread).collect()
    }

    /// What one number stands for outside of this process: a device has one, whatever it hears.
    pub(super) fn shown(&self, number: u16) -> u16 {
        let name = self.interface(number);
        let first = self.interfaces.iter().position(|ears| Some(ears.name.as_str()) == name);
        first.and_then(|first| u16::try_from(first).ok()).unwrap_or(number)
    }

    /// Whether the turn of that socket lets it give one more packet.
    pub(super) fn may_read(&mut self, token: u64, now: Time) -> bool {
        let length = self.ears(token).map_or(ears::TURN, |(_, part)| ears::turn(part));
        self.turns.entry(token).or_insert(Turn::over()).take(now, length)
    }

    /// A socket that gave a whole batch is not read before its next turn.
    pub(super) fn rest(&mut self, token: u64, poller: &Poller) {
        let (Some(turn), Some(socket)) = (self.turns.get(&token), self.socket(token)) else {
            return;
        };
        if poller.remove(socket).is_ok() {
            let ends = turn.ends;
            self.resting.insert(token, ends);
        }
    }

    /// Those that rested long enough are read again.
    pub(super) fn wake(&mut self, poller: &Poller, now: Time) {
        while let Some((token, _)) = self.resting.iter().find(|(_, until)| **until <= now) {
            let token = *token;
            self.resting.remove(&token);
            // One that was opened anew meanwhile is read already.
            let _added = self.socket(token).map(|socket| poller.add(socket, token, Interest::READ));
        }
    }

    fn socket(&self, token: u64) -> Option<BorrowedFd<'_>> {
        match self.ears(token) {
            Some((interface, part)) => self.interfaces[interface].socket_of(part),
            None => {
                let networks = &self.sealed.as_ref()?.networks;
                let number = token.checked_sub(NETWORKS)?;
                let network = networks.get(usize::try_from(number).ok()?)?;
                network.socket.as_ref().map(AsFd::as_fd)
            }
        }
    }

    /// The interface, and which of its sockets.
    fn ears(&self, token: u64) -> Option<(usize, Part)> {
        let position = usize::try_from(token.checked_sub(SOCKETS)?).ok()?;
        let part = if position % 2 == 0 { Part::Wanted } else { Part::Rest };
        (position / 2 < self.interfaces.len()).then_some((position / 2, part))
    }

    /// When it is to be told what was refused. What the kernel threw away alone wakes nobody: it is told when
    /// something else does, an advert at the latest.
    fn tell_at(&self) -> Time {
        let sealed = self.sealed.as_ref();
        sealed.filter(|sealed| sealed.is_new()).map_or(Time::NEVER, |sealed| sealed.tell_at)
    }

    /// What was refused so far, if that is to be told now.
    pub(super) fn news_of_refused(&mut self, now: Time) -> Option<api::RefusedPackets> {
        let sealed = self.sealed.as_mut()?;
        if now < sealed.tell_at {
            return None;
        }
        sealed.tell_at = now + TELL_EVERY;
        let unread = sealed.networks.iter().map(Network::unread).sum();
        let refused = crate::refused::shown(sealed.refused, unread);
        (std::mem::replace(&mut sealed.told, refused) != refused).then_some(refused)
    }

    pub(super) fn try_soon(&mut self) {
        self.retry_at = Time::ZERO;
    }

    /// Opens what is not open yet, at most once in [`RETRY`].
    pub(super) fn open_missing(&mut self, poller: &Poller, now: Time) {
        if now < self.retry_at {
            return;
        }
        let mut missing = false;
        for (token, ears) in (SOCKETS..).step_by(2).zip(&mut self.interfaces) {
            missing |= !ears.open([token, token + 1], poller);
        }
        let sealed = self.sealed.iter_mut().flat_map(|sealed| {
            let port = sealed.port;
            sealed.networks.iter_mut().map(move |network| (port, network))
        });
        for (token, (port, network)) in (NETWORKS..).zip(sealed) {
            let (Some(own), None) = (network.own, &network.socket) else { continue };
            let opened = sys::socket::udp(SocketAddr::new(own, port), None).and_then(|socket| {
                poller.add(socket.as_fd(), token, Interest::READ).map(|()| socket)
            });
            if let Ok(socket) = &opened {
                crate::refused::hear_only(
                    socket.as_fd(),
                    network.peers.iter().map(|(_, to)| to.ip()),
                );
            }
            network.socket = opened.ok();
            // Before the first packet comes.
            self.turns.entry(token).or_insert(Turn::over());
            missing |= network.socket.is_none();
        }
        self.retry_at = if missing { now + RETRY } else { Time::NEVER };
    }

    /// A device is called otherwise from now on, and everybody who hears on it goes on.
    pub(super) fn follow(&mut self, former: &str, to: &str) {
        self.interfaces.iter_mut().for_each(|interface| interface.follow(former, to));
    }

    /// A device that was made anew needs a new socket.
    pub(super) fn device_changed(&mut self, name: &str, index: u32, gone: bool, poller: &Poller) {
        for interface in self.interfaces.iter_mut().filter(|interface| interface.name == name) {
            let other = interface.index.is_some_and(|known| known != index);
            if gone || other {
                interface.close(poller);
                self.retry_at = Time::ZERO;
            }
            interface.index = (!gone).then_some(index);
        }
    }

    /// `body`: for what was sealed.
    pub(super) fn receive<'a>(
        &mut self,
        token: u64,
        buffer: &'a mut [u8],
        body: &'a mut Body,
    ) -> Option<Heard<'a>> {
        if let Some((interface, part)) = self.ears(token) {
            return self.interfaces[interface].receive(interface, part, buffer);
        }
        let network = token.checked_sub(NETWORKS)?;
        self.sealed.as_mut()?.receive(usize::try_from(network).ok()?, buffer, body)
    }

    pub(super) fn advertise(&self, instance: &mut Instance, priority: u8) {
        let mouth = self.interfaces.iter().find_map(|ears| ears.mouth(&instance.vip));
        let Some(mouth) = mouth else { return };
        advertise(mouth, &instance.vip, instance.source, instance.guard.as_mut(), priority);
    }

    /// Other keys of the pairs.
    pub(super) fn renew(&mut self, text: Option<OwnedFd>) {
        let secret = text.and_then(|text| sys::memory::read(text.as_fd()).ok());
        if let (Some(secret), Some(Sealed { seal, cluster, .. })) = (secret, &mut self.sealed) {
            crate::secret::renew(&secret, cluster, seal);
        }
    }

    pub(super) fn hello(&mut self, message: Hello) {
        if let Some(sealed) = &mut self.sealed {
            sealed.send(Kind::Hello, |_, body| put(&message.encode(), body));
        }
    }

    /// To each other node what concerns it.
    pub(super) fn beat(&mut self, machine: &VipLease) {
        if let Some(sealed) = &mut self.sealed {
            sealed.send(Kind::VipBeat, |to, body| machine.beat(to, body));
        }
    }

    pub(super) fn hand_over(&mut self, message: HandOver) {
        if let Some(sealed) = &mut self.sealed {
            sealed.send(Kind::HandOver, |_, body| put(&message.encode(), body));
        }
    }
}

/// Instances with one router id on one interface differ in their group (`mcast_dst_ip`).
fn goes_to(path: Path, vip: &config::vip::Vip) -> bool {
    !path.destination.is_multicast() || path.destination == packet::group_of(vip)
}

/// Sends one advert, signed if `guard` signs. A device that is down carries none, which the others notice.
pub(super) fn advertise(
    mouth: Mouth<'_>,
    vip: &config::vip::Vip,
    source: IpAddr,
    guard: Option<&mut Guard>,
    priority: u8,
) {
    // One for all of them: to whom it goes is not signed.
    let signature = guard.and_then(|guard| guard.sign(sys::clock::since_1970()));
    let mut bytes = [0; MAX_LENGTH];
    let peers = vip.unicast_peers.iter().copied();
    let group = vip.unicast_peers.is_empty().then(|| packet::group_of(vip));
    let hops = if group.is_some() { packet::TTL } else { vip.travel.hops };
    for destination in peers.chain(group) {
        let path = Path { source, destination };
        let length = match &signature {
            Some(signature) => packet::encode_signed(vip, priority, path, signature, &mut bytes),
            None => packet::encode(vip, priority, path, &mut bytes),
        };
        let _unheard = mouth.send(hops, source, destination, &bytes[..length]);
    }
}
