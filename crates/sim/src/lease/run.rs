//! Runs a script.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use base::Time;
use engine::vip::lease::{BEAT, Fact};

use super::fault::{Fault, Script, index};
use super::host::{Clock, Host, INBOX, Left, Letter, Stage, Told};
use super::placed::Placed;
use super::quiet::{self, Quiet};
use super::store::Store;
use super::{Mark, Marks, NOBODY};
use crate::Chance;

pub(super) const NETWORKS: usize = 2;
pub(super) const MS: u64 = 1_000_000;
/// How long all is well before somebody has to answer.
const CALM: Duration = Duration::from_secs(1);
/// The same where the store is put back: all leave former lists, and wait until what they granted has ended.
const RESTORED: Duration = Duration::from_secs(4);
/// The same where a voter may boot as it begins: it counts nobody until it has read the list, and half a second more.
const LISTED: Duration = Duration::from_secs(2);
/// Within this time all hear the agent of a host that booted.
const HEARD: Duration = Duration::from_millis(1500);
/// How often it is asked for another list while all is well.
const ASKED_EACH: Duration = Duration::from_millis(100);
/// Longer than a vip lease, and no part of the calm.
pub(super) const LISTENS: Duration = Duration::from_millis(50);
/// Beats of 2 ms can be kept then.
const IN_TIME: Duration = Duration::from_micros(200);
/// So long it hears nobody who holds without a majority.
pub(super) const ALONE: Duration = Duration::from_millis(150);
/// How long somebody has to go on answering then.
const STEADY: Duration = Duration::from_millis(300);
#[derive(Debug)]
pub(super) enum Event {
    Storm(usize),
    Fault(Fault),
    Calm,
    /// Somebody has to answer from now on.
    Judge,
    /// Somebody still has to.
    Look(u64),
    /// What comes of a network of clients that is silent.
    Quiet(Quiet),
    /// Whether addresses are where they should be beside each other.
    Placed(Placed),
    Arrives {
        to: usize,
        letter: Letter,
    },
    /// A process goes on.
    Goes {
        host: usize,
        ticket: u64,
    },
    Starts {
        host: usize,
        closes: bool,
    },
    Boots {
        host: usize,
    },
    Learns {
        host: usize,
    },
    /// Who coordinates looks whether there is to be another list.
    Proposes,
    /// The process of that life has measured that it is in time.
    Measured {
        host: usize,
        life: u64,
    },
}

/// What is to happen, in its order; of one moment in the order in which it was added.
#[derive(Debug, Default)]
struct Queue {
    number: u64,
    /// The last one is the place of its event.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
}

impl Queue {
    fn add(&mut self, at: u64, event: Event) {
        self.number += 1;
        let place = self.free.pop().unwrap_or(self.events.len());
        match self.events.get_mut(place) {
            Some(free) => *free = Some(event),
            None => self.events.push(Some(event)),
        }
        self.order.push(Reverse((at, self.number, place)));
    }

    fn next(&mut self) -> Option<(u64, Event)> {
        let Reverse((at, _, place)) = self.order.pop()?;
        self.free.push(place);
        self.events[place].take().map(|event| (at, event))
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Property, moment, what was seen.
    pub violation: Option<(&'static str, Duration, String)>,
    pub marks: Marks,
    pub events: u64,
    pub hash: u64,
    pub story: String,
}

#[derive(Debug)]
pub struct World<'a> {
    pub(super) script: &'a Script,
    pub(super) now: u64,
    queue: Queue,
    pub(super) hosts: Vec<Host>,
    pub(super) store: Store,
    /// By address: who answered last.
    pub(super) answered: Vec<Option<(usize, Left)>>,
    /// By network, from, to.
    pub(super) cut: [[[bool; 5]; 5]; NETWORKS],
    pub(super) weather: (u64, u64, Duration),
    pub(super) storms: bool,
    /// When the last storm ended.
    pub(super) calm_at: u64,
    recorded: Vec<Letter>,
    pub(super) chance: Chance,
    pub(super) outcome: Outcome,
    tells: bool,
    /// This storm is the last one.
    last: bool,
}

/// Runs a script without telling its story.
#[must_use]
pub fn run(script: &Script) -> Outcome {
    World::new(script).run()
}

impl<'a> World<'a> {
    #[must_use]
    pub fn new(script: &'a Script) -> Self {
        let mut chance = Chance::new(script.seed);
        let hosts = (0..script.hosts).map(|_| Host {
            clock: Clock::new(0, chance.below(1 << 50), 1_000_000),
            powered: true,
            proven: false,
            process: None,
            lives: 0,
            gates: vec![Time::ZERO; script.vips],
            alone: vec![false; script.vips],
            fit: true,
            standby: false,
            gateway: true,
            coordinates: false,
            machine: 1,
            list: None,
            unread: false,
            heard_from: 0,
            deaf_until: 0,
            ticket: 0,
        });
        let mut world = Self {
            script,
            now: 0,
            queue: Queue::default(),
            hosts: hosts.collect(),
            store: Store::new(script.hosts),
            answered: vec![None; script.vips],
            cut: [[[false; 5]; 5]; NETWORKS],
            weather: (0, 0, Duration::ZERO),
            storms: false,
            calm_at: 0,
            recorded: vec![],
            chance,
            outcome: Outcome {
                violation: None,
                marks: Marks::default(),
                events: 0,
                hash: 0xcbf2_9ce4_8422_2325,
                story: String::new(),
            },
            tells: false,
            last: false,
        };
        for host in 0..script.hosts {
            let delay = world.chance.span(Duration::from_millis(20));
            world.after(delay, Event::Starts { host, closes: true });
        }
        world.after(Duration::from_millis(400), Event::Storm(0));
        world
    }

