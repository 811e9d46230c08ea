//! The store as a log that everybody reads alike, and what processes send each other about it.
//!
//! Consensus is not modelled: there is one log, and a leader of it that can be lost. What a proposer
//! sees is: refused, committed and answered, committed without an answer, or nothing.

use std::time::Duration;

use base::Time;
use engine::intent::{self, Order, Word};
use engine::kv::{Command, Entry, Kv, Outcome, Token, Transaction};

use super::mark::Mark;
use super::office::Deed;
use super::queue::Due;
use super::version::Version;
use super::{World, mix};

/// One way, and what a majority's disks need.
const WAY: Duration = Duration::from_millis(1);
/// Until another one leads the store.
const ELECTION: Duration = Duration::from_millis(300);
const LONGER: Duration = Duration::from_millis(1200);
/// A kernel sends again what was not acknowledged, first after this, then after twice as long.
const FIRST_TRY: Duration = Duration::from_millis(200);
/// Thirteen seconds in all: longer than a time in office.
const TRIES: u32 = 6;
/// What a step takes at most.
const WORK: Duration = Duration::from_millis(200);

/// Who waits for the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asker {
    Nobody,
    Tenure(u64),
    /// Who takes the name from its holder.
    Heir {
        take: u64,
        from: Token,
    },
    /// Whoever wants to know who has the name.
    Watch,
    Read(Token),
    Commit {
        token: Token,
        commit: u64,
    },
    /// Somebody who looks at this world, by the number of the write.
    Client(usize),
}

/// Something on its way.
#[derive(Clone, Debug)]
pub(super) enum Mail {
    /// To whoever leads the store.
    Proposal {
        asker: Asker,
        life: u64,
        version: Version,
        transaction: Transaction,
    },
    Reply {
        asker: Asker,
        outcome: Option<Outcome>,
    },
    Order(Order),
    Answer {
        number: u64,
        step: u8,
        outcome: Result<(), String>,
    },
    /// The disk of the node that has to do it takes nothing.
    Hindered {
        number: u64,
        step: u8,
    },
    Stale(Token),
    /// What a step came to, to the process that does it.
    Own {
        word: Word,
        from: u16,
        token: Token,
    },
}

#[derive(Clone, Debug)]
struct Sent {
    from: u16,
    to: u16,
    /// Of the process that it is for, where a later one must not read it.
    life: Option<u64>,
    /// How often the sender's kernel has tried, where there was no way.
    tries: u32,
    mail: Mail,
}

/// What is wrong with the store, of a thousand proposals, and how late it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoreWeather {
    pub(super) refused: u64,
    pub(super) unanswered: u64,
    pub(super) late: Duration,
}

impl StoreWeather {
    pub(super) fn is_fine(&self) -> bool {
        self.refused == 0 && self.unanswered == 0 && self.late.is_zero()
    }
}

/// The log and its leader.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) kv: Kv,
    pub(super) weather: StoreWeather,
    leader: Option<u16>,
    /// Who may lead it and counts for its majority; none: all controllers.
    pub(super) members: Vec<u16>,
    elect_at: Time,
    /// When something was last done to it.
    pub(super) shaken_at: Time,
    /// When the leader last added its own time to the cluster's clock, by its own clock.
    counted_at: Time,
    mail: Vec<Option<Sent>>,
    free: Vec<u32>,
}

impl Store {
    fn put(&mut self, sent: Sent) -> u32 {
        if let Some(place) = self.free.pop() {
            self.mail[place as usize] = Some(sent);
            return place;
        }
        self.mail.push(Some(sent));
        u32::try_from(self.mail.len() - 1).expect("thousands at most are on their way")
    }

    fn take(&mut self, place: u32) -> Option<Sent> {
        let sent = self.mail.get_mut(place as usize)?.take();
        self.free.push(place);
        sent
    }
}

