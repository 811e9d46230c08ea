//! What all virtual IPs of a node share: who was heard, what was sent, who votes, and since when it runs.

use std::time::Duration;

use base::Time;

use super::beat::{self, Epoch, Head};
use super::claim::{Claim, Sent};
use super::voter::Word;
use super::voters::{Set, Voters};
use super::{Cause, Config, MAX_SPAN, hold};

/// The newest that was heard of another node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Life 0: nothing yet.
    pub word: Word,
    pub heard: Time,
    pub closed: bool,
    pub epoch: Epoch,
    beat: Duration,
    pub span: Duration,
    /// Whether it heard this life of this node.
    pub acks_this_life: bool,
    pub acked_serial: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    me: u16,
    life: u64,
    closed: bool,
    beat: Duration,
    span: Duration,
    now: Time,
    silent_until: Time,
    leaving: bool,
    peers: Vec<Peer>,
    /// Those that are proven dead: they are named by nobody, and granted nothing by this node.
    dead: Vec<bool>,
    sent: Sent,
    set: Set,
}

impl Node {
    pub(super) fn new(config: &Config, now: Time) -> Self {
        let unheard = Peer {
            word: Word { life: 0, serial: 0 },
            heard: Time::ZERO,
            closed: false,
            epoch: Epoch::Hash(0),
            beat: Duration::ZERO,
            span: Duration::ZERO,
            acks_this_life: false,
            acked_serial: 0,
        };
        let span = beat::whole_tenths(config.span.min(MAX_SPAN));
        Self {
            me: config.node,
            life: config.life,
            closed: config.closed,
            beat: config.beat.min(span / 2),
            span,
            now,
            // What the former process of this node promised ends before.
            silent_until: now + hold(MAX_SPAN),
            leaving: false,
            peers: vec![unheard; usize::from(config.nodes)],
            dead: vec![false; usize::from(config.nodes)],
            sent: Sent::default(),
            set: Set::new(config.voters.clone(), now),
        }
    }

    /// Takes in a beat that is newer than all that was heard of its sender; none: it is not. The bool says
    /// that it is of another life than before.
    pub(super) fn hear(&mut self, from: u16, life: u64, head: &Head) -> Option<bool> {
        let word = Word { life, serial: head.serial };
        let peer = self.peers.get_mut(usize::from(from)).filter(|_| from != self.me)?;
        if word <= peer.word {
            return None;
        }
        let reborn = peer.word.life != life;
        *peer = Peer {
            word,
            heard: self.now,
            closed: head.closed,
            epoch: head.epoch,
            beat: head.beat,
            span: head.span,
            acks_this_life: head.acked_life == self.life,
            acked_serial: head.acked_serial,
        };
        Some(reborn)
    }

    pub(super) fn head(&self, to: u16) -> Head {
        let acked = self.peer(to).word;
        Head {
            silent: self.is_silent(),
            closed: self.closed,
            epoch: self.set.voters().epoch(),
            beat: self.beat,
            span: self.span,
            serial: self.sent.newest(),
            acked_life: acked.life,
            acked_serial: acked.serial,
        }
    }

    /// A beat is ordered: from this moment on it counts.
    pub(super) fn sends(&mut self) {
        self.sent.note(self.now);
    }

    pub(super) const fn wakes(&mut self, now: Time) {
        self.now = now;
    }

    pub(super) fn proven(&mut self, node: u16, dead: bool) {
        if let Some(known) = self.dead.get_mut(usize::from(node)) {
            *known = dead;
        }
    }

    pub(super) fn is_dead(&self, node: u16) -> bool {
        self.dead.get(usize::from(node)) == Some(&true)
    }

    pub(super) const fn leaves(&mut self) {
        self.leaving = true;
    }

    pub(super) fn adopt(&mut self, voters: Voters) -> bool {
        self.set.adopt(self.now, voters)
    }

    pub(super) fn until(&self, claim: &Claim) -> Option<Time> {
        claim.until(self.now, self.me, &self.set, &self.sent, self.span)
    }

    /// Whether a majority of the voters, this node among them if it is one, hears and is heard, and counts now.
    pub(super) fn has_majority(&self) -> bool {
        let Some(voters) = self.set.counted(self.now).next() else { return false };
        let there =
            voters.nodes().iter().filter(|voter| **voter == self.me || self.answers(**voter));
        there.count() >= voters.majority()
    }

    /// It acknowledged what this node sent within the last vip lease.
    pub(super) fn answers(&self, other: u16) -> bool {
        let Some(peer) = self.peers.get(usize::from(other)) else { return false };
        let sent = self.sent.at(peer.acked_serial).filter(|_| peer.acks_this_life);
        self.hears(other) && sent.is_some_and(|at| self.now.since(at) <= self.span)
    }

    /// At most one of its beats is missing.
    pub(super) fn hears(&self, other: u16) -> bool {
        self.heard_within(other, 5)
    }

    /// Its last beat was this one.
    pub(super) fn hears_now(&self, other: u16) -> bool {
        self.heard_within(other, 2)
    }

    /// In half beats of the slower of the two.
    fn heard_within(&self, other: u16, halves: u32) -> bool {
        let Some(peer) = self.peers.get(usize::from(other)) else { return false };
        peer.word.life != 0 && self.now.since(peer.heard) <= self.beat.max(peer.beat) / 2 * halves
    }

    /// Nothing was heard of who is no node of the cluster.
    pub(super) fn peer(&self, other: u16) -> &Peer {
        &self.peers[usize::from(other)]
    }

    pub(super) fn knows(&self, other: u16) -> bool {
        usize::from(other) < self.peers.len()
    }

    /// Among the voters, from 1 on: no two have the same.
    pub(super) fn place(&self) -> u32 {
        let nodes = self.set.voters().nodes();
        let place = nodes.iter().position(|node| *node == self.me).unwrap_or(nodes.len());
        u32::try_from(place + 1).unwrap_or(u32::MAX)
    }

    pub(super) const fn me(&self) -> u16 {
        self.me
    }

    pub(super) const fn life(&self) -> u64 {
        self.life
    }

    pub(super) const fn now(&self) -> Time {
        self.now
    }

    pub(super) const fn beat(&self) -> Duration {
        self.beat
    }

    pub(super) const fn span(&self) -> Duration {
        self.span
    }

    pub(super) const fn set(&self) -> &Set {
        &self.set
    }

    pub(super) const fn silent_until(&self) -> Time {
        self.silent_until
    }

    pub(super) fn is_silent(&self) -> bool {
        self.now < self.silent_until
    }

    pub(super) fn leaving(&self) -> Option<Cause> {
        self.leaving.then_some(Cause::Fact(crate::vip::Cause::Stopping))
    }

    pub(super) const fn next_serial(&self) -> u64 {
        self.sent.newest() + 1
    }
}
