//! What children told, kept for the ones that start later.

use std::collections::{BTreeMap, VecDeque};

use api::{
    BalancerState, Change, Choice, DashboardState, Duty, NodeState, Order, ProcessState,
    RefusedAdverts, RefusedPackets, Report, Role, ServerState, StoreState, VipProcess, VipState,
    Wished,
};
use config::haproxy::Haproxy;

use crate::electorate::Known;

/// Orders kept for an agent that is being restarted; older ones are lost (events, mostly).
const KEPT: usize = 512;
/// Wishes kept for it: of more the number is.
const KEPT_WISHES: usize = KEPT / 4;
/// Servers per message, so that none outgrows `api::MAX_MESSAGE` with the longest names.
const PART: usize = 128;

/// The latest word on everything, by name.
#[derive(Debug)]
pub(crate) struct Facts {
    servers: Vec<ServerState>,
    positions: BTreeMap<(String, String), usize>,
    choices: BTreeMap<String, Choice>,
    nodes: BTreeMap<String, NodeState>,
    vips: BTreeMap<u16, VipState>,
    processes: BTreeMap<Role, ProcessState>,
    pub(crate) balancer: BalancerState,
    /// What an operator wants of this node.
    pub(crate) duty: Duty,
    /// Nodes that are proven dead, as the agent last read them.
    pub(crate) proven: Vec<String>,
    /// What the agent knows of reference points; none: there are none, as far as is known.
    pub(crate) references: api::References,
    /// Whether this node coordinates, as the agent knows.
    pub(crate) coordinates: bool,
    /// Who votes, as the agent read it last.
    pub(crate) voters: Known,
    dashboard: Option<DashboardState>,
    store: Option<Box<StoreState>>,
    /// Of the vip process.
    refused: RefusedPackets,
    adverts: Vec<RefusedAdverts>,
    vip_process: Option<VipProcess>,
    /// What an agent that is not there yet has to hear.
    unheard: VecDeque<Order>,
    /// Wishes, beside: no number of them puts out an event.
    wishes: Vec<Order>,
    lost_wishes: u64,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            servers: vec![],
            positions: BTreeMap::new(),
            choices: BTreeMap::new(),
            nodes: BTreeMap::new(),
            vips: BTreeMap::new(),
            processes: BTreeMap::new(),
            balancer: BalancerState::Replacing,
            duty: Duty::On,
            proven: vec![],
            references: api::References::default(),
            coordinates: false,
            voters: Known::default(),
            dashboard: None,
            store: None,
            refused: RefusedPackets::default(),
            adverts: vec![],
            vip_process: None,
            unheard: VecDeque::new(),
            wishes: vec![],
            lost_wishes: 0,
        }
    }
}

impl Facts {
    pub(crate) fn learn(&mut self, change: &Change) {
        match change {
            Change::Node(state) => {
                self.nodes.insert(state.node.clone(), state.clone());
            }
            Change::Servers(servers) => servers.iter().for_each(|server| self.server(server)),
            Change::Choice(choice) => {
                self.choices.insert(choice.proxy.clone(), choice.clone());
            }
            Change::Balancer(state) => self.balancer = *state,
            Change::Vip(state) => {
                self.vips.insert(state.instance, state.clone());
            }
            Change::Process(state) => {
                if state.role == Role::Vip
                    && self.process(Role::Vip).is_none_or(|was| was.pid != state.pid)
                {
                    self.adverts.clear();
                }
                self.processes.insert(state.role, state.clone());
            }
            Change::Dashboard(state) => self.dashboard = Some(state.clone()),
            Change::Duty(duty) => self.duty = *duty,
            Change::Proven(names) => self.proven.clone_from(names),
            Change::References(references) => self.references.clone_from(references),
            Change::Coordinates(on) => self.coordinates = *on,
            Change::Voters(list) => self.voters.learn(list.as_ref()),
            Change::Store(state) => self.store = Some(state.clone()),
            Change::Refused(refused) => self.refused = *refused,
            Change::VipProcess(told) => self.vip_process = Some(told.clone()),
            // Over before a process that starts now could ask.
            Change::Silence { .. } => {}
            Change::Adverts(news) => {
                news.iter().for_each(|news| RefusedAdverts::learn(&mut self.adverts, news));
            }
        }
    }

