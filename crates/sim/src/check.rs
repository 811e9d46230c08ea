//! What must be true after every step.

use std::time::Duration;

use base::Time;
use engine::vip::{Balancer, Cause};

use crate::Sim;
use crate::network::{MANAGEMENT, Weather};
use crate::node::{INBOX, Node, Power};

/// Without news for so long, the cloud has settled: three adverts missed, the largest skew, a node
/// that doubts itself first, and the way; and all of it once more for a node that heard only the
/// one that gave way meanwhile (seed 2403).
const SETTLED: Duration = Duration::from_secs(7);
/// Two masters that hear each other again: one advert, and its answer.
const AGREED: Duration = Duration::from_secs(4);
/// Four nodes that greet and beat on two networks stay far below in the worst weather.
const MAX_IN_FLIGHT: usize = 1000;

impl Sim {
    /// Panics with the seed and the story when the cloud is as it may never be.
    pub(crate) fn inspect(&self) {
        for node in &self.nodes {
            if let Some(what) = wrong(node) {
                self.fail(&format!("{} {what}", node.name));
            }
        }
        if self.network.in_flight() >= MAX_IN_FLIGHT {
            self.fail(&format!("{} packets are in flight", self.network.in_flight()));
        }
        // A stronger foreign router that preempts takes the address without asking (RFC 3768).
        let rude = self.nodes.iter().any(|node| node.foreign && node.preempt);
        // Where a node hears two that do not hear each other, each of them may hold, and name it.
        let torn = self.network.is_torn();
        let last = if rude || torn { self.disturbed_at } else { self.shaken_at };
        if self.quiet(last, AGREED) {
            self.inspect_rivals();
        }
        if self.quiet(self.disturbed_at, SETTLED) {
            self.inspect_absence();
            self.inspect_clients();
        }
    }

    fn quiet(&self, last: Time, span: Duration) -> bool {
        let span = span + self.patience();
        self.network.weather == Weather::CALM && self.now.since(last) > span
    }

    /// A weaker holder is left in peace for so long, and deposed by silence one whole wait later; then perhaps that one is
    /// the weaker one.
    fn patience(&self) -> Duration {
        match self.preempt_delay {
            Duration::ZERO => Duration::ZERO,
            delay => (delay + Duration::from_secs(4)) * 2,
        }
    }

    /// Faults that leave everybody able to hear never make two holders, not for a moment.
    fn inspect_rivals(&self) {
        let holders = || (0..).zip(&self.nodes).filter(|(_, node)| node.answers());
        for (a, first) in holders() {
            for (b, second) in holders().filter(|(b, _)| *b > a) {
                if self.network.joins(a, b, MANAGEMENT) {
                    self.fail(&format!("{} and {} both hold", first.name, second.name));
                }
            }
        }
    }

    /// Every part of the network with a node that could hold has one that does.
    fn inspect_absence(&self) {
        for (a, node) in (0..).zip(&self.nodes) {
            if node.eligible() && !self.reaches_holder(a) {
                self.fail(&format!("nobody holds where {} could", node.name));
            }
        }
    }

    /// Once the network is whole, clients find the holder: every conflict and every return ends with
    /// its gratuitous ARP. A holder that is alone with its clients has nobody to remind it.
    fn inspect_clients(&self) {
        let linked = |node: &&Node| node.acts() && node.carrier[0] && !node.foreign;
        if !self.network.is_whole(MANAGEMENT) || self.nodes.iter().filter(linked).count() < 2 {
            return;
        }
        let holder = self.nodes.iter().position(|node| node.answers() && !node.foreign);
        if let Some(holder) = holder.filter(|holder| self.believed != Some(*holder)) {
            self.fail(&format!(
                "clients do not look for the address at {}",
                self.nodes[holder].name
            ));
        }
    }

    fn reaches_holder(&self, from: usize) -> bool {
        let mut seen = vec![from];
        let mut next = 0;
        while let Some(at) = seen.get(next).copied() {
            next += 1;
            if self.nodes[at].answers() {
                return true;
            }
            let near = |to: &usize| {
                let node = &self.nodes[*to];
                node.runs() && node.carrier[0] && self.network.joins(at, *to, MANAGEMENT)
            };
            let news: Vec<usize> =
                (0..self.nodes.len()).filter(near).filter(|to| !seen.contains(to)).collect();
            seen.extend(news);
        }
        false
    }

    /// Before the claim is done.
    pub(crate) fn inspect_claim(&self, index: usize, cause: Option<Cause>) {
        let node = &self.nodes[index];
        // Silence that is none: an advert came this lately.
        let deaf = node.heard_at.is_none_or(|at| self.now.since(at) >= node.speech.interval);
        let doubt = match cause {
            Some(Cause::Silence) if deaf => None,
            Some(Cause::Silence) => Some("claims by silence just after an advert"),
            Some(Cause::Named | Cause::Goodbye) => None,
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
                | Cause::ProvenDead
                | Cause::InUse
                | Cause::Together
                | Cause::Moved,
            )
            | None => Some("claims without a cause"),
        };
        if let Some(doubt) = doubt {
            self.fail(&format!("{} {doubt}", node.name));
        }
        if self.quiet(self.disturbed_at, SETTLED) {
            self.fail(&format!("{} claims ({cause:?}) though nothing happened", node.name));
        }
    }

    pub(crate) fn failure(&self, what: &str) -> String {
        format!("seed {}: at {}: {what}\n{}", self.seed, self.now, self.log)
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{}", self.failure(what))
    }
}

/// What one node alone may never be.
fn wrong(node: &Node) -> Option<&'static str> {
    if node.inbox.len() > INBOX {
        return Some("has a queue without a bound");
    }
    if !node.held {
        return None;
    }
    if node.power == Power::Off {
        Some("holds without power")
    } else if node.vip.is_none() {
        Some("holds without a process")
    } else if node.acts() && !node.carrier[0] {
        Some("holds without a carrier")
    } else if node.acts() && !node.foreign && node.balancer == Balancer::Failed {
        Some("holds with a failed balancer")
    } else {
        None
    }
}
