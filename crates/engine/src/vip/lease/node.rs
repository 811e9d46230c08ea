//! What all virtual IPs of a node share: who was heard, what was sent, who votes, and since when it runs.

use std::time::Duration;

use base::Time;

use super::alone::Alone;
use super::beat::{self, Epoch, Head, Reach};
use super::claim::Sent;
use super::ears::{Ears, Hears};
use super::pace::{Keeper, Pace, Said};
use super::spread::bit;
use super::voter::Word;
use super::voters::Set;
use super::{Cause, Config, MAX_SPAN, hold};
use crate::packet::MAX_NETWORKS;

mod bequest;
mod votes;

/// The newest that was heard of another node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Life 0: nothing yet.
    pub word: Word,
    pub heard: Time,
    pub closed: bool,
    pub leaving: bool,
    /// It holds something without a majority.
    pub alone: bool,
    /// It was said after this process began: what was said earlier may come late, and is no news of the present.
    pub fresh: bool,
    pub epoch: Epoch,
    wish: Duration,
    beat: Duration,
    pub span: Duration,
    /// Whether it heard this life of this node.
    pub acks_this_life: bool,
    pub acked_serial: u64,
    /// Whom it hears, as it says.
    hears: Hears,
    reach: Reach,
    /// It says that it coordinates.
    leads: bool,
    /// When its machine joined; 0: it never said.
    joined: u64,
}

/// What a beat has that is newer than all that was heard of its sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// It is of another life than before.
    pub reborn: bool,
    /// It is of another machine than before.
    pub follows: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    me: u16,
    /// When this machine joined; 0: machines are not told apart.
    joined: u64,
    life: u64,
    closed: bool,
    pace: Keeper,
    now: Time,
    silent_until: Time,
    leaving: bool,
    alone: Alone,
    peers: Vec<Peer>,
    /// By node.
    ears: Vec<Ears>,
    networks: u8,
    /// Whom this node hears, and whom it said that it hears in its last beat.
    hears: Hears,
    said: Hears,
    /// By network: since when this node hears nobody there whom it hears elsewhere.
    deaf: [Option<Time>; MAX_NETWORKS],
    reach: Reach,
    /// By network: since when no reference point answers this node there.
    unreached: [Option<Time>; MAX_NETWORKS],
    settle: Duration,
    /// Those that are proven dead: they are named by nobody, and granted nothing by this node.
    dead: Vec<bool>,
    /// This node coordinates.
    leads: bool,
    sent: Sent,
    set: Set,
}

impl Node {
    pub(super) fn new(config: &Config, now: Time) -> Self {
        let unheard = Peer {
            word: Word { life: 0, serial: 0 },
            heard: Time::ZERO,
            closed: false,
            leaving: false,
            alone: false,
            fresh: false,
            epoch: Epoch::Hash(0),
            wish: Duration::ZERO,
            beat: Duration::ZERO,
            span: Duration::ZERO,
            acks_this_life: false,
            acked_serial: 0,
            hears: Hears::default(),
            reach: Reach::default(),
            leads: false,
            joined: 0,
        };
        let nobody = Hears::nobody(config.networks);
        let span = beat::whole_tenths(config.span.min(MAX_SPAN));
        let voters = config.voters.clone();
        Self {
            me: config.node,
            joined: config.joined,
            life: config.life,
            closed: config.closed,
            pace: Keeper::new(config.beat.min(span / 2), span),
            now,
            // What the former process of this node promised ends before.
            silent_until: now + hold(MAX_SPAN),
            leaving: false,
            alone: Alone::new(config.referred),
            peers: vec![unheard; usize::from(config.nodes)],
            ears: vec![Ears::new(); usize::from(config.nodes)],
            networks: nobody.networks(),
            hears: nobody,
            said: nobody,
            deaf: [None; MAX_NETWORKS],
            reach: Reach::default(),
            unreached: [None; MAX_NETWORKS],
            settle: config.settle,
            dead: vec![false; usize::from(config.nodes)],
            leads: false,
            sent: Sent::default(),
            set: if config.unread { Set::unread(voters, now) } else { Set::new(voters, now) },
        }
    }

    /// Takes in a beat that is newer than all that was heard of its sender; none: it is not, and says only on which
    /// network that is heard. Of two machines the one that joined later is the newer one: the other was replaced.
    pub(super) fn hear(&mut self, network: u8, from: u16, life: u64, head: &Head) -> Option<News> {
        let word = Word { life, serial: head.serial };
        let peer = self.peers.get_mut(usize::from(from)).filter(|_| from != self.me)?;
        let reborn = peer.word.life != life;
        let joined = if head.joined == 0 { peer.joined } else { head.joined };
        let follows = reborn && peer.word.life != 0 && joined != peer.joined;
        let ears = &mut self.ears[usize::from(from)];
        if follows && joined > peer.joined {
            *ears = Ears::new();
        } else if joined < peer.joined {
            return None;
        } else if word <= peer.word {
            ears.hear(self.now, network, word);
            return None;
        }
        ears.hear(self.now, network, word);
        *peer = Peer {
            word,
            heard: self.now,
            closed: head.closed,
            leaving: head.leaving,
            alone: head.alone,
            fresh: peer.fresh && !follows || head.acked_life == self.life,
            epoch: head.epoch,
            wish: head.wish,
            beat: head.beat,
            span: head.span,
            acks_this_life: head.acked_life == self.life,
            acked_serial: head.acked_serial,
            hears: head.hears,
            reach: head.reach,
            leads: head.leads,
            joined,
        };
        Some(News { reborn, follows })
    }