impl World {
    pub(super) fn propose(&mut self, host: u16, asker: Asker, transaction: Transaction) {
        let life = self.offices[usize::from(host)].life;
        let version = self.hosts[usize::from(host)].version;
        let mail = Mail::Proposal { asker, life, version, transaction };
        let late = self.dice.span(self.store.weather.late.max(WAY));
        self.launch(
            self.now + WAY + late,
            Sent { from: host, to: host, life: None, tries: 0, mail },
        );
    }

    /// To a process, over any network that carries both ways; to itself, when it is done.
    pub(super) fn post(&mut self, from: u16, to: u16, mail: Mail) {
        if from == to && matches!(mail, Mail::Own { .. }) {
            let work = self.dice.span(WORK);
            return self.post_later(to, work, mail);
        }
        // Without a way the kernel tries again.
        let network = if from == to { None } else { self.way(from, to) };
        let weather = network.map(|network| self.nets.weather[usize::from(network)]);
        let weather = weather.unwrap_or_default();
        for _ in 0..=u8::from(self.dice.permille(weather.doubled)) {
            if !self.dice.permille(weather.lost) {
                let at = self.now + WAY + self.dice.span(weather.late);
                self.launch(at, Sent { from, to, life: None, tries: 0, mail: mail.clone() });
            }
        }
    }

    /// From a process to itself.
    pub(super) fn post_later(&mut self, host: u16, delay: Duration, mail: Mail) {
        let life = Some(self.offices[usize::from(host)].life);
        self.launch(self.now + delay, Sent { from: host, to: host, life, tries: 0, mail });
    }

    fn launch(&mut self, at: Time, sent: Sent) {
        let place = self.store.put(sent);
        self.queue.push(at, Due::Mail(place));
    }

    /// A network over which the two can speak.
    fn way(&self, a: u16, b: u16) -> Option<u8> {
        let up = |host: u16, network: u8| {
            let node = &self.hosts[usize::from(host)];
            node.power != super::Power::Off && node.carrier[usize::from(network)]
        };
        (0..self.nets.count)
            .find(|network| up(a, *network) && up(b, *network) && self.nets.joins(*network, a, b))
    }

    pub(super) fn is_reached(&self, one: u16, other: u16) -> bool {
        one == other || self.way(one, other).is_some()
    }

    pub(super) fn deliver(&mut self, place: u32) {
        let Some(sent) = self.store.take(place) else { return };
        let Sent { from, to, life, tries, .. } = sent;
        self.hash = mix(self.hash, u64::from(from) << 16 | u64::from(to) << 8 | 4);
        if life.is_some_and(|life| life != self.offices[usize::from(to)].life) {
            return;
        }
        if from != to && self.way(from, to).is_none() {
            let is_off = |host: u16| self.hosts[usize::from(host)].power == super::Power::Off;
            if tries < TRIES && !is_off(from) && !is_off(to) {
                let again = self.now + FIRST_TRY * 2_u32.pow(tries);
                self.launch(again, Sent { tries: tries + 1, ..sent });
            }
            return;
        }
        let deed = match sent.mail {
            Mail::Proposal { asker, life, version, transaction } => {
                return self.commit((from, version), (asker, life), transaction);
            }
            Mail::Reply { asker, outcome } => Deed::Replied(asker, outcome),
            Mail::Order(order) => {
                let token = order.token;
                Deed::ToNode { word: Word::Ordered(order), from, token }
            }
            Mail::Answer { number, step, outcome } => {
                Deed::ToLeader(intent::Input::Answered { number, step, outcome })
            }
            // The former version has no word for it.
            Mail::Hindered { .. } if self.hosts[usize::from(to)].version == Version::Former => {
                return;
            }
            Mail::Hindered { number, step } => {
                let why = "its disk is full".to_owned();
                Deed::ToLeader(intent::Input::Hindered { number, step, why })
            }
            Mail::Stale(token) => {
                let leads = self.offices[usize::from(to)].leader.as_ref();
                if leads.is_none_or(|(own, _)| *own != token) {
                    return;
                }
                Deed::ToLeader(intent::Input::Stale)
            }
            Mail::Own { word, from, token } => Deed::ToNode { word, from, token },
        };
        self.put_on_desk(to, deed);
    }

