//! Who hears what from whom.

use std::os::fd::AsFd;
use std::time::Duration;

use super::children::{Child, word};
use super::{Slot, Supervisor, tell};
use crate::vip::rescue;
use api::{
    Change, Duty, Event, Order, ProcessState, RefusedPackets, Report, Role, VipState, Wished,
};
use engine::role::{ASIDE_FROZEN_AFTER, Input, Kind, Loss, Part, STOPPED_FOR};

impl Supervisor {
    pub(super) fn route(&mut self, slot: Slot, report: Report) {
        let Some(kind) = self.children.get(&slot).map(|child| child.kind) else { return };
        let role = self.role(slot, kind);
        match report {
            Report::Ready { .. } => self.step(Input::Ready { slot }),
            Report::Serving { .. } => self.serves(slot),
            Report::Pong(number) => self.step(Input::Pong { slot, number }),
            Report::Busy => self.step(Input::Busy { slot }),
            Report::Failed { why } => self.failed(slot, role, why),
            Report::Event(event) => {
                self.inform_agent(Order::Relay(role, Box::new(Report::Event(event))));
            }
            Report::Wished(wished) if kind == Kind::Proxy => self.wished(role, wished),
            Report::Vip(state) => self.vip(slot, state),
            Report::Refused(refused) => {
                let last_at_ms = Some(sys::clock::wall_ms());
                self.learn_for_agent(Change::Refused(RefusedPackets { last_at_ms, ..refused }));
            }
            Report::Counts(counts) => self.counted(&counts),
            Report::Adverts(news) => self.learn_for_agent(Change::Adverts(news)),
            Report::Kept { why, again } if kind == Kind::Vip => self.vip_kept(slot, why, again),
            Report::Silence { node, silent } if kind == Kind::Vip => self.silence(node, silent),
            Report::Rival { instance } if kind == Kind::Vip => self.notify_of_rival(slot, instance),
            Report::VipProcess(told) => self.learn_for_agent(Change::VipProcess(told)),
            // Only the one that serves checks; a draining one's last word is old.
            Report::Servers(servers) if self.active() == Some(slot) => {
                self.spread(slot, Change::Servers(servers));
            }
            Report::Servers(_) => {}
            Report::Choice(choice) => self.spread(slot, Change::Choice(choice)),
            Report::Node(state) => self.spread(slot, Change::Node(state)),
            Report::Proven(names) if kind == Kind::Agent => {
                self.spread(slot, Change::Proven(names));
            }
            Report::References(references) if kind == Kind::Agent => {
                self.learn_for_vip(Change::References(references));
            }
            Report::Coordinates(on) if kind == Kind::Agent => {
                self.learn_for_vip(Change::Coordinates(on));
            }
            // Whoever starts from now on begins with it, before anybody goes by it.
            Report::Voters(list) if kind == Kind::Agent => self.learn_for_vip(Change::Voters(list)),
            Report::Duty(duty) if kind == Kind::Agent => self.duty(duty),
            Report::Move { instance, to } if kind == Kind::Agent => self.hand_over(instance, to),
            Report::Anywhere { instance } if kind == Kind::Agent => self.anywhere(instance),
            Report::Use { proxy, server } if kind == Kind::Agent => self.use_server(proxy, server),
            Report::Keys if kind == Kind::Agent => self.keys(),
            Report::Apply { generation } if kind == Kind::Agent => self.apply(generation),
            Report::Store(state) if kind == Kind::Store => {
                self.learn_for_agent(Change::Store(state));
            }
            // Operators speak through the agent only, of the store its process; a gate is heard where its descriptor is.
            Report::Duty(_)
            | Report::Gate { .. }
            | Report::Proven(_)
            | Report::References(_)
            | Report::Coordinates(_)
            | Report::Voters(_)
            | Report::Silence { .. }
            | Report::Rival { .. }
            | Report::Heir { .. }
            | Report::Kept { .. }
            | Report::Move { .. }
            | Report::Anywhere { .. }
            | Report::Use { .. }
            | Report::Keys
            | Report::Apply { .. }
            | Report::Wished(_)
            | Report::Store(_) => {}
        }
    }

    /// Straight to the balancer: an agent would be one process more on the way.
    fn silence(&mut self, node: u16, silent: bool) {
        let cluster = self.plan.cluster.as_ref();
        let named = cluster.and_then(|cluster| cluster.nodes.get(usize::from(node)));
        if let Some(node) = named.map(|node| node.name.clone()) {
            self.order_all(Kind::Proxy, &Order::Change(Change::Silence { node, silent }));
        }
    }