    pub(super) fn head(&self, to: u16) -> Head {
        let acked = self.peer(to).word;
        let Pace { wish, beat, span, .. } = self.pace.pace();
        Head {
            silent: self.is_silent() || self.set.is_unread(),
            closed: self.closed,
            leaving: self.leaving,
            alone: self.alone.holds,
            epoch: self.set.voters().epoch(),
            wish,
            beat,
            span,
            serial: self.sent.newest(),
            acked_life: acked.life,
            acked_serial: acked.serial,
            hears: self.said,
            reach: self.reach,
            leads: self.leads,
            joined: self.joined,
        }
    }

    /// A beat is ordered: from this moment on it counts.
    pub(super) fn sends(&mut self) {
        self.sent.note(self.now, self.span());
        self.said = self.hears;
    }

    /// How late this process is once in a thousand times.
    pub(super) fn late(&mut self, usual: Option<Duration>) {
        self.pace.late(self.now, usual);
    }

    /// With all that came until now: how often it beats. Says whether others should know at once.
    pub(super) fn paces(&mut self) -> bool {
        let peers = (0..).zip(&self.peers).zip(&self.dead);
        let peers =
            peers.filter(|((_, peer), dead)| peer.word.life != 0 && !peer.leaving && !**dead);
        let said = peers.map(|((node, peer), _)| Said {
            node,
            heard: peer.heard,
            wish: peer.wish,
            beat: peer.beat,
        });
        self.pace.settle(self.now, said)
    }

    pub(super) const fn pace(&self) -> Pace {
        self.pace.pace()
    }

    /// Until the next beat is due.
    pub(super) const fn interval(&self) -> Duration {
        self.pace.interval()
    }

    /// With all that came until now: whom this node hears where. Says whether others should know at once.
    pub(super) fn listens(&mut self) -> bool {
        let mut hears = Hears::nobody(self.networks);
        for node in (0..).take(self.peers.len()).filter(|node| self.hears(*node)) {
            let (newest, patience) = (self.peer(node).word.serial, self.patience(node));
            let ears = &self.ears[usize::from(node)];
            let on = |network: &u8| ears.on(self.now, *network, newest, patience);
            for network in (0..self.networks).filter(on) {
                hears.add(network, node, ears.is_young(self.now, network, patience / 5 * 2));
            }
        }
        self.hears = hears;
        for (network, deaf) in (0..).zip(&mut self.deaf) {
            *deaf = hears.is_deaf(network).then(|| deaf.unwrap_or(self.now));
        }
        let nobody = !(0..).take(self.peers.len()).any(|node| self.hears(node));
        self.alone.listens(self.now, nobody);
        hears.lost_since(&self.said)
    }

    pub(super) const fn links(&mut self, network: u8, up: bool) {
        self.alone.links(network, up);
    }

    pub(super) fn hears_agent(&mut self, node: u16, heard: bool) {
        if node != self.me && self.knows(node) {
            self.alone.hears_agent(node, heard);
        }
    }

    pub(super) const fn holds_alone(&mut self, holds: bool) {
        self.alone.holds = holds;
    }

    /// Whether no other node was heard for so long, and nothing says that it is this one which is cut off.
    pub(super) fn is_last(&self, networks: u8, after: Duration) -> bool {
        self.now >= self.last_at(after) && self.alone.is_well(networks, self.reach)
    }

    /// Whether it is still so that nothing says that it is this one which is cut off.
    pub(super) fn is_well(&self, networks: u8) -> bool {
        self.alone.is_well(networks, self.reach)
    }

    /// Whether no other node is heard, by the vip process or the agent.
    pub(super) const fn hears_nobody(&self) -> bool {
        self.alone.hears_nobody()
    }

    /// When no other node was heard for so long, if none is until then.
    pub(super) fn last_at(&self, after: Duration) -> Time {
        self.alone.since().map_or(Time::NEVER, |since| since + after)
    }

    /// When the next node is missed on one network, if nothing of it comes there.
    pub(super) fn misses_at(&self) -> Time {
        let of = |node: u16| {
            let (newest, patience) = (self.peer(node).word.serial, self.patience(node));
            self.ears[usize::from(node)].changes_at(self.networks, newest, patience)
        };
        let nodes = (0..).take(self.peers.len()).filter(|node| self.hears(*node));
        nodes.map(of).filter(|at| *at > self.now).min().unwrap_or(Time::NEVER)
    }