    #[must_use]
    pub const fn telling(mut self) -> Self {
        self.tells = true;
        self
    }

    #[must_use]
    pub fn run(mut self) -> Outcome {
        while let Some((at, event)) = self.queue.next() {
            self.now = at;
            self.outcome.events += 1;
            self.event(event);
            if self.outcome.violation.is_some() {
                break;
            }
        }
        self.outcome
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Storm(number) => self.storm(number),
            Event::Fault(fault) => self.fault(fault),
            Event::Calm => self.calm(),
            Event::Judge => {
                let end = self.now + nanos(STEADY);
                self.look(end);
            }
            Event::Look(end) => self.look(end),
            Event::Quiet(quiet) => self.quiet(quiet),
            Event::Placed(placed) => self.placed(placed),
            Event::Arrives { to, letter } => self.arrives(to, letter),
            Event::Goes { host, ticket } if ticket == self.hosts[host].ticket => self.goes(host),
            Event::Goes { .. } => {}
            Event::Starts { host, closes } => self.starts(host, closes),
            Event::Boots { host } if self.hosts[host].powered => {}
            Event::Boots { host } => {
                self.hosts[host].powered = true;
                self.hosts[host].clock =
                    Clock::new(self.now, self.chance.below(1 << 30), 1_000_000);
                self.hosts[host].unread = self.script.numbered;
                self.hosts[host].heard_from = self.now + nanos(self.chance.span(HEARD));
                self.prove(host, false);
                self.after(Duration::from_millis(1), Event::Starts { host, closes: true });
            }
            Event::Learns { host } => self.learns(host),
            Event::Proposes => {
                self.propose();
                if self.script.numbered && !self.storms {
                    self.after(ASKED_EACH, Event::Proposes);
                }
            }
            Event::Measured { host, life } => {
                let process = self.hosts[host].process.as_ref();
                if process.is_some_and(|process| process.life == life) {
                    self.order(host, Told::Late(IN_TIME));
                }
            }
        }
    }

    fn storm(&mut self, number: usize) {
        let script = self.script;
        let Some(storm) = script.storms.get(number) else { return self.queue.clear() };
        self.storms = true;
        self.last = number + 1 == script.storms.len();
        for (at, fault) in &storm.faults {
            self.after(*at, Event::Fault(*fault));
        }
        self.after(storm.lasts, Event::Calm);
        let calm = match (script.restores, script.numbered) {
            (true, _) => RESTORED,
            (false, true) => LISTED,
            (false, false) => CALM,
        };
        let judged = storm.lasts + calm;
        self.after(judged, Event::Judge);
        // Of the last one it ends by itself.
        let quiet = if self.last { quiet::TAKES } else { Duration::ZERO };
        if !(self.last && self.has_places()) {
            self.after(judged + STEADY + quiet + BEAT, Event::Storm(number + 1));
        }
    }