    /// What the store's process said before it ended: it leads and follows nobody, and why. `by`: its pid, and whether
    /// it was told to end, which is no failure of its own.
    pub(crate) fn failed_store(
        &self,
        engine: &str,
        why: String,
        by: Option<(i32, bool)>,
    ) -> Change {
        let failed = by.filter(|(_, leaving)| !leaving).map(|(pid, _)| pid);
        let last = self.store.as_deref().cloned();
        let last = last
            .unwrap_or_else(|| StoreState { engine: engine.to_owned(), ..StoreState::default() });
        Change::Store(Box::new(StoreState { leader: None, trouble: Some(why), failed, ..last }))
    }

    fn server(&mut self, server: &ServerState) {
        let key = (server.proxy.clone(), server.server.clone());
        if let Some(position) = self.positions.get(&key) {
            self.servers[*position] = server.clone();
        } else {
            self.positions.insert(key, self.servers.len());
            self.servers.push(server.clone());
        }
    }

    /// A new configuration may have fewer servers and instances.
    pub(crate) fn keep_only(&mut self, config: Option<&Haproxy>, vips: usize) {
        let has = |proxy: &str, server: Option<&str>| {
            config.is_some_and(|config| {
                config.proxies.iter().any(|other| {
                    other.name == proxy
                        && server.is_none_or(|name| other.servers.iter().any(|s| s.name == name))
                })
            })
        };
        self.servers.retain(|server| has(&server.proxy, Some(&server.server)));
        self.positions = (0..)
            .zip(&self.servers)
            .map(|(at, server)| ((server.proxy.clone(), server.server.clone()), at))
            .collect();
        self.choices.retain(|proxy, choice| has(proxy, Some(&choice.server)));
        self.vips.retain(|instance, _| usize::from(*instance) < vips);
    }

    /// What was not obeyed of one virtual IP.
    pub(crate) fn adverts_of(&self, vip: &str) -> Vec<&RefusedAdverts> {
        self.adverts.iter().filter(|adverts| adverts.vip.as_deref() == Some(vip)).collect()
    }

    pub(crate) fn vips(&self) -> impl Iterator<Item = &VipState> {
        self.vips.values()
    }

    pub(crate) fn process(&self, role: Role) -> Option<&ProcessState> {
        self.processes.get(&role)
    }

    /// What a proxy needs to go on where another one is.
    pub(crate) fn for_proxy(&self) -> Vec<Change> {
        let servers = self.servers.chunks(PART).map(|part| Change::Servers(part.to_vec()));
        servers
            .chain(self.choices.values().cloned().map(Change::Choice))
            .chain(self.nodes.values().cloned().map(Change::Node))
            .chain(self.vips.values().cloned().map(Change::Vip))
            .chain((!self.proven.is_empty()).then(|| Change::Proven(self.proven.clone())))
            .collect()
    }

    /// Of whom the agent of this node hears.
    pub(crate) fn alive(&self) -> impl Iterator<Item = Change> {
        let alive = self.nodes.values().filter(|node| node.standing == api::Standing::Alive);
        alive.cloned().map(Change::Node)
    }

    /// What a new agent needs to know.
    pub(crate) fn for_agent(&mut self) -> Vec<Order> {
        let servers = self.servers.chunks(PART).map(|part| Change::Servers(part.to_vec()));
        let mut orders: Vec<Order> = servers
            .chain(self.choices.values().cloned().map(Change::Choice))
            .chain(self.vips.values().cloned().map(Change::Vip))
            .chain(self.nodes.values().cloned().map(Change::Node))
            .chain(self.processes.values().cloned().map(Change::Process))
            .chain([Change::Balancer(self.balancer)])
            .chain((!self.duty.is_on()).then_some(Change::Duty(self.duty)))
            .chain(self.dashboard.clone().map(Change::Dashboard))
            .chain(self.store.clone().map(Change::Store))
            .chain(
                (self.refused != RefusedPackets::default())
                    .then_some(Change::Refused(self.refused)),
            )
            .chain(self.adverts.chunks(PART).map(|part| Change::Adverts(part.to_vec())))
            .chain(self.vip_process.clone().map(Change::VipProcess))
            .map(Order::Change)
            .collect();
        orders.extend(self.unheard.drain(..));
        orders.append(&mut self.wishes);
        orders.extend(self.take_lost_wishes());
        orders
    }

