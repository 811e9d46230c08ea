//! All that this node knows, put together for `outlast status`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{
    BalancerState, Change, Choice, DashboardState, Duty, Mode, NodeLine, ProcessState, Report,
    Role, ServerCheck, ServerState, Standing, Status, StoreState, Verdict, VipLine, VipRole,
    VipState,
};
use engine::evidence::{Ailment, Ailments};

use super::names::{Names, VipName};
use super::why;

/// Latest word of each process on each thing.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) node: String,
    pub(crate) cluster: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) generation: u64,
    pub(crate) limits: Vec<String>,
    pub(crate) networks: Vec<String>,
    /// Names of the cluster's nodes, by position.
    pub(crate) names: Vec<String>,
    /// What the files name; never changes.
    pub(crate) files: Arc<Names>,
    balancer: BalancerState,
    processes: BTreeMap<Role, ProcessState>,
    vips: BTreeMap<u16, VipState>,
    /// In the order in which the proxy told them, which is that of its file.
    servers: Vec<ServerState>,
    positions: BTreeMap<(String, String), usize>,
    choices: BTreeMap<String, Choice>,
    dashboard: DashboardState,
    duty: Duty,
    store: Option<Box<StoreState>>,
    /// Of the vip process.
    vip_refused: api::RefusedPackets,
    adverts_refused: Vec<api::RefusedAdverts>,
    vip_process: Option<api::VipProcess>,
    /// For what the next list of voters waits that this node would offer.
    pub(super) voters_wait: Option<String>,
    /// When each thing was last told, in milliseconds since 1970 (UTC).
    told: BTreeMap<String, u64>,
}

/// Under which it is noted when the vip process spoke of itself.
const VIP_PROCESS: &str = "vip-process";