    /// All is well from now on: everything runs, all hear each other, all know the newest list.
    fn calm(&mut self) {
        (self.storms, self.calm_at) = (false, self.now);
        self.cut = [[[false; 5]; 5]; NETWORKS];
        self.weather = (0, 0, Duration::ZERO);
        for host in 0..self.hosts.len() {
            self.hosts[host].standby = false;
            self.hosts[host].deaf_until = self.now;
            self.set_fit(host, true);
            self.order(host, Told::Standby(false));
            self.refer(host, true);
            self.settles_places(host);
            if let Some(process) = &mut self.hosts[host].process {
                process.paused = self.now;
            }
            if !self.hosts[host].powered {
                self.event(Event::Boots { host });
            } else if self.hosts[host].process.is_none() {
                self.after(Duration::ZERO, Event::Starts { host, closes: true });
            }
            self.hosts[host].heard_from = self.now;
            self.after(Duration::from_millis(5), Event::Learns { host });
            self.plan(host);
        }
        if self.script.restores {
            self.event(Event::Proposes);
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.tell(|| format!("{fault:?}"));
        match fault {
            Fault::Kill { host, after, closes } => {
                if self.hosts[host].process.take().is_some() {
                    self.after(after, Event::Starts { host, closes });
                }
            }
            Fault::Machine { host, back } => self.is_followed_by_another(host, back),
            Fault::Power { host, back } => self.loses_power(host, back),
            Fault::Pause { host, takes } => {
                if let Some(process) = &mut self.hosts[host].process {
                    process.paused = process.paused.max(self.now + nanos(takes));
                }
            }
            Fault::Cut { from, to, network } => {
                for (number, cut) in self.cut.iter_mut().enumerate() {
                    cut[from][to] |= network.is_none_or(|network| network == number);
                }
            }
            Fault::Isolate { host } => {
                for cut in &mut self.cut {
                    cut[host].fill(true);
                    cut.iter_mut().for_each(|row| row[host] = true);
                }
            }
            Fault::Heal => self.cut = [[[false; 5]; 5]; NETWORKS],
            Fault::Weather { lost, doubled, late } => self.weather = (lost, doubled, late),
            Fault::Slew { host, rate } => {
                self.hosts[host].clock.slew(self.now, rate);
                self.plan(host);
            }
            Fault::Fit { host, fit } => self.set_fit(host, fit),
            Fault::Standby { host, on } => {
                self.hosts[host].standby = on;
                self.order(host, Told::Standby(on));
            }
            Fault::Gateway { host, answers } => self.refer(host, answers),
            Fault::Coordinates { host, on } => self.coordinates(host, on),
            Fault::Late { host, usual } => self.order(host, Told::Late(usual)),
            Fault::Move { vip, to } => {
                let node = node(to);
                (0..self.hosts.len()).for_each(|host| self.order(host, Told::MoveTo { vip, node }));
            }
            Fault::Stop { host } => {
                self.order(host, Told::Stop);
            }
            Fault::Replace { host } => self.replace(host),
            Fault::Replay { host } => {
                let count = u64::try_from(self.recorded.len()).unwrap_or(0);
                let chosen = index(self.chance.below(count));
                if let Some(letter) = self.recorded.get(chosen).cloned() {
                    self.arrives(host, letter);
                }
            }
            Fault::Confirm { host } => self.confirm(host),
            Fault::Voters => self.wants_voters(),
            Fault::Restore => {
                self.outcome.marks.reach(Mark::Restored);
                self.store.is_put_back();
            }
            Fault::StoreAway { host, takes } => {
                let until = &mut self.hosts[host].deaf_until;
                *until = (self.now + nanos(takes)).max(*until);
            }
        }
    }

    pub(super) fn set_fit(&mut self, host: usize, fit: bool) {
        self.hosts[host].fit = fit;
        for vip in 0..self.script.vips {
            let fact = Fact::Carrier { interface: 0, up: fit };
            self.order(host, Told::Fact { vip, fact });
        }
    }

    /// What a process is told by its own node waits in a socket, as packets do.
    pub(super) fn order(&mut self, host: usize, told: Told) {
        let Some(process) = &mut self.hosts[host].process else { return };
        process.told.push_back(told);
        if matches!(process.stage, Stage::Waits) {
            self.plan(host);
        }
    }

    fn arrives(&mut self, to: usize, letter: Letter) {
        if self.chance.one_in(64) && self.recorded.len() < 64 {
            self.recorded.push(letter.clone());
        }
        let Some(process) = &mut self.hosts[to].process else { return };
        if process.inbox.len() < INBOX {
            process.inbox.push_back(letter);
        }
        if matches!(process.stage, Stage::Waits) {
            self.plan(to);
        }
    }

    /// One and only one answers for each address.
    fn look(&mut self, end: u64) {
        for vip in 0..self.script.vips {
            if !(0..self.hosts.len()).any(|host| self.hosts[host].answers(vip, self.now)) {
                let what = format!("nobody answers for address {vip}");
                return self.break_off(NOBODY, what);
            }
        }
        if self.now < end {
            self.after(Duration::from_millis(1), Event::Look(end));
        } else if self.last && self.has_places() {
            (0..self.hosts.len()).for_each(|host| self.settles_places(host));
            self.event(Event::Placed(Placed::begins(self.now)));
        } else if self.last {
            self.event(Event::Quiet(Quiet::Begins));
        }
    }

    pub(super) fn break_off(&mut self, property: &'static str, what: String) {
        self.tell(|| what.clone());
        self.outcome.violation = Some((property, Duration::from_nanos(self.now), what));
    }

    pub(super) fn tell(&mut self, what: impl Fn() -> String) {
        use std::fmt::Write as _;
        let what = what();
        for byte in self.now.to_be_bytes().into_iter().chain(what.bytes()) {
            self.outcome.hash =
                (self.outcome.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.tells {
            let at = Time::from_nanos(self.now);
            writeln!(self.outcome.story, "{at} {what}").expect("a text grows");
        }
    }

    pub(super) fn after(&mut self, span: Duration, event: Event) {
        self.at(self.now + nanos(span), event);
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.queue.add(at, event);
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn node(host: usize) -> u16 {
    u16::try_from(host).unwrap_or(u16::MAX)
}

pub(super) fn address(vip: usize) -> config::vip::Vip {
    let number = u8::try_from(vip).unwrap_or(0);
    let ip = std::net::Ipv4Addr::new(10, 79, 0, 40 + number).into();
    let address = config::vip::Address::plain(ip);
    config::vip::Vip::plain(&format!("vip{vip}"), "eth0", 121 + number, vec![address])
}
