//! What this process says about itself.

use std::time::Duration;

use api::{Beats, Electorate, LateStep, VipProcess};
use base::Time;
use engine::vip::lateness::{Lateness, STEPS};
use engine::vip::lease::MAX_SEATS;
use engine::vip::lease::pace::Pace;

use super::Driver;
use super::lease::VipLeases;

/// What it is late in so long after it begins is forgotten then: all processes of the node begin with it, and what they do
/// together then they never do again.
const BEGINS: Duration = Duration::from_secs(5);
/// How often at most it is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often it is told though nothing took longer than all before.
const TELL_AGAIN: Duration = Duration::from_secs(10);

pub(super) struct Process {
    pub(super) lateness: Lateness,
    /// When what was late until then is forgotten; never: it is.
    forgets_at: Time,
    /// When it was awake last, before this time.
    woke: Time,
    /// What others woke it before; never: it was awake for nothing else.
    awaits: Time,
    /// As it was told last.
    told: VipProcess,
    pace: Option<Pace>,
    /// By which list it goes was not told.
    goes_by_another: bool,
    told_at: Time,
}

impl Process {
    pub(super) fn new(now: Time) -> Self {
        let mut told = VipProcess::default();
        told.late.steps.reserve_exact(STEPS);
        told.left.reserve_exact(MAX_SEATS);
        let lateness = Lateness::new();
        let (pace, told_at, goes_by_another) = (None, Time::ZERO, false);
        let (awaits, forgets_at) = (Time::NEVER, now + BEGINS);
        Self { lateness, forgets_at, woke: now, awaits, told, pace, goes_by_another, told_at }
    }

    /// It waited until something was `due`, or for less. What was due before it looked last was late then; the rest of
    /// that is what it did meanwhile, or that it was not run.
    pub(super) fn woke(&mut self, now: Time, due: Time) {
        if now >= self.forgets_at {
            (self.lateness, self.forgets_at) = (Lateness::new(), Time::NEVER);
        }
        if now >= due {
            self.lateness.note(now, now.since(due.max(self.woke)));
        }
        self.awaits = if now < due { due } else { Time::NEVER };
        self.woke = now;
    }

    /// Whether the moment has come before which others had woken it.
    pub(super) fn is_awaited(&self, now: Time) -> bool {
        now >= self.awaits
    }

    /// What others had woken it before is done now, if it is `due` still: what it heard from them took the time between. Whose
    /// beats always come just before its own is late for nothing else. To be told before the first step that may do it.
    pub(super) fn acts(&mut self, now: Time, due: Time) {
        if !self.is_awaited(now) {
            return;
        }
        if now >= due {
            self.lateness.note(now, now.since(self.awaits));
        }
        self.awaits = Time::NEVER;
    }

    /// By which list of voters it goes is told if that changed.
    pub(super) fn goes_by(&mut self, changes: impl FnOnce(&mut Option<Electorate>) -> bool) {
        self.goes_by_another |= changes(&mut self.told.voters);
    }

    /// What is to be told now. It is handed back to [`Self::was_told`].
    pub(super) fn news(
        &mut self,
        now: Time,
        voted: Option<&mut VipLeases>,
        nodes: &[String],
    ) -> Option<VipProcess> {
        let longest = micros(self.lateness.longest());
        let pace = voted.as_ref().map(|all| all.machine.pace());
        // What is left of a vip lease is another figure each time.
        let holds = voted.as_ref().is_some_and(|all| all.holds());
        let ceased = !holds && !self.told.left.is_empty();
        let is_told = holds || ceased || self.goes_by_another;
        let is_news = longest > self.told.late.max_us || pace != self.pace || is_told;
        let every = if is_news { TELL_EVERY } else { TELL_AGAIN };
        if now.since(self.told_at) < every || self.lateness.waits() == 0 {
            return None;
        }
        (self.told_at, self.goes_by_another) = (now, false);
        let mut told = std::mem::take(&mut self.told);
        if std::mem::replace(&mut self.pace, pace) != pace {
            told.beats = pace.map(|pace| beats(pace, nodes));
        }
        told.late.waits = self.lateness.waits();
        told.late.p50_us = micros(self.lateness.quantile(500));
        told.late.p99_us = micros(self.lateness.quantile(990));
        told.late.p999_us = micros(self.lateness.quantile(999));
        told.late.max_us = longest;
        let steps = (0..).zip(self.lateness.steps()).map(|(step, (upto, waits))| LateStep {
            step,
            upto_us: upto.map(micros),
            waits,
        });
        told.left.clear();
        if let Some(all) = voted {
            all.tell_left(now, &mut told.left);
        }
        told.late.steps.clear();
        told.late.steps.extend(steps.filter(|step| step.waits > 0));
        Some(told)
    }

