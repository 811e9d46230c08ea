//! All that this node knows, put together for `outlast status`.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{
    BalancerState, Change, Choice, DashboardState, Mode, NodeLine, ProcessState, Report, Role,
    ServerState, Status, VipLine, VipState,
};

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
    /// When each thing was last told, in milliseconds since 1970 (UTC).
    told: BTreeMap<String, u64>,
}

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
                self.note(format!("process/{}", why::balancer::word(process.role)));
                self.processes.insert(process.role, process);
            }
            Change::Dashboard(dashboard) => self.dashboard = dashboard,
            // What this agent itself decided.
            Change::Node(_) => {}
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
            | Report::Failed { .. }
            | Report::Node(_)
            | Report::Event(_) => {}
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

    pub(crate) fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.choices.values()
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

    pub(crate) fn status(&self, nodes: Vec<NodeLine>) -> Status {
        let vips = self.vips.values().map(|state| {
            let vip = self.files.vips.get(usize::from(state.instance)).cloned();
            let vip = vip.unwrap_or_else(|| VipName {
                name: state.instance.to_string(),
                ..VipName::default()
            });
            let successor =
                state.successor.and_then(|node| self.names.get(usize::from(node)).cloned());
            let holders = nodes.iter().filter(|node| node.holds.contains(&vip.name));
            let holders = holders.map(|node| node.state.node.clone()).collect();
            VipLine {
                name: vip.name,
                addresses: vip.addresses,
                state: state.clone(),
                successor,
                holders,
                interface: vip.interface,
                router_id: vip.router_id,
                priority: vip.priority,
                order: vip.order,
            }
        });
        let vips = vips.collect();
        Status {
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
            dashboard: self.dashboard.urls.clone(),
            servers: self.servers.clone(),
            choices: self.choices.values().cloned().collect(),
        }
    }
}
