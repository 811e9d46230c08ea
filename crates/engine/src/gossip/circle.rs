//! All nodes of one network: each probes one other after the other, in turn and over others, and passes on
//! what it found (SWIM, by the crate foca). Damped as Lifeguard does (Dadgar et al., 2018): whose own probes
//! fail takes more time for each, declares nobody and accuses nobody.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use base::Time;
use foca::{
    Config, Foca, Identity, Member, NoCustomBroadcast, Notification, PeriodicParams, Runtime,
    State, Timer,
};

use super::Action;
use super::dice::Dice;
use super::wire::{self, BEFORE, Id, LIFE, MAX_RUMOUR, Part, Words};

/// Members asked to try when one does not answer: at 10 % loss all of them fail once in 600 times. Each failure is news
/// that everybody tells on, so with five a node of 1,000 said 1.4 times as much at that loss as one of 100.
const OTHERS_ASKED: usize = 6;
/// The worst health: then a probe takes nine times as long.
const WORST: u32 = 8;
/// Of the last eight own probes at most so many failed: this node may speak about others.
const SURE: u32 = 3;
/// In the time of so many probes somebody is heard who answers or asks: else this node may be the one that is cut
/// off, also where it never heard those that it asks.
const QUIET: u32 = 8;
/// News of a death is passed on at once and again after [`RUSH_EVERY`], each time to [`OTHERS_ASKED`] members:
/// so few of 1,000 are missed that the probes of a second reach them.
const RUSHES: u8 = 3;
const RUSH_EVERY: Duration = Duration::from_millis(20);
/// A node that has just started asks members for all they know until it knows nine of ten, at most so long.
const JOIN_FOR: Duration = Duration::from_secs(60);
/// Marks a death as a goodbye.
const GOODBYE: u16 = u16::MAX;

mod next;
#[cfg(test)]
mod tests;

type Gossip = Foca<Id, Words, Dice, NoCustomBroadcast>;

/// What a circle found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notice {
    /// It is heard of, or is back.
    Up(u16),
    Down(u16),
    /// It answered neither this node nor those who tried for it.
    Missed {
        node: u16,
        /// Whether what this circle says about others may be believed.
        is_sure: bool,
    },
}

/// What is known of one node on this network.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fellow {
    /// 0: never heard of.
    pub(super) life: u64,
    pub(super) down: bool,
    pub(super) left: bool,
    /// When this life was first heard of here.
    since: Time,
}

/// What all are told of a node that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    pub(super) node: u16,
    /// The life under which it was heard last.
    pub(super) heard: u64,
    /// It said goodbye.
    pub(super) left: bool,
    /// A life that was first heard of later is not meant.
    pub(super) known_by: Time,
}

/// How a circle behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two probes.
    pub(super) probe_every: Duration,
    /// Until the others are asked to try.
    pub(super) answer_within: Duration,
    /// From missed to declared, if it does not object.
    pub(super) declare_after: Duration,
}

pub(super) struct Circle {
    foca: Gossip,
    me: u16,
    network: u8,
    pace: Pace,
    timers: BinaryHeap<Reverse<Due>>,
    count: u64,
    wishes: Wishes,
    fellows: Vec<Fellow>,
    known: usize,
    /// Bit set: that probe failed; the newest is the lowest.
    failures: u8,
    health: u32,
    /// When anybody was last heard here; none: never.
    heard_at: Option<Time>,
    is_probing: bool,
    /// No sooner is it believed again that this life is over.
    renew_at: Time,
    rushes: u8,
    rush_at: Time,
    join_at: Time,
    join_until: Time,
    dice: Dice,
}

impl std::fmt::Debug for Circle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Circle")
            .field("network", &self.network)
            .field("known", &self.known)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Due {
    at: Time,
    count: u64,
    timer: Timer<Id>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.count).cmp(&(other.at, other.count))
    }
}

/// What foca wants done; emptied after each call.
#[derive(Debug, Default)]
struct Wishes {
    packets: Vec<(u16, Vec<u8>)>,
    timers: Vec<(Duration, Timer<Id>)>,
    ups: Vec<Id>,
    downs: Vec<Id>,
}

