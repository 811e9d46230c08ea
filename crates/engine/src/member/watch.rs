//! The verdict on every other node: beats, views and the rest of the evidence come in, [`judge`] decides.
//!
//! The link of a node on a network is lost when nothing came for the tolerated silence, and is back when
//! beats have come without a break for the hold time, or at once with a new start of that node.

use std::collections::VecDeque;
use std::time::Duration;

use arrayvec::ArrayVec;
use base::Time;

use super::beat::Beat;
use super::peer::Peer;
use super::tether::Tether;
use super::{FLAPS, FLAPS_WITHIN, STEADY_FOR};
use crate::evidence::Ailments;
use crate::keep::kept;
use crate::packet::MAX_NETWORKS;
use crate::reach::{Networks, Nodes, Reach, Row, View};
use crate::verdict::{
    self, Case, Judgement, Other, Own, Proof, RULES, Rule, Times, Verdict, judge,
};
use patience::{Silence, Stalls};

mod patience;
mod told;

/// What this node thinks of all others.
#[derive(Debug)]
pub(super) struct Watch {
    me: u16,
    times: Times,
    pub(super) reach: Reach,
    view: View,
    own_row: Row,
    nodes: Vec<Seen>,
    stalls: Stalls,
    /// The view is new: everybody is looked at again.
    changed: bool,
}

/// What is known of one node beside its beats.
#[derive(Debug)]
struct Seen {
    verdict: Verdict,
    rule: &'static Rule,
    /// When time alone may change the verdict.
    due: Time,
    links: [Link; MAX_NETWORKS],
    /// Of the row that is known, and until when it has just started.
    life: u64,
    young_until: Time,
    /// Heard, or heard of, in its present life.
    known_since: Option<Time>,
    goodbye: bool,
    cut: Networks,
    cut_since: Time,
    refused: Option<(Time, Time)>,
    tether: Tether,
    ailments: Ailments,
    ailing_since: Time,
    failing_since: Option<Time>,
    /// Its own stalls, as it says.
    stall: Duration,
    /// When it came back from silence, newest last.
    returns: VecDeque<Time>,
    quarantined_until: Time,
    /// It is in a maintenance window.
    planned: bool,
    proof: Option<Proof>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    last: Option<Time>,
    lost: bool,
    /// Since when beats come again without a break.
    back_since: Option<Time>,
}

/// What a look needs to know of this node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here<'a> {
    pub(super) now: Time,
    pub(super) judge_from: Time,
    pub(super) own_carrier: &'a [bool; MAX_NETWORKS],
    pub(super) reference: bool,
}

kept!(Watch { me, times, reach, view, own_row, nodes, stalls, changed });
kept!(Link { last, lost, back_since });
kept!(Seen {
    verdict,
    rule,
    due,
    links,
    life,
    young_until,
    known_since,
    goodbye,
    cut,
    cut_since,
    refused,
    tether,
    ailments,
    ailing_since,
    failing_since,
    stall,
    returns,
    quarantined_until,
    planned,
    proof,
});

impl Watch {
    /// For one that was read from bytes: whether it is of these nodes.
    pub(super) fn fits(&self, me: u16, nodes: usize) -> bool {
        self.me == me
            && self.nodes.len() == nodes
            && self.own_row.node == me
            && self.own_row.version < u32::MAX
            && self.reach.fits(me, nodes)
    }

    pub(super) fn new(me: u16, life: u64, peers: &[Peer], networks: usize, times: Times) -> Self {
        let on = std::array::from_fn(|network| {
            let network = u8::try_from(network).unwrap_or(u8::MAX);
            (0..).zip(peers).filter(|(_, peer)| peer.is_on(network)).map(|(node, _)| node).collect()
        });
        let mut reach = Reach::new(me, peers.len(), networks, on);
        let own_row = Row { node: me, life, version: 1, ..Row::default() };
        let _ = reach.tell(own_row, me);
        Self {
            me,
            times,
            view: reach.view(Nodes::NONE),
            reach,
            own_row,
            nodes: peers.iter().map(|_| Seen::new()).collect(),
            stalls: Stalls::default(),
            changed: false,
        }
    }

    pub(super) const fn times(&self) -> Times {
        self.times
    }

