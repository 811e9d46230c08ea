//! The proxy that serves, its spare, and the one of the next configuration.

use base::Time;

use super::{
    ACTIVATE_WITHIN, Action, BROKEN_SPARE_PAUSE, Balancer, Dashboard, END_WITHIN, Kind, Loss,
    MAX_DRAINING, Phase, Process, READY_WITHIN, Reload, Roles, SERVE_WITHIN, TRUSTED_AFTER,
    TWICE_WITHIN,
};
use crate::Buffer;

impl Roles {
    pub(super) fn ready(&mut self, now: Time, slot: u32, out: &mut Buffer<Action>) {
        let candidate = self.is_candidate(slot);
        let Some(process) = self.process_mut(slot) else { return };
        let Phase::Starting { until, warm } = process.phase else { return };
        if candidate {
            process.enter(Phase::Activating { until }, now);
            out.push(Action::Activate { slot });
        } else if warm {
            process.enter(Phase::Warm, now);
        } else {
            process.enter(Phase::Activating { until: now + ACTIVATE_WITHIN }, now);
            out.push(Action::Activate { slot });
        }
    }

    pub(super) fn serving(&mut self, now: Time, slot: u32, out: &mut Buffer<Action>) {
        let Some(process) = self.process_mut(slot) else { return };
        if !matches!(process.phase, Phase::Activating { .. }) {
            return;
        }
        process.enter(Phase::Serving { since: now }, now);
        self.serve_by = None;
        if let Some(reload) = self.reload.take_if(|reload| reload.slot == slot) {
            self.replace_generation(now, reload, out);
        }
    }

    /// Its spare does not wait until the kernel has closed all that it had.
    pub(super) fn parted(&mut self, now: Time, slot: u32, out: &mut Buffer<Action>) {
        let Some(process) = self.process_mut(slot) else { return };
        if !matches!(process.phase, Phase::Serving { .. } | Phase::Activating { .. }) {
            return;
        }
        let lost = *process;
        process.enter(Phase::Ending { until: now + END_WITHIN }, now);
        self.lost(now, lost, Loss::Parted, out);
    }

    /// The primary is gone: whoever is next has 100 ms.
    pub(super) fn primary_lost(&mut self, now: Time) {
        self.failed |= self.last_loss.is_some_and(|at| now.since(at) < TWICE_WITHIN);
        self.last_loss = Some(now);
        self.serve_by.get_or_insert(now + SERVE_WITHIN);
        if !self.config.spare {
            self.restart_mut(Kind::Proxy).not_before(now + BROKEN_SPARE_PAUSE);
        }
    }

    /// A spare that is ready takes the place of a primary that is not there.
    pub(super) fn promote(&mut self, now: Time, out: &mut Buffer<Action>) {
        if self.proxies().any(|process| process.is_primary()) {
            return;
        }
        if let Some(process) = self.processes.iter_mut().find(|p| p.phase == Phase::Warm) {
            process.enter(Phase::Activating { until: now + ACTIVATE_WITHIN }, now);
            out.push(Action::Activate { slot: process.slot });
        }
    }

    /// Whether a proxy is missing, and if it would be a spare. While a new configuration is on its way
    /// nobody is started for the old one, unless nobody serves at all.
    pub(super) fn proxy_vacancy(&self) -> Option<bool> {
        if !self.config.proxy {
            return None;
        }
        let waiting = self.proxies().any(|process| !process.is_primary());
        let serving = self.proxies().any(|p| matches!(p.phase, Phase::Serving { .. }));
        if serving {
            let spare = self.config.spare && !waiting && self.reload.is_none();
            return spare.then_some(true);
        }
        let coming = waiting || self.reload.is_some() || self.proxies().any(Process::is_primary);
        (!coming).then_some(false)
    }

    pub(super) fn start_reload(&mut self, now: Time, mut reload: Reload, out: &mut Buffer<Action>) {
        let generation = reload.generation;
        if let Some(former) = self.reload.take() {
            reload.vip |= former.vip;
            reload.agent |= former.agent;
            self.kill(former.slot, now, out);
            let (generation, loss) = (former.generation, Loss::Superseded);
            out.push(Action::ReloadFailed { generation, loss });
        }
        if !self.config.proxy {
            self.replace_generation(now, reload, out);
            return;
        }
        match self.spawn(now, Kind::Proxy, generation, true, out) {
            Some(slot) => {
                reload.slot = slot;
                self.reload = Some(reload);
                if let Some(process) = self.process_mut(slot) {
                    let until = now + READY_WITHIN;
                    process.phase = Phase::Starting { until, warm: true };
                }
            }
            None => out.push(Action::ReloadFailed { generation, loss: Loss::NotReady }),
        }
    }

