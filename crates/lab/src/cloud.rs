//! Three controllers, a client and a watcher on two switches.

pub(crate) mod ask;
pub(crate) mod files;
pub(crate) mod network;
pub(crate) mod node;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use api::{Role, ServerCheck, Standing, Status, VipRole};

use self::files::{Files, NODES};
use self::network::{Host, VIP, address};
use self::node::{Node, Part, Software};
use crate::wait;
use crate::watch::Watch;

/// Requests through the balancer that must reach every living node.
const ROUNDS: usize = 12;
/// A stock balancer takes a returned server after two checks of 2 s, a stock VIP its election of
/// 4 s; a database that was down is found after five checks of 2 s.
const HEALTHY_WITHIN: Duration = Duration::from_secs(45);
/// Priority of the strongest node of our own.
const OWN_PRIORITY: u8 = 200;
const CLIENT: [u8; 4] = [10, 79, 0, 100];
const WATCHER: [u8; 4] = [10, 79, 0, 101];

/// Debian's keepalived and haproxy on the last node, in one group with ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// Its VRRP priority; ours have 200 and 150.
    pub(crate) priority: u8,
}

/// All of it; it ends with the namespaces it is in.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) nodes: Vec<Node>,
    /// Of all nodes but a foreign one.
    pub(crate) software: Software,
    foreign: Option<Foreign>,
    pub(crate) files: Files,
    client: Host,
    pub(crate) watch: Watch,
}

impl Cloud {
    /// Makes the network and writes the files below `folder`; starts nothing.
    pub(crate) fn lay_out(
        folder: &Path,
        files: Files,
        software: Software,
        foreign: Option<Foreign>,
        realtime: bool,
    ) -> io::Result<Self> {
        network::make_switches(network::DEMO_NETWORKS)?;
        let client = Host::plug("client", &[CLIENT.into()])?;
        let watcher = Host::plug("watch", &[WATCHER.into()])?;
        let watch = Watch::start(watcher.netns(), VIP, realtime)?;
        let node = |number| match &foreign {
            Some(_) if number == NODES - 1 => Node::new(number, folder, Software::Stock),
            Some(_) | None => Node::new(number, folder, software.clone()),
        };
        let nodes = (0..NODES).map(node).collect();
        let cloud = Self { nodes, software, foreign, files, client, watch };
        cloud.write_files(None)?;
        Ok(cloud)
    }

    pub(crate) fn write_files(&self, server_timeout: Option<&str>) -> io::Result<()> {
        let write = |node: &Node| {
            let foreign = self.foreign.filter(|_| node.number == NODES - 1);
            let priority = foreign.map_or(NODES - node.number, |foreign| foreign.priority);
            self.files.write(&node.folder, priority, server_timeout)
        };
        self.nodes.iter().try_for_each(write)
    }

    /// Starts everything that does not run and undoes every fault.
    pub(crate) fn revive(&mut self) -> io::Result<()> {
        for node in &mut self.nodes {
            node.plug_in()?;
        }
        let Some(foreign) = self.foreign else {
            return self.nodes.iter_mut().try_for_each(|node| node.revive(&self.files));
        };
        // The stronger one first, until it holds: an election waits for nobody, and who starts
        // faster is not what a mixed group is tested for.
        let foreign_first = foreign.priority > OWN_PRIORITY;
        for turn in [foreign_first, !foreign_first] {
            let its_turn = |node: &&mut Node| (node.software == Software::Stock) == turn;
            self.nodes.iter_mut().filter(its_turn).try_for_each(|node| node.revive(&self.files))?;
            let watch = &self.watch;
            let _held = wait::until(HEALTHY_WITHIN, || watch.holder().is_some());
        }
        Ok(())
    }

    pub(crate) fn revive_one(&mut self, node: usize) -> io::Result<()> {
        self.nodes[node].revive(&self.files)
    }

    pub(crate) fn client(&self) -> &Host {
        &self.client
    }

    pub(crate) fn api(&self) -> SocketAddr {
        SocketAddr::from((VIP, self.files.api))
    }

    pub(crate) fn database(&self) -> SocketAddr {
        SocketAddr::from((VIP, self.files.database))
    }

    /// The node that alone answers for the virtual IP.
    pub(crate) fn holder(&self) -> Option<usize> {
        if self.is_broken("second-holder") {
            return Some(0);
        }
        let mac = self.watch.holder()?;
        self.nodes.iter().position(|node| node.host().is_some_and(|host| host.mac == mac))
    }

