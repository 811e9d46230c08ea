//! One deed of a process after the other, and what can happen between two.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use base::Time;
use engine::Buffer;
use engine::packet::MAX_BODY;
use engine::vip::lease::beat::read;
use engine::vip::lease::{Action, Cause, SPAN, Stand, View, VipLease};

use super::fault::Fault;
use super::host::{DEED, Deed, Letter, Stage, Told};
use super::run::{Event, MS, NETWORKS, World, nanos, node};
use super::{BOUNDS, DOUBLE, Mark, Marks};

/// Steps of one machine at one moment of its clock.
const BUSY: u32 = 200;

impl World<'_> {
    /// When the process goes on.
    pub(super) fn plan(&mut self, host: usize) {
        let this = &mut self.hosts[host];
        let Some(process) = &this.process else { return };
        let at = match &process.stage {
            Stage::Waits if process.inbox.is_empty() && process.told.is_empty() => {
                let due = this.clock.truly(process.machine.deadline());
                due.max(self.now) + self.chance.below(MS / 10)
            }
            // The next process is ready beforehand, and may stand still all the same.
            Stage::Left(_) => {
                let stops = self.storms && self.chance.one_in(4);
                let pause = if stops { self.chance.below(120 * MS) } else { 0 };
                self.now + nanos(DEED) + pause
            }
            Stage::Waits | Stage::Woken(_) | Stage::Read(..) | Stage::Acts(_) => {
                let stops = self.storms && self.chance.one_in(2000);
                let pause = if stops { self.chance.below(80 * MS) } else { 0 };
                self.now + nanos(DEED) + pause
            }
        };
        let at = at.max(process.paused);
        this.ticket += 1;
        let ticket = this.ticket;
        self.at(at, Event::Goes { host, ticket });
    }

    /// One deed of a process.
    pub(super) fn goes(&mut self, host: usize) {
        let local = self.hosts[host].clock.local(self.now);
        let vips = self.script.vips;
        let Some(process) = &mut self.hosts[host].process else { return };
        match std::mem::replace(&mut process.stage, Stage::Waits) {
            Stage::Waits => {
                let told = process.told.pop_front();
                let told = told.or_else(|| process.inbox.pop_front().map(Told::Beat));
                if told.is_some() || process.machine.deadline() <= local {
                    process.stage = Stage::Woken(told.unwrap_or(Told::Time));
                }
            }
            Stage::Left(left) => {
                if self.storms && self.chance.one_in(8) {
                    // The next one dies with all of it in its hand.
                    self.outcome.marks.reach(Mark::Orphaned);
                    let closes = self.chance.one_in(2);
                    let after = self.chance.span(Duration::from_millis(60));
                    return self.fault(Fault::Kill { host, after, closes });
                }
                self.goes_on(host, &left);
            }
            Stage::Woken(told) => process.stage = Stage::Read(told, local),
            Stage::Read(told, now) => {
                let mut orders = Buffer::new();
                process.stopping |= matches!(told, Told::Stop);
                let before = Before::of(&process.machine, vips);
                process.machine.step(now, told.input(), &mut orders);
                process.busy =
                    if process.busy.0 == now { (now, process.busy.1 + 1) } else { (now, 0) };
                let broken = orders.lost() > 0 || process.busy.1 > BUSY;
                process.stage = Stage::Acts(deeds(&process.machine, vips, orders));
                if broken {
                    self.break_off(BOUNDS, format!("host {host} orders without end"));
                    return;
                }
                let letter = if let Told::Beat(letter) = &told { Some(letter) } else { None };
                self.note(host, &before, letter);
            }
            Stage::Acts(mut deeds) => {
                let deed = deeds.pop_front();
                let stopped = deeds.is_empty() && process.stopping && process.machine.is_idle();
                if !deeds.is_empty() {
                    process.stage = Stage::Acts(deeds);
                }
                if let Some(deed) = deed {
                    self.deed(host, deed);
                }
                if stopped {
                    self.hosts[host].process = None;
                    self.after(Duration::from_millis(20), Event::Starts { host, closes: true });
                    return;
                }
            }
        }
        self.plan(host);
    }

    fn deed(&mut self, host: usize, deed: Deed) {
        let local = self.hosts[host].clock.local(self.now);
        match deed {
            Deed::Write { vip, until } => {
                if until > Time::ZERO && until <= local {
                    self.outcome.marks.reach(Mark::LateGate);
                }
                let view = self.hosts[host].process.as_ref().and_then(|it| it.machine.view(vip));
                self.hosts[host].alone[vip] = view.is_some_and(|view| view.alone);
                self.hosts[host].gates[vip] = until;
                self.follows(host, vip, until > local);
                if until > local {
                    self.is_alone_there(host, vip);
                }
                let open: Vec<_> = (0..self.hosts.len())
                    .filter(|host| self.hosts[*host].answers(vip, self.now))
                    .collect();
                if open.len() > 1 && self.may_be_two(vip, &open) {
                    self.outcome.marks.reach(Mark::Two);
                } else if open.len() > 1 {
                    self.break_off(DOUBLE, format!("hosts {open:?} answer for address {vip}"));
                }
            }
            Deed::Order(Action::Beat) => {
                let Some(process) = &mut self.hosts[host].process else { return };
                let mut sends = VecDeque::new();
                for to in (0..self.script.hosts).filter(|to| *to != host) {
                    let mut body = [0; MAX_BODY];
                    let length = process.machine.beat(node(to), &mut body);
                    sends.push_back(Deed::Send { to, body: body[..length].into() });
                }
                if let Stage::Acts(rest) = &mut process.stage {
                    sends.append(rest);
                }
                process.stage = Stage::Acts(sends);
            }
            Deed::Order(Action::Probe { vip }) => self.probe(host, vip),
            Deed::Order(action) => self.tell(|| format!("host {host}: {action:?}")),
            Deed::Send { to, body } => self.sends(host, to, &body),
        }
    }

    fn sends(&mut self, from: usize, to: usize, body: &Rc<[u8]>) {
        let life = self.hosts[from].process.as_ref().map_or(0, |process| process.life);
        let (lost, doubled, late) = self.weather;
        for network in 0..NETWORKS {
            if self.cut[network][from][to] || self.chance.permille(lost) {
                continue;
            }
            let copies = 1 + u64::from(self.chance.permille(doubled));
            for _ in 0..copies {
                let way = Duration::from_micros(100) + self.chance.span(Duration::from_micros(300));
                let way = way + self.chance.span(late);
                let network = u8::try_from(network).unwrap_or(u8::MAX);
                let letter = Letter { network, from: node(from), life, body: Rc::clone(body) };
                self.after(way, Event::Arrives { to, letter });
            }
        }
    }

    /// What a step shows of what a run should come by.
    fn note(&mut self, host: usize, before: &Before, letter: Option<&Letter>) {
        let Some(process) = &self.hosts[host].process else { return };
        let mut marks = Marks::default();
        for vip in 0..self.script.vips {
            let (Some(was), Some(is)) = (before.views[vip], process.machine.view(vip)) else {
                continue;
            };
            if was.stand == Stand::Holder
                && is.stand != was.stand
                && is.cause == Some(Cause::Majority)
            {
                marks.reach(Mark::Lost);
            }
            let now = process.machine.pace().span;
            if is.stand == Stand::Holder && was.stand == is.stand {
                if now < SPAN && now <= before.span {
                    marks.reach(Mark::Quick);
                } else if now > before.span {
                    marks.reach(Mark::Slowed);
                }
            }
            if is.stand == Stand::Holder && was.stand != is.stand {
                marks.reach(if is.cause == Some(Cause::Named) {
                    Mark::Named
                } else {
                    Mark::Expired
                });
            }
            let moved = |cause| is.cause == Some(cause) && was.cause != is.cause;
            let reasons = [
                (Cause::Spread, Mark::Evened),
                (Cause::Apart, Mark::Parted),
                (Cause::Room, Mark::Roomed),
                (Cause::Follows, Mark::Followed),
                (Cause::Barred, Mark::Barred),
            ];
            let reasons = reasons.into_iter().filter(|(cause, _)| moved(*cause));
            reasons.for_each(|(_, mark)| marks.reach(mark));
            if was.alone && !is.alone && is.stand == Stand::Holder {
                marks.reach(Mark::Granted);
            }
            if is.awaits.is_some() {
                marks.reach(Mark::Awaits);
            }
            if is.stand == Stand::Candidate && self.is_late(host) {
                marks.reach(Mark::Late);
            }
            let asks = letter.and_then(|letter| read(&letter.body)?.entries().nth(vip));
            let asks = asks.is_some_and(|entry| entry.stand == Stand::Candidate);
            let holder =
                is.holder.filter(|holder| letter.is_some_and(|letter| letter.from != *holder));
            if asks && is.stand == Stand::Candidate {
                marks.reach(Mark::Rivals);
            } else if asks && !process.machine.votes() {
                marks.reach(Mark::Silent);
            } else if asks && holder.is_some() {
                marks.reach(Mark::Refused);
            }
        }
        self.outcome.marks.add(marks);
    }
}

/// What a step is compared with.
struct Before {
    /// By address.
    views: Vec<Option<View>>,
    span: Duration,
}

impl Before {
    fn of(machine: &VipLease, vips: usize) -> Self {
        let views = (0..vips).map(|vip| machine.view(vip)).collect();
        Self { views, span: machine.pace().span }
    }
}

/// The gates first, those that are shut before the others; then what was ordered.
fn deeds(machine: &VipLease, vips: usize, mut orders: Buffer<Action>) -> VecDeque<Deed> {
    let those = |is_shut: bool| {
        let all = (0..vips).map(|vip| (vip, machine.until(vip)));
        all.filter(move |(_, until)| (*until == Time::ZERO) == is_shut)
    };
    let write = |(vip, until)| Deed::Write { vip, until };
    let gates = those(true).chain(those(false)).map(write);
    gates.chain(orders.drain().map(Deed::Order)).collect()
}
