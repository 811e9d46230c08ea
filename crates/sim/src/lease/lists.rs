//! Who votes: what hosts are told of the store, and what it is told of them.

use std::time::Duration;

use engine::vip::lease::Epoch;
use engine::vip::lease::proposer::List;

use super::Mark;
use super::host::{Host, Told};
use super::run::{Event, World};
use super::store::{by_file, controller, voters};

impl World<'_> {
    pub(super) fn propose(&mut self) {
        if !self.script.numbered {
            return;
        }
        for (number, host) in self.hosts.iter().enumerate() {
            if self.now >= host.deaf_until {
                self.store.hears(number, host);
            }
        }
        let Some(mark) = self.store.propose(&self.hosts, self.now) else { return };
        self.outcome.marks.reach(mark);
        let list = self.store.list.clone();
        self.tell(|| format!("{mark:?}: {list:?}"));
        for host in 0..self.hosts.len() {
            let delay = self.chance.span(Duration::from_millis(400));
            self.after(delay, Event::Learns { host });
        }
    }

    /// Whether it is a controller, as nobody replaces another node, and enough of the newest list are left then: no list mends a majority
    /// that is lost.
    pub(super) fn may_be_replaced(&self, host: usize) -> bool {
        let stays = |of: &usize| *of != host && self.hosts[*of].powered;
        let stay = (0..self.hosts.len()).filter(stays);
        let stay: Vec<_> = stay.map(|of| controller(of, self.hosts[of].machine)).collect();
        let is_there = self.hosts[host].powered && self.store.is_wanted(host);
        is_there && self.store.is_majority(|voter| stay.contains(voter))
    }

    /// Under the newest list.
    fn is_settled(&self, host: &Host) -> bool {
        let newest = self.store.newest().map(Epoch::Number);
        let settled = host.process.as_ref().and_then(|process| process.machine.settled());
        newest.is_some() && settled == newest
    }

    /// Whether a claim of this host is under an older list than the newest, which a majority is settled under.
    pub(super) fn is_late(&self, host: usize) -> bool {
        let number = |list: &Option<List>| list.as_ref().map(|list| list.number);
        let is_settled = |number: usize| self.is_settled(&self.hosts[number]);
        number(&self.hosts[host].list) < self.store.newest()
            && self.store.is_majority(|voter| voter.name.parse().is_ok_and(is_settled))
    }

    /// It reads the store, if that is not away: the disk first, then the process.
    pub(super) fn learns(&mut self, host: usize) {
        let deaf = self.hosts[host].deaf_until;
        if self.now < deaf {
            return self.at(deaf, Event::Learns { host });
        }
        if !self.script.numbered || self.hosts[host].process.is_none() {
            return;
        }
        if self.hosts[host].unread {
            // Before anybody goes by what is read.
            self.store.boots(host, self.hosts[host].machine);
        }
        let (newest, hosts) = (self.store.list.clone(), self.hosts.len());
        let this = &mut self.hosts[host];
        let Some(list) = newest else {
            // Who went by a list once knows that there were some.
            if this.list.is_none() {
                this.unread = false;
                self.order(host, Told::Voters(by_file(hosts)));
            }
            return;
        };
        let before = this.list.as_ref().map(|list| list.number);
        if !this.unread && before >= Some(list.number) {
            return;
        }
        this.unread = false;
        this.list = Some(list.clone());
        if before.is_some_and(|before| list.number > before && !list.number.follows(before)) {
            self.outcome.marks.reach(Mark::Missed);
        }
        let is_older =
            |other: &Host| other.list.as_ref().is_none_or(|own| own.number < list.number);
        let holds = |other: &Host| {
            is_older(other) && (0..self.script.vips).any(|vip| other.answers(vip, self.now))
        };
        if self.hosts.iter().enumerate().any(|(other, known)| other != host && holds(known)) {
            self.outcome.marks.reach(Mark::Behind);
        }
        self.order(host, Told::Voters(voters(&list)));
    }
}