    /// The node whose database server a new session gets.
    pub(crate) fn database_in_use(&self) -> Option<usize> {
        let name = ask::database(self.client.netns(), VIP, self.files.database)?;
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Whether a test broke this on purpose.
    fn is_broken(&self, what: &str) -> bool {
        match &self.software {
            Software::Outlast { breaks, .. } => breaks.iter().any(|name| name == what),
            Software::Stock => false,
        }
    }

    /// Waits until one node holds the address and everything on the nodes that are on works.
    pub(crate) fn wait_until_healthy(&self) -> io::Result<()> {
        let mut why = String::new();
        let healthy = wait::until(HEALTHY_WITHIN, || match self.illness() {
            Some(illness) => {
                why = illness;
                false
            }
            None => true,
        });
        if healthy {
            return Ok(());
        }
        let words: String = self.nodes.iter().map(Node::last_words).collect();
        let waited = HEALTHY_WITHIN.as_secs();
        Err(io::Error::other(format!("the cloud is not healthy after {waited} s: {why}{words}")))
    }

    /// What is not as it should be.
    pub(crate) fn illness(&self) -> Option<String> {
        let living: Vec<&Node> = self.nodes.iter().filter(|node| node.is_on()).collect();
        for node in &living {
            if let Some(why) = self.illness_of(node, living.len()) {
                return Some(format!("{}: {why}", node.name));
            }
        }
        if self.holder().is_none() {
            return Some("there is not one node that answers for the virtual IP".into());
        }
        let mut names: Vec<String> = Vec::new();
        for _ in 0..ROUNDS {
            match ask::api(self.client.netns(), VIP, self.files.api) {
                Some(name) if !names.contains(&name) => names.push(name),
                Some(_) => {}
                None => return Some("a request to the API port failed".into()),
            }
        }
        if living.iter().any(|node| !names.contains(&node.name)) {
            return Some(format!("requests reach {} only", names.join(", ")));
        }
        self.database_in_use().is_none().then(|| "the database port does not answer".into())
    }

    fn illness_of(&self, node: &Node, living: usize) -> Option<String> {
        match &node.software {
            Software::Outlast { .. } => {
                let Some(status) = ask::status(&node.folder) else {
                    return Some("no answer to `status`".into());
                };
                let ours = self.nodes.iter().filter(|n| n.is_on() && n.software != Software::Stock);
                ill_status(&status, (living, ours.count()), !self.is_broken("spare"))
            }
            Software::Stock => {
                let (up, all) = ask::servers(&node.folder).unwrap_or_default();
                if up * usize::from(NODES) < all * living || up == 0 {
                    return Some(format!("{up} of {all} servers are up"));
                }
                let log = std::fs::read_to_string(node.folder.join("keepalived.log"));
                let entered = log.is_ok_and(|log| log.contains("Entering"));
                (!entered).then(|| "keepalived has not entered a state".into())
            }
        }
    }

    /// What a process of the node has for a pid.
    pub(crate) fn pid(&self, node: usize, role: Role) -> io::Result<i32> {
        let missing = || io::Error::other(format!("{} has no {role:?}", self.nodes[node].name));
        let status = ask::status(&self.nodes[node].folder).ok_or_else(missing)?;
        let process = status.processes.iter().find(|p| p.role == role && p.running);
        process.map(|p| p.pid).ok_or_else(missing)
    }

    /// Reads changed files on every node and waits until they are in force.
    pub(crate) fn reload(&mut self) -> io::Result<()> {
        let generations = |cloud: &Self| -> Vec<Option<u64>> {
            let of = |node: &Node| ask::status(&node.folder).map(|status| status.generation);
            cloud.nodes.iter().map(of).collect()
        };
        let before = generations(self);
        for node in self.nodes.iter_mut().filter(|node| node.is_on()) {
            node.reload()?;
        }
        if self.software == Software::Stock {
            self.revive()?;
            return self.wait_until_healthy();
        }
        let newer = |(old, new): (&Option<u64>, Option<u64>)| old.is_none() || new > *old;
        let taken = || before.iter().zip(generations(self)).all(newer);
        if !wait::until(HEALTHY_WITHIN, taken) {
            return Err(io::Error::other("SIGHUP did not bring the new files into force"));
        }
        self.wait_until_healthy()
    }

    /// The first virtual IP of a node, by its name.
    pub(crate) fn vip_name(&self, node: usize) -> io::Result<String> {
        let status = ask::status(&self.nodes[node].folder);
        let vip = status.and_then(|status| Some(status.vips.first()?.name.clone()));
        vip.ok_or_else(|| io::Error::other("the node knows no virtual IP"))
    }

    /// Tells a node what an operator would.
    pub(crate) fn command(&self, node: usize, command: api::Command) -> io::Result<()> {
        ask::command(&self.nodes[node].folder, command)
    }

    /// Stops the parts of a node that a graceful stop concerns.
    pub(crate) fn stop_gracefully(&mut self, node: usize) -> io::Result<()> {
        let node = &mut self.nodes[node];
        node.stop(Part::Outlast)?;
        node.stop(Part::Keepalived)?;
        node.stop(Part::Haproxy)
    }
}

fn ill_status(status: &Status, (living, ours): (usize, usize), spare: bool) -> Option<String> {
    let mut roles = vec![Role::Vip, Role::Agent, Role::Proxy];
    if spare {
        roles.push(Role::Spare);
    }
    let runs = |role| status.processes.iter().any(|p| p.role == role && p.running);
    if let Some(role) = roles.into_iter().find(|role| !runs(*role)) {
        return Some(format!("no {role:?} process"));
    }
    let alive = status.nodes.iter().filter(|n| n.state.standing == Standing::Alive).count();
    // A node may list itself or not.
    if !status.nodes.is_empty() && alive + 1 < ours {
        return Some(format!("knows of {alive} living nodes"));
    }
    let up = |check| matches!(check, ServerCheck::Up | ServerCheck::Unchecked);
    let good = status.servers.iter().filter(|s| up(s.check) && !s.suspect).count();
    if good * usize::from(NODES) < status.servers.len() * living || good == 0 {
        return Some(format!("{good} of {} servers are up", status.servers.len()));
    }
    let fault = status.vips.iter().find(|vip| vip.state.role == VipRole::Fault);
    fault.map(|vip| format!("vip {} is in fault: {:?}", vip.name, vip.state.cause))
}

/// The address of a node on the management network, for messages.
pub(crate) fn management(node: usize) -> String {
    u8::try_from(node).map_or_else(|_| String::new(), |node| address(node, 0).to_string())
}
