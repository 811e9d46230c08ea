//! The end in order: addresses go before the sessions, the agent that tells of it and the dashboard
//! that shows it go last.

use std::time::Duration;

use base::Time;

use super::{Action, END_WITHIN, Kind, Phase, Roles};
use crate::Buffer;

#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    drain: Duration,
    done: bool,
}

impl Roles {
    pub(super) fn start_stop(&mut self, now: Time, drain: Duration, out: &mut Buffer<Action>) {
        for process in &mut self.processes {
            if let Phase::Draining { until } = &mut process.phase {
                *until = (*until).min(now + drain);
            }
        }
        if let Some(stop) = &mut self.stop {
            // Asked twice: whoever is impatient gets the end sooner.
            stop.drain = stop.drain.min(drain);
            return;
        }
        self.stop = Some(Stop { drain, done: false });
        self.reload = None;
        for at in 0..self.processes.len() {
            let process = self.processes[at];
            let is_serving = matches!(process.phase, Phase::Serving { .. });
            if process.kind == Kind::Proxy && !is_serving && !process.is_dying() {
                self.kill(process.slot, now, out);
            }
        }
        self.end(now, Kind::Vip, out);
    }

    pub(super) fn wind_down(&mut self, now: Time, out: &mut Buffer<Action>) {
        let Some(stop) = self.stop else { return };
        let left = |kind: Kind| self.processes.iter().any(|process| process.kind == kind);
        let (vip, proxy) = (left(Kind::Vip), left(Kind::Proxy));
        let last = [Kind::Agent, Kind::Services, Kind::Store].into_iter().any(left);
        if vip {
            return;
        }
        if proxy {
            for process in &mut self.processes {
                if process.kind == Kind::Proxy && matches!(process.phase, Phase::Serving { .. }) {
                    process.enter(Phase::Draining { until: now + stop.drain }, now);
                    out.push(Action::Drain { slot: process.slot });
                }
            }
        } else if last {
            self.end(now, Kind::Agent, out);
            self.end(now, Kind::Services, out);
            self.end(now, Kind::Store, out);
        } else if !stop.done {
            self.stop = Some(Stop { done: true, ..stop });
            out.push(Action::Done);
        }
    }

    fn end(&mut self, now: Time, kind: Kind, out: &mut Buffer<Action>) {
        for process in &mut self.processes {
            if process.kind == kind && process.phase == Phase::Running {
                process.enter(Phase::Ending { until: now + END_WITHIN }, now);
                out.push(Action::Stop { slot: process.slot });
            }
        }
    }
}
