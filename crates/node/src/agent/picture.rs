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
            duty: Duty::On,
            store: None,
            vip_refused: api::RefusedPackets::default(),
            adverts_refused: vec![],
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
            Change::Adverts(news) => {
                let all = &mut self.adverts_refused;
                news.iter().for_each(|news| api::RefusedAdverts::learn(all, news));
            }
            // What this agent itself decided, or told.
            Change::Node(_) | Change::Proven(_) | Change::References(_) => {}
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
            | Report::Counts(_)
            | Report::Duty(_)
            | Report::Proven(_)
            | Report::References(_)
            | Report::Keys
            | Report::Apply { .. }
            | Report::Store(_)
            | Report::Wished(_)
            | Report::Move { .. }
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
            dashboard: self.dashboard.urls.clone(),
            servers: self.servers.clone(),
            choices: self.choices.values().cloned().collect(),
            store: self.store(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::NodeState;

    fn node(name: &str, standing: Standing, holds: bool) -> NodeLine {
        NodeLine {
            state: NodeState {
                node: name.to_owned(),
                standing,
                cells: vec![],
                why: String::new(),
                opinion: api::Opinion::default(),
                duty: Duty::On,
            },
            holds: if holds { vec!["internal".to_owned()] } else { vec![] },
            load: None,
            compute: false,
            just_started: false,
        }
    }

    /// What node02 shows as the next of node01, node02, node03.
    fn next(role: VipRole, named: Option<u16>, holder: Option<&str>, dead: &[&str]) -> String {
        let mut picture = Picture::new("node02", Mode::Adaptive, 1);
        picture.names = ["node01", "node02", "node03"].map(str::to_owned).to_vec();
        let (name, order) = ("internal".to_owned(), picture.names.clone());
        let vips = vec![VipName { name, order, ..VipName::default() }];
        picture.files = Arc::new(Names { vips, ..Names::default() });
        picture.change(Change::Vip(VipState {
            instance: 0,
            role,
            holding: role == VipRole::Master,
            successor: named,
            successor_life: None,
            cause: None,
            term: 1,
            disabled_scripts: vec![],
            interface: None,
            vip_lease: None,
            priority: None,
        }));
        let line = |name: &String| {
            let is_dead = dead.contains(&name.as_str());
            let standing = if is_dead { Standing::Suspect } else { Standing::Alive };
            node(name, standing, holder == Some(name))
        };
        let lines = picture.names.iter().map(line).collect();
        picture.status(lines).vips[0].successor.clone().unwrap_or_else(|| "-".to_owned())
    }

    #[test]
    fn a_node_fails_when_all_of_its_servers_do_and_an_operator_took_none_out() {
        let mut picture = Picture::new("node01", Mode::Adaptive, 1);
        let homes = [("one", 0), ("two", 1), ("three", 1)];
        let homes = homes.map(|(server, node)| (server.to_owned(), node)).into_iter().collect();
        let homes = [("api".to_owned(), homes)].into_iter().collect();
        picture.files = Arc::new(Names { homes, ..Names::default() });
        let mut say = |name: &str, check: ServerCheck, suspect: bool| {
            let (proxy, server) = ("api".to_owned(), name.to_owned());
            let state = ServerState {
                proxy,
                server,
                check,
                suspect,
                why: String::new(),
                count: 0,
                resting: false,
            };
            picture.change(Change::Servers(vec![state]));
            picture.failing().into_iter().collect::<Vec<_>>()
        };
        assert!(say("one", ServerCheck::Down, false).is_empty(), "one server is no node");
        assert!(say("two", ServerCheck::Down, false).is_empty(), "one server is no node");
        assert!(say("three", ServerCheck::Up, false).is_empty());
        assert_eq!(say("three", ServerCheck::Up, true), [1]);
        assert!(say("two", ServerCheck::Maintenance, false).is_empty(), "taken out");
        assert_eq!(say("two", ServerCheck::Down, false), [1]);
        assert!(say("three", ServerCheck::Unchecked, false).is_empty());
    }

    #[test]
    fn what_does_not_run_is_said_against_this_node() {
        let mut picture = Picture::new("node01", Mode::Adaptive, 1);
        let proxies = vec![api::ProxyLine {
            name: "api".to_owned(),
            kind: "listen".to_owned(),
            mode: "http".to_owned(),
            binds: vec![],
            balance: String::new(),
            default_backend: None,
            one_writer: false,
        }];
        picture.files = Arc::new(Names { proxies, ..Names::default() });
        assert!(picture.ailments().is_empty(), "being replaced is no ailment");
        picture.change(Change::Balancer(BalancerState::Failed));
        let vip =
            ProcessState { role: Role::Vip, pid: 4, running: false, generation: 1, starts: 2 };
        picture.change(Change::Process(vip.clone()));
        assert_eq!(
            picture.ailments().words(),
            "its balancer does not run; its vip process does not run"
        );
        picture.change(Change::Balancer(BalancerState::Serving));
        picture.change(Change::Process(ProcessState { running: true, ..vip }));
        assert!(picture.ailments().is_empty());
    }

    #[test]
    fn a_store_has_stopped_if_its_own_failure_was_its_last_word_and_not_if_it_was_told_to_end() {
        let mut picture = Picture::new("node01", Mode::Adaptive, 1);
        let process = |picture: &mut Picture, pid, running| {
            let role = Role::Store;
            let process = ProcessState { role, pid, running, generation: 1, starts: 1 };
            picture.change(Change::Process(process));
        };
        let says = |picture: &mut Picture, trouble: &str, failed| {
            let trouble = Some(trouble.to_owned());
            let state = StoreState { trouble, failed, ..StoreState::default() };
            picture.change(Change::Store(Box::new(state)));
        };
        // A reload with another store ends its process while it waits for others.
        process(&mut picture, 4, true);
        says(&mut picture, "waits for node02", None);
        process(&mut picture, 4, false);
        assert!(!picture.store_has_stopped());
        process(&mut picture, 5, true);
        says(&mut picture, "no space left on device", Some(5));
        assert!(!picture.store_has_stopped(), "it is ending");
        process(&mut picture, 5, false);
        assert!(picture.store_has_stopped());
        // The next one is told to end before it has said anything.
        process(&mut picture, 6, true);
        process(&mut picture, 6, false);
        assert!(!picture.store_has_stopped());
    }

    #[test]
    fn next_is_who_follows_the_holder_whoever_shows_it() {
        use VipRole::{Backup, Fault, Master};
        let (one, three) = (Some("node01"), Some("node03"));
        for (why, role, named, holder, dead, expected) in [
            (
                "the holder names whom it would hand over to",
                Master,
                Some(2),
                Some("node02"),
                &[][..],
                "node03",
            ),
            ("the holder knows nobody", Master, None, Some("node02"), &["node01", "node03"], "-"),
            ("a backup hears the holder as its best peer", Backup, Some(0), one, &[], "node02"),
            ("the preferred one came back and waits", Backup, Some(0), three, &[], "node01"),
            ("the preferred one cannot hold", Backup, Some(2), three, &[], "node02"),
            ("this node cannot hold, another can", Fault, Some(0), one, &[], "node03"),
            ("this node cannot hold, the other is dead", Fault, Some(0), one, &["node03"], "-"),
            ("nobody is known to hold", Backup, Some(0), None, &[], "-"),
        ] {
            assert_eq!(next(role, named, holder, dead), expected, "{why}");
        }
    }
}
