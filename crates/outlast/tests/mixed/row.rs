//! One row of the matrix: a group is built, and every fault is done to its holder, in some order.

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use base::Time;

use crate::dissect;
use crate::group::Group;
use crate::member::{Maker, Manner, Member, Transport, Version};

/// What is done to the holder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// SIGTERM.
    Stop,
    /// SIGKILL of the process that was started.
    Kill,
    /// SIGKILL of its child that speaks VRRP.
    KillWorker,
    /// Its link goes down.
    Carrier,
    /// Its link goes nowhere, and it does not notice.
    Silence,
}

pub(crate) type Order = [Fault; 4];

/// A row of the matrix.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) members: [(Maker, u8); 3],
    pub(crate) transport: Transport,
    pub(crate) version: Version,
    /// The first after a start of all at once, the second after the weakest was alone.
    pub(crate) orders: [Order; 2],
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (maker, priority) in self.members {
            let maker = if maker == Maker::Ours { "ours" } else { "theirs" };
            write!(f, "{maker} {priority}, ")?;
        }
        write!(f, "{:?}, {:?}", self.transport, self.version)
    }
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// One line per step.
    pub(crate) steps: Vec<String>,
    pub(crate) misses: Vec<String>,
    /// Adverts that tshark read, ours and theirs.
    pub(crate) adverts: [usize; 2],
}

/// On top of the formula and its 20 %: processes get the processor late on a loaded machine.
const LOADED: Duration = Duration::from_millis(400);
/// After a heal a node of ours counts on a rival that it heard for as long: meanwhile it lets nobody
/// name it, and an election decides.
const REMEMBERED: Duration = Duration::from_millis(2500);
/// A router that starts, or whose link is back, has what it needs by then, and has claimed if it
/// wrongly would at once.
const REJOIN: Duration = Duration::from_millis(2500);
/// The same of a group that speaks often: three of its adverts are over sooner than a process has started.
const QUICK_REJOIN: Duration = Duration::from_millis(1300);
/// By so much the strongest is started first.
const HEAD_START: Duration = Duration::from_millis(1500);
/// A process that starts is not waiting yet: dozens of them start at once.
const STARTS: Duration = Duration::from_secs(1);
/// One holder has to stay the one for so long.
const STEADY: Duration = Duration::from_millis(300);
/// Without an advert of a rival a holder of ours tells its neighbours every 5 s.
const CLIENTS_KNOW: Duration = Duration::from_secs(5);

impl Row {
    pub(crate) fn run(&self, folder: &Path) -> Outcome {
        let theirs = self.members.iter().filter(|(maker, _)| *maker == Maker::Theirs).count();
        let (transport, version) = (self.transport, self.version);
        let (cluster, loser_speaks) = (theirs == 1, theirs == 2);
        let manner = Manner { transport, version, cluster, loser_speaks };
        let group = Group::new(folder, &self.members, manner);
        let mut course = Course { group, manner, cluster, outcome: Outcome::default() };
        course.run(self.orders);
        course.outcome
    }
}

struct Course {
    group: Group,
    manner: Manner,
    cluster: bool,
    outcome: Outcome,
}

fn allowed(formula: Duration) -> Duration {
    formula * 6 / 5 + LOADED
}

impl Course {
    fn run(&mut self, [first, second]: [Order; 2]) {
        let strongest = self.group.strongest_of_all();
        let began = sys::clock::now();
        self.group.members[strongest].start();
        // An election is won by who waits shortest, counted from its start, and theirs take longer
        // to start than ours.
        thread::sleep(HEAD_START);
        for at in (0..self.group.members.len()).filter(|at| *at != strongest) {
            self.group.members[at].start();
        }
        let formula = self.silence(&self.group.members[strongest]) + STARTS;
        self.expect_holder("start of all", began, formula, Some(strongest));
        for fault in first {
            self.fault(strongest, fault);
            self.give_back(strongest);
        }
        self.weakest_first();
        for fault in second {
            self.fault(strongest, fault);
            self.give_back(strongest);
        }
        self.one_sender();
        for at in 0..self.group.members.len() {
            self.group.members[at].stop();
        }
        for at in 0..self.group.members.len() {
            self.group.members[at].reap();
        }
        let left: Vec<String> = self.group.holders().iter().map(|at| self.name(*at)).collect();
        if !left.is_empty() {
            self.miss("end", &format!("the address stays at {}", left.join(", ")));
        }
        self.judge();
    }