    /// Wishes that nobody is told of but by their number.
    pub(crate) const fn lose_wishes(&mut self, wished: &Wished) {
        self.lost_wishes += if wished.more == 0 { 1 } else { wished.more };
    }

    /// The number, if there are any.
    pub(crate) fn take_lost_wishes(&mut self) -> Option<Order> {
        let more = std::mem::take(&mut self.lost_wishes);
        let by = "several".to_owned();
        let wished = Wished { by, server: String::new(), to: String::new(), more };
        (more > 0).then(|| Order::Relay(Role::Proxy, Box::new(Report::Wished(wished))))
    }

    /// Keeps what cannot be derived later: events, and what the statistics socket was told.
    pub(crate) fn keep_for_agent(&mut self, order: Order) {
        let Order::Relay(_, report) = &order else { return };
        if let Report::Wished(wished) = &**report {
            if self.wishes.len() < KEPT_WISHES {
                self.wishes.push(order);
            } else {
                let wished = wished.clone();
                self.lose_wishes(&wished);
            }
            return;
        }
        if !matches!(**report, Report::Event(_)) {
            return;
        }
        if self.unheard.len() == KEPT {
            self.unheard.pop_front();
        }
        self.unheard.push_back(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{Event, ServerCheck};

    fn server(name: &str, check: ServerCheck) -> ServerState {
        let (proxy, server) = ("api".to_owned(), name.to_owned());
        ServerState {
            proxy,
            server,
            check,
            suspect: false,
            why: String::new(),
            count: 0,
            resting: false,
        }
    }

    #[test]
    fn a_store_that_was_told_to_end_has_not_failed_by_itself() {
        let failed = |by| {
            let change = Facts::default().failed_store("embedded", "no room".to_owned(), by);
            let Change::Store(state) = change else { panic!("{change:?}") };
            assert_eq!((state.leader, state.trouble), (None, Some("no room".to_owned())));
            state.failed
        };
        assert_eq!(failed(Some((7, false))), Some(7));
        assert_eq!(failed(Some((7, true))), None);
        assert_eq!(failed(None), None);
    }

    #[test]
    fn a_spare_hears_the_latest_word_on_each_server_once() {
        let mut facts = Facts::default();
        facts.learn(&Change::Servers(vec![server("a", ServerCheck::Up)]));
        facts.learn(&Change::Servers(vec![server("a", ServerCheck::Down)]));
        assert_eq!(facts.for_proxy(), [Change::Servers(vec![server("a", ServerCheck::Down)])]);
    }

    #[test]
    fn events_wait_for_the_next_agent_and_are_bounded() {
        let mut facts = Facts::default();
        for seq in 0..KEPT as u64 + 3 {
            let event = Event { seq, ..Event::default() };
            facts.keep_for_agent(Order::Relay(Role::Vip, Box::new(Report::Event(event))));
        }
        let orders = facts.for_agent();
        let events = orders.iter().filter(|order| matches!(order, Order::Relay(..))).count();
        assert_eq!(events, KEPT);
        assert_eq!(facts.for_agent().len(), 1, "the balancer's state only");
    }

    #[test]
    fn wishes_wait_for_the_next_agent_put_out_no_event_and_of_too_many_the_number_does() {
        let mut facts = Facts::default();
        let event = Report::Event(Event::default());
        facts.keep_for_agent(Order::Relay(Role::Vip, Box::new(event.clone())));
        let wish = |more| {
            let (by, server) = ("uid 0 (pid 9)".to_owned(), "api/one".to_owned());
            Report::Wished(Wished { by, server, to: "drain".to_owned(), more })
        };
        for _ in 0..KEPT {
            facts.keep_for_agent(Order::Relay(Role::Proxy, Box::new(wish(0))));
        }
        facts.keep_for_agent(Order::Relay(Role::Proxy, Box::new(wish(40))));
        let orders = facts.for_agent();
        let mut told = (0, 0, 0);
        for order in orders {
            let Order::Relay(_, report) = order else { continue };
            if let Report::Wished(wished) = *report {
                told.0 += usize::from(wished.more == 0);
                told.1 += wished.more;
            } else {
                told.2 += usize::from(*report == event);
            }
        }
        assert_eq!(told, (KEPT_WISHES, (KEPT - KEPT_WISHES) as u64 + 40, 1));
        assert_eq!(facts.for_agent().len(), 1, "told once");
    }
}
