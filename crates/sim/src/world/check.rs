//! What must be true after every event.

use std::time::Duration;

use base::Time;
use engine::verdict::Times;
use engine::vip::Cause;

use super::host::Power;
use super::mark::Mark;
use super::{MANAGEMENT, World};

/// Without news for so long, the cloud has settled: three adverts missed, the largest skew, a host
/// that doubts itself first, and the way; and all of it once more for a host that heard only the
/// one that gave way meanwhile (seed 2403).
pub(super) const SETTLED: Duration = Duration::from_secs(7);
/// Two masters that hear each other again: one advert, and its answer.
const AGREED: Duration = Duration::from_secs(4);
/// Everything is mended: by now all agree.
const MENDED: Duration = Duration::from_secs(10);
/// 25 hosts that greet and beat on three networks, ten times a second or less, stay far below in the worst
/// weather.
const MAX_IN_FLIGHT: usize = 4000;
/// Beats that come more often than every so many milliseconds are more on the way.
const USUAL_BEAT: u128 = 100;
/// Silence that is none: an advert came this lately. A stalled holder listens for one interval only.
const SILENCE: Duration = Duration::from_millis(1_900);
const SHORT_SILENCE: Duration = Duration::from_millis(900);
/// A new process listens for three intervals first.
const LISTENS: Duration = Duration::from_millis(2_900);
/// The longest wait after a goodbye or a hand-over.
const GOODBYE: Duration = Duration::from_secs(2);
/// Orders of one host in a minute: the beats of four networks, greetings, verdicts on all others.
const MAX_ORDERS: u32 = 4000;
/// A packet each way, and the answer to it.
const TOLD: Duration = Duration::from_millis(200);
const HANDED: Duration = Duration::from_millis(50);
const MINUTE: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn inspect(&mut self) {
        let mut holders = 0_u64;
        for host in &self.hosts[..usize::from(self.controllers)] {
            holders |= u64::from(host.answers()) << host.number;
        }
        let in_flight = self.nets.in_flight();
        if in_flight > MAX_IN_FLIGHT && in_flight > self.most_in_flight() {
            self.fail("S limits", 0, "thousands of packets are in flight");
        }
        if self.is_calm {
            self.inspect_calm(holders);
        } else if holders.count_ones() > 1 {
            self.marks.note(Mark::TwoHeldApart);
        }
        if self.now.since(self.minute_at) > MINUTE {
            self.inspect_minute();
        }
    }

    fn most_in_flight(&self) -> usize {
        let beat = Times::new(self.script.detect).beat_every();
        let times = USUAL_BEAT.div_ceil(beat.as_millis().max(1));
        MAX_IN_FLIGHT * usize::try_from(times).unwrap_or(1)
    }

    fn inspect_calm(&mut self, holders: u64) {
        if holders.count_ones() > 1 {
            let last = if self.is_torn { self.disturbed_at } else { self.shaken_at };
            if self.now.since(last) > AGREED {
                self.inspect_rivals(holders);
            }
        }
        let quiet = self.now.since(self.disturbed_at);
        if quiet > SETTLED {
            if holders.count_ones() != 1 || self.is_torn {
                self.inspect_absence();
            }
            self.inspect_clients(holders);
        }
        self.inspect_settled(holders);
        self.inspect_handed(holders);
        self.inspect_views(quiet);
        self.inspect_crowd(quiet);
        self.inspect_led();
        if self.mended_at == Some(self.disturbed_at) && quiet > MENDED {
            self.mended_at = None;
            self.inspect_mended(holders);
        }
    }

    /// S1, S9: faults that leave everybody able to hear never make two holders, not for a moment.
    fn inspect_rivals(&mut self, holders: u64) {
        let all = || (0..self.controllers).filter(|host| holders & (1 << host) != 0);
        let rivals = all().flat_map(|a| all().filter(move |b| *b > a).map(move |b| (a, b)));
        let found = rivals.into_iter().find(|(a, b)| self.nets.joins(MANAGEMENT, *a, *b));
        if let Some((a, b)) = found {
            self.fail("S1 exclusive", a, &format!("holds, and so does host {b}"));
        }
    }

    /// Every part of the network with a host that could hold has one that does.
    fn inspect_absence(&mut self) {
        for host in 0..self.controllers {
            if self.hosts[usize::from(host)].eligible() && !self.reaches_holder(host) {
                self.fail("L1 holder", host, "could hold, and nobody does");
            }
        }
    }

    fn reaches_holder(&self, from: u16) -> bool {
        let mut seen = 1_u64 << from;
        let mut fresh = seen;
        while fresh != 0 {
            let at = u16::try_from(fresh.trailing_zeros()).unwrap_or(0);
            fresh &= fresh - 1;
            if self.hosts[usize::from(at)].answers() {
                return true;
            }
            for to in 0..self.controllers {
                let node = &self.hosts[usize::from(to)];
                let hears =
                    self.nets.carries(MANAGEMENT, at, to) || self.nets.carries(MANAGEMENT, to, at);
                if seen & (1 << to) == 0 && node.runs() && node.carrier[0] && hears {
                    (seen, fresh) = (seen | 1 << to, fresh | 1 << to);
                }
            }
        }
        false
    }

    /// S9: once the network is whole, clients find the holder: every conflict and every return ends
    /// with its gratuitous ARP. A holder that is alone with its clients has nobody to remind it, and one that stands
    /// still since it won reminds nobody (seed 48).
    fn inspect_clients(&mut self, holders: u64) {
        if holders.count_ones() != 1 || !self.nets.is_whole(MANAGEMENT) {
            return;
        }
        let controllers = &self.hosts[..usize::from(self.controllers)];
        let linked = controllers.iter().filter(|host| host.vip_acts() && host.carrier[0]).count();
        let holder = u16::try_from(holders.trailing_zeros()).unwrap_or(0);
        let acts = self.hosts[usize::from(holder)].vip_acts();
        if acts && linked >= 2 && self.believed != Some(holder) {
            self.fail("S9 clients", holder, "holds, and clients look elsewhere");
        }
    }

    /// S9: a conflict ends with the winner's gratuitous ARP, not with the next one that is due.
    fn inspect_settled(&mut self, holders: u64) {
        let Some(at) = self.settled_at.filter(|at| self.now.since(*at) > TOLD) else { return };
        self.settled_at = None;
        if at >= self.disturbed_at {
            self.inspect_clients(holders);
        }
    }

    /// L1: a successor that is named claims when it hears its name, not when its patience ends.
    fn inspect_handed(&mut self, holders: u64) {
        let is_over = |at: Time| self.now.since(at) > HANDED;
        let Some((at, to, life)) = self.handed.filter(|(at, ..)| is_over(*at)) else { return };
        self.handed = None;
        let node = &self.hosts[usize::from(to)];
        let is_fit = node.eligible() && node.lives[1] == life;
        if holders == 0 && is_fit && at >= self.disturbed_at {
            self.fail("L1 successor", to, "was named, could hold, and nobody does");
        }
    }

    /// L1: faults have stopped, and everything was mended.
    fn inspect_mended(&mut self, holders: u64) {
        if holders.count_ones() != 1 {
            self.fail("L1 holder", 0, &format!("{} hold", holders.count_ones()));
        }
        for host in 0..self.controllers {
            let Some(mind) = &self.hosts[usize::from(host)].agent.machine else { continue };
            let peers = (0..self.hosts.len()).filter_map(|peer| u16::try_from(peer).ok());
            // Of compute nodes the standing follows the verdict.
            let is_quarantined = |peer: &u16| {
                *peer >= self.controllers
                    && mind.opinion(*peer).is_some_and(|told| told.rule.name == "quarantine")
            };
            let peers = peers.filter(|peer| !is_quarantined(peer));
            let mut others = peers.map(|peer| (peer, mind.standing(peer)));
            let bad = others.find(|(_, standing)| *standing != engine::member::Standing::Alive);
            if let Some((peer, standing)) = bad {
                let seen = self.evidence_of(host, peer);
                self.fail("L1 members", host, &format!("calls host {peer} {standing:?} ({seen})"));
            }
        }
        self.inspect_intents();
        self.marks.note(Mark::MendedAndAgreed);
    }

    /// L3: what a host orders is bounded.
    fn inspect_minute(&mut self) {
        self.inspect_traffic();
        self.minute_at = self.now;
        for host in 0..self.hosts.len() {
            let orders = std::mem::take(&mut self.orders[host]);
            if orders > MAX_ORDERS {
                let host = u16::try_from(host).unwrap_or(0);
                self.fail("L3 livelock", host, &format!("ordered {orders} things in a minute"));
            }
        }
    }

    /// Facts of one host, after something was done to it or it did something.
    pub(super) fn inspect_host(&mut self, host: u16) {
        let node = &self.hosts[usize::from(host)];
        if !node.held {
            return;
        }
        let what = if node.power == Power::Off {
            "holds without power"
        } else if node.vip.machine.is_none() {
            "holds without a process"
        } else if node.vip_acts() && !node.carrier[0] {
            "holds without a carrier"
        } else if node.vip_acts() && node.balancer == engine::vip::Balancer::Failed {
            "holds with a failed balancer"
        } else if node.vip_acts() && node.rests {
            "holds on standby"
        } else if node.vip_acts() && self.ears[usize::from(host)].dead >> host & 1 == 1 {
            "holds, and knows that it is proven dead"
        } else {
            return;
        };
        self.fail("S9 vip", host, what);
    }

    /// Before a claim is done.
    pub(super) fn judge_claim(&mut self, host: u16, cause: Option<Cause>) {
        let ear = &self.ears[usize::from(host)];
        let slow = self.hosts[usize::from(host)].slowest;
        let woke = ear.woke_at.is_some_and(|at| self.now.since(at) < LISTENS);
        let silence = if woke { SHORT_SILENCE } else { SILENCE };
        let deaf = ear.advert_at.is_none_or(|at| self.now.since(at) >= silence);
        let dozed = ear.slept && ear.woke_at.is_some_and(|at| self.now.since(at) < SHORT_SILENCE);
        // A goodbye makes the wait short, and an old word of the one that said it long again.
        let parted = ear.goodbye_at.is_some_and(|at| at >= ear.started_at);
        let listens = if parted { SILENCE } else { LISTENS };
        let listened = self.now.since(ear.started_at) >= listens;
        // Who stands still or is slow waits on.
        let excuses = [ear.woke_at, ear.hindered_at, ear.goodbye_at].into_iter().flatten().max();
        let parted_lately = ear.goodbye_at.is_some()
            && excuses.is_some_and(|at| self.now.since(at) <= GOODBYE + slow * 2);
        let (mark, doubt) = match cause {
            Some(Cause::Silence) if !deaf => (None, "claims by silence just after an advert"),
            Some(Cause::Silence) if dozed => (None, "takes its own deafness for silence"),
            Some(Cause::Silence) if !listened => (None, "claims before it has listened"),
            Some(Cause::Silence) => (Some(Mark::ClaimedBySilence), ""),
            Some(Cause::Named) if ear.named_at == Some(self.now) => (Some(Mark::ClaimedByName), ""),
            Some(Cause::Named) => (None, "claims by a name that nobody called now"),
            Some(Cause::Goodbye) if parted_lately => (Some(Mark::ClaimedByGoodbye), ""),
            Some(Cause::Goodbye) => (None, "claims by a goodbye that nobody said"),
            Some(
                Cause::Stronger
                | Cause::Stalled
                | Cause::Script
                | Cause::Carrier
                | Cause::NoDevice
                | Cause::NoNetwork
                | Cause::Balancer
                | Cause::Refused
                | Cause::Stopping
                | Cause::Adopted
                | Cause::Standby
                | Cause::Moved
                | Cause::ProvenDead
                | Cause::InUse
                | Cause::Together,
            )
            | None => (None, "claims without a cause"),
        };
        if self.hosts[usize::from(host)].rests {
            self.fail("S9 standby", host, "claims on standby");
        }
        if self.ears[usize::from(host)].dead >> host & 1 == 1 {
            self.fail("S9 proven dead", host, "claims, and knows that it is proven dead");
        }
        match mark {
            Some(mark) => self.marks.note(mark),
            None => self.fail("S2 claim", host, doubt),
        }
        let news_at = self.disturbed_at.max(self.missed_at);
        if self.is_calm && self.now.since(news_at) > SETTLED {
            self.fail("L3 flapping", host, &format!("claims ({cause:?}) though nothing happened"));
        }
    }
}
