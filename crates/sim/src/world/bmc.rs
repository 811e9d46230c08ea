//! A management controller beside each host, with power and a network of its own, and the operator who looks at
//! it before he types `outlast node confirm-off`. Nothing in the product asks one yet.
//!
//! ```text
//!   fence: order off ---> ok ---> look ---> it is off ---> confirm-off ---> refused while it is heard
//!                          (late; may be no answer at all, or not true)      (looks and types again)
//! ```

use std::time::Duration;

use base::Time;
use engine::member::Standing;

use super::fault::{Fault, Verb};
use super::host::Power;
use super::mark::Mark;
use super::queue::Due;
use super::{World, mix};

/// Until he tries again what was refused.
const AGAIN: Duration = Duration::from_secs(2);
/// Longer than the longest detection time.
const TRIES: u8 = 8;
/// Between off and on.
const CYCLE: Duration = Duration::from_secs(1);

/// How far it can be believed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Faith {
    #[default]
    True,
    /// It says `ok`, and nothing happens.
    IdleOk,
    /// And then it says that the host is off.
    SaysOff,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Bmc {
    is_dead: bool,
    is_cut: bool,
    faith: Faith,
    late: Duration,
    /// It was ordered to switch its host off.
    ordered_off: bool,
    /// The store has a proof that rests on it, or on an operator who did not look.
    is_confirmed: bool,
    booted_at: Time,
}

/// What the operator does next.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Look,
    On,
    /// It said so; none: he did not look.
    Confirm(Option<Look>),
}

/// What the controller said, when, and whether that was a lie.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Time,
    is_lie: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    of: u16,
    doing: Doing,
    tries: u8,
}

impl World {
    pub(super) fn touch_bmc(&mut self, fault: Fault) {
        let (of, amount) = (fault.host, fault.amounts[0]);
        let bmc = &mut self.bmcs[usize::from(of)];
        if fault.verb == Verb::BmcPower {
            bmc.is_dead = amount == 0;
        } else if fault.verb == Verb::BmcLink {
            bmc.is_cut = amount == 0;
        } else if fault.verb == Verb::BmcLate {
            bmc.late = Duration::from_millis(amount.unsigned_abs());
        } else if fault.verb == Verb::BmcLies {
            bmc.faith = match amount {
                0 => Faith::True,
                1 => Faith::IdleOk,
                _ => Faith::SaysOff,
            };
        } else if fault.verb == Verb::ConfirmOff && amount != 0 {
            self.goes_on(of, Doing::Confirm(None), 0);
        } else if fault.verb == Verb::ConfirmOff {
            self.goes_on(of, Doing::Look, 0);
        } else if fault.verb == Verb::Fence {
            self.orders_off(of, amount != 0);
        }
    }

    /// The operator goes on when he has his answer.
    fn goes_on(&mut self, of: u16, doing: Doing, tries: u8) {
        let at = self.now + self.bmcs[usize::from(of)].late;
        self.plans(at, Task { of, doing, tries });
    }

    fn plans(&mut self, at: Time, task: Task) {
        self.tasks.push(Some(task));
        let place = u32::try_from(self.tasks.len() - 1).expect("a few in a script");
        self.queue.push(at, Due::Operator(place));
    }

    fn answers(&mut self, of: u16) -> bool {
        let bmc = &self.bmcs[usize::from(of)];
        let answers = !bmc.is_dead && !bmc.is_cut;
        if !answers {
            self.marks.note(Mark::BmcSilent);
        }
        answers
    }

    fn orders_off(&mut self, of: u16, cycles: bool) {
        if !self.answers(of) {
            return;
        }
        let bmc = &mut self.bmcs[usize::from(of)];
        bmc.ordered_off = true;
        if bmc.faith == Faith::True && self.hosts[usize::from(of)].power != Power::Off {
            self.disturb(Fault::at(Verb::PowerOff, of));
        }
        if cycles {
            self.plans(self.now + CYCLE, Task { of, doing: Doing::On, tries: 0 });
        } else {
            self.goes_on(of, Doing::Look, 0);
        }
    }

    pub(super) fn operate(&mut self, place: u32) {
        let Some(Task { of, doing, tries }) = self.tasks[place as usize].take() else { return };
        self.hash = mix(self.hash, u64::from(of) << 8 | 5);
        match doing {
            Doing::On if self.answers(of) => {
                self.marks.note(Mark::CycledByBmc);
                self.bmcs[usize::from(of)].ordered_off = false;
                self.disturb(Fault::at(Verb::PowerOn, of));
            }
            Doing::On => {}
            Doing::Look => {
                if !self.answers(of) {
                    return;
                }
                let bmc = &self.bmcs[usize::from(of)];
                let is_off = self.hosts[usize::from(of)].power == Power::Off;
                if is_off || (bmc.faith == Faith::SaysOff && bmc.ordered_off) {
                    let look = Look { at: self.now, is_lie: !is_off };
                    self.goes_on(of, Doing::Confirm(Some(look)), tries);
                } else if bmc.ordered_off {
                    self.marks.note(Mark::BmcDidNothing);
                }
            }
            Doing::Confirm(looked) => self.confirm(of, looked, tries),
        }
    }

    /// He types it on the first controller whose store takes it.
    fn confirm(&mut self, of: u16, looked: Option<Look>, tries: u8) {
        let mut others = (0..self.controllers).filter(|host| *host != of);
        let Some(at) = others.find(|host| self.could_lead_store(*host)) else { return };
        let node = &self.hosts[usize::from(at)];
        let agent = node.agent.machine.as_ref();
        let is_heard = node.known[usize::from(of)] == Standing::Alive
            || agent
                .and_then(|agent| agent.opinion(of))
                .is_some_and(|judgement| judgement.tells_of_life());
        if is_heard {
            self.marks.note(Mark::RefusedProof);
            if tries < TRIES {
                let doing = looked.map_or(Doing::Confirm(None), |_| Doing::Look);
                self.plans(self.now + AGAIN, Task { of, doing, tries: tries + 1 });
            }
            return;
        }
        self.say(of, || format!("is confirmed off, looked at {looked:?}"));
        self.judge_proof(of, looked);
        self.bmcs[usize::from(of)].is_confirmed = true;
        self.prove(of, true);
    }

    /// S2: who is proven dead does not run, unless the controller lied about it or the operator erred.
    fn judge_proof(&mut self, of: u16, looked: Option<Look>) {
        let bmc = &self.bmcs[usize::from(of)];
        if self.hosts[usize::from(of)].power == Power::Off {
            self.marks.note(Mark::ConfirmedOff);
        } else if looked.is_some_and(|look| look.is_lie) {
            self.marks.note(Mark::BmcLied);
        } else if looked.is_none_or(|look| bmc.booted_at >= look.at) {
            // It was started meanwhile, before he had typed what he saw.
            self.marks.note(Mark::OperatorErred);
        } else {
            self.fail("S2 proof", of, "is proven dead and runs, though somebody looked");
        }
    }

    /// Before a machine is started, its proof is taken back.
    pub(super) fn is_switched_on(&mut self, of: u16) {
        self.bmcs[usize::from(of)].booted_at = self.now;
        if std::mem::take(&mut self.bmcs[usize::from(of)].is_confirmed) {
            self.prove(of, false);
        }
    }

    pub(super) fn mend_bmc(&mut self, of: u16) {
        let Bmc { is_confirmed, booted_at, .. } = self.bmcs[usize::from(of)];
        self.bmcs[usize::from(of)] = Bmc { is_confirmed, booted_at, ..Bmc::default() };
    }
}
