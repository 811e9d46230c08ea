//! SIGHUP: a good file takes over through a warm proxy, a broken one changes nothing.

use api::Event;
use base::Chain;
use engine::role::{Input, Loss};

use super::{Supervisor, begin, tell};
use crate::launch::Plan;
use crate::supervisor::sockets::Sockets;

impl Supervisor {
    pub(super) fn reload(&mut self) {
        let tried = self
            .launch
            .plan()
            .map_err(super::SuperviseError::from)
            .and_then(|plan| begin::bind(&plan, &self.sockets).map(|sockets| (plan, sockets)));
        match tried {
            Ok((plan, sockets)) => self.take_over(plan, sockets),
            Err(error) => {
                tell::line(&Chain(&error).to_string());
                self.event(Event {
                    what: "reload-refused".to_owned(),
                    object: format!("node/{}", self.plan.node),
                    evidence: Chain(&error).to_string(),
                    decision: format!("configuration {} stays in force", self.generation),
                    not_done: "nothing of the new files was applied".to_owned(),
                    ..Event::default()
                });
            }
        }
    }

    fn take_over(&mut self, plan: Plan, sockets: Sockets) {
        tell::text(&plan.warnings);
        let generation = self.generation + 1;
        let cluster =
            plan.cluster != self.plan.cluster || plan.texts.secret != self.plan.texts.secret;
        let vip = cluster || plan.vips != self.plan.vips;
        self.next = Some((plan, sockets));
        // The agent knows names of every file; a new one costs 10 ms of beats.
        self.step(Input::Reload { generation, vip, agent: true });
    }

    /// The new proxy serves (or there is none to wait for).
    pub(super) fn reloaded(&mut self, generation: u64) {
        let Some((plan, sockets)) = self.next.take() else { return };
        if plan.vips != self.plan.vips {
            match begin::open_rescue(&plan) {
                Ok(rescue) => self.rescue = rescue,
                Err(error) => tell::line(&Chain(&error).to_string()),
            }
        }
        self.facts.keep_only(plan.haproxy.as_ref(), plan.vips.len());
        self.plan = plan;
        self.sockets = sockets;
        self.generation = generation;
        self.event(Event {
            what: "reloaded".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence: "SIGHUP, the files are good".to_owned(),
            decision: "the new configuration is in force".to_owned(),
            action: format!("configuration {generation} serves; the one before drains"),
            ..Event::default()
        });
        self.processes();
    }

    /// The new proxy did not become ready: the old one never stopped.
    pub(super) fn reload_failed(&mut self, generation: u64, loss: Loss) {
        let evidence = match loss {
            Loss::Exited => "the new proxy ended; it said why",
            Loss::Frozen => "the new proxy does not answer",
            Loss::NotReady => "the new proxy was not configured within 5 s",
            Loss::NotServing => "the new proxy was ready but did not serve",
            Loss::Superseded => "a newer configuration came before it served",
        };
        if loss != Loss::Superseded {
            self.next = None;
        }
        self.event(Event {
            what: "reload-refused".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence: evidence.to_owned(),
            decision: format!("configuration {} stays in force", self.generation),
            not_done: format!("configuration {generation} was not applied"),
            ..Event::default()
        });
    }
}