impl Runtime<Id> for Wishes {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberUp(id) | Notification::Rename(_, id) => self.ups.push(*id),
            Notification::MemberDown(id) => self.downs.push(*id),
            Notification::Active
            | Notification::Idle
            | Notification::Defunct
            | Notification::Rejoin(_) => {}
        }
    }

    fn send_to(&mut self, to: Id, bytes: &[u8]) {
        let mut body = Vec::with_capacity(bytes.len());
        Part::Rumour(bytes.get(BEFORE..).unwrap_or_default()).encode(&mut body);
        self.packets.push((to.node, body));
    }

    fn submit_after(&mut self, timer: Timer<Id>, after: Duration) {
        self.timers.push((after, timer));
    }
}

/// Who is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat<'a> {
    pub(super) me: u16,
    pub(super) life: u64,
    pub(super) network: u8,
    /// By position in the cluster file: who is on this network.
    pub(super) on: &'a [bool],
    pub(super) seed: u64,
}

impl Circle {
    /// All others are taken for alive until probes say otherwise, so that nobody has to be introduced.
    pub(super) fn new(seat: Seat<'_>, pace: Pace, now: Time) -> Self {
        let nodes = u16::try_from(seat.on.len()).unwrap_or(u16::MAX);
        let me = Id { node: seat.me, life: seat.life & LIFE };
        let mut dice = Dice::new(seat.seed);
        let first = Duration::from_nanos(dice.below(as_nanos(pace.probe_every)));
        let foca_dice = Dice::new(dice.number());
        let mut circle = Self {
            foca: Foca::new(me, config(pace, seat.on.len()), foca_dice, Words { nodes }),
            me: seat.me,
            network: seat.network,
            pace,
            timers: BinaryHeap::new(),
            count: 0,
            wishes: Wishes::default(),
            fellows: vec![Fellow::default(); seat.on.len()],
            known: 0,
            failures: 0,
            health: 0,
            heard_at: None,
            is_probing: false,
            renew_at: Time::ZERO,
            rushes: 0,
            rush_at: Time::NEVER,
            join_at: now + first,
            join_until: now + JOIN_FOR,
            dice,
        };
        let others = (0..nodes).zip(seat.on).filter(|(node, on)| **on && *node != seat.me);
        let others = others.map(|(node, _)| Member::alive(Id { node, life: 0 }));
        // Nothing is sent by it, so nothing can fail.
        let _ = circle.foca.apply_many(others, false, &mut circle.wishes);
        circle.settle(now + first, &mut vec![], &mut vec![]);
        circle
    }

    pub(super) fn fellow(&self, node: u16) -> Fellow {
        self.fellows.get(usize::from(node)).copied().unwrap_or_default()
    }

    /// Its own probes succeed, so what it says about others may be believed. Who has nobody left to probe, or heard
    /// nobody of late, is not sure of anything.
    pub(super) fn is_sure(&self, now: Time) -> bool {
        let quiet = self.pace.probe_every * QUIET;
        let hears = self.heard_at.is_some_and(|at| now.since(at) <= quiet);
        hears && self.failures.count_ones() <= SURE && self.foca.num_members() > 0
    }

    pub(super) const fn is_damped(&self) -> bool {
        self.health > 0
    }

    /// Something of this node itself was late.
    pub(super) fn slipped(&mut self) {
        self.health = (self.health + 1).min(WORST);
    }

    pub(super) fn deadline(&self) -> Time {
        let timer = self.timers.peek().map_or(Time::NEVER, |Reverse(due)| due.at);
        timer.min(self.rush_at).min(self.join_at)
    }

    /// A rumour of that node came; false: it cannot be read.
    pub(super) fn receive(
        &mut self,
        now: Time,
        sender: u16,
        rumour: &[u8],
        out: &mut Vec<Action>,
        found: &mut Vec<Notice>,
    ) -> bool {
        let mut bytes = [0; BEFORE + MAX_RUMOUR];
        let length = BEFORE + rumour.len();
        let Some(text) = bytes.get_mut(BEFORE..length) else { return false };
        self.heard_at = Some(now);
        // Whose clock was set back is told of each life that it is over: one after the other would be tried, as
        // fast as the network is, until the former one is reached.
        if wire::ends_a_life(rumour) {
            if now < self.renew_at {
                return true;
            }
            self.renew_at = now + self.pace.probe_every;
        }
        text.copy_from_slice(rumour);
        let Id { node, life } = *self.foca.identity();
        bytes[..2].copy_from_slice(&node.to_be_bytes());
        bytes[2..8].copy_from_slice(&life.to_be_bytes()[2..]);
        bytes[8..BEFORE].copy_from_slice(&sender.to_be_bytes());
        let text = &bytes[..length];
        self.learn(text);
        let is_read = self.foca.handle_data(text, &mut self.wishes).is_ok();
        self.settle(now, out, found);
        is_read
    }