    /// Who was there first holds, and loses what it held unheard.
    fn weakest_first(&mut self) {
        let (weakest, strongest) = (self.group.weakest_of_all(), self.group.strongest_of_all());
        for member in &mut self.group.members {
            member.stop();
        }
        for member in &mut self.group.members {
            member.reap();
        }
        let began = sys::clock::now();
        self.group.members[weakest].start();
        let formula = self.silence(&self.group.members[weakest]) + STARTS;
        self.expect_holder("start of the weakest", began, formula, Some(weakest));
        for at in (0..self.group.members.len()).filter(|at| *at != weakest) {
            self.group.members[at].start();
        }
        self.expect_peace("the others start", weakest);
        self.fault(weakest, Fault::Silence);
        self.give_back(strongest);
    }

    /// Does it, waits for the next holder, undoes it; afterwards everybody is well.
    fn fault(&mut self, holder: usize, fault: Fault) {
        let what = format!("{fault:?} of {}", self.name(holder));
        let formula = self.formula(holder, fault);
        let began = sys::clock::now();
        match fault {
            Fault::Stop => self.group.members[holder].stop(),
            Fault::Kill => self.group.members[holder].kill(),
            Fault::KillWorker => self.group.members[holder].kill_worker(),
            Fault::Carrier => self.group.set_carrier(holder, false),
            Fault::Silence => self.group.set_cut(holder, true),
        }
        let wanted = self.successor(holder, fault);
        let next = self.expect_move(&what, began, formula, holder);
        // Who of theirs comes late may come too late: that is told by the formula.
        // Of two that wait for nearly the same time either may be first.
        let is_sure = !self.manner.version.is_quick() || self.names(holder);
        if next != wanted && self.group.members[wanted].maker == Maker::Ours && is_sure {
            self.miss(&what, &format!("{} holds, not {}", self.name(next), self.name(wanted)));
        }
        let began = sys::clock::now();
        match fault {
            Fault::Stop | Fault::Kill => {
                self.group.members[holder].reap();
                self.group.members[holder].start();
            }
            Fault::KillWorker => {}
            Fault::Carrier => self.group.set_carrier(holder, true),
            Fault::Silence => {
                self.group.set_cut(holder, false);
                let (a, b) = (&self.group.members[holder], &self.group.members[next]);
                let winner = if a.priority > b.priority { holder } else { next };
                let formula = self.manner.version.interval() * 4;
                self.expect_holder(&format!("heal of {what}"), began, formula, Some(winner));
                if self.cluster {
                    thread::sleep(REMEMBERED);
                }
                return;
            }
        }
        self.expect_peace(&format!("return after {what}"), next);
    }

    /// The strongest holds again after an orderly stop of who holds now. Two of ours name each other,
    /// so both are stopped to give it back to theirs.
    fn give_back(&mut self, strongest: usize) {
        let [holder] = self.group.holders()[..] else { return };
        if holder == strongest {
            return;
        }
        if !self.cluster || self.group.members[strongest].maker == Maker::Ours {
            self.fault(holder, Fault::Stop);
            return;
        }
        let others: Vec<usize> =
            (0..self.group.members.len()).filter(|at| *at != strongest).collect();
        let began = sys::clock::now();
        others.iter().for_each(|at| self.group.members[*at].stop());
        let formula = self.silence(&self.group.members[strongest]);
        self.expect_holder("stop of both of ours", began, formula, Some(strongest));
        for at in others {
            self.group.members[at].reap();
            self.group.members[at].start();
        }
        self.expect_peace("return of both of ours", strongest);
    }

