//! Agents alone: as many nodes as wanted on several networks, and what can be done to them.
//!
//! ```text
//! sw1 10.79.0.0/24: node k at .41+k eth0      sw2 10.80.0.0/24: eth1      sw3 10.81.0.0/24: eth2
//! ```
//! It is made in the namespaces the caller is in, which have to be its own: processes, network, mounts.
//! A cut takes a node's port out of the switch, so it notices nothing. A way in one direction is lost by
//! a neighbour entry with a hardware address that nobody has: filters of `tc` and `nft` need modules
//! that kernels of containers lack, and bridge ports know no pairs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::{Event, NodeLine, Role, Standing, Status, Verdict};
use base::Time;
use sys::process::{Child, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SpawnOptions, spawn};

use crate::cloud::ask;
use crate::cloud::network::{Host, address, make_switches, remove_switches};
use crate::cloud::node::{kill, kill_all_inside, signal_all_inside};
use crate::wait;
use crate::watch::Mac;
use ears::Ears;

pub use ears::{Heard, accuses};

pub(crate) mod corosync;
mod ears;
mod file;
pub(crate) mod forged;
mod founded;
pub(crate) mod measure;
pub mod scenarios;
mod stored;
mod turns;

/// What a cluster is made of.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub names: Vec<String>,
    pub networks: Vec<String>,
    /// More lines of `[cluster]`, and sections; without one there is no dashboard.
    pub lines: String,
    /// So many of the last nodes are compute nodes.
    pub computes: usize,
}

impl Plan {
    /// Each node proves itself by a certificate: compute nodes share no secret with controllers, and a store
    /// takes nobody's word.
    fn has_trust(&self) -> bool {
        self.computes > 0 || self.lines.contains("[store]")
    }
}

/// A node says goodbye and ends; a build for tests on a busy machine takes seconds.
const GRACE: Duration = Duration::from_secs(10);
/// All namespaces of a kernel share one table of neighbours with room for 1,024 that were asked for: so many
/// nodes on 8 networks fit. Of more each is told where the others are, which does not count.
const MOST_STRANGERS: usize = 11;
/// Beside a node's cluster file.
const TRUST: &str = "trust";
const SECRET: &str = "a secret of the nodes of a lab, known to nobody else";

/// All nodes; dropping it ends their processes.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    program: PathBuf,
    nodes: Vec<Node>,
    /// Ways that are lost: from, to, network.
    lost: BTreeSet<(usize, usize, usize)>,
    ears: Ears,
}

#[derive(Debug)]
struct Node {
    folder: PathBuf,
    /// None: powered off.
    host: Option<Host>,
    supervisor: Option<Child>,
}