    /// The new configuration serves: everything older goes.
    fn replace_generation(&mut self, now: Time, reload: Reload, out: &mut Buffer<Action>) {
        self.generation = reload.generation;
        match reload.dashboard {
            Dashboard::Same => {}
            Dashboard::New => self.config.services = true,
            Dashboard::None => self.config.services = false,
        }
        out.push(Action::Reloaded { generation: reload.generation });
        let until = now + self.config.drain_limit;
        for process in &mut self.processes {
            let (slot, old) = (process.slot, process.generation != reload.generation);
            let (phase, order) = match (process.kind, process.phase) {
                (Kind::Proxy, Phase::Serving { .. } | Phase::Activating { .. }) if old => {
                    (Phase::Draining { until }, Action::Drain { slot })
                }
                (Kind::Proxy, Phase::Starting { .. } | Phase::Warm) if old => {
                    (Phase::Killed, Action::Kill { slot })
                }
                (Kind::Vip, Phase::Running) if reload.vip => {
                    (Phase::Ending { until: now + END_WITHIN }, Action::Retire { slot })
                }
                (Kind::Agent, Phase::Running) if reload.agent => {
                    (Phase::Ending { until: now + END_WITHIN }, Action::Retire { slot })
                }
                (Kind::Services, Phase::Running) if reload.dashboard != Dashboard::Same => {
                    (Phase::Ending { until: now + END_WITHIN }, Action::Retire { slot })
                }
                (Kind::Store, Phase::Running) if reload.store => {
                    (Phase::Ending { until: now + END_WITHIN }, Action::Retire { slot })
                }
                (Kind::Proxy | Kind::Vip | Kind::Agent | Kind::Services | Kind::Store, _) => {
                    continue;
                }
            };
            process.enter(phase, now);
            out.push(order);
        }
        self.restart_mut(Kind::Proxy).at_once(now);
        self.restart_mut(Kind::Services).at_once(now);
        self.restart_mut(Kind::Store).at_once(now);
        let draining = |p: &&Process| matches!(p.phase, Phase::Draining { .. });
        if self.processes.iter().filter(draining).count() > MAX_DRAINING
            && let Some(oldest) = self.processes.iter().find(draining).map(|p| p.slot)
        {
            self.kill(oldest, now, out);
        }
    }

    /// Says what clients can expect, when that has changed.
    pub(super) fn tell(&mut self, now: Time, out: &mut Buffer<Action>) {
        if !self.config.proxy || self.stop.is_some() {
            return;
        }
        let since = self.serving_since();
        self.failed |= since.is_none() && self.serve_by.is_some_and(|by| now >= by);
        if self.failed && since.is_some_and(|since| now >= since + TRUSTED_AFTER) {
            self.failed = false;
        }
        let state = match since {
            _ if self.failed => Balancer::Failed,
            Some(_) => Balancer::Serving,
            None => Balancer::Replacing,
        };
        if self.told != Some(state) {
            self.told = Some(state);
            out.push(Action::Tell(state));
        }
    }

    /// When [`Roles::tell`] would say something new without any input.
    pub(super) fn tell_deadline(&self) -> Time {
        match self.serving_since() {
            Some(since) if self.failed => since + TRUSTED_AFTER,
            None if !self.failed => self.serve_by.unwrap_or(Time::NEVER),
            Some(_) | None => Time::NEVER,
        }
    }

    pub(super) fn is_candidate(&self, slot: u32) -> bool {
        self.reload.is_some_and(|reload| reload.slot == slot)
    }

    /// The longest any proxy has served without interruption.
    fn serving_since(&self) -> Option<Time> {
        let since = |process: &Process| match process.phase {
            Phase::Serving { since } => Some(since),
            Phase::Running
            | Phase::Starting { .. }
            | Phase::Warm
            | Phase::Activating { .. }
            | Phase::Draining { .. }
            | Phase::Ending { .. }
            | Phase::Killed => None,
        };
        self.processes.iter().filter_map(since).min()
    }

    /// Living proxies, without the candidate of a reload.
    fn proxies(&self) -> impl Iterator<Item = &Process> {
        let living =
            |p: &&Process| p.kind == Kind::Proxy && !p.is_dying() && !self.is_candidate(p.slot);
        self.processes.iter().filter(living)
    }
}