    /// Of two of ours the other one is named, unless nothing could be said; otherwise the strongest
    /// that is left is elected.
    fn successor(&self, holder: usize, fault: Fault) -> usize {
        let members = &self.group.members;
        let can_speak = !matches!(fault, Fault::Carrier | Fault::Silence);
        let ours = |at: &usize| *at != holder && members[*at].maker == Maker::Ours;
        let other = (0..members.len()).find(ours);
        match other {
            Some(other) if can_speak && self.names(holder) => other,
            Some(_) | None => self.group.strongest_but(holder),
        }
    }

    /// Whether it is one of two of ours.
    fn names(&self, holder: usize) -> bool {
        self.cluster && self.group.members[holder].maker == Maker::Ours
    }

    /// What a member waits for a master.
    fn silence(&self, member: &Member) -> Duration {
        self.manner.version.interval() * 3 + self.manner.version.skew(member.priority)
    }

    /// How long the others may take, by RFC 3768 and 9568 and by what of ours names its successor.
    fn formula(&self, holder: usize, fault: Fault) -> Duration {
        let next = &self.group.members[self.group.strongest_but(holder)];
        let ours = self.group.members[holder].maker == Maker::Ours;
        match fault {
            Fault::Stop | Fault::Kill | Fault::KillWorker if self.names(holder) => Duration::ZERO,
            Fault::Stop | Fault::Kill => self.manner.version.skew(next.priority),
            Fault::KillWorker if ours => self.manner.version.skew(next.priority),
            Fault::KillWorker | Fault::Carrier | Fault::Silence => self.silence(next),
        }
    }

    /// The address leaves `holder` (a worker that is made anew may take it again) for one other.
    fn expect_move(&mut self, what: &str, began: Time, formula: Duration, holder: usize) -> usize {
        let mut gone = false;
        let moved = |group: &Group| {
            let holders = group.holders();
            gone |= !holders.contains(&holder);
            gone && holders.len() == 1
        };
        let took = self.group.until(began, allowed(formula) * 3, moved);
        self.settled(what, formula, took, None)
    }

    fn expect_holder(
        &mut self,
        what: &str,
        began: Time,
        formula: Duration,
        wanted: Option<usize>,
    ) -> usize {
        let alone = |group: &Group| match group.holders()[..] {
            [one] => wanted.is_none_or(|wanted| wanted == one),
            _ => false,
        };
        let took = self.group.until(began, allowed(formula) * 3, alone);
        self.settled(what, formula, took, wanted)
    }

    /// One holder: in time, for good, told to the neighbours, and used by the client.
    fn settled(
        &mut self,
        what: &str,
        formula: Duration,
        took: Result<Duration, Duration>,
        wanted: Option<usize>,
    ) -> usize {
        let holders = self.group.holders();
        let names: Vec<String> = holders.iter().map(|at| self.name(*at)).collect();
        let Ok(took) = took else {
            let names = names.join(" and ");
            let wanted = wanted.map_or_else(|| "one".to_owned(), |at| self.name(at));
            self.miss(what, &format!("holders: {names}; expected {wanted}"));
            return holders.first().copied().unwrap_or(0);
        };
        let holder = holders.first().copied().unwrap_or(0);
        self.step(what, took, formula, &names.join(" and "));
        if took > allowed(formula) {
            self.miss(what, &format!("took {took:?}, allowed are {:?}", allowed(formula)));
        }
        let steady = sys::clock::now();
        let other = |group: &Group| group.holders()[..] != [holder];
        if self.group.until(steady, STEADY, other).is_ok() {
            self.miss(what, "the holder did not stay the one");
        }
        let mac = self.group.members[holder].mac;
        let now = sys::clock::now();
        let told = |group: &Group| group.client.told == Some(mac);
        if self.group.until(now, allowed(CLIENTS_KNOW), told).is_err() {
            self.miss(what, "the last gratuitous ARP is not that of the holder");
        }
        let served = |group: &Group| group.client.is_served_since(now);
        match self.group.until(now, allowed(CLIENTS_KNOW), served) {
            Ok(_) => {}
            Err(_) => self.miss(what, "the client is not served"),
        }
        holder
    }

