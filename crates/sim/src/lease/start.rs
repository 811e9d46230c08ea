//! A process begins.

use std::collections::VecDeque;
use std::time::Duration;

use base::Time;
use engine::vip::lease::{BEAT, CALM, Config, Rule, SeatConfig, VipLease, Voters, pace};

use super::Mark;
use super::host::{Left, Process, Stage, Told};
use super::quiet::{self, CLIENTS};
use super::run::{ALONE, Event, LISTENS, NETWORKS, World, address, node};

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
        let order: Vec<u16> = (0_u16..).take(self.hosts.len()).collect();
        let holders = order.len() - usize::from(self.script.voter);
        let seat = |vip| SeatConfig {
            vip: address(vip),
            order: order[..holders].to_vec(),
            network: Some(CLIENTS),
            listens: LISTENS,
            needs_proof: self.script.proof,
            last_man: self.script.last_man.then_some(ALONE),
            rule: Rule::default(),
        };
        let this = &mut self.hosts[host];
        this.lives += 1;
        let voters = if self.script.numbered {
            self.store.list(this.list)
        } else {
            Voters::new(None, &order).expect("at most five")
        };
        let config = Config {
            node: node(host),
            life: this.lives,
            closed: closes,
            nodes: node(order.len()),
            networks: u8::try_from(NETWORKS).unwrap_or(u8::MAX),
            voters,
            beat: self.script.beat,
            span: pace::span(self.script.beat),
            referred: 0,
            settle: quiet::SETTLE,
            calm: CALM,
            seats: (0..self.script.vips).map(seat).collect(),
        };
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
        // What was newest when it started may be so no more.
        let delay = self.chance.span(Duration::from_millis(400));
        self.after(delay, Event::Learns { host });
        if self.script.beat < BEAT {
            let life = self.hosts[host].lives;
            let delay = Duration::from_millis(50) + self.chance.span(Duration::from_millis(300));
            self.after(delay, Event::Measured { host, life });
        }
    }
}
