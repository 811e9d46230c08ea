//! Hosts that are proven dead, and addresses that leave nobody before that; hosts that hold without a majority.

use std::time::Duration;

use super::host::{Left, Told};
use super::run::{World, nanos, node};
use super::{Mark, PROOF};

/// After a cut is mended they have to know within this time who holds by votes.
const MENDED: Duration = Duration::from_millis(700);

impl World<'_> {
    /// Whether these may all have opened an address: where it is allowed, one at most by votes, and not long after all hear
    /// each other again.
    pub(super) fn may_be_two(&self, vip: usize, open: &[usize]) -> bool {
        let by_votes = open.iter().filter(|host| !self.hosts[**host].alone[vip]).count();
        let is_cut = self.storms || self.now < self.calm_at + nanos(MENDED);
        self.script.last_man && by_votes <= 1 && is_cut
    }

    /// Somebody looked: it has no power.
    pub(super) fn confirm(&mut self, host: usize) {
        if !self.hosts[host].powered {
            self.prove(host, true);
            self.leaves(host, Left::Proven);
        }
    }

    /// All others are told whether it is.
    pub(super) fn prove(&mut self, host: usize, dead: bool) {
        self.hosts[host].proven = dead;
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.order(other, Told::Proven { node: node(host), dead });
        }
    }

    /// What a process that begins is told.
    pub(super) fn recall_proven(&mut self, host: usize) {
        for other in 0..self.hosts.len() {
            if self.hosts[other].proven && other != host {
                self.order(host, Told::Proven { node: node(other), dead: true });
            }
        }
    }

    /// It has let go of all that it had.
    pub(super) fn leaves(&mut self, host: usize, how: Left) {
        let last = self.answered.iter_mut().flatten().filter(|(by, _)| *by == host);
        last.for_each(|(_, left)| *left = how);
    }

    /// Whether it opened rightly where an address stays until it is known to have left.
    pub(super) fn follows(&mut self, host: usize, vip: usize, opens: bool) {
        let last = self.answered[vip];
        if !opens {
            let own = last.filter(|(before, left)| *before == host && *left == Left::No);
            self.answered[vip] = own.map(|_| (host, Left::Said)).or(last);
            return;
        }
        self.answered[vip] = Some((host, Left::No));
        match last.filter(|(before, _)| *before != host && self.script.proof) {
            Some((before, Left::No)) => {
                let what = format!("address {vip} left host {before} for {host} without proof");
                self.break_off(PROOF, what);
            }
            Some((_, Left::Proven)) => self.outcome.marks.reach(Mark::Proven),
            Some((_, Left::Said)) | None => {}
        }
    }
}
