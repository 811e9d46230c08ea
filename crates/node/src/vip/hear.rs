//! What arrives at the sockets, and what is told of that which was not obeyed.

use std::net::IpAddr;
use std::time::Duration;

use api::{Event, RefusedAdvert, RefusedAdverts, Report};
use base::Time;
use engine::packet::MAX_BODY;
use engine::vip::refusals::{Addressee, Refusal, Refused};

use super::Driver;
use super::wire::{self, Heard};

/// Between two words of a weaker router: whoever floods this node with adverts does not flood who is told of them.
const RIVAL_AGAIN: Duration = Duration::from_millis(10);

impl Driver<'_> {
    /// A batch at most in one turn of the socket; what comes faster than that waits, or is thrown away by the
    /// kernel: this thread is in front of everything else on the machine.
    pub(super) fn packets(&mut self, token: u64) {
        if self.read(token, Self::hear) {
            self.wire.rest(token, &self.poller);
            self.note_unread(sys::clock::now());
        }
    }

    /// Vip beats alone: the rest is for a process that has begun, and is said again.
    pub(super) fn beats(&mut self, token: u64) {
        let _more = self.read(token, |_, _| {});
    }

    /// `hear`: what is no vip beat. Whether there may be more.
    fn read(&mut self, token: u64, hear: impl Fn(&mut Self, &Heard<'_>)) -> bool {
        let (mut buffer, mut body) = ([0; wire::LONGEST], [0; MAX_BODY]);
        while self.wire.may_read(token, sys::clock::now()) {
            let Some(heard) = self.wire.receive(token, &mut buffer, &mut body) else {
                return false;
            };
            if let Heard::VipBeat { network, from, life, body } = heard {
                self.hear_beat(network, from, life, body);
            } else {
                hear(self, &heard);
            }
        }
        true
    }

    fn hear(&mut self, heard: &Heard<'_>) {
        let mut nobodys = true;
        for number in 0..self.instances.len() {
            let instance = &mut self.instances[number];
            if let Some(input) = heard.for_instance(instance, &self.wire) {
                nobodys = false;
                if let Some(refusal) = heard.forged_for(instance) {
                    let addressee = Addressee::Vip(instance.number);
                    self.refuse(addressee, refusal, heard.source());
                    continue;
                }
                let (before, key) = (instance.machine.counters(), instance.number);
                self.step(number, input);
                let after = self.instances[number].machine.counters();
                if let Heard::Advert { advert, .. } = heard
                    && after.obeyed > before.obeyed
                {
                    self.instances[number].note_obeyed(advert.priority);
                    self.note_rival(number, heard.source(), advert.priority);
                }
                for refusal in after.refusals_since(&before) {
                    self.refuse(Addressee::Vip(key), refusal, heard.source());
                }
            } else if let Some((seat, span)) = heard.foreign_for(instance, &self.wire) {
                let key = instance.number;
                let told = engine::vip::lease::Input::Foreign { vip: seat, span };
                self.step_leases(sys::clock::now(), told);
                self.refuse(Addressee::Vip(key), Refusal::Foreign, heard.source());
                nobodys = false;
            } else if let Some(refusal) = heard.refused_for(instance, &self.wire) {
                let addressee = Addressee::Vip(instance.number);
                self.refuse(addressee, refusal, heard.source());
                nobodys = false;
            }
        }
        if let Some((interface, refusal)) = heard.nobodys().filter(|_| nobodys) {
            let interface = self.wire.shown(interface);
            self.refuse(Addressee::Interface(interface), refusal, heard.source());
        }
    }

    /// Whoever is told of weaker routers that say that they hold the address, too, is told by the supervisor.
    fn note_rival(&mut self, number: usize, source: Option<IpAddr>, priority: u8) {
        let now = sys::clock::now();
        let instance = &mut self.instances[number];
        let is_weaker = |source| instance.machine.outdoes(now, source, priority);
        if now >= instance.rival_again_at && source.is_some_and(is_weaker) {
            instance.rival_again_at = now + RIVAL_AGAIN;
            let report = Report::Rival { instance: instance.number };
            self.tell(&report);
        }
    }

    fn refuse(&mut self, addressee: Addressee, refusal: Refusal, source: Option<IpAddr>) {
        self.refusals.note(sys::clock::now(), (addressee, refusal), 1, source);
    }

    fn note_unread(&mut self, now: Time) {
        for (interface, unread) in self.wire.unread() {
            let key = (Addressee::Interface(interface), Refusal::Unread);
            self.refusals.note(now, key, unread, None);
        }
    }

    /// At most once a second.
    pub(super) fn tell_refused(&mut self, now: Time) {
        if now < self.refusals.deadline() {
            return;
        }
        self.note_unread(now);
        let news = self.refusals.news(now);
        if !news.counts.is_empty() {
            let counts = news.counts.iter().map(|refused| self.shown(refused));
            self.tell(&Report::Adverts(counts.collect()));
        }
        for refused in &news.events {
            self.tell(&Report::Event(self.refused_event(refused)));
        }
    }

    fn shown(&self, refused: &Refused) -> RefusedAdverts {
        let Refused { addressee, refusal, count, source } = *refused;
        let (vip, interface) = match addressee {
            Addressee::Vip(number) => {
                let mut all = self.instances.iter();
                let of = all.find(|instance| instance.number == number);
                let of = of.map(|instance| (&instance.vip.name, &instance.vip.interface));
                (of.map(|(name, _)| name.clone()), of.map(|(_, interface)| interface.clone()))
            }
            Addressee::Interface(number) => (None, self.wire.interface(number).map(str::to_owned)),
        };
        let (reason, interface) = (reason(refusal), interface.unwrap_or_default());
        RefusedAdverts { vip, interface, reason, count, source }
    }

    fn refused_event(&self, refused: &Refused) -> Event {
        let shown = self.shown(refused);
        let object = match &shown.vip {
            Some(vip) => format!("vip/{vip}"),
            None => format!("node/{}", self.node),
        };
        let told = Told::of(refused.refusal);
        let has_peers = |vip: &config::vip::Vip| !vip.unicast_peers.is_empty();
        let mut vips = self.instances.iter().map(|instance| &instance.vip);
        let unicast = vips.any(|vip| Some(&vip.name) == shown.vip.as_ref() && has_peers(vip));
        Event {
            at_ms: sys::clock::wall_ms(),
            node: self.node.clone(),
            what: told.what.to_owned(),
            object,
            evidence: format!("adverts on {}: {}", shown.interface, shown.words()),
            decision: told.decision.to_owned(),
            not_done: if unicast { told.not_done_to_peers } else { told.not_done }.to_owned(),
            ..Event::default()
        }
    }
}