    /// A proposal arrives where the store is led.
    fn commit(
        &mut self,
        (host, version): (u16, Version),
        asker: (Asker, u64),
        transaction: Transaction,
    ) {
        let leader = self.lead_store();
        let reaches =
            leader.is_none_or(|leader| leader == host || self.way(host, leader).is_some());
        if !reaches {
            return;
        }
        let Some(leader) = leader else { return self.reply(host, asker, None) };
        let weather = self.store.weather;
        if self.dice.permille(weather.refused) {
            self.marks.note(Mark::StoreRefused);
            return self.reply(host, asker, None);
        }
        let local = self.local(leader);
        let passed = local.since(self.store.counted_at).as_millis();
        let passed = u64::try_from(passed).unwrap_or(0);
        self.store.counted_at += Duration::from_millis(passed);
        let clock = self.store.kv.clock() + passed;
        let transaction = self.as_written(version, transaction);
        let before = self.holder();
        let outcome =
            self.store.kv.apply(&Entry { clock, command: Command::Transact(transaction) });
        let held = outcome.as_ref().is_ok_and(|outcome| outcome.held);
        self.judge_taken(host, asker.0, before, held);
        self.judge_entry((host, version), asker.0, outcome.as_ref().ok());
        if self.dice.permille(weather.unanswered) {
            self.marks.note(Mark::StoreUnanswered);
        } else if let Ok(outcome) = outcome {
            self.reply(host, asker, Some(Self::as_read(version, outcome)));
        }
    }

    fn reply(&mut self, host: u16, (asker, life): (Asker, u64), outcome: Option<Outcome>) {
        let at = self.now + WAY + self.dice.span(self.store.weather.late.max(WAY));
        let mail = Mail::Reply { asker, outcome };
        self.launch(at, Sent { from: host, to: host, life: Some(life), tries: 0, mail });
    }

    /// The leader of the store: a controller that runs and reaches a majority.
    pub(super) fn lead_store(&mut self) -> Option<u16> {
        if let Some(leader) = self.store.leader {
            if self.could_lead_store(leader) {
                return Some(leader);
            }
            self.depose_store();
        }
        if self.now < self.store.elect_at {
            return None;
        }
        let first = u16::try_from(self.dice.below(u64::from(self.controllers))).unwrap_or(0);
        let all = (0..self.controllers).map(|n| (first + n) % self.controllers);
        let leader = all.into_iter().find(|host| self.could_lead_store(*host));
        if let Some(leader) = leader {
            // It counts on from the last entry, and does not know how long ago that was.
            self.store.counted_at = self.local(leader);
            self.store.leader = Some(leader);
            self.say(leader, || "leads the store".to_owned());
        }
        leader
    }

    /// Nobody leads the store for a while.
    pub(super) fn depose_store(&mut self) {
        self.marks.note(Mark::StoreLostLeader);
        self.store.leader = None;
        self.store.elect_at = self.now + ELECTION + self.dice.span(LONGER);
    }

    /// Whether a process of the store on this host follows a leader now.
    pub(super) fn store_is_read_by(&self, host: u16) -> bool {
        let leads = |leader: &u16| self.could_lead_store(*leader) && self.is_reached(host, *leader);
        self.store.leader.filter(leads).is_some()
    }

    pub(super) fn could_lead_store(&self, host: u16) -> bool {
        let acts = |host: u16| self.hosts[usize::from(host)].agent_acts();
        let members = &self.store.members;
        let is_member = |host: u16| members.is_empty() || members.contains(&host);
        let all = || (0..self.controllers).filter(|other| is_member(*other));
        let voters = all()
            .filter(|other| acts(*other) && (*other == host || self.way(host, *other).is_some()));
        is_member(host) && acts(host) && voters.count() * 2 > all().count()
    }
}
