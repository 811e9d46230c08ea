//! What happens by the clock.

use std::time::Duration;

use base::Time;

use super::{Action, Kind, Loss, Phase, Roles, SERVE_WITHIN};
use crate::Buffer;

/// A supervisor woken this late was itself frozen, and judges nobody for it.
const OWN_STALL: Duration = Duration::from_millis(150);

impl Roles {
    /// When the machine next wants [`super::Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        let vacancy =
            |kind: Kind| self.vacancy(kind).map_or(Time::NEVER, |_| self.restart(kind).at());
        let processes = self.processes.iter().map(super::Process::deadline);
        let starts = Kind::ALL.into_iter().map(vacancy);
        let told = if self.stop.is_none() { self.tell_deadline() } else { Time::NEVER };
        processes.chain(starts).min().unwrap_or(Time::NEVER).min(told)
    }

    /// Suspects itself first: answers and reports may lie unread.
    pub(super) fn forgive_own_stall(&mut self, now: Time) {
        if now.since(self.deadline()) <= OWN_STALL {
            return;
        }
        for process in &mut self.processes {
            process.forgive(now);
        }
        if let Some(by) = &mut self.serve_by {
            *by = (*by).max(now + SERVE_WITHIN);
        }
    }

    pub(super) fn pong(&mut self, slot: u32, number: u64) {
        if let Some(process) = self.process_mut(slot) {
            process.pong(number);
        }
    }

    pub(super) fn stopped(&mut self, slot: u32, since: Option<Time>) {
        if let Some(process) = self.process_mut(slot) {
            process.stop(since);
        }
    }

    pub(super) fn ping(&mut self, now: Time, out: &mut Buffer<Action>) {
        for process in &mut self.processes {
            if process.is_ping_due(now) {
                let number = self.next_ping;
                self.next_ping += 1;
                process.ping(number, now);
                out.push(Action::Ping { slot: process.slot, number });
            }
        }
    }

    /// Kills what did not do its part in time.
    pub(super) fn expire(&mut self, now: Time, out: &mut Buffer<Action>) {
        for at in 0..self.processes.len() {
            let process = self.processes[at];
            let loss = match process.phase {
                Phase::Starting { until, .. } if now >= until => Some(Loss::NotReady),
                Phase::Activating { until } if now >= until => Some(Loss::NotServing),
                Phase::Draining { until } | Phase::Ending { until } if now >= until => None,
                Phase::Running
                | Phase::Starting { .. }
                | Phase::Warm
                | Phase::Activating { .. }
                | Phase::Serving { .. }
                | Phase::Draining { .. }
                | Phase::Ending { .. }
                | Phase::Killed => match process.stands_still(now) {
                    Some(loss) => Some(loss),
                    None => continue,
                },
            };
            self.kill(process.slot, now, out);
            if let Some(loss) = loss {
                self.lost(now, process, loss, out);
            }
        }
    }

    pub(super) fn kill(&mut self, slot: u32, now: Time, out: &mut Buffer<Action>) {
        if let Some(process) = self.process_mut(slot)
            && process.phase != Phase::Killed
        {
            process.enter(Phase::Killed, now);
            out.push(Action::Kill { slot });
        }
    }
}