impl Cluster {
    /// Makes switches, machines and files below `folder`; starts nothing. With compute nodes a trust is
    /// founded that all of them join, over loopback.
    ///
    /// # Errors
    /// Without the right to make networks, or when a node cannot join.
    ///
    /// # Panics
    /// When the plan has more nodes or networks than a cluster can have.
    pub fn lay_out(folder: &Path, program: &Path, plan: Plan) -> io::Result<Self> {
        make_switches(plan.networks.len())?;
        let mut nodes = vec![];
        for name in &plan.names {
            let folder = folder.join(name);
            // A cluster that was here before had other nodes of that name.
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("outlast.toml"), file::of(&plan))?;
            fs::write(folder.join("secret"), SECRET)?;
            fs::set_permissions(folder.join("secret"), fs::Permissions::from_mode(0o600))?;
            nodes.push(Node { folder, host: None, supervisor: None });
        }
        let folders: Vec<_> = nodes.iter().map(|node| node.folder.join(TRUST)).collect();
        founded::found(program, &plan, &folders)?;
        let sockets = nodes.iter().map(|node| node.folder.join("run/control.sock"));
        let ears = Ears::open(sockets.collect());
        Ok(Self { plan, program: program.to_owned(), nodes, lost: BTreeSet::new(), ears })
    }

    #[must_use]
    pub fn name(&self, node: usize) -> &str {
        &self.plan.names[node]
    }

    /// Where the node keeps its event log and its recordings.
    #[must_use]
    pub fn state_dir(&self, node: usize) -> PathBuf {
        self.nodes[node].folder.join("state")
    }

    /// Does something as if on that machine: in its namespace of the network. None: it is off.
    pub fn within<T: Send>(&self, node: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
        sys::netns::within(self.nodes[node].host.as_ref()?.netns(), work).ok()
    }

    #[must_use]
    pub fn networks(&self) -> &[String] {
        &self.plan.networks
    }

    pub fn numbers(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.nodes.len()
    }

    /// Plugs the machine in where it is off, and starts the program where it does not run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, node: usize) -> io::Result<()> {
        let networks = self.plan.networks.len();
        let (number, name) = (small(node), self.plan.names[node].clone());
        let is_new = self.nodes[node].host.is_none();
        let (program, place) = (self.program.clone(), &mut self.nodes[node]);
        let host = match place.host.take() {
            Some(host) => host,
            None => {
                let addresses: Vec<_> = (0..networks).map(|n| address(number, small(n))).collect();
                Host::plug(&name, &addresses)?
            }
        };
        place.host = Some(host);
        if is_new && self.nodes.len() > MOST_STRANGERS {
            self.introduce(node)?;
        }
        let place = &mut self.nodes[node];
        let Some(host) = &place.host else { return Ok(()) };
        if let Some(child) = &place.supervisor {
            if child.reap()?.is_none() {
                return Ok(());
            }
            place.supervisor = None;
        }
        let folder = |name: &str| place.folder.join(name).into_os_string();
        let mut words: Vec<OsString> = vec!["run".into(), "--node".into(), name.into()];
        words.extend(["--config".into(), folder("outlast.toml")]);
        words.extend(["--run-dir".into(), folder("run")]);
        words.extend(["--state-dir".into(), folder("state")]);
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        let log = File::options().create(true).append(true).open(place.folder.join("log"))?;
        let options = SpawnOptions {
            netns: Some(host.netns()),
            stdout: Some(log.try_clone()?.into()),
            stderr: Some(log.into()),
            new_session: true,
            ..SpawnOptions::default()
        };
        place.supervisor = Some(spawn(&program, Some("outlast"), &words, None, options)?);
        Ok(())
    }

    fn introduce(&self, new: usize) -> io::Result<()> {
        let hosts = self.nodes.iter().enumerate();
        let others = hosts.filter_map(|(node, place)| Some((node, place.host.as_ref()?)));
        introduce(new, &others.collect::<Vec<_>>(), self.plan.networks.len())
    }

    /// Starts all that does not run, lets go on what was stopped, mends every cable and way.
    ///
    /// # Errors
    /// When something cannot be started.
    pub fn mend(&mut self) -> io::Result<()> {
        self.find_all_ways()?;
        for node in self.numbers() {
            if let Some(host) = &self.nodes[node].host {
                signal_all_inside(host, SIGCONT)?;
                host.join()?;
                (0..self.plan.networks.len())
                    .try_for_each(|network| host.set_carrier(network, true))?;
            }
            self.start(node)?;
        }
        Ok(())
    }

    /// Everything in the machine dies, and its links go down with it.
    ///
    /// # Errors
    /// When processes do not die.
    pub fn power_off(&mut self, node: usize) -> io::Result<()> {
        let place = &mut self.nodes[node];
        let Some(host) = place.host.take() else { return Ok(()) };
        // The links first: a dying kernel says nothing more.
        host.cut()?;
        kill_all_inside(&host)?;
        if let Some(child) = place.supervisor.take() {
            child.wait()?;
        }
        host.unplug()
    }

    /// SIGKILL to every process of the node at once; its kernel lives on.
    ///
    /// # Errors
    /// When processes do not die.
    pub fn kill_all(&mut self, node: usize) -> io::Result<()> {
        if let Some(host) = &self.nodes[node].host {
            // One after the other, an agent would see its supervisor die and say goodbye.
            signal_all_inside(host, SIGSTOP)?;
            kill_all_inside(host)?;
        }
        self.bury(node)
    }

    /// SIGKILL to the supervisor, which takes everything along.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_supervisor(&mut self, node: usize) -> io::Result<()> {
        let missing = || io::Error::other("there is no supervisor");
        self.nodes[node].supervisor.as_ref().ok_or_else(missing)?.signal(SIGKILL)?;
        self.bury(node)
    }

    fn bury(&mut self, node: usize) -> io::Result<()> {
        match self.nodes[node].supervisor.take() {
            Some(child) => child.wait().map(drop),
            None => Ok(()),
        }
    }

    /// SIGKILL to the agent, which the supervisor starts again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_agent(&self, node: usize) -> io::Result<()> {
        kill(self.pid(node, Role::Agent)?, SIGKILL);
        Ok(())
    }

    /// SIGSTOP to every process of the node: the machine stands still.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn pause(&self, node: usize) -> io::Result<()> {
        self.signal(node, SIGSTOP)
    }

    /// The opposite of [`Self::pause`].
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn resume(&self, node: usize) -> io::Result<()> {
        self.signal(node, SIGCONT)
    }

    fn signal(&self, node: usize, signal: sys::process::Signal) -> io::Result<()> {
        let host = self.nodes[node].host.as_ref();
        host.map_or(Ok(()), |host| signal_all_inside(host, signal).map(drop))
    }

    /// SIGTERM: the node says goodbye. Returns at once; [`Self::ended`] waits.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&self, node: usize) -> io::Result<()> {
        let missing = || io::Error::other("there is no supervisor");
        self.nodes[node].supervisor.as_ref().ok_or_else(missing)?.signal(SIGTERM)
    }

    /// Waits for the end of a node that was told to stop.
    ///
    /// # Errors
    /// When it does not end.
    pub fn ended(&mut self, node: usize) -> io::Result<()> {
        let Some(child) = self.nodes[node].supervisor.take() else { return Ok(()) };
        if wait::until(GRACE, || child.reap().map_or(true, |exit| exit.is_some())) {
            return Ok(());
        }
        child.signal(SIGKILL)?;
        child.wait()?;
        Err(io::Error::other(format!("{} did not end", self.name(node))))
    }

    /// Takes a node's port out of a switch, or puts it back: the node sees no difference.
    ///
    /// # Errors
    /// When the switch is gone.
    pub fn set_joined(&self, node: usize, network: usize, joined: bool) -> io::Result<()> {
        let host = self.nodes[node].host.as_ref();
        host.map_or(Ok(()), |host| host.set_joined(network, joined))
    }

    /// A lost carrier, or one that is back.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn set_carrier(&self, node: usize, network: usize, up: bool) -> io::Result<()> {
        let host = self.nodes[node].host.as_ref();
        host.map_or(Ok(()), |host| host.set_carrier(network, up))
    }

    /// What `from` says to `to` on that network is lost; the other direction is as it was.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn lose_way(&mut self, from: usize, to: usize, network: usize) -> io::Result<()> {
        self.lose_ways(&[(from, to, network)])
    }

    /// As [`Self::lose_way`], as many as wanted at one moment: a network that falls apart does not do so
    /// machine by machine.
    ///
    /// # Errors
    /// When a device is gone.
    pub fn lose_ways(&mut self, ways: &[(usize, usize, usize)]) -> io::Result<()> {
        self.lost.extend(ways);
        self.set_ways(ways, false)
    }

    /// The opposite of every [`Self::lose_way`].
    ///
    /// # Errors
    /// When a device is gone.
    pub fn find_all_ways(&mut self) -> io::Result<()> {
        let ways: Vec<_> = std::mem::take(&mut self.lost).into_iter().collect();
        self.set_ways(&ways, true)
    }

    /// All machines at once.
    fn set_ways(&self, ways: &[(usize, usize, usize)], heard: bool) -> io::Result<()> {
        let ways_of = |node: usize| {
            let of_it = ways.iter().filter(move |(from, _, _)| *from == node);
            of_it.map(|(_, to, network)| (address(small(*to), small(*network)), *network))
        };
        std::thread::scope(|scope| {
            let started = self.nodes.iter().enumerate().filter_map(|(node, place)| {
                let (host, ways) = (place.host.as_ref()?, ways_of(node).collect::<Vec<_>>());
                let has_some = !ways.is_empty();
                has_some.then(|| scope.spawn(move || host.set_heard_by(&ways, heard)))
            });
            let threads: Vec<_> = started.collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().map_err(|_| io::Error::other("a thread of the lab failed"))?
            })
        })
    }

    /// What a node's agent knows now; none if it does not answer.
    #[must_use]
    pub fn status(&self, node: usize) -> Option<Status> {
        ask::status(&self.nodes[node].folder)
    }

    /// What a node thinks of another.
    #[must_use]
    pub fn view(&self, node: usize, of: usize) -> Option<NodeLine> {
        let status = self.status(node)?;
        status.nodes.into_iter().find(|line| line.state.node == self.name(of))
    }

    /// What is missing until every node hears every other one on every network.
    #[must_use]
    pub fn illness(&self) -> Option<String> {
        self.numbers().find_map(|node| {
            let who = self.name(node);
            let Some(status) = self.status(node) else {
                return Some(format!("{who} does not answer"));
            };
            if status.nodes.len() != self.nodes.len() {
                return Some(format!("{who} knows of {} nodes", status.nodes.len()));
            }
            let others = status.nodes.iter().filter(|line| line.state.node != who);
            let ill = |line: &&NodeLine| {
                let state = &line.state;
                state.standing != Standing::Alive
                    || state.opinion.verdict != Verdict::Alive
                    || state.cells.len() != self.plan.networks.len()
                    || state.cells.iter().any(|cell| !cell.alive)
            };
            others.into_iter().find(ill).map(|line| format!("{who} says {:?}", line.state))
        })
    }

    /// The pid of a process of a node.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self, node: usize, role: Role) -> io::Result<i32> {
        let missing = || io::Error::other(format!("{} has no {role:?}", self.name(node)));
        let status = self.status(node).ok_or_else(missing)?;
        let process = status.processes.iter().find(|p| p.role == role && p.running);
        process.map(|p| p.pid).ok_or_else(missing)
    }

    /// Events of all nodes' own logs so far, with the moments at which they were told.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.ears.heard()
    }

    /// How long after `begin` the last of these nodes told an event about `of` that is the awaited
    /// one; none as long as one of them has not.
    #[must_use]
    pub fn known_after(
        &self,
        begin: Time,
        who: &[usize],
        of: usize,
        is_it: impl Fn(&Event) -> bool,
    ) -> Option<Duration> {
        let object = format!("node/{}", self.name(of));
        let heard = self.heard();
        let first = |node: &usize| {
            let told = heard.iter().filter(|heard| heard.node == *node && heard.at >= begin);
            let mut told = told.filter(|heard| heard.event.object == object);
            told.find(|heard| is_it(&heard.event)).map(|heard| heard.at.since(begin))
        };
        let known: Option<Vec<Duration>> = who.iter().map(first).collect();
        known?.into_iter().max()
    }

    /// The lines that a node wrote last, for messages about failures.
    #[must_use]
    pub fn last_words(&self, node: usize) -> String {
        let text = fs::read_to_string(self.nodes[node].folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(6).collect();
        lines.into_iter().rev().map(|line| format!("\n  {}: {line}", self.name(node))).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.ears.close();
        for node in self.numbers() {
            // Nobody is left to be told; the namespaces end what this leaves.
            drop(self.power_off(node));
        }
        drop(remove_switches(self.plan.networks.len()));
    }
}

/// Tells all machines where a new one is, and it where they are: of more than [`MOST_STRANGERS`] none finds
/// the others by itself.
fn introduce(new: usize, hosts: &[(usize, &Host)], networks: usize) -> io::Result<()> {
    let of = |node: usize, macs: &[Mac]| -> Vec<_> {
        let ways = macs.iter().enumerate();
        ways.map(|(n, mac)| (address(small(node), small(n)), n, *mac)).collect()
    };
    let Some((_, host)) = hosts.iter().find(|(node, _)| *node == new) else { return Ok(()) };
    let own = of(new, &host.macs(networks)?);
    for (node, other) in hosts.iter().filter(|(node, _)| *node != new) {
        host.introduce(&of(*node, &other.macs(networks)?))?;
        other.introduce(&own)?;
    }
    Ok(())
}

/// Nodes and networks are few.
fn small(number: usize) -> u8 {
    u8::try_from(number).expect("a cluster has at most 64 nodes on 8 networks")
}