    /// Nothing moves, and no question of the client stays unanswered.
    fn expect_peace(&mut self, what: &str, holder: usize) {
        let began = sys::clock::now();
        let rejoin = if self.manner.version.is_quick() { QUICK_REJOIN } else { REJOIN };
        let other = |group: &Group| group.holders()[..] != [holder];
        if self.group.until(began, rejoin, other).is_ok() {
            self.miss(what, "the address moved");
        }
        // What began later than that may still be under way.
        let ended = began + rejoin - Duration::from_millis(400);
        let (answered, failed) = self.group.client.asked(began, ended);
        if failed > 0 || answered == 0 {
            self.miss(what, &format!("{failed} of {} questions failed", answered + failed));
        }
    }

    /// In peace only the holder speaks.
    fn one_sender(&mut self) {
        let from = sys::clock::wall_ms();
        let (began, interval) = (sys::clock::now(), self.manner.version.interval());
        // Two intervals lie between three adverts.
        let (mut length, mut adverts) = (self.group.recorded(), 0);
        let three = |group: &Group| {
            let now = group.recorded();
            adverts += u8::from(now > length);
            length = now;
            adverts >= 3
        };
        if self.group.until(began, interval * 10, three).is_err() {
            self.miss("peace", "no three adverts came in ten intervals");
        }
        let to = sys::clock::wall_ms() + 1;
        let holders = self.group.holders();
        self.group.stop_recording();
        let read = dissect::read(&self.group.recording, self.manner.version);
        let spoke = read.iter().filter(|advert| (from..to).contains(&advert.at_ms));
        let mut senders: Vec<_> = spoke.map(|advert| advert.source).collect();
        senders.dedup();
        let manner = self.manner;
        let source = |member: &Member| member.source(manner);
        let holder = holders.first().map(|at| source(&self.group.members[*at]));
        if senders != holder.into_iter().collect::<Vec<_>>() {
            self.miss("peace", &format!("adverts come from {senders:?}, the holder is {holder:?}"));
        }
        for advert in read {
            let maker = self.group.members.iter().find(|member| source(member) == advert.source);
            let maker = maker.map_or(Maker::Ours, |member| member.maker);
            self.outcome.adverts[usize::from(maker == Maker::Theirs)] += 1;
            if let Some(wrong) = advert.wrong
                && maker == Maker::Ours
            {
                self.miss("tshark", &format!("{wrong} (priority {})", advert.priority));
            }
        }
    }

    fn judge(&mut self) {
        for at in 0..self.group.members.len() {
            let name = self.name(at);
            for line in self.group.members[at].complaints() {
                self.miss(&name, &line);
            }
        }
        if !self.outcome.misses.is_empty() {
            let logs: Vec<String> = self
                .group
                .members
                .iter()
                .map(|member| format!("--- log of {}\n{}", member.name(), member.log()))
                .collect();
            self.outcome.steps.extend(logs);
        }
    }

    fn name(&self, member: usize) -> String {
        self.group.members[member].name()
    }

    fn step(&mut self, what: &str, took: Duration, formula: Duration, holder: &str) {
        let (took, formula) = (took.as_millis(), formula.as_millis());
        self.outcome.steps.push(format!("{took:>5} ms of {formula:>4}  {what} -> {holder}"));
    }

    fn miss(&mut self, what: &str, why: &str) {
        self.outcome.misses.push(format!("{what}: {why}"));
    }
}