    /// The rows for the next beat.
    pub(super) fn rows(&mut self) -> ArrayVec<Row, { crate::reach::MAX_PASSED_ON + 1 }> {
        self.reach.rows_to_tell()
    }

    /// A node is heard that said nothing for a while, so that whom this node reaches may be another majority, or a
    /// reference point: everybody is looked at again.
    pub(super) const fn is_judged_anew(&mut self) {
        self.changed = true;
    }

    /// A beat came; `is_new_life`: the first one of this incarnation.
    pub(super) fn heard(
        &mut self,
        now: Time,
        (node, network): (u16, u8),
        incarnation: u64,
        is_new_life: bool,
        beat: &Beat,
    ) {
        let tolerance = self.tolerance(usize::from(node));
        let hold = self.times.hold();
        let Some(seen) = self.nodes.get_mut(usize::from(node)) else { return };
        if is_new_life {
            seen.begin();
        }
        if beat.leaving {
            seen.goodbye = true;
            seen.tether.ends();
        }
        seen.known_since.get_or_insert(now);
        seen.refused = None;
        seen.tether.heard(now);
        seen.stall = beat.stall;
        if seen.ailments.is_empty() != beat.ailments.is_empty() {
            seen.ailing_since = if beat.ailments.is_empty() { Time::NEVER } else { now };
        }
        seen.ailments = beat.ailments;
        if let Some(link) = seen.links.get_mut(usize::from(network)) {
            link.heard(now, tolerance, hold);
        }
        seen.due = now;
        for row in &beat.rows {
            let first_hand = row.node == node && row.life == incarnation;
            // What a node says of itself is taken from itself, in its present life.
            if row.node != self.me && (first_hand || row.node != node) {
                self.changed |= self.reach.tell(*row, node);
            }
        }
    }

    /// A node that was silent on every network is heard again.
    pub(super) fn returned(&mut self, now: Time, node: u16) {
        let Some(seen) = self.nodes.get_mut(usize::from(node)) else { return };
        if seen.planned {
            return;
        }
        seen.returns.push_back(now);
        while seen.returns.len() > FLAPS {
            seen.returns.pop_front();
        }
        let first = seen.returns.front().filter(|_| seen.returns.len() == FLAPS);
        if first.is_some_and(|first| now.since(*first) < FLAPS_WITHIN) {
            seen.quarantined_until = now + STEADY_FOR;
        }
    }

    /// The kernel of that node says that nothing listens there.
    pub(super) fn refused(&mut self, now: Time, node: u16) {
        let Some(seen) = self.nodes.get_mut(usize::from(node)) else { return };
        let first = seen.refused.map_or(now, |(first, _)| first);
        seen.refused = Some((first, now));
        seen.tether.refused(now, first);
        if seen.goodbye {
            seen.tether.ends();
        }
        seen.due = now;
    }

    /// A tether to that node holds, or holds no more.
    pub(super) fn tethered(&mut self, now: Time, (node, network): (u16, u8), holds: bool) {
        let Some(seen) = self.nodes.get_mut(usize::from(node)) else { return };
        seen.tether.told(now, network, holds);
        if seen.goodbye {
            seen.tether.ends();
        }
    }

    /// Whether all servers of that node fail, by checks and requests of this node's balancer.
    pub(super) fn failing(&mut self, now: Time, node: u16, failing: bool) {
        let Some(seen) = self.nodes.get_mut(usize::from(node)) else { return };
        seen.failing_since = failing.then(|| seen.failing_since.unwrap_or(now));
        seen.due = now;
    }

    /// It is in a maintenance window from now on, or no more: what came before is forgiven.
    pub(super) fn planned(&mut self, now: Time, node: u16, planned: bool) {
        let Some(seen) = self.nodes.get_mut(usize::from(node)) else { return };
        (seen.planned, seen.due) = (planned, now);
        if planned {
            seen.returns.clear();
            seen.quarantined_until = Time::ZERO;
        }
    }

    /// What the replicated store says about its death.
    pub(super) fn proven(&mut self, now: Time, node: u16, proof: Option<Proof>) {
        let Some(seen) = self.nodes.get_mut(usize::from(node)) else { return };
        (seen.proof, seen.due) = (proof, now);
    }