    /// Its memory is used again.
    pub(super) fn was_told(&mut self, told: VipProcess) {
        self.told = told;
    }
}

impl Driver<'_> {
    /// Before a step that may do what was due while others were heard.
    pub(super) fn note_late(&mut self, now: Time) {
        if self.process.is_awaited(now) {
            let due = self.due();
            self.process.acts(now, due);
        }
    }
}

fn beats(pace: Pace, nodes: &[String]) -> Beats {
    Beats {
        wanted_us: micros(pace.wanted),
        wish_us: micros(pace.wish),
        beat_us: micros(pace.beat),
        lease_us: micros(pace.span),
        late_us: pace.usual.map(micros),
        slowest: pace.slowest.and_then(|node| nodes.get(usize::from(node)).cloned()),
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Time {
        Time::from_nanos(micros * 1000)
    }

    /// Late so often, and at most so much (microseconds).
    fn late(process: &Process) -> (u64, u64) {
        (process.lateness.waits(), micros(process.lateness.longest()))
    }

    #[test]
    fn who_is_always_woken_just_before_it_is_due_knows_how_late_it_is() {
        let mut process = Process::new(at(0));
        for beat in 1..=3 {
            let due = at(beat * 10_000);
            // Beats of another node come 30 us before, and take 100 us.
            process.woke(at(beat * 10_000 - 30), due);
            process.acts(at(beat * 10_000 + 70), due);
        }
        assert_eq!(late(&process), (3, 70));
    }

    #[test]
    fn what_it_was_late_as_it_began_is_forgotten_after_five_seconds() {
        let mut process = Process::new(at(0));
        process.woke(at(30_000), at(10_000));
        assert_eq!(late(&process), (1, 20_000));
        process.woke(at(5_000_100), at(5_000_000));
        process.woke(at(5_010_050), at(5_010_000));
        assert_eq!(late(&process), (2, 100));
    }

    #[test]
    fn what_is_done_while_the_second_of_two_packets_is_heard_was_late_then() {
        let mut process = Process::new(at(0));
        for beat in 1..=3 {
            let due = at(beat * 10_000);
            process.woke(at(beat * 10_000 - 30), due);
            // With the first one there is nothing to do yet; with the second one it beats, and the next beat is due later.
            process.acts(at(beat * 10_000 - 20), due);
            process.acts(at(beat * 10_000 + 40), due);
            process.acts(at(beat * 10_000 + 90), at(beat * 10_000 + 10_000));
        }
        assert_eq!(late(&process), (3, 40));
    }

    #[test]
    fn nothing_is_counted_twice_nor_before_it_is_due_nor_where_it_is_due_no_more() {
        let mut process = Process::new(at(0));
        process.woke(at(10_050), at(10_000));
        process.acts(at(10_060), at(10_000));
        assert_eq!(late(&process), (1, 50), "it was noted as it woke");
        process.woke(at(19_000), at(20_000));
        process.acts(at(19_100), at(20_000));
        assert_eq!(late(&process), (1, 50), "there is time left");
        process.woke(at(19_950), at(20_000));
        process.acts(at(20_050), at(30_000));
        assert_eq!(late(&process), (1, 50), "what it heard put it off");
        process.acts(at(30_050), at(30_000));
        assert_eq!(late(&process), (1, 50), "it was awake for nothing");
    }
}