/// What an event says of a reason.
struct Told {
    what: &'static str,
    decision: &'static str,
    not_done: &'static str,
    /// In a group with unicast peers.
    not_done_to_peers: &'static str,
}

impl Told {
    const fn of(refusal: Refusal) -> Self {
        let (mut not_done, mut not_done_to_peers) = ("", "");
        let (what, decision) = match refusal {
            Refusal::Addresses => (
                "vip-adverts-refused",
                "obey them all the same: one forgotten line is no reason for two holders",
            ),
            Refusal::OtherInterval => (
                "vip-other-interval",
                "obey them and wait by their interval; this node speaks by its own when it holds",
            ),
            Refusal::Outsider => {
                not_done = "if that router is not meant to be in the group, one of the two needs another router id";
                not_done_to_peers = not_done;
                ("vip-foreign-router", "obey it, as any router of the group")
            }
            Refusal::Unheard => {
                not_done = "a switch or a filter drops multicast to 224.0.0.18 or ff02::12: routers of others in the group \
                            hear nothing; let it through, or write `unicast = true` (keepalived: `unicast_peer`)";
                not_done_to_peers = "a filter on the way drops IP protocol 112: routers of others in the group may hear nothing";
                ("vip-adverts-unheard", "obey the sealed messages of that node in their place")
            }
            Refusal::Foreign => (
                "vip-adverts-refused",
                "do not stand for the address while they come; a node that holds it goes on",
            ),
            Refusal::RouterId
            | Refusal::Interval
            | Refusal::Password
            | Refusal::Source
            | Refusal::Ttl
            | Refusal::Version
            | Refusal::Checksum
            | Refusal::Malformed
            | Refusal::Unread
            | Refusal::Stranger
            | Refusal::Outlived
            | Refusal::Unsigned
            | Refusal::UnknownKey
            | Refusal::Signature
            | Refusal::Stale
            | Refusal::Replayed => (
                "vip-adverts-refused",
                "do not obey them, and count them; the address stays where it is",
            ),
        };
        Self { what, decision, not_done, not_done_to_peers }
    }
}

/// The machine's word in that of `api`.
const fn reason(refusal: Refusal) -> RefusedAdvert {
    match refusal {
        Refusal::RouterId => RefusedAdvert::RouterId,
        Refusal::Interval => RefusedAdvert::Interval,
        Refusal::Password => RefusedAdvert::Password,
        Refusal::Source => RefusedAdvert::Source,
        Refusal::Addresses => RefusedAdvert::Addresses,
        Refusal::OtherInterval => RefusedAdvert::OtherInterval,
        Refusal::Outsider => RefusedAdvert::Outsider,
        Refusal::Unheard => RefusedAdvert::Unheard,
        Refusal::Ttl => RefusedAdvert::Ttl,
        Refusal::Version => RefusedAdvert::Version,
        Refusal::Checksum => RefusedAdvert::Checksum,
        Refusal::Malformed => RefusedAdvert::Malformed,
        Refusal::Unread => RefusedAdvert::Unread,
        Refusal::Stranger => RefusedAdvert::Stranger,
        Refusal::Outlived => RefusedAdvert::Outlived,
        Refusal::Unsigned => RefusedAdvert::Unsigned,
        Refusal::UnknownKey => RefusedAdvert::UnknownKey,
        Refusal::Signature => RefusedAdvert::Signature,
        Refusal::Stale => RefusedAdvert::Stale,
        Refusal::Replayed => RefusedAdvert::Replayed,
        Refusal::Foreign => RefusedAdvert::Foreign,
    }
}