    fn serves(&mut self, slot: Slot) {
        self.step(Input::Serving { slot });
        self.processes();
    }

    fn learn_for_vip(&mut self, change: Change) {
        self.facts.learn(&change);
        self.order_all(Kind::Vip, &Order::Change(change));
    }

    fn learn_for_agent(&mut self, change: Change) {
        self.facts.learn(&change);
        self.inform_agent(Order::Change(change));
    }

    /// How a virtual IP is on this node.
    fn vip(&mut self, slot: Slot, state: VipState) {
        if let Some(rescue) = &mut self.rescue {
            rescue.note(&state);
        }
        if self.estate.passes_on(state.instance, state.holding) {
            return;
        }
        let left = self.estate.says(state.instance, &self.plan.vips);
        self.remove_ways(&left);
        if self.children.get(&slot).is_some_and(|child| !child.leaving) {
            if let Some(vip) = self.plan.vips.get_mut(usize::from(state.instance)) {
                rescue::learn_interface(vip, &state);
            }
            self.notify_of_vip(&state);
        }
        let change = Change::Vip(state);
        self.facts.learn(&change);
        self.order_all(Kind::Proxy, &Order::Change(change.clone()));
        self.inform_agent(Order::Change(change));
        self.reload_that_waits();
    }

    /// To every proxy and the agent, but not back to the one who said it.
    fn spread(&mut self, from: Slot, change: Change) {
        self.facts.learn(&change);
        let order = Order::Change(change);
        if let Order::Change(Change::Node(_) | Change::Proven(_)) = &order {
            self.order_all(Kind::Vip, &order);
        }
        let listens = |kind| matches!(kind, Kind::Proxy | Kind::Agent);
        let others: Vec<Slot> = self
            .children
            .iter()
            .filter(|(slot, child)| **slot != from && listens(child.kind))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in others {
            self.order(slot, &order);
        }
    }

    /// The trust folder changed: vip process and agent get its keys, and so does every later one.
    fn keys(&mut self) {
        let Some(folder) = self.plan.texts.trust.clone() else { return };
        let read = crate::secret::read(&folder);
        let kept = read.map_err(|error| base::Chain(&error).to_string()).and_then(|(_, secret)| {
            let text = sys::memory::file("keys", &secret);
            text.map(|text| (text, secret))
                .map_err(|error| format!("the keys cannot be handed on in memory: {error}"))
        });
        let event = match kept {
            Ok((text, secret)) => {
                self.keys_unreadable = None;
                let is_same = self.plan.texts.secret.as_ref() == Some(&secret);
                self.plan.texts.secret = Some(secret);
                // The vip process first: what the agent then says to others is true for both.
                for kind in [Kind::Vip, Kind::Agent] {
                    for child in self.children.values_mut().filter(|child| child.kind == kind) {
                        // One that is gone gets them at its start.
                        let _ = child.order(&Order::Keys, &[text.as_fd()]);
                    }
                }
                self.order_heir(&Order::Keys, text.as_fd());
                if is_same {
                    return;
                }
                Event {
                    what: "keys-changed".to_owned(),
                    evidence: "the trust folder has other keys or another roster".to_owned(),
                    decision: "open what is sealed with any of them".to_owned(),
                    action: "told to vip process and agent".to_owned(),
                    ..Event::default()
                }
            }
            Err(evidence) => {
                // The agent asks again.
                if self.keys_unreadable.replace(evidence.clone()).as_ref() == Some(&evidence) {
                    return;
                }
                Event {
                    what: "keys-unreadable".to_owned(),
                    evidence,
                    decision: "the keys that are in use stay".to_owned(),
                    not_done: "new keys and revocations are not obeyed".to_owned(),
                    ..Event::default()
                }
            }
        };
        self.event(Event { object: format!("node/{}", self.plan.node), ..event });
    }

    /// An operator's word, which the agent has checked and kept.
    fn duty(&mut self, duty: Duty) {
        let change = Change::Duty(duty);
        self.facts.learn(&change);
        self.order_all(Kind::Vip, &Order::Change(change.clone()));
        self.inform_agent(Order::Change(change));
        let leaves = "addresses are handed over by name; its servers come after all others";
        let (what, decision, action) = match duty {
            Duty::Standby => ("standby-began", "hold nothing, over restarts too", leaves),
            Duty::Draining => ("drain-began", "hold nothing; what is under way may end", leaves),
            Duty::On => ("standby-ended", "take on again what comes", "nothing is taken back"),
        };
        self.event(Event {
            what: what.to_owned(),
            object: format!("node/{}", self.plan.node),
            evidence: "an operator said so".to_owned(),
            decision: decision.to_owned(),
            action: action.to_owned(),
            ..Event::default()
        });
    }