impl Picture {
    pub(crate) fn new(node: &str, mode: Mode, generation: u64) -> Self {
        Self {
            node: node.to_owned(),
            cluster: None,
            mode,
            generation,
            limits: vec![],
            networks: vec![],
            names: vec![],
            files: Arc::default(),
            balancer: BalancerState::Replacing,
            processes: BTreeMap::new(),
            vips: BTreeMap::new(),
            servers: vec![],
            positions: BTreeMap::new(),
            choices: BTreeMap::new(),
            dashboard: DashboardState::default(),
            duty: Duty::On,
            store: None,
            vip_refused: api::RefusedPackets::default(),
            adverts_refused: vec![],
            vip_process: None,
            voters_wait: None,
            told: BTreeMap::new(),
        }
    }

    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Servers(servers) => self.servers(servers),
            Change::Choice(choice) => {
                self.note(format!("pool/{}", choice.proxy));
                self.choices.insert(choice.proxy.clone(), choice);
            }
            Change::Balancer(state) => {
                self.note("balancer".to_owned());
                self.balancer = state;
            }
            Change::Vip(state) => {
                if let Some(vip) = self.files.vips.get(usize::from(state.instance)) {
                    self.note(format!("vip/{}", vip.name));
                }
                self.vips.insert(state.instance, state);
            }
            Change::Process(process) => {
                let was = self.processes.get(&process.role);
                if process.role == Role::Vip && was.is_none_or(|was| was.pid != process.pid) {
                    self.adverts_refused.clear();
                }
                self.note(format!("process/{}", why::balancer::word(process.role)));
                self.processes.insert(process.role, process);
            }
            Change::Dashboard(dashboard) => self.dashboard = dashboard,
            Change::Duty(duty) => self.duty = duty,
            Change::Store(state) => {
                self.note("store".to_owned());
                self.store = Some(state);
            }
            Change::Refused(refused) => self.vip_refused = refused,
            Change::VipProcess(told) => {
                self.note(VIP_PROCESS.to_owned());
                self.vip_process = Some(told);
            }
            Change::Adverts(news) => {
                let all = &mut self.adverts_refused;
                news.iter().for_each(|news| api::RefusedAdverts::learn(all, news));
            }
            // What this agent itself decided, or told.
            Change::Node(_)
            | Change::Proven(_)
            | Change::References(_)
            | Change::Coordinates(_)
            | Change::Voters(_)
            | Change::Silence { .. } => {}
        }
    }

    pub(crate) fn report(&mut self, report: Report) {
        match report {
            Report::Servers(servers) => self.servers(servers),
            Report::Choice(choice) => self.change(Change::Choice(choice)),
            Report::Vip(state) => self.change(Change::Vip(state)),
            // Routing and life of processes are the supervisor's; events go to the journal.
            Report::Ready { .. }
            | Report::Serving { .. }
            | Report::Pong(_)
            | Report::Busy
            | Report::Gate { .. }
            | Report::Failed { .. }
            | Report::Node(_)
            | Report::Event(_)
            | Report::Refused(_)
            | Report::Adverts(_)
            | Report::VipProcess(_)
            | Report::Silence { .. }
            | Report::Rival { .. }
            | Report::Heir { .. }
            | Report::Kept { .. }
            | Report::Counts(_)
            | Report::Duty(_)
            | Report::Proven(_)
            | Report::References(_)
            | Report::Coordinates(_)
            | Report::Voters(_)
            | Report::Keys
            | Report::Apply { .. }
            | Report::Store(_)
            | Report::Wished(_)
            | Report::Move { .. }
            | Report::Anywhere { .. }
            | Report::Use { .. } => {}
        }
    }

    fn servers(&mut self, servers: Vec<ServerState>) {
        for server in servers {
            self.note(format!("server/{}/{}", server.proxy, server.server));
            let key = (server.proxy.clone(), server.server.clone());
            if let Some(position) = self.positions.get(&key) {
                self.servers[*position] = server;
            } else {
                self.positions.insert(key, self.servers.len());
                self.servers.push(server);
            }
        }
    }

    fn note(&mut self, object: String) {
        self.told.insert(object, sys::clock::wall_ms());
    }

    /// When this was last told.
    pub(crate) fn told_at(&self, object: &str) -> Option<u64> {
        self.told.get(object).copied()
    }

    pub(super) const fn vip_process(&self) -> Option<&api::VipProcess> {
        self.vip_process.as_ref()
    }

    /// What this node has to say against itself, by its processes.
    pub(crate) fn ailments(&self) -> Ailments {
        let mut ailments = Ailments::NONE;
        let failed = self.balancer == BalancerState::Failed && !self.files.proxies.is_empty();
        ailments.set(Ailment::Balancer, failed);
        let vip = self.processes.get(&Role::Vip).is_some_and(|process| !process.running);
        ailments.set(Ailment::Vip, vip);
        ailments
    }

    /// Nodes of which all servers, two at least, are down or suspect here: positions.
    pub(crate) fn failing(&self) -> BTreeSet<usize> {
        let mut counted: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for server in &self.servers {
            let home = self.files.homes.get(&server.proxy).and_then(|at| at.get(&server.server));
            let counts = match server.check {
                ServerCheck::Drain | ServerCheck::Maintenance => false,
                ServerCheck::Unchecked | ServerCheck::Up | ServerCheck::Down => true,
            };
            let Some(home) = home.filter(|_| counts) else { continue };
            let (all, bad) = counted.entry(*home).or_default();
            *all += 1;
            *bad += u32::from(server.check == ServerCheck::Down || server.suspect);
        }
        counted
            .into_iter()
            .filter(|(_, (all, bad))| *all >= 2 && all == bad)
            .map(|(n, _)| n)
            .collect()
    }

    pub(crate) fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.choices.values()
    }

    fn store_runs(&self) -> bool {
        self.processes.get(&Role::Store).is_some_and(|process| process.running)
    }

    /// Its newest process has ended of its own failure, which was its last word.
    pub(crate) fn store_has_stopped(&self) -> bool {
        let failed = self.store.as_ref().and_then(|state| state.failed);
        let newest = self.processes.get(&Role::Store).filter(|process| !process.running);
        newest.is_some_and(|process| failed == Some(process.pid))
    }

    /// What the store's process last said; a process that is gone leads and follows nobody.
    fn store(&self) -> Option<Box<StoreState>> {
        let state = self.store.clone()?;
        let gone = || {
            let said = state.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let trouble = Some(format!("its process does not run{said}"));
            Box::new(StoreState { leader: None, trouble, ..(*state).clone() })
        };
        Some(if self.store_runs() { state } else { gone() })
    }

    /// Of this node.
    pub(crate) const fn duty(&self) -> Duty {
        self.duty
    }

    /// Instances whose addresses this node holds.
    pub(crate) fn held(&self) -> impl Iterator<Item = u16> {
        self.vips.values().filter(|vip| vip.holding).map(|vip| vip.instance)
    }

    pub(crate) fn held_names(&self) -> Vec<String> {
        let name = |instance| self.files.vips.get(usize::from(instance));
        self.held().filter_map(name).map(|vip| vip.name.clone()).collect()
    }

    /// Names behind the instances that a peer says it holds, one bit each.
    pub(crate) fn names_of(&self, node: u16, bits: u64) -> Vec<String> {
        let names = self.files.peers.get(usize::from(node)).map_or(&[][..], Vec::as_slice);
        let held = (0..64).zip(names).filter(|(instance, _)| bits >> instance & 1 == 1);
        held.map(|(_, name)| name.clone()).collect()
    }

    /// Who follows the holder. The vip process names whom it would hand over to; on a backup that
    /// can be the holder itself, who follows nobody.
    fn successor(
        &self,
        state: &VipState,
        vip: &VipName,
        holders: &[String],
        nodes: &[NodeLine],
    ) -> Option<String> {
        let named = state.successor.and_then(|node| self.names.get(usize::from(node)));
        if state.holding {
            return named.cloned();
        }
        let holder = holders.first()?;
        let rank = |name: &String| vip.order.iter().position(|other| other == name);
        let is_alive = |name: &String| {
            let is = |line: &NodeLine| line.state.node == *name;
            let is_fit = |state: &api::NodeState| {
                let is_dead = state.opinion.verdict == Verdict::ProvenDead;
                state.standing == Standing::Alive && state.duty.is_on() && !is_dead
            };
            nodes.iter().any(|line| is(line) && is_fit(&line.state))
        };
        let can = |name: &&String| match *name {
            name if name == holder => false,
            name if *name == self.node => state.role == VipRole::Backup,
            // The vip process hears who could hold, and names the first of its peers: whoever would
            // come before that one cannot.
            name => is_alive(name) && named.is_some_and(|first| rank(name) >= rank(first)),
        };
        vip.order.iter().find(can).cloned()
    }

    /// With how long ago it was told: what is left of a vip lease is soon another figure.
    fn aged(&self, told: api::VipProcess) -> api::VipProcess {
        let at = self.told_at(VIP_PROCESS);
        let age_ms = at.map(|at| sys::clock::wall_ms().saturating_sub(at));
        api::VipProcess { age_ms, ..told }
    }

    pub(crate) fn status(&self, nodes: Vec<NodeLine>) -> Status {
        let vips = self.vips.values().map(|state| {
            let vip = self.files.vips.get(usize::from(state.instance)).cloned();
            let vip = vip.unwrap_or_else(|| VipName {
                name: state.instance.to_string(),
                ..VipName::default()
            });
            let holders = nodes.iter().filter(|node| node.holds.contains(&vip.name));
            let holders: Vec<String> = holders.map(|node| node.state.node.clone()).collect();
            let successor = self.successor(state, &vip, &holders, &nodes);
            VipLine {
                name: vip.name,
                addresses: vip.addresses,
                state: state.clone(),
                successor,
                holders,
                interface: state.interface.clone().unwrap_or_default(),
                router_id: vip.router_id,
                priority: vip.priority,
                order: vip.order,
            }
        });
        let vips = vips.collect();
        Status {
            refused: api::RefusedPackets::default(),
            vip_refused: self.vip_refused,
            turned_away: api::TurnedAway::default(),
            adverts_refused: self.adverts_refused.clone(),
            vip_process: self.vip_process.clone().map(|told| self.aged(told)),
            duty: self.duty,
            at_ms: sys::clock::wall_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.node.clone(),
            cluster: self.cluster.clone(),
            mode: self.mode,
            generation: self.generation,
            limits: self.limits.iter().chain(&self.dashboard.limit).cloned().collect(),
            processes: self.processes.values().cloned().collect(),
            networks: self.networks.clone(),
            nodes,
            vips,
            balancer: match self.files.proxies.is_empty() {
                true => BalancerState::Absent,
                false => self.balancer,
            },
            proxies: self.files.proxies.clone(),
            planned: vec![],
            own_doubts: vec![],
            reference: vec![],
            coordinator: None,
            voters_wait: self.voters_wait.clone(),
            notify: None,
            dashboard: self.dashboard.urls.clone(),
            servers: self.servers.clone(),
            choices: self.choices.values().cloned().collect(),
            store: self.store(),
        }
    }
}

#[cfg(test)]
mod tests;