    /// Two and a half beats of the slower of the two.
    fn patience(&self, other: u16) -> Duration {
        self.beat().max(self.peer(other).beat) / 2 * 5
    }

    /// What is known of the reference points on a network; says whether it is another word than before.
    pub(super) fn refers(&mut self, network: u8, answers: Option<bool>) -> bool {
        let Some(since) = self.unreached.get_mut(usize::from(network)) else { return false };
        *since = (answers == Some(false)).then(|| since.unwrap_or(self.now));
        let before = self.reach;
        self.reach.set(network, answers);
        self.reach != before
    }

    /// Whether reference points on a network answer that node, as it says.
    pub(super) fn reaches(&self, node: u16, network: u8) -> Option<bool> {
        let reach = if node == self.me { self.reach } else { self.peer(node).reach };
        reach.on(network)
    }

    /// From when on it is known whether the others are answered, where this node is not: all of them had the time to notice.
    pub(super) fn lacks_from(&self, network: u8) -> Option<Time> {
        let since = self.unreached.get(usize::from(network)).copied().flatten();
        since.map(|since| since + self.settle)
    }

    /// Whom that node hears, as far as this one knows.
    fn hearing_of(&self, node: u16) -> Option<&Hears> {
        if node == self.me {
            return Some(&self.hears);
        }
        self.hears(node).then(|| &self.peer(node).hears)
    }

    /// Everybody who says whom it hears, but that one.
    fn others(&self, but: u16) -> impl Iterator<Item = (u16, &Hears)> {
        let nodes = (0..).take(self.peers.len()).filter(move |node| *node != but);
        nodes.filter_map(|node| Some((node, self.hearing_of(node)?)))
    }

    /// Whether a node is gone from one network alone: of all who hear it elsewhere nobody does there, or it hears nobody there
    /// whom it hears elsewhere.
    pub(super) fn is_off(&self, node: u16, network: u8) -> bool {
        let mut telling = self.others(node).filter(|(_, hears)| hears.anywhere(node)).peekable();
        let missed = telling.peek().is_some() && telling.all(|(_, hears)| !hears.on(network, node));
        missed || self.hearing_of(node).is_some_and(|hears| hears.is_deaf(network))
    }

    /// Whether that node is heard on a network that this one is gone from, by somebody who said so after it was: where
    /// the whole network ends, nobody does.
    pub(super) fn is_outdone(&self, node: u16, network: u8) -> bool {
        let deaf = self.deaf.get(usize::from(network)).copied().flatten();
        let mut others = self.others(node).filter(|(by, _)| *by != self.me);
        let is_better = others.any(|(by, hears)| {
            let since = deaf.is_some_and(|since| self.peer(by).heard > since);
            (since || !hears.on(network, self.me)) && hears.young(network, node)
        });
        is_better && !self.is_off(node, network)
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

    /// Whether this node coordinates; says whether that is news.
    pub(super) const fn coordinates(&mut self, leads: bool) -> bool {
        let is_news = self.leads != leads;
        self.leads = leads;
        is_news
    }

    pub(super) fn is_coordinator(&self, node: u16) -> bool {
        let says = |peer: &Peer| peer.leads && self.hears(node);
        if node == self.me {
            self.leads
        } else {
            self.peers.get(usize::from(node)).is_some_and(says)
        }
    }

    /// Who hears all that are heard by anybody on a network, or anywhere, and is heard there by all; a bit for each node.
    pub(super) fn whole(&self, network: Option<u8>) -> u32 {
        let all =
            || (0..).take(self.peers.len()).filter_map(|node| Some((node, self.hearing_of(node)?)));
        let own = all().fold(0, |nodes, (node, _)| nodes | bit(node));
        let (mut any, mut every) = (own, own);
        for (node, hears) in all() {
            let heard = hears.those(network) | bit(node);
            (any, every) = (any | heard, every & heard);
        }
        let hears_all = all().filter(|(node, hears)| hears.those(network) | bit(*node) == any);
        hears_all.fold(0, |nodes, (node, _)| nodes | bit(node)) & every
    }

    pub(super) const fn leaves(&mut self) {
        self.leaving = true;
    }

    /// It acknowledged what this node sent within the last vip lease.
    pub(super) fn answers(&self, other: u16) -> bool {
        let Some(peer) = self.peers.get(usize::from(other)) else { return false };
        let sent = self.sent.at(peer.acked_serial).filter(|_| peer.acks_this_life);
        self.hears(other) && sent.is_some_and(|at| self.now.since(at) <= self.span())
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
        peer.word.life != 0 && self.now.since(peer.heard) <= self.beat().max(peer.beat) / 2 * halves
    }

    /// Nothing was heard of who is no node of the cluster.
    pub(super) fn peer(&self, other: u16) -> &Peer {
        &self.peers[usize::from(other)]
    }

    pub(super) fn knows(&self, other: u16) -> bool {
        usize::from(other) < self.peers.len()
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
        self.pace.pace().beat
    }

    pub(super) const fn span(&self) -> Duration {
        self.pace.pace().span
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