    fn hand_over(&mut self, instance: u16, to: u16) {
        let vip = self.plan.vips.get(usize::from(instance)).map(|vip| vip.name.clone());
        let nodes = self.plan.cluster.as_ref().map(|cluster| &cluster.nodes);
        let node = nodes.and_then(|nodes| nodes.get(usize::from(to))).map(|node| &node.name);
        let (Some(vip), Some(node)) = (vip, node) else { return };
        let event = Event {
            what: "move-asked".to_owned(),
            object: format!("vip/{vip}"),
            evidence: "an operator said so".to_owned(),
            decision: format!("hand over to {node}, if it says that it could hold"),
            ..Event::default()
        };
        self.order_all(Kind::Vip, &Order::Move { instance, to });
        self.event(event);
    }

    fn anywhere(&mut self, instance: u16) {
        let Some(vip) = self.plan.vips.get(usize::from(instance)) else { return };
        let event = Event {
            what: "move-asked".to_owned(),
            object: format!("vip/{}", vip.name),
            evidence: "an operator said so".to_owned(),
            decision: "let its rules move it again".to_owned(),
            ..Event::default()
        };
        self.order_all(Kind::Vip, &Order::Anywhere { instance });
        self.event(event);
    }

    /// An operator's word, for the proxy that serves: the choice is its own, and goes on from there.
    fn use_server(&mut self, proxy: String, server: String) {
        self.event(Event {
            what: "writer-asked".to_owned(),
            object: format!("proxy/{proxy}"),
            evidence: "an operator said so".to_owned(),
            decision: format!("use {server}, if it works from here"),
            ..Event::default()
        });
        if let Some(serves) = self.active() {
            self.order(serves, &Order::Use { proxy, server });
        }
    }

    pub(super) fn order_all(&mut self, kind: Kind, order: &Order) {
        let slots: Vec<Slot> = self
            .children
            .iter()
            .filter(|(_, child)| child.kind == kind)
            .map(|(slot, _)| *slot)
            .collect();
        for slot in slots {
            self.order(slot, order);
        }
    }

    pub(super) fn inform_agent(&mut self, order: Order) {
        // One that was killed or is ending reads nothing any more; the next one does.
        let agent = self.roles.slot_of(Part::Agent);
        match agent.filter(|slot| self.children.contains_key(slot)) {
            Some(slot) => self.order(slot, &order),
            None => self.facts.keep_for_agent(order),
        }
    }

    /// What the statistics socket was told; an agent that is behind hears the number later.
    fn wished(&mut self, role: Role, wished: Wished) {
        let agent = self.roles.slot_of(Part::Agent);
        let agent = agent.and_then(|slot| self.children.get(&slot));
        if agent.is_none_or(Child::has_room_for_wishes) {
            self.inform_agent(Order::Relay(role, Box::new(Report::Wished(wished))));
        } else {
            self.facts.lose_wishes(&wished);
        }
    }

    pub(super) fn event(&mut self, mut event: Event) {
        event.at_ms = sys::clock::wall_ms();
        event.node.clone_from(&self.plan.node);
        tell::line(&format!(
            "{} {}: {}; {}",
            event.object, event.what, event.evidence, event.action
        ));
        self.inform_agent(Order::Relay(Role::Supervisor, Box::new(Report::Event(event))));
    }

    fn failed(&mut self, slot: Slot, role: Role, why: String) {
        if role == Role::Store {
            // The agent knows whose word it is, however soon after its start it comes.
            self.processes();
            let child = self.children.get(&slot);
            let by = child.map(|child| (child.process.pid(), child.leaving));
            let engine = crate::store::engine(self.plan.cluster.as_ref());
            let change = self.facts.failed_store(engine, why.clone(), by);
            self.facts.learn(&change);
            self.inform_agent(Order::Change(change));
        }
        let decision = "start it again after a pause".to_owned();
        self.event(Event {
            what: format!("{}-failed", role_word(role)),
            object: format!("node/{}", self.plan.node),
            evidence: why,
            decision,
            ..Event::default()
        });
    }

