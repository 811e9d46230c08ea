//! SIGHUP, or a generation of the cluster's configuration: a good file takes over through a warm proxy, a broken
//! one changes nothing.

use std::time::Duration;

use api::{Event, Order};
use base::Chain;
use config::cluster::Cluster;
use config::vip::{Vip, Way};
use engine::role::{Dashboard, Input, Loss};

use super::children::Child;
use super::{Next, SuperviseError, Supervisor, begin, ports, tell};
use crate::launch::Plan;

/// The agent writes a few files at a time; the supervisor has children to look after.
const PATIENCE: Duration = Duration::from_millis(300);

impl Supervisor {
    /// At once, unless a vip process has just started: until it has said what it holds, nothing of that could be passed
    /// on, and two signals in a row would move addresses. It says so, or dies, within seconds.
    pub(super) fn reload_when_settled(&mut self) {
        if self.waits_for_vip() || self.succession.has_heir() {
            self.reload_waits = true;
        } else {
            self.reload();
        }
    }

    pub(super) fn reload_that_waits(&mut self) {
        if self.reload_waits && !self.waits_for_vip() && !self.succession.has_heir() {
            self.reload();
        }
    }

    fn waits_for_vip(&self) -> bool {
        self.children.values().any(Child::is_running_vip)
            && !self.estate.is_settled(&self.plan.vips)
    }

    fn reload(&mut self) {
        self.reload_waits = false;
        let plan = self.plan_used();
        self.reload_to(plan, None);
    }

    /// What the agent began with a generation is finished, and it begins nothing meanwhile, or the files would be a
    /// mixture.
    fn plan_used(&self) -> Result<Plan, SuperviseError> {
        let place = self.launch.place();
        let held = place.map(|place| place.settled(PATIENCE)).transpose();
        let _held = held.map_err(SuperviseError::Generation)?;
        Ok(self.launch.plan()?)
    }

    /// The agent has a generation beside the files that are used.
    pub(super) fn apply(&mut self, generation: u64) {
        let plan = self.launch.plan_staged(generation).map_err(SuperviseError::from);
        self.reload_to(plan, Some(generation));
    }

    fn reload_to(&mut self, plan: Result<Plan, SuperviseError>, number: Option<u64>) {
        let tried = plan.and_then(|plan| {
            plan.has_lost_no_interface_of(&self.plan)?;
            if let Some(vip) = self.changes_lease(&plan) {
                return Err(SuperviseError::Lease(vip));
            }
            let sockets = begin::bind(&plan, self.launch.mode, &self.sockets)?;
            ports::check_new(&plan, &self.plan)?;
            Ok(Next { plan, sockets, number })
        });
        match tried {
            Ok(next) => match self.needs_restart(&next.plan) {
                None => self.take_over(next),
                Some(why) => {
                    self.not_applied(number, why, true);
                    self.refuse(why.to_owned());
                }
            },
            Err(error) => {
                tell::line(&Chain(&error).to_string());
                let why = if let SuperviseError::Launch(error) = &error {
                    error.brief()
                } else {
                    Chain(&error).to_string()
                };
                self.not_applied(number, &why, false);
                self.refuse(why);
            }
        }
    }

    /// The agent reports to the cluster why its generation is not in force.
    pub(super) fn not_applied(&mut self, number: Option<u64>, why: &str, at_start: bool) {
        if let Some(generation) = number {
            self.inform_agent(Order::Refused { generation, why: why.to_owned(), at_start });
        }
    }

    pub(super) fn refuse(&mut self, evidence: String) {
        self.event(Event {
            what: "reload-refused".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence,
            decision: format!("configuration {} stays in force", self.generation),
            not_done: "nothing of the new files was applied".to_owned(),
            ..Event::default()
        });
    }

    /// One whose holder is decided in another way from now on. Nodes do not change at one moment: those that were first
    /// would hold it beside the others.
    fn changes_lease(&self, plan: &Plan) -> Option<String> {
        let mut all = plan.vips.iter();
        let other = all.find(|vip| {
            let is_it = |other: &&Vip| {
                let is_in = |ip| other.advertised().any(|address| address.ip == ip);
                other.router_id == vip.router_id && vip.advertised().any(|one| is_in(one.ip))
            };
            self.plan
                .vips
                .iter()
                .find(is_it)
                .is_some_and(|before| before.has_lease != vip.has_lease)
        });
        other.map(|vip| vip.name.clone())
    }