    /// Finds links that are lost or back; true if the others have to be told at once.
    pub(super) fn look(&mut self, me: Here<'_>, peers: &[Peer]) -> bool {
        self.grow(me.now);
        let mut row = self.own_row;
        for (node, peer) in (0_u16..).zip(peers).filter(|(node, _)| *node != self.me) {
            let at = usize::from(node);
            if !self.changed && self.nodes.get(at).is_none_or(|seen| seen.due > me.now) {
                continue;
            }
            let tolerance = self.tolerance(at);
            let is_heard_of = self.view.heard.has(node);
            // Whom this node reaches may be another majority.
            self.changed |= !peer.is_heard_within(me.now, self.times.speaks());
            let Some(seen) = self.nodes.get_mut(at) else { continue };
            // Others hear a new start of it, which this node cannot hear.
            let is_restarted =
                self.reach.row(node).is_some_and(|row| row.life > peer.incarnation());
            if seen.goodbye && is_heard_of && is_restarted {
                seen.begin();
            }
            if is_heard_of && !seen.goodbye {
                seen.known_since.get_or_insert(me.now);
            }
            seen.lose(me, peer, tolerance);
            let is_known = seen.links.iter().any(|link| link.last.is_some());
            row.known.put(node, is_known);
            for (lost, link) in row.lost.iter_mut().zip(&seen.links) {
                lost.put(node, link.lost);
            }
        }
        let is_news = (row.known, row.lost) != (self.own_row.known, self.own_row.lost);
        if is_news {
            row.version += 1;
            self.own_row = row;
            self.changed |= self.reach.tell(row, self.me);
        }
        if self.changed {
            self.view = self.reach.view(self.young(me.now));
        }
        is_news
    }

    /// Judges those for whom something is new, as long as there is room to tell so many.
    pub(super) fn judge(
        &mut self,
        me: Here<'_>,
        peers: &[Peer],
        mut room: usize,
        mut tell: impl FnMut(u16, Judgement),
    ) {
        let all = std::mem::take(&mut self.changed);
        let mut found = None;
        for (node, peer) in (0_u16..).zip(peers).filter(|(node, _)| *node != self.me) {
            let at = usize::from(node);
            if !all && self.nodes.get(at).is_none_or(|seen| seen.due > me.now) {
                continue;
            }
            let tolerance = self.tolerance(at);
            let (view, times) = (self.view, self.times);
            let is_cut = |seen: &Seen| !seen.cut.is_empty() || !view.cut[at].is_empty();
            let is_usual = peer.is_heard_within(me.now, times.detect())
                && self.nodes.get(at).is_some_and(|seen| !is_cut(seen));
            // Of no interest for one that is heard, which most are.
            let (quorum, settle) = match (is_usual, found) {
                (true, _) => (true, Duration::ZERO),
                (false, Some(found)) => found,
                (false, None) => {
                    let settle = self.settle();
                    *found.insert((self.has_quorum(me, settle, peers), settle))
                }
            };
            let Some(seen) = self.nodes.get_mut(at) else { continue };
            if room == 0 {
                seen.due = seen.due.min(me.now);
                continue;
            }
            seen.cut(me.now, view.cut[at]);
            let everywhere = self.reach.networks_of(node);
            let case = seen.case(me, peer, times, tolerance, quorum, (&view, everywhere), node);
            let judgement = judge(&case);
            let Silence { mute, silent, settled } =
                Silence::of(peer, seen.known_since, times, settle);
            let moments = [mute, silent, settled, seen.young_until];
            let moments = moments.into_iter().filter(|at| *at > me.now);
            let due = verdict::due(&case).min(seen.next_loss(me, peer, tolerance));
            seen.due = moments.fold(due, Time::min);
            let is_news = judgement.verdict != seen.verdict;
            (seen.verdict, seen.rule) = (judgement.verdict, judgement.rule);
            if is_news {
                room -= 1;
                tell(node, judgement);
            }
        }
    }

