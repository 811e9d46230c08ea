//! What is known about servers, from every source, and who is told.

use api::{Change, NodeState, Report, ServerCheck, ServerState};
use base::Time;
use config::cluster::Cluster;
use config::haproxy::Haproxy;
use engine::balance::Condition;
use engine::health::{Evidence, Standing, Suspicion};

use super::Control;
use crate::check;
use crate::log::ServerChange;
use crate::shared::Letter;
use crate::view::{Admin, Outcome, ServerStatus};

/// Servers per message: with names of 100 letters they stay far below the longest message.
const PART: usize = 256;

/// Beside the board: evidence, and the node a server lives on.
#[derive(Debug)]
pub(super) struct Known {
    suspicion: Suspicion,
    /// Position in the cluster file.
    node: Option<usize>,
    /// What speaks against it, or last did.
    cause: String,
    /// No check has ended since the start or since maintenance: the first one decides alone.
    is_new: bool,
}

/// A server belongs to the node that has its address on any network.
pub(super) fn known(config: &Haproxy, cluster: Option<&Cluster>) -> Vec<Vec<Known>> {
    let home = |address: std::net::IpAddr| {
        let nodes = &cluster?.nodes;
        nodes.iter().position(|node| node.addresses.contains(&Some(address)))
    };
    let of = |proxy: &config::haproxy::Proxy| {
        let servers = proxy.servers.iter();
        servers
            .map(|server| Known {
                suspicion: Suspicion::new(server.check.is_some()),
                node: home(server.address.ip()),
                cause: String::new(),
                is_new: true,
            })
            .collect()
    };
    config.proxies.iter().map(of).collect()
}

fn condition(status: &ServerStatus) -> Condition {
    let ServerStatus { suspect, resting, .. } = *status;
    Condition { up: status.serves(), drain: status.admin == Admin::Drain, suspect, resting }
}

impl Control {
    /// A change that concerns other processes too.
    pub(super) fn change(&mut self, change: Change) {
        match change {
            Change::Node(node) => self.node_changed(&node),
            Change::Proven(names) => self.proven(&names),
            // From the proxy that serves to its spare.
            Change::Servers(states) if !self.is_active => {
                self.restore(&states);
                self.send_all_conditions();
            }
            Change::Choice(choice) => self.told(&choice),
            Change::Vip(state) => self.vip_changed(&state),
            Change::Servers(_)
            | Change::Balancer(_)
            | Change::Process(_)
            | Change::Dashboard(_)
            | Change::Duty(_)
            | Change::References(_)
            | Change::Coordinates(_)
            | Change::Voters(_)
            | Change::Store(_)
            | Change::Refused(_)
            | Change::Adverts(_)
            | Change::VipProcess(_) => {}
            Change::Silence { node, silent } => self.silence(&node, silent),
        }
    }

    /// Goes on with what the process before knew.
    pub(super) fn restore(&mut self, states: &[ServerState]) {
        self.checks.restore(states);
        let view = std::sync::Arc::clone(&self.view);
        let mut board = view.board();
        let rows = board.iter_mut().zip(&mut self.known);
        for (proxy, (servers, known)) in view.config.proxies.iter().zip(rows) {
            for ((server, status), known) in proxy.servers.iter().zip(servers).zip(known) {
                let same =
                    |state: &&ServerState| state.proxy == proxy.name && state.server == server.name;
                let Some(state) = states.iter().find(same) else { continue };
                status.why.clone_from(&state.why);
                known.is_new = false;
                status.count = state.count;
                status.up = match state.check {
                    ServerCheck::Up => true,
                    ServerCheck::Down => false,
                    ServerCheck::Drain | ServerCheck::Maintenance | ServerCheck::Unchecked => {
                        status.up
                    }
                };
                status.admin = match state.check {
                    ServerCheck::Drain => Admin::Drain,
                    ServerCheck::Maintenance => Admin::Maintenance,
                    ServerCheck::Up | ServerCheck::Down | ServerCheck::Unchecked => Admin::Ready,
                };
            }
        }
    }