    /// A process that should live does not.
    pub(super) fn lost(&mut self, slot: Slot, kind: Kind, loss: Loss, life: Duration) {
        let name = word(kind);
        let exit = self.last_exit.filter(|(of, ..)| *of == slot);
        let evidence = match (loss, exit) {
            (Loss::Exited, Some((_, pid, exit))) => format!("pid {pid}: {}", tell::exit(exit)),
            (Loss::Exited, None) => "it could not be started".to_owned(),
            (Loss::Parted, _) => String::new(),
            (Loss::Frozen, _) if matches!(kind, Kind::Agent | Kind::Services | Kind::Store) => {
                format!("frozen: no answer for {:.1} s", ASIDE_FROZEN_AFTER.as_secs_f64())
            }
            (Loss::Frozen, _) => "no answer to a ping within 300 ms".to_owned(),
            (Loss::Stopped, _) => {
                format!("stopped (SIGSTOP) for {} ms", STOPPED_FOR.as_millis())
            }
            (Loss::NotReady, _) => "not configured within 5 s".to_owned(),
            (Loss::NotServing, _) => "activated, but not serving within 1 s".to_owned(),
            (Loss::Superseded, _) => "a newer configuration came".to_owned(),
        };
        let pid = self.children.get(&slot).map(|child| child.process.pid());
        let was_spare = exit.map(|(_, pid, _)| pid).or(pid).is_some_and(|pid| {
            self.facts.process(Role::Spare).is_some_and(|spare| spare.pid == pid)
        });
        let decision = match kind {
            Kind::Proxy if was_spare => "start another spare; the one that serves is not touched",
            Kind::Proxy if self.facts.process(Role::Spare).is_some_and(|spare| spare.running) => {
                "the warm spare takes the held sockets"
            }
            Kind::Proxy => "no spare is there yet: the address goes if nothing serves in 100 ms",
            Kind::Vip => "addresses go to the successor, a new process stands as backup",
            Kind::Agent => "start another; addresses and balancer do not need it",
            Kind::Services => "start another; it only shows what others know",
            Kind::Store => "start another; no address and no connection depends on it",
        };
        let after = format!(", after {:.1} s", life.as_secs_f64());
        let event = Event {
            what: format!("{name}-lost"),
            object: format!("process/{name}"),
            evidence: evidence + &after,
            decision: decision.to_owned(),
            ..Event::default()
        };
        match self.children.get_mut(&slot).filter(|_| loss == Loss::Parted) {
            Some(child) => child.loss = Some(event),
            None => self.event(event),
        }
    }

    /// A proxy is about to end.
    pub(super) fn parted(&mut self, slot: Slot) {
        if let Some(life) = self.children.get_mut(&slot).and_then(|child| child.life.take()) {
            // It was added when the process was started.
            let _ = self.poller.remove(life.as_fd());
            self.step(Input::Parted { slot });
        }
    }

    /// Of a process that was replaced before its end was known.
    pub(super) fn tell_how_it_ended(&mut self, child: &Child, exit: sys::process::Exit) {
        if let Some(mut event) = child.loss.clone() {
            let how = format!("pid {}: {}", child.process.pid(), tell::exit(exit));
            event.evidence.insert_str(0, &how);
            self.event(event);
        }
    }

    pub(super) fn role(&self, slot: Slot, kind: Kind) -> Role {
        match kind {
            Kind::Vip => Role::Vip,
            Kind::Agent => Role::Agent,
            Kind::Services => Role::Services,
            Kind::Store => Role::Store,
            Kind::Proxy if self.active() == Some(slot) => Role::Proxy,
            Kind::Proxy => Role::Spare,
        }
    }

    /// Tells the agent who is who; cheap, and asked for only when something changed.
    pub(super) fn processes(&mut self) {
        let mut present =
            vec![(Role::Supervisor, std::process::id().cast_signed(), self.generation)];
        for (slot, child) in &self.children {
            present.push((self.role(*slot, child.kind), child.process.pid(), child.generation));
        }
        for role in ROLES {
            let found = present.iter().find(|(present, ..)| *present == role);
            let before = self.facts.process(role).cloned();
            let state = match (found, &before) {
                (Some((_, pid, generation)), _) => ProcessState {
                    role,
                    pid: *pid,
                    running: true,
                    generation: *generation,
                    starts: self.starts.get(&role).copied().unwrap_or(1),
                },
                (None, Some(before)) => ProcessState { running: false, ..before.clone() },
                (None, None) => continue,
            };
            if before.as_ref() != Some(&state) {
                let change = Change::Process(state);
                self.facts.learn(&change);
                self.inform_agent(Order::Change(change));
            }
        }
    }
}

/// In the order in which `status` shows them.
const ROLES: [Role; 7] = [
    Role::Supervisor,
    Role::Vip,
    Role::Agent,
    Role::Proxy,
    Role::Spare,
    Role::Services,
    Role::Store,
];

const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Supervisor => "supervisor",
        Role::Vip => "vip",
        Role::Agent => "agent",
        Role::Proxy => "proxy",
        Role::Spare => "spare",
        Role::Services => "services",
        Role::Store => "store",
    }
}