    pub(super) fn deadline(&self) -> Time {
        let others = self.nodes.iter().enumerate().filter(|(at, _)| *at != usize::from(self.me));
        others.map(|(_, seen)| seen.due.min(seen.tether.due())).min().unwrap_or(Time::NEVER)
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            verdict: Verdict::Unknown,
            rule: &RULES[RULES.len() - 1],
            due: Time::NEVER,
            links: [Link::default(); MAX_NETWORKS],
            life: 0,
            young_until: Time::ZERO,
            known_since: None,
            goodbye: false,
            cut: Networks::NONE,
            cut_since: Time::NEVER,
            refused: None,
            tether: Tether::default(),
            ailments: Ailments::NONE,
            ailing_since: Time::NEVER,
            failing_since: None,
            stall: Duration::ZERO,
            returns: VecDeque::new(),
            quarantined_until: Time::ZERO,
            planned: false,
            proof: None,
        }
    }

    /// Its process has started anew: nothing of the one before counts against its links.
    fn begin(&mut self) {
        self.links = [Link::default(); MAX_NETWORKS];
        self.known_since = None;
        self.goodbye = false;
        // Its former process had them.
        self.tether = Tether::default();
    }

    fn lose(&mut self, me: Here<'_>, peer: &Peer, tolerance: Duration) {
        if self.goodbye {
            // Who left is missed by nobody.
            self.links = [Link::default(); MAX_NETWORKS];
            self.known_since = None;
            return;
        }
        let known_since = self.known_since;
        for (network, link) in (0_u8..).zip(&mut self.links) {
            let since = link.last.max(known_since);
            let is_silent = since.is_some_and(|since| since + tolerance <= me.now);
            if peer.is_on(network) && is_silent && me.now >= me.judge_from && !link.lost {
                (link.lost, link.back_since) = (true, None);
            }
        }
    }

    /// When the next of its links will be lost if nothing comes.
    fn next_loss(&self, me: Here<'_>, peer: &Peer, tolerance: Duration) -> Time {
        let loss = |(network, link): (u8, &Link)| {
            let is_up = peer.is_on(network) && !link.lost && !self.goodbye;
            let since = link.last.max(self.known_since).filter(|_| is_up)?;
            Some((since + tolerance).max(me.judge_from))
        };
        let losses = (0_u8..).zip(&self.links).filter_map(loss);
        losses.min().unwrap_or(Time::NEVER)
    }

    fn cut(&mut self, now: Time, cut: Networks) {
        if cut.is_empty() {
            self.cut_since = Time::NEVER;
        } else if self.cut.is_empty() {
            self.cut_since = now;
        }
        self.cut = cut;
    }

    #[expect(clippy::too_many_arguments, reason = "one place puts a case together")]
    fn case(
        &self,
        me: Here<'_>,
        peer: &Peer,
        times: Times,
        tolerance: Duration,
        quorum: bool,
        (view, everywhere): (&View, Networks),
        node: u16,
    ) -> Case {
        let is_known = view.known.has(node) || peer.is_known();
        Case {
            now: me.now,
            times,
            before: self.verdict,
            proof: self.proof,
            own: Own {
                judge_from: me.judge_from,
                linked: peer.shares(me.own_carrier).any(|shared| shared),
                quorum,
                reference: me.reference,
            },
            other: Other {
                // Of one that the process before this one knew, others know more than it did.
                goodbye: self.goodbye || (peer.has_left_unheard() && !view.heard.has(node)),
                known: is_known,
                silent_at: peer.quiet_at(tolerance),
                heard: view.heard.has(node),
                cut: self.cut,
                cut_since: self.cut_since,
                cut_everywhere: self.cut == everywhere,
                refused: self.refused,
                ailments: self.ailments,
                ailing_since: self.ailing_since,
                failing_since: self.failing_since,
                quarantined_until: self.quarantined_until,
                asked: verdict::Asked::Answered,
            },
        }
    }
}

impl Link {
    fn heard(&mut self, now: Time, tolerance: Duration, hold: Duration) {
        let gap = self.last.map(|last| now.since(last));
        self.last = Some(now);
        if !self.lost {
            return;
        }
        match self.back_since.filter(|_| gap.is_some_and(|gap| gap < tolerance)) {
            Some(since) if now >= since + hold => (self.lost, self.back_since) = (false, None),
            Some(_) => {}
            None => self.back_since = Some(now),
        }
    }
}
