//! What arrives at the sockets, and what is told of that which was not obeyed.

use std::net::IpAddr;

use api::{Event, RefusedAdvert, RefusedAdverts, Report};
use base::Time;
use engine::packet::MAX_BODY;
use engine::vip::refusals::{Addressee, Refusal, Refused};

use super::Driver;
use super::wire::{self, Heard};

impl Driver<'_> {
    /// A batch at most in one turn of the socket; what comes faster than that waits, or is thrown away by the
    /// kernel: this thread is in front of everything else on the machine.
    pub(super) fn packets(&mut self, token: u64) {
        let (mut buffer, mut body) = ([0; wire::LONGEST], [0; MAX_BODY]);
        while self.wire.may_read(token, sys::clock::now()) {
            let Some(heard) = self.wire.receive(token, &mut buffer, &mut body) else { return };
            if let Heard::VipBeat { network, from, life, body } = heard {
                self.hear_beat(network, from, life, body);
            } else {
                self.hear(&heard);
            }
        }
        self.wire.rest(token, &self.poller);
        self.note_unread(sys::clock::now());
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
                }
                if let Some(refusal) = after.refusal_since(&before) {
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
        let decision = if refused.refusal == Refusal::Addresses {
            "obey them all the same: one forgotten line is no reason for two holders"
        } else if refused.refusal == Refusal::Foreign {
            "do not stand for the address while they come; a node that holds it goes on"
        } else {
            "do not obey them, and count them; the address stays where it is"
        };
        Event {
            at_ms: sys::clock::wall_ms(),
            node: self.node.clone(),
            what: "vip-adverts-refused".to_owned(),
            object,
            evidence: format!("adverts on {}: {}", shown.interface, shown.words()),
            decision: decision.to_owned(),
            ..Event::default()
        }
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