    /// The processes of a node, their rights and folders are settled at its start.
    fn needs_restart(&self, plan: &Plan) -> Option<&'static str> {
        if plan.vips.is_empty() != self.plan.vips.is_empty() {
            return Some(
                "the first virtual IP comes, or the last goes: restart this node for that",
            );
        }
        if plan.haproxy.is_some() != self.plan.haproxy.is_some() {
            return Some(
                "a balancer comes where there was none, or goes: restart this node for that",
            );
        }
        let is_member = |plan: &Plan| crate::store::is_member(plan.cluster.as_ref(), plan.me);
        if is_member(plan) != is_member(&self.plan) {
            return Some(
                "this node becomes a member of the store, or is none any more: restart it",
            );
        }
        let place = |plan: &Plan| (plan.node.clone(), plan.run_dir.clone(), plan.state_dir.clone());
        if self.launch.network_namespace.is_none()
            && plan.network_namespace != self.plan.network_namespace
        {
            return Some(
                "everything runs in another network namespace: restart this node for that",
            );
        }
        if place(plan) != place(&self.plan) {
            return Some("the node has another name, run or state folder: restart it for that");
        }
        None
    }

    fn take_over(&mut self, next: Next) {
        let (plan, sockets) = (&next.plan, &next.sockets);
        tell::text(&plan.warnings);
        let generation = self.generation + 1;
        let store = !crate::store::is_same(plan.cluster.as_ref(), self.plan.cluster.as_ref());
        let cluster = !is_same_but_aside(plan.cluster.as_ref(), self.plan.cluster.as_ref())
            || plan.texts.secret != self.plan.texts.secret;
        let same = sockets.dashboard.is_same(&self.sockets.dashboard)
            && plan.texts.token == self.plan.texts.token
            && plan.tls() == self.plan.tls()
            && access(plan) == access(&self.plan);
        let dashboard = match (sockets.dashboard.is_empty(), same) {
            (true, _) => Dashboard::None,
            (false, true) => Dashboard::Same,
            (false, false) => Dashboard::New,
        };
        let may_succeed = self.may_succeed(plan);
        let vip = cluster || plan.vips != self.plan.vips || self.has_new_vip_program(plan);
        self.next = Some(next);
        // The agent knows names of every file; a new one costs 10 ms of beats.
        let reload = Input::Reload { generation, vip, agent: true, dashboard, store };
        // One that another generation was to bring is of no use.
        self.forget_heir();
        if !(vip && may_succeed && self.start_heir(generation, reload)) {
            self.step(reload);
        }
    }

    /// The new proxy serves (or there is none to wait for).
    pub(super) fn reloaded(&mut self, generation: u64) {
        let Some(Next { plan, sockets, number }) = self.next.take() else { return };
        let runs = self.children.values().any(Child::is_running_vip);
        let held = self.facts.vips().filter(|state| state.holding).map(|state| state.instance);
        let held: Vec<u16> = held.collect();
        self.estate.reload(&self.plan.vips, &held, &plan.vips, runs);
        // The retiring process may still need the rescue that knows its addresses.
        self.rescue_is_old = true;
        let same = plan.vips == self.plan.vips;
        self.facts.keep_only(plan.haproxy.as_ref(), if same { plan.vips.len() } else { 0 });
        let before = std::mem::replace(&mut self.plan, plan);
        let fixed = self.plan.fixed.clone();
        self.fix(&before.fixed, &fixed);
        self.sockets = sockets;
        self.generation = generation;
        self.tell_dashboard();
        self.notify_of_plan(true);
        let evidence = match number {
            Some(number) => format!("generation {number} of the cluster's configuration is good"),
            None => "SIGHUP, the files are good".to_owned(),
        };
        self.event(Event {
            what: "reloaded".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence,
            decision: "the new configuration is in force".to_owned(),
            action: format!("configuration {generation} serves; the one before drains"),
            ..Event::default()
        });
        self.processes();
    }

    /// Routes and rules that went out of the configuration.
    pub(super) fn remove_ways(&mut self, ways: &[Way]) {
        let kept = self.rescue.as_ref().map(|rescue| rescue.remove_ways(ways));
        let Some(kept) = kept.filter(|kept| !kept.is_empty()) else { return };
        self.event(Event {
            what: "vip-routes-refused".to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence: format!("the kernel keeps {}", kept.join("; ")),
            decision: "run the new configuration all the same".to_owned(),
            not_done: "a route may still be here and has to be removed by hand".to_owned(),
            ..Event::default()
        });
    }

    /// The new proxy did not become ready: the old one never stopped.
    pub(super) fn reload_failed(&mut self, generation: u64, loss: Loss) {
        if loss != Loss::Superseded {
            self.forget_heir();
        }
        let evidence = match loss {
            Loss::Exited | Loss::Parted => "the new proxy ended; it said why",
            Loss::Frozen => "the new proxy does not answer",
            Loss::Stopped => "the new proxy was stopped",
            Loss::NotReady => "the new proxy was not configured within 5 s",
            Loss::NotServing => "the new proxy was ready but did not serve",
            Loss::Superseded => "a newer configuration came before it served",
        };
        if loss != Loss::Superseded {
            let number = self.next.take().and_then(|next| next.number);
            self.not_applied(number, evidence, false);
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

fn access(plan: &Plan) -> Option<&config::cluster::Access> {
    plan.cluster.as_ref().map(|cluster| &cluster.access)
}

/// Another dashboard or store, or who may look, is no reason to touch addresses.
fn is_same_but_aside(one: Option<&Cluster>, other: Option<&Cluster>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let (dashboard, store) = (other.dashboard.clone(), other.store.clone());
            let (access, notify) = (other.access.clone(), other.notify.clone());
            Cluster { dashboard, store, access, notify, ..one.clone() } == *other
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