    /// Who is heard of for the first time is no news for others, who know him or will hear him themselves:
    /// without this, a thousand nodes that start would tell each other a million lives.
    fn learn(&mut self, text: &[u8]) {
        let lives = wire::lives(text, self.fellows.len());
        let is_new = |member: &Member<Id>| {
            let fellow = self.fellows.get(usize::from(member.id().node));
            member.id().node != self.me && fellow.is_some_and(|fellow| fellow.life == 0)
        };
        let new: Vec<Member<Id>> = lives.into_iter().filter(is_new).collect();
        if !new.is_empty() {
            let _ = self.foca.apply_many(new.into_iter(), false, &mut self.wishes);
        }
    }

    pub(super) fn timeout(&mut self, now: Time, out: &mut Vec<Action>, found: &mut Vec<Notice>) {
        while self.timers.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(Due { timer, .. })) = self.timers.pop() else { return };
            self.expired(now, timer, found);
            self.settle(now, out, found);
        }
        if now >= self.rush_at {
            self.rushes -= 1;
            self.rush_at = if self.rushes > 0 { now + RUSH_EVERY } else { Time::NEVER };
            let _ = self.foca.gossip(&mut self.wishes);
            self.settle(now, out, found);
        }
        if now >= self.join_at {
            self.join(now, out, found);
        }
    }

    /// Tells all that this node is gone, which the controllers concluded or which it said itself.
    pub(super) fn declare(
        &mut self,
        now: Time,
        Death { node, heard, left, known_by }: Death,
        out: &mut Vec<Action>,
        found: &mut Vec<Notice>,
    ) {
        let Fellow { life, down, since, .. } = self.fellow(node);
        // In this circle it may be under a later life, or unknown yet.
        let life = if life == 0 { heard } else { life };
        if life == 0 || down || node == self.me || since > known_by {
            return;
        }
        let gone = Member::new(Id { node, life }, if left { GOODBYE } else { 0 }, State::Down);
        let _ = self.foca.apply_many(std::iter::once(gone), true, &mut self.wishes);
        self.settle(now, out, found);
    }

    fn expired(&mut self, now: Time, timer: Timer<Id>, found: &mut Vec<Notice>) {
        let is_declaration = matches!(timer, Timer::ChangeSuspectToDown { .. });
        if is_declaration && !self.is_sure(now) {
            // This node may be the one that is cut off.
            let again = self.pace.declare_after;
            return self.later(now + again, timer);
        }
        let is_turn = matches!(timer, Timer::ProbeRandomMember(_));
        let was_probing = is_turn && std::mem::take(&mut self.is_probing);
        // What comes too late or without members is no mistake of ours.
        let _ = self.foca.handle_timer(timer, &mut self.wishes);
        let missed = self.wishes.timers.iter().find_map(|(_, timer)| match timer {
            Timer::ChangeSuspectToDown { member_id, .. } => Some(*member_id),
            Timer::ProbeRandomMember(_)
            | Timer::SendIndirectProbe { .. }
            | Timer::PeriodicAnnounce(_)
            | Timer::PeriodicAnnounceDown(_)
            | Timer::PeriodicGossip(_)
            | Timer::RemoveDown(_) => None,
        });
        // Who answers for the first time answers under a life that was not asked for.
        let is_current = |id: &Id| self.fellow(id.node).life == id.life;
        if let Some(id) = missed.filter(is_current) {
            if id.life != 0 {
                self.failures = self.failures << 1 | 1;
                self.health = (self.health + 1).min(WORST);
            }
            found.push(Notice::Missed { node: id.node, is_sure: self.is_sure(now) });
        } else if was_probing && missed.is_none() {
            self.failures <<= 1;
            self.health = self.health.saturating_sub(1);
        }
    }

    fn later(&mut self, at: Time, timer: Timer<Id>) {
        self.count += 1;
        self.timers.push(Reverse(Due { at, count: self.count, timer }));
    }

    /// Passes on what foca wants.
    fn settle(&mut self, now: Time, out: &mut Vec<Action>, found: &mut Vec<Notice>) {
        let (me, network) = (self.me, self.network);
        // Who is asked to try itself, by a fellow that makes no sense, sends nothing: there is no key for that.
        for (to, body) in self.wishes.packets.drain(..).filter(|(to, _)| *to != me) {
            out.push(Action::Send { to, network, body });
        }
        for (after, timer) in std::mem::take(&mut self.wishes.timers) {
            let is_probe = matches!(
                timer,
                Timer::ProbeRandomMember(_)
                    | Timer::SendIndirectProbe { .. }
                    | Timer::ChangeSuspectToDown { .. }
            );
            self.is_probing |= matches!(timer, Timer::SendIndirectProbe { .. });
            let times = if is_probe { 1 + self.health } else { 1 };
            self.later(now + after * times, timer);
        }
        for id in std::mem::take(&mut self.wishes.ups) {
            let Some(fellow) = self.fellows.get_mut(usize::from(id.node)) else { continue };
            if id.life > 0 {
                self.known += usize::from(fellow.life == 0);
                // A later life may be known by its death alone.
                let mut all = self.foca.iter_membership_state();
                let down = all.any(|member| *member.id() == id && member.state() == State::Down);
                let since = if fellow.life == id.life { fellow.since } else { now };
                *fellow = Fellow { life: id.life, down, left: false, since };
                if !down {
                    found.push(Notice::Up(id.node));
                }
            }
        }
        let mut gone = vec![];
        for id in std::mem::take(&mut self.wishes.downs) {
            let mut all = self.foca.iter_membership_state();
            let member = all.find(|member| *member.id() == id);
            let left = member.is_some_and(|member| member.incarnation() == GOODBYE);
            let Some(fellow) = self.fellows.get_mut(usize::from(id.node)) else { continue };
            if id.life > 0 && id.addr() != self.me {
                gone.extend(member.cloned());
                *fellow = Fellow { life: id.life, down: true, left, since: fellow.since };
                found.push(Notice::Down(id.node));
                (self.rushes, self.rush_at) = (RUSHES, now);
            }
        }
        self.tell_next(&gone, out);
    }

    /// Asks somebody for all he knows: after the start, and when nobody is left.
    fn join(&mut self, now: Time, out: &mut Vec<Action>, found: &mut Vec<Notice>) {
        let is_alone = self.foca.num_members() == 0;
        let is_new = now < self.join_until && self.known * 10 < (self.fellows.len() - 1) * 9;
        let others = u64::try_from(self.fellows.len()).unwrap_or(1);
        let node = u16::try_from(self.dice.below(others)).unwrap_or(0);
        if (is_alone || is_new) && node != self.me {
            let _ = self.foca.announce(Id { node, life: 0 }, &mut self.wishes);
            self.settle(now, out, found);
        }
        self.join_at = now + self.pace.probe_every;
    }
}

fn as_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn config(pace: Pace, nodes: usize) -> Config {
    let count = |number: usize| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
    let rarely = |seconds| {
        Some(PeriodicParams { frequency: Duration::from_secs(seconds), num_members: count(1) })
    };
    // Each node tells news to so many at random: of 1,000 nodes all but one in e^15 hear of it, on each network.
    // With eleven, a goodbye in seven was not heard of by somebody.
    let tellings = nodes.max(1).ilog2() + 6;
    Config {
        probe_period: pace.probe_every,
        probe_rtt: pace.answer_within,
        num_indirect_probes: count(OTHERS_ASKED),
        max_transmissions: NonZeroU8::new(u8::try_from(tellings).unwrap_or(u8::MAX))
            .unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: pace.declare_after,
        // There are never more members than nodes in the cluster file.
        remove_down_after: None,
        max_packet_size: count(BEFORE + MAX_RUMOUR),
        notify_down_members: true,
        periodic_announce: rarely(30),
        periodic_announce_to_down_members: rarely(10),
        periodic_gossip: None,
    }
}
