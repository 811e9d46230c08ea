//! A process begins.

use std::collections::VecDeque;
use std::time::Duration;

use base::Time;
use engine::vip::lease::bequest::Bequest;
use engine::vip::lease::{BEAT, CALM, Config, Rule, SeatConfig, VipLease, pace};

use super::host::{Host, Left, Process, Stage, Told};
use super::quiet::{self, CLIENTS};
use super::run::{ALONE, Event, LISTENS, NETWORKS, World, address, node};
use super::store::{by_file, voters};
use super::{BOUNDS, Mark, placed};

impl World<'_> {
    pub(super) fn starts(&mut self, host: usize, closes: bool) {
        if !self.hosts[host].powered || self.hosts[host].process.is_some() {
            return;
        }
        let local = self.hosts[host].clock.local(self.now);
        if closes {
            self.hosts[host].gates.fill(Time::ZERO);
        } else if (0..self.script.vips).any(|vip| self.hosts[host].answers(vip, self.now)) {
            self.outcome.marks.reach(Mark::OpenBehind);
        }
        self.hosts[host].lives += 1;
        let config = self.config(host, self.hosts[host].lives, closes);
        let this = &mut self.hosts[host];
        this.process = Some(Process {
            machine: VipLease::new(&config, local),
            life: this.lives,
            stage: Stage::Waits,
            inbox: VecDeque::new(),
            told: VecDeque::new(),
            paused: 0,
            busy: (local, 0),
            stopping: false,
        });
        let (fit, standby, gateway) = (this.fit, this.standby, this.gateway);
        self.leaves(host, Left::Said);
        self.recall_proven(host);
        self.set_fit(host, fit);
        self.refer(host, gateway);
        self.order(host, Told::Standby(standby));
        if self.hosts[host].coordinates {
            self.order(host, Told::Coordinates(true));
        }
        // What was newest when it started may be so no more.
        let delay = self.chance.span(Duration::from_millis(400));
        self.after(delay, Event::Learns { host });
        if self.script.beat < BEAT {
            let life = self.hosts[host].lives;
            let delay = Duration::from_millis(50) + self.chance.span(Duration::from_millis(300));
            self.after(delay, Event::Measured { host, life });
        }
    }

    /// The process is told to leave all to another one, and does so when it is in the middle of nothing.
    pub(super) fn replace(&mut self, host: usize) {
        let Some(process) = &mut self.hosts[host].process else { return };
        let is_between = matches!(process.stage, Stage::Waits) && !process.stopping;
        let Some(left) = process.machine.bequeath().filter(|_| is_between) else { return };
        // What it was told and had not read is told anew.
        process.told.clear();
        process.stage = Stage::Left(Box::new(left));
        self.plan(host);
    }

    /// The next process has all sockets, and reads what the one before left; facts are told anew. Its packets waited.
    pub(super) fn goes_on(&mut self, host: usize, left: &Bequest) {
        let local = self.hosts[host].clock.local(self.now);
        let config = self.config(host, left.life, false);
        let mut machine = VipLease::new(&config, local);
        if let Err(error) = machine.inherit(local, left) {
            return self.break_off(BOUNDS, format!("host {host} cannot go on: {error}"));
        }
        if left.seats.iter().any(|seat| seat.holds.is_some()) {
            self.outcome.marks.reach(Mark::Replaced);
        }
        if let Some(process) = &mut self.hosts[host].process {
            process.machine = machine;
        }
        let Host { fit, standby, gateway, .. } = self.hosts[host];
        self.recall_proven(host);
        self.set_fit(host, fit);
        self.refer(host, gateway);
        self.order(host, Told::Standby(standby));
        let delay = self.chance.span(Duration::from_millis(400));
        self.after(delay, Event::Learns { host });
    }

    pub(super) fn loses_power(&mut self, host: usize, back: Duration) {
        let dead = &mut self.hosts[host];
        (dead.powered, dead.process) = (false, None);
        dead.gates.fill(Time::ZERO);
        self.after(back, Event::Boots { host });
    }

    /// The same, and another machine has its place then.
    pub(super) fn is_followed_by_another(&mut self, host: usize, back: Duration) {
        if self.may_be_replaced(host) {
            self.outcome.marks.reach(Mark::Another);
            self.hosts[host].machine += 1;
            self.hosts[host].list = None;
            self.loses_power(host, back);
        }
    }

    pub(super) fn wants_voters(&mut self) {
        if self.chance.one_in(2) {
            self.store.changes_its_mind(&mut self.chance);
        }
        self.propose();
    }

    fn config(&self, host: usize, life: u64, closed: bool) -> Config {
        let order: Vec<u16> = (0_u16..).take(self.hosts.len()).collect();
        let holders = order.len() - usize::from(self.script.voter);
        let order_of = |vip: usize| {
            let mut order = order[..holders].to_vec();
            // What is with anything prefers a host of its own.
            let is_free = self.script.rules.get(vip).is_some_and(Rule::is_none);
            order.rotate_left(if is_free { vip % holders } else { 0 });
            order
        };
        let seat = |vip| SeatConfig {
            vip: address(vip),
            beside: vec![],
            order: order_of(vip),
            networks: 1 << CLIENTS,
            listens: LISTENS,
            needs_proof: self.script.proof,
            last_man: self.script.last_man.then_some(ALONE),
            rule: self.script.rules.get(vip).cloned().unwrap_or_default(),
        };
        let this = &self.hosts[host];
        let listed = this.list.as_ref().filter(|_| !this.unread);
        Config {
            node: node(host),
            life,
            closed,
            nodes: node(order.len()),
            networks: u8::try_from(NETWORKS).unwrap_or(u8::MAX),
            joined: if self.script.numbered { this.machine } else { 0 },
            voters: listed.map_or_else(|| by_file(order.len()), voters),
            unread: this.unread,
            beat: self.script.beat,
            span: pace::span(self.script.beat),
            referred: 0,
            settle: quiet::SETTLE,
            calm: if self.script.rules.is_empty() { CALM } else { placed::CALM },
            seats: (0..self.script.vips).map(seat).collect(),
        }
    }
}