    /// What checks found.
    pub(super) fn checked(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            let (proxy, server) = (outcome.proxy, outcome.server);
            let evidence = check::evidence(&outcome.report, self.now);
            if self.is_news(&outcome) {
                self.logger.checked(&outcome);
            }
            let counted = self.view.board()[proxy][server].count != outcome.count;
            let changed = self.put_on_board(&outcome);
            let is_first = std::mem::take(&mut self.known[proxy][server].is_new);
            let suspected = evidence.is_some_and(|evidence| self.judge(proxy, server, evidence));
            if changed {
                let servers = self.view.board()[proxy].clone();
                let change = if outcome.up {
                    ServerChange::Up(&outcome.report)
                } else {
                    ServerChange::Down(&outcome.report)
                };
                self.logger.server(proxy, server, &servers, change);
                self.tell_check(&outcome, is_first);
            } else if suspected && outcome.up {
                self.tell_once(proxy, server);
            }
            if changed || suspected {
                self.server_changed(proxy, server);
            } else if counted && self.is_active {
                // Nobody chooses otherwise for it, but whoever asks is told how far it is.
                let state = self.state(proxy, server);
                self.say(&Report::Servers(vec![state]));
            }
            if changed && !outcome.up {
                self.leave(proxy, server, true);
            }
        }
    }

    /// True if the server went up or down.
    fn put_on_board(&self, outcome: &Outcome) -> bool {
        let mut board = self.view.board();
        let status = &mut board[outcome.proxy][outcome.server];
        // As haproxy counts: not those of a server that is down already.
        if !outcome.report.passed && (status.up || status.count > 0) {
            status.failed_checks += 1;
        }
        status.count = outcome.count;
        let changed = status.up != outcome.up;
        if changed {
            if outcome.up {
                status.downtime += self.now - status.changed;
            } else {
                status.downs += 1;
            }
            status.up = outcome.up;
            status.changed = self.now;
            status.why = crate::log::reason(&outcome.report);
        }
        status.report = Some(outcome.report.clone());
        changed
    }

    /// It counted, or ended otherwise than the one before.
    fn is_news(&self, outcome: &Outcome) -> bool {
        let status = &self.view.board()[outcome.proxy][outcome.server];
        let layer = status.report.as_ref().map(|report| report.layer);
        (status.up, status.count) != (outcome.up, outcome.count)
            || layer != Some(outcome.report.layer)
    }

    /// A worker saw something.
    pub(super) fn seen(&mut self, proxy: usize, server: usize, evidence: Evidence) {
        if self.judge(proxy, server, evidence) {
            self.tell_once(proxy, server);
            self.server_changed(proxy, server);
            if self.view.board()[proxy][server].suspect {
                self.leave(proxy, server, false);
            }
            self.checks.check_now(proxy, server, self.now);
        }
    }

    /// True if the server became or stopped being suspect.
    fn judge(&mut self, proxy: usize, server: usize, evidence: Evidence) -> bool {
        if !self.view.adaptive() {
            return false;
        }
        let Known { suspicion, cause, .. } = &mut self.known[proxy][server];
        let changed = suspicion.step(self.now, evidence);
        if changed {
            let status = &mut self.view.board()[proxy][server];
            status.suspect = suspicion.is_suspect();
            status.why = suspicion.why();
            if status.suspect {
                cause.clone_from(&status.why);
            }
        }
        changed
    }

    /// One cause takes every server of a machine along: the first that becomes suspect is told, and
    /// the last that is trusted again. One that is down does not count: of that its checks told.
    fn tell_once(&mut self, proxy: usize, server: usize) {
        let of = |proxy: usize, server: usize| {
            let known = &self.known[proxy][server];
            let address = self.view.config.proxies[proxy].servers[server].address.ip();
            // Two servers of a node may have its addresses on two networks.
            (known.node.ok_or(address), known.cause.as_str())
        };
        let others = self.every_server().into_iter().filter(|other| *other != (proxy, server));
        let mut alike = others.filter(|other| of(other.0, other.1) == of(proxy, server));
        let is_told = alike.any(|(proxy, server)| {
            let status = &self.view.board()[proxy][server];
            status.up && status.suspect
        });
        if !is_told {
            self.tell_suspicion(proxy, server);
        }
    }

    pub(super) fn node_changed(&mut self, state: &NodeState) {
        let nodes = self.cluster.as_ref().map(|cluster| cluster.nodes.as_slice());
        let named = |node: &config::cluster::Node| node.name == state.node;
        let Some(node) = nodes.and_then(|nodes| nodes.iter().position(named)) else { return };
        let standing = match state.standing {
            api::Standing::Unknown => Standing::Unknown,
            api::Standing::Alive => Standing::Alive,
            api::Standing::Suspect => Standing::Suspect,
            api::Standing::Left => Standing::Left,
        };
        self.rest(node, !state.duty.is_on());
        self.judge_node((node, &state.node), Evidence::Node(standing));
    }

    /// What the vip process thinks of a node, for as long as the agents need to know it.
    fn silence(&mut self, name: &str, silent: bool) {
        let Some(cluster) = &self.cluster else { return };
        let Some(node) = cluster.nodes.iter().position(|node| node.name == name) else { return };
        let until = silent.then(|| self.now + cluster.detect + cluster.detect / 2);
        self.judge_node((node, name), Evidence::Silence { until });
    }

    /// Exactly these nodes are proven dead.
    fn proven(&mut self, names: &[String]) {
        let nodes = self.cluster.as_ref().map_or(&[][..], |cluster| &cluster.nodes);
        let all: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
        for (node, name) in all.iter().enumerate() {
            self.judge_node((node, name), Evidence::Proven(names.contains(name)));
        }
    }

    /// Evidence about all servers of a node, by its position and name.
    fn judge_node(&mut self, (node, name): (usize, &str), evidence: Evidence) {
        let mut changed = Vec::new();
        for (proxy, server) in self.every_server() {
            if self.known[proxy][server].node == Some(node) && self.judge(proxy, server, evidence) {
                changed.push((proxy, server));
                self.server_changed(proxy, server);
                if self.view.board()[proxy][server].suspect {
                    self.leave(proxy, server, true);
                }
            }
        }
        match changed[..] {
            [] => {}
            [(proxy, server)] => self.tell_suspicion(proxy, server),
            [(proxy, server), ..] => {
                let suspect = self.view.board()[proxy][server].suspect;
                self.tell_suspicions(name, &changed, suspect);
            }
        }
    }

    /// Whether the servers of a node come after all others. What is under way there goes on.
    fn rest(&mut self, node: usize, resting: bool) {
        if !self.view.adaptive() {
            return;
        }
        for (proxy, server) in self.every_server() {
            let is_there = self.known[proxy][server].node == Some(node);
            if is_there && self.view.board()[proxy][server].resting != resting {
                self.view.board()[proxy][server].resting = resting;
                self.server_changed(proxy, server);
            }
        }
    }

    pub(super) fn suspicion_deadline(&self) -> Time {
        let all = self.known.iter().flatten();
        all.map(|known| known.suspicion.deadline()).min().unwrap_or(Time::NEVER)
    }

    pub(super) fn expire_suspicions(&mut self) {
        for (proxy, server) in self.every_server() {
            if self.known[proxy][server].suspicion.deadline() <= self.now
                && self.judge(proxy, server, Evidence::Timeout)
            {
                self.tell_once(proxy, server);
                self.server_changed(proxy, server);
            }
        }
    }

    pub(super) fn every_server(&self) -> Vec<(usize, usize)> {
        let proxies = self.known.iter().enumerate();
        proxies.flat_map(|(proxy, all)| (0..all.len()).map(move |server| (proxy, server))).collect()
    }

    pub(super) fn set_admin(&mut self, proxy: usize, server: usize, to: Admin) {
        let from = std::mem::replace(&mut self.view.board()[proxy][server].admin, to);
        if from == to {
            return;
        }
        self.checks.set_admin(&self.poller, proxy, server, to, self.now);
        self.known[proxy][server].is_new |= from == Admin::Maintenance;
        let servers = {
            let mut board = self.view.board();
            let status = &mut board[proxy][server];
            status.up = self.checks.is_up(proxy, server);
            status.changed = self.now;
            status.why = format!("set to {to:?} by the operator").to_lowercase();
            board[proxy].clone()
        };
        self.logger.server(proxy, server, &servers, ServerChange::Admin { from });
        self.tell_admin(proxy, server, from, to);
        self.server_changed(proxy, server);
    }

    /// Tells workers, writer and supervisor.
    fn server_changed(&mut self, proxy: usize, server: usize) {
        self.send_condition(proxy, server);
        if self.is_active {
            self.writer_hears(proxy, server);
            let state = self.state(proxy, server);
            self.say(&Report::Servers(vec![state]));
        }
    }

    fn send_condition(&self, proxy: usize, server: usize) {
        let condition = condition(&self.view.board()[proxy][server]);
        self.shared.post_all(&Letter::Condition { proxy, server, condition });
    }

    pub(super) fn send_all_conditions(&self) {
        for (proxy, server) in self.every_server() {
            self.send_condition(proxy, server);
        }
    }

    /// Connects leave a suspect server; requests without answer leave one that is gone by its checks
    /// or its node's silence.
    fn leave(&self, proxy: usize, server: usize, sent: bool) {
        let others = self.known[proxy].len() > 1;
        if self.view.adaptive() && others && !self.shared.breaks(api::Break::Redispatch) {
            self.shared.post_all(&Letter::Abandon { proxy, server, sent });
        }
    }

    pub(super) fn is_usable(&self, proxy: usize, server: usize) -> bool {
        let condition = condition(&self.view.board()[proxy][server]);
        condition.up && !condition.drain && !condition.suspect && !condition.resting
    }

    fn state(&self, proxy: usize, server: usize) -> ServerState {
        let status = &self.view.board()[proxy][server];
        let names = &self.view.config.proxies[proxy];
        ServerState {
            proxy: names.name.clone(),
            server: names.servers[server].name.clone(),
            check: match status.admin {
                Admin::Maintenance => ServerCheck::Maintenance,
                Admin::Drain => ServerCheck::Drain,
                Admin::Ready if !status.checked => ServerCheck::Unchecked,
                Admin::Ready if status.up => ServerCheck::Up,
                Admin::Ready => ServerCheck::Down,
            },
            suspect: status.suspect,
            why: status.why.clone(),
            count: status.count,
            resting: status.resting,
        }
    }

    pub(super) fn say_all_servers(&mut self) {
        let states = self.every_server().into_iter();
        let states: Vec<_> = states.map(|(proxy, server)| self.state(proxy, server)).collect();
        for part in states.chunks(PART) {
            self.say(&Report::Servers(part.to_vec()));
        }
    }
}
